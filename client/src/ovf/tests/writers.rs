//! Tests with hardware sections in the forms of many tools and versions.

use super::*;

const CPU: &str = "<Item><rasd:ElementName>cpu</rasd:ElementName>";
const FIRST: &str = "<rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:ElementName>first disk";
const SECOND: &str = "<rasd:AddressOnParent>1</rasd:AddressOnParent><rasd:ElementName>second disk";

#[track_caller]
fn machine(edits: &[(&str, &str)]) -> (MachineSpec, Package) {
    let package = Folder::plain(edits).open().unwrap();
    (package.spec().machines[0].clone(), package)
}

#[test]
fn an_export_of_ovirt_is_described() {
    let files = [("6d2ccaec", &noise(1, 8192)[..]), ("0b5ebdc9", &noise(2, 4096))];
    let folder = Folder::new(OVIRT, &files);
    let package = folder.open().unwrap();
    let [machine] = &package.spec().machines[..] else { panic!() };
    assert_eq!((machine.name.as_str(), machine.cpus, machine.memory_mib), ("shop", 4, 1024));
    let expect = [("a3c1", Bus::VirtioScsi), ("69bb", Bus::Virtio)];
    assert_eq!(disks(machine), expect, "the one it boots from is first");
    assert_eq!(content(&machine.disks[1]), noise(1, 8192), "raw, whatever the URI says");
    assert_eq!(machine.network_cards[0].model, NetworkModel::Virtio);
    assert_eq!(machine.annotations["operating-system"], "rhel_8x64");
}

#[test]
fn sections_of_the_drafts_style_are_read() {
    let (machine, _) = machine(&[
        ("xmlns:vmw", "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:vmw"),
        ("<DiskSection>", "<Section xsi:type=\"ovf:DiskSection_Type\">"),
        ("</DiskSection>", "</Section>"),
        ("<NetworkSection>", "<Section xsi:type=\"ovf:NetworkSection_Type\">"),
        ("</NetworkSection>", "</Section>"),
        ("<VirtualSystem ", "<Content xsi:type=\"ovf:VirtualSystem_Type\" "),
        ("</VirtualSystem>", "</Content>"),
        ("<VirtualHardwareSection>", "<Section xsi:type=\"ovf:VirtualHardwareSection_Type\">"),
        ("</VirtualHardwareSection>", "</Section>"),
    ]);
    assert_eq!(disks(&machine), [("one", Bus::Scsi), ("two", Bus::Scsi)]);
    assert_eq!((machine.cpus, machine.memory_mib, machine.network_cards.len()), (2, 256, 1));
}

#[test]
fn an_item_that_refers_to_a_disk_is_one_whatever_its_resource_type() {
    for kind in ["19", "31", "1", "Disk"] {
        let of_second = format!(
            "<rasd:ResourceType>{kind}</rasd:ResourceType></Item>\n<Item><rasd:AddressOnParent>7"
        );
        let (machine, _) = machine(&[(
            "<rasd:ResourceType>17</rasd:ResourceType></Item>\n<Item><rasd:AddressOnParent>7",
            &of_second,
        )]);
        assert_eq!(disks(&machine).len(), 2, "{kind}");
    }
    // OVF 2 has a separate element for storage.
    let (found, _) = machine(&[
        (&format!("<Item>{FIRST}"), &format!("<StorageItem>{FIRST}")),
        (
            "<rasd:ResourceType>17</rasd:ResourceType></Item>\n<Item><rasd:AddressOnParent>1",
            "<rasd:ResourceType>31</rasd:ResourceType></StorageItem>\n<Item><rasd:AddressOnParent>1",
        ),
    ]);
    assert_eq!(disks(&found).len(), 2);
    // A medium in a drive is not a disk of the machine. It is reported.
    let (machine, package) = machine(&[(
        "<rasd:ResourceType>17</rasd:ResourceType></Item>\n<Item><rasd:AddressOnParent>7",
        "<rasd:ResourceType>15</rasd:ResourceType></Item>\n<Item><rasd:AddressOnParent>7",
    )]);
    assert_eq!(disks(&machine), [("one", Bus::Scsi)]);
    assert_reported(&package, &["second disk (CD drive)", "disk `two`: no virtual system has it"]);
}

#[test]
fn a_disk_that_no_machine_gets_ends_the_push() {
    let folder = Folder::plain(&[("ovf:/disk/two", "ovf:/disk/one")]);
    let error = folder.open().unwrap_err();
    assert!(error.to_string().contains("disk `two` is in the DiskSection"), "{error}");
    assert!(error.remedy().unwrap().contains("ovf:/disk/ID"));
    // A disk without a file has no content to lose.
    let edits = [("ovf:/disk/two", "ovf:/disk/one"), (" ovf:fileRef=\"file2\"", "")];
    let package = Folder::plain(&edits).open().unwrap();
    assert_reported(&package, &["disk `two`: no virtual system has it"]);
}

#[test]
fn disks_follow_the_addresses_of_controllers_and_not_the_text() {
    let controller = "<Item><rasd:Address>0</rasd:Address><rasd:ElementName>scsi";
    let other = "<Item><rasd:Address>1</rasd:Address><rasd:ElementName>other</rasd:ElementName>\
                 <rasd:InstanceID>33</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>";
    // `one` is on the second controller, which stands first in the text.
    let on_other = "<rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>33</rasd:Parent>";
    let (found, _) = machine(&[
        (controller, &format!("{other}{controller}")),
        ("<rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent>", on_other),
    ]);
    assert_eq!(disks(&found), [("two", Bus::Scsi), ("one", Bus::Scsi)]);
    let swapped = [
        (FIRST, "<rasd:AddressOnParent>10</rasd:AddressOnParent><rasd:ElementName>first disk"),
        (SECOND, "<rasd:AddressOnParent>9</rasd:AddressOnParent><rasd:ElementName>second disk"),
    ];
    let (found, _) = machine(&swapped);
    assert_eq!(disks(&found), [("two", Bus::Scsi), ("one", Bus::Scsi)], "9 is before 10");
    let odd = "<rasd:AddressOnParent>0:0</rasd:AddressOnParent><rasd:ElementName>first disk";
    let (found, package) = machine(&[(FIRST, odd)]);
    assert_eq!(disks(&found), [("two", Bus::Scsi), ("one", Bus::Scsi)]);
    assert_reported(&package, &["AddressOnParent `0:0` of first disk: it is not a number"]);
    // VMware's boot order precedes addresses.
    let order = "</VirtualHardwareSection><vmw:BootOrderSection vmw:instanceId=\"6 5\" \
                 vmw:type=\"net disk\"><Info>x</Info></vmw:BootOrderSection>";
    let (found, _) = machine(&[("</VirtualHardwareSection>", order)]);
    assert_eq!(disks(&found), [("two", Bus::Scsi), ("one", Bus::Scsi)]);
}

#[test]
fn controllers_are_found_by_the_older_spelling_of_instances() {
    let (found, package) = machine(&[
        ("InstanceID>", "InstanceId>"),
        ("<rasd:ResourceType>6<", "<rasd:ResourceType>5<"),
    ]);
    assert_eq!(disks(&found), [("one", Bus::Ide), ("two", Bus::Ide)]);
    assert!(!reported(&package).iter().any(|line| line.contains("InstanceId")));
    let (found, package) = machine(&[("<rasd:Parent>3<", "<rasd:Parent>99<")]);
    assert_eq!(disks(&found).len(), 2);
    assert_reported(&package, &["first disk: its controller `99` does not exist"]);
    for (kind, subtype, bus) in [
        ("20", "AHCI", Bus::Sata),
        ("20", "vmware.nvme.controller", Bus::Nvme),
        ("20", "LsiLogicSas", Bus::Scsi),
        ("20", "VirtioSCSI", Bus::VirtioScsi),
        ("6", "virtio-scsi", Bus::VirtioScsi),
        ("20", "virtio-blk", Bus::Virtio),
    ] {
        let kind = format!("<rasd:ResourceType>{kind}<");
        let (found, _) = machine(&[("lsilogic", subtype), ("<rasd:ResourceType>6<", &kind)]);
        assert_eq!(found.disks[0].bus, bus, "{subtype}");
    }
}

#[test]
fn a_bound_is_told_by_its_value() {
    for (bound, cpus) in [("normal", 2), ("", 2), ("NORMAL", 2), ("min", 1), ("max", 1), ("x", 2)] {
        let item = format!("<Item ovf:bound=\"{bound}\"><rasd:ElementName>cpu</rasd:ElementName>");
        let (found, package) = machine(&[(CPU, &item)]);
        assert_eq!(found.cpus, cpus, "{bound}");
        let is_told = reported(&package).iter().any(|line| line.contains("bound"));
        assert_eq!(is_told, matches!(bound, "min" | "max" | "x"), "{bound}");
    }
}

#[test]
fn a_configurations_items_take_the_place_of_those_for_all() {
    let options = "<DeploymentOptionSection><Info>x</Info><Configuration ovf:id=\"small\"/>\
                   <Configuration ovf:id=\"large\" ovf:default=\"1\"/></DeploymentOptionSection>\
                   <NetworkSection>";
    let item = |of: &str, id: &str, count: u32| {
        format!(
            "<Item{of}><rasd:ElementName>cpu</rasd:ElementName>{id}<rasd:ResourceType>3\
             </rasd:ResourceType><rasd:VirtualQuantity>{count}</rasd:VirtualQuantity></Item>"
        )
    };
    let (large, small) = (" ovf:configuration=\"a large\"", " ovf:configuration=\"small\"");
    let id = "<rasd:InstanceID>1</rasd:InstanceID>";
    // Before or after the general item, and also with the older spelling.
    for (before, after) in
        [(item(large, id, 8), String::new()), (String::new(), item(large, id, 8))]
    {
        let text = format!("{before}{}{after}{}", item("", id, 2), item(small, id, 1));
        for spelling in ["InstanceID>", "InstanceId>"] {
            let (found, package) = machine(&[
                ("<NetworkSection>", options),
                (&item("", id, 2), &text),
                ("InstanceID>", spelling),
            ]);
            assert_eq!((found.cpus, found.memory_mib), (8, 256));
            assert_eq!(disks(&found).len(), 2);
            assert_reported(&package, &["configurations small"]);
        }
    }
    // Items without an identifier replace no other item.
    let text = format!("{}{}", item("", "", 2), item(large, "", 4));
    let (found, _) = machine(&[("<NetworkSection>", options), (&item("", id, 2), &text)]);
    assert_eq!(found.cpus, 6);
    // A repeated item counts once.
    let twice = item("", id, 2).repeat(2);
    let (found, package) = machine(&[(&item("", id, 2), &twice)]);
    assert_eq!(found.cpus, 2);
    assert_reported(&package, &["cpu: a second item has its InstanceID"]);
}

#[test]
fn of_several_hardware_sections_the_one_for_a_known_system_with_disks_is_taken() {
    let system = |kind: &str| {
        format!(
            "<VirtualHardwareSection><Info>x</Info><System><vssd:VirtualSystemType>{kind}\
             </vssd:VirtualSystemType></System>"
        )
    };
    let bare = |kind: &str| system(kind) + "</VirtualHardwareSection>";
    let ours = "<VirtualHardwareSection><Info>Hardware</Info>";
    for (before, kind, after) in [
        ("", "vmx-13", bare("xen-3")),
        (&*bare("vmx-13"), "other", String::new()),
        (&bare("other"), "", bare("another")),
    ] {
        let (found, package) = machine(&[
            ("</VirtualHardwareSection>", &format!("</VirtualHardwareSection>{after}")),
            (ours, &format!("{before}{}", system(kind))),
        ]);
        assert_eq!(disks(&found).len(), 2, "{kind}");
        let name =
            if kind.is_empty() { "an unnamed system".to_owned() } else { format!("`{kind}`") };
        let why = format!("a machine has one; the section for {name} is used");
        assert_reported(&package, &[&why]);
    }
    // Both sections have the disks. The known hypervisor wins in either order.
    let start = PLAIN.find(ours).unwrap();
    let end = PLAIN.find("</VirtualSystem>").unwrap();
    let section = &PLAIN[start..end];
    let four = section.replace("VirtualQuantity>2<", "VirtualQuantity>4<");
    let text = section.replace(ours, &system("hyper-x")) + &four.replace(ours, &system("kvm"));
    let (found, _) = machine(&[(section, &text)]);
    assert_eq!(found.cpus, 4);
}

#[test]
fn firmware_is_read_from_every_setting_that_names_it() {
    for (settings, expect) in [
        ("<vmw:Config vmw:key=\"firmware\" vmw:value=\"EFI\"/>", Firmware::Uefi),
        ("<vmw:ExtraConfig vmw:key=\"firmware\" vmw:value=\"efi\"/>", Firmware::Uefi),
        ("<vmw:Config vmw:key=\"firmware\" vmw:value=\"bios\"/>", Firmware::Bios),
        (
            "<vmw:Config vmw:key=\"firmware\" vmw:value=\"efi\"/><vmw:Config \
             vmw:key=\"bootOptions.efiSecureBootEnabled\" vmw:value=\"TRUE\"/>",
            Firmware::UefiSecure,
        ),
        (
            "<vmw:ExtraConfig vmw:key=\"uefi.secureBoot.enabled\" vmw:value=\"TRUE\"/>\
             <vmw:ExtraConfig vmw:key=\"firmware\" vmw:value=\"efi\"/>",
            Firmware::UefiSecure,
        ),
    ] {
        let text = format!("{settings}</VirtualHardwareSection>");
        assert_eq!(
            machine(&[("</VirtualHardwareSection>", &text)]).0.firmware,
            expect,
            "{settings}"
        );
    }
}

#[test]
fn networks_of_cards_are_found_or_added() {
    let listed = "<NetworkSection><Info>Networks</Info><Network ovf:name=\"lan\"><Description>\
                  A network</Description></Network></NetworkSection>";
    let (found, package) = machine(&[(listed, "")]);
    assert_eq!(found.network_cards[0].network.as_str(), "lan");
    assert_reported(&package, &["network `lan` of a card: it is not listed there; it was added"]);
    let (found, package) = machine(&[("<rasd:Connection>lan<", "<rasd:Connection>LAN<")]);
    assert_eq!(found.network_cards[0].network.as_str(), "lan");
    assert_eq!(package.spec().networks.len(), 1);
    assert_reported(&package, &["network `LAN` of a card: it is read as `lan`"]);
    let (found, package) = machine(&[("<rasd:Connection>lan</rasd:Connection>", "")]);
    assert!(found.network_cards.is_empty());
    assert_reported(&package, &["card: it is connected to no network"]);
    let (_, package) = machine(&[("<Network ", "<Network ovf:name=\"lan\"/><Network ")]);
    assert_reported(&package, &["network `lan`: it occurs twice"]);
}

#[test]
fn systems_without_disks_are_left_out_and_reported() {
    let bare = "<VirtualSystem ovf:id=\"empty\"><Info>x</Info></VirtualSystem>";
    let system = "<VirtualSystem ovf:id=\"web\">";
    let head = format!("<VirtualSystemCollection ovf:id=\"all\"><Info>x</Info>{bare}{system}");
    let (found, package) =
        machine(&[(system, &head), ("</Envelope>", "</VirtualSystemCollection></Envelope>")]);
    assert_eq!((found.name.as_str(), package.spec().machines.len()), ("web", 1));
    assert_reported(&package, &["VirtualSystem: the virtual system: it has no disk"]);
    let start = PLAIN.find("<VirtualSystem ").unwrap();
    let text = format!("{}{bare}</Envelope>", &PLAIN[..start]);
    let edits = [(" ovf:fileRef=\"file1\"", ""), (" ovf:fileRef=\"file2\"", "")];
    let folder = Folder::new(&edited(&text, &edits), &[]);
    assert!(folder.refused().contains("no virtual system in it has a disk"));
}

#[test]
fn a_system_without_identifier_is_called_by_its_name() {
    let system = "<VirtualSystem ovf:id=\"web\"><Info>A machine</Info><Name>web</Name>";
    for (text, expect) in [
        ("<VirtualSystem ovf:id=\"\"><Name>The Web</Name>", "the-web"),
        ("<VirtualSystem><Name>The Web</Name>", "the-web"),
        ("<VirtualSystem>", "machine-1"),
        ("<VirtualSystem ovf:id=\"vm\"><Name>The Web</Name>", "the-web"),
        ("<VirtualSystem ovf:id=\"5c1f3a52-8d7a-4f61-9f2b-0b5ebdc96d2c\"><Name>Web</Name>", "web"),
        ("<VirtualSystem ovf:id=\"日本語\"><Name>x</Name>", "machine"),
    ] {
        assert_eq!(machine(&[(system, text)]).0.name.as_str(), expect, "{text}");
    }
}

#[test]
fn a_second_property_of_one_key_is_reported() {
    let property = |kind: &str, value: &str| {
        format!(
            "<ProductSection><Info>p</Info><Property ovf:key=\"a\" ovf:type=\"string\" {kind} \
             ovf:value=\"{value}\"/></ProductSection>"
        )
    };
    for kind in ["ovf:userConfigurable=\"true\"", ""] {
        let text = property(kind, "1") + &property(kind, "2") + "</VirtualSystem>";
        let (found, package) = machine(&[("</VirtualSystem>", &text)]);
        let kept = match kind {
            "" => found.annotations["property.a"].clone(),
            _ => package.spec().parameters["a"].default.clone().unwrap(),
        };
        assert_eq!(kept, "1");
        assert_reported(&package, &["a second property `a`: it differs from the first"]);
    }
}

#[test]
fn an_unknown_section_that_is_required_is_reported_as_that() {
    let section = "<vmw:OddSection ovf:required=\"true\"><Info>x</Info></vmw:OddSection>";
    let (_, package) = machine(&[("</VirtualSystem>", &format!("{section}</VirtualSystem>"))]);
    assert_reported(
        &package,
        &["vmw:OddSection: the section", "though the package calls it required"],
    );
    let encrypted = "<EncryptionSection/><NetworkSection>";
    assert!(Folder::plain(&[("<NetworkSection>", encrypted)]).refused().contains("encrypted"));
}

#[test]
fn large_descriptors_are_described_in_time_that_grows_with_them() {
    // Ten thousand items with one name on as many controllers: lookups must use tables.
    let item = "<Item><rasd:ElementName>c</rasd:ElementName><rasd:ResourceType>6</rasd:ResourceType>\
                <rasd:InstanceID>c%</rasd:InstanceID></Item>";
    let items: String = (0..10_000).map(|at| item.replace('%', &at.to_string())).collect();
    let (found, _) = machine(&[(CPU, &format!("{items}{CPU}"))]);
    assert_eq!(disks(&found).len(), 2);
}

//! Tests with names, numbers, units, encodings and namespaces in the spellings of many tools.

use super::*;

#[test]
fn files_are_found_under_every_spelling_of_their_name() {
    for (href, file) in [
        ("./one.raw", "one.raw"),
        (".//disks/./one.raw", "disks/one.raw"),
        ("disks\\one.raw", "disks/one.raw"),
        ("disks\\one.raw", "disks\\one.raw"),
        ("disks/../one.raw", "one.raw"),
        ("my%20disk%201.raw", "my disk 1.raw"),
        ("100%.raw", "100%.raw"),
        ("a%20b.raw", "a%20b.raw"),
        ("disk+1#a.raw", "disk+1#a.raw"),
        ("dïsk-日本.raw", "dïsk-日本.raw"),
        ("vm: one.raw", "vm: one.raw"),
        ("One.RAW", "one.raw"),
        ("Disks/One.raw", "Disks/one.RAW"),
        ("/builds/out/one.raw", "one.raw"),
        ("C:\\export\\one.raw", "one.raw"),
        ("file:///C:/export/one.raw", "one.raw"),
        ("file:one.raw", "one.raw"),
    ] {
        let folder = Folder::plain(&[("\"one.raw\"", &format!("\"{href}\""))]);
        fs::remove_file(folder.0.path().join("one.raw")).unwrap();
        let path = folder.0.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, noise(1, 4096)).unwrap();
        let package = folder.open().unwrap_or_else(|error| panic!("{href}: {error}"));
        assert_eq!(content(&package.spec().machines[0].disks[0]), noise(1, 4096), "{href}");
        let is_guess = reported(&package).iter().any(|line| line.contains("is read as"));
        let is_exact = ["disks", "my", "100", "a%", "disk+", "dï", "vm", "./", ".//"];
        assert_eq!(is_guess, !is_exact.iter().any(|start| href.starts_with(start)), "{href}");
    }
}

#[test]
fn a_name_in_another_case_is_a_guess_only_where_one_file_has_it() {
    let folder = Folder::plain(&[("\"one.raw\"", "\"ONE.raw\"")]);
    folder.put("One.raw", b"x");
    assert!(folder.refused().contains("`ONE.raw` is not in the package"));
}

#[test]
fn an_absolute_path_in_the_package_is_one_of_its_files() {
    let folder = Folder::plain(&[]);
    let path = folder.0.path().join("one.raw");
    let text = edited(PLAIN, &[("\"one.raw\"", &format!("\"file://{}\"", path.display()))]);
    folder.put("it.ovf", text.as_bytes());
    let package = folder.open().unwrap();
    assert_eq!(content(&package.spec().machines[0].disks[0]), noise(1, 4096));
    // An absolute path outside of the package is refused, although the file exists.
    let folder = Folder::plain(&[("\"one.raw\"", "\"file:///etc/passwd\"")]);
    assert!(folder.refused().contains("leads out of the package"));
}

#[test]
fn disks_are_found_under_every_spelling_of_their_reference() {
    for host in [
        "ovf://disk/one",
        "/disk/one",
        "disk/one",
        "OVF:/disk/one",
        "ovf:/file/file1",
        "/file/file1",
        "ovf:/file/one.raw",
        "one",
        "file1",
        "one.raw",
        "ovf:/disk/o%6ee",
    ] {
        let folder = Folder::plain(&[("ovf:/disk/one", host)]);
        let package = folder.open().unwrap_or_else(|error| panic!("{host}: {error}"));
        let expect = [("one", Bus::Scsi), ("two", Bus::Scsi)];
        assert_eq!(disks(&package.spec().machines[0]), expect, "{host}");
    }
    // A file without a `Disk` is a disk if a disk item refers to it.
    let disk = "<Disk ovf:diskId=\"one\" ovf:fileRef=\"file1\" ovf:capacity=\"4096\" \
                ovf:format=\"urn:raw\"/>";
    let folder = Folder::plain(&[(disk, ""), ("ovf:/disk/one", "ovf:/file/file1")]);
    let package = folder.open().unwrap();
    let expect = [("file1", Bus::Scsi), ("two", Bus::Scsi)];
    assert_eq!(disks(&package.spec().machines[0]), expect);
    assert_eq!(content(&package.spec().machines[0].disks[0]), noise(1, 4096));
    for (host, why) in [
        ("ovf:/disk/none", "there is no disk `none`"),
        ("ovf:/file/none", "there is no file `none`"),
        ("/vmfs/volumes/one.vmdk", "its HostResource is not"),
    ] {
        assert!(Folder::plain(&[("ovf:/disk/one", host)]).refused().contains(why), "{host}");
    }
}

#[test]
fn a_device_of_any_type_that_refers_to_a_disk_is_one() {
    let second = "<rasd:InstanceID>5</rasd:InstanceID><rasd:Parent>3</rasd:Parent>\
                  <rasd:ResourceType>17</rasd:ResourceType>";
    for kind in ["3", "4", "5", "6", "10", "19", "20", "22", "31", "", "x", "32768"] {
        let folder = Folder::plain(&[(second, &second.replace("17", kind))]);
        let package = folder.open().unwrap_or_else(|error| panic!("{kind}: {error}"));
        let machine = &package.spec().machines[0];
        assert_eq!(disks(machine), [("one", Bus::Scsi), ("two", Bus::Scsi)], "{kind}");
        assert_eq!((machine.cpus, machine.memory_mib, machine.network_cards.len()), (2, 256, 1));
    }
    // A network with a disk's name is not a disk.
    let card = "<rasd:Connection>lan</rasd:Connection>";
    let called = format!("{card}<rasd:HostResource>two</rasd:HostResource>");
    let package = Folder::plain(&[(card, &called)]).open().unwrap();
    assert_eq!(package.spec().machines[0].disks.len(), 2);
}

#[test]
fn a_text_is_whole_whatever_stands_in_it() {
    let quantity = "<rasd:VirtualQuantity>256</rasd:VirtualQuantity>";
    for text in [
        "2<!-- a comment -->56",
        "<?tool mark?>256",
        "2<![CDATA[56]]>",
        "<!-- <![CDATA[ -->256<!-- ]]> -->",
        "&#50;56",
        "<!-->-->256",
    ] {
        let edit = format!("<rasd:VirtualQuantity>{text}</rasd:VirtualQuantity>");
        let package = Folder::plain(&[(quantity, &edit)]).open().unwrap();
        assert_eq!(package.spec().machines[0].memory_mib, 256, "{text}");
        let host = format!("ovf:/disk/o{}ne", text.replace(['2', '5', '6'], ""));
        if text.starts_with("2<!--") {
            let package = Folder::plain(&[("ovf:/disk/one", &host)]).open().unwrap();
            assert_eq!(package.spec().machines[0].disks.len(), 2, "{host}");
        }
    }
    for broken in ["256<!-- without end", "256<![CDATA[", "256<?x"] {
        let edit = format!("<rasd:VirtualQuantity>{broken}</rasd:VirtualQuantity>");
        assert!(Folder::plain(&[(quantity, &edit)]).open().is_err(), "{broken}");
    }
}

#[test]
fn the_hardware_for_a_known_hypervisor_is_told_however_its_type_is_spelled() {
    let (start, end) = ("<VirtualHardwareSection><Info>Hardware</Info>", "</VirtualSystem>");
    let of = |kind: &str| {
        format!("{start}<System><vssd:VirtualSystemType>{kind}</vssd:VirtualSystemType></System>")
    };
    let second = edited(PLAIN, &[]);
    let second = &second[second.find(start).unwrap()..second.find(end).unwrap()];
    for kind in [
        "vmx-07",
        "VMX-13",
        "vmx-04;vmx-07",
        "foo vmx-4",
        "DMTF:xen:hvm",
        "AHV",
        "Microsoft:Hyper-V:SubType:2",
        "virtualbox-2.2",
    ] {
        let second = second.replace(start, &of(kind)).replace(">256<", ">512<");
        let both = format!("{second}{end}");
        let folder = Folder::plain(&[(start, &of("acme-9")), (end, &both)]);
        let package = folder.open().unwrap();
        assert_eq!(package.spec().machines[0].memory_mib, 512, "{kind}");
        assert_reported(&package, &["hardware for `acme-9`"]);
    }
}

#[test]
fn a_disk_that_is_said_to_be_raw_is_one_where_its_length_bears_it_out() {
    let qcow2 = |len: usize| {
        let mut bytes = vec![0; len];
        bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        bytes
    };
    let folder = Folder::plain(&[]);
    folder.put("one.raw", &qcow2(4096));
    let package = folder.open().unwrap();
    assert_eq!(content(&package.spec().machines[0].disks[0]), qcow2(4096), "a guest wrote it");
    for (bytes, why) in [
        (qcow2(8192), "one.raw"),
        (b"<html>404 Not Found</html>".to_vec(), "is not a raw image, as the descriptor says"),
        (Vec::new(), "it is empty"),
    ] {
        folder.put("one.raw", &bytes);
        let package = folder.open().unwrap();
        let error = package.survey().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    // A data disk has no signature.
    folder.put("one.raw", &noise(1, 8192));
    let package = folder.open().unwrap();
    assert_eq!(content(&package.spec().machines[0].disks[0]), noise(1, 8192));
}

#[test]
fn numbers_are_exact_or_an_error_or_reported() {
    let cpus = "<rasd:VirtualQuantity>2</rasd:VirtualQuantity>";
    let quantity = |text: &str| format!("<rasd:VirtualQuantity>{text}</rasd:VirtualQuantity>");
    let package = Folder::plain(&[(cpus, &quantity("4.0"))]).open().unwrap();
    assert_eq!(package.spec().machines[0].cpus, 4);
    assert_reported(&package, &["VirtualQuantity `4.0` of cpu"]);
    for text in ["0x2", "1e3", "2.5", "two", "-1", "1,024"] {
        let refused = Folder::plain(&[(cpus, &quantity(text))]).refused();
        assert!(
            refused.contains(&format!("its VirtualQuantity `{text}` is not a number")),
            "{refused}"
        );
        let refused = Folder::plain(&[(&quantity("256"), &quantity(text))]);
        // Half a MiB is a whole number of bytes.
        assert_eq!(refused.open().is_ok(), text == "2.5", "{text}");
    }
    let package = Folder::plain(&[(cpus, "")]).open().unwrap();
    assert_eq!(package.spec().machines[0].cpus, 1);
    assert_reported(&package, &["cpu: it has no VirtualQuantity", "processors: their number"]);
    let size = "ovf:href=\"one.raw\"";
    for text in ["-1", "x", "0x10"] {
        let folder = Folder::plain(&[(size, &format!("{size} ovf:size=\"{text}\""))]);
        assert_reported(&folder.open().unwrap(), &["it is not a number of bytes"]);
    }
    let package = Folder::plain(&[(size, &format!("{size} ovf:size=\"1\""))]).open().unwrap();
    assert_reported(&package, &["size 1 of `one.raw`: it has 4096 bytes"]);
}

#[test]
fn units_of_memory_are_read_as_tools_write_them() {
    let unit = "<rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>";
    let quantity = "<rasd:VirtualQuantity>256</rasd:VirtualQuantity>";
    for (text, count, mib) in [
        ("MegaBytes", "256", 256),
        ("Mega Bytes", "256", 256),
        ("MiB", "256", 256),
        ("byte x 2^20", "256", 256),
        ("byte * 10^6", "256", 245),
        ("KiloBytes", "262144", 256),
        ("Bytes", "268435456", 256),
        ("byte * 2^30", "0.5", 512),
        ("", "256", 256),
    ] {
        let unit_of = format!("<rasd:AllocationUnits>{text}</rasd:AllocationUnits>");
        let count = format!("<rasd:VirtualQuantity>{count}</rasd:VirtualQuantity>");
        let package = Folder::plain(&[(unit, &unit_of), (quantity, &count)]).open().unwrap();
        assert_eq!(package.spec().machines[0].memory_mib, mib, "{text}");
    }
    let bananas = "<rasd:AllocationUnits>bananas</rasd:AllocationUnits>";
    assert!(Folder::plain(&[(unit, bananas)]).refused().contains("`bananas` is not a unit"));
}

#[test]
fn a_capacity_that_is_missing_or_wrong_is_told_by_the_file() {
    let capacity = " ovf:capacity=\"4096\"";
    for (text, note) in [
        ("", None),
        (" ovf:capacity=\"\"", None),
        (" ovf:capacity=\"4\" ovf:capacityAllocationUnits=\"byte * 2^10\"", None),
        (" ovf:capacity=\"0.00390625\" ovf:capacityAllocationUnits=\"MB\"", None),
        (" ovf:capacity=\"99999999999999999999\"", Some("its capacity is not a length")),
        (" ovf:capacity=\"0x1000\"", Some("its capacity is not a length: `0x1000`")),
        (" ovf:capacity=\"${nothing}\"", Some("property `nothing`, without value")),
        (" ovf:capacity=\"1\" ovf:capacityAllocationUnits=\"byte * 2^63\"", None),
        (" ovf:capacity=\"4\" ovf:capacityAllocationUnits=\"x\"", Some("`x` is not a unit")),
    ] {
        let folder = Folder::plain(&[(capacity, text)]);
        let package = folder.open().unwrap();
        assert_eq!(content(&package.spec().machines[0].disks[0]), noise(1, 4096), "{text}");
        if let Some(note) = note {
            assert_reported(&package, &[note]);
        }
        // Only the capacity gives the length of an empty disk.
        let empty = Folder::plain(&[(" ovf:fileRef=\"file1\"", ""), (capacity, text)]);
        let is_told = text.contains("\"4\" ovf:capacityAllocationUnits=\"byte")
            || text.contains("\"MB\"")
            || text.contains("2^63");
        assert_eq!(empty.open().is_ok(), is_told, "{text}");
    }
}

#[test]
fn namespaces_are_told_from_all_versions_and_repaired_where_they_are_missing() {
    let ours = "http://schemas.dmtf.org/ovf/envelope/1";
    for namespace in [
        "http://schemas.dmtf.org/ovf/envelope/1/",
        "http://schemas.dmtf.org/ovf/envelope/2",
        "https://schemas.dmtf.org/ovf/envelope/1",
        "http://schemas.dmtf.org/ovf/1/envelope",
        "http://www.vmware.com/schema/ovf/1/envelope",
    ] {
        let package = Folder::plain(&[(ours, namespace)]).open().unwrap();
        assert_eq!(package.spec().machines[0].disks.len(), 2, "{namespace}");
        // Attributes of OVF 1 in an envelope of another version, as written by ovftool 2.
        let prefix = format!("xmlns:ovf=\"{namespace}\"");
        Folder::plain(&[("xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\"", &prefix)])
            .open()
            .unwrap();
    }
    let other = Folder::plain(&[(ours, "http://example.com/ovf")]);
    assert!(other.refused().contains("an envelope of namespace `http://example.com/ovf`"));
    let none = format!("xmlns=\"{ours}\" ");
    let package = Folder::plain(&[(&none, "")]).open().unwrap();
    assert_reported(&package, &["the namespace: there is none"]);
    let rasd = "xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/\
                CIM_ResourceAllocationSettingData\" ";
    let package = Folder::plain(&[
        (rasd, ""),
        ("xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" ", ""),
        ("</VirtualHardwareSection>", "<foo:Config foo:key=\"a\"/></VirtualHardwareSection>"),
    ])
    .open()
    .unwrap();
    assert_eq!(package.spec().machines[0].cpus, 2);
    assert_reported(&package, &["the prefix `rasd`", "the prefix `ovf`", "the prefix `foo`"]);
    let many: String = (0..40).map(|at| format!("<p{at}:x/>")).collect();
    let refused = Folder::plain(&[("</VirtualSystem>", &format!("{many}</VirtualSystem>"))]);
    assert!(refused.refused().contains("is not valid XML"));
}

#[test]
fn descriptors_are_read_in_every_encoding() {
    let latin = edited(PLAIN, &[("UTF-8", "ISO-8859-1"), ("A machine", "Maschine fü")]);
    let latin: Vec<u8> = latin.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let utf16 = edited(PLAIN, &[("UTF-8", "UTF-16")]);
    let utf16 = |mark: Option<u16>| -> Vec<u8> {
        mark.into_iter().chain(utf16.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    };
    for bytes in [
        latin,
        utf16(Some(0xfeff)),
        utf16(None),
        format!("\u{feff}{PLAIN}").into_bytes(),
        format!("\r\n {PLAIN}").into_bytes(),
        edited(PLAIN, &[("version=\"1.0\"", "version=\"1.1\"")]).into_bytes(),
        edited(PLAIN, &[("<Envelope", "<!DOCTYPE Envelope>\n<Envelope")]).into_bytes(),
        [PLAIN.as_bytes(), b"\n\0\0"].concat(),
    ] {
        let folder = Folder::plain(&[]);
        folder.put("it.ovf", &bytes);
        let package = folder.open().unwrap();
        assert_eq!(package.spec().machines[0].disks.len(), 2);
        assert_eq!(package.descriptor(), &bytes, "it is kept byte for byte");
    }
    let folder = Folder::plain(&[]);
    let at = PLAIN.find("A machine").unwrap();
    let mut broken = PLAIN.as_bytes().to_vec();
    broken[at] = 0xe9;
    folder.put("it.ovf", &broken);
    assert_reported(&folder.open().unwrap(), &["the encoding: it is not in UTF-8"]);
}

#[test]
fn manifests_of_many_writers_are_held_against_the_files() {
    let digest = |bytes: &[u8]| {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    };
    let files = [("it.ovf", PLAIN.as_bytes().to_vec()), ("one.raw", noise(1, 4096))];
    let manifest = |line: &dyn Fn(&str, &str) -> String| -> String {
        files.iter().map(|(name, bytes)| line(name, &digest(bytes))).collect()
    };
    let folder = Folder::plain(&[]);
    let here = folder.0.path().display().to_string();
    let usual = manifest(&|name, digest| format!("SHA256({name})= {digest}\n"));
    let utf16 = usual.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (at, bytes) in [
        usual.clone().into_bytes(),
        manifest(&|name, digest| format!("SHA-256(./{name})= {digest}\r")).into_bytes(),
        manifest(&|name, digest| format!("sha256({here}/{name})={digest}\r\n")).into_bytes(),
        manifest(&|name, digest| format!("SHA256(/builds/out/{name})= {digest}\n")).into_bytes(),
        manifest(&|name, digest| format!("{digest}  ./{name}\n")).into_bytes(),
        manifest(&|name, digest| format!("SHA2-256 ({name}) = {digest}\n")).into_bytes(),
        format!("\u{feff}# by hand\n{usual}\0").into_bytes(),
        usual.replace('\n', "\0").into_bytes(),
        manifest(&|name, digest| format!("{digest}  {name}\0")).into_bytes(),
        manifest(&|name, digest| format!("\\{digest} *.\\\\{name}\n")).into_bytes(),
        manifest(&|name, digest| format!("SHA256(\"{name}\")= {digest}\n")).into_bytes(),
        [b"\xff\xfe", &*utf16].concat(),
        utf16,
    ]
    .into_iter()
    .enumerate()
    {
        folder.put("it.mf", &bytes);
        folder.put("one.raw", &noise(1, 4096));
        let package = folder.open().unwrap();
        let lines = reported(&package);
        assert!(
            lines.iter().any(|it| it.contains("`two.raw`: it is not in it")),
            "{at}: {lines:?}"
        );
        assert!(
            !lines.iter().any(|it| it.contains("`one.raw`: it is not in it")),
            "{at}: {lines:?}"
        );
        package.check(&Silent).unwrap();
        folder.put("one.raw", &noise(9, 4096));
        let error = folder.open().unwrap().check(&Silent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{at}");
    }
    // The manifest's name may differ in case.
    folder.put("it.mf", b"");
    fs::remove_file(folder.0.path().join("it.mf")).unwrap();
    folder.put("IT.MF", usual.as_bytes());
    assert!(folder.open().unwrap().check(&Silent).is_err());
    fs::remove_file(folder.0.path().join("IT.MF")).unwrap();
    // `sha256sum *` lists its own output, which is still empty then.
    folder.put("it.mf", format!("{}  it.mf\n{}  ../gone\n", digest(b""), digest(b"")).as_bytes());
    let package = folder.open().unwrap();
    package.check(&Silent).unwrap();
    assert_reported(&package, &["it is the manifest itself", "file `../gone`: it is not in the"]);
}

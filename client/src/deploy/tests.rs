use std::collections::BTreeMap;
use std::fs;

use seawall_api::digest::{ContentDigest, IndexDigest};
use seawall_api::release::{
    Architecture, Bus, Disk, Document, Firmware, Machine, Network, NetworkCard, NetworkModel,
    Parameter, Schema,
};

use super::*;

mod powershell;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/deploy/golden");

/// Text that ends a string, a comment, a line or a document in some language.
const HOSTILE: &str = "'\"`$(reboot)\\;]]>--></domain><!-- \u{2019};Stop-Computer\n\0\u{7f}${x}";

/// A possible directory with characters that are special in every language.
const PLACE: &str = "/srv/o'neil & \"sons\", <1>/$HOME `x`";

fn machine(name: &str, architecture: Architecture, firmware: Firmware, buses: &[Bus]) -> Machine {
    let disk = |(at, bus): (usize, &Bus)| Disk {
        name: format!("disk{at}").parse().unwrap(),
        len: 4 << 30,
        content: ContentDigest::of(name.as_bytes()),
        index: IndexDigest::of(name.as_bytes()),
        bus: *bus,
    };
    Machine {
        name: name.parse().unwrap(),
        architecture,
        firmware,
        cpus: 2,
        memory_mib: 2048,
        start_order: 0,
        disks: buses.iter().enumerate().map(disk).collect(),
        network_cards: vec![],
        annotations: BTreeMap::new(),
        descriptor: None,
    }
}

fn card(network: &str, model: NetworkModel) -> NetworkCard {
    NetworkCard { network: network.parse().unwrap(), model }
}

fn release(machines: Vec<Machine>) -> Release {
    let network =
        |name: &str| Network { name: name.parse().unwrap(), description: HOSTILE.to_owned() };
    let parameter = |required| Parameter {
        description: HOSTILE.to_owned(),
        default: Some(HOSTILE.to_owned()),
        required,
    };
    let document = Document {
        schema: Schema::V1,
        application: "team/shop_2".parse().unwrap(),
        version: "2.0.0--rc_1".parse().unwrap(),
        machines,
        networks: vec![network("back--end"), network("public")],
        parameters: BTreeMap::from([
            (HOSTILE.to_owned(), parameter(true)),
            ("plain".to_owned(), parameter(false)),
        ]),
        annotations: BTreeMap::from([(HOSTILE.to_owned(), HOSTILE.to_owned())]),
    };
    Release::new(document).unwrap()
}

/// A release with old and new PCs, other architectures, every bus and every card.
fn rich() -> Release {
    let mut app = machine(
        "app--1",
        Architecture::X86_64,
        Firmware::UefiSecure,
        &[Bus::Virtio, Bus::VirtioScsi, Bus::Scsi, Bus::Nvme, Bus::Ide],
    );
    app.start_order = 20;
    app.cpus = 300;
    app.network_cards = vec![
        card("public", NetworkModel::Virtio),
        card("back--end", NetworkModel::Vmxnet3),
        card("back--end", NetworkModel::E1000e),
    ];
    app.annotations = BTreeMap::from([(HOSTILE.to_owned(), HOSTILE.to_owned())]);
    let arm =
        machine("arm", Architecture::Aarch64, Firmware::Bios, &[Bus::Virtio, Bus::Sata, Bus::Ide]);
    let mut big = machine("big", Architecture::S390x, Firmware::Uefi, &[Bus::Scsi, Bus::Nvme]);
    big.network_cards = vec![card("public", NetworkModel::E1000)];
    let mut old = machine(
        "old",
        Architecture::I686,
        Firmware::Bios,
        &[Bus::Ide, Bus::Sata, Bus::Ide, Bus::Ide, Bus::Ide, Bus::Ide],
    );
    old.memory_mib = 31;
    old.network_cards = vec![card("back--end", NetworkModel::Rtl8139)];
    let power = machine("power", Architecture::Ppc64le, Firmware::Bios, &[Bus::Sata]);
    let mut risc = machine("risc", Architecture::Riscv64, Firmware::UefiSecure, &[Bus::Virtio]);
    risc.start_order = 7;
    let web = machine("web", Architecture::X86_64, Firmware::Uefi, &[Bus::Sata; 8]);
    release(vec![app, arm, big, old, power, risc, web])
}

fn files(release: &Release, format: &str) -> Vec<DiskFile> {
    let file = |(machine, disk): (&Machine, &Disk)| DiskFile {
        machine: machine.name.clone(),
        disk: disk.name.clone(),
        file: PathBuf::from(format!("{}/{}.{format}", machine.name, disk.name)),
        format: format.to_owned(),
    };
    release.disks().map(file).collect()
}

fn described(release: &Release, target: DescriptorTarget, format: &str) -> Description {
    let files = files(release, format);
    describe(&Subject { release, place: Path::new(PLACE), files: &files }, target).unwrap()
}

fn text_of<'a>(description: &'a Description, file: &str) -> &'a str {
    let path = description.folder.join(file);
    let found = description.files.iter().find(|file| file.path == path);
    &found.unwrap_or_else(|| panic!("no {file}")).contents
}

fn loss_of<'a>(description: &'a Description, machine: &str, what: &str) -> Vec<&'a str> {
    let of = |loss: &&Loss| {
        loss.machine.as_ref().is_some_and(|name| name.as_str() == machine)
            && loss.what.contains(what)
    };
    description.losses.iter().filter(of).map(|loss| loss.instead.as_str()).collect()
}

#[test]
#[allow(clippy::disallowed_methods)] // a switch for developers, read only here
fn the_descriptors_of_a_rich_release_are_these() {
    let release = rich();
    for target in DescriptorTarget::ALL {
        let description = described(&release, target, "qcow2");
        let folder = Path::new(GOLDEN).join(target.as_str());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let _ = fs::remove_dir_all(&folder);
            for file in &description.files {
                let path = Path::new(GOLDEN).join(&file.path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, &file.contents).unwrap();
            }
        }
        for file in &description.files {
            let golden = fs::read_to_string(Path::new(GOLDEN).join(&file.path)).unwrap_or_default();
            assert!(
                golden == file.contents,
                "{} differs: look at it, then run `UPDATE_GOLDEN=1 cargo test -p seawall deploy`",
                file.path.display()
            );
        }
        assert_eq!(count(&folder), description.files.len(), "{target}: a file too many");
    }
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.map(|e| if e.path().is_dir() { count(&e.path()) } else { 1 }).sum()
}

#[test]
fn a_description_says_the_same_twice_and_writes_no_path_twice() {
    for target in DescriptorTarget::ALL {
        let description = described(&rich(), target, "raw");
        assert_eq!(description, described(&rich(), target, "raw"));
        let mut paths: Vec<_> = description.files.iter().map(|file| &file.path).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), description.files.len());
        assert!(paths.iter().all(|path| path.starts_with(target.as_str())));
    }
}

#[test]
fn texts_of_a_release_reach_no_script() {
    for target in DescriptorTarget::ALL {
        for file in described(&rich(), target, "vhdx").files {
            let contents = file.contents;
            assert!(!contents.contains("$(reboot)") || target == DescriptorTarget::Libvirt);
            assert!(!contents.contains("<!-- \u{2019}"), "{}", file.path.display());
            assert!(contents.chars().all(|c| c == '\n' || !c.is_control() || c == '\u{7f}'));
        }
    }
}

#[test]
fn hostile_texts_stay_texts_in_a_domain() {
    let description = described(&rich(), DescriptorTarget::Libvirt, "qcow2");
    let xml = text_of(&description, "app--1.xml");
    assert_eq!(xml.matches("</domain>").count(), 1);
    assert_eq!(xml.matches("<!--").count(), 1, "the one fixed comment");
    let kept = "&apos;&quot;`$(reboot)\\;]]&gt;--&gt;&lt;/domain&gt;&lt;!-- \u{2019};Stop-Computer\
                &#10;\u{fffd}\u{7f}${x}";
    assert!(xml.contains(&format!("<seawall:annotation key=\"{kept}\">{kept}</")), "{xml}");
    let xml = text_of(&description, "direct/app--1.xml");
    let place = "/srv/o&apos;neil &amp; &quot;sons&quot;, &lt;1&gt;/$HOME `x`/app--1/disk0.qcow2";
    assert!(xml.contains(&format!("<source file=\"{place}\"/>")), "{xml}");
}

#[test]
fn a_patched_machine_stays_the_same_machine_to_its_host() {
    let mut later = rich().document().clone();
    later.version = "3.0".parse().unwrap();
    let later = Release::new(later).unwrap();
    for target in DescriptorTarget::ALL {
        let said = |release: &Release| -> Vec<String> {
            let files = described(release, target, "qcow2").files;
            let text: String = files.into_iter().map(|file| file.contents).collect();
            let is_identity = |line: &&str| line.contains("uuid") || line.contains("mac");
            // On these lines, the digest is only in names of folders.
            text.lines().filter(is_identity).map(str::to_owned).collect()
        };
        let without_names = |lines: Vec<String>| -> Vec<String> {
            lines
                .into_iter()
                .filter(|line| !line.contains("2.0.0") && !line.contains("3.0"))
                .collect()
        };
        assert_eq!(without_names(said(&rich())), without_names(said(&later)), "{target}");
    }
}

#[test]
fn machines_start_in_their_order() {
    let at =
        |text: &str, name: &str| text.find(name).unwrap_or_else(|| panic!("no {name}: {text}"));
    let libvirt = described(&rich(), DescriptorTarget::Libvirt, "qcow2");
    let start = text_of(&libvirt, "start.sh");
    let started = start.split("start 'team-").skip(1).map(|line| line.split('\'').next().unwrap());
    let names: Vec<_> = started.collect();
    let order = ["arm", "big", "old", "power", "web", "risc", "app--1"];
    assert_eq!(names, order.map(|name| format!("shop_2-{}", name.replace('-', "--"))));
    let qemu = described(&rich(), DescriptorTarget::Qemu, "qcow2");
    let all = text_of(&qemu, "start-all.sh");
    assert!(at(all, "run-web.sh") < at(all, "run-risc.sh"));
    assert!(at(all, "run-risc.sh") < at(all, "run-app--1.sh"));
    let proxmox = described(&rich(), DescriptorTarget::Proxmox, "qcow2");
    let create = text_of(&proxmox, "create.sh");
    assert!(create[at(create, "\n# app--1")..].contains("--startup order=2"));
}

#[test]
fn settings_that_a_target_cannot_express_are_reported() {
    use DescriptorTarget as T;
    let all = T::ALL.map(|target| described(&rich(), target, "qcow2"));
    for description in &all {
        let general: Vec<_> = description.losses.iter().filter(|l| l.machine.is_none()).collect();
        assert_eq!(general.len(), 3, "annotations and two parameters");
        assert!(general.iter().any(|loss| loss.what.contains(", required")), "{general:?}");
    }
    let [libvirt, xen, hyperv, qemu, proxmox] = all;
    assert_eq!(loss_of(&libvirt, "app--1", "on nvme"), ["sata"]);
    assert_eq!(loss_of(&qemu, "app--1", "on nvme"), [""; 0]);
    assert_eq!(loss_of(&qemu, "app--1", "on ide"), ["sata"], "secure boot has no IDE");
    assert_eq!(loss_of(&libvirt, "app--1", "annotations"), [""; 0]);
    assert_eq!(loss_of(&libvirt, "old", "disk5 on ide"), ["sata"], "a PC has four places");
    assert_eq!(loss_of(&xen, "arm", "aarch64").len(), 1);
    assert_eq!(loss_of(&xen, "app--1", "secure boot").len(), 1);
    assert_eq!(loss_of(&xen, "web", "disk3 on sata"), [""; 0], "the first four are AHCI");
    assert_eq!(loss_of(&xen, "web", "disk4 on sata").len(), 1);
    assert_eq!(loss_of(&hyperv, "old", "31 MiB"), ["32 MiB"]);
    assert_eq!(loss_of(&hyperv, "web", "format qcow2").len(), 1);
    assert_eq!(loss_of(&hyperv, "app--1", "network card").len(), 3);
    assert_eq!(loss_of(&proxmox, "web", "disk6 on sata"), ["virtio-scsi"]);
    assert_eq!(loss_of(&proxmox, "big", "s390x").len(), 1);
    assert_eq!(loss_of(&proxmox, "app--1", "the name"), ["team-shop-2-app----1---71c539ea"]);
}

#[test]
fn every_disk_and_card_is_described_or_reported() {
    // Some hosts have fewer than 256 places for disks.
    for bus in [Bus::Virtio, Bus::VirtioScsi, Bus::Scsi, Bus::Sata, Bus::Ide, Bus::Nvme] {
        for firmware in [Firmware::Bios, Firmware::UefiSecure] {
            let mut many = machine("many", Architecture::X86_64, firmware, &[bus; 256]);
            many.network_cards = vec![card("public", NetworkModel::E1000); 40];
            let release = release(vec![many]);
            for target in DescriptorTarget::ALL {
                let description = described(&release, target, "raw");
                let is_script = |file: &&DescribedFile| !file.path.ends_with(FIDELITY_FILE);
                let files = description.files.iter().filter(is_script);
                let text: String = files.map(|file| file.contents.as_str()).collect();
                let said = |at| {
                    let file = format!("many/disk{at}.raw");
                    text.contains(&file)
                        || !loss_of(&description, "many", &format!("disk{at} ")).is_empty()
                };
                assert!((0..256).all(|at| said(format!("{at}"))), "{target}, {bus:?}");
                let cards = (0..40).filter(|slot| {
                    let mac = identity::mac(
                        vendor(target),
                        release.application(),
                        &"many".parse().unwrap(),
                        *slot,
                    );
                    let plain = mac.replace(':', "").to_uppercase();
                    text.contains(&mac)
                        || text.contains(&mac.to_uppercase())
                        || text.contains(&plain)
                });
                let lost = loss_of(&description, "many", "network card");
                let left_out = lost.iter().filter(|instead| instead.contains("left out")).count();
                assert_eq!(cards.count() + left_out, 40, "{target}");
            }
        }
    }
}

fn vendor(target: DescriptorTarget) -> identity::Vendor {
    match target {
        DescriptorTarget::Libvirt | DescriptorTarget::Qemu => identity::Vendor::Qemu,
        DescriptorTarget::Xen => identity::Vendor::Xen,
        DescriptorTarget::Hyperv => identity::Vendor::HyperV,
        DescriptorTarget::Proxmox => identity::Vendor::Proxmox,
    }
}

#[test]
fn no_two_disks_of_a_domain_have_one_place() {
    let buses = [Bus::Virtio, Bus::VirtioScsi, Bus::Scsi, Bus::Sata, Bus::Ide, Bus::Nvme];
    let buses: Vec<Bus> = (0..60).map(|at| buses[at % buses.len()]).collect();
    let release = release(vec![machine("m", Architecture::X86_64, Firmware::Bios, &buses)]);
    let libvirt = described(&release, DescriptorTarget::Libvirt, "raw");
    let xen = described(&release, DescriptorTarget::Xen, "raw");
    let targets = |text: &str, key: &str, end: char| -> Vec<String> {
        let after = text.split(key).skip(1);
        after.map(|rest| rest.split(end).next().unwrap().to_owned()).collect()
    };
    let domain = text_of(&libvirt, "m.xml");
    // A drive's address counts on its own bus. Target names share one namespace.
    let devices = targets(domain, "<target dev=\"", '"');
    let letters = targets(text_of(&xen, "m.cfg"), "vdev=", ',');
    let letters =
        letters.iter().map(|vdev| vdev.trim_start_matches("xv").trim_start_matches(['h', 's']));
    for names in [devices, letters.map(str::to_owned).collect()] {
        let mut once = names.clone();
        once.sort();
        once.dedup();
        assert_eq!((once.len(), names.len()), (60, 60), "{names:?}");
    }
}

#[test]
fn machines_without_files_are_left_out() {
    let release = rich();
    let mut files = files(&release, "raw");
    files.retain(|file| file.machine.as_str() == "web");
    let subject = Subject { release: &release, place: Path::new(PLACE), files: &files };
    let description = describe(&subject, DescriptorTarget::Qemu).unwrap();
    let names: Vec<_> = description.files.iter().map(|file| file.path.to_string_lossy()).collect();
    assert_eq!(names, ["qemu/run-web.sh", "qemu/start-all.sh", "qemu/fidelity.txt"]);
}

#[test]
fn descriptors_never_lie_in_a_machines_folder() {
    let named = release(vec![machine("xen", Architecture::X86_64, Firmware::Bios, &[Bus::Ide])]);
    assert_eq!(described(&named, DescriptorTarget::Xen, "raw").folder, Path::new("xen_"));
    assert!("xen_".parse::<MachineName>().is_err());
}

#[test]
fn a_place_that_a_descriptor_cannot_name_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let release = rich();
    let files = files(&release, "raw");
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"/srv/\xff"));
    for place in [odd, Path::new("/srv/a\nb"), Path::new("relative")] {
        let subject = Subject { release: &release, place, files: &files };
        for target in [DescriptorTarget::Libvirt, DescriptorTarget::Xen] {
            let error = describe(&subject, target).unwrap_err();
            assert_eq!(error, Indescribable::Place { target });
        }
        // Scripts find the disks relative to their own folder.
        assert!(describe(&subject, DescriptorTarget::Qemu).is_ok());
    }
}

#[test]
fn a_target_has_one_name_and_a_format_that_is_written() {
    for target in DescriptorTarget::ALL {
        assert_eq!(target.to_string().parse(), Ok(target));
        let json = serde_json::to_string(&target).unwrap();
        assert_eq!(json, format!("\"{target}\""));
    }
    assert_eq!(DescriptorTarget::Xen.default_format(), ExportFormat::Raw);
    assert_eq!(DescriptorTarget::Hyperv.default_format(), ExportFormat::Vhdx);
    assert_eq!(DescriptorTarget::Qemu.default_format(), ExportFormat::Qcow2);
    assert!("vmware".parse::<DescriptorTarget>().is_err());
}

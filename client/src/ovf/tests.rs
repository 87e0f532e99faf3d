//! Tests with packages in the forms of many tools, and with hostile ones.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use seawall_api::release::{Architecture, Bus, Firmware, NetworkModel};
use seawall_store::image::DiskImage;
use tempfile::TempDir;

use super::package::manifest::{Algorithm, Hasher};
use super::{OvfError, Package, parse};
use crate::error::{ErrorKind, Failure as _};
use crate::progress::Silent;
use crate::spec::{DiskSpec, MachineSpec};

const VMWARE: &str = include_str!("fixtures/vmware.ovf");
const VIRTUALBOX: &str = include_str!("fixtures/virtualbox.ovf");
const COLLECTION: &str = include_str!("fixtures/collection.ovf");
/// A machine with the disks `one` and `two`, in raw files of 4 and 8 KiB.
const PLAIN: &str = include_str!("fixtures/plain.ovf");
const OVIRT: &str = include_str!("fixtures/ovirt.ovf");

mod archives;
mod spellings;
mod writers;

/// A descriptor and its files in a folder of their own.
struct Folder(TempDir);

impl Folder {
    fn new(descriptor: &str, files: &[(&str, &[u8])]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.put("it.ovf", descriptor.as_bytes());
        files.iter().for_each(|(name, bytes)| folder.put(name, bytes));
        folder
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("it.ovf")
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.path().join(name), bytes).unwrap();
    }

    fn open(&self) -> Result<Package, OvfError> {
        Package::open(&self.path())
    }

    /// Returns a folder with [`PLAIN`] after edits, and its disks.
    fn plain(edits: &[(&str, &str)]) -> Self {
        Self::new(
            &edited(PLAIN, edits),
            &[("one.raw", &noise(1, 4096)), ("two.raw", &noise(2, 8192))],
        )
    }

    #[track_caller]
    fn refused(&self) -> String {
        let error = self.open().unwrap_err();
        format!("{error}")
    }
}

#[track_caller]
fn edited(text: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// Returns the reports on a package, one line each.
fn reported(package: &Package) -> Vec<String> {
    let line = |it: &super::Unmapped| format!("{}: {}: {}", it.section, it.what, it.why);
    package.unmapped().iter().map(line).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns pseudorandom bytes of a disk for a seed.
fn noise(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn collection() -> (Folder, [Vec<u8>; 3]) {
    let (db, web, log) = (noise(1, 64 << 10), noise(2, 64 << 10), noise(3, 10_000));
    let folder = Folder::new(
        COLLECTION,
        &[
            ("db.raw", &db),
            ("web.raw", &gzip(&web)),
            ("log.raw.000000000", &log[..4096]),
            ("log.raw.000000001", &log[4096..8192]),
            ("log.raw.000000002", &log[8192..]),
        ],
    );
    (folder, [db, web, log])
}

fn content(disk: &DiskSpec) -> Vec<u8> {
    let image: Box<dyn DiskImage> =
        disk.packed.as_ref().unwrap().open(&disk.path, disk.format).unwrap();
    let mut bytes = vec![0; usize::try_from(image.disk_len()).unwrap()];
    image.read_at(0, &mut bytes).unwrap();
    bytes
}

fn disks(machine: &MachineSpec) -> Vec<(&str, Bus)> {
    machine.disks.iter().map(|disk| (disk.name.as_str(), disk.bus)).collect()
}

#[track_caller]
fn assert_reported(package: &Package, texts: &[&str]) {
    let lines = reported(package);
    for text in texts {
        assert!(lines.iter().any(|line| line.contains(text)), "{text} is not in {lines:#?}");
    }
}

#[test]
fn an_export_of_vsphere_is_described() {
    let files = [("Web01-disk1.vmdk", &b"1"[..]), ("Web01-disk2.vmdk", b"2")];
    let package = Folder::new(VMWARE, &files).open().unwrap();
    let spec = package.spec();
    let [machine] = &spec.machines[..] else { panic!("{spec:?}") };
    assert_eq!(machine.name.as_str(), "web01", "`vm` names nothing");
    assert_eq!((machine.cpus, machine.memory_mib), (4, 8192));
    assert_eq!(machine.firmware, Firmware::UefiSecure);
    assert_eq!(machine.architecture, Architecture::X86_64);
    let expect = [("vmdisk1", Bus::Scsi), ("vmdisk2", Bus::Scsi), ("scratch", Bus::Sata)];
    assert_eq!(disks(machine), expect, "in the order of their addresses");
    let capacities: Vec<_> = machine
        .disks
        .iter()
        .map(|disk| disk.packed.as_ref().unwrap().capacity.unwrap() >> 30)
        .collect();
    assert_eq!(capacities, [16, 2, 1]);
    assert!(machine.disks[2].packed.as_ref().unwrap().slices.is_empty(), "it has no file");
    assert_eq!(machine.network_cards[0].network.as_str(), "vm-network");
    assert_eq!(machine.network_cards[0].model, NetworkModel::Vmxnet3);
    assert_eq!(spec.networks[0].description, "The VM Network network");
    let host = &spec.parameters["com.example.hostname.1"];
    assert!(host.required && host.description == "Host name: What the machine is called");
    assert_eq!(spec.parameters["com.example.port.1"].default.as_deref(), Some("80"));
    assert_eq!(machine.annotations["property.com.example.edition.1"], "small");
    assert_eq!(machine.annotations["description"], "Serves the shop & its pictures");
    assert_eq!(machine.annotations["name"], "Web01");
    assert_eq!(machine.annotations["product"], "Web front");
    assert_reported(
        &package,
        &[
            "CoresPerSocket 2",
            "cpuHotAddEnabled",
            "wakeOnLanEnabled",
            "backing.writeThrough",
            "model VirtualSCSI",
            "CD/DVD drive 1",
            "Video card",
            "Web01-1.nvram",
            "vmw:ExtraConfig",
            "vmw:BootOrderSection",
            "qualifiers MinLen(1)",
            "type uint16",
            "name `VM Network`",
            "size 1024",
            "the manifest",
        ],
    );
}

#[test]
fn an_export_of_virtualbox_is_described() {
    let package = Folder::new(VIRTUALBOX, &[("box-disk001.vmdk", b"1")]).open().unwrap();
    let [machine] = &package.spec().machines[..] else { panic!() };
    assert_eq!((machine.name.as_str(), machine.cpus, machine.memory_mib), ("box", 2, 2048));
    assert_eq!(machine.firmware, Firmware::Uefi, "only VirtualBox's own section tells");
    assert_eq!(disks(machine), [("vmdisk1", Bus::Sata)]);
    assert_eq!(machine.network_cards[0].model, NetworkModel::E1000);
    let reported = ["PCNet32", "sound card", "vbox:Machine", "(controller)"];
    assert_reported(&package, &reported);
}

#[test]
fn a_collection_is_one_release_with_its_start_order() {
    let (folder, [db, web, log]) = collection();
    let package = folder.open().unwrap();
    let spec = package.spec();
    let [first, second] = &spec.machines[..] else { panic!() };
    assert_eq!((first.name.as_str(), first.start_order), ("db", 1));
    assert_eq!((second.name.as_str(), second.start_order), ("web", 2));
    assert_eq!((first.cpus, first.memory_mib), (2, 512), "without a unit, MiB");
    assert_eq!((second.cpus, second.memory_mib), (8, 2048), "the default configuration's");
    assert_eq!(disks(first), [("db-root", Bus::Ide), ("log", Bus::Ide)]);
    assert_eq!(content(&first.disks[0]), db);
    assert_eq!(content(&first.disks[1]), log, "chunks end to end");
    assert_eq!(content(&second.disks[0]), web, "inflated");
    let networks: Vec<_> = spec.networks.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(networks, ["backend", "front"]);
    assert_eq!(second.network_cards.len(), 2);
    assert_eq!(spec.parameters["domain"].default.as_deref(), Some("large.example"));
    assert!(spec.parameters["web.web.workers"].required);
    assert_eq!(spec.annotations["property.db.size"], "64");
    assert_reported(
        &package,
        &[
            "ResourceAllocationSection",
            "startDelay 30",
            "configurations small",
            "little memory",
            "address 00:50:56:00:00:01",
        ],
    );
}

#[test]
fn the_manifest_is_checked_by_every_algorithm() {
    for algorithm in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
        let (folder, [db, ..]) = collection();
        let line = |name: &str, bytes: &[u8]| {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(bytes);
            format!("{}({name})= {}\n", algorithm.as_str(), hasher.finish())
        };
        let sound = line("it.ovf", COLLECTION.as_bytes()) + &line("db.raw", &db);
        folder.put("it.mf", sound.as_bytes());
        folder.put("it.cert", b"-----BEGIN CERTIFICATE-----");
        let package = folder.open().unwrap();
        package.check(&Silent).unwrap();
        assert_reported(
            &package,
            &["file `web.raw`", "file `log.raw.000000001`", "the certificate"],
        );

        folder.put("it.mf", (line("it.ovf", b"") + &line("db.raw", &db)).as_bytes());
        let error = folder.open().unwrap().check(&Silent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains("`it.ovf` does not match the manifest"), "{error}");
        folder.put("it.mf", line("gone.raw", b"").as_bytes());
        let package = folder.open().unwrap();
        package.check(&Silent).unwrap();
        assert_reported(&package, &["file `gone.raw`: it is not in the package"]);
    }
}

#[test]
fn names_that_lead_out_of_the_package_are_refused() {
    for href in [
        "../secret",
        "/etc/passwd",
        "a/../../b",
        "http://host/x",
        "file:///etc/passwd",
        "..\\secret",
        "\\\\host\\x",
        "C:x",
        "c:/windows/x",
    ] {
        let descriptor = COLLECTION.replace("\"db.raw\"", &format!("\"{href}\""));
        let (folder, _) = collection();
        folder.put("it.ovf", descriptor.as_bytes());
        assert!(folder.refused().contains("leads out of the package"), "{href}");
    }
    // Percent-encoded: the decoded name must not lead out either.
    let descriptor = COLLECTION.replace("\"db.raw\"", "\"%2e%2e/secret\"");
    let (folder, _) = collection();
    folder.put("it.ovf", descriptor.as_bytes());
    assert!(folder.refused().contains("leads out of the package"));
    let (folder, _) = collection();
    fs::remove_file(folder.0.path().join("db.raw")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.0.path().join("db.raw")).unwrap();
    assert!(folder.refused().contains("it is a link to a file elsewhere"));
}

#[test]
fn a_disk_that_names_other_files_is_refused() {
    let (folder, _) = collection();
    // A qcow2 header, version 3, with a backing file at offset 104.
    let mut qcow2 = vec![0; 65536];
    qcow2[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    qcow2[8..20].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 104, 0, 0, 0, 11]);
    qcow2[20..24].copy_from_slice(&16_u32.to_be_bytes());
    qcow2[96..104].copy_from_slice(&[0, 0, 0, 4, 0, 0, 0, 104]);
    qcow2[104..115].copy_from_slice(b"/etc/passwd");
    folder.put("db.qcow2", &qcow2);
    let text = COLLECTION.replace("urn:raw", "").replace("db.raw", "db.qcow2");
    folder.put("it.ovf", text.as_bytes());
    let package = folder.open().unwrap();
    let disk = &package.spec().machines[0].disks[0];
    let outcome = disk.packed.as_ref().unwrap().open(&disk.path, disk.format);
    let Err(error) = outcome else { panic!("it names /etc/passwd") };
    assert!(error.to_string().contains("a disk that needs another file"), "{error}");
}

#[test]
fn a_file_that_inflates_without_end_is_refused() {
    let (folder, _) = collection();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..80 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    folder.put("web.raw", &encoder.finish().unwrap());
    let package = folder.open().unwrap();
    let disk = &package.spec().machines[1].disks[0];
    let outcome = disk.packed.as_ref().unwrap().open(&disk.path, disk.format);
    let Err(error) = outcome else { panic!("80 MiB for a disk of 64 KiB") };
    assert!(error.to_string().contains("inflates to more than"), "{error}");
}

#[test]
fn entities_and_documents_elsewhere_are_refused() {
    let laughs = "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]>";
    let outside = "<!DOCTYPE x SYSTEM \"file:///etc/passwd\">";
    for doctype in [laughs, outside] {
        let descriptor = COLLECTION.replace("<ovf:Envelope", &format!("{doctype}<ovf:Envelope"));
        assert!(Folder::new(&descriptor, &[]).refused().contains("is not valid XML"));
    }
}

#[test]
fn descriptors_that_break_a_rule_are_refused_and_say_which() {
    let one = "ovf:id=\"db\"";
    let edits: [(&str, &str, &str); 7] = [
        ("ovf:id=\"web-file\"", "ovf:id=\"db-file\"", "`db-file` occurs twice"),
        ("ovf:diskId=\"log\"", "ovf:diskId=\"db-root\"", "`db-root` occurs twice"),
        (
            "ovf:VirtualSystem ovf:id=\"web\"",
            "ovf:VirtualSystem ovf:id=\"db\"",
            "`db` occurs twice",
        ),
        ("ovf:/disk/log", "ovf:/disk/none", "there is no disk `none`"),
        ("ovf:/disk/log", "ovf:/file/log", "there is no file `log`"),
        ("ovf:fileRef=\"db-file\"", "ovf:fileRef=\"x\"", "there is no file `x`"),
        (one, "ovf:id=\"db\" ovf:id=\"x\"", "is not valid XML"),
    ];
    for (from, to, expect) in edits {
        let (folder, _) = collection();
        assert!(COLLECTION.contains(from), "{from}");
        folder.put("it.ovf", COLLECTION.replace(from, to).as_bytes());
        let text = folder.refused();
        assert!(text.contains(expect), "{from} → {to}: {text}");
    }
    let (folder, _) = collection();
    fs::remove_file(folder.0.path().join("log.raw.000000000")).unwrap();
    assert!(folder.refused().contains("`log.raw.000000000` is not in the package"));
}

#[test]
fn deep_and_wide_descriptors_are_refused_without_harm() {
    let deep = format!("{}{}", "<a>".repeat(300_000), "</a>".repeat(300_000));
    assert!(parse(deep.as_bytes(), Path::new("x")).is_err());
    let head = "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\">";
    let open = "<VirtualSystemCollection>".repeat(1000);
    let close = "</VirtualSystemCollection>".repeat(1000);
    let text = format!("{head}{open}{close}</Envelope>");
    assert!(parse(text.as_bytes(), Path::new("x")).unwrap_err().to_string().contains("deep"));
    let wide = "<i/>".repeat(600_000);
    assert!(parse(format!("{head}{wide}</Envelope>").as_bytes(), Path::new("x")).is_err());
    let long = vec![b' '; 5 << 20];
    assert!(parse(&long, Path::new("x")).unwrap_err().to_string().contains("limit"));
    let files: String = (0..5000).map(|at| format!("<File id='f{at}' href='{at}'/>")).collect();
    let text = format!("{head}<References>{files}</References></Envelope>");
    assert!(parse(text.as_bytes(), Path::new("x")).unwrap_err().to_string().contains("at most"));
}

proptest! {
    /// A cut or changed descriptor gives an envelope or an error, never a panic.
    #[test]
    fn no_damage_makes_the_parser_panic(
        which in 0..3_usize, at in any::<prop::sample::Index>(), len in 0..80_usize, byte in any::<u8>(),
    ) {
        let mut bytes = [VMWARE, VIRTUALBOX, COLLECTION][which].as_bytes().to_vec();
        let at = at.index(bytes.len());
        let end = (at + len).min(bytes.len());
        bytes.splice(at..end, [byte]);
        let _ = parse(&bytes, Path::new("x"));
    }
}

//! Hostile image files: whatever a file claims, no other file of the host is read, and a file that
//! is not a disk is not published as one.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use seawall_tests::{Done, KIB, MIB, Noise, World, b3sum, raw, tool};
use serde_json::Value;

const SECRET: &[u8] = b"a secret of the host";

/// Creates a file outside of every folder with images, and the folder `images`.
fn world() -> World {
    let world = World::new();
    for folder in ["outside", "images", "images/sub"] {
        fs::create_dir(world.path(folder)).unwrap();
    }
    raw(&world.path("outside/secret.raw"), 64 * KIB, &[(0, SECRET.to_vec())]);
    world
}

/// Writes the header of a qcow2 image with a backing file into a guest's raw disk.
fn forge(world: &World, disk: &str, base: &Path) {
    let (disk, base) = (world.path(disk), base.to_str().unwrap());
    let create = ["create", "-q", "-f", "qcow2", "-u", "-b", base, "-F", "raw"];
    tool("qemu-img", create.into_iter().chain([disk.to_str().unwrap(), "64K"]));
    fs::File::options().write(true).open(disk).unwrap().set_len(8 * MIB).unwrap();
}

/// Returns the three commands that take disks.
fn commands(disk: &str) -> [String; 3] {
    [
        format!("push x:1 --machine a=root:{disk}"),
        format!("convert {disk} out.raw --force"),
        format!("inspect {disk} --digest"),
    ]
}

#[track_caller]
fn refused(world: &World, command: &str) -> Done {
    world.local(command).exits_with(2).explains()
}

/// Returns the JSON output of a command on a disk.
fn told(world: &World, command: &str) -> Value {
    world.local(&format!("{command} --json")).succeeds().json()
}

/// A guest can write anything into its disk.
#[test]
fn a_header_that_a_guest_wrote_publishes_no_file_of_the_host() {
    let world = world();
    let secret = world.path("outside/secret.raw");
    let relative = Path::new("../outside/secret.raw");
    symlink(&secret, world.path("images/link.raw")).unwrap();
    fs::write(world.path("images/.hidden.raw"), [b'h'; 65536]).unwrap();
    for base in [&secret, relative, Path::new("link.raw"), Path::new(".hidden.raw")] {
        forge(&world, "images/guest.img", base);
        for command in commands("images/guest.img") {
            refused(&world, &command).says("own folder").says("--allow-backing").says("raw:images");
        }
    }
    // The extension `.raw` states the format, too.
    forge(&world, "images/guest.raw", &secret);
    for command in commands("images/guest.raw") {
        refused(&world, &command).says("its name indicates raw").says("`raw:images/guest.raw`");
    }
    // Read as raw, the disk has the bytes that the guest wrote.
    {
        let [push, convert, inspect] = commands("raw:images/guest.img");
        let content = b3sum(world.path("images/guest.img"));
        let pushed = told(&world, &push);
        assert_eq!(pushed["disks"][0]["content"], content, "{pushed}");
        assert_eq!(pushed["disks"][0]["format"], "raw");
        assert_eq!(told(&world, &convert)["content"], content);
        assert_eq!(told(&world, &inspect)["content"], content);
    }
}

#[test]
fn a_description_says_that_a_disk_is_raw() {
    let world = world();
    forge(&world, "images/guest.img", &world.path("outside/secret.raw"));
    let text = "[machines.a]\ndisks = [{ path = \"images/guest.img\" }]\n";
    fs::write(world.path("application.toml"), text).unwrap();
    refused(&world, "push x:1 --file application.toml").says("own folder");
    let text = text.replace(" }", ", format = \"raw\" }");
    fs::write(world.path("application.toml"), text).unwrap();
    let pushed = told(&world, "push x:1 --file application.toml");
    assert_eq!(pushed["disks"][0]["content"], b3sum(world.path("images/guest.img")));
}

/// An allowed backing file is read, and every file is listed.
#[test]
fn a_backing_file_elsewhere_is_read_where_that_is_allowed_and_reported() {
    let world = world();
    forge(&world, "images/guest.img", &world.path("outside/secret.raw"));
    for place in ["outside", "outside/secret.raw", "."] {
        for command in commands("images/guest.img") {
            let report = told(&world, &format!("{command} --allow-backing {place}"));
            let report = report.get("disks").map_or(&report, |disks| &disks[0]);
            let files = report.get("source").unwrap_or(report)["files"].to_string();
            assert!(files.contains("guest.img") && files.contains("secret.raw"), "{report}");
        }
    }
    world.local("inspect images/guest.img --allow-backing outside").succeeds().prints("secret.raw");
    refused(&world, "inspect images/guest.img --allow-backing images/sub");
}

/// The rules apply to every file of a chain, and also with an explicit format.
#[test]
fn a_chain_that_leaves_the_folder_further_down_is_refused() {
    let world = world();
    forge(&world, "images/base.img", &world.path("outside/secret.raw"));
    let top = world.path("images/top.qcow2");
    let base = ["create", "-q", "-f", "qcow2", "-u", "-b", "base.img", "-F", "qcow2"];
    tool("qemu-img", base.into_iter().chain([top.to_str().unwrap(), "64K"]));
    for disk in ["images/top.qcow2", "qcow2:images/top.qcow2"] {
        for command in commands(disk) {
            refused(&world, &command).says("own folder");
        }
    }
    // A chain within the image's own folder, or below it, is read.
    raw(&world.path("images/sub/base.raw"), MIB, &[(0, SECRET.to_vec())]);
    let base = ["create", "-q", "-f", "qcow2", "-b", "sub/base.raw", "-F", "raw"];
    tool("qemu-img", base.into_iter().chain([top.to_str().unwrap()]));
    world.local("inspect images/top.qcow2").succeeds().prints("sub/base.raw");
}

#[test]
fn an_extent_that_is_a_link_out_of_the_folder_is_refused() {
    let world = world();
    symlink(world.path("outside/secret.raw"), world.path("images/web-flat.vmdk")).unwrap();
    let text = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n\
                createType=\"monolithicFlat\"\nRW 128 FLAT \"web-flat.vmdk\" 0\n";
    fs::write(world.path("images/web.vmdk"), text).unwrap();
    for command in commands("images/web.vmdk") {
        refused(&world, &command).says("own folder");
    }
    let allowed = told(&world, "inspect images/web.vmdk --digest --allow-backing outside");
    assert_eq!(allowed["content"], b3sum(world.path("outside/secret.raw")));
    fs::remove_file(world.path("images/web-flat.vmdk")).unwrap();
    fs::copy(world.path("outside/secret.raw"), world.path("images/web-flat.vmdk")).unwrap();
    let beside = told(&world, "inspect images/web.vmdk --digest");
    assert_eq!(beside["content"], b3sum(world.path("outside/secret.raw")));
}

/// A file read as qcow2 and as raw gives two different disks.
#[test]
fn a_remembered_scan_of_a_file_applies_to_its_format_only() {
    let world = World::new();
    raw(&world.path("disk.img"), MIB, &[(0, Noise::new("memo").bytes(MIB))]);
    let (from, to) = (world.path("disk.img"), world.path("guest.img"));
    let convert = ["convert", "-f", "raw", "-O", "qcow2"];
    tool("qemu-img", convert.into_iter().chain([from.to_str().unwrap(), to.to_str().unwrap()]));
    // As long as its own disk.
    let len = fs::metadata(&to).unwrap().len();
    tool("qemu-img", ["resize", "-q", "-f", "qcow2", to.to_str().unwrap(), &len.to_string()]);
    fs::File::options().write(true).open(&to).unwrap().set_len(len).unwrap();
    tool("touch", ["-d", "2020-01-01", to.to_str().unwrap()]);
    let first = told(&world, "push x:1 --machine a=guest.img");
    let second = told(&world, "push x:2 --machine a=raw:guest.img");
    assert_ne!(first["disks"][0]["content"], second["disks"][0]["content"]);
    assert_eq!(second["disks"][0]["content"], b3sum(&to));
}

#[test]
fn a_compressed_disk_is_read_as_what_it_holds() {
    let world = World::new();
    raw(&world.path("disk.img"), 3 * MIB, &[(MIB, Noise::new("packed").bytes(MIB))]);
    let content = b3sum(world.path("disk.img"));
    let (from, to) = (world.path("disk.img"), world.path("disk.qcow2"));
    let convert = ["convert", "-f", "raw", "-O", "qcow2"];
    tool("qemu-img", convert.into_iter().chain([from.to_str().unwrap(), to.to_str().unwrap()]));
    tool("gzip", [to.to_str().unwrap()]);
    tool("xz", ["-k", from.to_str().unwrap()]);
    for (disk, format, compression) in
        [("disk.qcow2.gz", "qcow2", "gzip"), ("disk.img.xz", "raw", "xz")]
    {
        let [push, convert, inspect] = commands(disk);
        let pushed = told(&world, &push.replace("x:1", &format!("{compression}:1")));
        let pushed = &pushed["disks"][0];
        assert_eq!(pushed["content"], content, "{pushed}");
        assert_eq!(
            (&pushed["format"], &pushed["compression"]),
            (&format.into(), &compression.into())
        );
        assert_eq!(told(&world, &convert)["content"], content);
        let inspected = told(&world, &inspect);
        assert_eq!(inspected["content"], content);
        assert_eq!(inspected["compression"], compression);
        assert_eq!(told(&world, &format!("{inspect} --scratch home"))["content"], content);
    }
    world.local("push y:1 --machine a=disk.img.xz").succeeds().prints("read as raw in xz");
    let done = world.local("inspect disk.img.xz --scratch nosuch").exits_with(3);
    done.explains().says("scratch folder nosuch").says("--scratch");
    fs::write(world.path("short.img.gz"), &fs::read(world.path("disk.qcow2.gz")).unwrap()[..5000])
        .unwrap();
    refused(&world, "inspect short.img.gz").says("gzip").says("download the file again");
}

#[test]
fn files_that_are_no_disks_are_refused_by_all_three_commands() {
    let world = World::new();
    fs::write(world.path("page.raw"), "<!DOCTYPE html><html>404</html>\n").unwrap();
    fs::write(world.path("disk"), Noise::new("nothing").bytes(MIB)).unwrap();
    fs::write(world.path("disk.qcow2"), Noise::new("nothing").bytes(MIB)).unwrap();
    fs::write(world.path("disk.zip"), [&b"PK\x03\x04"[..], &[0; 1020]].concat()).unwrap();
    for (file, what) in [
        ("page.raw", "an HTML page"),
        ("disk", "no signature"),
        ("disk.qcow2", "its name indicates qcow2"),
        ("disk.zip", "zip"),
    ] {
        for command in commands(file) {
            refused(&world, &command).says(what);
        }
        for command in commands(&format!("raw:{file}")) {
            world
                .local(&command.replace("x:1", &format!("{}:1", file.replace('.', "-"))))
                .succeeds();
        }
    }
    assert_eq!(world.versions("x"), Vec::<String>::new());
}

/// An image that `qemu-io` holds open.
struct Qemu(Child);

impl Qemu {
    fn open(image: &Path, args: &[&str]) -> Self {
        let mut command = Command::new("qemu-io");
        command.args(args).arg(image).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"length\n").unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert!(!said.is_empty(), "qemu-io has the image open");
        Self(child)
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn a_disk_that_a_machine_writes_to_is_refused_and_one_that_is_shared_is_not() {
    let world = World::new();
    raw(&world.path("base.raw"), MIB, &[(0, Noise::new("in use").bytes(MIB))]);
    let (base, top) = (world.path("base.raw"), world.path("top.qcow2"));
    let create = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b"];
    tool("qemu-img", create.into_iter().chain(["base.raw", top.to_str().unwrap()]));
    {
        // A machine writes only to its overlay.
        let _machine = Qemu::open(&top, &["-f", "qcow2"]);
        for command in commands("top.qcow2") {
            let done = world.local(&command).exits_with(4);
            done.explains().says("top.qcow2 is in use").says("--allow-in-use");
            world.local(&format!("{command} --allow-in-use")).succeeds();
        }
        for command in commands("base.raw") {
            world.local(&command.replace("x:1", "shared:1")).succeeds();
        }
        // `inspect` may read the tables.
        world.local("inspect top.qcow2").succeeds();
    }
    {
        let _machine = Qemu::open(&base, &["-f", "raw"]);
        for disk in ["base.raw", "top.qcow2"] {
            for command in commands(disk) {
                let done = world.local(&command).exits_with(4);
                done.explains().says("base.raw is in use");
            }
        }
    }
    for command in commands("base.raw") {
        world.local(&command.replace("x:1", "free:1")).succeeds();
    }
}

/// A disk from a host with sectors of 4 KiB, whose partition table has another offset.
#[test]
fn sectors_of_4_kib_are_reported_where_a_release_loses_them() {
    let world = World::new();
    raw(&world.path("big.raw"), MIB, &[(4096, b"EFI PART".to_vec())]);
    raw(
        &world.path("usual.raw"),
        MIB,
        &[(512, b"EFI PART".to_vec()), (4096, b"EFI PART".to_vec())],
    );
    let pushed = told(&world, "push x:1 --machine a=big.raw --machine b=usual.raw");
    assert_eq!(pushed["disks"][0]["sectorLen"], 4096);
    assert_eq!(pushed["disks"][1]["sectorLen"], Value::Null);
    let unmapped = pushed["unmapped"].to_string();
    assert!(
        unmapped.contains("logical_block_size=4096") && !unmapped.contains("`b`"),
        "{unmapped}"
    );
    world.local("inspect big.raw").succeeds().prints("sectors    4096 bytes");
    // Every export reports the sector length, because the next host needs it.
    let exported = told(&world, "export x:1/a/disk0 -o out.qcow2");
    assert_eq!(exported["sectorLen"], 4096);
    for host in ["qemu", "libvirt", "xen", "hyperv", "proxmox", "ova", "ovf"] {
        let pulled = told(&world, &format!("pull x:1 --as {host} --into {host}")).to_string();
        assert!(pulled.contains("sectors of 4096 bytes of disk"), "{host}: {pulled}");
    }
}

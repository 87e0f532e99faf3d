//! Disks of packages that contradict their descriptor (another format, not an image, compressed),
//! and too little space to inflate them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use seawall_tests::{Done, MIB, Noise, World, raw, same_bytes, tool};

use crate::ovf::{descriptor, lines};

const LEN: u64 = 8 * MIB;

/// Pushes a package whose descriptor declares `web.vmdk` as a VMDK of [`LEN`] bytes.
fn push(world: &World, version: &str, bytes: &[u8]) -> Done {
    let folder = world.path("in");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("web.ovf"), descriptor(&[("web", "web.vmdk", LEN)])).unwrap();
    fs::write(folder.join("web.vmdk"), bytes).unwrap();
    world.local(&format!("push team/web:{version} in/web.ovf --json")).ends()
}

fn disk(world: &World) -> PathBuf {
    let path = world.path("web.raw");
    raw(&path, LEN, &[(0, b"\xeb".to_vec()), (MIB, Noise::new("web").bytes(MIB))]);
    path
}

fn converted(from: &Path, format: &[&str]) -> Vec<u8> {
    let to = from.with_extension("converted");
    let paths = [from.to_str().unwrap(), to.to_str().unwrap()];
    tool("qemu-img", ["convert", "-f", "raw", "-O"].iter().chain(format).chain(&paths));
    fs::read(&to).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_file_that_is_no_image_is_refused_where_the_package_says_it_is_one() {
    let world = World::new();
    let html = b"<html><body>404 Not Found</body></html>\n";
    let text = Noise::new("text").text(MIB);
    for bytes in [&html[..], b"", &text, &gzip(html), &Noise::new("x").bytes(LEN - 512)] {
        let done = push(&world, "1.0.0", bytes);
        assert_eq!(done.status.code(), Some(2), "{done}");
        done.explains().says("web.vmdk");
    }
    push(&world, "1.0.0", html)
        .says("is not a vmdk image, as the descriptor says")
        .says("404 Not F");
    assert!(world.versions("team/web").is_empty());
}

#[test]
fn a_disk_of_another_format_is_read_as_what_it_is_and_that_is_reported() {
    let world = World::new();
    let disk = disk(&world);
    let stream = converted(&disk, &["vmdk", "-o", "subformat=streamOptimized"]);
    let cases = [
        ("1.0.0", stream.clone(), None),
        ("2.0.0", converted(&disk, &["qcow2"]), Some("format vmdk of disk `root0`")),
        ("3.0.0", converted(&disk, &["vpc", "-o", "force_size=on"]), Some("format vmdk of disk")),
        ("4.0.0", fs::read(&disk).unwrap(), Some("format vmdk of disk `root0`")),
        ("5.0.0", gzip(&stream), Some("the file of disk `root0`")),
    ];
    for (version, bytes, note) in cases {
        let done = push(&world, version, &bytes);
        assert!(done.status.success(), "{version}: {done}");
        let reported = lines(&done.json());
        if let Some(note) = note {
            assert!(reported.iter().any(|line| line.contains(note)), "{version}: {reported:?}");
        }
        world.pull(&format!("team/web:{version}"), version);
        same_bytes(world.path(format!("{version}/web/root0.raw")), &disk);
    }
}

#[test]
fn a_package_in_xz_and_a_disk_in_xz_are_read() {
    let world = World::new();
    let disk = disk(&world);
    let stream = converted(&disk, &["vmdk", "-o", "subformat=streamOptimized"]);
    let xz = |path: &Path| {
        tool("xz", ["-k", path.to_str().unwrap()]);
        fs::read(format!("{}.xz", path.display())).unwrap()
    };
    let plain = world.path("plain.vmdk");
    fs::write(&plain, &stream).unwrap();
    let done = push(&world, "1.0.0", &xz(&plain));
    assert!(done.status.success(), "{done}");
    let reported = lines(&done.json());
    assert!(reported.iter().any(|line| line.contains("the file of disk `root0`")), "{reported:?}");
    world.pull("team/web:1.0.0", "one");
    same_bytes(world.path("one/web/root0.raw"), &disk);

    fs::write(world.path("in/web.vmdk"), &stream).unwrap();
    let (folder, package) = (world.path("in"), world.path("web.ova"));
    let [from, into] = [&folder, &package].map(|path| path.to_str().unwrap());
    tool("tar", ["-C", from, "-cf", into, "web.ovf", "web.vmdk"]);
    fs::write(world.path("packed.ova"), xz(&package)).unwrap();
    world.local("push team/web:2.0.0 packed.ova").succeeds();
    world.pull("team/web:2.0.0", "two");
    same_bytes(world.path("two/web/root0.raw"), &disk);
}

#[test]
fn a_compressed_disk_is_inflated_where_there_is_room() {
    let world = World::new();
    let small = world.path("in");
    fs::create_dir_all(&small).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(&small);
    if !mount.output().is_ok_and(|output| output.status.success()) {
        println!("not tested: only root can mount a small file system");
        return;
    }
    let text = descriptor(&[("web", "web.raw.gz", LEN)]);
    let text = text.replace("ovf:format=", "ovf:format=\"urn:raw\" ovf:was=");
    fs::write(small.join("web.ovf"), text).unwrap();
    fs::write(small.join("web.raw.gz"), gzip(&vec![b'a'; usize::try_from(LEN).unwrap()])).unwrap();

    let full = world.local("push team/web:1.0.0 in/web.ovf").env("TMPDIR", &small).ends();
    let done = world.local("push team/web:1.0.0 in/web.ovf").ends();
    tool("umount", ["-l".as_ref(), small.as_os_str()]);

    assert_eq!(full.status.code(), Some(8), "{full}");
    full.explains().says("cannot inflate a disk into").says("TMPDIR=");
    assert!(done.status.success(), "{done}");
    world.pull("team/web:1.0.0", "out");
    assert_eq!(fs::metadata(world.path("out/web/root0.raw")).unwrap().len(), LEN);
}

//! `seawall convert` and `seawall inspect`: images without a registry.

use std::fs;
use std::process::Stdio;

use seawall_tests::{MIB, Noise, Tree, World, b3sum, gpt, raw, tool};

/// Formats by file extension, with QEMU's names.
const EXTENSIONS: [(&str, &str); 5] =
    [("raw", "raw"), ("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vhd", "vpc"), ("vhdx", "vhdx")];

/// Creates a world with `disk.raw`, a disk with a GPT and a file system.
fn world() -> World {
    let world = World::new();
    gpt(&world.path("disk.raw"), 64 * MIB, &Tree::system("convert"));
    world
}

#[test]
fn an_image_goes_through_every_format_and_comes_back() {
    let world = world();
    let content = b3sum(world.path("disk.raw"));
    let mut from = "disk.raw".to_owned();
    for (extension, qemu) in EXTENSIONS {
        let to = format!("new.{extension}");
        let report = world.seawall(&format!("convert {from} {to} --json")).succeeds().json();
        assert_eq!(report["content"], content, "{to}");
        assert_eq!(report["fileBytes"], fs::metadata(world.path(&to)).unwrap().len(), "{to}");
        let (disk, new) = (world.path("disk.raw"), world.path(&to));
        let (disk, new) = (disk.to_str().unwrap(), new.to_str().unwrap());
        tool("qemu-img", ["compare", "-f", "raw", "-F", qemu, disk, new]);
        from = to;
    }
    for format in ["qcow2-zstd", "qcow2-zlib", "vmdk-stream", "vhd-fixed", "vhdx-fixed"] {
        world.seawall(&format!("convert {from} {format} --format {format}")).succeeds();
        from = format.to_owned();
    }
    world.seawall(&format!("convert {from} back.img")).succeeds();
    assert!(fs::read(world.path("back.img")).unwrap() == fs::read(world.path("disk.raw")).unwrap());
}

/// Azure requires a fixed VHD of whole MiB.
#[test]
fn a_vhd_is_filled_up_to_whole_mib_on_request() {
    let world = World::new();
    // The disk ends within a sector, so it fits a VHD only with padding.
    let len = 3 * MIB + 1537;
    raw(&world.path("disk.raw"), len, &[(MIB, Noise::new("odd").bytes(2 * MIB + 1537))]);
    world.push("shop:1", &["web=root:disk.raw"]);
    fs::copy(world.path("disk.raw"), world.path("full.raw")).unwrap();
    let full = fs::File::options().write(true).open(world.path("full.raw")).unwrap();
    full.set_len(4 * MIB).unwrap();
    for format in ["vhd", "vhd-fixed"] {
        let flags = format!("--format {format} --round mib --json");
        for command in ["convert disk.raw new.vhd", "export shop:1/web/root -o new.vhd"] {
            let report = world.local(&format!("{command} {flags}")).succeeds().json();
            assert_eq!(report["content"], b3sum(world.path("disk.raw")), "{report}");
            assert_eq!(report["roundedBytes"], 4 * MIB, "{report}");
            let new = world.path("new.vhd").into_os_string().into_string().unwrap();
            let info = tool("qemu-img", ["info", "-f", "vpc", "--output=json", &new]);
            let info: serde_json::Value = serde_json::from_str(&info).unwrap();
            assert_eq!(info["virtual-size"], 4 * MIB, "{format}: {command}");
            let full = world.path("full.raw").into_os_string().into_string().unwrap();
            tool("qemu-img", ["compare", "-f", "raw", "-F", "vpc", &full, &new]);
            if format == "vhd-fixed" {
                assert_eq!(fs::metadata(&new).unwrap().len(), 4 * MIB + 512);
            }
            fs::remove_file(new).unwrap();
        }
    }
    world.seawall("convert disk.raw x --format vhd-fixed").exits_with(2).explains();
    for format in ["raw", "qcow2", "qcow2-zstd", "vmdk", "vmdk-stream", "vhdx", "vhdx-fixed"] {
        for command in ["convert disk.raw x", "export shop:1/web/root -o x"] {
            let run = world.local(&format!("{command} --format {format} --round mib"));
            run.exits_with(2).explains().says("keeps the length of a disk");
        }
    }
    assert!(!world.path("x").exists());
}

#[test]
fn standard_output_gets_the_same_bytes_as_a_file() {
    let world = world();
    for format in ["raw", "qcow2", "vmdk-stream", "vhdx"] {
        world.seawall(&format!("convert disk.raw file --force --format {format}")).succeeds();
        let piped = fs::File::create(world.path("piped")).unwrap();
        let run = world.seawall(&format!("convert disk.raw - --format {format}"));
        let mut child = run.into_command().stdout(piped).stderr(Stdio::null()).spawn().unwrap();
        assert!(child.wait().unwrap().success(), "{format}");
        assert_eq!(b3sum(world.path("piped")), b3sum(world.path("file")), "{format}");
    }
    let refused = world.seawall("convert disk.raw - --format qcow2-zstd").exits_with(2);
    refused.explains().says("write it to a file");
}

#[test]
fn a_failed_conversion_leaves_no_file() {
    let world = world();
    fs::write(world.path("taken.qcow2"), b"precious").unwrap();
    fs::write(world.path("bad.vmdk"), b"KDMV and nothing else").unwrap();
    let names = || fs::read_dir(world.path(".")).unwrap().count();
    let before = names();
    for (args, code, says) in [
        ("convert disk.raw taken.qcow2", 4, "--force"),
        ("convert disk.raw new.xyz", 2, "--format"),
        ("convert disk.raw -", 2, "--format"),
        ("convert disk.raw new --format floppy", 2, "vmdk-stream"),
        ("convert disk.raw new.raw --from floppy", 2, "vhdx"),
        ("convert nosuch new.raw", 3, "nosuch"),
        ("convert bad.vmdk new.raw", 2, "bad.vmdk is damaged"),
        ("convert disk.raw no/such/dir.raw", 3, "dir.raw"),
        ("convert disk.raw home --format raw --force", 2, "not a regular file"),
        ("inspect nosuch", 3, "nosuch"),
        ("inspect bad.vmdk", 2, "header of a sparse extent"),
    ] {
        world.seawall(args).exits_with(code).explains().says(says);
        assert_eq!(names(), before, "{args}");
    }
    assert_eq!(fs::read(world.path("taken.qcow2")).unwrap(), b"precious");
    world.seawall("convert disk.raw taken.qcow2 --force").succeeds();
    assert_eq!(names(), before);
}

#[test]
fn inspect_tells_what_an_image_is() {
    let world = world();
    world.seawall("convert disk.raw disk.vmdk --format vmdk-stream").succeeds();
    let seen = world.seawall("inspect disk.vmdk --digest --json").succeeds().json();
    assert_eq!(seen["format"], "vmdk");
    assert_eq!(seen["variant"], "streamOptimized");
    assert_eq!(seen["diskBytes"], 64 * MIB);
    assert_eq!(seen["content"], b3sum(world.path("disk.raw")));
    assert_eq!(seen["partitionTable"], "gpt");
    assert_eq!(seen["partitions"][0]["offsetBytes"], MIB);
    assert_eq!(seen["partitions"][0]["type"], "0fc63daf-8483-4772-8e79-3d69d8477de4");
    assert!(seen["allocatedBytes"].as_u64().unwrap() < 64 * MIB);
    assert_eq!(seen["files"], serde_json::json!(["disk.vmdk"]));
    let text = world.seawall("inspect disk.vmdk").succeeds().stdout;
    assert!(text.contains("vmdk, streamOptimized") && text.contains("gpt"), "{text}");
}

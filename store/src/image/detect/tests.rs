//! Tables of content and name, with the format detected or the reason of the refusal.

use super::*;

const MIB: usize = 1 << 20;
/// More than is examined.
const LEN: usize = 144 << 10;

/// Returns bytes without a signature.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(step).collect()
}

/// Returns `bytes` with `what` at offset `at`.
fn with(mut bytes: Vec<u8>, at: usize, what: &[u8]) -> Vec<u8> {
    bytes[at..at + what.len()].copy_from_slice(what);
    bytes
}

#[allow(clippy::needless_pass_by_value)]
fn told(name: &str, bytes: Vec<u8>) -> Result<Format, String> {
    detect(Path::new(name), &bytes, Origin::File).map_err(|error| {
        assert!(error.remedy().is_some(), "{name}: {error}");
        format!("{error}; {}", error.remedy().unwrap())
    })
}

#[test]
fn a_file_with_a_sign_of_a_disk_is_raw_under_any_name_that_does_not_say_otherwise() {
    for (at, mark) in [
        (510, &b"\x55\xaa"[..]),
        (512, b"EFI PART"),
        (4096, b"EFI PART"),
        (0, b"XFSB"),
        (1080, b"\x53\xef"),
        (1024, b"\x10\x20\xf5\xf2"),
        (512, b"LABELONE"),
        (4086, b"SWAPSPACE2"),
        (32769, b"CD001"),
        (65600, b"_BHRfS_M"),
        (0, b"hsqs"),
    ] {
        for name in ["disk", "disk.raw", "disk.img", "disk.iso", "server-1.2.3"] {
            let disk = with(noise(LEN), at, mark);
            assert_eq!(told(name, disk), Ok(Format::Raw), "{at} {name}");
        }
        for name in ["disk.qcow2", "disk.vmdk", "d.VHD", "disk.vdi", "d.gz", "d.ova", "d.txt"] {
            let message = told(name, with(noise(LEN), at, mark)).unwrap_err();
            assert!(message.contains("its name indicates"), "{at} {name}: {message}");
            assert!(message.contains(&format!("`raw:{name}`")), "{message}");
        }
    }
}

#[test]
fn a_file_without_any_sign_is_raw_only_by_its_name_or_when_it_is_empty() {
    for name in ["disk.raw", "disk.img", "disk.IMG", "disk.bin", "disk.iso", "disk.dd"] {
        assert_eq!(told(name, noise(LEN)), Ok(Format::Raw), "{name}");
    }
    for name in ["disk", "disk.bak", "server-1.2"] {
        let message = told(name, noise(LEN)).unwrap_err();
        assert!(message.contains("no signature") && message.contains("raw:"), "{message}");
    }
    assert_eq!(told("disk", vec![0; MIB]), Ok(Format::Raw));
    let device = detect(Path::new("/dev/x.qcow2"), &noise(LEN), Origin::Device);
    assert_eq!(device.unwrap(), Format::Raw, "the name of a device says nothing");
    for (name, len) in [("disk.raw", 511), ("disk.raw", 513), ("disk.img", MIB + 7)] {
        let message = told(name, noise(len)).unwrap_err();
        assert!(message.contains("whole sectors"), "{len}: {message}");
    }
    assert_eq!(told("disk.raw", noise(LEN + 7)), Ok(Format::Raw));
}

#[test]
fn files_that_are_no_disks_are_refused_by_name() {
    let tar = {
        let mut block = with(vec![0; 512], 0, b"disk.qcow2");
        block[100..107].copy_from_slice(b"0000644");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        with(block, 148, format!("{sum:06o}\0 ").as_bytes())
    };
    let dmg = with(noise(8192 + 512), 8192, b"koly\0\0\0\x04\0\0\x02\0");
    for (name, bytes, what) in [
        ("a.zip", b"PK\x03\x04rest".to_vec(), "zip"),
        ("a.img", b"PK\x03\x04rest".to_vec(), "zip"),
        ("web.ova", [tar.clone(), noise(512)].concat(), "seawall push APP:VERSION web.ova"),
        ("a.raw", [tar, noise(512)].concat(), "tar -xf"),
        ("a.dmg", dmg.clone(), "DMG"),
        ("a.img", dmg, "DMG"),
        ("a", b"Bochs Virtual HD Image".to_vec(), "Bochs"),
        ("a", b"#!/bin/sh\n#V2.0 Format\n".to_vec(), "cloop"),
        ("a.img", b"\x3a\xff\x26\xed\x01\0\0\0".to_vec(), "simg2img"),
        ("a", b"EVF\x09\x0d\x0a\xff\x00".to_vec(), "EWF"),
        ("a", b"OOOM\0\0\0\x02".to_vec(), "COW"),
        ("a", b"QED\0".to_vec(), "QED"),
        ("a.hdd", b"WithoutFreeSpace".to_vec(), "Parallels"),
        ("a.img", b"PaRtImAgE-VoLuMe".to_vec(), "partimage"),
        ("a.img", b"\x02\x21\x4c\x18".to_vec(), "lz4 -d"),
        ("a.img", b"<!-- error --><HTML></HTML>".to_vec(), "an HTML page"),
        ("a", b"LUKS\xba\xbe\0\x01".to_vec(), "LUKS"),
        ("a.vmx", b".encoding = \"UTF-8\"\nconfig.version = \"8\"\n".to_vec(), "fileName"),
        ("a.ovf", b"<?xml version=\"1.0\"?>\n<Envelope/>".to_vec(), "an OVF descriptor"),
        ("disk.raw", b"<!DOCTYPE html><html>404</html>\n".to_vec(), "an HTML page"),
        ("d.qcow2", b"\xef\xbb\xbf\n<html lang=en>".to_vec(), "an HTML page"),
        ("d.qcow2", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "git lfs pull"),
        ("d.img", b"hello, this is a note\n".to_vec(), "it is text"),
        ("d.img", b"note\n".repeat(1024), "it is text"),
        ("d.qcow2", noise(LEN), "no qcow2 signature"),
        ("web-flat.vmdk", noise(LEN), "may be an extent"),
        ("d.vhd", noise(LEN), "no vhd signature"),
        ("d.xz", noise(LEN), "indicates xz"),
    ] {
        let message = told(name, bytes).unwrap_err();
        assert!(message.contains(what), "{name}: {message}");
    }
}

#[test]
fn a_name_that_says_another_format_than_the_content_is_refused() {
    let qcow2 = || with(noise(LEN), 0, &QCOW2_MAGIC);
    for name in ["disk", "disk.img", "disk.qcow2", "disk.QCOW2", "a.b"] {
        assert_eq!(told(name, qcow2()), Ok(Format::Qcow2), "{name}");
    }
    for name in ["disk.raw", "disk.vmdk", "disk.vhdx"] {
        let message = told(name, qcow2()).unwrap_err();
        assert!(message.contains("its content qcow2") && message.contains("raw disk"), "{message}");
        assert!(message.contains(&format!("`qcow2:{name}`")), "{message}");
    }
}

#[test]
fn an_empty_file_is_no_disk_under_any_name() {
    for name in ["disk.raw", "disk.img", "disk", "disk.qcow2", "disk.vmdk"] {
        let message = told(name, Vec::new()).unwrap_err();
        assert!(message.contains("it is empty"), "{name}: {message}");
    }
}

#[test]
fn a_name_of_what_is_not_read_on_an_image_is_refused_until_the_format_is_given() {
    let qcow2 = || with(noise(LEN), 0, &QCOW2_MAGIC);
    for name in ["disk.ova", "disk.qed", "disk.tar", "disk.hdd", "disk.txt"] {
        let message = told(name, qcow2()).unwrap_err();
        assert!(message.contains(&format!("`qcow2:{name}`")), "{message}");
    }
    // A browser may decompress a download and keep the name.
    assert_eq!(told("disk.qcow2.gz", qcow2()), Ok(Format::Qcow2));
}

#[test]
fn in_a_package_name_and_statement_are_advice_and_a_signature_counts() {
    let told = |name: &str, bytes: Vec<u8>, stated| {
        detect(Path::new(name), &bytes, Origin::Member(stated)).map_err(|error| error.to_string())
    };
    let qcow2 = || with(noise(LEN), 0, &QCOW2_MAGIC);
    for stated in [None, Some(Format::Vmdk), Some(Format::Raw)] {
        for name in ["disk1.vmdk", "disk1.raw", "disk1", "disk1.txt"] {
            assert_eq!(told(name, qcow2(), stated), Ok(Format::Qcow2), "{name} {stated:?}");
        }
    }
    assert_eq!(told("disk1", noise(LEN), Some(Format::Raw)), Ok(Format::Raw));
    assert_eq!(told("disk1.img", noise(LEN), None), Ok(Format::Raw));
    for (name, bytes, stated) in [
        ("disk1", noise(LEN), None),
        ("disk1.img", noise(LEN), Some(Format::Vmdk)),
        ("disk1.raw", b"<html>404</html>".to_vec(), Some(Format::Raw)),
        ("disk1.raw", Vec::new(), Some(Format::Raw)),
    ] {
        assert!(told(name, bytes, stated).is_err(), "{name} {stated:?}");
    }
}

#[test]
fn compressed_files_are_told_from_disks() {
    for (head, wrapping) in [
        (&b"\x1f\x8b\x08\0"[..], Wrapping::Gzip),
        (b"\xfd7zXZ\0", Wrapping::Xz),
        (b"\x28\xb5\x2f\xfd", Wrapping::Zstd),
        (b"\x50\x2a\x4d\x18\x04\0\0\0", Wrapping::Zstd),
        (b"BZh91AY&SY", Wrapping::Bzip2),
    ] {
        let found = detect(Path::new("x.img"), &with(noise(LEN), 0, head), Origin::File);
        let is_told =
            matches!(found, Err(ImageError::Wrapped { wrapping: it, .. }) if it == wrapping);
        assert!(is_told, "{wrapping}");
    }
    assert_eq!(told("x.img", with(noise(LEN), 0, b"BZhuman")), Ok(Format::Raw));
    // The content is checked against the name without its last extension.
    let inflated = |name: &str, bytes: Vec<u8>| detect(Path::new(name), &bytes, Origin::Inflated);
    assert_eq!(inflated("d.raw.gz", noise(LEN)).unwrap(), Format::Raw);
    assert_eq!(inflated("d.gz", with(noise(LEN), 510, b"\x55\xaa")).unwrap(), Format::Raw);
    assert!(inflated("d.gz", noise(LEN)).is_err());
    assert!(inflated("d.qcow2.gz", noise(LEN)).is_err());
    assert!(inflated("d.raw.gz", with(noise(LEN), 0, &QCOW2_MAGIC)).is_err());
}

#[test]
fn a_descriptor_is_told_without_the_line_that_it_should_begin_with() {
    let body = "version=1\nCID=fffffffe\ncreateType=\"monolithicFlat\"\nRW 8 FLAT \"a\" 0\n";
    for before in ["# Disk DescriptorFile\n", "", "\n\n", "# a tool\n", "\u{feff}", "\r\n"] {
        let text = format!("{before}{body}").into_bytes();
        assert_eq!(told("d.vmdk", text.clone()), Ok(Format::Vmdk), "{before:?}");
        let padded = [text, vec![0; 512]].concat();
        assert_eq!(told("d.vmdk", padded), Ok(Format::Vmdk), "{before:?}");
    }
    // A guest may write such text to the start of its disk.
    let disk = with(vec![0; 2 * MIB], 0, format!("\n{body}").as_bytes());
    assert_eq!(told("d.img", disk), Ok(Format::Raw));
}

//! Tests with packages in archives: tar, zip, and compressed ones.

use super::*;
use crate::ovf::package::tar;

/// Returns a tar archive of members.
fn tarred(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in members {
        bytes.extend(tar::header(name, content.len() as u64).unwrap());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Returns a zip archive of members, deflated or stored.
fn zipped(members: &[(&str, &[u8])], is_deflated: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let packed = if is_deflated {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        } else {
            content.to_vec()
        };
        let word = |value: usize| u16::try_from(value).unwrap().to_le_bytes();
        let long = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
        let offset = bytes.len();
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let mut shared = word(20).to_vec();
        shared.extend(word(0x0800));
        shared.extend(word(if is_deflated { 8 } else { 0 }));
        shared.extend([0, 0, 0x21, 0]);
        shared.extend(crc.sum().to_le_bytes());
        shared.extend(long(packed.len()));
        shared.extend(long(content.len()));
        shared.extend(word(name.len()));
        shared.extend(word(0));
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&shared);
        bytes.extend(name.as_bytes());
        bytes.extend(&packed);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&shared);
        directory.extend([0; 6]);
        directory.extend(long(0o100_644 << 16));
        directory.extend(long(offset));
        directory.extend(name.as_bytes());
    }
    let (start, count) = (bytes.len(), u16::try_from(members.len()).unwrap().to_le_bytes());
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(count);
    bytes.extend(count);
    bytes.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    bytes.extend(u32::try_from(start).unwrap().to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

fn members<'a>(one: &'a [u8], two: &'a [u8]) -> [(&'static str, &'a [u8]); 3] {
    [("it.ovf", PLAIN.as_bytes()), ("one.raw", one), ("two.raw", two)]
}

/// Opens bytes as a file with a name.
fn open(name: &str, bytes: &[u8]) -> Result<(Package, TempDir), OvfError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    Ok((Package::open(&path)?, folder))
}

#[track_caller]
fn assert_disks(name: &str, bytes: &[u8]) {
    let (package, _folder) = open(name, bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let disks = &package.spec().machines[0].disks;
    assert_eq!(content(&disks[0]), noise(1, 4096), "{name}");
    assert_eq!(content(&disks[1]), noise(2, 8192), "{name}");
    package.check(&Silent).unwrap();
}

#[test]
fn archives_are_told_by_their_content_and_not_by_their_name() {
    let (one, two) = (noise(1, 4096), noise(2, 8192));
    let members = members(&one, &two);
    let plain = tarred(&members);
    for name in ["it.ova", "it.ovf", "it", "it.tar", "it.OVA"] {
        assert_disks(name, &plain);
    }
    for (name, bytes) in [
        ("it.ova", gzip(&plain)),
        ("it.tar.gz", gzip(&plain)),
        ("it.zip", zipped(&members, true)),
        ("it.ova", zipped(&members, false)),
        ("vendor.zip", zipped(&[("readme.txt", b"hello"), ("it.ova", &plain)], true)),
        ("vendor.zip", zipped(&[("out/it.ova", &plain)], false)),
        ("vendor.zip", zipped(&[("it.tar.gz.ova", &gzip(&plain))], false)),
    ] {
        assert_disks(name, &bytes);
    }
    let folder = Folder::plain(&[]);
    let package = Package::open(folder.0.path()).unwrap();
    assert_eq!(package.spec().machines.len(), 1, "a folder has one descriptor");
    folder.put("other.ovf", b"");
    assert!(Package::open(folder.0.path()).unwrap_err().to_string().contains("2 .ovf files"));
    for (bytes, why) in [
        (&b"QFI\xfb\0\0\0\x03"[..], "neither an OVA nor an OVF"),
        (b"", "neither an OVA nor an OVF"),
        (&gzip(b"no archive"), "in which there is no OVA"),
        (&zipped(&[("readme.txt", b"hello")], true), "there is no .ovf in it"),
        (b"PK\x03\x04 and no more", "is not an OVA"),
    ] {
        let error = open("it.img", bytes).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_manifest_covers_what_is_in_a_compressed_archive() {
    let (one, two) = (noise(1, 4096), noise(2, 8192));
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(&one);
    let line = format!("SHA256(one.raw)= {}\n", hasher.finish());
    let mut all = members(&one, &two).to_vec();
    all.push(("it.mf", line.as_bytes()));
    assert_disks("it.tar.gz", &gzip(&tarred(&all)));
    assert_disks("it.zip", &zipped(&all, true));
    let other = noise(3, 4096);
    all[1].1 = &other;
    for bytes in [gzip(&tarred(&all)), zipped(&all, true)] {
        let (package, _folder) = open("it.ova", &bytes).unwrap();
        assert_eq!(package.check(&Silent).unwrap_err().kind(), ErrorKind::Damaged);
    }
}

#[test]
fn members_in_a_folder_are_meant_from_the_descriptors_folder() {
    let (one, two) = (noise(1, 4096), noise(2, 8192));
    let text = edited(PLAIN, &[("\"one.raw\"", "\"../disks/one.raw\"")]);
    let all: [(&str, &[u8]); 3] =
        [("out/it.ovf", text.as_bytes()), ("disks/one.raw", &one), ("./out/two.raw", &two)];
    assert_disks("it.ova", &tarred(&all));
    // Names relative to the root are accepted, too.
    let text = edited(PLAIN, &[("\"one.raw\"", "\"disks/one.raw\"")]);
    let all: [(&str, &[u8]); 3] =
        [("out/it.ovf", text.as_bytes()), ("disks/one.raw", &one), ("out/two.raw", &two)];
    assert_disks("it.ova", &tarred(&all));
    let text = edited(PLAIN, &[("\"one.raw\"", "\"../../one.raw\"")]);
    let all: [(&str, &[u8]); 3] =
        [("out/it.ovf", text.as_bytes()), ("one.raw", &one), ("out/two.raw", &two)];
    let error = open("it.ova", &tarred(&all)).map(|_| ()).unwrap_err();
    assert!(matches!(error, OvfError::Escapes { .. }), "{error}");
}

#[test]
fn an_archive_that_is_ambiguous_or_cut_is_refused_by_name() {
    let (one, two) = (noise(1, 4096), noise(2, 8192));
    let mut all = members(&one, &two).to_vec();
    all.push(("./one.raw", b"another"));
    for bytes in [tarred(&all), gzip(&tarred(&all)), zipped(&all, true)] {
        let error = open("it.ova", &bytes).map(|_| ()).unwrap_err();
        assert!(
            error.to_string().contains("a second member has the same name, `one.raw`"),
            "{error}"
        );
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    all[3] = ("other.ovf", PLAIN.as_bytes());
    let error = open("it.ova", &tarred(&all)).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("several descriptors, `it.ovf` and `other.ovf`"), "{error}");
    // macOS's additions do not count as descriptors.
    all[3] = ("._it.ovf", b"\0\x05\x16\x07");
    assert_disks("it.ova", &tarred(&all));
    all[3] = ("__MACOSX/._it.ovf", b"\0\x05\x16\x07");
    assert_disks("it.zip", &zipped(&all, true));
    let whole = tarred(&members(&one, &two));
    for (name, bytes) in [
        ("it.ova", whole[..whole.len() - 6000].to_vec()),
        ("it.tar.gz", gzip(&whole[..whole.len() - 6000])),
        ("it.tar.gz", gzip(&whole)[..8000].to_vec()),
    ] {
        assert!(open(name, &bytes).is_err(), "{name} of {} bytes", bytes.len());
    }
}

#[test]
fn compression_is_told_by_the_bytes_where_the_descriptor_is_wrong() {
    // Stated, but not compressed.
    let folder = Folder::plain(&[("\"one.raw\"", "\"one.raw\" ovf:compression=\"gzip\"")]);
    let package = folder.open().unwrap();
    assert_eq!(content(&package.spec().machines[0].disks[0]), noise(1, 4096));
    assert_reported(&package, &["it is not compressed, although the descriptor says so"]);
    // Compressed, but not stated. The name must confirm it, because a raw disk may begin with any
    // bytes.
    let folder = Folder::plain(&[("\"one.raw\"", "\"one.raw.gz\"")]);
    folder.put("one.raw.gz", &gzip(&noise(1, 4096)));
    let package = folder.open().unwrap();
    assert_eq!(content(&package.spec().machines[0].disks[0]), noise(1, 4096));
    assert_reported(&package, &["it is compressed by gzip, which the descriptor does not say"]);
    let folder = Folder::plain(&[]);
    let mut disk = gzip(b"what a guest wrote");
    disk.resize(4096, 7);
    folder.put("one.raw", &disk);
    let package = folder.open().unwrap();
    assert_eq!(content(&package.spec().machines[0].disks[0]), disk);
}

#[test]
fn disks_and_archives_are_inflated_whatever_compresses_them() {
    let (one, two) = (noise(1, 4096), noise(2, 8192));
    let members = members(&one, &two);
    for pack in [gzip, zstd, bzip2] {
        assert_disks("it.ova", &pack(&tarred(&members)));
        let folder = Folder::plain(&[]);
        folder.put("one.raw", &pack(&one));
        let package = folder.open().unwrap();
        assert_eq!(content(&package.spec().machines[0].disks[0]), one);
        assert_reported(&package, &["which the descriptor does not say"]);
    }
    // Compressed as stated, by another method, and twice.
    for (said, bytes, note) in [
        ("zstd", zstd(&one), None),
        ("application/x-gzip", gzip(&one), None),
        ("gzip", zstd(&one), Some("compressed by zstd, but the descriptor says by gzip")),
    ] {
        let compression = format!("\"one.raw\" ovf:compression=\"{said}\"");
        let folder = Folder::plain(&[("\"one.raw\"", &compression)]);
        folder.put("one.raw", &bytes);
        let package = folder.open().unwrap();
        assert_eq!(content(&package.spec().machines[0].disks[0]), one, "{said}");
        match note {
            Some(note) => assert_reported(&package, &[note]),
            None => assert!(!reported(&package).iter().any(|it| it.contains("compressed"))),
        }
    }
    let folder = Folder::plain(&[("\"one.raw\"", "\"one.raw\" ovf:compression=\"lz4\"")]);
    assert!(folder.refused().contains("compressed by `lz4`"));
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(bytes.len())];
    let len = zstd_safe::compress(&mut out[..], bytes, 1).unwrap();
    out.truncate(len);
    out
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn chunks_end_where_the_size_says() {
    let (one, two) = (noise(1, 4096), noise(2, 8192));
    let file = "ovf:href=\"one.raw\"";
    let text =
        edited(PLAIN, &[(file, &format!("{file} ovf:chunkSize=\"2048\" ovf:size=\"4096\""))]);
    let first: (&str, &[u8]) = ("one.raw.000000000", &one[..2048]);
    let all = [
        ("it.ovf", text.as_bytes()),
        first,
        ("one.raw.000000001", &one[2048..]),
        ("two.raw", &two),
    ];
    assert_disks("it.ova", &tarred(&all));
    let all = [("it.ovf", text.as_bytes()), first, ("two.raw", &two)];
    let error = open("it.ova", &tarred(&all)).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("`one.raw.000000001` is not in the package"), "{error}");
}

use super::*;

const MIB: usize = 1 << 20;

/// Returns an archive of members, with the type of each header.
fn archive(members: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, content) in members {
        bytes.extend(sealed(name, content.len() as u64, |block| block[156] = *kind));
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len() + usize::try_from(padding(content.len() as u64)).unwrap(), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Returns a header after an edit, with the right checksum.
fn sealed(name: &str, len: u64, edit: impl FnOnce(&mut [u8; 512])) -> [u8; 512] {
    let mut block = header(name, len).unwrap();
    edit(&mut block);
    block[148..156].copy_from_slice(b"        ");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[allow(clippy::needless_pass_by_value)] // a `Vec` is a source, a slice is none
fn list(bytes: Vec<u8>) -> Result<Vec<Member>, OvfError> {
    members(Path::new("it.ova"), &bytes)
}

fn names(bytes: Vec<u8>) -> Vec<(String, u64)> {
    let found = list(bytes).unwrap();
    found.into_iter().map(|it| (it.name, it.range.end - it.range.start)).collect()
}

#[track_caller]
fn refused(bytes: Vec<u8>, why: &str) {
    let error = list(bytes).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn members_are_found_where_they_lie() {
    let bytes =
        archive(&[("a.ovf", b'0', b"one"), ("b/", b'5', b""), ("./c", 0, b""), ("d", b'0', b"4")]);
    let found = list(bytes.clone()).unwrap();
    let contents: Vec<_> = found
        .iter()
        .map(|it| {
            let [start, end] =
                [it.range.start, it.range.end].map(|at| usize::try_from(at).unwrap());
            (&*it.name, &bytes[start..end])
        })
        .collect();
    assert_eq!(contents, [("a.ovf", &b"one"[..]), ("c", b""), ("d", b"4")]);
}

#[test]
fn long_names_and_lengths_are_read_in_both_dialects() {
    let name = "x".repeat(150);
    let record = format!("{} path={name}\n", 150 + 10);
    let size = "11 size=3\n\n";
    assert_eq!(size.len(), 11);
    let size = "10 size=3\n";
    let pax = format!("{record}{size}");
    let bytes = archive(&[("p", b'x', pax.as_bytes()), ("cut", b'0', b"abc"), ("z", b'0', b"")]);
    assert_eq!(names(bytes), [(name.clone(), 3), ("z".to_owned(), 0)]);
    let long = format!("{name}\0");
    let bytes = archive(&[("././@LongLink", b'L', long.as_bytes()), ("cut", b'0', b"abc")]);
    assert_eq!(names(bytes), [(name, 3)]);
    let mut far = sealed("far", 9 << 30, |_| {}).to_vec();
    assert_eq!(far[124], 0x80, "past 8 GiB octal digits do not hold it");
    far.resize(MIB, 0);
    refused(far, "ends past the end of the file");
}

#[test]
fn members_that_are_no_plain_files_are_refused() {
    let one = |name: &str, kind| archive(&[(name, kind, b"x")]);
    for name in ["../x", "/etc/passwd", "a/../../b", "C:x", "..\\x"] {
        assert!(matches!(list(one(name, b'0')), Err(OvfError::Escapes { .. })), "{name}");
    }
    refused(one("l", b'2'), "is a link");
    refused(one("l", b'1'), "is a link");
    refused(one("d", b'3'), "neither a file nor a directory");
    refused(one("s", b'S'), "stored sparse");
    refused(archive(&[("a", b'0', b"1"), ("a", b'0', b"2")]), "the same name, `a`");
    refused(archive(&[("a/b", b'0', b"1"), (".\\a/x/../b", b'0', b"2")]), "name, `a/b`");
    refused(archive(&[("p", b'x', b"22 GNU.sparse.major=1\n")]), "stored sparse");
    for pax in [
        &b"x"[..],
        b"5 a=b",
        b"99 a=b\n",
        b"0 a=b\n",
        b"2 \n",
        b"10 size=x\n",
        b"\xff",
        b"12 size=\xff\xff\n",
    ] {
        assert!(list(archive(&[("p", b'x', pax), ("a", b'0', b"1")])).is_err(), "{pax:?}");
    }
    refused(archive(&[("p", b'x', &vec![b' '; 2 << 20])]), "too long");
}

#[test]
fn broken_headers_are_refused_at_their_offset() {
    let sound = archive(&[("a", b'0', b"1"), ("b", b'0', b"2")]);
    let mut flipped = sound.clone();
    flipped[1024] ^= 1;
    let error = list(flipped).unwrap_err().to_string();
    assert!(error.contains("at byte 1024, a header's checksum is wrong"), "{error}");
    refused(Vec::new(), "too short");
    refused(vec![b'x'; 2048], "checksum");
    let endless = sealed("a", 0, |block| block[124..136].copy_from_slice(&[0xff; 12]));
    refused([&endless[..], &[0; 1024]].concat(), "length is not a number");
    let many = vec![("p", b'g', &b""[..]); MEMBERS_MAX + 1];
    refused(archive(&many), "too many");
}

#[test]
fn a_written_header_reads_back() {
    for len in [0, 1, 512, OCTAL_LEN_MAX, OCTAL_LEN_MAX + 1, u64::MAX >> 1] {
        let header = Header::parse(&header("web-disk1.vmdk", len).unwrap()).unwrap();
        assert_eq!((header.name.as_str(), header.len, header.kind), ("web-disk1.vmdk", len, b'0'));
    }
    assert!(header(&"x".repeat(101), 0).is_err());
}

#[test]
fn attributes_of_files_are_passed_over_whatever_bytes_they_hold() {
    let mut pax = b"30 SCHILY.xattr.com.apple.a=".to_vec();
    pax.extend_from_slice(b"\xff\n");
    assert_eq!(pax.len(), 30);
    pax.extend_from_slice(b"12 path=b.c\n");
    let long = [&b"100010 a="[..], &[0xfe; 100_000], b"\n"].concat();
    assert_eq!(long.len(), 100_010);
    let bytes = archive(&[
        ("._a.ovf", b'0', b"\0\x05\x16\x07"),
        ("p", b'x', &pax),
        ("a", b'0', b"1"),
        ("p", b'x', &long),
        ("x/._b", b'0', b""),
        ("d", b'0', b""),
    ]);
    assert_eq!(names(bytes), [("b.c".to_owned(), 1), ("d".to_owned(), 0)]);
}

#[test]
fn names_are_listed_in_their_canonical_form() {
    let bytes = archive(&[
        ("./a.ovf", b'0', b""),
        ("out\\b", b'0', b""),
        ("out/../c", b'0', b""),
        ("vm: d", b'0', b""),
    ]);
    let found: Vec<_> = names(bytes).into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, ["a.ovf", "out/b", "c", "vm: d"]);
    let latin = sealed("x", 0, |block| block[0] = 0xe9);
    assert_eq!(names([&latin[..], &[0; 1024]].concat()), [("é".to_owned(), 0)]);
}

/// GNU's big-endian form is meant for large files, but some tools always use it.
#[test]
fn short_lengths_are_read_in_base_256() {
    let mut block = sealed("a", 1, |block| {
        block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    })
    .to_vec();
    block.push(b'1');
    block.resize(2048, 0);
    assert_eq!(names(block), [("a".to_owned(), 1)]);
}

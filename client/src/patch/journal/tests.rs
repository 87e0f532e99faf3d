//! Leftovers of a crash or of a faulty disk are never accepted beyond their intact part.

use std::fs;
use std::path::Path;

use seawall_api::names::ApplicationName;

use super::*;
use crate::directory::Lockfile;

fn header() -> Header {
    let text = r#"{"annotations":{},"application":"web","machines":[{"annotations":{},"architecture":"x86_64","cpus":1,"disks":[{"bus":"virtio","content":"blake3:0000000000000000000000000000000000000000000000000000000000000000","index":"blake3:0000000000000000000000000000000000000000000000000000000000000000","len":4096,"name":"root"}],"firmware":"bios","memoryMib":64,"name":"a","networkCards":[],"startOrder":0}],"networks":[],"parameters":{},"schema":"seawall.release/1","version":"1"}"#;
    let release = Release::parse(text.as_bytes()).unwrap();
    assert_eq!(*release.application(), "web".parse::<ApplicationName>().unwrap());
    let lock = Lockfile::of(&release, seawall_store::image::layout::ExportFormat::Raw, |_| true);
    Header {
        old: lock.clone(),
        new: lock,
        release: text.to_owned(),
        disk_lens: vec![4096],
        replaced: vec![],
    }
}

fn chunk(seed: u8) -> Record {
    let stored = vec![seed; 4096];
    let place = |offset| Place { disk: 0, offset };
    Record::Chunk {
        digest: ChunkDigest::of(&stored),
        plain_len: ChunkLen::new(4096).unwrap(),
        encoding: Encoding::Raw,
        stored,
        places: vec![place(u64::from(seed) * 4096), place(1 << 30)],
    }
}

/// Splits a test's path into its folder and its name.
fn split(path: &Path) -> (Folder, FolderPath) {
    let name = FolderPath::composed(path.file_name().unwrap());
    (Folder::open(path.parent().unwrap()).unwrap(), name)
}

fn begin(
    path: &Path,
    header: &Header,
    keep: impl FnMut(&Record) -> bool,
) -> Result<File, HostError> {
    let (folder, name) = split(path);
    super::begin(&folder, &name, header, keep)
}

fn open(path: &Path) -> Result<Reader, PatchError> {
    let (folder, name) = split(path);
    Reader::open(&folder, &name)
}

fn journal(path: &Path, records: &[Record]) -> u64 {
    let mut file = begin(path, &header(), |_| true).unwrap();
    let start = file.stream_position().unwrap();
    for record in records {
        io::Write::write_all(&mut file, &record.encode()).unwrap();
    }
    start
}

fn records(path: &Path) -> Vec<Record> {
    let mut reader = open(path).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next() {
        let is_end = record == Record::End;
        records.push(record);
        if is_end {
            break;
        }
    }
    records
}

#[test]
fn records_read_back_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.part");
    let place = |offset| Place { disk: 7, offset };
    let written = vec![
        chunk(1),
        Record::Copy {
            digest: ChunkDigest::of(b"x"),
            plain_len: ChunkLen::new(8192).unwrap(),
            source: place(4096),
            places: vec![place(0), place(65536)],
        },
        Record::Hole { place: place(1 << 40), len: 12288 },
        Record::End,
    ];
    journal(&path, &written);
    assert_eq!(records(&path), written);
}

/// Damages one page at each possible place, as if it had never reached the disk.
#[test]
fn a_torn_page_ends_what_is_resumed() {
    let written = [chunk(1), chunk(2), chunk(3)];
    let record_len = written[0].encode().len();
    for torn in (0..3 * record_len).step_by(61) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.part");
        let start = journal(&path, &written);
        let mut bytes = fs::read(&path).unwrap();
        let at = usize::try_from(start).unwrap() + torn;
        let end = bytes.len().min(at + 512);
        bytes[at..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fs::write(&path, bytes).unwrap();

        // A resumed patch verifies each kept record in this way.
        let mut kept = Vec::new();
        drop(begin(&path, &header(), |record| {
            let Record::Chunk { digest, stored, .. } = record else { return false };
            let is_sound = ChunkDigest::of(stored) == *digest;
            if is_sound {
                kept.push(record.clone());
            }
            is_sound
        }));
        assert_eq!(kept, written[..torn / record_len], "torn at {torn}");
        assert_eq!(records(&path), kept, "and the file ends there");
    }
}

#[test]
fn another_headers_journal_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.part");
    journal(&path, &[chunk(1)]);
    let other = Header { disk_lens: vec![8192], ..header() };
    drop(begin(&path, &other, |_| panic!("nothing of it is looked at")).unwrap());
    assert_eq!(records(&path), []);
}

/// Writes a journal with this header and no records.
fn forge(path: &Path, header: &serde_json::Value) {
    let json = serde_json::to_vec(header).unwrap();
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&(json.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&json);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_forged_header_names_no_file_outside_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let sound = serde_json::to_value(header()).unwrap();
    forge(&path, &sound);
    assert!(open(&path).is_ok());
    for side in ["old", "new"] {
        for (field, forged) in [
            ("file", "../../etc/passwd"),
            ("file", "/etc/passwd"),
            ("file", "b/root.raw"),
            ("file", "a/../a/root.raw"),
            ("file", "a/root.raw/"),
            ("file", ""),
            ("file", "a/root.raw\0"),
            ("format", "../../../etc/passwd"),
            ("format", "vmdk-stream"),
            ("machine", ".."),
            ("machine", "../a"),
            ("disk", "../root"),
        ] {
            let mut header = sound.clone();
            header[side]["disks"][0][field] = forged.into();
            forge(&path, &header);
            assert!(open(&path).is_err(), "{side} {field} {forged:?}");
        }
    }
}

#[test]
fn a_header_that_contradicts_itself_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let sound = serde_json::to_value(header()).unwrap();
    let other = sound["release"].as_str().unwrap().replace("4096", "8192");
    for (field, forged) in [
        ("release", other.into()),
        ("release", "{}".into()),
        ("disk_lens", serde_json::json!([])),
        ("replaced", serde_json::json!([1])),
    ] {
        let mut header = sound.clone();
        header[field] = forged;
        forge(&path, &header);
        assert!(open(&path).is_err(), "{field} {}", header[field]);
    }
}

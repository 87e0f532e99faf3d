//! The journal of a patch: every byte to write, with its place.
//!
//! ```text
//! journal := magic, header length, header (JSON), record*, end
//! record  := kind, encoding, place count, plain length, stored length, digest, place*, checksum,
//!            bytes
//! ```
//!
//! All numbers are little endian. Only versions with the same magic on the same host read a
//! journal. A completed patch removes its journal.
//!
//! # Invariants
//!
//! 1. `journal.part` is incomplete. `journal` is complete and synced, and commits the patch.
//! 2. The checksum covers the preceding bytes of its record. The digest covers a chunk's bytes. A
//!    torn page is never taken for a record.
//! 3. Applying a journal is idempotent: a record states the final bytes of its places, and a copy's
//!    source is a place that no record writes.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::PathBuf;

use seawall_api::digest::ChunkDigest;
use seawall_api::release::Release;
use seawall_api::units::{CHUNK_LEN_MAX, ChunkLen};
use seawall_store::codec::Encoding;
use serde::{Deserialize, Serialize};

use super::PatchError;
use crate::directory::{Directory, JOURNAL, Lockfile, PATCH_FOLDER};
use crate::fetch::Place;
use crate::folder::{Folder, FolderPath, mode};
use crate::host::HostError;

pub(super) const MAGIC: &[u8; 8] = b"SWJRNL\0\x03";
const HEADER_LEN_MAX: u64 = 64 << 20;
const PLACES_MAX: u32 = 1 << 24;
const RECORD_LEN: usize = 48;
const PLACE_LEN: usize = 16;
const CHECKSUM_LEN: usize = 8;

/// Returns the path of the patch's working folder in the directory.
pub(super) fn folder() -> FolderPath {
    FolderPath::composed(PATCH_FOLDER)
}

/// Returns the path of a committed journal in the directory.
pub(super) fn journal() -> FolderPath {
    FolderPath::composed(JOURNAL)
}

/// Returns the path of an uncommitted journal in the directory.
pub(super) fn part() -> FolderPath {
    folder().join(&FolderPath::composed("journal.part"))
}

/// Removes the patch's working folder, which holds no committed journal.
///
/// # Errors
/// Fails if the folder cannot be removed.
pub(super) fn remove_folder(directory: &Directory) -> Result<(), HostError> {
    directory.folder().remove_tree(&folder())
}

/// Returns whether an interrupted patch left a committed journal.
pub(super) fn is_committed(directory: &Directory) -> bool {
    directory.folder().has(&journal())
}

/// The header of a journal.
///
/// Anyone with write access to the directory can forge a header. Its paths are parsed as part of
/// [`Lockfile`]s, which cannot name files outside the directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Header {
    /// The lockfile before the patch.
    pub(super) old: Lockfile,
    /// The lockfile after the patch.
    pub(super) new: Lockfile,
    /// The canonical bytes of the new release document.
    pub(super) release: String,
    /// The length of each new disk in bytes.
    pub(super) disk_lens: Vec<u64>,
    /// The positions of new disks that are staged as complete files, to be renamed to their places.
    pub(super) replaced: Vec<usize>,
}

impl Header {
    /// Returns whether the release document matches the new lockfile, and all positions exist.
    fn is_consistent(&self) -> bool {
        let count = self.new.disks.len();
        let release = Release::parse(self.release.as_bytes());
        release.is_ok_and(|release| release.digest() == self.new.release)
            && self.disk_lens.len() == count
            && self.replaced.iter().all(|position| *position < count)
    }
}

/// A record of a journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Record {
    /// Writes a chunk from the journal to the places.
    Chunk {
        digest: ChunkDigest,
        plain_len: ChunkLen,
        encoding: Encoding,
        stored: Vec<u8>,
        places: Vec<Place>,
    },
    /// Copies a chunk from a place on an old disk that stays.
    Copy { digest: ChunkDigest, plain_len: ChunkLen, source: Place, places: Vec<Place> },
    /// Turns a run into a hole.
    Hole { place: Place, len: u64 },
    /// The end of the journal.
    End,
}

const KIND_CHUNK: u32 = 1;
const KIND_COPY: u32 = 2;
const KIND_HOLE: u32 = 3;
const KIND_END: u32 = 4;

impl Record {
    /// Encodes the record. The bytes of a chunk follow its frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, encoding, plain_len, stored, digest, source, places) = match self {
            Self::Chunk { digest, plain_len, encoding, stored, places } => {
                let encoding = u32::from(encoding.number());
                (
                    KIND_CHUNK,
                    encoding,
                    plain_len.get(),
                    stored.as_slice(),
                    Some(digest),
                    None,
                    places.as_slice(),
                )
            }
            Self::Copy { digest, plain_len, source, places } => (
                KIND_COPY,
                0,
                plain_len.get(),
                &[][..],
                Some(digest),
                Some(*source),
                places.as_slice(),
            ),
            Self::Hole { place, len } => {
                let end = Place { offset: place.offset + len, ..*place };
                (KIND_HOLE, 0, 0, &[][..], None, Some(*place), &[end][..])
            }
            Self::End => (KIND_END, 0, 0, &[][..], None, None, &[][..]),
        };
        let count = places.len() + usize::from(source.is_some());
        let mut out = Vec::with_capacity(RECORD_LEN + count * PLACE_LEN + stored.len());
        let stored_len = u32::try_from(stored.len()).unwrap_or(u32::MAX);
        let kind = kind | encoding << 16;
        for word in [kind, u32::try_from(count).unwrap_or(u32::MAX), plain_len, stored_len] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&digest.map_or([0; 32], |digest| *digest.as_bytes()));
        for place in source.iter().chain(places) {
            out.extend_from_slice(&(place.disk as u64).to_le_bytes());
            out.extend_from_slice(&place.offset.to_le_bytes());
        }
        let checksum = checksum(&out);
        out.extend_from_slice(&checksum);
        out.extend_from_slice(stored);
        out
    }
}

/// Returns the first bytes of a BLAKE3 hash.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut checksum = [0; CHECKSUM_LEN];
    checksum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECKSUM_LEN]);
    checksum
}

/// A reader of a journal from its start.
pub(super) struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
    header: Header,
    ended: bool,
    broken: bool,
}

impl Reader {
    /// Opens a journal and reads its header.
    ///
    /// # Errors
    /// Fails if the journal cannot be read, or its header is damaged or contradicts itself.
    pub(super) fn open(folder: &Folder, journal: &FolderPath) -> Result<Self, PatchError> {
        Self::of(folder.path_of(journal), folder.file(journal)?)
    }

    /// Reads a journal from the start of an open file.
    fn of(path: PathBuf, mut file: File) -> Result<Self, PatchError> {
        let failed = |source| HostError::new("read", &path, source);
        file.rewind().map_err(failed)?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        let damaged = || PatchError::Journal { path: path.clone(), offset: 0 };
        let mut start = [0; 16];
        file.read_exact(&mut start).map_err(|_| damaged())?;
        let (magic, len) = start.split_at(8);
        let header_len = u64::from_le_bytes(len.try_into().map_err(|_| damaged())?);
        let (kind, version) = MAGIC.split_at(MAGIC.len() - 1);
        if magic.starts_with(kind) && !magic.ends_with(version) {
            return Err(PatchError::OtherJournal { path: path.clone() });
        }
        if magic != MAGIC || header_len > HEADER_LEN_MAX {
            return Err(damaged());
        }
        let mut bytes = Vec::new();
        (&mut file).take(header_len).read_to_end(&mut bytes).map_err(failed)?;
        let header: Header = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        if !header.is_consistent() {
            return Err(damaged());
        }
        Ok(Self { path, file, offset: 16 + header_len, header, ended: false, broken: false })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the offset of the next record in bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the next record, or `None` if the journal is cut off or damaged. Repeats the end.
    pub(super) fn next(&mut self) -> Option<Record> {
        if self.ended {
            return Some(Record::End);
        }
        // Stops at a broken record: later offsets are unreliable, and a chunk's bytes could pass
        // for records.
        if self.broken {
            return None;
        }
        let record = self.read();
        self.broken = record.is_none();
        record
    }

    fn read(&mut self) -> Option<Record> {
        let mut head = vec![0; RECORD_LEN];
        self.file.read_exact(&mut head).ok()?;
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (kind, count, plain_len, stored_len) = (word(0), word(4), word(8), word(12));
        if count > PLACES_MAX || stored_len > CHUNK_LEN_MAX {
            return None;
        }
        let digest = ChunkDigest::from_bytes(head[16..48].try_into().ok()?);
        // Grows with the actual bytes: a false count allocates nothing.
        let places_len = u64::from(count) * PLACE_LEN as u64;
        (&mut self.file).take(places_len).read_to_end(&mut head).ok()?;
        let mut found = [0; CHECKSUM_LEN];
        self.file.read_exact(&mut found).ok()?;
        if found != checksum(&head) {
            return None;
        }
        let mut places = Vec::new();
        for place in head[RECORD_LEN..].chunks_exact(PLACE_LEN) {
            let (disk, offset) = place.split_at(8);
            let disk = usize::try_from(u64::from_le_bytes(disk.try_into().ok()?)).ok()?;
            places.push(Place { disk, offset: u64::from_le_bytes(offset.try_into().ok()?) });
        }
        let mut stored = vec![0; stored_len as usize];
        self.file.read_exact(&mut stored).ok()?;
        self.offset += (head.len() + CHECKSUM_LEN + stored.len()) as u64;
        let plain_len = ChunkLen::new(u64::from(plain_len));
        Some(match kind & 0xFFFF {
            KIND_CHUNK => {
                let encoding = Encoding::from_number(u8::try_from(kind >> 16).ok()?).ok()?;
                Record::Chunk { digest, plain_len: plain_len.ok()?, encoding, stored, places }
            }
            KIND_COPY if !places.is_empty() => {
                let source = places.remove(0);
                Record::Copy { digest, plain_len: plain_len.ok()?, source, places }
            }
            KIND_HOLE => {
                let [place, end] = places.as_slice() else { return None };
                Record::Hole { place: *place, len: end.offset.checked_sub(place.offset)? }
            }
            KIND_END => {
                self.ended = true;
                Record::End
            }
            _ => return None,
        })
    }

    /// Returns an error for damage at the current offset.
    pub(super) fn damaged(&self) -> PatchError {
        PatchError::Journal { path: self.path.clone(), offset: self.offset }
    }
}

/// Opens a journal for writing: a new one, or an interrupted one to the same release after its last
/// intact record. `keep` verifies each record. The first refused record and all later ones are
/// dropped.
///
/// # Errors
/// Fails if the journal cannot be written.
pub(super) fn begin(
    folder: &Folder,
    part: &FolderPath,
    header: &Header,
    mut keep: impl FnMut(&Record) -> bool,
) -> Result<File, HostError> {
    let path = folder.path_of(part);
    let failed = |source| HostError::new("write", &path, source);
    folder.make_folder_of(part, mode::OWN_FOLDER)?;
    // Never writes to a file that others may have planted.
    let found = folder.file_to_write(part).ok();
    let mut end = 0;
    if let Some(found) = &found
        && let Ok(mut reader) = Reader::of(path.clone(), found.try_clone().map_err(failed)?)
        && reader.header() == header
    {
        end = reader.offset();
        while let Some(record) = reader.next() {
            // Only chunks are expensive. Other records are written again.
            let Record::Chunk { .. } = record else { break };
            if !keep(&record) {
                break;
            }
            end = reader.offset();
        }
    }
    let mut file = match found.filter(|_| end > 0) {
        Some(file) => file,
        None => folder.create(part, mode::FILE)?,
    };
    file.set_len(end).map_err(failed)?;
    file.seek(io::SeekFrom::Start(end)).map_err(failed)?;
    if end == 0 {
        let json = serde_json::to_vec(header).map_err(|e| failed(e.into()))?;
        let write = |file: &mut File| -> io::Result<()> {
            io::Write::write_all(file, MAGIC)?;
            io::Write::write_all(file, &(json.len() as u64).to_le_bytes())?;
            io::Write::write_all(file, &json)
        };
        write(&mut file).map_err(failed)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests;

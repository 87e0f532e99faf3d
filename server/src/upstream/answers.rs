//! Answers of the upstream on the disk: one file each, the oldest removed first.
//!
//! A file holds one line of JSON, the head, and the bytes of the answer. A file that does not parse
//! counts as absent. A file gets its name when it is complete.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::remote::{ANSWER_LEN_MAX, Whole};

/// The longest head of a file, in bytes.
const HEAD_LEN_MAX: usize = 64 << 10;

/// A key of an answer: a hash of what was asked, and of the token that asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key(blake3::Hash);

impl Key {
    /// Names the answer to a request with these parts.
    pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("seawall 2026-12 answers of an upstream");
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Self(hasher.finalize())
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    kept_at_secs: u64,
    len: u64,
}

/// An answer of the upstream, and the time of its arrival in seconds since 1970-01-01 UTC.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) answer: Whole,
    pub(super) at_secs: u64,
}

/// The answers in a folder.
pub(super) struct Answers {
    dir: PathBuf,
    space_max: u64,
    /// The bytes in the folder, as far as known.
    space: Mutex<u64>,
    writes: AtomicU64,
}

impl Answers {
    pub(super) fn open(dir: PathBuf, space_max: u64) -> io::Result<Self> {
        // Names of applications and digests of tokens are for the owner alone.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let space = files(&dir)?.iter().map(|file| file.len).sum();
        Ok(Self { dir, space_max, space: Mutex::new(space), writes: AtomicU64::new(0) })
    }

    fn path(&self, key: Key) -> PathBuf {
        self.dir.join(key.0.to_hex().as_str())
    }

    /// Returns an answer, if it is kept. Blocks on the disk.
    pub(super) fn get(&self, key: Key) -> Option<Kept> {
        let limit = (HEAD_LEN_MAX + ANSWER_LEN_MAX) as u64 + 1;
        let mut bytes = Vec::new();
        fs::File::open(self.path(key)).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
        let end = bytes.iter().take(HEAD_LEN_MAX).position(|byte| *byte == b'\n')?;
        let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
        let body = Bytes::from(bytes).slice(end + 1..);
        let answer = Whole { status: head.status, headers: head.headers, body };
        (answer.body.len() as u64 == head.len)
            .then_some(Kept { answer, at_secs: head.kept_at_secs })
    }

    /// Keeps an answer. A full or failing disk keeps none. Blocks on the disk.
    pub(super) fn put(&self, key: Key, answer: &Whole, at_secs: u64) {
        if let Err(error) = self.try_put(key, answer, at_secs) {
            let dir = self.dir.display();
            tracing::warn!(%dir, %error, "cannot keep an answer of the upstream");
        }
    }

    fn try_put(&self, key: Key, answer: &Whole, at_secs: u64) -> io::Result<()> {
        let Whole { status, headers, body } = answer;
        let len = body.len() as u64;
        let head = Head { status: *status, headers: headers.clone(), kept_at_secs: at_secs, len };
        let mut head = serde_json::to_vec(&head)?;
        head.push(b'\n');
        let added = (head.len() + body.len()) as u64;
        if head.len() > HEAD_LEN_MAX || added > self.space_max {
            return Ok(());
        }
        self.make_room(added)?;
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let part = self.dir.join(format!("{number}.part"));
        let mut file = fs::File::create(&part)?;
        file.write_all(&head)?;
        file.write_all(body)?;
        fs::rename(&part, self.path(key))
    }

    /// Forgets an answer. Blocks on the disk.
    pub(super) fn remove(&self, key: Key) {
        let _ = fs::remove_file(self.path(key));
    }

    /// Removes the oldest answers until `added` bytes fit.
    fn make_room(&self, added: u64) -> io::Result<()> {
        let mut space = self.space.lock().unwrap_or_else(PoisonError::into_inner);
        *space += added;
        if *space <= self.space_max {
            return Ok(());
        }
        // Replaced answers were counted twice: count anew.
        let mut files = files(&self.dir)?;
        files.sort_by_key(|file| file.written);
        *space = files.iter().map(|file| file.len).sum::<u64>() + added;
        for file in files {
            if *space <= self.space_max {
                break;
            }
            fs::remove_file(&file.path)?;
            *space -= file.len;
        }
        Ok(())
    }
}

struct Found {
    path: PathBuf,
    len: u64,
    written: SystemTime,
}

fn files(dir: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_file() {
            let written = meta.modified()?;
            found.push(Found { path: entry.path(), len: meta.len(), written });
        }
    }
    Ok(found)
}

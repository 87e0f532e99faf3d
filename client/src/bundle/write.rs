//! Writes a bundle: the files of a depot as records, in the order of the copy that writes them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use seawall_store::backend::Listed;

use super::BundleError;
use super::format::{self, DIGEST_LEN, HEAD_LEN, HEADER_LEN, TRAILER_LEN};
use crate::depot::DepotError;
use crate::depot::medium::{Medium, Writable};
use crate::registry::RegistryError;

/// The part of the depot that the mirror keeps for itself, which no bundle has.
const OF_THE_MIRROR: &str = "mirror/";
/// The parts of the depot that the copy reads back.
const READ_BACK: [&str; 3] = ["depot.json", "listings/", OF_THE_MIRROR];

/// A bundle under construction. Dropped before [`Self::finish`], it leaves no file.
pub struct BundleWriter {
    state: Mutex<State>,
    address: String,
}

struct State {
    out: PathBuf,
    bundle: [u8; 16],
    /// The maximum length of a part in bytes.
    split: Option<u64>,
    open: Option<OpenPart>,
    /// The finished parts, under their temporary names.
    done: Vec<PathBuf>,
    /// Small files that the copy reads back.
    kept: HashMap<String, Bytes>,
}

struct OpenPart {
    file: BufWriter<File>,
    path: PathBuf,
    table: blake3::Hasher,
    len: u64,
    count: u64,
}

impl Drop for State {
    fn drop(&mut self) {
        let open = self.open.take().map(|part| part.path);
        for path in self.done.iter().chain(&open) {
            let _ = fs::remove_file(path);
        }
    }
}

impl BundleWriter {
    /// The minimum length of a part in bytes: room for the longest record.
    pub const SPLIT_MIN: u64 = 64 << 20;

    /// Begins a bundle in the file `out`, or in `out.1`, `out.2`, … of at most `split` bytes each.
    /// `bundle` is a random name.
    #[must_use]
    pub fn new(out: PathBuf, bundle: [u8; 16], split: Option<u64>) -> Self {
        let address = out.display().to_string();
        let split = split.map(|len| len.max(Self::SPLIT_MIN));
        let (open, done, kept) = <_>::default();
        Self { state: Mutex::new(State { out, bundle, split, open, done, kept }), address }
    }

    /// Completes the bundle and gives its files their names. Returns them with their lengths.
    ///
    /// # Errors
    /// Fails if the files cannot be written, or a name is taken.
    pub fn finish(&self) -> Result<Vec<(PathBuf, u64)>, BundleError> {
        let mut state = self.lock();
        if state.open.is_none() {
            state.begin()?;
        }
        state.end(true)?;
        let mut names = Vec::new();
        for (position, path) in state.done.iter().enumerate() {
            let name = match state.split {
                None => state.out.clone(),
                Some(_) => numbered(&state.out, &(position + 1).to_string()),
            };
            let len = fs::metadata(path).map_err(|source| BundleError::io("read", path, source))?;
            let taken = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            // Sticks have no hard links, so this is not one step.
            match name.try_exists() {
                Ok(true) => return Err(BundleError::io("create", &name, taken)),
                _ => fs::rename(path, &name)
                    .map_err(|source| BundleError::io("create", &name, source))?,
            }
            names.push((name, len.len()));
        }
        Ok(names)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn numbered(out: &Path, end: &str) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

impl State {
    fn begin(&mut self) -> Result<(), BundleError> {
        let position = u32::try_from(self.done.len()).unwrap_or(u32::MAX);
        let path = numbered(&self.out, &format!("partial-{}", position + 1));
        let failed = |source| BundleError::io("create", &path, source);
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(failed)?);
        let header = format::header(self.bundle, position);
        let mut table = blake3::Hasher::new();
        table.update(&header);
        file.write_all(&header).map_err(failed)?;
        self.open = Some(OpenPart { file, path, table, len: HEADER_LEN as u64, count: 0 });
        Ok(())
    }

    fn end(&mut self, is_last: bool) -> Result<(), BundleError> {
        let Some(mut part) = self.open.take() else { return Ok(()) };
        let path = part.path.clone();
        self.done.push(path.clone());
        let mut write = || {
            part.file.write_all(&format::trailer(&part.table, is_last, part.count))?;
            part.file.flush()?;
            part.file.get_ref().sync_all()
        };
        write().map_err(|source| BundleError::io("write", &path, source))
    }

    fn append(&mut self, path: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let len = (HEAD_LEN + path.len() + bytes.len() + DIGEST_LEN) as u64;
        let is_full = |part: &OpenPart| {
            let end = part.len + len + TRAILER_LEN as u64;
            part.count > 0 && self.split.is_some_and(|split| end > split)
        };
        if self.open.as_ref().is_some_and(is_full) {
            self.end(false)?;
        }
        if self.open.is_none() {
            self.begin()?;
        }
        let Some(part) = &mut self.open else { return Ok(()) };
        let head = format::head(path, bytes.len() as u64);
        let digest = *blake3::Hasher::new().update(&head).update(bytes).finalize().as_bytes();
        let pieces = [&head[..], bytes, &digest];
        let write = pieces.into_iter().try_for_each(|piece| part.file.write_all(piece));
        write.map_err(|source| BundleError::io("write", &part.path, source))?;
        part.table.update(&digest);
        part.len += len;
        part.count += 1;
        Ok(())
    }
}

#[async_trait::async_trait]
impl Medium for BundleWriter {
    fn address(&self) -> &str {
        &self.address
    }

    async fn read(&self, path: &str, _: u64) -> Result<Option<Bytes>, RegistryError> {
        Ok(self.lock().kept.get(path).cloned())
    }

    async fn range(&self, path: &str, _: Range<u64>) -> Result<Bytes, RegistryError> {
        let (address, object) = (self.address.clone(), path.to_owned());
        Err(DepotError::Gone { address, object }.into())
    }
}

#[async_trait::async_trait]
impl Writable for BundleWriter {
    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), RegistryError> {
        let mut state = self.lock();
        if READ_BACK.iter().any(|beginning| path.starts_with(beginning)) {
            state.kept.insert(path.to_owned(), bytes.clone());
        }
        if path.starts_with(OF_THE_MIRROR) {
            return Ok(());
        }
        Ok(state.append(path, &bytes).map_err(DepotError::from)?)
    }

    async fn remove(&self, path: &str) -> Result<(), RegistryError> {
        self.lock().kept.remove(path);
        Ok(())
    }

    async fn list(&self, folder: &str) -> Result<Vec<Listed>, RegistryError> {
        let state = self.lock();
        let paths = state.kept.iter().filter(|(path, _)| path.starts_with(folder));
        let listed = paths.map(|(path, bytes)| Listed {
            path: path.clone(),
            len: bytes.len() as u64,
            modified: UNIX_EPOCH,
        });
        Ok(listed.collect())
    }
}

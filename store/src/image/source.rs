//! Sources of an image's bytes: a file or device, or memory for tests and fuzzing.
//!
//! # Invariants
//!
//! 1. A file is opened read-only, and opening never blocks: anything but a regular file or a block
//!    device is refused before it is opened.
//! 2. The length is taken once, at open. Bytes missing later are an error, never zeros.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::ImageError;

/// Random access to the bytes of an image file.
// Not `len`: clippy would demand an `is_empty`, which no caller needs.
pub trait Source: Send + Sync {
    /// Returns the number of bytes, which is constant.
    fn source_len(&self) -> u64;

    /// Fills `buf` with the bytes from `offset`.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the range goes past the end.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Returns the first run at or after `from` that may have other bytes than zeros; `None` if
    /// there is none.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if there are fewer bytes than `source_len` by now.
    fn next_run(&self, from: u64) -> io::Result<Option<Range<u64>>>;
}

impl Source for Vec<u8> {
    fn source_len(&self) -> u64 {
        u64::try_from(self.len()).unwrap_or(u64::MAX)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = start.checked_add(buf.len()).and_then(|end| self.get(start..end));
        buf.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn next_run(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let len = self.source_len();
        Ok((from < len).then_some(from..len))
    }
}

/// The identity of a file behind any path: device and inode, or the device number of a block
/// device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Identity {
    File { dev: u64, ino: u64 },
    Device(u64),
}

/// A regular file or a block device, opened for reading.
#[derive(Debug)]
pub(super) struct DiskFile {
    file: File,
    path: PathBuf,
    len: u64,
    identity: Identity,
    /// The last run of data found. A file system walks a long run from its start to its end, so
    /// asking again for each cluster in the run would take time quadratic in its length.
    last_run: Mutex<Range<u64>>,
}

/// The result of a `SEEK_DATA` or a `SEEK_HOLE`.
enum Seek {
    At(u64),
    /// Only a hole, or the end of the file, follows.
    PastEnd,
    /// The file system or the device does not support the call.
    Unknown,
}

impl DiskFile {
    pub(super) fn open(path: &Path) -> Result<Self, ImageError> {
        let fail =
            |verb| move |source: io::Error| ImageError::Io { verb, path: path.to_owned(), source };
        // Opening can itself do harm: a tape rewinds, a FIFO blocks. So look first.
        identify(path, &std::fs::metadata(path).map_err(fail("open"))?)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| fail("open")(errno.into()))?;
        Self::of(path, File::from(fd))
    }

    /// Wraps an open file, named `path` in errors.
    pub(super) fn of(path: &Path, file: File) -> Result<Self, ImageError> {
        let fail =
            |verb| move |source: io::Error| ImageError::Io { verb, path: path.to_owned(), source };
        // The path may lead to another file by now: check the one that was opened.
        let metadata = file.metadata().map_err(fail("inspect"))?;
        let identity = identify(path, &metadata)?;
        let len = match identity {
            Identity::File { .. } => metadata.len(),
            // The metadata of a device node has no length.
            Identity::Device(_) => rustix::fs::seek(&file, SeekFrom::End(0))
                .map_err(|errno| fail("find the length of")(errno.into()))?,
        };
        Ok(Self { file, path: path.to_owned(), len, identity, last_run: Mutex::new(0..0) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Fails if a regular file is shorter than at open.
    fn check_len(&self) -> io::Result<()> {
        match self.identity {
            Identity::File { .. } if self.file.metadata()?.len() < self.len => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            _ => Ok(()),
        }
    }

    fn last_run(&self) -> MutexGuard<'_, Range<u64>> {
        self.last_run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Moves the file's cursor. Nothing else uses it, as reads name their offset.
    fn seek(&self, to: SeekFrom) -> io::Result<Seek> {
        match rustix::fs::seek(&self.file, to) {
            Ok(offset) => Ok(Seek::At(offset)),
            Err(Errno::NXIO) => Ok(Seek::PastEnd),
            Err(Errno::INVAL | Errno::NOTSUP) => Ok(Seek::Unknown),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Source for DiskFile {
    fn source_len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn next_run(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        if from >= self.len {
            return Ok(None);
        }
        // If the run has become a hole since, it still reads correctly.
        let last = self.last_run().clone();
        if last.contains(&from) {
            return Ok(Some(from..last.end));
        }
        let start = match self.seek(SeekFrom::Data(from))? {
            Seek::At(start) if start < self.len => start,
            // The file grew; the new part does not belong to the disk.
            Seek::At(_) => return Ok(None),
            Seek::PastEnd => return self.check_len().map(|()| None),
            Seek::Unknown => from,
        };
        let end = match self.seek(SeekFrom::Hole(start))? {
            // In a file that shrinks or is punched meanwhile, data can end where it starts.
            Seek::At(end) => end.max(start.saturating_add(1)),
            Seek::PastEnd => return self.check_len().map(|()| None),
            Seek::Unknown => self.len,
        };
        let run = start..end.min(self.len);
        *self.last_run() = run.clone();
        Ok(Some(run))
    }
}

pub(super) fn identify(path: &Path, metadata: &Metadata) -> Result<Identity, ImageError> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(Identity::File { dev: metadata.dev(), ino: metadata.ino() });
    }
    if kind.is_block_device() {
        return Ok(Identity::Device(metadata.rdev()));
    }
    let found = if kind.is_dir() {
        "a directory"
    } else if kind.is_char_device() {
        "a character device"
    } else if kind.is_fifo() {
        "a pipe"
    } else {
        "a socket or the like"
    };
    Err(ImageError::NotADisk { path: path.to_owned(), found })
}

/// Returns the content of up to `len` bytes at `at`, given the next run of data: `Ok` with the
/// length of data, or `Err` with the length of a hole.
pub(super) fn at_start(run: Option<Range<u64>>, at: u64, len: u64) -> Result<u64, u64> {
    match run {
        Some(run) if run.start <= at => Ok(len.min(run.end - at)),
        Some(run) => Err(len.min(run.start - at)),
        None => Err(len),
    }
}

/// A source, and the name it has in errors.
pub(super) struct NamedSource {
    pub(super) path: PathBuf,
    pub(super) len: u64,
    source: Box<dyn Source>,
    /// The step advised for a damaged file of this format.
    repair: &'static str,
}

/// The step that [`NamedSource::damaged`] advises for formats without a better one.
const REPAIR: &str = "run `qemu-img check` on it";

impl NamedSource {
    pub(super) fn new(path: PathBuf, source: Box<dyn Source>) -> Self {
        Self { path, len: source.source_len(), source, repair: REPAIR }
    }

    /// Sets the step advised for a damaged file.
    pub(super) fn with_repair(self, repair: &'static str) -> Self {
        Self { repair, ..self }
    }

    /// Wraps the source, for instance to lay the changes of a log over the file.
    pub(super) fn with_source<S: Source + 'static>(
        self,
        wrap: impl FnOnce(Box<dyn Source>) -> S,
    ) -> Self {
        let source = Box::new(wrap(self.source));
        Self { path: self.path, len: source.source_len(), source, repair: self.repair }
    }

    /// Fills `buf` from `offset`, with zeros past the end of the file: the last unit of a file need
    /// not be complete.
    pub(super) fn read_padded(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        let in_file = self.len.saturating_sub(offset);
        let in_file = usize::try_from(in_file).map_or(buf.len(), |len| len.min(buf.len()));
        let (stored, rest) = buf.split_at_mut(in_file);
        rest.fill(0);
        if stored.is_empty() {
            return Ok(());
        }
        self.read(offset, stored)
    }

    /// Returns the source without its name.
    pub(super) fn bytes(&self) -> &dyn Source {
        self.source.as_ref()
    }

    /// Returns the error of a read at an unspecified offset.
    pub(super) fn failed(&self, source: io::Error) -> ImageError {
        read_error(&self.path, self.len, self.len, source)
    }

    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        self.source
            .read_exact_at(offset, buf)
            .map_err(|source| read_error(&self.path, self.len, offset, source))
    }

    pub(super) fn next_run(&self, from: u64) -> Result<Option<Range<u64>>, ImageError> {
        self.source.next_run(from).map_err(|source| read_error(&self.path, self.len, from, source))
    }

    pub(super) fn damaged(
        &self,
        structure: &'static str,
        offset: u64,
        reason: impl Into<String>,
    ) -> ImageError {
        let (path, reason) = (self.path.clone(), reason.into());
        ImageError::Damaged { path, structure, offset, reason, repair: self.repair }
    }

    pub(super) fn unsupported(&self, feature: impl Into<String>, remedy: &str) -> ImageError {
        let (path, feature) = (self.path.clone(), feature.into());
        ImageError::Unsupported { path, feature, remedy: remedy.to_owned() }
    }
}

/// Returns the error of a failed read: [`ImageError::Shrunk`] for a file that ends early,
/// [`ImageError::Io`] otherwise.
pub(super) fn read_error(path: &Path, len: u64, offset: u64, source: io::Error) -> ImageError {
    let path = path.to_owned();
    if source.kind() == io::ErrorKind::UnexpectedEof {
        return ImageError::Shrunk { path, len, offset };
    }
    ImageError::Io { verb: "read", path, source }
}

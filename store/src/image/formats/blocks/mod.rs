//! Images of fixed-length blocks, each present in the file or not: VHD, VHDX, VDI.
//!
//! A differencing image has a part of its disk, and a parent of the same format for the rest. A
//! chain of them is kept flat, topmost file first.
//!
//! # Invariants
//!
//! 1. A [`Mapping`] covers at least one byte, so every walk ends.
//! 2. The files of a chain together keep at most [`TABLES_LEN_MAX`] bytes of block tables.

pub(super) mod bitmap;
pub(in crate::image) mod parent;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::walk::{self, MappingKind, join};
use crate::image::error::check_range;
use crate::image::source::{NamedSource, Source, at_start};
use crate::image::{DiskImage, Format, ImageError, Variant};
use parent::{Id, Parent};

/// Maximum length of the tables of a chain, in bytes. The longest VHD has 4 MiB. A VHDX with blocks
/// of 32 MiB, as Hyper-V makes them, has 16 MiB at its maximum length of 64 TiB.
const TABLES_LEN_MAX: u64 = 64 << 20;

/// The memory left for the tables of a chain while it is opened.
pub(in crate::image) struct TableLimits {
    bytes: u64,
}

impl Default for TableLimits {
    fn default() -> Self {
        Self { bytes: TABLES_LEN_MAX }
    }
}

impl TableLimits {
    /// Reads a table of `len` bytes. Fails if the table ends past the file or exceeds the limits.
    pub(in crate::image) fn load(
        &mut self,
        source: &NamedSource,
        offset: u64,
        len: u64,
    ) -> Result<Vec<u8>, ImageError> {
        let wrong = |reason| Err(source.damaged("block allocation table", offset, reason));
        if offset.checked_add(len).is_none_or(|end| end > source.len) {
            let end = source.len;
            return wrong(format!("its {len} bytes end past the end of the file at {end}"));
        }
        if len > self.bytes {
            let feature = format!("a block allocation table of {len} bytes");
            let remedy = "convert it with `qemu-img convert -O qcow2`, or to larger blocks";
            return Err(source.unsupported(feature, remedy));
        }
        self.bytes -= len;
        let Ok(len) = usize::try_from(len) else {
            return wrong("it is longer than this machine can address".to_owned());
        };
        let mut bytes = vec![0; len];
        source.read(offset, &mut bytes)?;
        Ok(bytes)
    }
}

/// The place of guest bytes, as known to one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::image) enum Kind {
    /// Not in this file: read the parent.
    Below,
    /// Zeros.
    Zero,
    /// In the file, from this offset.
    Data(u64),
}

impl MappingKind for Kind {
    fn host(self) -> Option<u64> {
        if let Self::Data(host) = self { Some(host) } else { None }
    }

    fn is_compressed(self) -> bool {
        false
    }
}

/// A run of guest bytes of one kind.
pub(in crate::image) type Mapping = walk::Mapping<Kind>;

/// A file of blocks with a validated header.
pub(in crate::image) trait BlockFile: Send + Sync + Sized {
    /// The format of such files.
    const FORMAT: Format;

    fn open(source: NamedSource, limits: &mut TableLimits) -> Result<Self, ImageError>;

    fn source(&self) -> &NamedSource;

    /// Returns whether the file is of the fixed kind, with a place for every block.
    fn is_fixed(&self) -> bool;

    /// Returns the length of the disk's logical sectors in bytes, if the format states it.
    fn sector_len(&self) -> Option<u64> {
        None
    }

    fn disk_len(&self) -> u64;

    /// Returns the place of the bytes at `offset`, at most to the end of the block. `offset` must
    /// lie in the disk.
    fn piece(&self, offset: u64) -> Result<Mapping, ImageError>;

    /// Returns the identifier by which children name this file.
    fn id(&self) -> Id;

    /// Returns the parent of a differencing image.
    fn parent(&self) -> Option<&Parent>;
}

/// An image of blocks, with its parents.
pub(in crate::image) struct BlockImage<F> {
    files: Vec<F>,
    paths: Vec<PathBuf>,
    last: Mutex<Option<Answer>>,
}

/// The place of guest bytes in a chain.
enum Place<'a> {
    Zero,
    /// In a file, from this offset.
    Stored(&'a NamedSource, u64),
}

/// The last answer of `next_data`. An overlay of another format asks for each of its clusters;
/// walking a long hole or run each time would take time quadratic in its length.
#[derive(Clone)]
struct Answer {
    from: u64,
    /// Empty, at the end of the disk, if there was no more data.
    run: Range<u64>,
}

impl<F: BlockFile> BlockImage<F> {
    /// Joins a chain of at least one file, topmost first.
    pub(in crate::image) fn new(files: Vec<F>) -> Self {
        let paths = files.iter().map(|file| file.source().path.clone()).collect();
        Self { files, paths, last: Mutex::new(None) }
    }

    /// Opens an image that is not a file. Fails if the image has a parent.
    pub(in crate::image) fn from_source(
        name: PathBuf,
        source: Box<dyn Source>,
    ) -> Result<Self, ImageError> {
        let file = F::open(NamedSource::new(name, source), &mut TableLimits::default())?;
        if let Some(parent) = file.parent() {
            return Err(ImageError::Backing {
                path: file.source().path.clone(),
                backing: parent.names.first().cloned().unwrap_or_default(),
                reason: "the image is not a file".to_owned(),
                remedy: "open the image by its path".to_owned(),
            });
        }
        Ok(Self::new(vec![file]))
    }

    /// Returns the place of the bytes at `offset`, and their number there: at least one, at most
    /// `len_max`.
    fn resolve(&self, offset: u64, len_max: u64) -> Result<(Place<'_>, u64), ImageError> {
        let mut len = len_max;
        for file in &self.files {
            // A shorter parent reads as zeros past its end, whatever is below it.
            if offset >= file.disk_len() {
                break;
            }
            let len_max = len.min(file.disk_len() - offset);
            let mapping = join(offset, len_max, |offset| file.piece(offset))?;
            len = mapping.len;
            match mapping.kind {
                Kind::Below => {}
                Kind::Zero => break,
                Kind::Data(host) => return Ok((Place::Stored(file.source(), host), len)),
            }
        }
        Ok((Place::Zero, len))
    }

    /// Returns the content at `offset`: `Ok(len)` for data, `Err(len)` for a hole.
    fn step(&self, offset: u64) -> Result<Result<u64, u64>, ImageError> {
        let (place, len) = self.resolve(offset, self.disk_len() - offset)?;
        Ok(match place {
            Place::Zero => Err(len),
            // Blocks allocated and never written are holes of the file.
            Place::Stored(source, host) => at_start(source.next_run(host)?, host, len),
        })
    }

    fn last(&self) -> MutexGuard<'_, Option<Answer>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: BlockFile> DiskImage for BlockImage<F> {
    fn disk_len(&self) -> u64 {
        self.files.first().map_or(0, F::disk_len)
    }

    fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError> {
        let disk_len = self.disk_len();
        if from >= disk_len {
            return Ok(None);
        }
        let last = self.last().clone();
        let run = match last {
            Some(last) if last.from <= from && from < last.run.end => {
                from.max(last.run.start)..last.run.end
            }
            _ => {
                let run = walk::next_run(disk_len, from, |offset| self.step(offset))?;
                let run = run.unwrap_or(disk_len..disk_len);
                *self.last() = Some(Answer { from, run: run.clone() });
                run
            }
        };
        Ok((!run.is_empty()).then_some(run))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        let path = self.paths.first().map_or(Path::new(""), PathBuf::as_path);
        check_range(path, self.disk_len(), offset, buf.len())?;
        let (mut offset, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let len_max = u64::try_from(rest.len()).unwrap_or(u64::MAX);
            let (place, len) = self.resolve(offset, len_max)?;
            let (now, later) = rest.split_at_mut(usize::try_from(len).unwrap_or(usize::MAX));
            match place {
                Place::Zero => now.fill(0),
                Place::Stored(source, host) => source.read(host, now)?,
            }
            offset += len;
            rest = later;
        }
        Ok(())
    }

    fn is_packed(&self, _offset: u64) -> Result<bool, ImageError> {
        Ok(false)
    }

    fn variant(&self) -> Variant {
        let detail = self.files.first().map_or("", |file| match file.parent() {
            Some(_) => "differencing",
            None if file.is_fixed() => "fixed",
            None => "dynamic",
        });
        let sector_len = self.files.first().and_then(F::sector_len);
        Variant { format: F::FORMAT, detail: detail.to_owned(), sector_len }
    }

    fn files(&self) -> &[PathBuf] {
        &self.paths
    }
}

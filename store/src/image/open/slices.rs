//! Images in one or several ranges of files, end to end: disks in packages.
//!
//! # Invariants
//!
//! 1. Nothing outside the ranges is read, neither by offset nor because an image names it. An image
//!    based on other files is refused.
//! 2. A file with several ranges is opened once.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::ahead::Ahead;
use super::open_source;
use crate::image::detect::{Origin, detect};
use crate::image::error::check_range;
use crate::image::format::Format;
use crate::image::source::{DiskFile, NamedSource, Source};
use crate::image::{DiskImage, ImageError, RUN_LEN_MAX, Variant};

/// Maximum number of files of one image, all of which stay open.
const FILES_MAX: usize = 256;

/// A range of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSlice {
    /// The file.
    pub path: PathBuf,
    /// The range of the file in bytes; `None` for the whole file.
    pub range: Option<Range<u64>>,
}

/// A source made of ranges of files, end to end.
#[derive(Debug)]
pub struct SlicedFile {
    files: Vec<DiskFile>,
    slices: Vec<Slice>,
    len: u64,
}

/// A range of one of the files, and its place in the source.
#[derive(Clone, Copy, Debug)]
struct Slice {
    file: usize,
    /// The offset of the range in the file.
    start: u64,
    /// The offset of the range in the source.
    at: u64,
    len: u64,
}

impl SlicedFile {
    /// Opens the files of all ranges.
    ///
    /// # Errors
    /// Fails if one cannot be opened, a range is not in its file, or there are too many files.
    pub fn open(slices: &[FileSlice]) -> Result<Self, ImageError> {
        let mut opened = Self { files: Vec::new(), slices: Vec::new(), len: 0 };
        for slice in slices {
            let known = opened.files.iter().position(|file| file.path() == slice.path);
            let file = match known {
                Some(file) => file,
                None if opened.files.len() < FILES_MAX => {
                    opened.files.push(DiskFile::open(&slice.path)?);
                    opened.files.len() - 1
                }
                None => {
                    return Err(ImageError::Unsupported {
                        path: slice.path.clone(),
                        feature: format!("an image in more than {FILES_MAX} files"),
                        remedy: "join the files with `cat`".to_owned(),
                    });
                }
            };
            let file_len = opened.files[file].source_len();
            let range = slice.range.clone().unwrap_or(0..file_len);
            if range.start > range.end || range.end > file_len {
                return Err(ImageError::Shrunk {
                    path: slice.path.clone(),
                    len: file_len,
                    offset: range.end,
                });
            }
            let (start, at, len) = (range.start, opened.len, range.end - range.start);
            opened.len = at.checked_add(len).ok_or_else(|| ImageError::Io {
                verb: "open",
                path: slice.path.clone(),
                source: io::ErrorKind::FileTooLarge.into(),
            })?;
            if len > 0 {
                opened.slices.push(Slice { file, start, at, len });
            }
        }
        Ok(opened)
    }

    /// Returns the position of the slice with `offset`, or of the first one after it.
    fn position(&self, offset: u64) -> usize {
        self.slices.partition_point(|slice| slice.at + slice.len <= offset)
    }
}

impl Source for SlicedFile {
    fn source_len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.len);
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (mut offset, mut rest) = (offset, buf);
        for slice in &self.slices[self.position(offset)..] {
            if rest.is_empty() {
                break;
            }
            let skip = offset - slice.at;
            let len = usize::try_from(slice.len - skip).unwrap_or(usize::MAX).min(rest.len());
            let (part, after) = rest.split_at_mut(len);
            self.files[slice.file].read_exact_at(slice.start + skip, part)?;
            offset += len as u64;
            rest = after;
        }
        Ok(())
    }

    fn next_run(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        for slice in &self.slices[self.position(from)..] {
            let skip = from.saturating_sub(slice.at);
            let found = self.files[slice.file].next_run(slice.start + skip)?;
            // Translate the run from file to source offsets, clipped to the slice.
            let end = slice.start + slice.len;
            if let Some(run) = found.filter(|run| run.start < end) {
                let place = |offset: u64| slice.at + (offset.min(end) - slice.start);
                return Ok(Some(place(run.start)..place(run.end)));
            }
        }
        Ok(None)
    }
}

/// Opens the image in `slices`, named `name` in errors. Without `format`, the content decides the
/// format; the name, and the format `stated` by the package, are advice.
///
/// # Errors
/// As [`super::open`]. An image based on other files is refused.
pub fn open_slices(
    name: &Path,
    slices: &[FileSlice],
    format: Option<Format>,
    stated: Option<Format>,
) -> Result<Box<dyn DiskImage>, ImageError> {
    let source = SlicedFile::open(slices)?;
    let files = source.files.iter().map(|file| file.path().to_owned()).collect();
    open_over(name, Box::new(source), files, format, Origin::Member(stated))
}

/// Opens the image in `file`, the decompressed content of a compressed file. `name` and `files` are
/// those of the compressed file.
///
/// # Errors
/// As [`super::open`]. An image based on other files is refused.
pub fn open_inflated(
    name: &Path,
    file: File,
    files: Vec<PathBuf>,
) -> Result<Box<dyn DiskImage>, ImageError> {
    let opened =
        open_over(name, Box::new(DiskFile::of(name, file)?), files, None, Origin::Inflated);
    opened.map_err(|error| match error {
        ImageError::Backing { path, backing, .. } => ImageError::Backing {
            path,
            backing,
            reason: "an image in a compressed file cannot be based on other files".to_owned(),
            remedy: "decompress it beside the files that it names, and use the result".to_owned(),
        },
        error => error,
    })
}

/// Opens the image in an open file, which may be part of another file. `name` is its name in
/// errors.
///
/// A cache of scans watches `files` for changes, in place of the open file. Without `format`, the
/// content decides the format, with advice from the name and from the format that the package
/// `stated`.
///
/// # Errors
/// As [`super::open`]. An image based on other files is refused.
pub fn open_file(
    name: &Path,
    file: File,
    files: Vec<PathBuf>,
    format: Option<Format>,
    stated: Option<Format>,
) -> Result<Box<dyn DiskImage>, ImageError> {
    let source = Box::new(DiskFile::of(name, file)?);
    open_over(name, source, files, format, Origin::Member(stated))
}

/// Returns a disk of `len` zeros, without a file.
#[must_use]
pub fn empty(len: u64) -> Box<dyn DiskImage> {
    let source = NamedSource::new(PathBuf::new(), Box::new(Zeros(len)));
    Box::new(RawSource { source, files: Vec::new() })
}

fn open_over(
    name: &Path,
    source: Box<dyn Source>,
    files: Vec<PathBuf>,
    format: Option<Format>,
    origin: Origin,
) -> Result<Box<dyn DiskImage>, ImageError> {
    let format = match format {
        Some(format) => format,
        None => detect(name, source.as_ref(), origin)?,
    };
    if format == Format::Raw {
        let source = NamedSource::new(name.to_owned(), source);
        return Ok(Ahead::of(Box::new(RawSource { source, files })));
    }
    let image = open_source(name.to_owned(), source, format)?;
    Ok(Ahead::of(Box::new(Watched { image, files })))
}

/// An image, with the files that a stat cache watches for it.
struct Watched {
    image: Box<dyn DiskImage>,
    files: Vec<PathBuf>,
}

impl DiskImage for Watched {
    fn disk_len(&self) -> u64 {
        self.image.disk_len()
    }

    fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError> {
        self.image.next_data(from)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        self.image.read_at(offset, buf)
    }

    fn is_packed(&self, offset: u64) -> Result<bool, ImageError> {
        self.image.is_packed(offset)
    }

    fn variant(&self) -> Variant {
        self.image.variant()
    }

    fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

/// A raw disk in a source.
struct RawSource {
    source: NamedSource,
    files: Vec<PathBuf>,
}

impl DiskImage for RawSource {
    fn disk_len(&self) -> u64 {
        self.source.len
    }

    fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError> {
        let run = self.source.next_run(from)?;
        Ok(run.map(|run| run.start..run.end.min(run.start.saturating_add(RUN_LEN_MAX))))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        check_range(&self.source.path, self.source.len, offset, buf.len())?;
        self.source.read(offset, buf)
    }

    fn is_packed(&self, _offset: u64) -> Result<bool, ImageError> {
        Ok(false)
    }

    fn variant(&self) -> Variant {
        Variant { format: Format::Raw, detail: String::new(), sector_len: None }
    }

    fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

/// A source of zeros, without data.
struct Zeros(u64);

impl Source for Zeros {
    fn source_len(&self) -> u64 {
        self.0
    }

    fn read_exact_at(&self, _offset: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.fill(0);
        Ok(())
    }

    fn next_run(&self, _from: u64) -> io::Result<Option<Range<u64>>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    const MIB: u64 = 1 << 20;

    fn read(source: &SlicedFile, range: Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        source.read_exact_at(range.start, &mut bytes).unwrap();
        bytes
    }

    fn slice(path: &Path, range: Range<u64>) -> FileSlice {
        FileSlice { path: path.to_owned(), range: Some(range) }
    }

    #[test]
    fn slices_read_as_one_run_of_bytes_and_show_nothing_around_them() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, b"..ab....cd..").unwrap();
        std::fs::write(&b, b"ef").unwrap();
        let whole = FileSlice { path: b, range: None };
        let slices = [slice(&a, 2..4), slice(&a, 5..5), slice(&a, 8..10), whole];
        let source = SlicedFile::open(&slices).unwrap();
        assert_eq!(read(&source, 0..6), b"abcdef");
        assert_eq!(read(&source, 1..5), b"bcde");
        assert_eq!(read(&source, 6..6), b"");
        assert!(source.read_exact_at(5, &mut [0; 2]).is_err());
        assert!(source.read_exact_at(u64::MAX, &mut [0; 2]).is_err());
        assert_eq!(source.files.len(), 2, "a is opened once");
    }

    #[test]
    fn holes_are_found_within_a_slice_and_clipped_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse");
        let file = File::create(&path).unwrap();
        file.set_len(8 * MIB).unwrap();
        file.write_all_at(b"x", MIB).unwrap();
        file.write_all_at(b"y", 6 * MIB).unwrap();
        let slices = [slice(&path, MIB + 512..4 * MIB), slice(&path, 5 * MIB..7 * MIB)];
        let source = SlicedFile::open(&slices).unwrap();
        let run = source.next_run(0).unwrap().unwrap();
        assert_eq!(run.start, 0, "the block that holds x reaches into the slice");
        let second = 3 * MIB - 512;
        let run = source.next_run(run.end).unwrap().unwrap();
        assert!(run.start >= second + MIB - 512 && run.end <= second + 2 * MIB, "{run:?}");
        assert_eq!(source.next_run(run.end).unwrap(), None);
    }

    #[test]
    fn a_slice_outside_of_its_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("short");
        std::fs::write(&path, b"abc").unwrap();
        for range in [1..4, 4..4, u64::MAX - 1..u64::MAX] {
            assert!(SlicedFile::open(&[slice(&path, range)]).is_err());
        }
    }

    #[test]
    fn the_format_is_told_by_the_slice_and_not_by_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("package");
        std::fs::write(&path, [&b"QFI\xfb"[..], &[7; 5116]].concat()).unwrap();
        let name = Path::new("disk.img");
        let disk = open_slices(name, &[slice(&path, 512..5120)], None, None).unwrap();
        assert_eq!(disk.disk_len(), 4608);
        assert_eq!(disk.files(), std::slice::from_ref(&path));
        assert!(open_slices(name, &[slice(&path, 0..5120)], None, None).is_err(), "a broken qcow2");
    }
}

//! Extraction from an archive, as a stream or to an unnamed file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;
use seawall_store::image::{SlicedFile, Source};

use crate::disk::inflate;
use crate::ovf::OvfError;
use crate::spec::Unpack;

/// The length of an inflated block in bytes. A block of zeros becomes a hole.
const STEP: usize = 256 << 10;
/// The size of the buffer for compressed bytes.
const INPUT_LEN: usize = 64 << 10;

/// Returns a stream of the bytes that `steps` extract from `source`.
pub(super) fn stream<'a>(
    source: &'a SlicedFile,
    steps: &[Unpack],
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut stream: Box<dyn Read + Send + 'a> = Box::new(Reader { source, offset: 0 });
    for step in steps {
        stream = match step {
            Unpack::Inflate(wrapping) => {
                let input = BufReader::with_capacity(INPUT_LEN, stream);
                inflate::reader(input, *wrapping)
            }
            Unpack::Deflate => Box::new(DeflateDecoder::new(stream)),
            Unpack::Part(range) => {
                skip(&mut stream, range.start)?;
                Box::new(stream.take(range.end - range.start))
            }
        };
    }
    Ok(stream)
}

/// Skips `len` bytes.
///
/// # Errors
/// Fails with `InvalidData` if the stream ends before.
pub(super) fn skip(mut stream: impl Read, len: u64) -> io::Result<()> {
    if io::copy(&mut stream.by_ref().take(len), &mut io::sink()).map_err(cut)? < len {
        let why = "the archive ends within a member";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(())
}

/// Converts the error of truncated compressed data, to distinguish it from the end of the content.
fn cut(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            io::Error::new(io::ErrorKind::InvalidData, "the compressed bytes end too soon")
        }
        _ => error,
    }
}

/// Extracts bytes from `source` by `steps` to an unnamed file, which disappears with its handle.
///
/// Tries `folders` in order. Errors name the data `name`.
///
/// # Errors
/// Fails if the data is damaged or longer than `len_max` bytes, or if no folder has enough space.
pub(super) fn unpack(
    name: &Path,
    source: &SlicedFile,
    steps: &[Unpack],
    folders: &[PathBuf],
    len_max: u64,
) -> Result<File, OvfError> {
    let mut tried = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for folder in folders {
        tried.push(folder.clone());
        let file = match tempfile::tempfile_in(folder) {
            Ok(file) => file,
            Err(error) => {
                last = error;
                continue;
            }
        };
        let read = |source| OvfError::Io { verb: "inflate", path: name.to_owned(), source };
        let mut stream = stream(source, steps).map_err(read)?;
        match fill(file, &mut *stream, len_max) {
            Ok(file) => return Ok(file),
            Err(Failed::TooLong) => {
                return Err(OvfError::Endless { path: name.to_owned(), limit: len_max });
            }
            Err(Failed::Read(error)) => return Err(read(error)),
            Err(Failed::Write(error)) => last = error,
        }
    }
    Err(OvfError::Scratch { folders: tried, source: last })
}

enum Failed {
    TooLong,
    Read(io::Error),
    Write(io::Error),
}

fn fill(mut file: File, stream: &mut dyn Read, len_max: u64) -> Result<File, Failed> {
    let mut buf = vec![0; STEP];
    let mut len: u64 = 0;
    loop {
        let count = read_full(stream, &mut buf).map_err(Failed::Read)?;
        if count == 0 {
            break;
        }
        len += count as u64;
        if len > len_max {
            return Err(Failed::TooLong);
        }
        let bytes = &buf[..count];
        let written = if bytes.iter().all(|byte| *byte == 0) {
            file.seek(SeekFrom::Start(len)).map(|_| ())
        } else {
            file.write_all(bytes)
        };
        written.map_err(Failed::Write)?;
    }
    file.set_len(len).map_err(Failed::Write)?;
    Ok(file)
}

/// Reads until `buf` is full or the stream ends, because a decoder returns small pieces.
pub(super) fn read_full(stream: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buf.len() {
        match stream.read(&mut buf[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(cut(error)),
        }
    }
    Ok(len)
}

/// A reader of a source from start to end.
struct Reader<'a> {
    source: &'a SlicedFile,
    offset: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.source.source_len() - self.offset;
        let len = usize::try_from(rest).unwrap_or(usize::MAX).min(buf.len());
        self.source.read_exact_at(self.offset, &mut buf[..len])?;
        self.offset += len as u64;
        Ok(len)
    }
}

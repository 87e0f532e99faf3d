//! Bytes taken out of an archive: as a stream, or in a file without a name.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;
use seawall_store::image::{SlicedFile, Source};

use super::OvfError;
use crate::disk::inflate;
use crate::spec::Unpack;

/// Bytes inflated at once; what of them is zeros becomes a hole.
const STEP: usize = 256 << 10;
/// Compressed bytes read at once.
const INPUT_LEN: usize = 64 << 10;

/// The bytes that `steps` take out of `source`, from the first to the last.
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

/// Passes over bytes.
///
/// # Errors
/// `InvalidData` when the stream ends before them.
pub(super) fn skip(mut stream: impl Read, len: u64) -> io::Result<()> {
    if io::copy(&mut stream.by_ref().take(len), &mut io::sink()).map_err(cut)? < len {
        let why = "the archive ends within a member";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(())
}

/// The error of compressed bytes that end too soon, told apart from the end of what they hold.
fn cut(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            io::Error::new(io::ErrorKind::InvalidData, "the compressed bytes end too soon")
        }
        _ => error,
    }
}

/// Puts the bytes that `steps` take out of `source` in a file that goes away with its handle:
/// beside the package, or in `TMPDIR` where there is no room. Errors call the bytes `name`.
///
/// # Errors
/// When there are more than `len_max` bytes, they are damaged, or no folder takes them.
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

/// Reads until `buf` is full or the stream ends: a decoder gives its bytes in small pieces.
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

/// Reads a source from its begin to its end.
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

//! Disks in a package, opened where they lie.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use seawall_store::image::{self, DiskImage, Format, ImageError, SlicedFile, Source};

use crate::spec::Packed;

/// What a container format may add to a disk that it holds, besides a sixteenth of it.
const CONTAINER_LEN_MAX: u64 = 64 << 20;
/// Bytes inflated at once; what of them is zeros becomes a hole.
const STEP: usize = 256 << 10;

impl Packed {
    /// Opens the disk; errors call it `name`.
    ///
    /// # Errors
    /// When its bytes are not there, are not the format's, or name other files; and when they
    /// inflate to more than a disk of its capacity can need.
    pub fn open(
        &self,
        name: &Path,
        format: Option<Format>,
    ) -> Result<Box<dyn DiskImage>, ImageError> {
        if self.slices.is_empty() {
            return Ok(image::empty(self.capacity));
        }
        if !self.is_gzip {
            return image::open_slices(name, &self.slices, format);
        }
        let source = SlicedFile::open(&self.slices)?;
        let file = self.inflate(name, &source)?;
        let mut files: Vec<_> = self.slices.iter().map(|slice| slice.path.clone()).collect();
        files.dedup();
        image::open_file(name, file, files, format)
    }

    /// Which part of its files it is; tells disks in the same file apart.
    pub(crate) fn part(&self) -> String {
        let mut part = String::from(if self.is_gzip { "gzip" } else { "plain" });
        for slice in &self.slices {
            match &slice.range {
                Some(range) => part.push_str(&format!(",{}+{}", range.start, range.end)),
                None => part.push_str(",all"),
            }
        }
        part
    }

    /// Inflates to a file that goes away with its handle, beside the package if that can be.
    fn inflate(&self, name: &Path, source: &SlicedFile) -> Result<File, ImageError> {
        let fail = |verb| move |source| ImageError::Io { verb, path: name.to_owned(), source };
        let beside = self.slices.first().and_then(|slice| slice.path.parent());
        let beside = beside.filter(|folder| !folder.as_os_str().is_empty());
        let file = tempfile::tempfile_in(beside.unwrap_or(Path::new(".")));
        let mut file = file.or_else(|_| tempfile::tempfile()).map_err(fail("inflate"))?;
        let len_max = self.capacity.saturating_add(self.capacity / 16);
        let len_max = len_max.saturating_add(CONTAINER_LEN_MAX);
        let mut inflated = MultiGzDecoder::new(Reader { source, offset: 0 });
        let mut buf = vec![0; STEP];
        let mut len: u64 = 0;
        loop {
            let count = inflated.read(&mut buf).map_err(fail("inflate"))?;
            if count == 0 {
                break;
            }
            len += count as u64;
            if len > len_max {
                return Err(ImageError::Unsupported {
                    path: name.to_owned(),
                    feature: format!("a file that inflates to more than {len_max} bytes"),
                    remedy: "no disk of its capacity needs as many: do not trust this package"
                        .to_owned(),
                });
            }
            let bytes = &buf[..count];
            let written = if bytes.iter().all(|byte| *byte == 0) {
                file.seek(SeekFrom::Start(len)).map(|_| ())
            } else {
                file.write_all(bytes)
            };
            written.map_err(fail("inflate"))?;
        }
        file.set_len(len).map_err(fail("inflate"))?;
        Ok(file)
    }
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

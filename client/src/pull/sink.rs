//! A disk's file being written at offsets, from several threads, in any order.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use seawall_store::image::{Format, Qcow2Layout};

use crate::host::HostError;

/// Writes guest bytes into a container file.
pub(crate) struct Sink {
    path: PathBuf,
    file: File,
    layout: Option<Qcow2Layout>,
}

impl Sink {
    /// Opens or makes the file of a disk of `disk_len` bytes whose data lies in `runs`.
    ///
    /// What a pull that broke off left in the file stays, to be verified in place.
    ///
    /// # Errors
    /// When the file cannot be written, or the disk does not fit the format.
    pub(crate) fn create(
        path: &Path,
        format: Format,
        disk_len: u64,
        runs: impl Iterator<Item = Range<u64>>,
    ) -> Result<Self, HostError> {
        let failed = |source| HostError::new("create", path, source);
        let layout = match format {
            Format::Raw => None,
            Format::Qcow2 => {
                let layout = Qcow2Layout::new(disk_len, runs);
                Some(layout.map_err(|error| failed(io::Error::other(error)))?)
            }
        };
        let open =
            || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = open().map_err(failed)?;
        let file_len = layout.as_ref().map_or(disk_len, Qcow2Layout::file_len);
        let is_resumed = file.metadata().map_err(failed)?.len() == file_len;
        if !is_resumed {
            file.set_len(0).map_err(failed)?;
            if let Some(layout) = &layout {
                layout.write_metadata(&file).map_err(failed)?;
            }
            file.set_len(file_len).map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), file, layout })
    }

    /// Writes guest bytes at a guest offset.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), HostError> {
        self.each_run(offset, bytes.len(), |at, range| self.file.write_all_at(&bytes[range], at))
            .map_err(|source| HostError::new("write", &self.path, source))
    }

    /// Reads guest bytes from a guest offset; `false` where they cannot be read.
    pub(crate) fn read_at(&self, offset: u64, bytes: &mut [u8]) -> bool {
        let len = bytes.len();
        self.each_run(offset, len, |at, range| self.file.read_exact_at(&mut bytes[range], at))
            .is_ok()
    }

    /// Makes what was written survive loss of power.
    pub(crate) fn sync(&self) -> Result<(), HostError> {
        self.file.sync_all().map_err(|source| HostError::new("sync", &self.path, source))
    }

    /// Splits a guest range into runs that are contiguous in the file.
    fn each_run(
        &self,
        offset: u64,
        len: usize,
        mut each: impl FnMut(u64, Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(layout) = &self.layout else { return each(offset, 0..len) };
        let mut done = 0;
        while done < len {
            let run = layout
                .host_offset(offset + done as u64)
                .ok_or_else(|| io::Error::other("the layout has no cluster for this data"))?;
            let run_len = usize::try_from(run.len).unwrap_or(usize::MAX).min(len - done);
            each(run.offset, done..done + run_len)?;
            done += run_len;
        }
        Ok(())
    }
}

//! A disk's file that several threads write at arbitrary offsets.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use seawall_api::index::DiskIndex;
use seawall_store::image::layout::{ExportFormat, Layout, Round, lay_out, write_metadata};

use crate::folder::{Folder, FolderPath, mode, part_of};
use crate::host::{HostError, WriteBehind};

/// A writer of guest bytes into a container file.
pub(crate) struct Sink {
    file: WriteBehind,
    layout: Box<dyn Layout>,
}

impl Sink {
    /// Opens or creates the file of a disk with data in `runs`, in an existing folder.
    ///
    /// Keeps the content of a file left by an interrupted pull, to be verified in place. Replaces
    /// anything but a regular file, such as a link.
    ///
    /// # Errors
    /// Fails if the file cannot be written, or the disk does not fit the format.
    pub(crate) fn create(
        (folder, file): (&Folder, &FolderPath),
        format: ExportFormat,
        index: &DiskIndex,
        runs: impl Iterator<Item = Range<u64>>,
    ) -> Result<Self, HostError> {
        let path = folder.path_of(file);
        let failed = |source| HostError::new("create", &path, source);
        // The exact length, which the release uses to verify, patch and describe the disk.
        let disk_len = index.disk_len().get();
        let layout = lay_out(format, Round::Exact, disk_len, &index.content(), runs)
            .map_err(|error| failed(io::Error::other(error)))?;
        let file_len = layout.file_len();
        if let Ok(found) = folder.file_to_write(file)
            && found.metadata().is_ok_and(|metadata| metadata.len() == file_len)
        {
            return Ok(Self { file: WriteBehind::new(&path, found), layout });
        }
        // Created under another name until its tables are written, so that a file under this name
        // lacks nothing but data.
        let part = part_of(file);
        let made = folder.create(&part, mode::FILE)?;
        write_metadata(layout.as_ref(), &made).map_err(failed)?;
        // The tables are synced before the name that promises them.
        made.sync_all().map_err(failed)?;
        folder.rename(&part, file)?;
        Ok(Self { file: WriteBehind::new(&path, made), layout })
    }

    /// Writes guest bytes at a guest offset.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), HostError> {
        self.each_run(offset, bytes.len(), |at, range| self.file.write_at(at, &bytes[range]))
    }

    /// Reads guest bytes from a guest offset. Returns false if they cannot be read.
    pub(crate) fn read_at(&self, offset: u64, bytes: &mut [u8]) -> bool {
        let len = bytes.len();
        let file = self.file.file();
        let mut read = |at, range: Range<usize>| file.read_exact_at(&mut bytes[range], at);
        self.each_run(offset, len, |at, range| {
            read(at, range).map_err(|_| self.file.error("read", "it is shorter than its disk"))
        })
        .is_ok()
    }

    /// Waits until all writes survive a loss of power.
    pub(crate) fn sync(&self) -> Result<(), HostError> {
        self.file.sync()
    }

    /// Splits a guest range into runs that are contiguous in the file.
    fn each_run(
        &self,
        offset: u64,
        len: usize,
        mut each: impl FnMut(u64, Range<usize>) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let mut done = 0;
        while done < len {
            let run = self
                .layout
                .host_offset(offset + done as u64)
                .ok_or_else(|| self.file.error("place data in", "its layout has no room for it"))?;
            let run_len = usize::try_from(run.len).unwrap_or(usize::MAX).min(len - done);
            each(run.offset, done..done + run_len)?;
            done += run_len;
        }
        Ok(())
    }
}

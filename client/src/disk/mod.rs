//! The disks that a command was given: opened, inflated where they are compressed, and told what
//! they were taken for.
//!
//! # Invariants
//!
//! 1. A file that a disk's own bytes name is read only where [`DiskAccess::allowed`] or its folder
//!    permits it.
//! 2. A disk that a process of QEMU may write is refused, unless the caller insists.
//! 3. What is inflated lies in a file without a name: it goes away with its handle.

mod error;
mod inflate;
mod scratch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_store::image::{self, DiskImage, Format, ImageError, OpenOptions, Wrapping};
use serde::Serialize;

pub use error::DiskError;
pub use scratch::Scratch;

use crate::host::ReadLocks;
use crate::progress::Progress;

/// How the disks that a command was given may be opened.
#[derive(Clone, Debug, Default)]
pub struct DiskAccess {
    /// Folders and files that an image may name besides the files in its own folder.
    pub allowed: Vec<PathBuf>,
    /// Where compressed disks are inflated to.
    pub scratch: Scratch,
    /// Whether a disk may be read that another process has open for writing.
    pub allow_in_use: bool,
}

/// An open disk.
pub struct OpenDisk {
    /// What the guest reads.
    pub image: Arc<dyn DiskImage>,
    /// What its file was taken for.
    pub source: DiskSource,
    /// Keeps processes of QEMU from writing to it.
    _locks: Option<ReadLocks>,
}

/// What a disk's file was taken for, and every file that was read for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskSource {
    /// The format.
    pub format: String,
    /// Which kind of it; empty where there is nothing to tell apart.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// What the file is compressed by as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// Length of the disk's logical sectors in bytes, where they are other than 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_len: Option<u64>,
    /// Every file that was read, the one that was given first.
    pub files: Vec<String>,
}

impl DiskSource {
    /// Describes an image that is open.
    #[must_use]
    pub fn of(image: &dyn DiskImage, wrapping: Option<Wrapping>) -> Self {
        let variant = image.variant();
        Self {
            format: variant.format.to_string(),
            variant: variant.detail,
            compression: wrapping.map(|it| it.to_string()),
            sector_len: sector_len(image, variant.sector_len),
            files: image.files().iter().map(|it| it.display().to_string()).collect(),
        }
    }
}

/// The length of a disk's sectors, where that is other than 512: as the file says, or as its
/// partition table stands. A GPT begins in the second sector.
fn sector_len(image: &dyn DiskImage, said: Option<u64>) -> Option<u64> {
    let begins_gpt = |offset: u64| {
        let mut mark = [0; 8];
        offset + 8 <= image.disk_len()
            && image.read_at(offset, &mut mark).is_ok()
            && mark == *b"EFI PART"
    };
    let found = match said {
        Some(len) => len,
        None if begins_gpt(4096) && !begins_gpt(512) => 4096,
        None => 512,
    };
    (found != 512).then_some(found)
}

impl DiskSource {
    /// Tells this reading of a file from others of the same file.
    pub(crate) fn taken_for(&self) -> String {
        match &self.compression {
            Some(compression) => format!("{compression}:{}", self.format),
            None => self.format.clone(),
        }
    }
}

impl std::fmt::Display for DiskSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.format)?;
        if let Some(compression) = &self.compression {
            write!(f, " in {compression}")?;
        }
        if let Some(len) = self.sector_len {
            write!(f, " with sectors of {len} bytes")?;
        }
        write!(f, ": {}", self.files.join(", "))
    }
}

impl DiskAccess {
    /// Opens a disk; `format` is what the caller says that it is.
    ///
    /// # Errors
    /// When the file cannot be read, is not recognised, names files that it may not, is in use, or
    /// when there is no room to inflate it.
    pub fn open(
        &self,
        path: &Path,
        format: Option<Format>,
        progress: &dyn Progress,
    ) -> Result<OpenDisk, DiskError> {
        let allowed = self.allowed.clone();
        let options = OpenOptions { format, allowed, ..OpenOptions::default() };
        let (image, wrapping) = match image::open(path, &options) {
            Ok(image) => (image, None),
            Err(ImageError::Wrapped { path, wrapping }) => {
                let file = inflate::to_scratch(&path, wrapping, &self.scratch, progress)?;
                let image = image::open_inflated(&path, file, vec![path.clone()])?;
                (image, Some(wrapping))
            }
            Err(error) => return Err(error.into()),
        };
        self.guard(image.into(), wrapping)
    }

    /// Takes an image that was opened in another way.
    ///
    /// # Errors
    /// When one of its files is in use.
    pub fn guard(
        &self,
        image: Arc<dyn DiskImage>,
        wrapping: Option<Wrapping>,
    ) -> Result<OpenDisk, DiskError> {
        let locks = if self.allow_in_use {
            None
        } else {
            Some(ReadLocks::take(image.files()).map_err(DiskError::InUse)?)
        };
        let source = DiskSource::of(&*image, wrapping);
        Ok(OpenDisk { image, source, _locks: locks })
    }
}

#[cfg(test)]
mod tests;

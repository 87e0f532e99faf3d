//! Opens and inflates a command's disks, and describes their detected formats.
//!
//! # Invariants
//!
//! 1. A file named in a disk's own bytes is read only if [`DiskAccess::allowed`] or the disk's
//!    folder permits it.
//! 2. A disk in use by a QEMU process is refused, unless the caller allows it.
//! 3. An inflated disk is in an unnamed file, which disappears with its handle.

mod error;
pub(crate) mod inflate;
mod scratch;
pub(crate) mod sectors;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_store::image::{self, DiskImage, Format, ImageError, OpenOptions, Wrapping};
use serde::Serialize;

pub use error::DiskError;
pub use scratch::Scratch;

use crate::host::ReadLocks;
use crate::progress::Progress;

/// The permissions for opening a command's disks.
#[derive(Clone, Debug, Default)]
pub struct DiskAccess {
    /// Further files and folders that an image may refer to. Files in its own folder are allowed.
    pub allowed: Vec<PathBuf>,
    /// The folder for inflated disks.
    pub scratch: Scratch,
    /// True to read disks that another process has open for writing.
    pub allow_in_use: bool,
}

/// An open disk.
pub struct OpenDisk {
    /// The disk as the guest reads it.
    pub image: Arc<dyn DiskImage>,
    /// The detected source.
    pub source: DiskSource,
    /// Locks against writes by QEMU. `None` if disks in use are allowed.
    _locks: Option<ReadLocks>,
}

/// A detected format, and every file that was read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskSource {
    /// The format.
    pub format: String,
    /// The variant of the format. Empty if the format has no variants.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// The compression of the file as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// The length of a logical sector in bytes, unless 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_len: Option<u64>,
    /// The files that were read, starting with the given one.
    pub files: Vec<String>,
}

impl DiskSource {
    /// Describes an open image.
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

/// Returns the length of the disk's sectors in bytes, unless 512.
///
/// The length is stated by the file or derived from the partition table: a GPT begins in the second
/// sector.
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
    /// Returns a key that differs between interpretations of the same file.
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
        match &self.files[..] {
            [] => f.write_str(": no file, an empty disk"),
            files => write!(f, ": {}", files.join(", ")),
        }
    }
}

impl DiskAccess {
    /// Opens a disk. `format` overrides detection.
    ///
    /// # Errors
    /// Fails if the file is unreadable, unrecognised or in use, if it refers to forbidden files, or
    /// if there is no space to inflate it.
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

    /// Locks an image that was opened in another way.
    ///
    /// # Errors
    /// Fails if one of the image's files is in use.
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

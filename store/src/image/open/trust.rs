//! The rules for files that an image may name.
//!
//! The writer of a disk controls its first bytes. A guest that writes an image header into its raw
//! disk, or the author of a downloaded image, could name any file of this host and have it
//! published. A named file is therefore used only where the opener expects such files: in the
//! folder of the given image, or in the folders of
//! [`OpenOptions::allowed`](crate::image::OpenOptions::allowed).
//!
//! # Invariants
//!
//! 1. The real path counts. Links are resolved first; the file is then opened from its folder's
//!    handle, component by component, without following links.
//! 2. The folder of the image grants nothing if it is the root, or if the image is a block device.
//!    It never grants hidden files, block devices, or other files that are not regular.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::image::ImageError;
use crate::image::source::{DiskFile, Identity, identify};

/// The reason for which a file named by an image is not opened.
#[derive(Debug)]
pub(in crate::image) enum Refusal {
    /// The file cannot be found or opened.
    Io(io::Error),
    /// The file is not a disk.
    Image(ImageError),
    /// The file lies outside the allowed places. The value is its real path.
    Outside(PathBuf),
}

/// A folder or file that an image may name.
struct Root {
    real: PathBuf,
    /// True for the image's own folder, unless explicitly allowed: hidden files, and all but
    /// regular ones, stay refused.
    is_own: bool,
}

/// The places of the files that an image may name.
pub(in crate::image) struct Trust {
    roots: Vec<Root>,
}

impl Trust {
    /// Collects the places for the image `top`: its folder, and the allowed paths.
    pub(in crate::image) fn of(top: &DiskFile, allowed: &[PathBuf]) -> Result<Self, ImageError> {
        let mut roots = Vec::new();
        for path in allowed {
            let real = fs::canonicalize(path).map_err(|source| ImageError::Io {
                verb: "find the allowed",
                path: path.clone(),
                source,
            })?;
            roots.push(Root { real, is_own: false });
        }
        if matches!(top.identity(), Identity::File { .. }) {
            // The folder of the given path and, if the image is a link, the folder of its target.
            let named = folder(top.path());
            let of_file = fs::canonicalize(top.path());
            let of_file = of_file.ok().and_then(|real| real.parent().map(Path::to_owned));
            let own = fs::canonicalize(named).ok().into_iter().chain(of_file);
            let own = own.filter(|real| real.parent().is_some());
            roots.extend(own.map(|real| Root { real, is_own: true }));
        }
        Ok(Self { roots })
    }

    /// Opens a file named by the image. Fails if the file lies in no allowed place.
    pub(in crate::image) fn open(&self, path: &Path) -> Result<DiskFile, Refusal> {
        let real = fs::canonicalize(path).map_err(Refusal::Io)?;
        // A file that can never be a disk is refused as such: permission for it would not help.
        let found = fs::symlink_metadata(&real).map_err(Refusal::Io)?;
        identify(path, &found).map_err(Refusal::Image)?;
        for root in &self.roots {
            let Ok(inner) = real.strip_prefix(&root.real) else { continue };
            if root.is_own && is_hidden(inner) {
                continue;
            }
            let file = open_beneath(&root.real, inner).map_err(Refusal::Io)?;
            let file = DiskFile::of(path, file).map_err(Refusal::Image)?;
            if !root.is_own || matches!(file.identity(), Identity::File { .. }) {
                return Ok(file);
            }
        }
        Err(Refusal::Outside(real))
    }
}

/// Returns the folder of a file.
pub(in crate::image) fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

fn is_hidden(inner: &Path) -> bool {
    inner.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
}

/// Opens `root`/`inner`. Fails if a component is a link by now.
fn open_beneath(root: &Path, inner: &Path) -> io::Result<File> {
    let parts: Vec<_> = inner.components().collect();
    let Some((last, folders)) = parts.split_last() else { return open_at(CWD, root) };
    let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at: OwnedFd = openat(CWD, root, on_the_way, Mode::empty())?;
    for part in folders {
        at = openat(&at, plain(part)?, on_the_way, Mode::empty())?;
    }
    open_at(&at, plain(last)?)
}

fn plain<'a>(part: &'a Component<'_>) -> io::Result<&'a Path> {
    match part {
        Component::Normal(name) => Ok(Path::new(name)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Opens a file for reading, after a check that opening is harmless.
fn open_at(at: impl std::os::fd::AsFd, name: &Path) -> io::Result<File> {
    let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = File::from(openat(&at, name, look, Mode::empty())?).metadata()?;
    identify(name, &found).map_err(|error| match error {
        ImageError::NotADisk { found, .. } => {
            io::Error::new(io::ErrorKind::InvalidInput, format!("it is {found}"))
        }
        other => io::Error::other(other),
    })?;
    let flags =
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    Ok(openat(at, name, flags, Mode::empty())?.into())
}

//! From a path to a [`DiskImage`]: formats, backing chains, and what of them is refused.
//!
//! # Invariants
//!
//! 1. Only regular files and block devices are opened, by plain paths; never a URI.
//! 2. A chain ends: it has at most [`CHAIN_LEN_MAX`] files and no file twice.

use std::path::{Path, PathBuf};

use super::format::{Format, detect};
use super::qcow2::{Backing, Layer, Limits, Qcow2Image};
use super::raw::RawImage;
use super::source::{DiskFile, Identity, NamedSource};
use super::vmdk::{Found, VmdkImage};
use super::{DiskImage, ImageError};

/// How many files an image may be made of.
const CHAIN_LEN_MAX: usize = 64;

/// How to open an image.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Takes the file for this format, whatever its content; `None` looks at the content.
    pub format: Option<Format>,
    /// Whether an image may name another local file that it is based on.
    ///
    /// An image of unknown origin can name any file that this process can read.
    pub allow_backing: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { format: None, allow_backing: true }
    }
}

/// Opens a disk image and every file it is based on.
///
/// # Errors
///
/// [`ImageError::Unsupported`] for formats and features that are recognised and not read, and
/// [`ImageError::Backing`] for backing files that are not allowed; both have a remedy.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn DiskImage>, ImageError> {
    let mut opened = Chain::default();
    let mut next = Some((path.to_owned(), options.format));
    while let Some((path, format)) = next.take() {
        let file = DiskFile::open(&path).map_err(|error| opened.explain(error))?;
        opened.enter(&file)?;
        let format = match format {
            Some(format) => format,
            None => opened.detected(&file)?,
        };
        match format {
            Format::Raw => opened.base = Some(Box::new(RawImage::new(file))),
            Format::Qcow2 => {
                let source = NamedSource::new(path.clone(), Box::new(file));
                let layer = Layer::open(source, &mut opened.limits)?;
                next = layer.backing().map(|it| resolve(&path, it, options)).transpose()?;
                opened.layers.push(layer);
            }
            Format::Vmdk => {
                let source = NamedSource::new(path, Box::new(file));
                let mut files = |overlay: &Path, name: &Path, found| {
                    opened.vmdk_file(overlay, name, found, options)
                };
                let image = VmdkImage::open(source, &mut files)?;
                opened.base = Some(Box::new(image));
            }
        }
    }
    Ok(opened.finish())
}

const REBASE: &str = "look at it with `qemu-img info --backing-chain -U`, and give the image \
                      another base with `qemu-img rebase -u`";

/// The files of a chain opened so far, topmost first.
#[derive(Default)]
struct Chain {
    seen: Vec<Identity>,
    paths: Vec<PathBuf>,
    limits: Limits,
    layers: Vec<Layer>,
    base: Option<Box<dyn DiskImage>>,
}

impl Chain {
    /// Says which image asked for a file that is not there.
    fn explain(&self, error: ImageError) -> ImageError {
        match (self.paths.last(), error) {
            (Some(overlay), ImageError::Io { path, source, .. }) => ImageError::Backing {
                path: overlay.clone(),
                backing: path.display().to_string(),
                reason: format!("it cannot be opened: {source}"),
                remedy: REBASE.to_owned(),
            },
            (_, error) => error,
        }
    }

    fn enter(&mut self, file: &DiskFile) -> Result<(), ImageError> {
        let refuse = |reason: String| {
            let path = self.paths.last().map_or_else(|| file.path().to_owned(), Clone::clone);
            let backing = file.path().display().to_string();
            ImageError::Backing { path, backing, reason, remedy: REBASE.to_owned() }
        };
        if self.seen.contains(&file.identity()) {
            return Err(refuse("the chain of backing files comes back to it".to_owned()));
        }
        if self.seen.len() >= CHAIN_LEN_MAX {
            return Err(refuse(format!("the chain has more than {CHAIN_LEN_MAX} files")));
        }
        self.seen.push(file.identity());
        self.paths.push(file.path().to_owned());
        Ok(())
    }

    /// The format of a file that nobody named.
    ///
    /// A backing file of no declared format is raw or nothing: a guest that once owned a raw base
    /// could have written a header into it that names a file of this host (QEMU 6.1 made the
    /// declaration mandatory for the same reason).
    fn detected(&self, file: &DiskFile) -> Result<Format, ImageError> {
        let format = detect(file.path(), file)?;
        match self.paths.iter().rev().nth(1) {
            Some(overlay) if format != Format::Raw => Err(ImageError::Backing {
                path: overlay.clone(),
                backing: file.path().display().to_string(),
                reason: format!("it looks like {format}, and the image does not say that it is"),
                remedy: format!(
                    "if it is, say so: `qemu-img rebase -u -b {backing} -F {format} {overlay}`",
                    backing = file.path().display(),
                    overlay = overlay.display()
                ),
            }),
            _ => Ok(format),
        }
    }

    /// Opens a file that a VMDK names.
    fn vmdk_file(
        &mut self,
        overlay: &Path,
        name: &Path,
        found: Found,
        options: &OpenOptions,
    ) -> Result<NamedSource, ImageError> {
        let path = match found {
            Found::Extent => overlay.parent().unwrap_or(Path::new("")).join(name),
            Found::Parent => {
                let format = Some(Format::Vmdk.to_string());
                resolve(overlay, &Backing { name: name.to_owned(), format }, options)?.0
            }
        };
        let file = DiskFile::open(&path).map_err(|error| match error {
            ImageError::Io { path, source, .. } => ImageError::Backing {
                path: overlay.to_owned(),
                backing: path.display().to_string(),
                reason: format!("it cannot be opened: {source}"),
                remedy: "an image of several files needs all of them in one directory, under \
                         the names that its descriptor has for them"
                    .to_owned(),
            },
            other => other,
        })?;
        match found {
            Found::Parent => self.enter(&file)?,
            Found::Extent => self.paths.push(path.clone()),
        }
        Ok(NamedSource::new(path, Box::new(file)))
    }

    fn finish(self) -> Box<dyn DiskImage> {
        match self.base {
            Some(base) if self.layers.is_empty() => base,
            base => Box::new(Qcow2Image::new(self.layers, base, self.paths)),
        }
    }
}

/// The path and the format of the backing file that `overlay` names.
fn resolve(
    overlay: &Path,
    backing: &Backing,
    options: &OpenOptions,
) -> Result<(PathBuf, Option<Format>), ImageError> {
    let refuse = |reason: &str, remedy: &str| ImageError::Backing {
        path: overlay.to_owned(),
        backing: backing.name.display().to_string(),
        reason: reason.to_owned(),
        remedy: remedy.to_owned(),
    };
    let flatten = "make it one file with `qemu-img convert -O qcow2`";
    if !options.allow_backing {
        return Err(refuse("backing files are not allowed here", flatten));
    }
    // QEMU's rule: a colon before the first slash makes a protocol. `json:` is one of them.
    let bytes = backing.name.as_os_str().as_encoded_bytes();
    if bytes.iter().find(|byte| matches!(byte, b':' | b'/')) == Some(&b':') {
        return Err(refuse(
            "it is a URI, and only paths of local files are followed",
            "make it one file with `qemu-img convert -O qcow2`; a relative path that has a colon \
             is written `./name`, see `qemu-img rebase -u`",
        ));
    }
    let format = match backing.format.as_deref() {
        None => None,
        Some(name) => Some(
            name.parse::<Format>()
                .map_err(|_| refuse(&format!("its format {name:?} is not read"), flatten))?,
        ),
    };
    // An absolute name replaces the directory.
    let directory = overlay.parent().unwrap_or(Path::new(""));
    Ok((directory.join(&backing.name), format))
}

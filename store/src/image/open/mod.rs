//! Opening of images: format detection, backing chains, and the refusal of files that an image may
//! not name.
//!
//! # Invariants
//!
//! 1. Only regular files and block devices are opened, by plain paths, never by URIs. Files named
//!    by an image must also pass [`trust`].
//! 2. A chain is finite: it has at most [`CHAIN_LEN_MAX`] files, and no file twice.
//! 3. Consecutive layers of one format form one flat image. An image of another format stands below
//!    them as a whole, so the costs of the formats in a chain add up and do not multiply.

mod ahead;
mod slices;
pub(super) mod trust;

use std::path::{Path, PathBuf};

use super::detect::{Origin, detect};
use super::format::Format;
use super::formats::blocks::parent;
use super::formats::blocks::{BlockFile, BlockImage, TableLimits};
use super::formats::qcow2::{Backing, Layer, Limits, Qcow2Image};
use super::formats::raw::RawImage;
use super::formats::vdi::VdiFile;
use super::formats::vhd::VhdFile;
use super::formats::vhdx::VhdxFile;
use super::formats::vmdk::{Found, VmdkImage};
use super::source::{DiskFile, Identity, NamedSource, Source};
use super::{DiskImage, ImageError};
use ahead::Ahead;
use trust::{Refusal, Trust, folder};

pub use slices::{FileSlice, SlicedFile, empty, open_file, open_inflated, open_slices};

/// Maximum number of files of an image.
const CHAIN_LEN_MAX: usize = 64;

/// Options for opening an image.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The format to assume, whatever the content. `None` detects the format.
    pub format: Option<Format>,
    /// True if an image may name other local files on which it is based, in its own folder and in
    /// [`Self::allowed`]. The extents of a VMDK must lie there in either case.
    pub allow_backing: bool,
    /// Folders, files and block devices that an image may name, besides the files in its own
    /// folder.
    pub allowed: Vec<PathBuf>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { format: None, allow_backing: true, allowed: Vec::new() }
    }
}

/// Opens a disk image and all files on which it is based.
///
/// # Errors
///
/// [`ImageError::Unsupported`] for known formats and features that Seawall does not read;
/// [`ImageError::Backing`] for backing files that are not allowed. Both have a remedy.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn DiskImage>, ImageError> {
    let mut chain = Chain::new(options);
    let (file, format) = chain.enter(path, options.format, "")?;
    Ok(Ahead::of(chain.image(file, format)?))
}

/// Opens an image that is not a file, for tests and fuzzing. `name` is its name in errors.
///
/// # Errors
///
/// As [`open`]. Refuses an image based on another file. Refuses a raw image, because callers can
/// read the source itself.
pub fn open_source(
    name: PathBuf,
    source: Box<dyn Source>,
    format: Format,
) -> Result<Box<dyn DiskImage>, ImageError> {
    Ok(match format {
        Format::Raw => {
            let source = NamedSource::new(name, source);
            return Err(source.unsupported("the raw format", "read the bytes themselves"));
        }
        Format::Qcow2 => Box::new(Qcow2Image::from_source(name, source)?),
        Format::Vhd => Box::new(BlockImage::<VhdFile>::from_source(name, source)?),
        Format::Vhdx => Box::new(BlockImage::<VhdxFile>::from_source(name, source)?),
        Format::Vdi => Box::new(BlockImage::<VdiFile>::from_source(name, source)?),
        Format::Vmdk => Box::new(VmdkImage::from_source(name, source)?),
    })
}

const REBASE: &str = "look at it with `qemu-img info --backing-chain -U`, and give the image \
                      another base with `qemu-img rebase -u`";
const URI: &str = "make it one file with `qemu-img convert -O qcow2`; a relative path that has a \
                   colon is written `./name`, see `qemu-img rebase -u`";
const FLATTEN: &str = "make it one file with `qemu-img convert -O qcow2`";
const EXTENTS: &str = "an image of several files needs all of them in one directory, under the \
                       names that its descriptor has for them";

/// The files of a chain opened so far, topmost first, and the unused part of its limits.
struct Chain<'a> {
    options: &'a OpenOptions,
    /// `None` until the topmost file is open.
    trust: Option<Trust>,
    seen: Vec<Identity>,
    paths: Vec<PathBuf>,
    clusters: Limits,
    blocks: TableLimits,
}

impl<'a> Chain<'a> {
    fn new(options: &'a OpenOptions) -> Self {
        let (clusters, blocks) = (Limits::default(), TableLimits::default());
        Self { options, trust: None, seen: Vec::new(), paths: Vec::new(), clusters, blocks }
    }

    /// Opens the image in `file`, with all files below it.
    fn image(&mut self, file: DiskFile, format: Format) -> Result<Box<dyn DiskImage>, ImageError> {
        match format {
            Format::Raw => Ok(Box::new(RawImage::new(file))),
            Format::Qcow2 => self.qcow2(file),
            Format::Vhd => self.blocks::<VhdFile>(file),
            Format::Vhdx => self.blocks::<VhdxFile>(file),
            Format::Vdi => self.blocks::<VdiFile>(file),
            Format::Vmdk => self.vmdk(file),
        }
    }

    /// Opens a chain of qcow2 layers, above an optional base of another format.
    fn qcow2(&mut self, mut file: DiskFile) -> Result<Box<dyn DiskImage>, ImageError> {
        let (mut layers, mut files) = (Vec::new(), Vec::new());
        let base = loop {
            let path = file.path().to_owned();
            let source = NamedSource::new(path.clone(), Box::new(file));
            let layer = Layer::open(source, &mut self.clusters)?;
            let named = layer.backing().map(|it| resolve(&path, it, self.options)).transpose()?;
            layers.push(layer);
            files.push(path);
            let Some((path, format)) = named else { break None };
            let (below, format) = self.enter(&path, format, REBASE)?;
            if format != Format::Qcow2 {
                break Some(self.image(below, format)?);
            }
            file = below;
        };
        files.extend(base.iter().flat_map(|base| base.files().iter().cloned()));
        Ok(Box::new(Qcow2Image::new(layers, base, files)))
    }

    /// Opens an image of blocks with its parents, all of one format.
    fn blocks<F: BlockFile + 'static>(
        &mut self,
        mut file: DiskFile,
    ) -> Result<Box<dyn DiskImage>, ImageError> {
        let mut files: Vec<F> = Vec::new();
        loop {
            let path = file.path().to_owned();
            let source = NamedSource::new(path.clone(), Box::new(file));
            let opened = F::open(source, &mut self.blocks)?;
            if let Some((child, parent)) = files.last().and_then(|it| Some((it, it.parent()?)))
                && !parent.ids.contains(&opened.id())
            {
                let reason = "it is not the image that this one was made from, or has changed";
                return Err(parent.refuse(&child.source().path, reason));
            }
            files.push(opened);
            let Some(parent) = files.last().and_then(F::parent) else { break };
            if !self.options.allow_backing {
                return Err(parent.refuse(&path, "parents are not allowed here"));
            }
            let places = parent.places(&path);
            let below = self.enter_any(&path, &places)?;
            file = below
                .ok_or_else(|| parent.refuse(&path, "no file with one of its names is here"))?;
        }
        Ok(Box::new(BlockImage::new(files)))
    }

    /// Opens a VMDK with its extents and its parents, all of one format.
    fn vmdk(&mut self, file: DiskFile) -> Result<Box<dyn DiskImage>, ImageError> {
        let source = NamedSource::new(file.path().to_owned(), Box::new(file));
        let mut files = |overlay: &Path, names: &[PathBuf], found| {
            let name = names.first().map_or(Path::new(""), PathBuf::as_path);
            let places: Vec<_> = names.iter().flat_map(|it| foreign_places(overlay, it)).collect();
            let file = match found {
                Found::Extent => self.open_any(overlay, &places)?,
                Found::Parent => {
                    if !self.options.allow_backing {
                        let (reason, name) = ("parents are not allowed here", name.display());
                        return Err(refuse(overlay, &name.to_string(), reason, FLATTEN));
                    }
                    refuse_uri(overlay, name)?;
                    self.enter_any(overlay, &places)?
                }
            };
            let file = file.ok_or_else(|| {
                let backing = name.display().to_string();
                refuse(
                    overlay,
                    &backing,
                    "it cannot be opened: no file of its name is there",
                    EXTENTS,
                )
            })?;
            Ok(NamedSource::new(file.path().to_owned(), Box::new(file)))
        };
        Ok(Box::new(VmdkImage::open(source, &mut files)?))
    }

    /// Opens the next file of the chain, and detects its format unless `format` is given.
    fn enter(
        &mut self,
        path: &Path,
        format: Option<Format>,
        remedy: &str,
    ) -> Result<(DiskFile, Format), ImageError> {
        let file = self.enter_file(path, remedy)?;
        let format = match format {
            Some(format) => format,
            None => self.detected(&file)?,
        };
        Ok((file, format))
    }

    fn enter_file(&mut self, path: &Path, remedy: &str) -> Result<DiskFile, ImageError> {
        let Some(above) = self.paths.last().cloned() else {
            let file = DiskFile::open(path)?;
            self.trust = Some(Trust::of(&file, &self.options.allowed)?);
            return self.entered(file, path);
        };
        match self.open_named(path) {
            Ok(file) => self.entered(file, &above),
            Err(refusal) => Err(refused(&above, path, refusal, remedy)),
        }
    }

    /// Opens the first existing file of `places` as the next file of the chain.
    fn enter_any(
        &mut self,
        overlay: &Path,
        places: &[PathBuf],
    ) -> Result<Option<DiskFile>, ImageError> {
        match self.open_any(overlay, places)? {
            Some(file) => self.entered(file, overlay).map(Some),
            None => Ok(None),
        }
    }

    /// Opens the first of `places` that exists and that the image may name.
    fn open_any(&self, overlay: &Path, places: &[PathBuf]) -> Result<Option<DiskFile>, ImageError> {
        let mut first = None;
        for path in places {
            match self.open_named(path) {
                Ok(file) => return Ok(Some(file)),
                Err(Refusal::Io(error)) if is_absent(&error) => {}
                Err(refusal) => drop(first.get_or_insert((path, refusal))),
            }
        }
        match first {
            Some((path, refusal)) => Err(refused(overlay, path, refusal, EXTENTS)),
            None => Ok(None),
        }
    }

    fn open_named(&self, path: &Path) -> Result<DiskFile, Refusal> {
        match &self.trust {
            Some(trust) => trust.open(path),
            None => Err(Refusal::Outside(path.to_owned())),
        }
    }

    /// Adds an open file to the chain. Fails on a loop or an overlong chain.
    fn entered(&mut self, file: DiskFile, above: &Path) -> Result<DiskFile, ImageError> {
        let path = file.path().to_owned();
        let refuse = |reason: &str| refuse(above, &path.display().to_string(), reason, REBASE);
        if self.seen.contains(&file.identity()) {
            return Err(refuse("the chain of backing files comes back to it"));
        }
        if self.seen.len() >= CHAIN_LEN_MAX {
            return Err(refuse(&format!("the chain has more than {CHAIN_LEN_MAX} files")));
        }
        self.seen.push(file.identity());
        self.paths.push(path);
        Ok(file)
    }

    /// Detects the format of a file with no declared format.
    ///
    /// A backing file without a declared format must be raw. A guest that once owned a raw base
    /// could have written a header into it, to name a file of this host (QEMU 6.1 made the
    /// declaration mandatory for the same reason).
    fn detected(&self, file: &DiskFile) -> Result<Format, ImageError> {
        let origin = match file.identity() {
            Identity::File { .. } => Origin::File,
            Identity::Device(_) => Origin::Device,
        };
        let format = match detect(file.path(), file, origin) {
            // A caller that decompresses the given disk would mistake this file for that disk.
            Err(ImageError::Wrapped { path, wrapping }) if self.paths.len() > 1 => {
                let overlay = &self.paths[self.paths.len() - 2];
                let reason = format!("it is compressed by {wrapping}");
                let remedy = "decompress it, and give the image that as its backing file with \
                              `qemu-img rebase -u`";
                return Err(refuse(overlay, &path.display().to_string(), &reason, remedy));
            }
            told => told?,
        };
        match self.paths.iter().rev().nth(1) {
            Some(overlay) if format != Format::Raw => Err(ImageError::Backing {
                path: overlay.clone(),
                backing: file.path().display().to_string(),
                reason: format!("it looks like {format}, and the image does not say that it is"),
                remedy: format!(
                    "if it is, say so: `qemu-img rebase -u -b {backing} -F {name} {overlay}`",
                    backing = file.path().display(),
                    name = format.qemu_name(),
                    overlay = overlay.display()
                ),
            }),
            _ => Ok(format),
        }
    }
}

fn refuse(overlay: &Path, backing: &str, reason: &str, remedy: &str) -> ImageError {
    ImageError::Backing {
        path: overlay.to_owned(),
        backing: backing.to_owned(),
        reason: reason.to_owned(),
        remedy: remedy.to_owned(),
    }
}

/// Returns the error for a file that `overlay` names and that was not opened.
fn refused(overlay: &Path, path: &Path, refusal: Refusal, remedy: &str) -> ImageError {
    let backing = path.display().to_string();
    match refusal {
        // Name the image that requires the missing file.
        Refusal::Io(source) => {
            refuse(overlay, &backing, &format!("it cannot be opened: {source}"), remedy)
        }
        Refusal::Image(error) => error,
        Refusal::Outside(real) => {
            let folder = folder(&real).display().to_string();
            let reason = format!("{} is not in the image's own folder", real.display());
            let remedy = format!(
                "if the image is yours and is based on it, add `--allow-backing {folder}`; if it \
                 is a raw disk into which its guest wrote such a header, say `raw:{}`",
                overlay.display()
            );
            refuse(overlay, &backing, &reason, &remedy)
        }
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

/// Returns the possible paths of a file that a VMDK names: the name as written, then its last
/// component next to the image, for paths of the machine on which the image was made.
fn foreign_places(overlay: &Path, name: &Path) -> Vec<PathBuf> {
    let beside = overlay.parent().unwrap_or(Path::new(""));
    let mut places = vec![beside.join(name)];
    if let Some(text) = name.to_str() {
        let others = parent::local(text).into_iter().chain(parent::file_name(text));
        places.extend(others.map(|path| beside.join(path)));
    } else if let Some(name) = name.file_name() {
        places.push(beside.join(name));
    }
    places.dedup();
    places
}

/// Fails if QEMU would take the name for a protocol, `json:` included: a colon before the first
/// slash.
fn refuse_uri(overlay: &Path, name: &Path) -> Result<(), ImageError> {
    let bytes = name.as_os_str().as_encoded_bytes();
    let colon = bytes.iter().position(|byte| matches!(byte, b':' | b'/' | b'\\'));
    match colon {
        // A colon at position 1 follows a Windows drive letter.
        Some(at) if bytes[at] == b':' && at != 1 => Err(refuse(
            overlay,
            &name.display().to_string(),
            "it is a URI, and only paths of local files are followed",
            URI,
        )),
        _ => Ok(()),
    }
}

/// Returns the path and the declared format of the backing file that `overlay` names.
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
    if !options.allow_backing {
        return Err(refuse("backing files are not allowed here", FLATTEN));
    }
    // QEMU's rule: a colon before the first slash makes a protocol, `json:` included.
    let bytes = backing.name.as_os_str().as_encoded_bytes();
    if bytes.iter().find(|byte| matches!(byte, b':' | b'/')) == Some(&b':') {
        return Err(refuse("it is a URI, and only paths of local files are followed", URI));
    }
    let format = match backing.format.as_deref() {
        None => None,
        Some(name) => Some(Format::of_qemu(name).ok_or_else(|| {
            refuse(&format!("its format {name:?} is not one that seawall reads"), FLATTEN)
        })?),
    };
    // `join` drops the directory if the name is absolute.
    let directory = overlay.parent().unwrap_or(Path::new(""));
    Ok((directory.join(&backing.name), format))
}

//! Disks in a package, opened where they lie.

use std::path::{Path, PathBuf};

use seawall_store::image::{self, DiskImage, Format, ImageError, SlicedFile};

use super::envelope::Unmapped;
use super::{OvfError, files, scratch};
use crate::spec::{Packed, ReleaseSpec, Unpack};

/// What a container format may add to a disk that it holds, besides a sixteenth of it.
const CONTAINER_LEN_MAX: u64 = 64 << 20;
/// How a file of gzip begins.
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 0x08];
/// Bytes of a file that an error shows.
const SHOWN_LEN: usize = 24;

impl Packed {
    /// Opens the disk; errors call it `name`. Without `format` its content tells the format, and
    /// what the package says of it is held against that.
    ///
    /// # Errors
    /// When its bytes are not there, are not of the format, or name other files; when the package
    /// says that it is an image and it is none; and when its bytes inflate to more than a disk of
    /// its capacity can need.
    pub fn open(
        &self,
        name: &Path,
        format: Option<Format>,
    ) -> Result<Box<dyn DiskImage>, OvfError> {
        if self.slices.is_empty() {
            return Ok(image::empty(self.capacity.unwrap_or(0)));
        }
        let opened = self.open_as(name, format);
        if format.is_some() {
            return opened;
        }
        let unknown = match opened {
            Ok(image) if image.variant().format == Format::Raw && self.stated.is_some() => None,
            Ok(image) => return Ok(image),
            // The name may contradict the content: then the content counts, as a package's
            // descriptor names no more than a file.
            Err(error) if is_unrecognised(&error) => {
                match self.open_as(&name.with_extension(""), None) {
                    Ok(image) if image.variant().format != Format::Raw => return Ok(image),
                    _ => Some(error),
                }
            }
            Err(error) => return Err(error),
        };
        // What is no image is the disk itself if it is exactly as long as that.
        let image = self.open_as(name, Some(Format::Raw))?;
        match (self.stated, unknown) {
            _ if self.capacity == Some(image.disk_len()) => Ok(image),
            (Some(stated), _) => Err(OvfError::NotStated {
                path: name.to_owned(),
                stated: stated.to_string(),
                found: shown(image.as_ref()),
            }),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(image),
        }
    }

    fn open_as(&self, name: &Path, format: Option<Format>) -> Result<Box<dyn DiskImage>, OvfError> {
        if self.steps.is_empty() {
            return image::open_slices(name, &self.slices, format).map_err(refused);
        }
        let source = SlicedFile::open(&self.slices)?;
        let len_max = self.capacity.map_or(u64::MAX, |capacity| {
            capacity.saturating_add(capacity / 16).saturating_add(CONTAINER_LEN_MAX)
        });
        let file = scratch::unpack(name, &source, &self.steps, &self.folders(), len_max)?;
        let mut files: Vec<_> = self.slices.iter().map(|slice| slice.path.clone()).collect();
        files.dedup();
        image::open_file(name, file, files, format).map_err(refused)
    }

    /// Folders that may hold inflated bytes: that of the package first, which has room for it.
    fn folders(&self) -> Vec<PathBuf> {
        let beside = self.slices.first().and_then(|slice| slice.path.parent());
        let beside = beside.filter(|folder| !folder.as_os_str().is_empty());
        let beside = beside.unwrap_or(Path::new(".")).to_owned();
        let mut folders = vec![beside, std::env::temp_dir()];
        folders.dedup();
        folders
    }

    /// Which part of its files it is; tells disks in the same file apart.
    pub(crate) fn part(&self) -> String {
        let mut part =
            if self.steps.is_empty() { String::from("plain") } else { format!("{:?}", self.steps) };
        for slice in &self.slices {
            match &slice.range {
                Some(range) => part.push_str(&format!(",{}+{}", range.start, range.end)),
                None => part.push_str(",all"),
            }
        }
        part
    }

    /// Holds what the package says of compression against the first bytes.
    fn sniff(&mut self, name: &Path) -> Result<Option<&'static str>, OvfError> {
        if self.slices.is_empty() {
            return Ok(None);
        }
        let io = |source| OvfError::Io { verb: "read", path: name.to_owned(), source };
        let source = SlicedFile::open(&self.slices)?;
        let is_told = self.steps.last() == Some(&Unpack::Gzip);
        let outer = &self.steps[..self.steps.len() - usize::from(is_told)];
        let is_gzip = files::head_of(&source, outer, 0).map_err(io)?.starts_with(&GZIP_MAGIC);
        // A disk of raw bytes may begin with whatever its guest wrote there.
        let is_called_so = files::has_extension(&name.to_string_lossy(), "gz");
        let is_image = self.stated.is_some_and(|stated| stated != Format::Raw);
        Ok(match (is_told, is_gzip) {
            (true, false) => {
                self.steps.pop();
                Some("it is not compressed, although the descriptor says so")
            }
            (false, true) if is_called_so || is_image => {
                self.steps.push(Unpack::Gzip);
                Some("it is compressed by gzip, which the descriptor does not say")
            }
            _ => None,
        })
    }
}

/// Says of an image of several files what there is to do about it in a package.
fn refused(error: ImageError) -> OvfError {
    match error {
        ImageError::Backing { path, backing, .. } => OvfError::Unsupported {
            what: format!("{}, a disk that needs another file, `{backing}`,", path.display()),
            remedy: "make it one file: `qemu-img convert -O vmdk -o subformat=streamOptimized`"
                .to_owned(),
        },
        error => error.into(),
    }
}

/// Whether nothing told the format of a file, so that there was no reader to find it wrong.
fn is_unrecognised(error: &OvfError) -> bool {
    match error {
        OvfError::Image(error) => !matches!(
            error,
            ImageError::Io { .. }
                | ImageError::Damaged { .. }
                | ImageError::Unsupported { .. }
                | ImageError::Backing { .. }
                | ImageError::NotADisk { .. }
                | ImageError::Shrunk { .. }
                | ImageError::OutOfRange { .. }
        ),
        _ => false,
    }
}

/// Mends how disks are unpacked where their files contradict the descriptor, and reports it.
pub(super) fn sniff(spec: &mut ReleaseSpec, unmapped: &mut Vec<Unmapped>) -> Result<(), OvfError> {
    for machine in &mut spec.machines {
        for disk in &mut machine.disks {
            let Some(packed) = &mut disk.packed else { continue };
            if let Some(why) = packed.sniff(&disk.path)? {
                let what = format!("the file of disk `{}`", disk.name);
                let note = Unmapped::new("References", what, why);
                unmapped.push(note.of(machine.name.as_str()));
            }
        }
    }
    Ok(())
}

/// Reports what the package says of its disks and their images do not bear out.
pub(crate) fn contradicted<'a>(
    spec: &'a ReleaseSpec,
    images: impl Iterator<Item = &'a dyn DiskImage> + 'a,
) -> impl Iterator<Item = Unmapped> + 'a {
    spec.disks().zip(images).flat_map(|((machine, disk), image)| {
        let packed = disk.packed.as_ref();
        let (name, found_len) = (&disk.name, image.disk_len());
        let said_len = packed.and_then(|it| it.capacity).filter(|said| *said != found_len);
        let len = said_len.map(|said| {
            let why = format!("its image has {found_len} bytes, and that is its length");
            (format!("capacity {said} of disk `{name}`"), why)
        });
        let found = image.variant().format;
        let stated = packed.filter(|it| !it.slices.is_empty()).and_then(|it| it.stated);
        let format = stated.filter(|stated| *stated != found).map(|stated| {
            (format!("format {stated} of disk `{name}`"), format!("its file is {found}"))
        });
        [len, format].into_iter().flatten().map(move |(what, why)| {
            Unmapped::new("DiskSection", what, why).of(machine.name.as_str())
        })
    })
}

/// What a file that is no image begins with.
fn shown(image: &dyn DiskImage) -> String {
    let len = usize::try_from(image.disk_len()).unwrap_or(usize::MAX).min(SHOWN_LEN);
    let mut head = vec![0; len];
    if len == 0 {
        return "it is empty".to_owned();
    }
    match image.read_at(0, &mut head) {
        Ok(()) if head.starts_with(&GZIP_MAGIC) => "it is compressed by gzip".to_owned(),
        Ok(()) => format!("it begins with \"{}\"", head.escape_ascii()),
        Err(_) => "it cannot be read".to_owned(),
    }
}

//! Opens the disks of a package in place.

use std::path::{Path, PathBuf};

use seawall_store::image::{self, DiskImage, Format, ImageError, SlicedFile, Source, Wrapping};

use super::{files, scratch};
use crate::ovf::OvfError;
use crate::ovf::envelope::Unmapped;
use crate::spec::{Packed, ReleaseSpec, Unpack};

/// The maximum overhead of a container format in bytes, besides a sixteenth of the disk.
const CONTAINER_LEN_MAX: u64 = 64 << 20;
/// The maximum number of nested compressions of a file.
const WRAPPINGS_MAX: usize = 3;
/// The number of a file's first bytes in an error.
const SHOWN_LEN: usize = 24;

impl Packed {
    /// Opens the disk. Errors name the disk `name`. If `format` is `None`, the format is detected
    /// from the content, and checked against the package's statement.
    ///
    /// # Errors
    /// Fails if the disk's bytes are missing, are not of the format, or refer to other files; if
    /// the package states an image format and the file is not one; or if the file inflates to more
    /// bytes than a disk of its capacity can need.
    pub fn open(
        &self,
        name: &Path,
        format: Option<Format>,
    ) -> Result<Box<dyn DiskImage>, OvfError> {
        if self.slices.is_empty() {
            return Ok(image::empty(self.capacity.unwrap_or(0)));
        }
        if format.is_some() {
            return self.open_as(name, format);
        }
        if self.stated == Some(Format::Raw) && self.capacity.is_some() {
            // If the length confirms a raw disk, the first bytes are the guest's.
            let image = self.open_as(name, Some(Format::Raw))?;
            if self.capacity == Some(image.disk_len()) {
                return Ok(image);
            }
        }
        let is_image = self.stated.is_some_and(|stated| stated != Format::Raw);
        let unknown = match self.open_as(name, None) {
            Ok(image) if image.variant().format == Format::Raw && is_image => None,
            Ok(image) => return Ok(image),
            Err(error) if is_unrecognised(&error) => Some(error),
            Err(error) => return Err(error),
        };
        // A file that is not an image is a raw disk if its length is the capacity.
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
            let opened = image::open_slices(name, &self.slices, format, self.stated);
            return opened.map_err(refused);
        }
        let source = SlicedFile::open(&self.slices)?;
        let len_max = self.capacity.map_or(u64::MAX, |capacity| {
            capacity.saturating_add(capacity / 16).saturating_add(CONTAINER_LEN_MAX)
        });
        let file = scratch::unpack(name, &source, &self.steps, &self.folders(), len_max)?;
        let mut files: Vec<_> = self.slices.iter().map(|slice| slice.path.clone()).collect();
        files.dedup();
        image::open_file(name, file, files, format, self.stated).map_err(refused)
    }

    /// Returns the folders for inflated files, in order of preference. The package's own is likely
    /// to have space.
    fn folders(&self) -> Vec<PathBuf> {
        let beside = self.slices.first().and_then(|slice| slice.path.parent());
        let beside = beside.filter(|folder| !folder.as_os_str().is_empty());
        let beside = beside.unwrap_or(Path::new(".")).to_owned();
        let mut folders = vec![beside, std::env::temp_dir()];
        folders.dedup();
        folders
    }

    /// Returns a key that distinguishes disks in the same files.
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

    /// Corrects the steps if the first bytes contradict the stated compression, and returns a
    /// remark.
    fn sniff(&mut self, name: &Path) -> Result<Option<String>, OvfError> {
        if self.slices.is_empty() {
            return Ok(None);
        }
        let io = |source| OvfError::Io { verb: "read", path: name.to_owned(), source };
        let source = SlicedFile::open(&self.slices)?;
        let told = match self.steps.last() {
            Some(Unpack::Inflate(told)) => Some(*told),
            _ => None,
        };
        self.steps.truncate(self.steps.len() - usize::from(told.is_some()));
        let mut found = Vec::new();
        while found.len() < WRAPPINGS_MAX {
            let head = files::head_of(&source, &self.steps, 0).map_err(io)?;
            let Some(wrapping) = Wrapping::of(&head) else { break };
            let is_told = told.is_some() && found.is_empty();
            if !is_told && !self.may_be_wrapped(name, &source) {
                break;
            }
            self.steps.push(Unpack::Inflate(wrapping));
            found.push(wrapping);
        }
        let each: Vec<_> = found.iter().map(Wrapping::to_string).collect();
        let found_words = each.join(" and ");
        Ok(match told {
            Some(told) if found == [told] => None,
            None if found.is_empty() => None,
            Some(_) if found.is_empty() => {
                Some("it is not compressed, although the descriptor says so".to_owned())
            }
            Some(told) => Some(format!(
                "it is compressed by {found_words}, but the descriptor says by {told}"
            )),
            None => Some(format!(
                "it is compressed by {found_words}, which the descriptor does not say"
            )),
        })
    }

    /// Returns true if bytes with the magic number of a compression may be compressed.
    ///
    /// A raw disk may begin with any bytes, because the guest wrote them.
    fn may_be_wrapped(&self, name: &Path, source: &SlicedFile) -> bool {
        let is_image = self.stated.is_some_and(|stated| stated != Format::Raw);
        let len = match self.steps.last() {
            None => Some(source.source_len()),
            Some(Unpack::Part(range)) => Some(range.end - range.start),
            Some(Unpack::Inflate(_) | Unpack::Deflate) => None,
        };
        let is_other_len = len.is_some() && self.capacity.is_some() && len != self.capacity;
        let name = name.to_string_lossy();
        let is_called_so = len.is_some()
            && ["gz", "xz", "zst", "zstd", "bz2"].iter().any(|it| files::has_extension(&name, it));
        is_image || is_other_len || is_called_so
    }
}

/// Converts an image error. Explains what to do about a disk in several files.
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

/// Returns true if no reader recognised the file's format.
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

/// Corrects the unpacking of disks whose files contradict the descriptor, and reports the change.
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

/// Reports the package's statements that its disks' images contradict.
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

/// Describes the first bytes of a file that is not an image.
fn shown(image: &dyn DiskImage) -> String {
    let len = usize::try_from(image.disk_len()).unwrap_or(usize::MAX).min(SHOWN_LEN);
    let mut head = vec![0; len];
    if len == 0 {
        return "it is empty".to_owned();
    }
    match image.read_at(0, &mut head) {
        Ok(()) => match Wrapping::of(&head) {
            Some(wrapping) => format!("it is compressed by {wrapping}"),
            None => format!("it begins with \"{}\"", head.escape_ascii()),
        },
        Err(_) => "it cannot be read".to_owned(),
    }
}

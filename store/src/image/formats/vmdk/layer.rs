//! One image of a chain, with its descriptor and extents.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::walk::join;
use super::descriptor::{
    DESCRIPTOR_LEN_MAX, Descriptor, ExtentKind, Parent, SIGNATURE, is_descriptor, unsupported,
};
use super::header::{COWD_MAGIC, SPARSE_MAGIC};
use super::sparse::{Kind, Limits, Piece, Sparse, Tables};
use super::{DISK_SECTORS_MAX, SECTOR_LEN};
use crate::image::ImageError;
use crate::image::source::NamedSource;

/// The first bytes of a seSparse extent.
const SE_SPARSE_MAGIC: [u8; 8] = 0xcafe_babe_u64.to_le_bytes();

/// The role of a file for the image that names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::image) enum Found {
    /// A part of the image.
    Extent,
    /// The parent, which has the bytes that the image does not.
    Parent,
}

/// A callback that opens a file named by an image. Takes the image's path, the file's possible
/// names, most likely first, and its role.
pub(in crate::image) type Files<'a> =
    dyn FnMut(&Path, &[PathBuf], Found) -> Result<NamedSource, ImageError> + 'a;

/// The storage of an opened extent.
pub(super) enum Stored {
    Zero,
    /// One source is shared by all flat extents in the same file.
    Flat {
        source: Arc<NamedSource>,
        offset: u64,
    },
    Sparse(Sparse),
}

/// A part of a disk.
pub(super) struct Extent {
    /// The number of the extent in the whole chain.
    pub(super) id: usize,
    /// The offset of the extent on the disk, in bytes.
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) stored: Stored,
}

impl Extent {
    /// Returns the extent's file, if it has one.
    pub(super) fn source(&self) -> Option<&NamedSource> {
        match &self.stored {
            Stored::Zero => None,
            Stored::Flat { source, .. } => Some(source.as_ref()),
            Stored::Sparse(sparse) => Some(&sparse.source),
        }
    }

    /// Returns the place of up to `len_max` bytes at `offset`, which must lie in the extent.
    ///
    /// Grains that adjoin in the file, too, are returned as one piece.
    pub(super) fn map(
        &self,
        tables: &Tables,
        offset: u64,
        len_max: u64,
    ) -> Result<Piece, ImageError> {
        let len_max = len_max.min(self.len - offset);
        let sparse = match &self.stored {
            Stored::Zero => return Ok(Piece { kind: Kind::Zero, len: len_max }),
            Stored::Flat { offset: host, .. } => {
                return Ok(Piece { kind: Kind::Data(host + offset), len: len_max });
            }
            Stored::Sparse(sparse) => sparse,
        };
        join(offset, len_max, |offset| sparse.piece(tables, self.id, offset))
    }

    /// Reads bytes stored in the file from `host`, with zeros past the file's end: the last grain
    /// need not be complete.
    pub(super) fn read_data(&self, host: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        let Some(source) = self.source() else { return Ok(()) };
        source.read_padded(host, buf)
    }
}

/// One image of a chain.
pub(super) struct Layer {
    path: PathBuf,
    descriptor: Descriptor,
    extents: Vec<Extent>,
    /// True if the descriptor is a separate file.
    is_split: bool,
}

impl Layer {
    /// Opens an image and its extents, and numbers the extents from `ids` on.
    pub(super) fn open(
        source: NamedSource,
        ids: &mut usize,
        limits: &mut Limits,
        files: &mut Files<'_>,
    ) -> Result<Self, ImageError> {
        let mut magic = [0; SIGNATURE.len()];
        let len = usize::try_from(source.len).map_or(magic.len(), |len| len.min(magic.len()));
        source.read(0, &mut magic[..len])?;
        if magic.starts_with(&SPARSE_MAGIC) {
            return Self::of_one_file(source, ids, limits);
        }
        if magic.starts_with(&COWD_MAGIC) {
            return Err(unsupported(&source, "an extent without its descriptor".into(), OPEN_TEXT));
        }
        let is_long = source.len > DESCRIPTOR_LEN_MAX;
        if is_long && magic.eq_ignore_ascii_case(SIGNATURE) {
            let reason = format!("it has {} bytes, at most 1 MiB is read", source.len);
            return Err(source.damaged("descriptor", 0, reason));
        }
        let mut text = vec![0; if is_long { 0 } else { usize::try_from(source.len).unwrap_or(0) }];
        source.read(0, &mut text)?;
        if !is_descriptor(&text) {
            let reason = "it is neither a sparse extent nor a descriptor";
            return Err(source.damaged("VMDK", 0, reason));
        }
        let descriptor = Descriptor::read(&source, 0, source.len)?;
        if descriptor.extents.is_empty() {
            return Err(source.damaged("descriptor", 0, "it names no extent"));
        }
        if descriptor.sectors() > DISK_SECTORS_MAX {
            return Err(source.damaged("descriptor", 0, "its extents are longer than 64 TiB"));
        }
        let mut layer =
            Self { path: source.path.clone(), descriptor, extents: Vec::new(), is_split: true };
        layer.open_extents(&source, ids, limits, files)?;
        Ok(layer)
    }

    /// Opens a sparse file with an embedded descriptor.
    fn of_one_file(
        source: NamedSource,
        ids: &mut usize,
        limits: &mut Limits,
    ) -> Result<Self, ImageError> {
        let path = source.path.clone();
        let sparse = Sparse::open(source, limits)?;
        let descriptor = match sparse.header.descriptor {
            Some((start, len)) => Some(Descriptor::read(&sparse.source, start, len)?),
            None => None,
        };
        // QEMU leaves room for a descriptor in extents that have none.
        let Some(descriptor) = descriptor.filter(|found| !found.extents.is_empty()) else {
            let feature = "an extent without its descriptor".to_owned();
            return Err(unsupported(&sparse.source, feature, OPEN_TEXT));
        };
        // The file may have been renamed, so its name in the descriptor is ignored.
        let is_alone = matches!(&descriptor.extents[..], [one] if one.kind == ExtentKind::Sparse);
        if !is_alone {
            let feature = "several extents named by an embedded descriptor".to_owned();
            return Err(unsupported(&sparse.source, feature, FLATTEN));
        }
        let len = sparse.header.sectors * SECTOR_LEN;
        let extent = Extent { id: *ids, start: 0, len, stored: Stored::Sparse(sparse) };
        *ids += 1;
        Ok(Self { path, descriptor, extents: vec![extent], is_split: false })
    }

    fn open_extents(
        &mut self,
        text: &NamedSource,
        ids: &mut usize,
        limits: &mut Limits,
        files: &mut Files<'_>,
    ) -> Result<(), ImageError> {
        let mut start = 0;
        let mut flat: HashMap<&[PathBuf], Arc<NamedSource>> = HashMap::new();
        for line in &self.descriptor.extents {
            let len = line.sectors * SECTOR_LEN;
            let wrong = |reason: String| text.damaged("descriptor line", line.at, reason);
            let shown =
                || line.names.first().map(|it| it.display().to_string()).unwrap_or_default();
            let mut open = || files(&self.path, &line.names, Found::Extent);
            let stored = match line.kind {
                ExtentKind::Zero => Stored::Zero,
                ExtentKind::Flat { offset } => {
                    let source = match flat.get(line.names.as_slice()) {
                        Some(source) => Arc::clone(source),
                        None => Arc::new(open()?),
                    };
                    flat.insert(&line.names, Arc::clone(&source));
                    if offset.checked_add(len).is_none_or(|end| end > source.len) {
                        let (file, has) = (shown(), source.len);
                        return Err(wrong(format!(
                            "{file} has {has} bytes, the extent is {len} from {offset}"
                        )));
                    }
                    Stored::Flat { source, offset }
                }
                ExtentKind::Sparse => {
                    let source = open()?;
                    refuse_se_sparse(&source)?;
                    let sparse = Sparse::open(source, limits)?;
                    if sparse.header.sectors != line.sectors {
                        let (file, has) = (shown(), sparse.header.sectors);
                        return Err(wrong(format!(
                            "the extent has {} sectors, {file} says {has}",
                            line.sectors
                        )));
                    }
                    Stored::Sparse(sparse)
                }
            };
            self.extents.push(Extent { id: *ids, start, len, stored });
            *ids += 1;
            start += len;
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns all files of this image, the descriptor's first.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let text = self.is_split.then_some(self.path.as_path());
        let extents = self.extents.iter().filter_map(Extent::source);
        let mut seen = HashSet::new();
        let paths = extents.map(|source| source.path.as_path());
        text.into_iter().chain(paths.filter(move |path| seen.insert(*path)))
    }

    pub(super) fn parent(&self) -> Option<&Parent> {
        self.descriptor.parent.as_ref()
    }

    /// Returns the kind of the image, as stated in the descriptor.
    pub(super) fn describe(&self) -> String {
        self.descriptor.create_type.clone().unwrap_or_default()
    }

    pub(super) fn disk_len(&self) -> u64 {
        self.extents.last().map_or(0, |last| last.start + last.len)
    }

    /// Returns the length of the longest grain, in bytes.
    pub(super) fn grain_len(&self) -> u64 {
        let of = |extent: &Extent| match &extent.stored {
            Stored::Sparse(sparse) => sparse.header.grain_len(),
            _ => 0,
        };
        self.extents.iter().map(of).max().unwrap_or(0)
    }

    /// Returns the extent at an offset on the disk.
    pub(super) fn find(&self, offset: u64) -> Option<&Extent> {
        let after = self.extents.partition_point(|extent| extent.start <= offset);
        let extent = self.extents.get(after.checked_sub(1)?)?;
        (offset - extent.start < extent.len).then_some(extent)
    }

    /// Fails if `below` is not the parent from which this image was made.
    pub(super) fn check_parent(&self, below: &Self) -> Result<(), ImageError> {
        let expected = self.parent().map(|parent| parent.cid);
        if below.descriptor.cid == expected {
            return Ok(());
        }
        let shown = |cid: Option<u32>| cid.map_or("none".to_owned(), |cid| format!("{cid:08x}"));
        Err(ImageError::Backing {
            path: self.path.clone(),
            backing: below.path.display().to_string(),
            reason: format!(
                "its CID is {}, but its child expects {}: it was modified since, or is another \
                 image",
                shown(below.descriptor.cid),
                shown(expected)
            ),
            remedy: "restore the original parent; if only the CID was changed, write the expected \
                     CID into the parent's descriptor"
                .to_owned(),
        })
    }
}

fn refuse_se_sparse(source: &NamedSource) -> Result<(), ImageError> {
    let mut magic = [0; SE_SPARSE_MAGIC.len()];
    let len = usize::try_from(source.len).map_or(magic.len(), |len| len.min(magic.len()));
    source.read(0, &mut magic[..len])?;
    if magic == SE_SPARSE_MAGIC {
        let remedy = "delete the snapshot, or copy it with `vmkfstools -i IN -d thin OUT`, and \
                      use the copy";
        return Err(unsupported(source, "a seSparse extent".to_owned(), remedy));
    }
    Ok(())
}

const OPEN_TEXT: &str = "open the descriptor instead, a small text file: `disk.vmdk` for \
                         `disk-s001.vmdk` or `disk-delta.vmdk`";
const FLATTEN: &str = "make it one file with `qemu-img convert -O qcow2`";

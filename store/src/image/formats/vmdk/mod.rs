//! VMDK: a reader of disks of hosted products and of ESX, with their parents.
//!
//! A disk is one sparse file with an embedded descriptor (`monolithicSparse`, `streamOptimized`),
//! or a descriptor that lists extents: flat, sparse (`KDMV`, `COWD`) or zero. Grains may be
//! compressed, and the grain directory may lie at the end of its file. `seSparse` extents and disks
//! that stand for a device are refused.
//!
//! # Invariants
//!
//! 1. The extents of a layer cover its disk without gaps.
//! 2. Extents and parents are opened by the rules of [`open`](crate::image::open()), wherever their
//!    names point. A path of another machine means the file of the same name next to the image.
//! 3. Memory is bounded for the image as a whole: directories ([`sparse`]), grain tables
//!    ([`TABLES_MAX`]) and decompressed grains ([`GRAINS_LEN_MAX`]).

mod descriptor;
mod header;
mod layer;
mod packed;
mod sparse;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::Cache;
use super::walk;
use crate::image::error::check_range;
use crate::image::source::{NamedSource, Source, at_start};
use crate::image::{DiskImage, Format, ImageError, Variant};
use layer::{Layer, Stored};
use sparse::{Kind, Limits, Tables};

pub(in crate::image) use descriptor::is_descriptor;
pub(in crate::image) use layer::{Files, Found};

const SECTOR_LEN: u64 = 512;
/// Maximum length of a disk, in sectors: 64 TiB.
const DISK_SECTORS_MAX: u64 = 1 << 37;
/// Number of grain tables cached, each of at most 16 KiB.
const TABLES_MAX: usize = 512;
/// Total length of decompressed grains cached for partial reads, in bytes.
const GRAINS_LEN_MAX: u64 = 8 << 20;
/// Maximum number of cached grains. Readers move forward, so a few per thread suffice, and more
/// would slow down the search.
const GRAINS_MAX: u64 = 64;

/// Returns whether a file with these first bytes is a VMDK or an extent of one.
pub(in crate::image) fn is_vmdk(head: &[u8]) -> bool {
    let signature = descriptor::SIGNATURE;
    let start = head.get(..signature.len());
    let is_text = start.is_some_and(|start| start.eq_ignore_ascii_case(signature));
    is_text || head.starts_with(&header::SPARSE_MAGIC) || head.starts_with(&header::COWD_MAGIC)
}

/// A VMDK image with its extents and parents.
pub struct VmdkImage {
    /// The images of the chain, topmost first; at least one.
    layers: Vec<Layer>,
    files: Vec<PathBuf>,
    tables: Tables,
    grains: Cache<(usize, u64), Arc<[u8]>>,
}

/// The place of guest bytes in a chain.
enum Place<'a> {
    Zero,
    /// In an extent, at this offset of the extent.
    Extent(&'a layer::Extent, u64, Kind),
}

impl VmdkImage {
    /// Opens an image that is not a separate file, as in an OVA, in tests and in fuzzing. `name` is
    /// its name in errors.
    ///
    /// # Errors
    ///
    /// As [`open`](crate::image::open()). An image of several files is refused.
    pub fn from_source(name: PathBuf, source: Box<dyn Source>) -> Result<Self, ImageError> {
        let source = NamedSource::new(name.clone(), source);
        let mut refuse = |overlay: &Path, names: &[PathBuf], _| {
            let file = names.first().map_or(Path::new(""), PathBuf::as_path);
            Err(ImageError::Backing {
                path: overlay.to_owned(),
                backing: file.display().to_string(),
                reason: "the image is not a file".to_owned(),
                remedy: "open the image by its path".to_owned(),
            })
        };
        let mut image = Self::open(source, &mut refuse)?;
        image.files = vec![name];
        Ok(image)
    }

    /// Opens an image and all its files, which `files` opens by name.
    pub(in crate::image) fn open(
        source: NamedSource,
        files: &mut Files<'_>,
    ) -> Result<Self, ImageError> {
        let mut limits = Limits::default();
        let mut extents = 0;
        let mut layers: Vec<Layer> = Vec::new();
        let mut next = Some(source);
        let mut paths = Vec::new();
        while let Some(source) = next.take() {
            let layer = Layer::open(source, &mut extents, &mut limits, files)?;
            if let Some(above) = layers.last() {
                above.check_parent(&layer)?;
            }
            if let Some(parent) = layer.parent() {
                next = Some(files(layer.path(), &parent.names, Found::Parent)?);
            }
            paths.extend(layer.paths().map(Path::to_owned));
            layers.push(layer);
        }
        let grain_len = layers.iter().map(Layer::grain_len).max().unwrap_or(1).max(1);
        let grains = (GRAINS_LEN_MAX / grain_len).clamp(1, GRAINS_MAX);
        let grains = Cache::new(usize::try_from(grains).unwrap_or(1));
        Ok(Self { layers, files: paths, tables: Cache::new(TABLES_MAX), grains })
    }

    /// Returns the place of the bytes at `offset`, and their number there: at least one, at most
    /// `len_max`.
    fn resolve(&self, offset: u64, len_max: u64) -> Result<(Place<'_>, u64), ImageError> {
        let mut len = len_max;
        for layer in &self.layers {
            // A shorter parent reads as zeros past its end, whatever is below it.
            let Some(extent) = layer.find(offset) else { return Ok((Place::Zero, len)) };
            let in_extent = offset - extent.start;
            let piece = extent.map(&self.tables, in_extent, len)?;
            len = piece.len;
            match piece.kind {
                Kind::Unallocated => {}
                Kind::Zero => return Ok((Place::Zero, len)),
                kind => return Ok((Place::Extent(extent, in_extent, kind), len)),
            }
        }
        Ok((Place::Zero, len))
    }

    /// Returns the content at `offset`: `Ok(len)` for data, `Err(len)` for a hole.
    fn step(&self, offset: u64) -> Result<Result<u64, u64>, ImageError> {
        let (place, len) = self.resolve(offset, self.disk_len() - offset)?;
        let Place::Extent(extent, _, kind) = place else { return Ok(Err(len)) };
        let (Kind::Data(host), Some(source)) = (kind, extent.source()) else { return Ok(Ok(len)) };
        // Space allocated and never written is a hole of the file.
        Ok(at_start(source.next_run(host)?, host, len))
    }

    /// Reads from the compressed grain at `offset` of its extent.
    fn read_packed(
        &self,
        extent: &layer::Extent,
        offset: u64,
        host: u64,
        buf: &mut [u8],
    ) -> Result<(), ImageError> {
        let Stored::Sparse(sparse) = &extent.stored else { return Ok(()) };
        let grain_len = sparse.header.grain_len();
        let start = offset - offset % grain_len;
        let len = grain_len.min(extent.len - start);
        if buf.len() as u64 == len {
            return packed::inflate(sparse, host, start, buf);
        }
        let grain = match self.grains.get((extent.id, host)) {
            Some(grain) if grain.len() as u64 == len => grain,
            _ => {
                let mut grain = vec![0; usize::try_from(len).unwrap_or(0)];
                packed::inflate(sparse, host, start, &mut grain)?;
                let grain: Arc<[u8]> = grain.into();
                self.grains.put((extent.id, host), grain.clone());
                grain
            }
        };
        let at = usize::try_from(offset - start).unwrap_or(0);
        buf.copy_from_slice(&grain[at..at + buf.len()]);
        Ok(())
    }
}

impl DiskImage for VmdkImage {
    fn disk_len(&self) -> u64 {
        self.layers.first().map_or(0, Layer::disk_len)
    }

    fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError> {
        walk::next_run(self.disk_len(), from, |offset| self.step(offset))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        let path = self.files.first().map_or(Path::new(""), PathBuf::as_path);
        check_range(path, self.disk_len(), offset, buf.len())?;
        let (mut offset, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let len_max = u64::try_from(rest.len()).unwrap_or(u64::MAX);
            let (place, len) = self.resolve(offset, len_max)?;
            let (now, later) = rest.split_at_mut(usize::try_from(len).unwrap_or(usize::MAX));
            match place {
                Place::Extent(extent, _, Kind::Data(host)) => extent.read_data(host, now)?,
                Place::Extent(extent, at, Kind::Packed(host)) => {
                    self.read_packed(extent, at, host, now)?;
                }
                Place::Zero | Place::Extent(..) => now.fill(0),
            }
            offset += len;
            rest = later;
        }
        Ok(())
    }

    fn is_packed(&self, offset: u64) -> Result<bool, ImageError> {
        let (place, _) = self.resolve(offset, 1)?;
        Ok(matches!(place, Place::Extent(_, _, Kind::Packed(_))))
    }

    fn variant(&self) -> Variant {
        let detail = self.layers.first().map(Layer::describe).unwrap_or_default();
        Variant { format: Format::Vmdk, detail, sector_len: None }
    }

    fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

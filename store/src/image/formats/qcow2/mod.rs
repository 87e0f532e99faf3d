//! qcow2, versions 2 and 3: a reader of whole backing chains.
//!
//! The reader supports standard, zero and compressed (deflate, zstd) clusters, and subclusters. It
//! ignores reference counts, internal snapshots, bitmaps and lazy refcounts, none of which change
//! what the guest reads. Encrypted images and external data files are refused.
//!
//! A chain is kept flat, topmost file first. An image of another format can only be its base.
//!
//! # Invariants
//!
//! 1. Every table in use lies in its file, and so does the start of every cluster.
//! 2. Memory is bounded for the chain as a whole: L1 entries and L2 slices (`table`), and
//!    decompressed clusters ([`CLUSTERS_LEN_MAX`]).

mod compressed;
mod header;
mod layer;
mod table;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::Cache;
use super::walk;
use crate::image::error::check_range;
use crate::image::source::{NamedSource, Source, at_start};
use crate::image::{DiskImage, Format, ImageError, Variant};
use compressed::Packed;
use layer::Kind;
use table::Slices;

pub(in crate::image) use header::Backing;
pub(in crate::image) use layer::Layer;
pub(in crate::image) use table::Limits;

/// Total length of decompressed clusters cached for partial reads, in bytes.
const CLUSTERS_LEN_MAX: u64 = 8 << 20;
/// Maximum number of cached clusters. Readers move forward, so a few per thread suffice, and more
/// would slow down the search.
const CLUSTERS_MAX: u64 = 64;

/// A qcow2 image with its backing files.
pub struct Qcow2Image {
    layers: Vec<Layer>,
    base: Option<Box<dyn DiskImage>>,
    files: Vec<PathBuf>,
    slices: Slices,
    clusters: Cache<(usize, Packed), Arc<[u8]>>,
}

/// The place of guest bytes in a chain.
enum Place<'a> {
    Zero,
    Base(&'a dyn DiskImage),
    /// In the layer at this position in the chain. Never `Unallocated` or `Zero`.
    Layer(usize, Kind),
}

impl Qcow2Image {
    /// Opens an image that is not a file, for tests and fuzzing. `name` is its name in errors.
    ///
    /// # Errors
    ///
    /// As [`open`](crate::image::open). An image with a backing file is refused.
    pub fn from_source(name: PathBuf, source: Box<dyn Source>) -> Result<Self, ImageError> {
        let layer = Layer::open(NamedSource::new(name.clone(), source), &mut Limits::default())?;
        if let Some(backing) = layer.backing() {
            return Err(ImageError::Backing {
                path: name,
                backing: backing.name.display().to_string(),
                reason: "the image is not a file".to_owned(),
                remedy: "open the image by its path".to_owned(),
            });
        }
        Ok(Self::new(vec![layer], None, vec![name]))
    }

    /// Joins a chain of at least one layer, topmost first.
    pub(in crate::image) fn new(
        layers: Vec<Layer>,
        base: Option<Box<dyn DiskImage>>,
        files: Vec<PathBuf>,
    ) -> Self {
        let longest = |len: fn(&Layer) -> u64| layers.iter().map(len).max().unwrap_or(1);
        let slices = Slices::new(longest(Layer::slice_len));
        let clusters = CLUSTERS_LEN_MAX / longest(Layer::cluster_len);
        let clusters = usize::try_from(clusters.clamp(1, CLUSTERS_MAX)).unwrap_or(1);
        Self { layers, base, files, slices, clusters: Cache::new(clusters) }
    }

    /// Returns the place of the bytes at `offset`, and their number there: at least one, at most
    /// `len_max`.
    fn resolve(&self, offset: u64, len_max: u64) -> Result<(Place<'_>, u64), ImageError> {
        let mut len = len_max;
        for (id, layer) in self.layers.iter().enumerate() {
            // A shorter backing file reads as zeros past its end, whatever is below it.
            if offset >= layer.disk_len() {
                return Ok((Place::Zero, len));
            }
            let mapping = layer.map(&self.slices, id, offset, len)?;
            // `map` clips the length to this layer's end, past which the layers above read zeros.
            len = mapping.len;
            match mapping.kind {
                Kind::Unallocated => {}
                Kind::Zero => return Ok((Place::Zero, len)),
                kind => return Ok((Place::Layer(id, kind), len)),
            }
        }
        match &self.base {
            Some(base) if offset < base.disk_len() => {
                Ok((Place::Base(&**base), len.min(base.disk_len() - offset)))
            }
            _ => Ok((Place::Zero, len)),
        }
    }

    /// Returns the content at `offset`: `Ok(len)` for data, `Err(len)` for a hole.
    fn step(&self, offset: u64) -> Result<Result<u64, u64>, ImageError> {
        let (place, len) = self.resolve(offset, self.disk_len() - offset)?;
        Ok(match place {
            Place::Zero => Err(len),
            Place::Base(base) => at_start(base.next_data(offset)?, offset, len),
            // Clusters allocated and never written are holes of the file.
            Place::Layer(id, Kind::Data(host)) => {
                at_start(self.layers[id].source.next_run(host)?, host, len)
            }
            Place::Layer(..) => Ok(len),
        })
    }

    /// Reads from a compressed cluster, starting `in_cluster` bytes into it.
    fn read_compressed(
        &self,
        id: usize,
        packed: Packed,
        in_cluster: usize,
        buf: &mut [u8],
    ) -> Result<(), ImageError> {
        let layer = &self.layers[id];
        let cluster_len = usize::try_from(layer.cluster_len()).unwrap_or(usize::MAX);
        if buf.len() == cluster_len {
            return compressed::inflate(layer, packed, buf);
        }
        let cluster = match self.clusters.get((id, packed)) {
            Some(cluster) => cluster,
            None => {
                let mut cluster = vec![0; cluster_len];
                compressed::inflate(layer, packed, &mut cluster)?;
                let cluster: Arc<[u8]> = cluster.into();
                self.clusters.put((id, packed), cluster.clone());
                cluster
            }
        };
        buf.copy_from_slice(&cluster[in_cluster..in_cluster + buf.len()]);
        Ok(())
    }
}

impl DiskImage for Qcow2Image {
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
                Place::Zero => now.fill(0),
                Place::Base(base) => base.read_at(offset, now)?,
                Place::Layer(id, Kind::Data(host)) => self.layers[id].read_data(host, now)?,
                Place::Layer(id, Kind::Compressed(packed)) => {
                    let in_cluster = offset % self.layers[id].cluster_len();
                    let in_cluster = usize::try_from(in_cluster).unwrap_or(0);
                    self.read_compressed(id, packed, in_cluster, now)?;
                }
                Place::Layer(_, Kind::Unallocated | Kind::Zero) => now.fill(0),
            }
            offset += len;
            rest = later;
        }
        Ok(())
    }

    fn is_packed(&self, offset: u64) -> Result<bool, ImageError> {
        let (place, _) = self.resolve(offset, 1)?;
        match place {
            Place::Base(base) => base.is_packed(offset),
            place => Ok(matches!(place, Place::Layer(_, Kind::Compressed(_)))),
        }
    }

    fn variant(&self) -> Variant {
        let detail = self.layers.first().map(Layer::describe).unwrap_or_default();
        Variant { format: Format::Qcow2, detail, sector_len: None }
    }

    fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

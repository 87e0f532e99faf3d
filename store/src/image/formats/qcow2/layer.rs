//! One qcow2 file of a chain, which maps guest offsets to places in the file.
//!
//! # Invariants
//!
//! 1. A [`Mapping`] covers at least one byte, so every walk ends.
//! 2. A mapping costs at most [`walk::PIECES_MAX`] table look-ups, so that a walk stays linear even
//!    if a hole in this file spans many table entries above many runs of data.

use std::sync::Arc;

use super::super::walk::{self, MappingKind, join};
use super::compressed::Packed;
use super::header::{Backing, Compression, Header};
use super::table::{L1, Limits, OFFSET_MASK, Slices, slice_len};
use crate::image::ImageError;
use crate::image::source::NamedSource;

const COMPRESSED: u64 = 1 << 62;
const READS_AS_ZEROS: u64 = 1 << 0;
const SUBCLUSTERS: u32 = 32;

/// The place of guest bytes, as known to this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Not in this file: read the backing file.
    Unallocated,
    /// Zeros, whatever the backing file has.
    Zero,
    /// In the file, from this offset.
    Data(u64),
    /// In a compressed cluster.
    Compressed(Packed),
}

impl MappingKind for Kind {
    fn host(self) -> Option<u64> {
        if let Self::Data(host) = self { Some(host) } else { None }
    }

    fn is_compressed(self) -> bool {
        matches!(self, Self::Compressed(_))
    }
}

/// A run of guest bytes of one kind.
pub(super) type Mapping = walk::Mapping<Kind>;

/// A qcow2 file with a validated header.
pub(in crate::image) struct Layer {
    pub(super) source: NamedSource,
    header: Header,
    l1: L1,
}

impl Layer {
    pub(in crate::image) fn open(
        source: NamedSource,
        limits: &mut Limits,
    ) -> Result<Self, ImageError> {
        let header = Header::parse(&source)?;
        let entries = header.disk_len.div_ceil(1 << Shape::of(&header).l1_shift());
        let l1 = L1::load(&source, &header, entries, limits)?;
        Ok(Self { source, header, l1 })
    }

    pub(in crate::image) fn backing(&self) -> Option<&Backing> {
        self.header.backing.as_ref()
    }

    pub(super) fn disk_len(&self) -> u64 {
        self.header.disk_len
    }

    pub(super) fn cluster_len(&self) -> u64 {
        1 << self.header.cluster_bits
    }

    pub(super) fn compression(&self) -> Compression {
        self.header.compression
    }

    /// Returns the version, the cluster length and the compression, for display.
    pub(super) fn describe(&self) -> String {
        let Header { version, cluster_bits, extended_l2, .. } = self.header;
        let kib = (1u64 << cluster_bits) as f64 / 1024.0;
        let extended = if extended_l2 { ", subclusters" } else { "" };
        let compression = match self.compression() {
            Compression::Deflate => "deflate",
            Compression::Zstd => "zstd",
        };
        format!("version {version}, clusters of {kib} KiB{extended}, {compression}")
    }

    pub(super) fn slice_len(&self) -> u64 {
        slice_len(self.cluster_len())
    }

    /// Returns the place of up to `len_max` bytes at `offset`, which must lie in this file's disk.
    ///
    /// Clusters that adjoin in the file, too, are returned as one mapping. `id` is the layer's
    /// position in the chain, by which its entries in the shared `slices` are keyed.
    pub(super) fn map(
        &self,
        slices: &Slices,
        id: usize,
        offset: u64,
        len_max: u64,
    ) -> Result<Mapping, ImageError> {
        let len_max = len_max.min(self.disk_len() - offset);
        let mut walk = Walk { layer: self, shape: Shape::of(&self.header), slices, id, at: None };
        join(offset, len_max, |offset| walk.piece(offset))
    }

    /// Reads guest bytes stored in the file from `host`, with zeros past the file's end: the last
    /// cluster need not be complete.
    pub(super) fn read_data(&self, host: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        self.source.read_padded(host, buf)
    }
}

/// Lengths that follow from a header, as powers of two.
#[derive(Clone, Copy)]
struct Shape {
    cluster_bits: u32,
    /// Length of an L2 entry in bytes, as a power of two: 3 for one word, 4 for two.
    entry_bits: u32,
}

impl Shape {
    fn of(header: &Header) -> Self {
        let entry_bits = if header.extended_l2 { 4 } else { 3 };
        Self { cluster_bits: header.cluster_bits, entry_bits }
    }

    /// Returns the shift from a guest offset to its L1 index: at most 39.
    fn l1_shift(self) -> u32 {
        self.cluster_bits + self.cluster_bits - self.entry_bits
    }
}

/// A walk along a layer, with the current L2 slice.
struct Walk<'a> {
    layer: &'a Layer,
    shape: Shape,
    slices: &'a Slices,
    id: usize,
    at: Option<(u64, Arc<[u64]>)>,
}

impl Walk<'_> {
    /// Returns the place of the bytes at `offset`, to the end of their cluster, of their run of
    /// subclusters, or of a gap in L1.
    fn piece(&mut self, offset: u64) -> Result<Mapping, ImageError> {
        let l1_shift = self.shape.l1_shift();
        let table = match self.layer.l1.find(offset >> l1_shift) {
            Ok(table) => table,
            Err(next) => {
                // The disk may end within the gap; `map` clips the length.
                let end = next.map_or(self.layer.disk_len(), |index| index << l1_shift);
                return Ok(Mapping { kind: Kind::Unallocated, len: end - offset });
            }
        };
        let in_table = offset & ((1 << l1_shift) - 1);
        let entry_offset = (in_table >> self.shape.cluster_bits) << self.shape.entry_bits;
        let slice_len = self.layer.slice_len();
        let slice_offset = table + entry_offset / slice_len * slice_len;
        let slice = match &self.at {
            Some((at, slice)) if *at == slice_offset => slice,
            _ => {
                let source = &self.layer.source;
                let slice = self.slices.load(self.id, source, slice_offset, slice_len)?;
                &self.at.insert((slice_offset, slice)).1
            }
        };
        // Less than 64 KiB, and within the slice of `slice_len` bytes.
        let word = usize::try_from(entry_offset % slice_len / 8).unwrap_or(0);
        let entry = Entry {
            layer: self.layer,
            at: table + entry_offset,
            word: slice[word],
            bitmap: if self.shape.entry_bits == 4 { Some(slice[word + 1]) } else { None },
            in_cluster: offset & ((1 << self.shape.cluster_bits) - 1),
        };
        entry.decode()
    }
}

/// An L2 entry, with an offset in its cluster.
struct Entry<'a> {
    layer: &'a Layer,
    at: u64,
    word: u64,
    bitmap: Option<u64>,
    in_cluster: u64,
}

impl Entry<'_> {
    fn decode(&self) -> Result<Mapping, ImageError> {
        let to_end = self.layer.cluster_len() - self.in_cluster;
        let whole = |kind| Ok(Mapping { kind, len: to_end });
        if self.word & COMPRESSED != 0 {
            return whole(Kind::Compressed(self.packed()?));
        }
        if let Some(bitmap) = self.bitmap {
            return self.decode_subcluster(bitmap);
        }
        if self.word & READS_AS_ZEROS != 0 {
            if self.layer.header.version < 3 {
                return Err(self.wrong("it marks zeros, which version 2 lacks".to_owned()));
            }
            return whole(Kind::Zero);
        }
        match self.word & OFFSET_MASK {
            0 => whole(Kind::Unallocated),
            host => whole(Kind::Data(self.host(host)? + self.in_cluster)),
        }
    }

    /// Decodes an entry with a bitmap: 32 bits for subclusters allocated in the cluster, then 32
    /// for subclusters of zeros.
    fn decode_subcluster(&self, bitmap: u64) -> Result<Mapping, ImageError> {
        let allocated = bitmap & u64::from(u32::MAX);
        let zeros = bitmap >> SUBCLUSTERS;
        let host = self.word & OFFSET_MASK;
        if allocated & zeros != 0 {
            return Err(self.wrong(format!("subclusters {bitmap:#x} are both data and zeros")));
        }
        if host == 0 && allocated != 0 {
            return Err(self.wrong("it has subclusters, but no cluster".to_owned()));
        }
        let part_len = self.layer.cluster_len() / u64::from(SUBCLUSTERS);
        let part = self.in_cluster / part_len;
        let (kind, alike) = if allocated >> part & 1 == 1 {
            (Kind::Data(self.host(host)? + self.in_cluster), allocated)
        } else if zeros >> part & 1 == 1 {
            (Kind::Zero, zeros)
        } else {
            (Kind::Unallocated, !(allocated | zeros) & u64::from(u32::MAX))
        };
        let parts = u64::from((alike >> part).trailing_ones());
        Ok(Mapping { kind, len: (part + parts) * part_len - self.in_cluster })
    }

    fn host(&self, host: u64) -> Result<u64, ImageError> {
        if !host.is_multiple_of(self.layer.cluster_len()) {
            return Err(self.wrong(format!("its data at {host} is not at a cluster")));
        }
        // The last cluster may end past the end of the file, where QEMU reads zeros. A cluster that
        // starts there means that the file was truncated.
        if host >= self.layer.source.len {
            let len = self.layer.source.len;
            return Err(self.wrong(format!("its data at {host} is past the end of file at {len}")));
        }
        Ok(host)
    }

    fn packed(&self) -> Result<Packed, ImageError> {
        let file_len = self.layer.source.len;
        Packed::parse(self.word, self.layer.header.cluster_bits, file_len).ok_or_else(|| {
            self.wrong(format!("its compressed data is past the end of file at {file_len}"))
        })
    }

    fn wrong(&self, reason: String) -> ImageError {
        self.layer.source.damaged("L2 entry", self.at, reason)
    }
}

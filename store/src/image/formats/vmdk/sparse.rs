//! A sparse extent, which maps its offsets to places in its file by a directory of grain tables.
//!
//! # Invariants
//!
//! 1. A [`Piece`] covers at least one byte, so every walk ends.
//! 2. Tables in use lie in the file, and so does the start of every grain.
//! 3. The directories of an image together have at most [`DIRECTORY_ENTRIES_MAX`] entries.

use std::sync::Arc;

use super::super::cache::Cache;
use super::super::fields::le32;
use super::super::walk::{Mapping, MappingKind};
use super::SECTOR_LEN;
use super::header::Header;
use crate::image::ImageError;
use crate::image::source::NamedSource;

/// Maximum number of directory entries: two directories for 64 TiB in grains of 64 KiB.
const DIRECTORY_ENTRIES_MAX: u64 = 4 << 20;
/// Length of a read of a directory, in bytes.
const READ_LEN_MAX: usize = 64 << 10;
/// The table entry of a grain of zeros, if enabled in the header.
const ZERO_GRAIN: u32 = 1;

/// The directory entries left for an image while it is opened.
pub(super) struct Limits {
    directory_entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { directory_entries: DIRECTORY_ENTRIES_MAX }
    }
}

/// A cache of the grain tables of a whole image, keyed by the extent's number and the table's
/// offset.
pub(super) type Tables = Cache<(usize, u64), Arc<[u32]>>;

/// The place of bytes, as known to an extent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Not in this extent: read the parent.
    Unallocated,
    /// Zeros, whatever the parent has.
    Zero,
    /// In the file, from this offset.
    Data(u64),
    /// In the compressed grain at this offset of the file.
    Packed(u64),
}

impl MappingKind for Kind {
    fn host(self) -> Option<u64> {
        if let Self::Data(host) = self { Some(host) } else { None }
    }

    fn is_compressed(self) -> bool {
        matches!(self, Self::Packed(_))
    }
}

/// A run of bytes of one kind.
pub(super) type Piece = Mapping<Kind>;

/// A sparse extent with a validated header.
pub(super) struct Sparse {
    pub(super) source: NamedSource,
    pub(super) header: Header,
    /// The first sector of each grain table; 0 if there is none.
    directory: Vec<u32>,
}

impl Sparse {
    pub(super) fn open(source: NamedSource, limits: &mut Limits) -> Result<Self, ImageError> {
        let header = Header::parse(&source)?;
        let directory = load_directory(&source, &header, header.directory, limits)?;
        let mut this = Self { source, header, directory };
        this.mend(limits)?;
        Ok(this)
    }

    /// Replaces invalid directory entries by those of the redundant directory.
    fn mend(&mut self, limits: &mut Limits) -> Result<(), ImageError> {
        let is_wrong = |entry: &u32| !self.is_table(*entry);
        let Some(broken) = self.directory.iter().position(is_wrong) else { return Ok(()) };
        let (entry, at) = (self.directory[broken], self.header.directory);
        let wrong = self.source.damaged(
            "grain directory",
            at,
            format!("entry {broken} points to sector {entry}, past the end of the file"),
        );
        let Some(second) = self.header.redundant else { return Err(wrong) };
        let second = load_directory(&self.source, &self.header, second, limits)?;
        for (index, spare) in second.into_iter().enumerate() {
            if self.is_table(self.directory[index]) {
                continue;
            }
            if spare == 0 || !self.is_table(spare) {
                return Err(wrong);
            }
            self.directory[index] = spare;
        }
        Ok(())
    }

    /// Returns whether a directory entry is valid: no table, or one that lies in the file.
    fn is_table(&self, sector: u32) -> bool {
        let len = u64::from(self.header.table_entries) * 4;
        sector == 0 || u64::from(sector) * SECTOR_LEN + len <= self.source.len
    }

    /// Returns the place of the bytes at `offset`, to the end of their grain or of a gap. `offset`
    /// must lie in the extent.
    ///
    /// `id` is the extent's number, by which its entries in the shared `tables` are keyed.
    pub(super) fn piece(
        &self,
        tables: &Tables,
        id: usize,
        offset: u64,
    ) -> Result<Piece, ImageError> {
        let span = self.header.table_span();
        let index = usize::try_from(offset / span).unwrap_or(usize::MAX);
        let in_table = offset % span;
        match self.directory.get(index) {
            None | Some(0) => Ok(Piece { kind: Kind::Unallocated, len: span - in_table }),
            Some(sector) => {
                let at = u64::from(*sector) * SECTOR_LEN;
                self.entry(&self.table(tables, id, at)?, at, in_table)
            }
        }
    }

    fn table(&self, tables: &Tables, id: usize, at: u64) -> Result<Arc<[u32]>, ImageError> {
        if let Some(table) = tables.get((id, at)) {
            return Ok(table);
        }
        // At most 16 KiB.
        let mut bytes = vec![0; self.header.table_entries as usize * 4];
        self.source.read(at, &mut bytes)?;
        let table: Arc<[u32]> = words(&bytes).collect();
        tables.put((id, at), table.clone());
        Ok(table)
    }

    fn entry(&self, table: &[u32], at: u64, in_table: u64) -> Result<Piece, ImageError> {
        let grain_len = self.header.grain_len();
        let index = usize::try_from(in_table / grain_len).unwrap_or(usize::MAX);
        let in_grain = in_table % grain_len;
        let zero = |entry: u32| self.header.zero_grains && entry == ZERO_GRAIN;
        let kind_of = |entry: u32| match entry {
            0 => Some(Kind::Unallocated),
            entry if zero(entry) => Some(Kind::Zero),
            _ => None,
        };
        let entry = table.get(index).copied().unwrap_or(0);
        if let Some(kind) = kind_of(entry) {
            // Grains without data come in long runs: one look at the table covers all of them.
            let alike = table[index..].iter().take_while(|next| kind_of(**next) == Some(kind));
            let grains = u64::try_from(alike.count()).unwrap_or(1).max(1);
            return Ok(Piece { kind, len: grains * grain_len - in_grain });
        }
        let host = u64::from(entry) * SECTOR_LEN;
        // The last grain may end past the end of the file, where QEMU reads zeros. A grain that
        // starts there means that the file was truncated.
        if host >= self.source.len {
            let reason = format!(
                "entry {index} points to {host}, past the end of the file at {}",
                self.source.len
            );
            return Err(self.source.damaged("grain table", at, reason));
        }
        let kind =
            if self.header.compressed { Kind::Packed(host) } else { Kind::Data(host + in_grain) };
        Ok(Piece { kind, len: grain_len - in_grain })
    }
}

fn load_directory(
    source: &NamedSource,
    header: &Header,
    at: u64,
    limits: &mut Limits,
) -> Result<Vec<u32>, ImageError> {
    let wrong = |reason: String| source.damaged("grain directory", at, reason);
    let entries = (header.sectors * SECTOR_LEN).div_ceil(header.table_span());
    if entries > limits.directory_entries {
        let left = limits.directory_entries;
        return Err(wrong(format!("{entries} entries are needed, at most {left} are read")));
    }
    limits.directory_entries -= entries;
    if at.checked_add(entries * 4).is_none_or(|end| end > source.len) {
        let len = source.len;
        return Err(wrong(format!("its {entries} entries end past the end of the file at {len}")));
    }
    let mut directory = Vec::new();
    let mut bytes = vec![0; READ_LEN_MAX];
    let mut at = at;
    let mut left = entries * 4;
    while left > 0 {
        let len = usize::try_from(left).map_or(READ_LEN_MAX, |left| left.min(READ_LEN_MAX));
        source.read(at, &mut bytes[..len])?;
        directory.extend(words(&bytes[..len]));
        at += len as u64;
        left -= len as u64;
    }
    Ok(directory)
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|word| le32(word, 0))
}

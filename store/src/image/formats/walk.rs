//! Walks over images with tables: joins pieces to mappings, and steps to runs of data.
//!
//! # Invariants
//!
//! 1. A mapping costs at most [`PIECES_MAX`] look-ups.
//! 2. A run is at most [`RUN_LEN_MAX`] long and never empty.

use std::ops::Range;

use crate::image::{ImageError, RUN_LEN_MAX};

/// Maximum number of pieces joined into one mapping.
pub(in crate::image) const PIECES_MAX: usize = 8192;

/// The kind of the guest bytes of a mapping.
pub(in crate::image) trait MappingKind: Copy + PartialEq {
    /// Returns the offset of the bytes in the file, if they are stored there uncompressed.
    fn host(self) -> Option<u64>;

    /// Returns whether the bytes are compressed: such a piece is read by itself.
    fn is_compressed(self) -> bool;
}

/// A run of guest bytes of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::image) struct Mapping<K> {
    pub(in crate::image) kind: K,
    pub(in crate::image) len: u64,
}

/// Joins pieces from `offset` on that adjoin in the file too, up to `len_max` bytes.
pub(in crate::image) fn join<K: MappingKind>(
    offset: u64,
    len_max: u64,
    mut piece: impl FnMut(u64) -> Result<Mapping<K>, ImageError>,
) -> Result<Mapping<K>, ImageError> {
    let mut run = piece(offset)?;
    for _ in 1..PIECES_MAX {
        if run.len >= len_max || run.kind.is_compressed() {
            break;
        }
        let next = piece(offset + run.len)?;
        let adjoins = match (run.kind.host(), next.kind.host()) {
            (Some(first), Some(second)) => first + run.len == second,
            _ => run.kind == next.kind,
        };
        if !adjoins {
            break;
        }
        run.len += next.len;
    }
    run.len = run.len.min(len_max);
    Ok(run)
}

/// Returns the first run of data at or after `from`. `step` returns the content at an offset:
/// `Ok(len)` for data, `Err(len)` for a hole.
pub(in crate::image) fn next_run(
    disk_len: u64,
    from: u64,
    step: impl Fn(u64) -> Result<Result<u64, u64>, ImageError>,
) -> Result<Option<Range<u64>>, ImageError> {
    let mut start = from;
    let mut end = loop {
        if start >= disk_len {
            return Ok(None);
        }
        match step(start)? {
            Ok(data) => break start + data,
            Err(hole) => start += hole,
        }
    };
    while end < disk_len && end - start < RUN_LEN_MAX {
        let Ok(data) = step(end)? else { break };
        end += data;
    }
    Ok(Some(start..end.min(start + RUN_LEN_MAX)))
}

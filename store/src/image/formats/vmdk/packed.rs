//! Compressed grains.
//!
//! # Invariants
//!
//! 1. A grain decompresses to at least the length needed at its place on the disk, and at most to
//!    the grain length. Output never leaves the given buffer.
//! 2. Input is at most twice the length of a grain.
//!
//! Each thread has its own decompressor; threads never wait for one another here.

use std::cell::RefCell;

use libdeflater::{DecompressionError, Decompressor};

use super::super::fields::{le32, le64};
use super::SECTOR_LEN;
use super::sparse::Sparse;
use crate::image::ImageError;

/// Length of the marker before a compressed grain, in bytes: sector and length.
const MARKER_LEN: u64 = 12;
/// Maximum length of the input buffer kept between grains, per thread, in bytes.
const INPUT_KEPT_MAX: usize = 256 << 10;

thread_local! {
    static SCRATCH: RefCell<(Vec<u8>, Decompressor)> =
        RefCell::new((Vec::new(), Decompressor::new()));
}

/// Decompresses the grain at `start` of an extent into `grain`.
///
/// The buffer has the length of a grain, or ends with the extent. In the latter case, the stream
/// may be longer, as some writers pad the last grain.
pub(super) fn inflate(
    extent: &Sparse,
    host: u64,
    start: u64,
    grain: &mut [u8],
) -> Result<(), ImageError> {
    let source = &extent.source;
    let wrong = |reason: String| source.damaged("compressed grain", host, reason);
    let len_max = extent.header.grain_len() * 2;
    SCRATCH.with_borrow_mut(|(input, deflate)| {
        let (at, len) = if extent.header.markers {
            let mut marker = [0; 12];
            if source.len - host < MARKER_LEN {
                return Err(wrong("its marker ends past the end of the file".to_owned()));
            }
            source.read(host, &mut marker)?;
            let (sector, len) = (le64(&marker, 0), u64::from(le32(&marker, 8)));
            if sector != start / SECTOR_LEN {
                let expected = start / SECTOR_LEN;
                return Err(wrong(format!("it is marked as sector {sector}, not {expected}")));
            }
            if len == 0 || len > len_max || len > source.len - host - MARKER_LEN {
                return Err(wrong(format!("{len} bytes: too many for a grain, or for the file")));
            }
            (host + MARKER_LEN, len)
        } else {
            (host, len_max.min(source.len - host))
        };
        let len = usize::try_from(len).unwrap_or(0);
        if input.len() < len {
            input.resize(len, 0);
        }
        source.read(at, &mut input[..len])?;
        let outcome = inflate_zlib(deflate, &input[..len], extent, grain).map_err(wrong);
        if input.len() > INPUT_KEPT_MAX {
            *input = Vec::new();
        }
        outcome
    })
}

fn inflate_zlib(
    deflate: &mut Decompressor,
    input: &[u8],
    extent: &Sparse,
    grain: &mut [u8],
) -> Result<(), String> {
    let grain_len = usize::try_from(extent.header.grain_len()).unwrap_or(0);
    let explain = |error| match error {
        DecompressionError::InsufficientSpace => {
            format!("it inflates to more than the {grain_len} bytes of a grain")
        }
        DecompressionError::BadData => "it is not a zlib stream".to_owned(),
    };
    let wanted = grain.len();
    let len = if wanted == grain_len {
        deflate.zlib_decompress(input, grain).map_err(explain)?
    } else {
        // The last grain of the extent: some writers pad it to the grain length.
        let mut whole = vec![0; grain_len];
        let len = deflate.zlib_decompress(input, &mut whole).map_err(explain)?;
        grain.copy_from_slice(&whole[..wanted]);
        len
    };
    if len < wanted {
        return Err(format!("it inflates to {len} bytes, {wanted} are needed"));
    }
    Ok(())
}

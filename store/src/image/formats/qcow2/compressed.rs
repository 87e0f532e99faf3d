//! Compressed clusters.
//!
//! # Invariants
//!
//! 1. A cluster decompresses to exactly its length. Output never leaves the given buffer, so a
//!    cluster that would decompress to more is an error that costs no memory.
//! 2. Input is at most two clusters long, by the width of its length field.
//!
//! Each thread has its own decompressor; threads never wait for one another here.

use std::cell::RefCell;

use libdeflater::{DecompressionError, Decompressor};
use zstd_safe::DCtx;

use super::header::Compression;
use super::layer::Layer;
use crate::image::ImageError;

const SECTOR_LEN: u64 = 512;
/// Maximum length of the input buffer kept between clusters, per thread, in bytes.
const INPUT_KEPT_MAX: usize = 256 << 10;

/// The place of the compressed bytes of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Packed {
    pub(super) host: u64,
    /// Length in bytes, up to a sector more than the stream's, clipped to the file.
    len: u64,
}

impl Packed {
    /// Parses the descriptor in an L2 entry; `None` if the offset lies past the end of the file.
    pub(super) fn parse(entry: u64, cluster_bits: u32, file_len: u64) -> Option<Self> {
        let offset_bits = 62 - (cluster_bits - 8);
        let host = entry & ((1 << offset_bits) - 1);
        let sectors = (entry >> offset_bits) & ((1 << (cluster_bits - 8)) - 1);
        // The stream may begin within its first sector; the field counts the sectors after that
        // one.
        let len = (sectors + 1) * SECTOR_LEN - host % SECTOR_LEN;
        // The file may end within the last sector of the last cluster.
        let len = len.min(file_len.checked_sub(host)?);
        (len > 0).then_some(Self { host, len })
    }
}

struct Scratch {
    input: Vec<u8>,
    deflate: Decompressor,
    zstd: Option<DCtx<'static>>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: Vec::new(),
        deflate: Decompressor::new(),
        zstd: None,
    });
}

/// Decompresses a whole cluster into `cluster`, which has the cluster length of `layer`.
pub(super) fn inflate(layer: &Layer, packed: Packed, cluster: &mut [u8]) -> Result<(), ImageError> {
    SCRATCH.with_borrow_mut(|scratch| {
        let len = usize::try_from(packed.len).unwrap_or(0);
        if scratch.input.len() < len {
            scratch.input.resize(len, 0);
        }
        let input = &mut scratch.input[..len];
        layer.source.read(packed.host, input)?;
        let outcome = match layer.compression() {
            Compression::Deflate => inflate_deflate(&mut scratch.deflate, input, cluster),
            Compression::Zstd => {
                let context = match &mut scratch.zstd {
                    Some(context) => context,
                    none => none.insert(DCtx::try_create().ok_or_else(|| ImageError::Io {
                        verb: "get memory to inflate",
                        path: layer.source.path.clone(),
                        source: std::io::ErrorKind::OutOfMemory.into(),
                    })?),
                };
                inflate_zstd(context, input, cluster)
            }
        };
        if scratch.input.len() > INPUT_KEPT_MAX {
            scratch.input = Vec::new();
        }
        outcome.map_err(|reason| layer.source.damaged("compressed cluster", packed.host, reason))
    })
}

fn inflate_deflate(
    state: &mut Decompressor,
    input: &[u8],
    cluster: &mut [u8],
) -> Result<(), String> {
    match state.deflate_decompress(input, cluster) {
        Ok(len) if len == cluster.len() => Ok(()),
        Ok(len) => Err(too_short(len, cluster.len())),
        Err(DecompressionError::InsufficientSpace) => Err(too_long(cluster.len())),
        Err(DecompressionError::BadData) => Err("it is not a deflate stream".to_owned()),
    }
}

/// Decompresses frame after frame until the cluster is full. The rest of the input is padding.
///
/// Decompressing whole frames straight into the cluster needs no window, for which a stream may
/// demand 128 MiB.
fn inflate_zstd(
    context: &mut DCtx<'_>,
    mut input: &[u8],
    cluster: &mut [u8],
) -> Result<(), String> {
    let mut filled = 0;
    // A frame has at least its magic, so the input shrinks with each iteration.
    while filled < cluster.len() {
        let broken = |code| format!("it is not a zstd frame: {}", zstd_safe::get_error_name(code));
        if input.is_empty() {
            return Err(too_short(filled, cluster.len()));
        }
        let frame_len = zstd_safe::find_frame_compressed_size(input).map_err(broken)?;
        let Some((frame, rest)) = input.split_at_checked(frame_len.max(1)) else {
            return Err("its frame is longer than its input".to_owned());
        };
        filled += context.decompress(&mut cluster[filled..], frame).map_err(broken)?;
        input = rest;
    }
    Ok(())
}

fn too_short(len: usize, cluster_len: usize) -> String {
    format!("it inflates to {len} bytes, a cluster has {cluster_len}")
}

fn too_long(cluster_len: usize) -> String {
    format!("it inflates to more than the {cluster_len} bytes of a cluster")
}

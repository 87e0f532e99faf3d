//! The reference of `./dev bench`: the bytes that byte-wise FastCDC of 16/64/256 KiB would store as
//! new.
//!
//! `fastcdc OLD NEW` prints the stored bytes (zstd as in packs) of the chunks that are in NEW and
//! not in OLD, then their count. Runs of data are cut apart, so that holes cost nothing.
//!
//! Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
//! Systems", 2020, with normalisation level 1.

use std::collections::HashSet;
use std::error::Error;
use std::path::Path;

use seawall_api::digest::ChunkDigest;
use seawall_store::codec::Encoder;
use seawall_store::image::{OpenOptions, open};
use seawall_store::scan::is_zero;

const LEN_MIN: usize = 16 << 10;
const LEN_MEAN: usize = 64 << 10;
const LEN_MAX: usize = 256 << 10;
/// One bit more than 16 before the mean, and one bit less after it.
const MASK_BEFORE_MEAN: u64 = !(u64::MAX >> 17);
const MASK_AFTER_MEAN: u64 = !(u64::MAX >> 15);
/// Read at once, a multiple of the longest chunk.
const WINDOW_LEN: usize = 64 << 20;

fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let mut random = blake3::Hasher::new().update(b"gear").finalize_xof();
    for entry in &mut table {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        *entry = u64::from_le_bytes(bytes);
    }
    table
}

fn cut(bytes: &[u8], gear: &[u64; 256]) -> usize {
    let end = bytes.len().min(LEN_MAX);
    let mut hash = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(end).skip(LEN_MIN) {
        hash = (hash << 1).wrapping_add(gear[usize::from(*byte)]);
        let mask = if at < LEN_MEAN { MASK_BEFORE_MEAN } else { MASK_AFTER_MEAN };
        if hash & mask == 0 {
            return at + 1;
        }
    }
    end
}

fn each_chunk(path: &Path, on_chunk: &mut dyn FnMut(&[u8])) -> Result<(), Box<dyn Error>> {
    let (image, gear) = (open(path, &OpenOptions::default())?, gear());
    let mut buffer = vec![0; WINDOW_LEN];
    let mut from = 0;
    while let Some(run) = image.next_data(from)? {
        let mut at = run.start;
        while at < run.end {
            let len = usize::try_from(run.end - at)?.min(WINDOW_LEN);
            image.read_at(at, &mut buffer[..len])?;
            let is_last = at + len as u64 == run.end;
            let mut done = 0;
            while len - done >= LEN_MAX || (is_last && done < len) {
                let chunk_len = cut(&buffer[done..len], &gear);
                on_chunk(&buffer[done..done + chunk_len]);
                done += chunk_len;
            }
            at += done as u64;
        }
        from = run.end;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<_> = std::env::args_os().skip(1).collect();
    let [old, new] = &paths[..] else { return Err("usage: fastcdc OLD NEW".into()) };
    let mut seen = HashSet::new();
    each_chunk(Path::new(old), &mut |chunk| {
        seen.insert(ChunkDigest::of(chunk));
    })?;
    let (mut stored, mut count) = (0, 0);
    let mut encoder = Encoder::default();
    let mut frame = vec![0; Encoder::bound(LEN_MAX)];
    each_chunk(Path::new(new), &mut |chunk| {
        if !is_zero(chunk) && seen.insert(ChunkDigest::of(chunk)) {
            stored += encoder.encode(chunk, &mut frame).1;
            count += 1;
        }
    })?;
    println!("{stored} {count}");
    Ok(())
}

//! Opens, maps and reads bytes as a VHDX image; nothing may panic, hang or take much memory.
//!
//! A VHDX has at least 3 MiB, mostly zeros. The input is the rest: the beginnings of its structures
//! in a row ([`PIECES`]), then its log. The target moves them to their places, and corrects the
//! checksums unless the first byte is odd. Seeds: `fuzz/seeds/vhdx`.

#![no_main]

mod walk;

use std::io;
use std::ops::Range;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use seawall_store::image::{Format, Source, open_source};

const FILE_LEN: u64 = 8 << 20;
/// The offset of each structure, and its length in the input: header, region table, metadata table,
/// metadata items, table of blocks. In the file, the log comes first.
const PIECES: [(u64, usize); 5] = [
    (64 << 10, 80),
    (192 << 10, 80),
    (2 << 20, 256),
    ((2 << 20) + (64 << 10), 512),
    (3 << 20, 128),
];
const LOG_AT: u64 = 1 << 20;
const LOG_LEN: usize = 1 << 20;
const SECTOR_LEN: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, mut rest)) = bytes.split_first() else { return };
    let is_sealed = flags & 1 == 0;
    let mut pieces = vec![(0, b"vhdxfile".to_vec())];
    for (at, len) in PIECES {
        let (piece, later) = rest.split_at(len.min(rest.len()));
        rest = later;
        let mut piece = piece.to_vec();
        match at {
            0x1_0000 if is_sealed => seal(&mut piece, 4096),
            0x3_0000 if is_sealed => seal(&mut piece, 64 << 10),
            _ => {}
        }
        pieces.push((at, piece));
    }
    let mut log = rest[..rest.len().min(LOG_LEN)].to_vec();
    if is_sealed {
        seal_log(&mut log);
    }
    pieces.push((LOG_AT, log));
    let source = Box::new(Sparse { pieces });
    let Ok(image) = open_source("fuzz".into(), source, Format::Vhdx) else { return };
    walk::walk(&*image);
});

/// A table of CRC-32C for each byte, because checksums are most of the work.
static TABLE: LazyLock<[u32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|byte| {
        (0..8).fold(
            byte as u32,
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 },
        )
    })
});

/// Pads a structure with zeros and writes its CRC-32C.
fn seal(bytes: &mut Vec<u8>, len: usize) {
    bytes.resize(len, 0);
    bytes[4..8].fill(0);
    let table = &*TABLE;
    let crc = bytes
        .iter()
        .fold(u32::MAX, |crc, byte| crc >> 8 ^ table[usize::from(crc.to_le_bytes()[0] ^ byte)]);
    bytes[4..8].copy_from_slice(&(!crc).to_le_bytes());
}

/// Writes the checksum of each complete log entry. Goes from the end of the log to its start, so
/// that an entry within another one is sealed first.
fn seal_log(log: &mut Vec<u8>) {
    log.resize(log.len().next_multiple_of(SECTOR_LEN), 0);
    for start in (0..log.len()).step_by(SECTOR_LEN).rev() {
        let head = &log[start..start + 12];
        let Ok(len) = <[u8; 4]>::try_from(&head[8..12]) else { continue };
        let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
        if head[..4] == *b"loge" && len >= 64 && len <= log.len() - start {
            let mut entry = log[start..start + len].to_vec();
            seal(&mut entry, len);
            log[start..start + len].copy_from_slice(&entry);
        }
    }
}

/// A source of zeros with a few other bytes.
struct Sparse {
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Source for Sparse {
    fn source_len(&self) -> u64 {
        FILE_LEN
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let len = buf.len() as u64;
        let end = offset.checked_add(len).filter(|end| *end <= FILE_LEN);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.fill(0);
        for (at, bytes) in &self.pieces {
            let (from, to) = (offset.max(*at), end.min(at + bytes.len() as u64));
            if from < to {
                let piece = &bytes[(from - at) as usize..(to - at) as usize];
                buf[(from - offset) as usize..(to - offset) as usize].copy_from_slice(piece);
            }
        }
        Ok(())
    }

    fn next_run(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        Ok((from < FILE_LEN).then_some(from..FILE_LEN))
    }
}

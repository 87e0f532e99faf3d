//! The writer of VMDKs of the kind `streamOptimized`: every byte is written once, in order.
//!
//! The order is: header, descriptor, compressed grains each after a marker, with each grain table
//! after its grains, the directory, a footer with the fields unknown to the header, and the
//! end-of-stream marker.

use std::io::{self, Write};

use libdeflater::{CompressionLvl, Compressor};

use super::pipeline::{self, Compress, Span};
use super::{Disk, StreamError};
use crate::image::layout::vmdk::head::{
    DISK_LEN_MAX, GRAIN_LEN, GRAIN_SECTORS, Head, SECTOR_LEN, TABLE_ENTRIES, TABLE_LEN, descriptor,
};
use crate::image::layout::{Clusters, LayoutError};

const GRAIN_BITS: u32 = 16;
/// Flags: line-end check, compressed grains, markers.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;
const VERSION: u32 = 3;
/// The directory offset in the header of a stream: the real one is in the footer.
const GD_AT_END: u64 = u64::MAX;
const MARKER_TABLE: u32 = 1;
const MARKER_DIRECTORY: u32 = 2;
const MARKER_FOOTER: u32 = 3;
const MARKER_END: u32 = 0;
/// Length of the marker before a compressed grain, in bytes: sector and length.
const MARKER_LEN: usize = 12;

pub(super) fn write(disk: &Disk<'_>, out: &mut dyn Write) -> Result<u64, StreamError> {
    let disk_len = disk.image.disk_len();
    if disk_len > DISK_LEN_MAX {
        let disk_len_max = DISK_LEN_MAX;
        let error = LayoutError::DiskTooLong { disk_len, format: "vmdk-stream", disk_len_max };
        return Err(error.into());
    }
    let grains = Clusters::of(GRAIN_BITS, disk_len, disk.data_runs.iter().cloned())?;
    let sectors = disk_len.div_ceil(SECTOR_LEN);
    let head = Head {
        version: VERSION,
        flags: FLAGS,
        sectors,
        redundant: 0,
        directory: GD_AT_END,
        grains: GRAIN_SECTORS,
        compression: 1,
    };
    let mut stream = Stream {
        out,
        len: 0,
        directory: vec![
            0;
            usize::try_from(disk_len.div_ceil(GRAIN_LEN * TABLE_ENTRIES)).unwrap_or(0)
        ],
        table: vec![0; usize::try_from(TABLE_ENTRIES).unwrap_or(0)],
        table_index: 0,
    };
    stream.put(&head.bytes())?;
    stream.put(&descriptor("streamOptimized", sectors, disk.content))?;
    stream.pad_to(GRAIN_LEN)?;
    pipeline::run(disk, &grains, GRAIN_LEN, &compressor, &mut |span| stream.span(&span))?;
    stream.finish(head)
}

fn compressor() -> Result<Box<Compress<'static>>, StreamError> {
    let mut deflate = Compressor::new(CompressionLvl::default());
    Ok(Box::new(move |grain, plain, out| {
        let start = out.len();
        let bound = deflate.zlib_compress_bound(plain.len());
        out.extend((grain * GRAIN_SECTORS).to_le_bytes());
        out.extend([0; 4]);
        out.resize(start + MARKER_LEN + bound, 0);
        let len = deflate
            .zlib_compress(plain, &mut out[start + MARKER_LEN..])
            .map_err(|error| StreamError::Compress(error.to_string()))?;
        out.truncate(start + MARKER_LEN + len);
        // Little more than a grain, so it fits.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        out[start + 8..start + MARKER_LEN].copy_from_slice(&len.to_le_bytes());
        // Everything begins at a sector.
        out.resize(start + (out.len() - start).next_multiple_of(512), 0);
        Ok(())
    }))
}

struct Stream<'a> {
    out: &'a mut dyn Write,
    len: u64,
    /// The first sector of each grain table; 0 if there is none.
    directory: Vec<u32>,
    /// The table of the grains being written.
    table: Vec<u32>,
    table_index: u64,
}

impl Stream<'_> {
    fn span(&mut self, span: &Span) -> Result<(), StreamError> {
        // A span may have grains of two tables; the first table goes between them.
        let mut written = 0;
        let mut end = 0;
        for (grain, bytes) in span.clusters() {
            if grain / TABLE_ENTRIES != self.table_index {
                self.put(&span.bytes[written..end])?;
                written = end;
                self.end_table()?;
                self.table_index = grain / TABLE_ENTRIES;
            }
            let at = self.len + (end - written) as u64;
            let entry = usize::try_from(grain % TABLE_ENTRIES).unwrap_or(0);
            self.table[entry] = sector(at)?;
            end += bytes.len();
        }
        self.put(&span.bytes[written..end])
    }

    /// Writes the table of the grains so far, if there are any.
    fn end_table(&mut self) -> Result<(), StreamError> {
        if self.table.iter().all(|entry| *entry == 0) {
            return Ok(());
        }
        self.marker(MARKER_TABLE, TABLE_LEN / SECTOR_LEN)?;
        let index = usize::try_from(self.table_index).unwrap_or(usize::MAX);
        self.directory[index] = sector(self.len)?;
        let bytes = le_bytes(&self.table);
        self.table.fill(0);
        self.put(&bytes)
    }

    fn finish(mut self, head: Head) -> Result<u64, StreamError> {
        self.end_table()?;
        let mut directory = le_bytes(&self.directory);
        directory.resize(directory.len().next_multiple_of(512), 0);
        self.marker(MARKER_DIRECTORY, directory.len() as u64 / SECTOR_LEN)?;
        let directory_sector = u64::from(sector(self.len)?);
        self.put(&directory)?;
        self.marker(MARKER_FOOTER, 1)?;
        self.put(&Head { directory: directory_sector, ..head }.bytes())?;
        self.marker(MARKER_END, 0)?;
        self.out.flush().map_err(StreamError::Write)?;
        Ok(self.len)
    }

    /// Writes a marker: a sector that states the kind of the next `sectors` sectors.
    fn marker(&mut self, kind: u32, sectors: u64) -> Result<(), StreamError> {
        let mut bytes = [0; 512];
        bytes[..8].copy_from_slice(&sectors.to_le_bytes());
        bytes[12..16].copy_from_slice(&kind.to_le_bytes());
        self.put(&bytes)
    }

    fn pad_to(&mut self, unit: u64) -> Result<(), StreamError> {
        let gap = usize::try_from(self.len.next_multiple_of(unit) - self.len).unwrap_or(0);
        self.put(&vec![0; gap])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.out.write_all(bytes).map_err(StreamError::Write)?;
        self.len += bytes.len() as u64;
        Ok(())
    }
}

/// Converts an offset to a sector number. Fails past 32 bits, which incompressible data can reach.
fn sector(at: u64) -> Result<u32, StreamError> {
    u32::try_from(at / SECTOR_LEN).map_err(|_| {
        let reason = "the stream is longer than the 2 TiB that the format can address";
        StreamError::Write(io::Error::new(io::ErrorKind::FileTooLarge, reason))
    })
}

fn le_bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

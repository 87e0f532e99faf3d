//! Laid-out files written to a pipe or a device.

use std::io::{self, Write};
use std::ops::Range;

use super::super::DiskImage;
use super::super::layout::{Layout, Part};
use super::{ConvertError, Device};
use crate::scan::is_zero;

const WINDOW_LEN: u64 = 1 << 20;

/// A consumer of a file's bytes, in order.
pub(super) trait Taker {
    /// Takes bytes.
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Takes `len` zeros.
    fn zeros(&mut self, len: u64) -> io::Result<()>;
    /// Flushes all bytes taken.
    fn end(&mut self) -> io::Result<()>;
}

/// A pipe, which receives every zero as a byte.
pub(super) struct Pipe<'a>(pub(super) &'a mut (dyn Write + Send));

impl Taker for Pipe<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        for window in windows(0..len, ZEROS.len() as u64) {
            let len = usize::try_from(window.end - window.start).unwrap_or(0);
            self.0.write_all(&ZEROS[..len])?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Taker for Device {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        self.write_zeros(len)
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// Writes a file from start to end.
pub(super) fn write(
    image: &dyn DiskImage,
    layout: &dyn Layout,
    out: &mut dyn Taker,
    advance: &dyn Fn(u64),
) -> Result<(), ConvertError> {
    let mut buffer = vec![0; usize::try_from(WINDOW_LEN).unwrap_or(0)];
    for part in layout.parts() {
        match part {
            Part::Bytes(bytes) => out.bytes(&bytes).map_err(ConvertError::Write)?,
            Part::Zeros(len) => out.zeros(len).map_err(ConvertError::Write)?,
            Part::Guest(range) => {
                for window in windows(range, WINDOW_LEN) {
                    let len = window.end - window.start;
                    let bytes = &mut buffer[..usize::try_from(len).unwrap_or(0)];
                    // In formats of whole sectors, the file's disk may be longer than the image's.
                    let in_disk = image.disk_len().clamp(window.start, window.end) - window.start;
                    let (guest, past) = bytes.split_at_mut(usize::try_from(in_disk).unwrap_or(0));
                    image.read_at(window.start, guest)?;
                    past.fill(0);
                    let written = if is_zero(bytes) { out.zeros(len) } else { out.bytes(bytes) };
                    written.map_err(ConvertError::Write)?;
                    advance(len);
                }
            }
        }
    }
    out.end().map_err(ConvertError::Write)
}

fn windows(range: Range<u64>, len: u64) -> impl Iterator<Item = Range<u64>> {
    let step = usize::try_from(len).unwrap_or(usize::MAX);
    range.clone().step_by(step).map(move |at| at..range.end.min(at + len))
}

//! A laid-out file sent down a pipe.

use std::io::Write;
use std::ops::Range;

use super::super::DiskImage;
use super::super::layout::{Layout, Part};
use super::ConvertError;

const WINDOW_LEN: u64 = 1 << 20;

/// Writes a file from its first byte to its last.
pub(super) fn write(
    image: &dyn DiskImage,
    layout: &dyn Layout,
    out: &mut dyn Write,
    advance: &dyn Fn(u64),
) -> Result<(), ConvertError> {
    let mut buffer = vec![0; usize::try_from(WINDOW_LEN).unwrap_or(0)];
    for part in layout.parts() {
        match part {
            Part::Bytes(bytes) => out.write_all(&bytes).map_err(ConvertError::Write)?,
            Part::Zeros(len) => {
                buffer.fill(0);
                for window in windows(0..len) {
                    let len = usize::try_from(window.end - window.start).unwrap_or(0);
                    out.write_all(&buffer[..len]).map_err(ConvertError::Write)?;
                }
            }
            Part::Guest(range) => {
                for window in windows(range) {
                    let bytes =
                        &mut buffer[..usize::try_from(window.end - window.start).unwrap_or(0)];
                    // Formats of whole sectors end past a disk that does not.
                    let in_disk = image.disk_len().clamp(window.start, window.end) - window.start;
                    let (guest, past) = bytes.split_at_mut(usize::try_from(in_disk).unwrap_or(0));
                    image.read_at(window.start, guest)?;
                    past.fill(0);
                    out.write_all(bytes).map_err(ConvertError::Write)?;
                    advance(window.end - window.start);
                }
            }
        }
    }
    out.flush().map_err(ConvertError::Write)
}

fn windows(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let step = usize::try_from(WINDOW_LEN).unwrap_or(usize::MAX);
    range.clone().step_by(step).map(move |at| at..range.end.min(at + WINDOW_LEN))
}

//! The pass that writes guest bytes to their places in a laid-out file.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use seawall_api::units::BLOCK_LEN;

use super::super::layout::Layout;
use super::{Convert, ConvertError};

/// Maximum length of one read and write, in bytes.
pub(super) const PIECE_LEN: u64 = 2 << 20;

/// Copies the data runs into a file whose metadata is written.
pub(super) fn copy(
    order: &Convert<'_>,
    layout: &dyn Layout,
    runs: &[Range<u64>],
    file: &File,
) -> Result<(), ConvertError> {
    let pieces = Mutex::new(runs.iter().flat_map(pieces));
    let failed = AtomicBool::new(false);
    let work = || -> Result<(), ConvertError> {
        let mut buffer = vec![0; usize::try_from(PIECE_LEN).unwrap_or(0)];
        while !failed.load(Ordering::Relaxed) {
            let piece = pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(piece) = piece else { break };
            let bytes = &mut buffer[..usize::try_from(piece.end - piece.start).unwrap_or(0)];
            order.image.read_at(piece.start, bytes)?;
            write(layout, piece.start, bytes, file)?;
            (order.advance)(piece.end - piece.start);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let work = || work().inspect_err(|_| failed.store(true, Ordering::Relaxed));
        let workers: Vec<_> = (0..order.threads.clamp(1, 64)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

fn pieces(run: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let Range { start, end } = run.clone();
    let step = usize::try_from(PIECE_LEN).unwrap_or(usize::MAX);
    (start..end).step_by(step).map(move |at| at..end.min(at + PIECE_LEN))
}

/// Writes guest bytes at the offsets given by the layout.
fn write(layout: &dyn Layout, start: u64, bytes: &[u8], file: &File) -> Result<(), ConvertError> {
    let mut done = 0;
    while done < bytes.len() {
        let left = bytes.len() - done;
        let at = start + done as u64;
        let Some(host) = layout.host_offset(at) else {
            // A gap over which runs were joined: zeros without a place in the file.
            let gap = BLOCK_LEN - at % BLOCK_LEN;
            done += usize::try_from(gap).unwrap_or(usize::MAX).min(left);
            continue;
        };
        let len = usize::try_from(host.len).unwrap_or(usize::MAX).min(left);
        let written = file.write_all_at(&bytes[done..done + len], host.offset);
        written.map_err(ConvertError::Write)?;
        done += len;
    }
    Ok(())
}

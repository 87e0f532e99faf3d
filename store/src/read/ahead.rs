//! Detects sequential reads, and decides how far to read ahead. Pure.

use std::ops::Range;

/// The number of sequential streams followed at once.
const STREAMS_MAX: usize = 3;
/// The shortest read-ahead in bytes.
const WINDOW_MIN: u64 = 256 << 10;
/// The longest read-ahead in bytes. All streams together fit into the reader's cache.
const WINDOW_MAX: u64 = 32 << 20;
/// The distance from the end of a stream, in lengths of the read, at which a read continues the
/// stream: several threads that share a stream overtake each other.
const REACH: u64 = 16;

/// The sequential streams among the reads of one disk, the most recent one last.
#[derive(Default)]
pub(super) struct Ahead {
    streams: Vec<Stream>,
}

struct Stream {
    /// The end of the stream's furthest read.
    end: u64,
    /// The length of the read-ahead, 0 after the first read.
    window: u64,
    /// The end of the bytes read ahead.
    read_to: u64,
}

impl Ahead {
    /// Records a read, and returns the range to read ahead, if any.
    pub(super) fn record(&mut self, read: &Range<u64>) -> Option<Range<u64>> {
        let len = read.end - read.start;
        let reach = len.saturating_mul(REACH);
        let continues = |stream: &Stream| read.start.abs_diff(stream.end) <= reach;
        let Some(at) = self.streams.iter().position(continues) else {
            if self.streams.len() == STREAMS_MAX {
                self.streams.remove(0);
            }
            self.streams.push(Stream { end: read.end, window: 0, read_to: read.end });
            return None;
        };
        let mut stream = self.streams.remove(at);
        stream.end = stream.end.max(read.end);
        let longer = (stream.window * 2).max(len.saturating_mul(4)).max(WINDOW_MIN);
        stream.window = longer.min(WINDOW_MAX);
        let from = stream.read_to.max(stream.end);
        let to = stream.end + stream.window;
        // Read in halves of the window, which need fewer questions and requests.
        let ahead = (to.saturating_sub(from) >= stream.window / 2).then_some(from..to);
        if let Some(ahead) = &ahead {
            stream.read_to = ahead.end;
        }
        self.streams.push(stream);
        ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(ahead: &mut Ahead, reads: impl IntoIterator<Item = u64>, len: u64) -> u64 {
        let reads = reads.into_iter().filter_map(|at| ahead.record(&(at..at + len)));
        reads.map(|ahead| ahead.end - ahead.start).sum()
    }

    #[test]
    fn scattered_reads_read_nothing_ahead() {
        let scattered = (0..1000).map(|i| (i * 7919 % 1000) << 20);
        assert_eq!(reads(&mut Ahead::default(), scattered, 4096), 0);
    }

    #[test]
    fn sequential_reads_read_every_byte_ahead_once_and_by_ever_more() {
        let (mut next, mut longest) = (4096, 0);
        let mut ahead = Ahead::default();
        for at in (0..256 << 20).step_by(4096) {
            if let Some(range) = ahead.record(&(at..at + 4096)) {
                assert!(range.start == next || at == 4096, "{range:?} after {next}");
                longest = longest.max(range.end - range.start);
                next = range.end;
            }
            assert!(next <= at + 4096 + WINDOW_MAX);
        }
        assert!(longest >= WINDOW_MAX / 2, "{longest}");
    }

    #[test]
    fn threads_that_share_a_stream_do_not_interrupt_it() {
        let piece = 2 << 20;
        let overtaking = (0..64).map(|i: u64| (i ^ 3) * piece);
        let sum = reads(&mut Ahead::default(), overtaking, piece);
        assert!(sum >= 60 * piece, "{sum}");
    }

    #[test]
    fn two_streams_are_told_apart() {
        let both = (0..1000).map(|i: u64| (i % 2) * (1 << 40) + i / 2 * 65_536);
        assert!(reads(&mut Ahead::default(), both, 65_536) >= 2 * 499 * 65_536);
    }
}

//! A compressed archive, read once from start to end to list its members.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use seawall_store::image::Source;

use super::scratch::{read_full, skip};

/// A source that can only be read forward. Its length is unknown until the end.
pub(super) struct Forward<'a>(Mutex<State<'a>>);

struct State<'a> {
    stream: Box<dyn Read + Send + 'a>,
    at: u64,
}

impl<'a> Forward<'a> {
    pub(super) fn new(stream: Box<dyn Read + Send + 'a>) -> Self {
        Self(Mutex::new(State { stream, at: 0 }))
    }
}

impl Source for Forward<'_> {
    fn source_len(&self) -> u64 {
        u64::MAX
    }

    /// Fails with `UnexpectedEof` if the stream ends at or after `offset`, with `InvalidData` if
    /// before.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = offset.checked_sub(state.at).ok_or(io::ErrorKind::Unsupported)?;
        skip(&mut state.stream, ahead)?;
        if read_full(&mut state.stream, buf)? < buf.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        state.at = offset + buf.len() as u64;
        Ok(())
    }

    fn next_run(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        Ok(Some(from..self.source_len()))
    }
}

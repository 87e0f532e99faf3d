//! Answers that are the same for everybody: made once, held once, and sent in short pieces, so that
//! ten thousand clients that do not read them cost little more than their connections.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use crate::http::limits;

/// A body whose bytes are shared.
#[derive(Clone, Debug)]
pub(super) struct Fixed(Bytes);

impl From<Vec<u8>> for Fixed {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl MessageBody for Fixed {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let len = self.0.len().min(limits::FIXED_PIECE_LEN);
        Poll::Ready(Some(Ok(self.0.split_to(len))))
    }
}

/// Bodies by name, each made on first use. Only existing names use memory.
#[derive(Debug, Default)]
pub(super) struct Shelf<T>(Mutex<BTreeMap<String, T>>);

impl<T: Clone> Shelf<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Returns the body of this name, made on first use. Returns `None` if `make` has none.
    ///
    /// # Errors
    /// Fails if it cannot be made.
    pub(super) fn get<E>(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.get(name) {
            return Ok(Some(found.clone()));
        }
        let made = make()?;
        if let Some(made) = &made {
            kept.insert(name.to_owned(), made.clone());
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fixed_body_comes_in_short_pieces_and_is_whole() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|at| at.to_le_bytes()[0]).collect();
        let mut body = Fixed::from(bytes.clone());
        assert_eq!(body.size(), BodySize::Sized(100_000));
        let mut sent = Vec::new();
        while let Some(piece) =
            std::future::poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await.transpose().unwrap()
        {
            assert!(piece.len() <= limits::FIXED_PIECE_LEN);
            sent.extend_from_slice(&piece);
        }
        assert_eq!(sent, bytes);
    }

    #[test]
    fn an_existing_body_is_made_once_and_a_missing_one_takes_no_memory() {
        let shelf = Shelf::new();
        let get = |name, made: Option<u8>| shelf.get(name, || Ok::<_, ()>(made)).unwrap();
        assert_eq!(
            (get("a", Some(1)), get("a", Some(2)), get("b", None)),
            (Some(1), Some(1), None)
        );
        assert_eq!(get("b", Some(3)), Some(3));
        assert_eq!(shelf.get("c", || Err(7)), Err::<Option<u8>, _>(7));
    }
}

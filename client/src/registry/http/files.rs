//! Files below the address: a depot behind a web server, which need not be a registry.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use reqwest::header::{CACHE_CONTROL, CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{StatusCode, Url};

use super::HttpRegistry;
use super::transport::Call;
use crate::registry::RegistryError;

impl HttpRegistry {
    /// Returns the file at `path` below the address, of at most `len_max` bytes.
    ///
    /// # Errors
    /// Fails if the server does not answer, or with an error or too many bytes.
    pub(crate) async fn file(&self, path: &str, len_max: u64) -> Result<Bytes, RegistryError> {
        let call = Call::get(self.file_url(path), format!("read {path}"));
        let mut call = call.answered_within(len_max);
        // Documents are replaced: a cache on the way asks the server whether its copy is current.
        call.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(self.transport.send(&call).await?.body)
    }

    /// Returns exactly a range of the file at `path`; `None` if the server does not answer ranges.
    ///
    /// # Errors
    /// Fails if the server does not answer, or with an error or another range.
    pub(crate) async fn file_range(
        &self,
        path: &str,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, RegistryError> {
        let len = range.end.saturating_sub(range.start);
        if len == 0 {
            return Ok(Some(Bytes::new()));
        }
        let what = format!("read a range of {path}");
        let bad = |why: String| RegistryError::Protocol { what: what.clone(), why };
        let asked = format!("bytes {}-{}/", range.start, range.end - 1);
        let header = HeaderValue::from_str(&format!("bytes={}-{}", range.start, range.end - 1));
        let header = header.map_err(|error| bad(error.to_string()))?;
        let is_whole = Arc::new(AtomicBool::new(false));
        let (seen, purpose) = (Arc::clone(&is_whole), what.clone());
        let call = Call::get(self.file_url(path), what.clone()).answered_within(len);
        let mut call = call.checked(move |head| {
            let bad = |why| Err(RegistryError::Protocol { what: purpose.clone(), why });
            seen.store(head.status() == StatusCode::OK, Ordering::Relaxed);
            if head.status() != StatusCode::PARTIAL_CONTENT {
                return bad(format!("it answered {} instead of 206", head.status()));
            }
            let got = head.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
            match got.unwrap_or_default() {
                got if got.starts_with(&asked) => Ok(()),
                got => bad(format!("it sent `{}` instead of `{asked}…`", got.escape_debug())),
            }
        });
        call.headers.insert(RANGE, header);
        let bytes = match self.transport.send(&call).await {
            Err(_) if is_whole.load(Ordering::Relaxed) => return Ok(None),
            answer => answer?.body,
        };
        if bytes.len() as u64 != len {
            return Err(bad(format!("{} bytes arrived of a range of {len}", bytes.len())));
        }
        Ok(Some(bytes))
    }

    fn file_url(&self, path: &str) -> Url {
        let mut url = self.transport.base().clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }
}

//! Reads of names and of places: the upstream's last answer while it is fresh, and a stale one
//! while the upstream cannot be reached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use actix_web::http::header::{AGE, HeaderName, HeaderValue as ActixValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::sync::Mutex as AsyncMutex;

use super::answers::{Kept, Key};
use super::remote::{self, Whole, path_of, token_of};
use super::{TRUST_TIME, TRUST_TIME_ALONE, Upstream};
use crate::http::{Access, ApiError, Resource, at};

/// The status of an answer in caches (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// The time for which a stale answer is given while the upstream cannot be reached.
const STALE_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) fn resources() -> Vec<Resource> {
    let forwarded = |path: &str| {
        at(path)
            .get(Access::Reader, read)
            .head(Access::Reader, remote::forward)
            .post(Access::Reader, remote::forward)
            .put(Access::Reader, remote::forward)
            .delete(Access::Reader, remote::forward)
    };
    vec![
        forwarded("/v1/version"),
        forwarded("/v1/applications"),
        forwarded("/v1/applications/{rest:.*}"),
        at("/v1/chunks/locate").post(Access::Reader, locate),
    ]
}

/// The requests to the upstream whose answers others wait for, by key.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Key, Weak<AsyncMutex<()>>>>);

impl Flights {
    /// Returns the turn of a key: one holder at a time asks the upstream, the next ones find its
    /// answer.
    pub(super) fn turn(&self, key: Key) -> Arc<AsyncMutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(AsyncMutex::new(()));
        turns.insert(key, Arc::downgrade(&turn));
        turn
    }
}

/// A request whose answer may be kept.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

/// The times for which an answer is good.
#[derive(Clone, Copy)]
pub(super) struct Ages {
    /// Without asking.
    pub(super) fresh: Duration,
    /// While the upstream cannot be reached.
    pub(super) stale: Duration,
}

/// An answer of the upstream, now or earlier.
pub(super) struct Answered {
    pub(super) answer: Whole,
    age_secs: u64,
    is_stale: bool,
}

impl Upstream {
    /// Returns the answer to a question, from what is kept if that is good enough.
    pub(super) async fn ask(
        self: &Arc<Self>,
        question: Question<'_>,
        ages: Ages,
    ) -> Result<Answered, ApiError> {
        let token = question.headers.get(reqwest::header::AUTHORIZATION);
        let token = token.map_or(&b""[..], HeaderValue::as_bytes);
        let body = question.body.as_deref().unwrap_or_default();
        let method = question.method.as_str().as_bytes();
        let key = Key::of([method, question.path.as_bytes(), token, body]);
        let turn = self.flights.turn(key);
        let _turn = turn.lock().await;
        let kept = self.kept(key).await;
        let now_secs = self.host.now_secs();
        let age = |kept: &Kept| now_secs.saturating_sub(kept.at_secs);
        if let Some(kept) = &kept
            && age(kept) < ages.fresh.as_secs()
            && kept.at_secs <= now_secs
        {
            return Ok(Answered {
                age_secs: age(kept),
                answer: kept.answer.clone(),
                is_stale: false,
            });
        }
        let kept = kept.filter(|kept| age(kept) <= ages.stale.as_secs());
        let stale = |kept: Kept| {
            let (age_secs, is_stale) = (now_secs.saturating_sub(kept.at_secs), true);
            Ok(Answered { answer: kept.answer, age_secs, is_stale })
        };
        if let Some(kept) = kept.clone().filter(|_| self.remote.is_down()) {
            return stale(kept);
        }
        let call = (question.method, question.path);
        let asked = self.remote.whole(call, question.headers, question.body).await;
        match (asked, kept) {
            (Ok(answer), kept) if answer.status < 500 || kept.is_none() => {
                self.keep(key, &answer).await;
                Ok(Answered { answer, age_secs: 0, is_stale: false })
            }
            (_, Some(kept)) => stale(kept),
            (asked, None) => asked.map(|answer| Answered { answer, age_secs: 0, is_stale: false }),
        }
    }

    pub(super) async fn kept(self: &Arc<Self>, key: Key) -> Option<Kept> {
        let upstream = Arc::clone(self);
        let read = move || upstream.answers.get(key);
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }

    /// Keeps a good answer, and forgets an earlier one that a refusal replaces.
    pub(super) async fn keep(self: &Arc<Self>, key: Key, answer: &Whole) {
        let (upstream, answer, at_secs) = (Arc::clone(self), answer.clone(), self.host.now_secs());
        let write = move || match answer.status {
            200 => upstream.answers.put(key, &answer, at_secs),
            400..500 => upstream.answers.remove(key),
            _ => {}
        };
        // A failure of the task is a defect that costs an answer.
        let _ = tokio::task::spawn_blocking(write).await;
    }

    /// Admits a token that the upstream accepts, or accepted a moment ago.
    pub(super) async fn admit(
        self: &Arc<Self>,
        token: Option<&HeaderValue>,
    ) -> Result<(), ApiError> {
        let question = Question {
            method: Method::GET,
            path: "/v1/version",
            headers: remote::bearer(token),
            body: None,
        };
        let ages = Ages { fresh: TRUST_TIME, stale: TRUST_TIME_ALONE };
        let answered = self.ask(question, ages).await?;
        match answered.answer.status {
            200 => Ok(()),
            _ => Err(answered.answer.into_error()),
        }
    }
}

impl Answered {
    fn into_response(self) -> Result<HttpResponse, ApiError> {
        let Self { answer, age_secs, is_stale } = self;
        let mut response = answer.into_response()?;
        if age_secs > 0 || is_stale {
            response.headers_mut().insert(AGE, ActixValue::from(age_secs));
        }
        let status = match is_stale {
            true => "seawall; hit; detail=upstream-unreachable",
            false if age_secs > 0 => "seawall; hit",
            false => "seawall; fwd=miss",
        };
        response.headers_mut().insert(CACHE_STATUS, ActixValue::from_static(status));
        Ok(response)
    }
}

/// Reads a name.
async fn read(
    upstream: web::Data<Upstream>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let question = Question {
        method: Method::GET,
        path: path_of(&request),
        headers: remote::bearer(token_of(&request).as_ref()),
        body: None,
    };
    let ages = Ages { fresh: upstream.fresh_time, stale: STALE_TIME_MAX };
    upstream.ask(question, ages).await?.into_response()
}

/// Returns the places of chunks. Hosts that pull one release ask the same questions.
async fn locate(
    upstream: web::Data<Upstream>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    upstream.admit(token_of(&request).as_ref()).await?;
    let _turn = upstream.questions.acquire().await;
    let body = remote::gather(payload).await?;
    let mut headers = remote::bearer(token_of(&request).as_ref());
    headers.insert(reqwest::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let question =
        Question { method: Method::POST, path: path_of(&request), headers, body: Some(body) };
    let ages = Ages { fresh: upstream.fresh_time, stale: STALE_TIME_MAX };
    upstream.ask(question, ages).await?.into_response()
}

//! The middleware of all requests: request ids, checks of the head, logging, metrics, and the form
//! of errors.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorInternalServerError;
use actix_web::http::ConnectionType;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};
use futures::FutureExt;
use tracing::Instrument;

use super::access::{Admitted, refuse};
use super::body::content_len;
use super::connection::{Answer, BodyForm, Connection};
use super::{Edge, Refusal, authority, limits};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The maximum length of a request id accepted from a client.
const REQUEST_ID_LEN_MAX: usize = 64;
/// The route in metrics for requests that match none.
const NO_ROUTE: &str = "none";

/// The properties of a request known before the answer, and its actor once admitted.
struct RequestLine {
    id: String,
    method: String,
    path: String,
    admitted: Admitted,
    started: Instant,
    declared_len: u64,
}

/// Wraps every request.
pub(crate) async fn edge(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<web::Data<Edge>>().cloned() else {
        return Err(ErrorInternalServerError("the registry is not configured"));
    };
    let line = RequestLine {
        id: request_id(request.headers(), &state),
        method: request.method().to_string(),
        path: request.path().to_owned(),
        admitted: Admitted::default(),
        started: Instant::now(),
        declared_len: content_len(request.headers()).unwrap_or(0),
    };
    request.extensions_mut().insert(line.admitted.clone());
    let _in_flight = state.metrics.enter();
    let connection = request.conn_data::<Connection>().cloned();
    let body = BodyForm::of(request.method(), request.headers());
    let open = connection.as_ref().map(|connection| connection.begin(body));
    let span = tracing::info_span!("request", id = %line.id);
    let answer = answer(request, next, &state).instrument(span.clone()).await;
    let answer = span.in_scope(|| conclude(answer, &line, &state))?;
    if let Some(connection) = &connection
        && state.draining.load(Ordering::Relaxed)
    {
        // A client that kept its connection would meet the end of the registry with a later
        // request. It opens the next connection where a balancer sends it.
        connection.close();
    }
    Ok(answer.map_body(|head, body| {
        if connection.is_some_and(|connection| connection.is_closing()) {
            head.set_connection_type(ConnectionType::Close);
        }
        Answer::boxed(body, open)
    }))
}

/// Checks the head, runs the handler and returns its answer. A panic fails only this request.
async fn answer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    state: &Edge,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if let Err(refusal) = check_head(&request).and_then(|()| authority::check(&request, state)) {
        return Ok(refuse(request, refusal, state).await);
    }
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(answer) => answer.map(ServiceResponse::map_into_boxed_body),
        Err(_) => {
            tracing::error!("a handler panicked");
            Err(ErrorInternalServerError("the registry failed"))
        }
    }
}

/// Counts and logs an answer, adds the request's id, and has the voice complete errors.
fn conclude(
    answer: Result<ServiceResponse<BoxBody>, actix_web::Error>,
    line: &RequestLine,
    state: &Edge,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let took = line.started.elapsed();
    let mut response = match answer {
        Ok(response) => response,
        Err(error) => {
            let status = error.as_response_error().status_code().as_u16();
            record(line, state, NO_ROUTE, (status, 0), took);
            tracing::error!(error = %error, "failed outside a handler");
            return Err(state.voice.fail(&line.id));
        }
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        let (completed, code) = state.voice.complete(response, &line.id);
        state.metrics.refused(code);
        response = completed;
    }
    if let Ok(id) = HeaderValue::from_str(&line.id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(HeaderName::from_static("x-content-type-options"), nosniff);
    let route = response.request().match_pattern();
    let sent_len = match response.response().body().size() {
        BodySize::Sized(len) => len,
        BodySize::None | BodySize::Stream => 0,
    };
    let status = response.status().as_u16();
    record(line, state, route.as_deref().unwrap_or(NO_ROUTE), (status, sent_len), took);
    Ok(response)
}

fn record(
    line: &RequestLine,
    state: &Edge,
    route: &str,
    (status, sent_len): (u16, u64),
    took: Duration,
) {
    state.metrics.answered(&line.method, route, status, took);
    state.metrics.sent(sent_len);
    // Whole microseconds: more digits are noise of the conversion.
    let took_ms = f64::from(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)) / 1000.0;
    tracing::info!(
        method = %line.method, path = %line.path, route, status, sent_len, took_ms,
        declared_len = line.declared_len, actor = %line.admitted.name(), "answered"
    );
}

fn check_head(request: &ServiceRequest) -> Result<(), Refusal> {
    let url_len = request.uri().path_and_query().map_or(0, |url| url.as_str().len());
    if url_len > limits::URL_LEN_MAX {
        let (part, limit) = ("the path and query", limits::URL_LEN_MAX);
        return Err(Refusal::HeadTooLong { part, limit });
    }
    let len = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    let headers_len: usize = request.headers().iter().map(len).sum();
    if headers_len > limits::HEADERS_LEN_MAX {
        let (part, limit) = ("the request's headers", limits::HEADERS_LEN_MAX);
        return Err(Refusal::HeadTooLong { part, limit });
    }
    Ok(())
}

/// Returns the client's request id if suitable for a log line, otherwise a new one.
fn request_id(headers: &HeaderMap, state: &Edge) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match given {
        Some(id) if (1..=REQUEST_ID_LEN_MAX).contains(&id.len()) && id.bytes().all(plain) => {
            id.to_owned()
        }
        _ => {
            let count = state.request_count.fetch_add(1, Ordering::Relaxed);
            format!("{:016x}-{count}", state.request_prefix)
        }
    }
}

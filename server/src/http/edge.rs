//! The middleware of all requests: request ids, admission, logging, metrics, and the form of
//! errors.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};
use futures::FutureExt;
use seawall_api::problem::{Code, MEDIA_TYPE, Problem};
use tracing::Instrument;

use super::auth::{Actor, admit, is_open, routed_path};
use super::connection::{Answer, Connection};
use super::framing::Body;
use super::problem::{ApiError, code_of, encode};
use super::{Edge, authority, limits};
use crate::metrics::Metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The maximum length of a request id accepted from a client.
const REQUEST_ID_LEN_MAX: usize = 64;
/// The route in metrics for requests that match none.
const NO_ROUTE: &str = "none";

/// The properties of a request known before the answer.
struct Asked {
    id: String,
    method: String,
    path: String,
    actor: String,
    started: Instant,
    declared_len: u64,
}

/// Wraps every request.
pub(crate) async fn edge(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<web::Data<Edge>>().cloned() else {
        return Err(ApiError::new(Code::Internal, "the registry is not configured").into());
    };
    let admitted = check_head(&request)
        .and_then(|()| authority::check(&request, &state))
        .and_then(|()| admit(&request, &state))
        .and_then(|actor| within_rate(&request, &state, actor));
    let asked = Asked {
        id: request_id(request.headers(), &state),
        method: request.method().to_string(),
        path: request.path().to_owned(),
        actor: admitted.as_ref().map_or_else(|_| String::new(), |actor| actor.0.clone()),
        started: Instant::now(),
        declared_len: content_len(request.headers()),
    };
    let _in_flight = state.metrics.enter();
    let connection = request.conn_data::<Connection>().cloned();
    let body = Body::of(request.method(), request.headers());
    let asking = connection.as_ref().map(|connection| connection.begin(body));
    let span = tracing::info_span!("request", id = %asked.id);
    let answer = answer(request, next, admitted, &state.metrics).instrument(span.clone()).await;
    let answer = span.in_scope(|| conclude(answer, &asked, &state))?;
    Ok(answer.map_body(|head, body| {
        if connection.is_some_and(|connection| connection.is_closing()) {
            head.set_connection_type(ConnectionType::Close);
        }
        Answer::boxed(body, asking)
    }))
}

/// Applies the rate limits. Paths open without a token have none.
fn within_rate(request: &ServiceRequest, state: &Edge, actor: Actor) -> Result<Actor, ApiError> {
    if !is_open(routed_path(request)) {
        state.limiter.admit(request, &actor.0)?;
    }
    Ok(actor)
}

/// Runs the handler and returns its answer. A panic fails only this request.
async fn answer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    admitted: Result<Actor, ApiError>,
    metrics: &Metrics,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match admitted {
        Err(refusal) => {
            let (request, mut payload) = request.into_parts();
            super::body::drain(&request, &mut payload, metrics).await;
            let response = actix_web::HttpResponse::from_error(refusal);
            Ok(ServiceResponse::new(request, response))
        }
        Ok(actor) => {
            request.extensions_mut().insert(actor);
            match AssertUnwindSafe(next.call(request)).catch_unwind().await {
                Ok(answer) => answer.map(ServiceResponse::map_into_boxed_body),
                Err(_) => {
                    tracing::error!("a handler panicked");
                    Err(ApiError::new(Code::Internal, "the registry failed").into())
                }
            }
        }
    }
}

/// Counts and logs an answer, adds the request's id, and converts errors to problem documents.
fn conclude(
    answer: Result<ServiceResponse<BoxBody>, actix_web::Error>,
    asked: &Asked,
    state: &Edge,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let took = asked.started.elapsed();
    let mut response = match answer {
        Ok(response) => response,
        Err(error) => {
            let status = error.as_response_error().status_code().as_u16();
            record(asked, state, NO_ROUTE, (status, 0), took);
            let detail = "the registry's log has the cause under this request's id";
            tracing::error!(error = %error, "failed outside a handler");
            return Err(ApiError::new(Code::Internal, detail).with_instance(&asked.id).into());
        }
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        response = as_problem(response, &asked.id, &state.metrics);
    }
    if let Ok(id) = HeaderValue::from_str(&asked.id) {
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
    record(asked, state, route.as_deref().unwrap_or(NO_ROUTE), (status, sent_len), took);
    Ok(response)
}

fn record(
    asked: &Asked,
    state: &Edge,
    route: &str,
    (status, sent_len): (u16, u64),
    took: Duration,
) {
    state.metrics.answered(&asked.method, route, status, took);
    state.metrics.sent(sent_len);
    // Whole microseconds: more digits are noise of the conversion.
    let took_ms = f64::from(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)) / 1000.0;
    tracing::info!(
        method = %asked.method, path = %asked.path, route, status, sent_len, took_ms,
        declared_len = asked.declared_len, actor = %asked.actor, "answered"
    );
}

/// Replaces the body of an error answer with a problem document.
fn as_problem(
    mut response: ServiceResponse<BoxBody>,
    id: &str,
    metrics: &Metrics,
) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let problem = if let Some(error) = error {
        if status.is_server_error() {
            tracing::error!(code = error.problem().code.as_str(), cause = %error.chain(), "failed");
        } else {
            tracing::debug!(code = error.problem().code.as_str(), cause = %error.chain(), "refused");
        }
        error.problem().clone()
    } else {
        let reason = status.canonical_reason().unwrap_or("the request failed");
        let error = response.response().error().map(|error| error.to_string());
        let detail = error.filter(|_| status.is_client_error());
        Problem::new(code_of(status), detail.unwrap_or_else(|| reason.to_lowercase()))
    };
    metrics.refused(problem.code);
    let body = encode(&Problem { instance: Some(id.to_owned()), ..problem });
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response.map_body(|_, _| BoxBody::new(body))
}

fn check_head(request: &ServiceRequest) -> Result<(), ApiError> {
    let url_len = request.uri().path_and_query().map_or(0, |url| url.as_str().len());
    if url_len > limits::URL_LEN_MAX {
        return Err(ApiError::too_large("the path and query", limits::URL_LEN_MAX));
    }
    let len = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    let headers_len: usize = request.headers().iter().map(len).sum();
    if headers_len > limits::HEADERS_LEN_MAX {
        return Err(ApiError::too_large("the request's headers", limits::HEADERS_LEN_MAX));
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

fn content_len(headers: &HeaderMap) -> u64 {
    let text = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

//! Errors as problem documents (RFC 9457): the voice of `/v1` and of the registry's own pages.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use seawall_api::problem::{Code, MEDIA_TYPE, Problem};

use crate::app::AppError;
use crate::http::frame::{Refusal, Voice};

/// The `Retry-After` header of every answer with the code `unavailable`, in seconds.
const RETRY_AFTER_SECS: &str = "1";
/// The same if the store asks for fewer requests: the registry's own retries took this long.
const THROTTLED_SECS: &str = "10";

/// The detail of an internal error, whose cause may name paths and addresses.
const IN_THE_LOG: &str = "the registry's log has the cause under this request's id";

/// An error to be sent to the client.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Failure>);

#[derive(Debug)]
struct Failure {
    problem: Problem,
    /// Extra headers of the answer.
    headers: Vec<(header::HeaderName, String)>,
    /// The cause for the log. The client of a defect is only referred to the log.
    cause: Option<AppError>,
}

impl ApiError {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let problem = Problem::new(code, detail);
        Self(Box::new(Failure { problem, headers: vec![], cause: None }))
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidInput, detail)
    }

    /// Returns an error as another registry told it.
    pub(crate) fn from_upstream(problem: Problem) -> Self {
        Self(Box::new(Failure { problem, headers: vec![], cause: None }))
    }

    pub(crate) fn with_remedy(mut self, remedy: String) -> Self {
        self.0.problem.remedy = Some(remedy);
        self
    }

    pub(crate) fn with_header(mut self, name: header::HeaderName, value: String) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Returns the error with its cause, for the log.
    pub(crate) fn caused_by(mut self, cause: AppError) -> Self {
        self.0.cause = Some(cause);
        self
    }

    pub(crate) fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// Returns the chain of causes, for the log.
    fn chain(&self) -> String {
        let mut text = self.0.problem.detail.clone();
        if let Some(cause) = &self.0.cause {
            text = chain(cause);
        }
        text
    }
}

/// Returns an error's text with all its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        let code = error.code();
        let detail = match code {
            Code::Internal => IN_THE_LOG.to_owned(),
            Code::Unavailable | Code::StorageFull => error.to_string(),
            _ => chain(&error),
        };
        let problem = Problem::new(code, detail).with_remedy(error.remedy());
        Self(Box::new(Failure { problem, headers: vec![], cause: Some(error) }))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.problem.detail)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if self.0.problem.code == Code::Unavailable {
            let is_throttled = self.0.cause.as_ref().is_some_and(AppError::is_throttled);
            let secs = if is_throttled { THROTTLED_SECS } else { RETRY_AFTER_SECS };
            response.insert_header((header::RETRY_AFTER, secs));
        }
        for (name, value) in &self.0.headers {
            response.insert_header((name.clone(), value.as_str()));
        }
        response.content_type(MEDIA_TYPE).body(encode(&self.0.problem))
    }
}

/// Returns the JSON text of a problem.
fn encode(problem: &Problem) -> String {
    // Strings, a number and a unit enum: cannot fail.
    serde_json::to_string(problem).unwrap_or_default()
}

/// Returns the code for an error status from the framework.
fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        404 => Code::NotFound,
        405 => Code::MethodNotAllowed,
        413 => Code::TooLarge,
        400..=499 => Code::InvalidInput,
        _ => Code::Internal,
    }
}

/// The voice that renders errors as problem documents.
#[derive(Debug)]
pub(crate) struct Problems;

impl Voice for Problems {
    fn refuse(&self, refusal: Refusal) -> actix_web::Error {
        ApiError::from(refusal).into()
    }

    fn fail(&self, request_id: &str) -> actix_web::Error {
        let mut error = ApiError::new(Code::Internal, IN_THE_LOG);
        error.0.problem.instance = Some(request_id.to_owned());
        error.into()
    }

    fn complete(
        &self,
        mut answer: ServiceResponse<BoxBody>,
        request_id: &str,
    ) -> (ServiceResponse<BoxBody>, &'static str) {
        let status = answer.status();
        let error = answer.response().error();
        let problem = if let Some(error) = error.and_then(|error| error.as_error::<ApiError>()) {
            let (code, cause) = (error.problem().code.as_str(), error.chain());
            if status.is_server_error() {
                tracing::error!(code, %cause, "failed");
            } else {
                tracing::debug!(code, %cause, "refused");
            }
            error.problem().clone()
        } else {
            let reason = status.canonical_reason().unwrap_or("the request failed");
            let detail = error.map(ToString::to_string).filter(|_| status.is_client_error());
            Problem::new(code_of(status), detail.unwrap_or_else(|| reason.to_lowercase()))
        };
        let code = problem.code.as_str();
        let body = encode(&Problem { instance: Some(request_id.to_owned()), ..problem });
        let headers = answer.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        (answer.map_body(|_, _| BoxBody::new(body)), code)
    }
}

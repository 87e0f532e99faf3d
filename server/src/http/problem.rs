//! Errors as problem documents.

use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use seawall_api::problem::{Code, MEDIA_TYPE, Problem};

use crate::app::AppError;

/// The `Retry-After` header of every answer with the code `unavailable`, in seconds.
const RETRY_AFTER_SECS: &str = "1";

/// An error to be sent to the client.
#[derive(Debug)]
pub(super) struct ApiError(Box<Failure>);

#[derive(Debug)]
struct Failure {
    problem: Problem,
    /// Extra headers of the answer.
    headers: Vec<(header::HeaderName, String)>,
    /// The cause for the log. The client of a defect is only referred to the log.
    cause: Option<AppError>,
}

impl ApiError {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        let problem = Problem::new(code, detail);
        Self(Box::new(Failure { problem, headers: vec![], cause: None }))
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidInput, detail)
    }

    pub(super) fn too_large(what: &str, limit: usize) -> Self {
        Self::new(Code::TooLarge, format!("{what} is longer than the limit of {limit} bytes"))
    }

    pub(super) fn with_remedy(mut self, remedy: String) -> Self {
        self.0.problem.remedy = Some(remedy);
        self
    }

    pub(super) fn with_header(mut self, name: header::HeaderName, value: String) -> Self {
        self.0.headers.push((name, value));
        self
    }

    pub(super) fn with_instance(mut self, id: &str) -> Self {
        self.0.problem.instance = Some(id.to_owned());
        self
    }

    pub(super) fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// Returns the chain of causes, for the log.
    pub(super) fn chain(&self) -> String {
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
            // The cause of an internal error may name paths and addresses, so it goes to the log
            // only.
            Code::Internal => "the registry's log has the cause under this request's id".to_owned(),
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
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECS));
        }
        for (name, value) in &self.0.headers {
            response.insert_header((name.clone(), value.as_str()));
        }
        response.content_type(MEDIA_TYPE).body(encode(&self.0.problem))
    }
}

/// Returns the JSON text of a problem.
pub(super) fn encode(problem: &Problem) -> String {
    // Strings, a number and a unit enum: cannot fail.
    serde_json::to_string(problem).unwrap_or_default()
}

/// Returns the code for an error status from the framework.
pub(super) fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        404 => Code::NotFound,
        405 => Code::MethodNotAllowed,
        413 => Code::TooLarge,
        400..=499 => Code::InvalidInput,
        _ => Code::Internal,
    }
}

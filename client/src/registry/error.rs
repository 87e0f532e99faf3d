//! Errors of calls to a registry.

use std::time::Duration;

use seawall_api::names::ApplicationName;
use seawall_api::problem::{Code, Problem};
use seawall_store::error::io_remedy;

use super::context::{RequestContext, knows_next_step};
use super::obstacle::Obstacle;
use crate::depot::DepotError;
use crate::error::ErrorKind;
use crate::plain::one_line;

/// An error of a call to a registry.
///
/// Messages name the object and never repeat their source; reporters walk the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registry refused the request with a problem document.
    #[error("{}", detail_of(problem))]
    Problem {
        /// The problem document.
        problem: Box<Problem>,
        /// The names in the refused request.
        asked: RequestContext,
        /// The pause before a retry, requested by the registry.
        retry_after: Option<Duration>,
    },
    /// The registry requires a token, and none is configured for its address.
    #[error("{url} requires a token, and no token is configured for it")]
    NoToken {
        /// The registry.
        url: String,
    },
    /// An error status without a problem document, from a proxy or another server.
    #[error("{url} answered with HTTP status {status} when asked to {what}")]
    Status {
        /// The registry.
        url: String,
        /// The request, as a phrase with a verb.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The pause before a retry, requested by the answer.
        retry_after: Option<Duration>,
    },
    /// The connection failed or broke off.
    #[error("cannot {what} at {url}")]
    Unreachable {
        /// The registry.
        url: String,
        /// The request, as a phrase with a verb.
        what: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// The transfer stalled for longer than the idle limit.
    #[error("{url} made no progress for {} s when asked to {what}", .idle.as_secs_f32())]
    Stalled {
        /// The registry.
        url: String,
        /// The request, as a phrase with a verb.
        what: String,
        /// The idle limit that was exceeded.
        idle: Duration,
    },
    /// An answer that no registry of this API version gives.
    #[error("the registry violated the protocol when asked to {what}: {}", one_line(why))]
    Protocol {
        /// The request, as a phrase with a verb.
        what: String,
        /// The defect of the answer.
        why: String,
    },
    /// An object that does not match its digest or its name.
    #[error("the registry sent wrong bytes for {object}: {}", one_line(why))]
    WrongBytes {
        /// The object.
        object: String,
        /// The difference.
        why: String,
    },
    /// The answer could not be written to a local file.
    #[error("cannot write {}", .path.display())]
    Kept {
        /// The file.
        path: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A depot failed, or cannot do it.
    #[error(transparent)]
    Depot(#[from] Box<DepotError>),
    /// An answer over its limit, which was not read to its end.
    #[error("asked to {what}, the registry sent more than the limit of {limit} bytes")]
    TooLarge {
        /// The request, as a phrase with a verb.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
}

impl RegistryError {
    /// Returns the kind of the error, which decides the exit code.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Problem { problem, .. } => problem.code.into(),
            Self::NoToken { .. } => ErrorKind::Denied,
            Self::Status { status, .. } => match status {
                401 | 403 | 407 => ErrorKind::Denied,
                404 | 410 => ErrorKind::NotFound,
                // A 413 without a problem document comes from a proxy: the client keeps the
                // registry's limits.
                408 | 413 | 429 | 502..=504 => ErrorKind::Unavailable,
                507 => ErrorKind::StorageFull,
                _ => ErrorKind::Internal,
            },
            Self::Unreachable { source, .. } => match Obstacle::of(source) {
                Obstacle::Forbidden => ErrorKind::Denied,
                _ => ErrorKind::Unavailable,
            },
            Self::Stalled { .. } => ErrorKind::Unavailable,
            Self::WrongBytes { .. } => ErrorKind::Damaged,
            Self::Depot(error) => error.kind(),
            Self::Kept { source, .. } => ErrorKind::of_io(source),
            Self::Protocol { .. } | Self::TooLarge { .. } => ErrorKind::Internal,
        }
    }

    /// Returns the next step, if one is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            // Never the registry's advice: a person runs the command that is printed here.
            Self::Problem { problem, asked, .. } => asked.remedy(problem.code),
            Self::Depot(error) => error.remedy(),
            Self::NoToken { url } => Some(format!(
                "a token is sent only to the registry it was given for: name this one with \
                 --registry or SEAWALL_REGISTRY beside --token-file, SEAWALL_TOKEN_FILE or \
                 SEAWALL_TOKEN, or write [registries.\"{url}\"] and token_file = \"FILE\" into \
                 the configuration file"
            )),
            Self::Unreachable { url, source, .. } => Some(unreached(url, Obstacle::of(source))),
            Self::Stalled { url, .. } => Some(unreached(url, Obstacle::Passing)),
            Self::Status { url, status: 413, .. } => Some(format!(
                "a proxy before {url} limits the length of a request: let it take 64 MiB (nginx: \
                 `client_max_body_size 64m;`)"
            )),
            Self::Status { status: 401 | 403, .. } => {
                RequestContext::default().remedy(Code::Unauthenticated)
            }
            Self::Status { url, .. } => {
                Some(format!(
                    "check that {url} is a Seawall registry (`curl {url}/v1/version`); a depot is \
                     named as depot+{url}"
                ))
            }
            Self::WrongBytes { .. } => Some(
                "the wrong bytes were discarded; run `seawall verify REF` to see what else is damaged, \
                 then push the release again"
                    .to_owned(),
            ),
            Self::Kept { source, .. } if io_remedy(source).is_some() => {
                io_remedy(source).map(str::to_owned)
            }
            Self::Kept { .. } => {
                Some("name a file that does not exist yet, in a folder that you may write to".to_owned())
            }
            Self::Protocol { .. } | Self::TooLarge { .. } => Some(
                "compare `seawall --version` with the registry's `/v1/version`: one of them may \
                 be too old"
                    .to_owned(),
            ),
        }
    }

    /// Returns whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Problem { problem, .. } => {
                matches!(problem.code, Code::Unavailable | Code::RateLimited)
            }
            Self::Status { status, .. } => matches!(status, 408 | 429 | 502..=504),
            Self::Unreachable { source, .. } => Obstacle::of(source) == Obstacle::Passing,
            Self::Stalled { .. } => true,
            Self::Depot(error) => error.is_transient(),
            Self::NoToken { .. }
            | Self::Protocol { .. }
            | Self::WrongBytes { .. }
            | Self::Kept { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// Returns the same error, naming the application of the refused request. Most addresses of a
    /// push do not contain the application.
    #[must_use]
    pub fn about(mut self, application: &ApplicationName) -> Self {
        if let Self::Problem { asked, .. } = &mut self {
            asked.application.get_or_insert_with(|| application.to_string());
        }
        self
    }

    /// Returns the pause before a retry, if the answer asks for one.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns whether a depot refused what only a registry does.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Depot(error) if matches!(**error, DepotError::ReadOnly { .. }))
    }

    /// Returns the code of the problem document, if there is one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Problem { problem, .. } => Some(problem.code),
            _ => None,
        }
    }
}

impl From<DepotError> for RegistryError {
    fn from(error: DepotError) -> Self {
        Self::Depot(Box::new(error))
    }
}

impl From<Problem> for RegistryError {
    /// Wraps a problem that a successful answer reports, such as the error of a job.
    fn from(problem: Problem) -> Self {
        Self::Problem {
            problem: Box::new(problem),
            asked: RequestContext::default(),
            retry_after: None,
        }
    }
}

/// Returns a problem's detail on one line, with the registry's advice where the code does not
/// tell the next step.
fn detail_of(problem: &Problem) -> String {
    let detail = one_line(&problem.detail);
    match problem.remedy.as_deref().filter(|_| !knows_next_step(problem.code)) {
        Some(advice) => format!("{detail} (the registry advises: {})", one_line(advice)),
        None => detail,
    }
}

/// Returns the next step after a failed connection.
fn unreached(url: &str, obstacle: Obstacle) -> String {
    match obstacle {
        Obstacle::NoTls => {
            let plain = url.replacen("https://", "http://", 1);
            format!("it speaks plain HTTP there: name it as {plain}")
        }
        Obstacle::NoHttp => {
            let secure = url.replacen("http://", "https://", 1);
            format!("it does not speak plain HTTP there: name it as {secure}, if it speaks TLS")
        }
        Obstacle::Untrusted => format!(
            "name the registry as its certificate does, and make this host trust its issuer: \
             `cp CA.crt /usr/local/share/ca-certificates/ && update-ca-certificates`, or \
             SSL_CERT_FILE; `curl -v {url}/healthz` shows the certificate"
        ),
        Obstacle::Tls => format!("see what it answers: `curl -v {url}/healthz`"),
        Obstacle::NoSuchHost => {
            format!("check the spelling of the host in {url}, and that this host's DNS knows it")
        }
        Obstacle::Forbidden => {
            format!(
                "a firewall or a sandbox of this host forbids connections to {url}: permit them"
            )
        }
        Obstacle::Passing => format!(
            "check that a registry listens at {url} (`curl {url}/healthz`) and that no proxy is in \
             between; what was transferred is kept, so run the command again"
        ),
    }
}

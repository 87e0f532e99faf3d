//! Why a registry did not answer as asked.

use std::time::Duration;

use seawall_api::problem::{Code, Problem};

use crate::error::ErrorKind;

/// Why a call to a registry failed.
///
/// Messages name the object and never repeat their source; reporters walk the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registry refused, and said why.
    #[error("{}", .problem.detail)]
    Problem {
        /// What it said.
        problem: Box<Problem>,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// Something answered with an error that is not the registry's own: a proxy, or another server.
    #[error("{url} answered with HTTP status {status} when asked to {what}")]
    Status {
        /// The registry.
        url: String,
        /// What was asked.
        what: String,
        /// The status.
        status: u16,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// No connection, or it broke off.
    #[error("cannot {what} at {url}")]
    Unreachable {
        /// The registry.
        url: String,
        /// What was asked.
        what: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The connection stood still for too long.
    #[error("{url} stood still for {} s while asked to {what}", .idle.as_secs_f32())]
    Stalled {
        /// The registry.
        url: String,
        /// What was asked.
        what: String,
        /// For how long nothing moved.
        idle: Duration,
    },
    /// An answer that no registry of this API version gives.
    #[error("the registry broke its protocol when asked to {what}: {why}")]
    Protocol {
        /// What was asked.
        what: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// Bytes that are not what their name says.
    #[error("the registry sent wrong bytes for {object}: {why}")]
    WrongBytes {
        /// What was asked for.
        object: String,
        /// How they differ from it.
        why: String,
    },
    /// What the registry sent cannot be kept here.
    #[error("cannot write {}", .path.display())]
    Kept {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An answer over its limit; it was not read.
    #[error("asked to {what}, the registry sent more than the limit of {limit} bytes")]
    TooLarge {
        /// What was asked.
        what: String,
        /// The limit that it breaks.
        limit: u64,
    },
}

impl RegistryError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Problem { problem, .. } => problem_kind(problem.code),
            Self::Status { status, .. } => match status {
                401 | 403 | 407 => ErrorKind::Denied,
                404 | 410 => ErrorKind::NotFound,
                429 | 502..=504 => ErrorKind::Unavailable,
                507 => ErrorKind::StorageFull,
                _ => ErrorKind::Internal,
            },
            Self::Unreachable { .. } | Self::Stalled { .. } => ErrorKind::Unavailable,
            Self::WrongBytes { .. } => ErrorKind::Damaged,
            Self::Kept { source, .. } => match source.kind() {
                std::io::ErrorKind::AlreadyExists => ErrorKind::Conflict,
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                std::io::ErrorKind::StorageFull => ErrorKind::StorageFull,
                _ => ErrorKind::Internal,
            },
            Self::Protocol { .. } | Self::TooLarge { .. } => ErrorKind::Internal,
        }
    }

    /// The next step, where one is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            // What the registry advises is for whoever writes the request: not a person here.
            Self::Problem { problem, .. } if problem.code == Code::Unauthenticated => {
                problem_remedy(problem.code).map(str::to_owned)
            }
            Self::Problem { problem, .. } => {
                problem.remedy.clone().or_else(|| problem_remedy(problem.code).map(str::to_owned))
            }
            Self::Unreachable { url, .. } | Self::Stalled { url, .. } => Some(format!(
                "check that a registry listens at {url} (`curl {url}/healthz`) and that no proxy \
                 is in between; what was transferred is kept, so run the command again"
            )),
            Self::Status { status: 401 | 403, .. } => {
                problem_remedy(Code::Unauthenticated).map(str::to_owned)
            }
            Self::Status { url, .. } => {
                Some(format!("check that {url} is a Seawall registry: `curl {url}/v1/version`"))
            }
            Self::WrongBytes { .. } => Some(
                "nothing was kept of it; run `seawall verify REF` to see what else is damaged, \
                 then push the release again"
                    .to_owned(),
            ),
            Self::Kept { .. } => {
                Some("name a file that is not there yet, in a folder of yours".to_owned())
            }
            Self::Protocol { .. } | Self::TooLarge { .. } => Some(
                "compare `seawall --version` with the registry's `/v1/version`: one of them may \
                 be too old"
                    .to_owned(),
            ),
        }
    }

    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Problem { problem, .. } => {
                matches!(problem.code, Code::Unavailable | Code::RateLimited)
            }
            Self::Status { status, .. } => matches!(status, 429 | 502..=504),
            Self::Unreachable { .. } | Self::Stalled { .. } => true,
            Self::Protocol { .. }
            | Self::WrongBytes { .. }
            | Self::Kept { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// How long the registry asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The code, where the registry gave one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Problem { problem, .. } => Some(problem.code),
            _ => None,
        }
    }
}

fn problem_kind(code: Code) -> ErrorKind {
    match code {
        Code::InvalidInput | Code::TooLarge => ErrorKind::InvalidInput,
        Code::Unauthenticated | Code::Denied => ErrorKind::Denied,
        Code::NotFound | Code::Gone => ErrorKind::NotFound,
        Code::VersionTaken
        | Code::Incomplete
        | Code::LeaseEnded
        | Code::Held
        | Code::CheckRuns
        | Code::PreconditionFailed
        | Code::PreconditionRequired => ErrorKind::Conflict,
        Code::DigestMismatch | Code::Damaged => ErrorKind::Damaged,
        Code::Unavailable | Code::RateLimited => ErrorKind::Unavailable,
        // Both are mended by making room: exit code 8 tells a script to.
        Code::StorageFull | Code::QuotaExceeded => ErrorKind::StorageFull,
        Code::MethodNotAllowed | Code::RangeNotSatisfiable | Code::Internal => ErrorKind::Internal,
    }
}

fn problem_remedy(code: Code) -> Option<&'static str> {
    match code {
        Code::Unauthenticated => Some(
            "give a token the registry knows: --token-file FILE, SEAWALL_TOKEN_FILE or \
             SEAWALL_TOKEN",
        ),
        Code::Denied => Some("use a token that permits this: --token-file FILE"),
        Code::NotFound => Some("`seawall list` and `seawall list APPLICATION` show what there is"),
        Code::VersionTaken => Some("a version is never reused: push under a new one"),
        Code::Incomplete | Code::LeaseEnded => {
            Some("run the push again: it resumes and sends only what is missing")
        }
        Code::PreconditionFailed => Some(
            "see where the channel is now with `seawall channels APPLICATION`, then promote again",
        ),
        Code::Unavailable | Code::RateLimited => Some("try again in a moment"),
        Code::QuotaExceeded => Some("`seawall quota APPLICATION` shows what is used of it"),
        Code::StorageFull => Some("make room in the registry's store, then run this again"),
        Code::Damaged => Some("run `seawall verify REF`, then push the release again"),
        Code::Internal => Some("the registry's log has the cause"),
        _ => None,
    }
}

//! Failures of a command: the text for a person and the exit code for a script.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use seawall::error::{ErrorKind, Failure as _};
use seawall::plain::{is_unsafe, one_line};
use seawall_store::error::io_remedy;

/// The exit status that a shell reports for a program ended by SIGPIPE.
const EXIT_SIGPIPE: u8 = 141;

use crate::suggest;

/// The failure of a command: an error, its causes, its kind and the next step.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: ErrorKind,
    lines: Vec<String>,
    remedy: Option<String>,
}

impl Failure {
    /// Returns a failure for invalid input.
    pub(crate) fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::InvalidInput,
            lines: vec![what.into()],
            remedy: Some(remedy.into()),
        }
    }

    /// Returns a failure for bytes that do not match their digest or name.
    pub(crate) fn damaged(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (kind, remedy) = (ErrorKind::Damaged, Some(remedy.into()));
        Self { kind, lines: vec![what.into()], remedy }
    }

    /// Returns a failure for a defect of this program.
    pub(crate) fn internal(what: impl Into<String>) -> Self {
        let remedy = "this is a defect of Seawall: report it with the command you ran";
        Self { kind: ErrorKind::Internal, lines: vec![what.into()], remedy: Some(remedy.into()) }
    }

    /// Returns a failure for an error of any kind, with its causes and the next step.
    pub(crate) fn new(kind: ErrorKind, error: &dyn Error, remedy: Option<String>) -> Self {
        let mut lines = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(error) = cause {
            let line = error.to_string();
            // A transparent error and its source have the same text.
            if lines.last() != Some(&line) {
                lines.push(line);
            }
            cause = error.source();
        }
        let near = lines.iter().find_map(|line| suggest::of_unknown(line));
        let remedy = match (near, remedy) {
            (Some(near), remedy) => {
                let more = remedy.map_or_else(String::new, |remedy| format!(" {remedy}"));
                Some(format!("did you mean `{near}`?{more}"))
            }
            (None, remedy) => remedy,
        };
        Self { kind, lines, remedy }
    }

    /// Returns a failure for an I/O error; `what` says which operation failed.
    pub(crate) fn io(what: &str, source: &std::io::Error) -> Self {
        let remedy = io_remedy(source).map(str::to_owned);
        let lines = vec![what.to_owned(), source.to_string()];
        Self { kind: ErrorKind::of_io(source), lines, remedy }
    }

    /// Returns the failure with another kind.
    pub(crate) fn of_kind(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// Returns the failure with another next step.
    pub(crate) fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// Returns the kind.
    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the error without its causes.
    pub(crate) fn what(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }

    /// Returns the error and its causes on one line.
    pub(crate) fn on_one_line(&self) -> String {
        self.lines.iter().map(|line| one_line(line)).collect::<Vec<_>>().join(": ")
    }

    /// Returns the failure of writing a disk to a pipe whose reader is gone. Nothing is printed, as
    /// by any program that SIGPIPE ends.
    pub(crate) fn reader_gone() -> Self {
        Self { kind: ErrorKind::Unavailable, lines: Vec::new(), remedy: None }
    }

    /// Returns the causes, the nearest first.
    pub(crate) fn causes(&self) -> &[String] {
        self.lines.get(1..).unwrap_or_default()
    }

    /// Returns the next step.
    pub(crate) fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// Returns the name of the kind (docs/json.md).
    pub(crate) fn code(&self) -> &'static str {
        match self.kind {
            ErrorKind::Internal => "internal",
            ErrorKind::InvalidInput => "invalid-input",
            ErrorKind::NotFound => "not-found",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Damaged => "damaged",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Denied => "denied",
            ErrorKind::StorageFull => "storage-full",
        }
    }

    /// Returns the exit status for scripts (`args::help`).
    pub(crate) fn exit_code(&self) -> u8 {
        if self.lines.is_empty() {
            return EXIT_SIGPIPE;
        }
        match self.kind {
            ErrorKind::Internal => 1,
            ErrorKind::InvalidInput => 2,
            ErrorKind::NotFound => 3,
            ErrorKind::Conflict => 4,
            ErrorKind::Damaged => 5,
            ErrorKind::Unavailable => 6,
            ErrorKind::Denied => 7,
            ErrorKind::StorageFull => 8,
        }
    }
}

impl fmt::Display for Failure {
    /// Writes `error: …`, a line for each cause, and `help: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, line) in self.lines.iter().enumerate() {
            let line: Vec<_> = plain(line).trim_end().split('\n').map(shortened).collect();
            let line = line.join("\n  ");
            let prefix = if depth == 0 { "error: " } else { "  cause: " };
            writeln!(f, "{prefix}{line}")?;
        }
        if let Some(remedy) = &self.remedy {
            writeln!(f, "help: {}", plain(remedy))?;
        }
        Ok(())
    }
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        Self::from(failure.exit_code())
    }
}

macro_rules! explained {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.kind(), &error, error.remedy())
            }
        }
    )+};
}

explained!(
    seawall::cloud::CloudError,
    seawall::convert::ConvertFailure,
    seawall::copy::CopyError,
    seawall::describe::DescribeError,
    seawall::directory::LockError,
    seawall::export::ExportError,
    seawall::host::HostError,
    seawall::ovf::OvfError,
    seawall::patch::PatchError,
    seawall::pull::PullError,
    seawall::push::PushError,
    seawall::registry::RegistryError,
    seawall::repair::RepairError,
    seawall::spec::SpecError,
    seawall::verify::VerifyError,
);

impl From<seawall_api::reference::InvalidReference> for Failure {
    fn from(error: seawall_api::reference::InvalidReference) -> Self {
        let remedy = "write [host[:port]/]application[:version|:channel|@blake3:…][/machine], as \
                      in team/webshop:1.0";
        Self::new(ErrorKind::InvalidInput, &error, Some(remedy.to_owned()))
    }
}

impl From<seawall::copy::VersionPatternError> for Failure {
    fn from(error: seawall::copy::VersionPatternError) -> Self {
        Self::new(ErrorKind::InvalidInput, &error, None)
    }
}

impl From<seawall_api::names::InvalidName> for Failure {
    fn from(error: seawall_api::names::InvalidName) -> Self {
        let remedy = "docs/FORMAT.md, section 7, has the rules for every kind of name".to_owned();
        Self::new(ErrorKind::InvalidInput, &error, Some(remedy))
    }
}

/// The longest line shown, in characters; a hostile file could contain megabytes in one line.
const LINE_LEN_MAX: usize = 400;

/// Cuts a line after [`LINE_LEN_MAX`] characters.
fn shortened(line: &str) -> String {
    match line.char_indices().nth(LINE_LEN_MAX) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line.to_owned(),
    }
}

/// Escapes control characters other than line ends, so that text from a registry or a file name
/// cannot move the cursor or hide a line.
pub(crate) fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => "\n".to_owned(),
        c if is_unsafe(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use seawall::registry::RegistryError;
    use seawall_api::problem::{Code, Problem};

    use super::*;

    #[test]
    fn a_failure_reads_as_error_causes_and_help() {
        let error = "[machines.web]\ncpu = 2".to_owned();
        let path = std::path::Path::new("application.toml");
        let failure = Failure::from(seawall::spec::file::parse(&error, path).unwrap_err());
        assert_eq!(
            failure.to_string(),
            "error: application.toml does not describe an application\n  \
             cause: TOML parse error at line 2, column 1\n    \
             |\n  2 | cpu = 2\n    | ^^^\n  unknown field `cpu`, expected one of `architecture`, \
             `firmware`, `cpus`, `memory`, `start-order`, `disks`, `network-cards`, \
             `annotations`\n\
             help: did you mean `cpus`? docs/application-toml.md lists every key with an example\n"
        );
        assert_eq!(failure.exit_code(), 2);
    }

    #[test]
    fn every_problem_has_the_documented_exit_code() {
        let code_of = |code| {
            let problem = Problem::new(code, "webshop:1.0: …");
            Failure::from(RegistryError::from(problem)).exit_code()
        };
        for code in Code::ALL {
            let expect = match code {
                Code::InvalidInput | Code::TooLarge => 2,
                Code::NotFound | Code::Gone => 3,
                Code::VersionTaken
                | Code::NameTaken
                | Code::Incomplete
                | Code::LeaseEnded
                | Code::Held
                | Code::CheckRuns
                | Code::LimitReached
                | Code::PreconditionFailed
                | Code::PreconditionRequired => 4,
                Code::DigestMismatch | Code::Damaged => 5,
                Code::Unavailable | Code::RateLimited => 6,
                Code::Unauthenticated | Code::Denied => 7,
                Code::StorageFull | Code::QuotaExceeded => 8,
                Code::MethodNotAllowed | Code::RangeNotSatisfiable | Code::Internal => 1,
            };
            assert_eq!(code_of(*code), expect, "{code:?}");
        }
    }

    #[test]
    fn a_registry_cannot_write_to_the_terminal() {
        let problem = Problem::new(Code::NotFound, "no \x1b[2Jsuch\u{202e} thing\u{7}");
        let failure = Failure::from(RegistryError::from(problem));
        let text = failure.to_string();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
        assert!(!text.contains('\u{202e}'));
    }
}

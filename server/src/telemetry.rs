//! Structured logs. Only a program that serves installs them: a registry hosted inside another
//! process logs to whatever that process has.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// Sends log lines to standard error from here on. `filter` is in `RUST_LOG`'s syntax; what does
/// not parse in it is ignored.
///
/// Returns false when the process has a subscriber already, which then stays.
pub fn init(format: LogFormat, filter: &str) -> bool {
    let filter = EnvFilter::builder().parse_lossy(filter);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init().is_ok(),
        // Colours are for people who watch; a file or a journal keeps the text alone.
        LogFormat::Text if std::io::stderr().is_terminal() => lines.try_init().is_ok(),
        LogFormat::Text => lines.with_ansi(false).try_init().is_ok(),
    }
}

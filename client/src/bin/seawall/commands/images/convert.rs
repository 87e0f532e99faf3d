//! `seawall convert IN OUT` and `seawall inspect FILE`.

use std::sync::Arc;

use seawall::convert::{self, ConvertFailure, Destination};
use seawall::inspect;
use seawall::progress::Progress;

use super::package;
use crate::command::{Convert, Inspect};
use crate::failure::Failure;
use crate::output::{Style, answer};

pub(crate) async fn convert(
    command: Convert,
    progress: Arc<dyn Progress>,
    style: Style,
) -> Result<(), Failure> {
    let Convert { from, from_format, access, to, format, round, threads } = command;
    let (to, is_piped) = match to {
        Some((path, overwrite)) => (Destination::File { path, overwrite }, false),
        None => (Destination::Pipe(Box::new(std::io::stdout())), true),
    };
    let order =
        convert::Convert { from, from_format, access, to, format, round, threads, progress };
    let report = match convert::convert(order).await {
        Err(ConvertFailure::Convert(error)) if is_piped && error.is_broken_pipe() => {
            return Err(Failure::reader_gone());
        }
        done => done?,
    };
    if is_piped {
        // Standard output is the image.
        return Ok(());
    }
    answer(style, &report, |report| format!("{report}\n"))
}

pub(crate) async fn inspect(
    command: Inspect,
    progress: Arc<dyn Progress>,
    style: Style,
) -> Result<(), Failure> {
    let Inspect { path, format, access, digest, threads } = command;
    if format.is_none()
        && let Some(package) = package::open(&path)?
    {
        return package::inspect(package, path, style).await;
    }
    let report =
        inspect::inspect(inspect::Inspect { path, format, access, digest, threads, progress });
    answer(style, &report.await?, |report| format!("{report}\n"))
}

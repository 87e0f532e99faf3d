//! `seawall verify DIR|REFERENCE`.

use std::path::Path;
use std::sync::Arc;

use seawall::progress::Progress;
use seawall::verify::{self, VerifyRelease, VerifyReport};

use super::Surroundings;
use crate::command::Target;
use crate::output::{Style, answer};
use crate::report::Failure;

pub(crate) async fn dir(
    dir: &Path,
    threads: usize,
    progress: Arc<dyn Progress>,
    style: Style,
) -> Result<(), Failure> {
    let report = verify::verify_dir(dir, threads, progress).await?;
    tell(&report, style, "pull the release again into another directory")
}

pub(crate) async fn release(around: Surroundings, target: Target) -> Result<(), Failure> {
    let Surroundings { registry, progress, style, .. } = around;
    let Target { application, selector } = target;
    let order = VerifyRelease { registry, application, selector, progress };
    let report = verify::verify_release(order).await?;
    tell(
        &report,
        style,
        "run `seawall fsck`, so that the registry knows, then bring what is lost with `seawall \
         repair --from URL|DIR` or push it again",
    )
}

/// Prints the report; damage is a failure.
fn tell(report: &VerifyReport, style: Style, remedy: &str) -> Result<(), Failure> {
    answer(style, report, |report| format!("{report}\n"))?;
    if report.is_intact() {
        return Ok(());
    }
    let what = format!(
        "{}:{} is damaged: {} objects are not what their names say",
        report.application,
        report.version,
        report.damage.len()
    );
    Err(Failure::damaged(what, remedy))
}

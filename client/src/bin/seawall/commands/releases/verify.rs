//! `seawall verify DIR|REFERENCE`.

use std::path::Path;
use std::sync::Arc;

use seawall::error::ErrorKind;
use seawall::patch;
use seawall::progress::Progress;
use seawall::verify::{self, DiskState, VerifyRelease, VerifyReport};

use crate::command::Target;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{Style, answer, count};

pub(crate) async fn dir(
    dir: &Path,
    threads: usize,
    progress: Arc<dyn Progress>,
    style: Style,
) -> Result<(), Failure> {
    let report = verify::verify_dir(dir, threads, progress).await?;
    tell(&report, style, &remedy_of(dir, &report))
}

pub(crate) async fn release(context: Context, target: Target) -> Result<(), Failure> {
    let Context { registry, progress, style, .. } = context;
    let Target { application, selector, .. } = target;
    let order = VerifyRelease { registry, application, selector, progress };
    let report = verify::verify_release(order).await?;
    tell(
        &report,
        style,
        "run `seawall fsck` to record the damage, then run `seawall repair --from URL|DIR` or \
         push the release again",
    )
}

/// Returns the next step for a modified or damaged directory.
fn remedy_of(dir: &Path, report: &VerifyReport) -> String {
    let release = format!("{}@{}", report.application, report.release);
    match report.state() {
        DiskState::Modified => patch::keep_or_discard(dir, &report.application, report.release),
        _ => format!(
            "copy the data you need elsewhere, then pull the release again: `seawall pull {release} \
             --into NEW-DIR`"
        ),
    }
}

/// Prints the report; fails on damage and on modified disks.
fn tell(report: &VerifyReport, style: Style, remedy: &str) -> Result<(), Failure> {
    answer(style, report, |report| format!("{report}\n"))?;
    let release = format!("{}:{}", report.application, report.version);
    match report.state() {
        DiskState::Intact => return Ok(()),
        DiskState::Modified => {
            let disks = count(report.modified.len() as u64, "disk");
            let what = format!("{release} is modified: {disks} changed since it was pulled");
            return Err(Failure::usage(what, remedy).of_kind(ErrorKind::Conflict));
        }
        DiskState::Damaged => {}
    }
    let what = format!(
        "{release} is damaged: {} not what its digest says",
        count(report.damage.len() as u64, "object")
    );
    Err(Failure::damaged(what, remedy))
}

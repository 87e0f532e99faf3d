//! `seawall drill DATA`: rehearses a recovery in a scratch directory and reads releases in full.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use seawall::error::ErrorKind;
use seawall::progress::Progress;
use seawall::registry::{Pages, Registry};
use seawall::verify::{DiskState, VerifyRelease, VerifyReport, verify_release};
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::units::HumanBytes;
use seawall_server::StoreAt;
use seawall_store::unfinished::Unfinished;
use serde::Serialize;

use super::recover::{Found, check_data};
use crate::connect::hosted::{Hosted, refused};
use crate::connect::over_http;
use crate::failure::Failure;
use crate::output::{Style, answer};

/// A release read in full.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    #[serde(flatten)]
    report: VerifyReport,
    is_intact: bool,
    secs: f64,
}

/// The outcome of a rehearsal.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Drill {
    found: Found,
    /// The time to rebuild the catalog, in seconds.
    recover_secs: f64,
    verified: Vec<Verified>,
    /// The time to read the releases, in seconds.
    verify_secs: f64,
    /// Releases that could not be read, with their errors.
    unreadable: Vec<String>,
}

impl Drill {
    fn is_sound(&self) -> bool {
        let intact = self.verified.iter().all(|verified| verified.is_intact);
        intact && self.unreadable.is_empty() && self.found.damage.is_empty()
    }

    fn text(&self) -> String {
        let mut text = format!("the catalog was rebuilt in {:.1} s\n", self.recover_secs);
        text += &self.found.text();
        let bytes: u64 = self.verified.iter().map(|verified| verified.report.hashed_bytes).sum();
        text += &format!(
            "{} of {} releases were read in full in {:.1} s, {} hashed\n",
            self.verified.len(),
            self.found.releases,
            self.verify_secs,
            HumanBytes(bytes)
        );
        for verified in &self.verified {
            text += &format!("{}\n", verified.report);
        }
        for unreadable in &self.unreadable {
            text += &format!("  UNREADABLE  {unreadable}\n");
        }
        text
    }
}

pub(crate) async fn drill(
    (data, store): (PathBuf, StoreAt),
    (count, into): (usize, Option<PathBuf>),
    progress: Arc<dyn Progress>,
    style: Style,
) -> Result<(), Failure> {
    check_data(&data, &store)?;
    let (scratch, _unfinished);
    let into = match &into {
        Some(into) => {
            check_apart(&data, into)?;
            check_scratch(into)?;
            std::fs::create_dir_all(into)
                .map_err(|error| Failure::io("cannot make the scratch directory", &error))?;
            into.as_path()
        }
        None => {
            scratch = tempfile::Builder::new()
                .prefix("seawall-drill-")
                .tempdir()
                .map_err(|error| Failure::io("cannot make a scratch directory", &error))?;
            // Also removed if a signal ends the drill while its registry still writes there.
            _unfinished = Unfinished::make(scratch.path(), || Ok(()))
                .map_err(|error| Failure::io("cannot make a scratch directory", &error))?;
            scratch.path()
        }
    };
    let began = Instant::now();
    let (running, found) = seawall_server::drill(data, store, into.to_owned())
        .await
        .map_err(|error| refused(&error))?;
    let recover_secs = began.elapsed().as_secs_f64();
    let hosted = Hosted::from(running);
    let registry = over_http(&hosted.url(), Some(hosted.token()?), &progress)?;
    let began = Instant::now();
    let outcome = verify(&registry, count, &progress).await;
    let verify_secs = began.elapsed().as_secs_f64();
    hosted.stop().await;
    let (verified, unreadable) = outcome?;
    let drill = Drill { found: found.into(), recover_secs, verified, verify_secs, unreadable };
    answer(style, &drill, Drill::text)?;
    if drill.is_sound() {
        return Ok(());
    }
    let remedy = "check the registry with `seawall fsck`, then run `seawall repair`";
    Err(Failure::damaged("a recovery would lose data", remedy))
}

/// Fails if the scratch directory lies in the data directory, which a drill must not change.
fn check_apart(data: &Path, into: &Path) -> Result<(), Failure> {
    let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let absolute = std::path::absolute(into).unwrap_or_else(|_| into.to_owned());
    // A path not there yet is resolved through its nearest existing ancestor.
    let there = absolute.ancestors().find(|path| path.exists()).unwrap_or(into);
    if canonical(there).starts_with(canonical(data)) {
        return Err(Failure::usage(
            "`--into` lies in the registry's own directory",
            "name a directory elsewhere: a drill must not change the registry",
        ));
    }
    Ok(())
}

/// Fails unless the scratch directory is empty or absent: a drill creates a registry there.
fn check_scratch(into: &Path) -> Result<(), Failure> {
    let is_free = match std::fs::read_dir(into) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !into.exists(),
    };
    if is_free {
        return Ok(());
    }
    let what = format!("{} is not an empty directory", into.display());
    let remedy = "name an empty directory, or one that does not exist yet, with `--into`";
    Err(Failure::usage(what, remedy).of_kind(ErrorKind::Conflict))
}

/// Reads `count` releases in full: the newest of each application, then the next newest, and so on.
async fn verify(
    registry: &Arc<dyn Registry>,
    count: usize,
    progress: &Arc<dyn Progress>,
) -> Result<(Vec<Verified>, Vec<String>), Failure> {
    let (mut verified, mut unreadable) = (Vec::new(), Vec::new());
    for (application, digest) in chosen(registry, count).await? {
        let began = Instant::now();
        let order = VerifyRelease {
            registry: registry.clone(),
            application: application.clone(),
            selector: Selector::Digest(digest),
            progress: Arc::clone(progress),
        };
        match verify_release(order).await {
            Ok(report) => {
                let (is_intact, secs) =
                    (report.state() == DiskState::Intact, began.elapsed().as_secs_f64());
                verified.push(Verified { report, is_intact, secs });
            }
            Err(error) => unreadable.push(format!("{application}@{digest}: {error}")),
        }
    }
    Ok((verified, unreadable))
}

async fn chosen(
    registry: &Arc<dyn Registry>,
    count: usize,
) -> Result<Vec<(ApplicationName, ReleaseDigest)>, Failure> {
    let mut applications = Vec::new();
    let (mut pages, mut after) = (Pages::of("list its applications"), None);
    loop {
        let page = registry.applications(after.as_ref()).await?;
        for application in page.applications {
            let page = registry.releases(&application.name, None).await?;
            let digests = page.releases.into_iter().map(|release| release.digest);
            applications.push((application.name, digests.collect::<Vec<_>>()));
        }
        after = pages.follow(page.next)?;
        if after.is_none() {
            break;
        }
    }
    let deepest = applications.iter().map(|(_, digests)| digests.len()).max().unwrap_or(0);
    let by_age = (0..deepest).flat_map(|age| {
        applications
            .iter()
            .filter_map(move |(name, digests)| Some((name.clone(), *digests.get(age)?)))
    });
    Ok(by_age.take(count).collect())
}

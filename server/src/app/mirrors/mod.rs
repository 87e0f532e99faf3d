//! Mirrors: standing orders to copy releases from or to another registry.
//!
//! A run is a job whose subject is the mirror (`run.rs`). Any process that serves the catalog
//! begins due runs; one that only opens it, for a command, leaves them to the others.

use std::sync::Arc;

use seawall_api::names::{ApplicationPattern, ChannelName, MirrorName};
use url::Url;

use super::AppError;
use super::jobs::Kernel;
use crate::catalog::Catalog;
use crate::catalog::mirrors::{Direction, Mirror, MirrorAdded, MirrorRow, MirrorToken};
use crate::host::Host;

mod carrier;
mod run;
mod status;

pub use carrier::{Amount, Carried, Carrier, Errand, Watch};
pub use run::Means;
pub use status::MirrorStatus;

/// The maximum length of a mirror's URL, in bytes.
const URL_LEN_MAX: usize = 2048;
/// The maximum length of a token, in bytes.
const TOKEN_LEN_MAX: usize = 4096;
/// The maximum number of patterns or channels of a mirror.
const NAMES_MAX: usize = 64;
/// The minimum interval between runs, in seconds.
const EVERY_SECS_MIN: u64 = 1;
/// The maximum interval between runs, in seconds: a year.
const EVERY_SECS_MAX: u64 = 366 * 86_400;
/// The minimum limit on the rate, in bytes per second: with less, a pack takes longer than a lease.
const BYTES_PER_SEC_MIN: u64 = 64 << 10;

/// A request to add a mirror.
pub struct NewMirror {
    /// The name.
    pub name: MirrorName,
    /// The direction.
    pub direction: Direction,
    /// The URL of the other registry.
    pub url: String,
    /// The token for the other registry.
    pub token: Option<String>,
    /// The applications to copy.
    pub applications: Vec<ApplicationPattern>,
    /// The channels to copy; empty for all.
    pub channels: Vec<ChannelName>,
    /// The interval between runs, in seconds.
    pub every_secs: u64,
    /// The maximum rate of copied data, in stored bytes per second.
    pub bytes_per_sec_max: Option<u64>,
    /// True to delete releases in the target that were deleted in the source.
    pub deletes: bool,
    /// True to move channels in the target that something else than this mirror moved.
    pub overrides_channels: bool,
    /// The name of the token used; empty without authentication.
    pub created_by: String,
}

/// The mirrors of the registry.
#[derive(Clone)]
pub struct Mirrors {
    catalog: Catalog,
    host: Arc<dyn Host>,
    kernel: Kernel,
}

impl Mirrors {
    pub(super) fn new(kernel: Kernel) -> Self {
        let (catalog, host) = (kernel.catalog.clone(), Arc::clone(&kernel.host));
        Self { catalog, host, kernel }
    }

    /// Adds a mirror. Its first run begins at once.
    ///
    /// # Errors
    /// [`AppError::Invalid`] if a part of the order breaks a rule, or there is a mirror of this
    /// name; [`AppError::LimitReached`] if there are too many mirrors.
    pub async fn add(&self, new: NewMirror) -> Result<MirrorStatus, AppError> {
        check(&new)?;
        let (mut applications, mut channels) = (new.applications, new.channels);
        applications.sort();
        applications.dedup();
        channels.sort();
        channels.dedup();
        let mirror = Mirror {
            name: new.name,
            direction: new.direction,
            url: checked_url(&new.url)?,
            token: new.token.map(MirrorToken::new),
            applications,
            channels,
            every_secs: new.every_secs,
            bytes_per_sec_max: new.bytes_per_sec_max,
            deletes: new.deletes,
            overrides_channels: new.overrides_channels,
            request_count: 0,
            created_at_secs: self.host.now_secs(),
            created_by: new.created_by,
        };
        match self.catalog.add_mirror(mirror.clone()).await? {
            MirrorAdded::Done => Ok(self.status_of(MirrorRow { mirror, job: None })),
            MirrorAdded::NameTaken => Err(AppError::rule(format!(
                "there is a mirror `{}`: remove it first, or choose another name",
                mirror.name
            ))),
            MirrorAdded::TooMany(limit) => Err(AppError::LimitReached {
                whose: "this registry".to_owned(),
                limit: format!("{limit} mirrors"),
                remedy: "remove mirrors that are not needed: `seawall mirror list` shows them",
            }),
        }
    }

    /// Removes a mirror. A run in progress ends within seconds; what it copied stays.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such mirror.
    pub async fn remove(&self, name: MirrorName, actor: String) -> Result<(), AppError> {
        let now_secs = self.host.now_secs();
        match self.catalog.remove_mirror(name.clone(), actor, now_secs).await? {
            true => Ok(()),
            false => Err(no_such(&name)),
        }
    }

    /// Requests a run of a mirror, which a process that serves the registry begins within seconds.
    /// Returns the number of the request.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such mirror.
    pub async fn request(&self, name: MirrorName) -> Result<u64, AppError> {
        self.catalog.request_mirror(name.clone()).await?.ok_or_else(|| no_such(&name))
    }

    /// Lists all mirrors by name, with their status.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn list(&self) -> Result<Vec<MirrorStatus>, AppError> {
        let rows = self.catalog.mirrors().await?;
        Ok(rows.into_iter().map(|row| self.status_of(row)).collect())
    }

    /// Returns one mirror with its status.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such mirror.
    pub async fn find(&self, name: &MirrorName) -> Result<MirrorStatus, AppError> {
        let found = self.list().await?.into_iter().find(|status| status.mirror.name == *name);
        found.ok_or_else(|| no_such(name))
    }

    fn status_of(&self, row: MirrorRow) -> MirrorStatus {
        MirrorStatus::of(row, self.host.now_secs())
    }
}

fn no_such(name: &MirrorName) -> AppError {
    AppError::not_found(format!("mirror `{name}`"))
}

/// Checks the quantities of a new mirror.
fn check(new: &NewMirror) -> Result<(), AppError> {
    let counts = [(new.applications.len(), "applications"), (new.channels.len(), "channels")];
    if let Some((_, what)) = counts.into_iter().find(|(count, _)| *count > NAMES_MAX) {
        return Err(AppError::rule(format!("a mirror names at most {NAMES_MAX} {what}")));
    }
    if new.applications.is_empty() {
        return Err(AppError::rule("a mirror names at least one application; `*` stands for all"));
    }
    if !(EVERY_SECS_MIN..=EVERY_SECS_MAX).contains(&new.every_secs) {
        return Err(AppError::rule("the interval of a mirror is one second to 366 days"));
    }
    if new.bytes_per_sec_max.is_some_and(|rate| rate < BYTES_PER_SEC_MIN) {
        return Err(AppError::rule("the limit of a mirror is at least 64 KiB per second"));
    }
    let is_token = |text: &String| {
        (1..=TOKEN_LEN_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    if !new.token.as_ref().is_none_or(is_token) {
        return Err(AppError::rule("the token of a mirror has characters that no token has"));
    }
    Ok(())
}

fn checked_url(text: &str) -> Result<String, AppError> {
    let bad = |why: &str| AppError::rule(format!("the URL of the mirror {why}"));
    if text.len() > URL_LEN_MAX {
        return Err(bad("is longer than 2048 bytes"));
    }
    let url: Url = text.parse().map_err(|error| bad(&format!("is not valid: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("does not begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("contains a user or a password: give a token instead"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("has a query or a fragment, which the address of a registry has not"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

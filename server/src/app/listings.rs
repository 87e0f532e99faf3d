//! Listings of applications and releases, a page at a time.

use std::collections::HashMap;

use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::reference::Selector;

use super::deletion::MOVES_HELD;
use super::{AppError, Registry};
use crate::catalog::check::LostObject;
use crate::catalog::fleet::Marks;
use crate::catalog::{Application, LISTED_NAMES_LEN_MAX, Release};

/// A page of a listing; `next` is where the one after it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T, K> {
    /// What it holds.
    pub items: Vec<T>,
    /// The last item's name, when there are more.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// From one item more than the page may hold, when there are as many.
    pub(super) fn of(mut items: Vec<T>, limit: u32, key: impl FnOnce(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
}

/// A release as a listing shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedRelease {
    /// The release.
    pub release: Release,
    /// The channels that point at it.
    pub channels: Vec<ChannelName>,
    /// What else holds it.
    pub marks: Marks,
    /// What it is known to lack.
    pub lost: Vec<LostObject>,
}

impl Registry {
    /// Applications by name, from the one after `after`.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn applications(
        &self,
        after: Option<ApplicationName>,
        limit: u32,
    ) -> Result<Page<Application, ApplicationName>, AppError> {
        let items = self.catalog.applications(after, limit.saturating_add(1)).await?;
        Ok(Page::of(items, limit, |application| application.name.clone()))
    }

    /// An application.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is none of that name.
    pub async fn application(&self, name: &ApplicationName) -> Result<Application, AppError> {
        let found = self.catalog.application(name.clone()).await?;
        found.ok_or_else(|| no_application(name))
    }

    /// Proves that there is an application of that name.
    pub(super) async fn find_application(&self, name: &ApplicationName) -> Result<(), AppError> {
        if self.catalog.has_application(name.clone()).await? {
            return Ok(());
        }
        Err(no_application(name))
    }

    /// Releases of an application, newest first, from the one published before `after`: fewer than
    /// `limit` where the names of their machines are long.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is no such application or no such `after`.
    pub async fn releases(
        &self,
        application: &ApplicationName,
        after: Option<Version>,
        limit: u32,
    ) -> Result<Page<ListedRelease, Version>, AppError> {
        match &after {
            Some(version) => {
                self.resolve(application, &Selector::Version(version.clone())).await?;
            }
            None => {
                self.find_application(application).await?;
            }
        }
        let wanted = limit.saturating_add(1);
        let releases = self.catalog.releases(application.clone(), after, wanted).await?;
        let fit = fitting(&releases).min(limit);
        let channels = self.catalog.channels(application.clone()).await?;
        let lost = self.lost_of_all(&releases).await?;
        let (of, now_secs) = (application.clone(), self.host.now_secs());
        let marks = self.catalog.marks(of, now_secs, MOVES_HELD).await?;
        let mut marks: HashMap<_, _> = marks.into_iter().collect();
        let items = releases.into_iter().zip(lost).map(|(release, lost)| {
            let here = channels.iter().filter(|channel| channel.release == release.digest);
            let channels = here.map(|channel| channel.name.clone()).collect();
            let marks = marks.remove(&release.digest).unwrap_or_default();
            ListedRelease { release, channels, marks, lost }
        });
        Ok(Page::of(items.collect(), fit, |listed| listed.release.version.clone()))
    }
}

fn no_application(name: &ApplicationName) -> AppError {
    AppError::not_found(format!("application {name}"))
}

/// How many of these releases, at least one, one answer may hold the machines of.
fn fitting(releases: &[Release]) -> u32 {
    let mut names_len = 0;
    let fit = releases.iter().take_while(|release| {
        names_len += release.names_len();
        names_len <= LISTED_NAMES_LEN_MAX
    });
    u32::try_from(fit.count()).unwrap_or(u32::MAX).max(1)
}

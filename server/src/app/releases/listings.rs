//! Paginated listings of applications and releases.

use std::collections::HashMap;

use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::reference::Selector;

use super::Releases;
use crate::app::AppError;
use crate::app::model::Page;
use crate::app::names::MOVES_HELD;
use crate::catalog::check::LostObject;
use crate::catalog::retention::Marks;
use crate::catalog::{Application, LISTED_NAMES_LEN_MAX, Release};

/// A release in a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedRelease {
    /// The release.
    pub release: Release,
    /// The channels pointing at the release.
    pub channels: Vec<ChannelName>,
    /// The other holders of the release.
    pub marks: Marks,
    /// The objects known to be missing from the release.
    pub lost: Vec<LostObject>,
}

impl Releases {
    /// Lists the applications that `covers` accepts by name, starting after `after`. Reads on until
    /// the page is full, so that the cursor names no other application.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn applications(
        &self,
        mut after: Option<ApplicationName>,
        limit: u32,
        covers: impl Fn(&ApplicationName) -> bool,
    ) -> Result<Page<Application, ApplicationName>, AppError> {
        let wanted = limit.saturating_add(1);
        let mut items = Vec::new();
        loop {
            let rows = self.catalog.applications(after, wanted).await?;
            let is_last = u32::try_from(rows.len()).is_ok_and(|count| count < wanted);
            after = rows.last().map(|application| application.name.clone());
            items.extend(rows.into_iter().filter(|application| covers(&application.name)));
            if is_last || items.len() > limit as usize {
                break;
            }
        }
        Ok(Page::of(items, limit, |application| application.name.clone()))
    }

    /// Lists the releases of an application, newest first, starting after `after`. A page has fewer
    /// than `limit` releases if the names of their machines are long.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if the application or `after` does not exist.
    pub async fn list(
        &self,
        application: &ApplicationName,
        after: Option<Version>,
        limit: u32,
    ) -> Result<Page<ListedRelease, Version>, AppError> {
        match &after {
            Some(version) => {
                self.names.resolve(application, &Selector::Version(version.clone())).await?;
            }
            None => {
                self.names.find_application(application).await?;
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

/// Returns the number of releases, at least one, whose machine names fit into one response.
fn fitting(releases: &[Release]) -> u32 {
    let mut names_len = 0;
    let fit = releases.iter().take_while(|release| {
        names_len += release.names_len();
        names_len <= LISTED_NAMES_LEN_MAX
    });
    u32::try_from(fit.count()).unwrap_or(u32::MAX).max(1)
}

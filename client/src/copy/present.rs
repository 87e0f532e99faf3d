//! The releases that the target lists, so that a standing copy does not ask about each of them.

use std::collections::HashMap;

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::problem::Code;

use super::select::SelectedRelease;
use super::{Copy, CopyError};
use crate::registry::{Pages, Reading, RegistryError};

/// The releases of an application in the target.
#[derive(Default)]
pub(super) struct Present {
    of: Option<ApplicationName>,
    releases: HashMap<Version, ReleaseDigest>,
}

impl Present {
    /// Returns true if the target of a standing copy lists the release. Releases are asked about
    /// application by application.
    pub(super) async fn has(
        &mut self,
        copy: &Copy,
        selected: &SelectedRelease,
    ) -> Result<bool, CopyError> {
        if !copy.manner.is_standing {
            return Ok(false);
        }
        if self.of.as_ref() != Some(&selected.application) {
            self.releases = listed(copy.to.as_ref(), &selected.application).await?;
            self.of = Some(selected.application.clone());
        }
        Ok(self.releases.get(&selected.version) == Some(&selected.digest))
    }
}

/// Returns the releases of an application that a place lists; none without the application.
pub(super) async fn listed(
    place: &dyn Reading,
    application: &ApplicationName,
) -> Result<HashMap<Version, ReleaseDigest>, RegistryError> {
    let mut found = HashMap::new();
    let mut pages = Pages::of("list releases");
    let mut after: Option<Version> = None;
    loop {
        let page = match place.releases(application, after.as_ref()).await {
            Err(error) if error.code() == Some(Code::NotFound) => break,
            page => page?,
        };
        found.extend(page.releases.into_iter().map(|release| (release.version, release.digest)));
        after = pages.follow(page.next)?;
        if after.is_none() {
            break;
        }
    }
    Ok(found)
}

//! The list of releases that a site holds: a bundle for the site leaves out their chunks.

use std::path::Path;

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, Version};
use serde::{Deserialize, Serialize};

use super::BundleError;
use crate::depot::Depot;
use crate::error::ErrorKind;
use crate::registry::{Pages, Reading, RegistryError};
use crate::resolve;

const SCHEMA: &str = "seawall.bundle-have/1";
/// The maximum length of a list in bytes: about 80,000 releases.
pub const HAVE_LEN_MAX: u64 = 16 << 20;

/// The releases that a site holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Have {
    schema: String,
    /// The releases.
    pub releases: Vec<HeldRelease>,
}

/// A release that a site holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeldRelease {
    /// The application.
    pub application: ApplicationName,
    /// The version.
    pub version: Version,
    /// The digest.
    pub digest: ReleaseDigest,
}

impl Have {
    /// Lists what a registry holds.
    ///
    /// # Errors
    /// Fails if the registry fails.
    pub async fn of(registry: &dyn Reading) -> Result<Self, RegistryError> {
        let mut releases = Vec::new();
        let mut pages = Pages::of("list applications");
        let mut after = None;
        loop {
            let page = registry.applications(after.as_ref()).await?;
            for application in page.applications {
                releases.extend(held(registry, &application.name).await?);
            }
            after = pages.follow(page.next)?;
            if after.is_none() {
                break;
            }
        }
        Ok(Self { schema: SCHEMA.to_owned(), releases })
    }

    /// Parses a list.
    ///
    /// # Errors
    /// Fails if the text is no list in a known format.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, BundleError> {
        let refuse = |why: String| BundleError::Have { path: path.to_owned(), why };
        let have: Self = serde_json::from_slice(text).map_err(|error| refuse(error.to_string()))?;
        if have.schema != SCHEMA {
            let schema = crate::plain::one_line(&have.schema);
            return Err(refuse(format!("its schema is `{schema}`, not `{SCHEMA}`")));
        }
        Ok(have)
    }

    /// Tells a bundle that its reader has the chunks of these releases, as far as `source` knows
    /// them. Returns the number of releases that it knows.
    ///
    /// # Errors
    /// Fails if the source or the bundle fails.
    pub async fn assume(&self, source: &dyn Reading, bundle: &Depot) -> Result<u64, RegistryError> {
        let mut count = 0;
        for held in &self.releases {
            let selector = seawall_api::reference::Selector::Digest(held.digest);
            let release = match resolve::document(source, &held.application, &selector).await {
                Ok(release) => release,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for (_, disk) in release.disks() {
                bundle.assume(source, disk.index).await?;
            }
            count += 1;
        }
        Ok(count)
    }
}

/// Returns the sound releases of an application.
async fn held(
    registry: &dyn Reading,
    application: &ApplicationName,
) -> Result<Vec<HeldRelease>, RegistryError> {
    let mut releases = Vec::new();
    let mut pages = Pages::of("list releases");
    let mut after = None;
    loop {
        let page = registry.releases(application, after.as_ref()).await?;
        let sound = page.releases.into_iter().filter(|release| release.lost.is_empty());
        releases.extend(sound.map(|release| HeldRelease {
            application: application.clone(),
            version: release.version,
            digest: release.digest,
        }));
        after = pages.follow(page.next)?;
        if after.is_none() {
            return Ok(releases);
        }
    }
}

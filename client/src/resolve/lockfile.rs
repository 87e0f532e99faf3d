//! The release that a lockfile pins.

use std::path::Path;

use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;

use super::ResolveError;
use crate::directory::Lockfile;

/// Returns the digest in a lockfile as a selector, for a pull of `selector` of `application`.
///
/// # Errors
/// Fails if the lockfile cannot be read, or names another application, version or digest.
pub fn locked(
    path: &Path,
    application: &ApplicationName,
    selector: &Selector,
) -> Result<Selector, ResolveError> {
    if !path.exists() {
        return Err(ResolveError::NoLockfile { path: path.to_owned() });
    }
    let lock = Lockfile::read(path)?;
    let agrees = lock.application == *application
        && match selector {
            Selector::Version(version) => *version == lock.version,
            Selector::Digest(digest) => *digest == lock.release,
            // The lockfile pins a release on purpose, while the channel may have moved on.
            Selector::Channel(_) => true,
        };
    if !agrees {
        let locked = format!("{}:{}", lock.application, lock.version);
        return Err(ResolveError::LockedElsewhere { path: path.to_owned(), locked });
    }
    Ok(Selector::Digest(lock.release))
}

//! `seawall rm`.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::problem::Code;
use seawall_api::reference::Selector;
use seawall_api::v1::{DeletedRelease, Holder};
use serde::Serialize;

use super::holders::{holders_text, stays};
use crate::command::Target;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::answer;

/// The outcome of `rm --dry-run`.
#[derive(Serialize)]
struct Removal {
    application: ApplicationName,
    version: Version,
    release: ReleaseDigest,
    /// The holders of the release; a release without holders would be deleted.
    holders: Vec<Holder>,
}

#[derive(Serialize)]
struct Removed {
    application: ApplicationName,
    #[serde(flatten)]
    release: DeletedRelease,
}

pub(super) async fn remove(context: &Context, target: Target) -> Result<(), Failure> {
    let Target { application, selector, .. } = target;
    let version = match selector {
        Selector::Version(version) => version,
        // A registry deletes by version only, because a channel may move before the request
        // arrives.
        named => context.registry.holders(&application, &named).await?.version,
    };
    let release = match context.registry.delete_release(&application, &version).await {
        Err(error) if error.code() == Some(Code::Held) => {
            let named = Selector::Version(version.clone());
            return Err(match context.registry.holders(&application, &named).await {
                Ok(held) if !held.holders.is_empty() => {
                    stays(&application, &version, &held.holders)
                }
                _ => error.into(),
            });
        }
        deleted => deleted?,
    };
    answer(context.style, &Removed { application, release }, |removed| {
        let Removed { application, release } = removed;
        let name = format!("{application}:{}", release.version);
        format!("{name} is deleted, and its version is never used again ({})\n", release.digest)
    })
}

pub(super) async fn would_remove(context: &Context, target: Target) -> Result<(), Failure> {
    let Target { application, selector, .. } = target;
    let found = context.registry.holders(&application, &selector).await?;
    let name = format!("{application}:{}", found.version);
    let (version, release, holders) = (found.version, found.digest, found.holders);
    let removal = Removal { application, version, release, holders };
    answer(context.style, &removal, |removal| match removal.holders.is_empty() {
        true => format!("nothing holds {name}: it would be deleted\n"),
        false => holders_text(&removal.holders),
    })?;
    if removal.holders.is_empty() {
        return Ok(());
    }
    Err(stays(&removal.application, &removal.version, &removal.holders))
}

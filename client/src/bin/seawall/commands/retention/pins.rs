//! `seawall pin` and `unpin`.

use seawall::error::ErrorKind;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, PinName, Version};
use seawall_api::reference::Selector;
use seawall_api::v1::{Holder, Pin};
use serde::Serialize;

use crate::command::Target;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::answer;

#[derive(Serialize)]
struct Pinned {
    pins: Vec<PinnedOne>,
}

#[derive(Serialize)]
struct PinnedOne {
    application: ApplicationName,
    version: Version,
    digest: ReleaseDigest,
    #[serde(flatten)]
    pin: Pin,
}

#[derive(Serialize)]
struct Unpinned {
    application: ApplicationName,
    version: Version,
    digest: ReleaseDigest,
    pin: PinName,
}

pub(super) async fn pin(
    context: &Context,
    targets: Vec<Target>,
    name: &PinName,
    reason: &str,
) -> Result<(), Failure> {
    let mut pins = Vec::new();
    for Target { application, selector, .. } in targets {
        // By digest, so that a channel that moves meanwhile cannot change the pinned release.
        let found = context.registry.holders(&application, &selector).await?;
        let (version, digest) = (found.version, found.digest);
        let selector = Selector::Digest(digest);
        let pin = context.registry.pin(&application, &selector, name, reason).await?;
        pins.push(PinnedOne { application, version, digest, pin });
    }
    answer(context.style, &Pinned { pins }, |pinned| {
        let line = |one: &PinnedOne| {
            let PinnedOne { application, version, pin, .. } = one;
            format!("{application}:{version} is pinned as {}: {}\n", pin.name, pin.reason)
        };
        pinned.pins.iter().map(line).collect()
    })
}

pub(super) async fn unpin(context: &Context, target: Target, pin: PinName) -> Result<(), Failure> {
    let Target { application, selector, .. } = target;
    let found = context.registry.holders(&application, &selector).await?;
    let (version, digest) = (found.version, found.digest);
    if !found
        .holders
        .iter()
        .any(|held| matches!(held, Holder::Pin { pin: name, .. } if *name == pin))
    {
        let what = format!("{application}:{version} has no pin `{pin}`");
        let remedy = format!("`seawall show {application}:{version}` lists what holds it");
        return Err(Failure::usage(what, remedy).of_kind(ErrorKind::NotFound));
    }
    context.registry.unpin(&application, &Selector::Digest(digest), &pin).await?;
    let unpinned = Unpinned { application, version, digest, pin };
    answer(context.style, &unpinned, |done| {
        format!("pin {} of {}:{} was removed\n", done.pin, done.application, done.version)
    })
}

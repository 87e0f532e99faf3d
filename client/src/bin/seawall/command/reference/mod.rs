//! Parsing of references to releases and applications, as they are typed: in full, abbreviated, or
//! relative to a pulled folder.

pub(super) mod prefix;
pub(crate) mod relative;

use seawall_api::names::ApplicationName;
use seawall_api::reference::{Reference, Selector};

use crate::failure::Failure;
pub(crate) use prefix::Prefix;
use relative::{Named, parse};

/// A release in a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    pub(crate) application: ApplicationName,
    /// A placeholder while `prefix` is set; [`Target::complete`] replaces it.
    pub(crate) selector: Selector,
    /// The typed digits of an abbreviated digest.
    pub(crate) prefix: Option<Prefix>,
}

/// Parses a reference to a whole release, and its host.
pub(super) fn release(text: &str) -> Result<(Option<Named>, Target), Failure> {
    let (host, (reference, prefix)) = parse(text)?;
    if let Some(machine) = &reference.machine {
        return Err(Failure::usage(
            format!("`{text}` names a part of a release"),
            format!("this command takes whole releases: omit `/{machine}`"),
        ));
    }
    Ok((host, target((reference, prefix), text)?))
}

pub(super) fn target(
    (reference, prefix): (Reference, Option<Prefix>),
    text: &str,
) -> Result<Target, Failure> {
    let Reference { application, selector, .. } = reference;
    let selector = selector.ok_or_else(|| {
        Failure::usage(
            format!("`{text}` names an application, not one of its releases"),
            format!(
                "write {application}:VERSION, {application}:CHANNEL or {application}@blake3:…; \
                 `seawall list {text}` lists the releases"
            ),
        )
    })?;
    Ok(Target { application, selector, prefix })
}

/// Parses a reference to an application alone, and its host.
pub(super) fn application(text: &str) -> Result<(Option<Named>, ApplicationName), Failure> {
    let (host, (reference, _)) = parse(text)?;
    if let Some(selector) = reference.selector {
        return Err(Failure::usage(
            format!("`{text}` names a release of `{}`", reference.application),
            format!(
                "this command takes an application: omit `{selector}`; `seawall show \
                 {text}` shows the release"
            ),
        ));
    }
    Ok((host, reference.application))
}

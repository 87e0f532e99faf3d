//! Select: the releases and channels that an order names.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ApplicationPattern, ChannelName, Version};
use seawall_api::problem::Code;
use seawall_api::reference::Selector;
use seawall_api::v1::ReleaseSummary;

use super::manner::remark;
use super::{Copy, CopyError, Pick};
use crate::registry::{Pages, Reading};
use crate::resolve;

/// The maximum number of releases that one order may name.
const RELEASES_MAX: usize = 100_000;

/// The releases of an application to take. The default takes all of them.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Only versions that match.
    pub versions: Option<VersionPattern>,
    /// Only releases published at this time or later, in seconds since 1970-01-01 UTC.
    pub since_secs: Option<u64>,
    /// Only releases that one of these channels points at. Empty for no such limit.
    pub channels: Vec<ChannelName>,
    /// Only this many releases, the newest.
    pub newest: Option<usize>,
}

impl Filter {
    fn takes(&self, release: &ReleaseSummary) -> bool {
        self.versions.as_ref().is_none_or(|pattern| pattern.matches(&release.version))
            && self.since_secs.is_none_or(|since| release.published_at_secs >= since)
            && (self.channels.is_empty() || release.channels.iter().any(|it| self.follows(it)))
    }

    fn follows(&self, channel: &ChannelName) -> bool {
        self.channels.is_empty() || self.channels.contains(channel)
    }
}

/// A pattern of versions: one version, or the beginning of several and a `*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionPattern(String);

/// Text that is no pattern of versions.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{}` is no pattern of versions: write one version, or a beginning and `*`, as in `1.4.*`", .0.escape_debug())]
pub struct VersionPatternError(String);

impl VersionPattern {
    /// Returns true if the pattern covers a version.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => version.as_str().starts_with(beginning),
            None => version.as_str() == self.0,
        }
    }
}

impl FromStr for VersionPattern {
    type Err = VersionPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A dot or plus may follow the beginning of a version, though it may not end one.
        let beginning = text.strip_suffix('*');
        let beginning = beginning.map(|it| it.strip_suffix(['.', '-', '+', '_']).unwrap_or(it));
        match beginning.unwrap_or(text) {
            "" if beginning.is_some() && text == "*" => Ok(Self(text.to_owned())),
            version if version.parse::<Version>().is_ok() => Ok(Self(text.to_owned())),
            _ => Err(VersionPatternError(text.to_owned())),
        }
    }
}

impl fmt::Display for VersionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A release to copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SelectedRelease {
    pub(super) application: ApplicationName,
    pub(super) version: Version,
    pub(super) digest: ReleaseDigest,
}

/// A channel to copy, and the release that it points at in the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SelectedChannel {
    pub(super) application: ApplicationName,
    pub(super) channel: ChannelName,
    pub(super) release: ReleaseDigest,
}

/// Everything that an order names, each once.
#[derive(Default)]
pub(super) struct Selected {
    pub(super) releases: Vec<SelectedRelease>,
    pub(super) channels: Vec<SelectedChannel>,
    /// What a standing copy did not find, each with the reason.
    pub(super) left_alone: Vec<String>,
    seen: HashSet<(ApplicationName, ReleaseDigest)>,
    followed: BTreeMap<(ApplicationName, ChannelName), ReleaseDigest>,
}

/// Returns the releases of an order, oldest first in each application, and their channels.
pub(super) async fn releases(copy: &Copy) -> Result<Selected, CopyError> {
    let mut selected = Selected::default();
    for pick in &copy.picks {
        match pick {
            Pick::One(application, selector) => {
                one(copy, application, selector, &mut selected).await?
            }
            Pick::Each(pattern, filter) => match some(copy, pattern, filter, &mut selected).await {
                Err(error) if copy.manner.leaves_alone(&error) => {
                    selected.left_alone.extend(remark(&error));
                }
                done => done?,
            },
        }
    }
    let followed = std::mem::take(&mut selected.followed);
    selected.channels = followed
        .into_iter()
        .map(|((application, channel), release)| SelectedChannel { application, channel, release })
        .collect();
    Ok(selected)
}

async fn some(
    copy: &Copy,
    pattern: &ApplicationPattern,
    filter: &Filter,
    selected: &mut Selected,
) -> Result<(), CopyError> {
    for application in applications(copy.from.as_ref(), pattern).await? {
        each(copy, &application, filter, selected).await.map_err(|error| match error {
            CopyError::Registry(error) if error.code() == Some(Code::NotFound) => {
                CopyError::NoApplication { pattern: pattern.clone() }
            }
            error => error,
        })?;
    }
    Ok(())
}

impl SelectedChannel {
    /// Returns the remark that the target lacks the release of the channel.
    pub(super) fn without_release(&self) -> String {
        format!(
            "channel {}:{}: the target does not have its release",
            self.application, self.channel
        )
    }
}

impl Selected {
    fn add(&mut self, release: SelectedRelease) -> Result<(), CopyError> {
        if !self.seen.insert((release.application.clone(), release.digest)) {
            return Ok(());
        }
        if self.releases.len() >= RELEASES_MAX {
            return Err(CopyError::TooMany { max: RELEASES_MAX });
        }
        self.releases.push(release);
        Ok(())
    }
}

async fn one(
    copy: &Copy,
    application: &ApplicationName,
    selector: &Selector,
    selected: &mut Selected,
) -> Result<(), CopyError> {
    let release = resolve::document(copy.from.as_ref(), application, selector).await?;
    let (application, digest) = (application.clone(), release.digest());
    if let Selector::Channel(channel) = selector {
        selected.followed.insert((application.clone(), channel.clone()), digest);
    }
    let version = release.version().clone();
    selected.add(SelectedRelease { application, version, digest })
}

pub(super) async fn applications(
    place: &dyn Reading,
    pattern: &ApplicationPattern,
) -> Result<Vec<ApplicationName>, CopyError> {
    if let Ok(name) = pattern.as_str().parse() {
        return Ok(vec![name]);
    }
    let mut found = Vec::new();
    let mut pages = Pages::of("list applications");
    let mut after: Option<ApplicationName> = None;
    loop {
        let page = place.applications(after.as_ref()).await?;
        let names = page.applications.into_iter().map(|application| application.name);
        found.extend(names.filter(|name| pattern.matches(name)));
        after = pages.follow(page.next)?;
        if after.is_none() {
            break;
        }
    }
    match found.is_empty() {
        true => Err(CopyError::NoApplication { pattern: pattern.clone() }),
        false => Ok(found),
    }
}

async fn each(
    copy: &Copy,
    application: &ApplicationName,
    filter: &Filter,
    selected: &mut Selected,
) -> Result<(), CopyError> {
    let mut found = Vec::new();
    let mut pages = Pages::of("list releases");
    let mut after: Option<Version> = None;
    loop {
        let page = copy.from.releases(application, after.as_ref()).await?;
        found.extend(page.releases.into_iter().filter(|release| filter.takes(release)));
        after = pages.follow(page.next)?;
        if after.is_none() || found.len() > RELEASES_MAX {
            break;
        }
    }
    // Listed newest first. Oldest first, the channels' targets come last and share the most.
    found.truncate(filter.newest.unwrap_or(usize::MAX));
    for release in found.into_iter().rev() {
        for channel in release.channels.into_iter().filter(|it| filter.follows(it)) {
            selected.followed.insert((application.clone(), channel), release.digest);
        }
        let (application, version) = (application.clone(), release.version);
        selected.add(SelectedRelease { application, version, digest: release.digest })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_versions_is_a_version_or_its_beginning() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        for (pattern, covered, other) in
            [("1.4.*", "1.4.0", "1.40.0"), ("1.4*", "1.40.0", "1.5"), ("2.0", "2.0", "2.0.0")]
        {
            let pattern: VersionPattern = pattern.parse().unwrap();
            assert!(pattern.matches(&version(covered)), "{pattern} {covered}");
            assert!(!pattern.matches(&version(other)), "{pattern} {other}");
        }
        assert!("*".parse::<VersionPattern>().unwrap().matches(&version("0.1")));
        for wrong in ["", "stable", "1.*.0", "1..*", ".*", "**"] {
            assert!(wrong.parse::<VersionPattern>().is_err(), "{wrong}");
        }
    }
}

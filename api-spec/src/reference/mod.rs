//! References: texts that name a release or a part of one.
//!
//! ```text
//! [host[:port]/]application[:version | :channel | @blake3:…][/machine[/disk]]
//! ```
//!
//! The first segment before a slash is a host if it is `localhost`, contains a `.` or starts with
//! `[`, not counting a port of digits. A machine can only follow a version, channel or digest.
//! Without one, a slash continues the application.

use std::fmt;
use std::str::FromStr;

use crate::digest::{InvalidDigest, ReleaseDigest};
use crate::names::{ApplicationName, ChannelName, DiskName, InvalidName, MachineName, Version};

/// The maximum length of a reference, in bytes.
pub const REFERENCE_LEN_MAX: usize = 1024;

/// The selector of a release within an application.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Selector {
    /// A version, an immutable name.
    Version(Version),
    /// A channel. Selects the release that the channel points to when resolved.
    Channel(ChannelName),
    /// The digest of the release.
    Digest(ReleaseDigest),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "{version}"),
            Self::Channel(channel) => write!(f, "{channel}"),
            Self::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

impl FromStr for Selector {
    type Err = InvalidReference;

    /// Parses a version, a channel or a digest, told apart by their beginnings.
    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if text.starts_with("blake3:") {
            return Ok(Self::Digest(text.parse()?));
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Self::Version(text.parse()?));
        }
        Ok(Self::Channel(text.parse()?))
    }
}

/// A parsed reference.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Reference {
    /// The registry's host, with its port if given.
    pub host: Option<String>,
    /// The application.
    pub application: ApplicationName,
    /// The release. `None` names the application itself.
    pub selector: Option<Selector>,
    /// A machine of the release.
    pub machine: Option<MachineName>,
    /// A disk of the machine.
    pub disk: Option<DiskName>,
}

/// The reason a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// The text is longer than [`REFERENCE_LEN_MAX`].
    #[error("a reference has at most {REFERENCE_LEN_MAX} bytes")]
    TooLong,
    /// The host is empty or has invalid characters.
    #[error("`{0}` is not a host or host:port")]
    Host(String),
    /// The text continues after machine and disk.
    #[error("a reference ends with /machine or /machine/disk")]
    TooDeep,
    /// A name in the reference is malformed.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The digest in the reference is malformed.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if text.len() > REFERENCE_LEN_MAX {
            return Err(InvalidReference::TooLong);
        }
        let (host, rest) = split_host(text)?;
        let (application, tail) = match rest.find([':', '@']) {
            Some(at) => (&rest[..at], Some((rest.as_bytes()[at], &rest[at + 1..]))),
            None => (rest, None),
        };
        let application = application.parse()?;
        let Some((sign, tail)) = tail else {
            return Ok(Self { host, application, selector: None, machine: None, disk: None });
        };
        let mut parts = tail.split('/');
        let selector = parts.next().unwrap_or_default();
        let selector = if sign == b'@' {
            Selector::Digest(selector.parse()?)
        } else {
            // `app:blake3:…` is a slip for `app@blake3:…`. The meaning is clear, so both are
            // accepted.
            selector.parse()?
        };
        let machine = parts.next().map(str::parse).transpose()?;
        let disk = parts.next().map(str::parse).transpose()?;
        if parts.next().is_some() {
            return Err(InvalidReference::TooDeep);
        }
        Ok(Self { host, application, selector: Some(selector), machine, disk })
    }
}

fn split_host(text: &str) -> Result<(Option<String>, &str), InvalidReference> {
    let Some((first, rest)) = text.split_once('/') else { return Ok((None, text)) };
    // `webshop:1.0/web` also has a colon in its first segment, but `1.0` is not a port.
    let is_host = match first.rsplit_once(':') {
        Some((host, port)) => looks_like_host(host) && is_port(port),
        None => looks_like_host(first),
    };
    if !is_host {
        return Ok((None, text));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if first.starts_with(['.', ':', '-']) || !first.chars().all(legal) {
        return Err(InvalidReference::Host(first.escape_default().to_string()));
    }
    Ok((Some(first.to_owned()), rest))
}

fn looks_like_host(text: &str) -> bool {
    text == "localhost" || (text.contains('.') && !text.contains('@')) || text.starts_with('[')
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        write!(f, "{}", self.application)?;
        match &self.selector {
            Some(Selector::Digest(digest)) => write!(f, "@{digest}")?,
            Some(selector) => write!(f, ":{selector}")?,
            None => {}
        }
        if let Some(machine) = &self.machine {
            write!(f, "/{machine}")?;
        }
        if let Some(disk) = &self.disk {
            write!(f, "/{disk}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

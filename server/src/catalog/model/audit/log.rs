//! Entries of the audit log.

use std::collections::BTreeMap;

use seawall_api::audit::{Action, EntryContent};
use seawall_api::digest::{EntryDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, Version};

/// The maximum length of a fact's value, in bytes. Longer values are truncated.
const FACT_LEN_MAX: usize = 1024;

/// The content of an audit log entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Time of the action, in seconds since 1970-01-01 UTC.
    pub at_secs: u64,
    /// The name of the token used; empty without authentication and for the registry's own actions.
    pub actor: String,
    /// The action.
    pub action: Action,
    /// The application acted on.
    pub application: Option<ApplicationName>,
    /// The version acted on.
    pub version: Option<Version>,
    /// The release acted on.
    pub release: Option<ReleaseDigest>,
    /// Further facts, by name.
    pub facts: BTreeMap<String, String>,
}

impl Entry {
    /// Makes an entry without facts.
    #[must_use]
    pub fn new(action: Action, actor: &str, at_secs: u64) -> Self {
        Self {
            at_secs,
            actor: actor.to_owned(),
            action,
            application: None,
            version: None,
            release: None,
            facts: BTreeMap::new(),
        }
    }

    /// Names the application acted on.
    #[must_use]
    pub fn to_application(self, application: &ApplicationName) -> Self {
        Self { application: Some(application.clone()), ..self }
    }

    /// Names the release acted on.
    #[must_use]
    pub fn to_release(self, version: &Version, release: ReleaseDigest) -> Self {
        Self { version: Some(version.clone()), release: Some(release), ..self }
    }

    /// Adds a fact. Names are in camel case, as in the bodies of the API.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // numbers and names alike, without an `&` at each call
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        let mut value = value.to_string();
        value.truncate(value.floor_char_boundary(FACT_LEN_MAX));
        self.facts.insert(name.to_owned(), value);
        self
    }
}

/// An entry of the log, with its position and digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logged {
    /// The number of the entry, from 1.
    pub sequence: u64,
    /// The content of the entry.
    pub entry: Entry,
    /// The digest that chains the entry to all before it.
    pub digest: EntryDigest,
}

impl Logged {
    /// Makes the entry that follows the one with number and digest `last`.
    #[must_use]
    pub fn after(last: (u64, EntryDigest), entry: Entry) -> Self {
        let sequence = last.0 + 1;
        let digest = content(sequence, &entry).digest(last.1);
        Self { sequence, entry, digest }
    }
}

fn content(sequence: u64, entry: &Entry) -> EntryContent<'_> {
    EntryContent {
        sequence,
        at_secs: entry.at_secs,
        actor: &entry.actor,
        action: entry.action,
        application: entry.application.as_ref(),
        version: entry.version.as_ref(),
        release: entry.release,
        facts: &entry.facts,
    }
}

/// A filter for entries of the audit log. `None` matches all.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only entries of this application.
    pub application: Option<ApplicationName>,
    /// Only entries of this action.
    pub action: Option<Action>,
    /// Only entries of this actor.
    pub actor: Option<String>,
    /// Only entries from this time on, in seconds since 1970-01-01 UTC.
    pub since_secs: Option<u64>,
    /// Only entries older than the one with this number.
    pub after: Option<u64>,
    /// The maximum number of entries to return.
    pub limit: u32,
}

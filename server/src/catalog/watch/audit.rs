//! Entries of the audit log.

use std::collections::BTreeMap;

use seawall_api::audit::{Action, Said};
use seawall_api::digest::{EntryDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, Version};

/// The longest value of a fact, in bytes; what is longer is cut.
const FACT_LEN_MAX: usize = 1024;

/// What is to be logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When.
    pub at_secs: u64,
    /// The token used; empty without authentication, and for the registry's own acts.
    pub actor: String,
    /// What was done.
    pub action: Action,
    /// To which application.
    pub application: Option<ApplicationName>,
    /// To which version of it.
    pub version: Option<Version>,
    /// To which release.
    pub release: Option<ReleaseDigest>,
    /// The particulars, by name.
    pub facts: BTreeMap<String, String>,
}

impl Entry {
    /// An act without particulars.
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

    /// The same, done to an application.
    #[must_use]
    pub fn to_application(self, application: &ApplicationName) -> Self {
        Self { application: Some(application.clone()), ..self }
    }

    /// The same, done to a release of its application.
    #[must_use]
    pub fn to_release(self, version: &Version, release: ReleaseDigest) -> Self {
        Self { version: Some(version.clone()), release: Some(release), ..self }
    }

    /// The same with a particular; a name in camel case, as in the bodies of the API.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // numbers and names alike, without an `&` at each call
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        let mut value = value.to_string();
        value.truncate(value.floor_char_boundary(FACT_LEN_MAX));
        self.facts.insert(name.to_owned(), value);
        self
    }
}

/// An entry of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logged {
    /// Which, from 1.
    pub sequence: u64,
    /// What it says.
    pub entry: Entry,
    /// Binds it to all before it.
    pub digest: EntryDigest,
}

impl Logged {
    /// The entry that follows one of sequence and digest `last`.
    #[must_use]
    pub fn after(last: (u64, EntryDigest), entry: Entry) -> Self {
        let sequence = last.0 + 1;
        let digest = said(sequence, &entry).digest(last.1);
        Self { sequence, entry, digest }
    }
}

fn said(sequence: u64, entry: &Entry) -> Said<'_> {
    Said {
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

/// Which entries are asked for. Those that are `None` do not narrow it.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Of this application.
    pub application: Option<ApplicationName>,
    /// Of this kind.
    pub action: Option<Action>,
    /// With this token.
    pub actor: Option<String>,
    /// Not before this time.
    pub since_secs: Option<u64>,
    /// Older than the entry of this sequence.
    pub after: Option<u64>,
    /// At most this many.
    pub limit: u32,
}

//! The audit log: who did what to which release, each entry bound to all before it.
//!
//! Whoever holds the entries can compute the chain anew: an entry that was changed, left out or
//! moved breaks it from there on. What it cannot show alone is that the newest entries are gone;
//! compare with a digest noted earlier (every webhook carries one).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{EntryDigest, ReleaseDigest};
use crate::names::{ApplicationName, Version};

/// What the first entry follows.
pub const CHAIN_BEGIN: EntryDigest = EntryDigest::from_bytes([0; 32]);

/// A text that is no action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no action of the audit log; there are {list}", list = listed())]
pub struct UnknownAction(String);

fn listed() -> String {
    Action::ALL.map(Action::as_str).join(", ")
}

macro_rules! actions {
    ($count:literal: $($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// What was done. The table is closed.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[derive(Serialize, Deserialize)]
        pub enum Action {
            $($(#[$doc])* #[serde(rename = $text)] $name,)+
        }

        impl Action {
            /// Every action, in the order of the table.
            pub const ALL: [Self; $count] = [$(Self::$name),+];

            /// Its text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

actions! { 12:
    /// A release became visible.
    Publish = "publish";
    /// A channel moved.
    Promote = "promote";
    /// A release was deleted.
    Delete = "delete";
    /// A release was pinned.
    Pin = "pin";
    /// A pin was taken away.
    Unpin = "unpin";
    /// A retention policy was set or removed.
    Policy = "policy";
    /// A quota was set or removed.
    Quota = "quota";
    /// A webhook was added or removed.
    Webhook = "webhook";
    /// Bytes at rest were found damaged or gone.
    Damage = "damage";
    /// Garbage was collected.
    Collect = "collect";
    /// Damage was repaired.
    Repair = "repair";
    /// The catalog was rebuilt from the store; what was logged before is lost.
    Recover = "recover";
}

crate::schema::of_texts!(Action, "What was done. The table is closed.");

/// The actions that webhooks can be told of.
pub const EVENTS: [Action; 4] = [Action::Publish, Action::Promote, Action::Delete, Action::Damage];

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        let found = Self::ALL.into_iter().find(|action| action.as_str() == text);
        found.ok_or_else(|| {
            UnknownAction(text.chars().take(64).flat_map(char::escape_default).collect())
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All that an entry says, borrowed from wherever it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Which entry, from 1.
    pub sequence: u64,
    /// When, seconds since 1970-01-01 UTC.
    pub at_secs: u64,
    /// The name of the token used; empty without one.
    pub actor: &'a str,
    /// What was done.
    pub action: Action,
    /// To which application.
    pub application: Option<&'a ApplicationName>,
    /// To which version of it.
    pub version: Option<&'a Version>,
    /// To which release.
    pub release: Option<ReleaseDigest>,
    /// The particulars.
    pub facts: &'a BTreeMap<String, String>,
}

impl Said<'_> {
    /// The digest of the entry that says this and follows `previous`.
    ///
    /// Over: the previous digest; sequence and time as 8 bytes, little-endian; then actor, action,
    /// application, version, release (its text) and each fact's name and value in the order of
    /// their names, each as its length in 8 bytes and its bytes; what is absent is empty.
    #[must_use]
    pub fn digest(&self, previous: EntryDigest) -> EntryDigest {
        let release = self.release.map(|release| release.to_string());
        let mut hasher = blake3::Hasher::new();
        hasher.update(previous.as_bytes());
        hasher.update(&self.sequence.to_le_bytes()).update(&self.at_secs.to_le_bytes());
        let texts = [
            self.actor,
            self.action.as_str(),
            self.application.map_or("", ApplicationName::as_str),
            self.version.map_or("", Version::as_str),
            release.as_deref().unwrap_or_default(),
        ];
        let facts = self.facts.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        for text in texts.into_iter().chain(facts) {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        EntryDigest::from_bytes(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_unique_and_parse_as_they_print() {
        for action in Action::ALL {
            assert_eq!(action.to_string().parse(), Ok(action));
            assert_eq!(serde_json::to_string(&action).unwrap(), format!("\"{action}\""));
        }
        let error = "push\u{1b}".parse::<Action>().unwrap_err().to_string();
        assert!(error.contains("publish, promote") && !error.contains('\u{1b}'), "{error}");
    }

    /// Fails where a field is left out of the digest, or two texts can run into each other.
    #[test]
    fn whatever_an_entry_says_is_in_its_digest() {
        let facts = BTreeMap::from([("channel".to_owned(), "stable".to_owned())]);
        let other = BTreeMap::from([("channels".to_owned(), "table".to_owned())]);
        let (web, shop): (ApplicationName, _) = ("web".parse().unwrap(), "shop".parse().unwrap());
        let version: Version = "1.0".parse().unwrap();
        let said = Said {
            sequence: 1,
            at_secs: 2,
            actor: "ci",
            action: Action::Publish,
            application: Some(&web),
            version: Some(&version),
            release: Some(ReleaseDigest::of(b"1.0")),
            facts: &facts,
        };
        let variants = [
            said,
            Said { sequence: 2, at_secs: 1, ..said },
            Said { at_secs: 3, ..said },
            Said { actor: "cip", ..said },
            Said { action: Action::Promote, ..said },
            Said { application: Some(&shop), ..said },
            Said { application: None, ..said },
            Said { version: None, ..said },
            Said { release: None, ..said },
            Said { facts: &other, ..said },
        ];
        let digests = variants.map(|said| said.digest(CHAIN_BEGIN));
        for (i, digest) in digests.iter().enumerate() {
            assert!(!digests[..i].contains(digest), "variant {i}");
        }
        assert_ne!(said.digest(digests[1]), digests[0]);
        assert_eq!(said.digest(CHAIN_BEGIN), digests[0]);
    }
}

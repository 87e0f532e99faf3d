//! The audit log: actors, actions and subjects, with each entry bound to all entries before.
//!
//! Anyone with the entries can recompute the chain: a changed, omitted or moved entry breaks the
//! chain from there on. The chain alone cannot show that the newest entries were removed. For this,
//! compare with a digest noted earlier, such as the one in every webhook message.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{EntryDigest, ReleaseDigest};
use crate::names::{ApplicationName, Version};

/// The predecessor of the first entry.
pub const CHAIN_BEGIN: EntryDigest = EntryDigest::from_bytes([0; 32]);

/// A text that names no action of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an action of the audit log; the actions are {list}", list = listed())]
pub struct UnknownAction(String);

fn listed() -> String {
    Action::ALL.map(Action::as_str).join(", ")
}

macro_rules! actions {
    ($count:literal: $($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// The action of an entry. The table is closed.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[derive(Serialize, Deserialize)]
        pub enum Action {
            $($(#[$doc])* #[serde(rename = $text)] $name,)+
        }

        impl Action {
            /// The actions, in the order of the table.
            pub const ALL: [Self; $count] = [$(Self::$name),+];

            /// Returns the action's text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

actions! { 14:
    /// A release was published.
    Publish = "publish";
    /// A channel moved.
    Promote = "promote";
    /// A release was deleted.
    Delete = "delete";
    /// A release was pinned.
    Pin = "pin";
    /// A pin was removed.
    Unpin = "unpin";
    /// A retention policy was set or removed.
    Policy = "policy";
    /// A quota was set or removed.
    Quota = "quota";
    /// A webhook was added or removed.
    Webhook = "webhook";
    /// An access token was created or revoked.
    Token = "token";
    /// An object in the store was found damaged or missing.
    Damage = "damage";
    /// A collection removed unreachable objects.
    Collect = "collect";
    /// Damage was repaired.
    Repair = "repair";
    /// The catalog was rebuilt from the store. Earlier entries are lost.
    Recover = "recover";
    /// A mirror was added or removed, began to fail, or recovered.
    Mirror = "mirror";
}

crate::schema::of_texts!(Action, "The action of an audit log entry. The table is closed.");

/// The actions that webhooks can deliver.
pub const EVENTS: [Action; 5] =
    [Action::Publish, Action::Promote, Action::Delete, Action::Damage, Action::Mirror];

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

/// The contents of an entry without its digest, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct EntryContent<'a> {
    /// The position in the log, from 1.
    pub sequence: u64,
    /// The time of the action, in seconds since 1970-01-01 UTC.
    pub at_secs: u64,
    /// The name of the actor's token. Empty without a token.
    pub actor: &'a str,
    /// The action.
    pub action: Action,
    /// The application acted on.
    pub application: Option<&'a ApplicationName>,
    /// The version acted on.
    pub version: Option<&'a Version>,
    /// The release acted on.
    pub release: Option<ReleaseDigest>,
    /// The details of the action, by name.
    pub facts: &'a BTreeMap<String, String>,
}

impl EntryContent<'_> {
    /// Returns the digest of the entry with these contents and the predecessor `previous`.
    ///
    /// Input of the hash: the previous digest; sequence and time as 8 bytes each, little-endian;
    /// then actor, action, application, version, release (as text), and the name and value of each
    /// detail in the order of names. Each of these texts is preceded by its length in 8 bytes. An
    /// absent text is empty.
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

    /// Fails if a field is missing from the digest, or if two texts can run into each other.
    #[test]
    fn every_field_of_an_entry_is_in_its_digest() {
        let facts = BTreeMap::from([("channel".to_owned(), "stable".to_owned())]);
        let other = BTreeMap::from([("channels".to_owned(), "table".to_owned())]);
        let (web, shop): (ApplicationName, _) = ("web".parse().unwrap(), "shop".parse().unwrap());
        let version: Version = "1.0".parse().unwrap();
        let said = EntryContent {
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
            EntryContent { sequence: 2, at_secs: 1, ..said },
            EntryContent { at_secs: 3, ..said },
            EntryContent { actor: "cip", ..said },
            EntryContent { action: Action::Promote, ..said },
            EntryContent { application: Some(&shop), ..said },
            EntryContent { application: None, ..said },
            EntryContent { version: None, ..said },
            EntryContent { release: None, ..said },
            EntryContent { facts: &other, ..said },
        ];
        let digests = variants.map(|said| said.digest(CHAIN_BEGIN));
        for (i, digest) in digests.iter().enumerate() {
            assert!(!digests[..i].contains(digest), "variant {i}");
        }
        assert_ne!(said.digest(digests[1]), digests[0]);
        assert_eq!(said.digest(CHAIN_BEGIN), digests[0]);
    }
}

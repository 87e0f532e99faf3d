//! The audit log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::{Action, EntryContent};
use crate::digest::{EntryDigest, ReleaseDigest};
use crate::names::{ApplicationName, Version};

/// An entry of the audit log: one actor, one action, one subject.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// The position in the log, counted from 1 without gaps.
    pub sequence: u64,
    /// The time of the action, in seconds since 1970-01-01 UTC.
    pub at_secs: u64,
    /// The name of the actor's token. Empty without authentication and for the registry's own
    /// actions.
    pub actor: String,
    /// The action.
    pub action: Action,
    /// The application acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// The version acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The release acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseDigest>,
    /// The details of the action, by name.
    pub facts: BTreeMap<String, String>,
    /// The digest of this entry and, through the chain, of all entries before.
    pub digest: EntryDigest,
}

impl AuditEntry {
    /// Returns the contents of the entry without the digest.
    #[must_use]
    pub fn content(&self) -> EntryContent<'_> {
        EntryContent {
            sequence: self.sequence,
            at_secs: self.at_secs,
            actor: &self.actor,
            action: self.action,
            application: self.application.as_ref(),
            version: self.version.as_ref(),
            release: self.release,
            facts: &self.facts,
        }
    }
}

/// A page of the audit log, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// The value of `after` for the next page. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

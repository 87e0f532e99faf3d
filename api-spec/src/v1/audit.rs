//! The audit log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::{Action, Said};
use crate::digest::{EntryDigest, ReleaseDigest};
use crate::names::{ApplicationName, Version};

/// One entry: who did what to which release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Which entry, from 1; none is ever left out.
    pub sequence: u64,
    /// When, seconds since 1970-01-01 UTC.
    pub at_secs: u64,
    /// The name of the token used; empty without authentication and for the registry's own acts.
    pub actor: String,
    /// What was done.
    pub action: Action,
    /// To which application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// To which version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// To which release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseDigest>,
    /// The particulars, by name.
    pub facts: BTreeMap<String, String>,
    /// Binds this entry to all before it.
    pub digest: EntryDigest,
}

impl AuditEntry {
    /// What it says, apart from its digest.
    #[must_use]
    pub fn said(&self) -> Said<'_> {
        Said {
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
    /// Pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

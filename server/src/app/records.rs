//! Name records in the store: one for each release, channel move and deletion, from which a lost
//! catalog is rebuilt (docs/FORMAT.md, section 2).
//!
//! # Invariants
//!
//! 1. A record is written after the catalog's commit and before the response: every record
//!    describes a committed event, and every acknowledged event has a record.
//! 2. A record is a function of the catalog's row, so any process that finds a record missing can
//!    write it.
//! 3. Before a channel moves, its last move and the target release have their records: only the
//!    newest move of a channel can lack a record.
//! 4. No commit contradicts a record: an older copy of the catalog cannot publish, move or collect
//!    against the store's records.
//! 5. The record of a release remains after the deletion of the release, beside the tombstone.

use std::sync::Arc;

use bytes::Bytes;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_store::port::{ObjectName, ObjectStore, Put};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::audit::DamageLog;
use super::{AppError, present};
use crate::catalog::check::Healing;
use crate::catalog::collect::{Actor, Tombstone};
use crate::catalog::{Catalog, ChannelMove, Expected, Release};
use crate::host::Host;

mod complete;
pub(super) mod versions;

pub use complete::Completed;

/// The separator between an application and its records. Names do not contain `@`, so no
/// application's path collides with a record's.
const MARK: &str = "/@";
/// The folder of moves. Versions never begin with a letter.
const CHANNELS: &str = "channels/";
/// The folder of tombstones.
const DELETED: &str = "deleted/";

/// The largest sequence number of a channel: the largest integer of the catalog.
const SEQUENCE_MAX: u64 = i64::MAX as u64;

/// The subject of a record, which determines the name of the record's object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Subject {
    /// A published release.
    Release(ApplicationName, Version),
    /// A channel move, by its sequence number.
    Move(ApplicationName, ChannelName, u64),
    /// A deleted release.
    Tombstone(ApplicationName, Version),
}

impl Subject {
    pub(super) fn of(release: &Release) -> Self {
        Self::Release(release.application.clone(), release.version.clone())
    }

    /// Returns the name of the record's object.
    pub(super) fn object(&self) -> ObjectName {
        ObjectName::Name(match self {
            Self::Release(application, version) => format!("{application}{MARK}{version}"),
            Self::Move(application, channel, sequence) => {
                format!("{application}{MARK}{CHANNELS}{channel}/{sequence}")
            }
            Self::Tombstone(application, version) => {
                format!("{application}{MARK}{DELETED}{version}")
            }
        })
    }

    /// Returns whether the bytes are a valid record of this kind of subject.
    pub(super) fn is_recorded_in(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Release(..) => ReleaseRecord::decode(bytes).is_some(),
            Self::Move(..) => MoveRecord::decode(bytes).is_some(),
            Self::Tombstone(..) => TombstoneRecord::decode(bytes).is_some(),
        }
    }

    /// Parses a name written by [`Self::object`]. Returns `None` for any other name.
    pub(super) fn parse(object: &ObjectName) -> Option<Self> {
        let ObjectName::Name(text) = object else { return None };
        let (application, rest) = text.split_once(MARK)?;
        let application = application.parse().ok()?;
        let subject = if let Some(rest) = rest.strip_prefix(CHANNELS) {
            let (channel, sequence) = rest.split_once('/')?;
            let sequence = sequence.parse().ok().filter(|at| (1..=SEQUENCE_MAX).contains(at))?;
            Self::Move(application, channel.parse().ok()?, sequence)
        } else if let Some(version) = rest.strip_prefix(DELETED) {
            Self::Tombstone(application, version.parse().ok()?)
        } else {
            Self::Release(application, rest.parse().ok()?)
        };
        // Each subject has exactly one name: `01` is not accepted as 1.
        (subject.object() == *object).then_some(subject)
    }
}

/// The schema of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Schema {
    #[serde(rename = "seawall.name/1")]
    V1,
}

/// A record as stored. The fields are declared in the order of their keys, which makes the JSON
/// canonical.
pub(super) trait Record: Serialize + DeserializeOwned {
    /// Returns the canonical bytes.
    fn encode(&self) -> Bytes {
        // Strings and numbers always serialize.
        Bytes::from(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Parses bytes written by [`Self::encode`], and rejects all others.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        (record.encode() == bytes).then_some(record)
    }
}

/// The record of a release: the facts missing from the release document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReleaseRecord {
    pub(super) digest: ReleaseDigest,
    pub(super) published_at_secs: u64,
    pub(super) published_by: String,
    schema: Schema,
}

impl Record for ReleaseRecord {}

impl From<&Release> for ReleaseRecord {
    fn from(release: &Release) -> Self {
        Self {
            digest: release.digest,
            published_at_secs: release.published_at_secs,
            published_by: release.published_by.clone(),
            schema: Schema::V1,
        }
    }
}

/// The record of a channel move.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MoveRecord {
    pub(super) moved_at_secs: u64,
    pub(super) moved_by: String,
    pub(super) release: ReleaseDigest,
    schema: Schema,
    pub(super) sequence: u64,
}

impl Record for MoveRecord {}

impl From<&ChannelMove> for MoveRecord {
    fn from(change: &ChannelMove) -> Self {
        Self {
            moved_at_secs: change.moved_at_secs,
            moved_by: change.moved_by.clone(),
            release: change.release,
            schema: Schema::V1,
            sequence: change.sequence,
        }
    }
}

/// The record of a deletion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TombstoneRecord {
    pub(super) deleted_at_secs: u64,
    pub(super) deleted_by: String,
    pub(super) digest: ReleaseDigest,
    schema: Schema,
}

impl Record for TombstoneRecord {}

impl From<&Tombstone> for TombstoneRecord {
    fn from(tombstone: &Tombstone) -> Self {
        Self {
            deleted_at_secs: tombstone.deleted_at_secs,
            deleted_by: tombstone.deleted_by.clone(),
            digest: tombstone.release.digest,
            schema: Schema::V1,
        }
    }
}

/// The store's records, and the catalog that they describe.
#[derive(Clone)]
pub struct Records {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) catalog: Catalog,
    pub(super) host: Arc<dyn Host>,
    pub(super) damage: DamageLog,
}

impl Records {
    /// Writes the record of a deletion unless one exists. Returns whether a record was written. An
    /// existing record is never replaced.
    pub(super) async fn record_tombstone(&self, tombstone: &Tombstone) -> Result<bool, AppError> {
        let Release { application, version, .. } = &tombstone.release;
        let object = Subject::Tombstone(application.clone(), version.clone()).object();
        if self.store.len(&object).await?.is_some() {
            return Ok(false);
        }
        let put = self.store.put(&object, TombstoneRecord::from(tombstone).encode()).await?;
        Ok(put == Put::Created)
    }

    /// Returns whether the store has the tombstone of a release, regardless of the catalog.
    pub(super) async fn is_buried(
        &self,
        application: &ApplicationName,
        version: &Version,
    ) -> Result<bool, AppError> {
        let object = Subject::Tombstone(application.clone(), version.clone()).object();
        Ok(self.store.len(&object).await?.is_some())
    }

    /// Writes the record of a release if it is missing or unreadable. Returns whether a record was
    /// written.
    pub(super) async fn record_release(&self, release: &Release) -> Result<bool, AppError> {
        let object = Subject::of(release).object();
        let bytes = ReleaseRecord::from(release).encode();
        match present(self.store.get(&object).await)? {
            Some(found) if ReleaseRecord::decode(&found).is_some() => Ok(false),
            Some(_) => {
                self.store.replace(&object, bytes).await?;
                let actor = Actor { lease: None, at_secs: self.host.now_secs() };
                self.damage.healed(&object, actor, Healing::Seen).await?;
                Ok(true)
            }
            None => Ok(self.store.put(&object, bytes).await? == Put::Created),
        }
    }

    /// Fails if the store already has a record of the move to be made, because then the catalog is
    /// an older copy. A concurrent move by another process does not fail: its commit in the catalog
    /// precedes its record in the store.
    pub(super) async fn check_move(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
        expected: Expected,
    ) -> Result<(), AppError> {
        let last = match expected {
            Expected::Absent => 0,
            Expected::Sequence(sequence) => sequence,
        };
        // Sequence numbers never get this high; the catalog rejects the request as stale.
        let Some(next) = last.checked_add(1) else { return Ok(()) };
        let object = Subject::Move(application.clone(), channel.clone(), next).object();
        let Some(bytes) = present(self.store.get(&object).await)? else { return Ok(()) };
        let found = self.catalog.channel(application.clone(), channel.clone()).await?;
        if found.map_or(0, |channel| channel.sequence) != last {
            return Ok(());
        }
        let object = object.path();
        Err(match MoveRecord::decode(&bytes) {
            Some(_) => AppError::CatalogOld { object },
            None => AppError::Damaged { object },
        })
    }

    /// Writes the record of a move that was just committed. Fails with [`AppError::CatalogOld`] if
    /// the store has a different record.
    pub(super) async fn record_move(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
        change: &ChannelMove,
    ) -> Result<(), AppError> {
        let subject = Subject::Move(application.clone(), channel.clone(), change.sequence);
        let (object, bytes) = (subject.object(), MoveRecord::from(change).encode());
        let put = self.store.put(&object, bytes.clone()).await?;
        if put == Put::AlreadyPresent && self.store.get(&object).await? != bytes {
            return Err(AppError::CatalogOld { object: object.path() });
        }
        Ok(())
    }

    /// Writes the record of a channel's last move if it is missing. Returns whether a record was
    /// written.
    pub(super) async fn record_last_move(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
        sequence: u64,
    ) -> Result<bool, AppError> {
        let subject = Subject::Move(application.clone(), channel.clone(), sequence);
        if self.store.len(&subject.object()).await?.is_some() {
            return Ok(false);
        }
        let moves = self.catalog.channel_moves(application.clone(), channel.clone(), 1).await?;
        // If the channel has moved on, the later move wrote this record first.
        let last = moves.first().filter(|last| last.sequence == sequence);
        if let Some(last) = last {
            self.record_move(application, channel, last).await?;
        }
        Ok(last.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_as_it_is_written_and_nothing_else_is() {
        for text in [
            "webshop/@1.0",
            "a/b/@1.0-rc.1+x",
            "a/b/@channels/stable/12",
            "a/@channels/stable/9223372036854775807",
            "a/b/@deleted/1.0-rc.1+x",
        ] {
            let object = ObjectName::Name(text.to_owned());
            assert_eq!(Subject::parse(&object).unwrap().object(), object);
        }
        let bad = [
            "webshop",
            "webshop/@",
            "webshop/@stable",
            "/@1.0",
            "w/@channels/stable",
            "A/@1.0",
            "w/@channels/stable/01",
            "w/@channels/1/1",
            "w/@channels/stable/1/1",
            "w/@channels/stable/0",
            "w/@channels/stable/9223372036854775808",
            "w/@channels/stable/9999999999999999999",
            "w/@1.0/x",
            "w/@deleted/",
            "w/@deleted/stable",
            "w/@deleted/1.0/1",
        ];
        for text in bad {
            assert_eq!(Subject::parse(&ObjectName::Name(text.to_owned())), None, "{text}");
        }
    }

    /// Golden bytes: a change here breaks the records at rest in every store.
    #[test]
    fn records_have_these_bytes_and_no_others_are_read() {
        let digest = ReleaseDigest::of(b"seawall");
        let record = ReleaseRecord {
            digest,
            published_at_secs: 1_800_000_000,
            published_by: "ci".to_owned(),
            schema: Schema::V1,
        };
        let want = format!(
            r#"{{"digest":"{digest}","publishedAtSecs":1800000000,"publishedBy":"ci","schema":"seawall.name/1"}}"#
        );
        assert_eq!(record.encode(), want);
        assert_eq!(ReleaseRecord::decode(want.as_bytes()), Some(record));
        for bad in
            [want.replace(':', ": "), want.replace("/1", "/2"), want.replace("ci", "\\u0063i")]
        {
            assert_eq!(ReleaseRecord::decode(bad.as_bytes()), None, "{bad}");
        }
        let record = MoveRecord {
            moved_at_secs: 1_800_000_000,
            moved_by: String::new(),
            release: digest,
            schema: Schema::V1,
            sequence: 3,
        };
        let want = format!(
            r#"{{"movedAtSecs":1800000000,"movedBy":"","release":"{digest}","schema":"seawall.name/1","sequence":3}}"#
        );
        assert_eq!(record.encode(), want);
        assert_eq!(MoveRecord::decode(want.as_bytes()), Some(record));
        let record = TombstoneRecord {
            deleted_at_secs: 1_800_000_000,
            deleted_by: "ci".to_owned(),
            digest,
            schema: Schema::V1,
        };
        let want = format!(
            r#"{{"deletedAtSecs":1800000000,"deletedBy":"ci","digest":"{digest}","schema":"seawall.name/1"}}"#
        );
        assert_eq!(record.encode(), want);
        assert_eq!(TombstoneRecord::decode(want.as_bytes()), Some(record));
    }
}

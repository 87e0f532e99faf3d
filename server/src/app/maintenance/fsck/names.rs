//! Checks of name records: each record agrees with the catalog's row, and each row has its record.
//!
//! A record is a function of its row, so a missing or unreadable record is rewritten from the row.
//! If a release record differs from its row, the release documents decide, because they name their
//! application and version: the record is rewritten if a document confirms the row and no document
//! confirms a different release. Any other contradiction is reported as damage, because one of the
//! two may belong to another registry.

use bytes::Bytes;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::reference::Selector;
use seawall_store::port::ObjectName;

use super::{Check, GONE, PAGE_COUNT};
use crate::app::AppError;
use crate::app::content::objects::Found;
use crate::app::records::{MoveRecord, Record, ReleaseRecord, Subject, TombstoneRecord};
use crate::catalog::Release;

const UNREADABLE: &str = "this version of Seawall cannot read the record";
const OLDER_COPY: &str = "it is not in the catalog: the catalog is an older copy, or of another \
                          registry; `seawall recover` rebuilds it";
const CONTRADICTION: &str = "it contradicts the catalog, and it is unknown which is right";

impl Check {
    /// Checks a record. Returns the number of bytes read.
    pub(super) async fn record(&mut self, name: &ObjectName) -> Result<u64, AppError> {
        let bytes = match self.read_bytes(name).await? {
            Found::Sound(bytes) => Ok(bytes),
            Found::Gone => return Ok(0),
            Found::Damaged(what) => Err(what),
        };
        let len = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        match Subject::parse(name) {
            Some(Subject::Release(application, version)) => {
                let record = bytes.and_then(|bytes| decode(&bytes));
                self.release_record(name, (application, version), record).await?;
            }
            Some(Subject::Move(application, channel, sequence)) => {
                let record = bytes.and_then(|bytes| decode(&bytes));
                self.move_record(name, (application, channel, sequence), record).await?;
            }
            Some(Subject::Tombstone(application, version)) => {
                let record = bytes.and_then(|bytes| decode(&bytes));
                self.tombstone_record(name, (application, version), record).await?;
            }
            None => self.reclaimable(name, len, "its name is not the name of a record"),
        }
        Ok(len)
    }

    async fn release_record(
        &mut self,
        name: &ObjectName,
        (application, version): (ApplicationName, Version),
        record: Result<ReleaseRecord, String>,
    ) -> Result<(), AppError> {
        let row = self.checker.catalog.named_release(application, version).await?;
        let Some(row) = row else {
            let what = record.err().unwrap_or_else(|| OLDER_COPY.to_owned());
            return self.damage(name, what, vec![]).await;
        };
        let wanted = ReleaseRecord::from(&row);
        if record.as_ref() == Ok(&wanted) {
            return self.sound(name).await;
        }
        let is_certain = match &record {
            Err(_) => true,
            // A record confirmed by a document of its own was acknowledged as well.
            Ok(record) => {
                self.is_documented(row.digest, &row).await?
                    && (record.digest == row.digest
                        || !self.is_documented(record.digest, &row).await?)
            }
        };
        let what = record.err().unwrap_or_else(|| CONTRADICTION.to_owned());
        if !is_certain {
            return self.damage(name, what, vec![row.digest]).await;
        }
        self.rewrite(name, wanted.encode(), short(&what)).await
    }

    /// Replaces a record by that of its row, and reports `what` was wrong.
    async fn rewrite(
        &mut self,
        name: &ObjectName,
        record: Bytes,
        what: &str,
    ) -> Result<(), AppError> {
        let content = &self.checker.content;
        content.keep(name, record, content.actor(None)).await?;
        self.mended(name, format!("{what}; rewritten from the catalog"));
        Ok(())
    }

    /// Returns whether the document with this digest exists and names the application and version
    /// of the row.
    async fn is_documented(&self, digest: ReleaseDigest, row: &Release) -> Result<bool, AppError> {
        Ok(matches!(
            self.read(digest).await?,
            Found::Sound((described, _)) if described.application() == &row.application
                && described.version() == &row.version
        ))
    }

    async fn tombstone_record(
        &mut self,
        name: &ObjectName,
        (application, version): (ApplicationName, Version),
        record: Result<TombstoneRecord, String>,
    ) -> Result<(), AppError> {
        let selector = Selector::Version(version);
        let row = self.checker.catalog.deleted(application, selector).await?;
        let Some(row) = row else {
            let what = record.err().unwrap_or_else(|| OLDER_COPY.to_owned());
            return self.damage(name, what, vec![]).await;
        };
        let wanted = TombstoneRecord::from(&row);
        let what = match record {
            Ok(record) if record == wanted => return self.sound(name).await,
            Ok(_) => return self.damage(name, CONTRADICTION.to_owned(), vec![]).await,
            Err(what) => what,
        };
        self.rewrite(name, wanted.encode(), &what).await
    }

    async fn move_record(
        &mut self,
        name: &ObjectName,
        (application, channel, sequence): (ApplicationName, ChannelName, u64),
        record: Result<MoveRecord, String>,
    ) -> Result<(), AppError> {
        let row = self.checker.catalog.known_move(application, channel, sequence).await?;
        let Some(row) = row else {
            // A rebuilt catalog has no row for a move whose record was unreadable.
            let what = record.err().unwrap_or_else(|| OLDER_COPY.to_owned());
            return self.damage(name, what, vec![]).await;
        };
        let wanted = MoveRecord::from(&row);
        let what = match record {
            Ok(record) if record == wanted => return self.sound(name).await,
            Ok(record) if record.sequence == sequence => {
                return self.damage(name, CONTRADICTION.to_owned(), vec![]).await;
            }
            Ok(record) => format!("it records move {}", record.sequence),
            Err(what) => what,
        };
        self.rewrite(name, wanted.encode(), &what).await
    }

    /// Writes the record of a release if it is missing.
    pub(super) async fn missing_record(&mut self, row: &Release) -> Result<(), AppError> {
        let name = Subject::of(row).object();
        if self.checker.store.len(&name).await?.is_some() {
            return Ok(());
        }
        // Meanwhile a push may have written the record, or a deletion may have removed the release.
        let is_still = self.checker.catalog.release_of(row.digest).await?.is_some();
        if is_still && self.checker.records.record_release(row).await? {
            self.mended(&name, format!("{GONE}; rewritten from the catalog"));
        }
        Ok(())
    }

    /// Checks that every move in the catalog has its record.
    pub(super) async fn moves(&mut self) -> Result<(), AppError> {
        let catalog = self.checker.catalog.clone();
        loop {
            let page = catalog.known_moves(self.cursor.clone(), PAGE_COUNT).await?;
            if page.is_empty() {
                return Ok(());
            }
            for row in page {
                let subject = Subject::Move(
                    row.application.clone(),
                    row.channel.clone(),
                    row.change.sequence,
                );
                let name = subject.object();
                if self.checker.store.len(&name).await?.is_none() {
                    let record = self.checker.records.record_move(
                        &row.application,
                        &row.channel,
                        &row.change,
                    );
                    record.await?;
                    self.mended(&name, format!("{GONE}; rewritten from the catalog"));
                }
                self.done(row.at, 0).await?;
            }
        }
    }
}

fn decode<T: Record>(bytes: &[u8]) -> Result<T, String> {
    T::decode(bytes).ok_or_else(|| UNREADABLE.to_owned())
}

/// Shortens the description of a contradiction that was resolved in favour of the catalog.
fn short(what: &str) -> &str {
    if what == CONTRADICTION { "it contradicted the catalog and the document" } else { what }
}

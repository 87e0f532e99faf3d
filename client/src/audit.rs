//! Verifies an audit log by hashing its entries again, newest first.
//!
//! The check proves the chain: an entry that was changed, removed or reordered no longer matches
//! the digests after it. A log rewritten as a whole, or cut at its newest end, is detected only
//! with a head noted earlier ([`Head`]).

use std::fmt;
use std::str::FromStr;

use seawall_api::audit::CHAIN_BEGIN;
use seawall_api::digest::EntryDigest;
use seawall_api::v1::AuditEntry;

/// The number and digest of an entry, as a person notes them. Printed as `12@blake3:…`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The number of the entry.
    pub sequence: u64,
    /// The digest of the entry.
    pub digest: EntryDigest,
}

/// The error of an invalid head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the head of a log has the form NUMBER@blake3:…")]
pub struct InvalidHead;

impl FromStr for Head {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let (sequence, digest) = text.split_once('@').ok_or(InvalidHead)?;
        let sequence = sequence.parse().map_err(|_| InvalidHead)?;
        Ok(Self { sequence, digest: digest.parse().map_err(|_| InvalidHead)? })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.sequence, self.digest)
    }
}

/// A violation of the log's integrity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenLog {
    /// The digest of an entry does not match its content and the digest before it.
    #[error("entry {sequence} of the audit log, or the entry before it, was changed")]
    Changed {
        /// The number of the entry.
        sequence: u64,
    },
    /// A number in the sequence is missing or out of order.
    #[error("the audit log has no entry {sequence}")]
    LeftOut {
        /// The number of the missing entry.
        sequence: u64,
    },
    /// The log does not hold the head that was noted earlier.
    #[error("the audit log does not contain the recorded head {head}")]
    OtherHead {
        /// The noted head.
        head: Head,
    },
}

/// A check of a log, entry by entry, newest first. Holds one entry at a time.
#[derive(Debug, Default)]
pub struct Check {
    newest: Option<Head>,
    last: Option<AuditEntry>,
    noted: Option<Head>,
    count: u64,
}

impl Check {
    /// Starts a check of a log. The log must hold the head `noted`, if given.
    #[must_use]
    pub fn new(noted: Option<Head>) -> Self {
        Self { noted, ..Self::default() }
    }

    /// Takes the next older entry.
    ///
    /// # Errors
    /// Fails if the entry does not chain to the newer one, or is not the noted head at its number.
    pub fn take(&mut self, entry: AuditEntry) -> Result<(), BrokenLog> {
        let head = Head { sequence: entry.sequence, digest: entry.digest };
        match self.last.take() {
            None => self.newest = Some(head),
            Some(newer) => {
                if Some(newer.sequence) != entry.sequence.checked_add(1) {
                    return Err(BrokenLog::LeftOut { sequence: newer.sequence.saturating_sub(1) });
                }
                follows(&newer, entry.digest)?;
            }
        }
        if let Some(noted) = self.noted.filter(|noted| noted.sequence >= head.sequence) {
            if noted != head {
                return Err(BrokenLog::OtherHead { head: noted });
            }
            self.noted = None;
        }
        self.count += 1;
        self.last = Some(entry);
        Ok(())
    }

    /// Ends the check at the oldest entry. Returns the number of entries and the newest one.
    ///
    /// # Errors
    /// Fails if the oldest entry is not number 1, or the noted head was not found.
    pub fn finish(self) -> Result<(u64, Option<Head>), BrokenLog> {
        if let Some(first) = &self.last {
            if first.sequence != 1 {
                return Err(BrokenLog::LeftOut { sequence: first.sequence.saturating_sub(1) });
            }
            follows(first, CHAIN_BEGIN)?;
        }
        match self.noted {
            Some(head) => Err(BrokenLog::OtherHead { head }),
            None => Ok((self.count, self.newest)),
        }
    }
}

fn follows(entry: &AuditEntry, previous: EntryDigest) -> Result<(), BrokenLog> {
    if entry.content().digest(previous) == entry.digest {
        return Ok(());
    }
    Err(BrokenLog::Changed { sequence: entry.sequence })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use seawall_api::audit::Action;

    use super::*;

    /// Returns a valid log, newest first.
    fn log(len: u64) -> Vec<AuditEntry> {
        let mut previous = CHAIN_BEGIN;
        let entries = (1..=len).map(|sequence| {
            let mut entry = AuditEntry {
                sequence,
                at_secs: sequence * 10,
                actor: "ci".to_owned(),
                action: Action::Publish,
                application: None,
                version: None,
                release: None,
                facts: BTreeMap::new(),
                digest: previous,
            };
            previous = entry.content().digest(previous);
            entry.digest = previous;
            entry
        });
        let mut entries: Vec<_> = entries.collect();
        entries.reverse();
        entries
    }

    fn check(log: &[AuditEntry], noted: Option<Head>) -> Result<u64, BrokenLog> {
        let mut check = Check::new(noted);
        log.iter().try_for_each(|entry| check.take(entry.clone()))?;
        check.finish().map(|(count, _)| count)
    }

    fn head(entry: &AuditEntry) -> Head {
        Head { sequence: entry.sequence, digest: entry.digest }
    }

    #[test]
    fn a_whole_log_is_whole() {
        assert_eq!(check(&[], None), Ok(0));
        let log = log(5);
        assert_eq!(check(&log, None), Ok(5));
        for entry in &log {
            assert_eq!(check(&log, Some(head(entry))), Ok(5));
        }
        let mut check = Check::new(None);
        log.iter().for_each(|entry| check.take(entry.clone()).unwrap());
        assert_eq!(check.finish().unwrap().1, Some(head(&log[0])));
    }

    #[test]
    fn every_change_of_a_log_is_detected() {
        let sound = log(5);
        for at in 0..5 {
            let mut changed = sound.clone();
            changed[at].actor = "somebody".to_owned();
            assert!(matches!(check(&changed, None), Err(BrokenLog::Changed { .. })), "{at}");
            let mut other = sound.clone();
            other[at].digest = CHAIN_BEGIN;
            assert!(check(&other, None).is_err(), "{at}");
            let mut shorter = sound.clone();
            shorter.remove(at);
            // The removal of the newest entry is detected with a noted head only.
            let outcome = check(&shorter, Some(head(&sound[0])));
            assert!(outcome.is_err(), "{at}");
            assert_eq!(check(&shorter, None).is_ok(), at == 0);
        }
        // An attacker with full access rewrites the whole log: the noted head is not in it.
        let anew = {
            let mut entries = log(6);
            entries[3].actor = "somebody".to_owned();
            let mut previous = CHAIN_BEGIN;
            for entry in entries.iter_mut().rev() {
                entry.digest = entry.content().digest(previous);
                previous = entry.digest;
            }
            entries
        };
        assert_eq!(check(&anew, None), Ok(6));
        let noted = head(&sound[0]);
        assert_eq!(check(&anew, Some(noted)), Err(BrokenLog::OtherHead { head: noted }));
        assert_eq!(noted.to_string().parse(), Ok(noted));
    }
}

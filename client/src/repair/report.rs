//! The report of a repair.

use std::fmt;

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::units::{Counted, HumanBytes};
use seawall_api::v1::{DamagedRelease, LostObject};
use serde::Serialize;

/// The outcome for one release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepairedRelease {
    /// The application.
    pub application: ApplicationName,
    /// The version.
    pub version: Version,
    /// The digest of the release document.
    pub digest: ReleaseDigest,
    /// True if the release was known to be damaged.
    pub was_damaged: bool,
    /// True if the release has no known damage left.
    pub is_whole: bool,
    /// The objects still missing in the release.
    pub lost: Vec<LostObject>,
    /// The first objects missing in every source, by name.
    pub missing: Vec<String>,
    /// The number of further objects missing in every source.
    pub missing_left_out: u64,
    /// The registry's reason for refusing to publish the restored release.
    pub refused: Option<String>,
}

impl RepairedRelease {
    pub(super) fn of(release: DamagedRelease, lost: Vec<LostObject>, was_damaged: bool) -> Self {
        let DamagedRelease { application, version, digest, .. } = release;
        Self {
            application,
            version,
            digest,
            was_damaged,
            is_whole: lost.is_empty(),
            lost,
            missing: Vec::new(),
            missing_left_out: 0,
            refused: None,
        }
    }
}

/// The report of a repair.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepairReport {
    /// The outcome for each release.
    pub releases: Vec<RepairedRelease>,
    /// The number of restored chunks.
    pub chunks: u64,
    /// The plain bytes of the restored chunks.
    pub bytes: u64,
    /// The number of packs sent.
    pub packs: u64,
    /// The number of restored leaves.
    pub leaves: u64,
    /// The number of restored release documents.
    pub documents: u64,
    /// The number of restored descriptors.
    pub descriptors: u64,
    /// True if the registry has more damaged releases than this run handled. Another run is
    /// needed.
    pub is_cut: bool,
}

impl RepairReport {
    /// Returns whether every damaged release was repaired.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.is_cut && self.releases.iter().all(|release| release.is_whole)
    }
}

impl fmt::Display for RepairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.releases.is_empty() {
            return write!(f, "no release is known to be damaged; `seawall fsck` looks for damage");
        }
        let bytes = HumanBytes(self.bytes);
        let (chunks, packs) = (Counted(self.chunks, "chunk"), Counted(self.packs, "pack"));
        write!(f, "restored {chunks} ({bytes}) in {packs}, {}, ", Counted(self.leaves, "leaf"))?;
        let documents = Counted(self.documents, "document");
        write!(f, "{documents}, {}", Counted(self.descriptors, "descriptor"))?;
        for release in &self.releases {
            let state = match (release.was_damaged, release.is_whole) {
                (false, _) => "is not known to be damaged",
                (true, true) => "is intact again",
                (true, false) => "is still DAMAGED",
            };
            write!(f, "\n{}:{} {state}", release.application, release.version)?;
            for lost in &release.lost {
                write!(f, "\n  lost: {}: {}", lost.object, lost.what)?;
            }
            for missing in &release.missing {
                write!(f, "\n  no source has it: {missing}")?;
            }
            if release.missing_left_out > 0 {
                write!(f, "\n  no source has {} more", release.missing_left_out)?;
            }
            if let Some(refused) = &release.refused {
                write!(f, "\n  the registry refused it: {refused}")?;
            }
        }
        if self.is_cut {
            write!(f, "\nmore releases are damaged: run it again")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_objects_are_reported_apart_from_refusals() {
        let damaged = DamagedRelease {
            application: "shop".parse().unwrap(),
            version: "1.0".parse().unwrap(),
            digest: ReleaseDigest::of(b"1.0"),
            lost: vec![],
        };
        let mut release = RepairedRelease::of(damaged, vec![], true);
        release.refused = Some("version 1.0 was deleted".to_owned());
        let mut report = RepairReport { releases: vec![release], ..RepairReport::default() };
        let text = report.to_string();
        assert!(text.ends_with("\n  the registry refused it: version 1.0 was deleted"), "{text}");
        assert!(!text.contains("no source"), "{text}");
        report.releases[0].refused = None;
        report.releases[0].missing = vec!["chunk a".to_owned()];
        report.releases[0].missing_left_out = 7;
        let text = report.to_string();
        assert!(text.ends_with("\n  no source has it: chunk a\n  no source has 7 more"), "{text}");
    }
}

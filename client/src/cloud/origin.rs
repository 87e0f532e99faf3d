//! The origin of a volume or an image, as tags of the object.

use std::collections::BTreeMap;

use seawall_api::names::{ApplicationName, MachineName};
use seawall_api::release::{Disk, Release};

/// The prefix of our tags.
const PREFIX: &str = "seawall:";

/// The origin of a volume or an image. Every field is a tag of the object, so that an account can
/// be compared with a ledger, or a ledger made anew from an account.
///
/// Values are text, because anybody with access to the account may have written them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Origin {
    /// The application.
    pub application: String,
    /// The version of the release for which the object was made.
    pub version: String,
    /// The digest of that release.
    pub release: String,
    /// The machine.
    pub machine: String,
    /// The name of the disk; empty for an image.
    pub disk: String,
    /// The digest of the disk's content; empty for an image.
    pub content: String,
    /// The volume on which a volume was based; empty without.
    pub parent: String,
}

impl Origin {
    /// Returns the origin of the image of a machine.
    #[must_use]
    pub fn of_machine(release: &Release, machine: &MachineName) -> Self {
        Self {
            application: release.application().to_string(),
            version: release.version().to_string(),
            release: release.digest().to_string(),
            machine: machine.to_string(),
            ..Self::default()
        }
    }

    /// Returns the origin of the volume of a disk.
    #[must_use]
    pub fn of_disk(release: &Release, machine: &MachineName, disk: &Disk) -> Self {
        Self {
            disk: disk.name.to_string(),
            content: disk.content.to_string(),
            ..Self::of_machine(release, machine)
        }
    }

    /// Returns true if the object was made for an application.
    #[must_use]
    pub fn is_of(&self, application: &ApplicationName) -> bool {
        self.application == application.as_str()
    }

    /// Returns the tags.
    #[must_use]
    pub fn tags(&self) -> BTreeMap<String, String> {
        let fields = self.fields().into_iter().filter(|(_, value)| !value.is_empty());
        fields.map(|(name, value)| (format!("{PREFIX}{name}"), value.to_owned())).collect()
    }

    fn fields(&self) -> [(&'static str, &str); 7] {
        [
            ("application", &self.application),
            ("version", &self.version),
            ("release", &self.release),
            ("machine", &self.machine),
            ("disk-name", &self.disk),
            ("disk", &self.content),
            ("parent", &self.parent),
        ]
    }

    /// Reads tags. Returns `None` for an object that is not ours.
    #[must_use]
    pub fn of_tags(tags: &BTreeMap<String, String>) -> Option<Self> {
        let get = |name: &str| tags.get(&format!("{PREFIX}{name}")).cloned();
        let all = |name: &str| get(name).unwrap_or_default();
        Some(Self {
            application: get("application")?,
            release: get("release")?,
            machine: get("machine")?,
            version: all("version"),
            disk: all("disk-name"),
            content: all("disk"),
            parent: all("parent"),
        })
    }

    /// Returns the name of the tag with the application.
    #[must_use]
    pub fn application_tag() -> String {
        format!("{PREFIX}application")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_survives_its_tags_and_foreign_tags_are_none() {
        let text = |text: &str| text.to_owned();
        let origin = Origin {
            application: text("team/shop"),
            version: text("1.0.0+4"),
            release: text("blake3:00"),
            machine: text("web"),
            disk: text("root"),
            content: text("blake3:11"),
            parent: text("snap-1"),
        };
        let mut tags = origin.tags();
        tags.insert(text("Name"), text("x"));
        assert_eq!(Origin::of_tags(&tags), Some(origin));
        tags.remove("seawall:release");
        assert_eq!(Origin::of_tags(&tags), None);
    }
}

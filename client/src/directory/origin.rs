//! The origin of a pulled directory: the registry, and the channel that the directory follows.
//!
//! The origin is this host's memory and not part of the lockfile, because it says nothing about the
//! directory's contents. A missing or damaged file counts as an unknown origin.

use std::path::Path;

use seawall_api::names::ChannelName;
use serde::{Deserialize, Serialize};

use crate::folder::{Folder, FolderPath, mode};
use crate::host::HostError;

const FILE: &str = ".seawall/origin.json";
/// The maximum length of the file, in bytes.
const FILE_LEN_MAX: u64 = 64 << 10;

/// The origin of a directory.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// The registry: an address, or the path of a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// The channel of the last pull or patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
}

impl Origin {
    /// Reads the origin of a directory, empty if the file is missing or damaged.
    #[must_use]
    pub fn of_directory(directory: &Path) -> Self {
        let read = |folder: Folder| folder.read(&FolderPath::composed(FILE), FILE_LEN_MAX);
        let bytes = Folder::open(directory).and_then(read).ok();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Writes the origin of a directory, atomically.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), HostError> {
        let (folder, path) = (Folder::open(directory)?, FolderPath::composed(FILE));
        let failed =
            |e: serde_json::Error| HostError::new("write", &folder.path_of(&path), e.into());
        let mut bytes = serde_json::to_vec_pretty(self).map_err(failed)?;
        bytes.push(b'\n');
        folder.make_folder_of(&path, mode::OWN_FOLDER)?;
        folder.replace(&path, &bytes, mode::FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_it_was_written_and_damage_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Origin::of_directory(dir.path()), Origin::default());
        let origin = Origin {
            registry: Some("https://registry.example".to_owned()),
            channel: Some("stable".parse().unwrap()),
        };
        origin.write(dir.path()).unwrap();
        assert_eq!(Origin::of_directory(dir.path()), origin);
        let path = dir.path().join(FILE);
        for bad in ["", "{", "[]", r#"{"channel":"1.0"}"#, &" ".repeat(100_000)] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(Origin::of_directory(dir.path()), Origin::default(), "{bad:.20}");
        }
    }
}

//! A relative path below a folder, validated on construction.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The reason a path is not a valid path below a folder.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{}` is not a path below a folder: {why}", path.escape_debug())]
pub struct InvalidFolderPath {
    /// The rejected path.
    path: String,
    /// The violated rule.
    why: &'static str,
}

/// A relative path that stays below the folder it is resolved from.
///
/// A value consists of one or more plain names: it is not absolute, and has no `..`, no `.`, no
/// empty part and no NUL byte. Every path from a file in a pulled folder is parsed into this type.
/// The type does not know about symbolic links: [`super::Folder`] refuses to follow them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "PathBuf", into = "PathBuf")]
pub struct FolderPath(PathBuf);

impl FolderPath {
    /// Validates a path.
    ///
    /// # Errors
    /// Fails if the path could leave the folder, or is not in its plain spelling.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, InvalidFolderPath> {
        let path = path.into();
        match broken_rule(&path) {
            None => Ok(Self(path)),
            Some(why) => Err(InvalidFolderPath { path: path.to_string_lossy().into_owned(), why }),
        }
    }

    /// Wraps a path composed of validated names.
    pub(crate) fn composed(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        debug_assert_eq!(broken_rule(&path), None, "{path:?}");
        Self(path)
    }

    /// Appends a path.
    #[must_use]
    pub(crate) fn join(&self, below: &Self) -> Self {
        Self(self.0.join(&below.0))
    }

    /// Replaces the last name.
    #[must_use]
    pub(crate) fn with_name(&self, name: impl AsRef<OsStr>) -> Self {
        Self::composed(self.0.with_file_name(name))
    }

    /// Returns the path for system calls and messages.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Returns the parent. `None` if the path has only one name.
    #[must_use]
    pub(crate) fn parent(&self) -> Option<Self> {
        self.0.parent().filter(|parent| *parent != Path::new("")).map(|it| Self(it.to_owned()))
    }

    /// Returns the last name.
    #[must_use]
    pub(crate) fn name(&self) -> &OsStr {
        self.0.file_name().unwrap_or_default()
    }

    /// Returns the names from the root down.
    pub(crate) fn names(&self) -> impl Iterator<Item = &OsStr> {
        // Whatever the path is, the kernel gets only plain names.
        self.0.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
    }
}

fn broken_rule(path: &Path) -> Option<&'static str> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return Some("it is empty");
    }
    if bytes.contains(&0) {
        return Some("it has a NUL byte");
    }
    if path.is_absolute() {
        return Some("it is absolute");
    }
    // By bytes: `components` drops `.` and empty parts, so a file would have two spellings.
    bytes.split(|byte| *byte == b'/').find_map(|name| match name {
        b"" | b"." => Some("a part of it is empty or `.`"),
        b".." => Some("it has `..`"),
        _ => None,
    })
}

impl TryFrom<PathBuf> for FolderPath {
    type Error = InvalidFolderPath;

    fn try_from(path: PathBuf) -> Result<Self, InvalidFolderPath> {
        Self::new(path)
    }
}

impl From<FolderPath> for PathBuf {
    fn from(path: FolderPath) -> PathBuf {
        path.0
    }
}

impl AsRef<Path> for FolderPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for FolderPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_leave_its_folder_is_none() {
        for text in [
            "",
            ".",
            "..",
            "/",
            "/etc/passwd",
            "../x",
            "web/../../x",
            "web/..",
            "./web",
            "web/.",
            "web//root.raw",
            "web/",
            "web/root\0.raw",
            "//x",
        ] {
            assert!(FolderPath::new(text).is_err(), "{text:?}");
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<FolderPath>(&json).is_err(), "{json}");
        }
        let error = FolderPath::new("x\n\x1b[2J/..").unwrap_err().to_string();
        assert!(!error.contains(['\n', '\x1b']), "{error:?}");
    }

    #[test]
    fn a_plain_path_keeps_its_spelling() {
        for text in ["web", "web/root.raw", ".seawall/patch/journal", "a b/..c", "...", "ä"] {
            let path = FolderPath::new(text).unwrap();
            assert_eq!(path.as_path(), Path::new(text));
            assert_eq!(path.names().count(), text.split('/').count());
        }
        let path = FolderPath::new("a/b/c").unwrap();
        assert_eq!(path.parent(), Some(FolderPath::new("a/b").unwrap()));
        assert_eq!(
            (path.name(), path.with_name("d")),
            ("c".as_ref(), FolderPath::composed("a/b/d"))
        );
        assert_eq!(FolderPath::composed("a").parent(), None);
    }
}

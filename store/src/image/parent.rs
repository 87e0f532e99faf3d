//! The parent of a differencing image, and where on this machine it may be.
//!
//! Images of Windows name their parents by several paths, most of them of the machine that made
//! them. A path that says nothing here still has a file name, which is looked for beside the image.

use std::path::{Path, PathBuf};

use super::ImageError;

/// What tells one image from all others: a GUID or UUID, as its bytes stand in the file.
pub(super) type Id = [u8; 16];

/// A parent, as its child names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Parent {
    /// The parent has one of these.
    pub(super) ids: Vec<Id>,
    /// Paths and URLs of it, most trusted first.
    pub(super) names: Vec<String>,
}

/// The next step for who has a chain of which not all is at hand.
pub(super) const JOIN: &str = "put its parents beside it, or make it one file where it was \
                               made: in Hyper-V with `Convert-VHD`, in XenServer with \
                               `vhd-util coalesce`";

impl Parent {
    /// The places where the file that `child` means may be, most trusted first.
    pub(super) fn places(&self, child: &Path) -> Vec<PathBuf> {
        let beside = child.parent().unwrap_or(Path::new(""));
        let named = self.names.iter().filter_map(|name| local(name));
        let plain = self.names.iter().filter_map(|name| file_name(name));
        named.chain(plain).map(|path| beside.join(path)).collect()
    }

    /// Why the parent is not used.
    pub(super) fn refuse(&self, child: &Path, reason: &str) -> ImageError {
        ImageError::Backing {
            path: child.to_owned(),
            backing: self.names.first().cloned().unwrap_or_default(),
            reason: reason.to_owned(),
            remedy: JOIN.to_owned(),
        }
    }
}

/// A name as a path of this machine: relative, or absolute and not of Windows.
pub(super) fn local(name: &str) -> Option<PathBuf> {
    let name = name.strip_prefix("file://").unwrap_or(name);
    let path = name.replace('\\', "/");
    let of_windows = path.contains(':') || path.starts_with("//");
    (!of_windows && !path.is_empty()).then(|| path.into())
}

/// What stands after the last separator of a name.
pub(super) fn file_name(name: &str) -> Option<PathBuf> {
    let last = name.rsplit(['\\', '/', ':']).next()?;
    (!matches!(last, "" | "." | "..")).then(|| last.into())
}

/// Text of 16-bit units up to the first zero; `None` if it is empty or no text.
pub(super) fn utf16(units: impl Iterator<Item = u16>) -> Option<String> {
    let text: Result<String, _> = char::decode_utf16(units.take_while(|unit| *unit != 0)).collect();
    text.ok().filter(|text| !text.is_empty())
}

//! The parent of a differencing image, and its possible places on this machine.
//!
//! Images made on Windows name a parent by several paths, most of them of the machine that made the
//! image. For a path without meaning here, a file of the same name is looked for next to the image.

use std::path::{Path, PathBuf};

use crate::image::ImageError;

/// The unique identifier of an image: a GUID or UUID, in the byte order of the file.
pub(in crate::image) type Id = [u8; 16];

/// A parent, as named by its child.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::image) struct Parent {
    /// Identifiers, one of which the parent must have.
    pub(in crate::image) ids: Vec<Id>,
    /// Paths and URLs of the parent, most trusted first.
    pub(in crate::image) names: Vec<String>,
}

/// The remedy for a chain with missing files.
pub(in crate::image) const JOIN: &str = "put its parents beside it, or make it one file where it was \
                               made: in Hyper-V with `Convert-VHD`, in XenServer with \
                               `vhd-util coalesce`";

impl Parent {
    /// Returns the possible paths of the parent of `child`, most trusted first.
    pub(in crate::image) fn places(&self, child: &Path) -> Vec<PathBuf> {
        let beside = child.parent().unwrap_or(Path::new(""));
        let named = self.names.iter().filter_map(|name| local(name));
        let plain = self.names.iter().filter_map(|name| file_name(name));
        named.chain(plain).map(|path| beside.join(path)).collect()
    }

    /// Returns the error for a parent that is not used.
    pub(in crate::image) fn refuse(&self, child: &Path, reason: &str) -> ImageError {
        ImageError::Backing {
            path: child.to_owned(),
            backing: self.names.first().cloned().unwrap_or_default(),
            reason: reason.to_owned(),
            remedy: JOIN.to_owned(),
        }
    }
}

/// Returns a name as a path of this machine; `None` for a Windows path with a drive or share.
pub(in crate::image) fn local(name: &str) -> Option<PathBuf> {
    let name = name.strip_prefix("file://").unwrap_or(name);
    let path = name.replace('\\', "/");
    let of_windows = path.contains(':') || path.starts_with("//");
    (!of_windows && !path.is_empty()).then(|| path.into())
}

/// Returns the last component of a name, of Unix or Windows.
pub(in crate::image) fn file_name(name: &str) -> Option<PathBuf> {
    let last = name.rsplit(['\\', '/', ':']).next()?;
    (!matches!(last, "" | "." | "..")).then(|| last.into())
}

/// Decodes UTF-16 up to the first zero; `None` if the text is empty or malformed.
pub(in crate::image) fn utf16(units: impl Iterator<Item = u16>) -> Option<String> {
    let text: Result<String, _> = char::decode_utf16(units.take_while(|unit| *unit != 0)).collect();
    text.ok().filter(|text| !text.is_empty())
}

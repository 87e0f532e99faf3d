//! The reasons for which a name in a folder is not read or written.

use std::io;
use std::path::Path;

/// The reason a name in a folder is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Untouchable {
    /// The name is a symbolic link, or lies behind one.
    #[error("it is a symbolic link, or lies behind one; links in a pulled folder are not followed")]
    Link,
    /// The name is a device, a pipe or a folder.
    #[error("it is not a regular file")]
    NotAFile,
    /// The file has other names.
    #[error(
        "it has {links} names (hard links): writing to it would change the file under the others"
    )]
    HardLinks {
        /// The number of the file's names.
        links: u64,
    },
    /// Another user owns the file.
    #[error("it belongs to the user {owner}, who could change what is put there")]
    Foreign {
        /// The owner's user ID.
        owner: u32,
    },
}

impl Untouchable {
    /// Returns the next step for the operator.
    pub(crate) fn remedy(self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Link => format!(
                "look at it with `ls -l {path}`; put the file itself there, or a mount, or remove \
                 the link"
            ),
            Self::NotAFile => format!("look at it with `ls -l {path}`, and move it away"),
            Self::HardLinks { .. } => format!(
                "make it a file of its own: `cp -p {path} {path}.new && mv {path}.new {path}`"
            ),
            Self::Foreign { .. } => {
                format!("remove it if it is not needed (`rm -r {path}`), or use another folder")
            }
        }
    }

    pub(super) fn error(self) -> io::Error {
        io::Error::other(self)
    }

    /// Returns the refusal in an I/O error, if any.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

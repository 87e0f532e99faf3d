//! Files that a registry keeps for itself, in a directory that others may have written to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// The owner alone reads and writes.
const PRIVATE: u32 = 0o600;

/// Opens a file that the registry keeps for itself: never through a link, and without waiting for
/// the other end of a pipe. A file that is made is the owner's alone.
///
/// # Errors
/// Fails if the name is anything but a regular file, or the operating system refuses.
pub(crate) fn open_own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    // All these bits fit: the kernel takes them as an `int`.
    let flags = i32::try_from(flags).unwrap_or_default();
    let opened = options.mode(PRIVATE).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => io::Error::other(Suspect::Link),
        Some(Errno::NXIO) => io::Error::other(Suspect::NotAFile),
        _ => error,
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other(Suspect::NotAFile)) }
}

/// The reason why a file in a data directory is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Suspect {
    /// It is a link.
    #[error("it is a symbolic link, which may lead anywhere")]
    Link,
    /// It is a device, a pipe, a socket, or a folder where a file belongs.
    #[error("it is not a regular file")]
    NotAFile,
    /// Another user owns it.
    #[error("it belongs to the user {owner}, who can put links to other files there")]
    Foreign {
        /// The owner's number.
        owner: u32,
    },
}

impl Suspect {
    /// The operator's next step.
    pub(crate) fn remedy(self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Link | Self::NotAFile => {
                format!("look at it with `ls -l {path}`, and move it away")
            }
            Self::Foreign { owner } => format!(
                "run the command as that user (`sudo -u '#{owner}' seawall …`), or make it yours \
                 with `chown`"
            ),
        }
    }
}

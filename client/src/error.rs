//! What the caller of any flow or port can do about a failure.

/// What the caller can do: the one thing that edges branch on.
///
/// The command line turns it into an exit code. `StorageFull` stands beside the kinds of DESIGN
/// because its next step is the operator's alone: waiting, retrying and repairing do not help.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// The object does not exist: check its name.
    NotFound,
    /// Something else holds the name or moved meanwhile: look again and decide.
    Conflict,
    /// What was given cannot be right: change it.
    InvalidInput,
    /// Bytes are not what their digest says: fetch or push them again.
    Damaged,
    /// The registry cannot be reached or cannot serve now: try again later.
    Unavailable,
    /// The token does not permit this: use another.
    Denied,
    /// A disk is full, here or at the registry: make room.
    StorageFull,
    /// None of these: report it.
    Internal,
}

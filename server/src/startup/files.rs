//! The limit of open files, and the resulting number of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::http::limits;

/// The number of files reserved for the catalog, the listener, the log and other purposes.
const FILES_KEPT: u64 = 128;
/// The number of files per connection: the socket, and the pack being read.
const FILES_PER_CONNECTION: u64 = 2;
/// The minimum number of connections per worker. A request that cannot open its file is answered
/// with an error.
const CONNECTIONS_MIN: u64 = 16;

/// Raises the limit of open files as far as permitted, and returns the limit.
///
/// The usual soft limit of 1024 is for programs that use `select`. Connections beyond the limit
/// could not even be refused.
pub(super) fn raise_limit() -> u64 {
    let found = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: found.maximum, maximum: found.maximum };
    let now = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => getrlimit(Resource::Nofile),
        Err(error) => {
            tracing::warn!(%error, limit = found.current, "cannot raise the limit of open files");
            found
        }
    };
    // `None` means unlimited.
    now.current.unwrap_or(u64::MAX)
}

/// Returns the maximum number of connections for each of `workers`.
pub(super) fn connections_per_worker(files: u64, workers: usize) -> usize {
    let workers = u64::try_from(workers).unwrap_or(u64::MAX).max(1);
    let connections = files.saturating_sub(FILES_KEPT) / FILES_PER_CONNECTION / workers;
    let connections = usize::try_from(connections.max(CONNECTIONS_MIN)).unwrap_or(usize::MAX);
    connections.min(limits::CONNECTIONS_PER_WORKER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_raised_as_far_as_it_goes() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let low = Rlimit { current: Some(256), maximum };
        setrlimit(Resource::Nofile, low).unwrap();
        assert_eq!(raise_limit(), maximum.unwrap_or(u64::MAX));
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }

    #[test]
    fn connections_leave_files_for_what_they_read() {
        assert_eq!(connections_per_worker(u64::MAX, 2), limits::CONNECTIONS_PER_WORKER_MAX);
        assert_eq!(connections_per_worker(1024, 4), 112);
        assert_eq!(connections_per_worker(100, 4), 16);
        assert_eq!(connections_per_worker(4096, 0), limits::CONNECTIONS_PER_WORKER_MAX);
    }
}

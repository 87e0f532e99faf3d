//! The threads that move the bytes of connections to a bucket.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The number of threads.
const COUNT: usize = 2;

/// The threads of a bucket's connections.
///
/// A connection belongs to the runtime that opened it. Callers have many, some of which end before
/// the bucket does; on threads of its own, a connection is not held up by the work of a caller.
#[derive(Debug)]
pub(in crate::backend) struct Threads {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Threads {
    /// Starts the threads.
    pub(super) fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(COUNT).thread_name("seawall-bucket").enable_all();
        let runtime = runtime.build()?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }

    /// Returns the handle for work on the threads.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for the threads is forbidden in asynchronous code.
            runtime.shutdown_background();
        }
    }
}

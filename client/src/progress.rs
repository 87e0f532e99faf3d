//! Progress reports of a running flow.

/// A stage of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// Reading local disks and cutting them into chunks.
    Scan,
    /// Sending packs to the registry.
    Upload,
    /// Downloading packs from the registry.
    Fetch,
    /// Writing a disk.
    Apply,
    /// Hashing existing data.
    Verify,
    /// Inflating a compressed disk.
    Unpack,
    /// Copying the objects of a registry.
    Copy,
    /// Moving the rows of a registry's catalog.
    Rows,
}

/// A receiver of a flow's progress. Called from many threads; must return at once.
pub trait Progress: Send + Sync {
    /// Reports the start of a stage, which ends the previous one. `total_bytes` may be unknown.
    fn begin(&self, stage: Stage, total_bytes: Option<u64>);
    /// Reports that another `bytes` bytes of the stage are done.
    fn advance(&self, bytes: u64);
    /// Reports that `bytes` bytes are already present. They count as done, without a transfer.
    fn reused(&self, bytes: u64);
    /// Reports that `bytes` compressed bytes crossed the network.
    fn transferred(&self, bytes: u64);
    /// Reports a remark for the user.
    fn note(&self, text: &str);
    /// Reports the end of the flow.
    fn finish(&self);
}

/// A receiver that ignores all reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Stage, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn reused(&self, _: u64) {}
    fn transferred(&self, _: u64) {}
    fn note(&self, _: &str) {}
    fn finish(&self) {}
}

//! What a flow tells about its work while it runs.

/// Which part of a flow runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// Reading local disks and cutting them into chunks.
    Scan,
    /// Sending packs to the registry.
    Upload,
    /// Getting packs from the registry.
    Fetch,
    /// Writing a disk.
    Apply,
    /// Hashing what is there.
    Verify,
    /// Inflating a compressed disk.
    Unpack,
}

/// Hears how far a flow is. Called from many threads; must return at once.
pub trait Progress: Send + Sync {
    /// A stage begins, with its bytes where they are known. Ends the one before.
    fn begin(&self, stage: Stage, total_bytes: Option<u64>);
    /// That many more bytes of the stage are done.
    fn advance(&self, bytes: u64);
    /// That many bytes need not be transferred, as they were there; they count as done, too.
    fn reused(&self, bytes: u64);
    /// That many bytes crossed the network, as they were sent or received: compressed.
    fn transferred(&self, bytes: u64);
    /// Something a person may want to know.
    fn note(&self, text: &str);
    /// The flow has ended.
    fn finish(&self);
}

/// Tells nobody.
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

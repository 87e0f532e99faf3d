//! The account: its snapshots and images, by region.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::BLOCK_LEN;
use super::answer::Refusal;

/// The stage of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Takes blocks.
    Pending,
    /// Was completed by its writer, and becomes complete after this many looks.
    Completing(u32),
    /// Complete.
    Completed,
    /// Failed: no block came for too long.
    Error,
}

impl Stage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pending | Self::Completing(_) => "pending",
            Self::Completed => "completed",
            Self::Error => "error",
        }
    }
}

/// A written block: its digest and its bytes.
pub(super) type Block = ([u8; 32], Arc<[u8]>);

/// A snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The name.
    pub id: String,
    /// The region.
    pub region: String,
    /// The owner.
    pub owner: String,
    /// The size of the volume in GiB.
    pub size_gib: u64,
    /// The parent.
    pub parent: Option<String>,
    /// The stage.
    pub stage: Stage,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// The description.
    pub description: String,
    /// Whether it is encrypted.
    pub encrypted: bool,
    pub(super) blocks: BTreeMap<u64, Block>,
    pub(super) timeout: Duration,
    pub(super) touched: Instant,
    pub(super) created: Instant,
}

impl Snapshot {
    /// Returns the indexes of the blocks that were written to this snapshot itself.
    #[must_use]
    pub fn written(&self) -> BTreeSet<u64> {
        self.blocks.keys().copied().collect()
    }
}

/// An image.
#[derive(Clone, Debug)]
pub struct Image {
    /// The name of the object.
    pub id: String,
    /// The region.
    pub region: String,
    /// Every parameter of its registration, with the defaults of the service.
    pub parameters: BTreeMap<String, String>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// Devices with their snapshots and sizes in GiB.
    pub mappings: Vec<(String, String, u64)>,
    /// Whether it is enabled.
    pub enabled: bool,
    /// The time of deprecation.
    pub deprecated_at: Option<String>,
    /// The accounts that may launch it.
    pub shared_with: BTreeSet<String>,
    /// Whether it is protected from deregistration.
    pub protected: bool,
    pub(super) created: Instant,
}

/// An account, with the settings of its service.
#[derive(Debug, Default)]
pub struct Account {
    /// The snapshots by name.
    pub snapshots: BTreeMap<String, Snapshot>,
    /// The images by name.
    pub images: BTreeMap<String, Image>,
    /// Running instances: name, image.
    pub instances: Vec<(String, String)>,
    /// Parameters of the parameter store.
    pub parameters: BTreeMap<String, String>,
    /// The number of looks before a completed snapshot shows as such.
    pub looks_until_complete: u32,
    /// The time before a new object is shown by lists.
    pub shown_after: Duration,
    /// Whether new snapshots are encrypted by default.
    pub encrypts: bool,
    /// The greatest number of pending snapshots; 0 for no limit.
    pub pending_max: usize,
    /// The rate of puts of blocks that is served, in calls per second; 0 for no limit.
    pub puts_per_sec: f64,
    pub(super) put_tokens: f64,
    pub(super) refilled: Option<Instant>,
    pub(super) tokens: BTreeMap<String, (String, String)>,
    /// The number of objects that were made.
    pub made: u64,
}

impl Account {
    /// Returns whether no further snapshot may be pending.
    pub(super) fn is_full_of_pending(&self) -> bool {
        let is_pending = |it: &&Snapshot| it.stage == Stage::Pending;
        let pending = self.snapshots.values().filter(is_pending).count();
        self.pending_max > 0 && pending >= self.pending_max
    }

    /// Forgets the tokens of earlier requests.
    pub fn tokens_are_forgotten(&mut self) {
        self.tokens.clear();
    }

    /// Returns a new name with this prefix.
    pub(super) fn name(&mut self, prefix: &str) -> String {
        // Names are unique across accounts, as those of AWS are.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        self.made += 1;
        format!("{prefix}-{:017x}", 0x5ea_0000_0000_u64 + next)
    }

    /// Ends what waits for too long.
    pub(super) fn tick(&mut self) {
        for snapshot in self.snapshots.values_mut() {
            if snapshot.stage == Stage::Pending && snapshot.touched.elapsed() > snapshot.timeout {
                snapshot.stage = Stage::Error;
            }
        }
    }

    /// Takes a permit for a put of a block.
    pub(super) fn throttle(&mut self) -> Result<(), Refusal> {
        if self.puts_per_sec == 0.0 {
            return Ok(());
        }
        let now = Instant::now();
        let since = self.refilled.replace(now).map_or(1.0, |at| (now - at).as_secs_f64());
        self.put_tokens = (self.put_tokens + since * self.puts_per_sec).min(self.puts_per_sec);
        if self.put_tokens < 1.0 {
            let reason = "ACCOUNT_THROTTLED";
            let refusal = Refusal::new(400, "RequestThrottledException", "too many puts");
            return Err(Refusal { reason, ..refusal });
        }
        self.put_tokens -= 1.0;
        Ok(())
    }

    /// Returns a block as a volume shows it: of the snapshot, else of its nearest ancestor.
    pub(super) fn block(&self, snapshot: &str, index: u64) -> Option<&Block> {
        let mut at = self.snapshots.get(snapshot);
        while let Some(snapshot) = at {
            if let Some(block) = snapshot.blocks.get(&index) {
                return Some(block);
            }
            at = snapshot.parent.as_ref().and_then(|parent| self.snapshots.get(parent));
        }
        None
    }

    /// Returns the indexes of all blocks of a snapshot and its ancestors.
    pub(super) fn indexes(&self, snapshot: &str) -> BTreeSet<u64> {
        let mut all = BTreeSet::new();
        let mut at = self.snapshots.get(snapshot);
        while let Some(snapshot) = at {
            all.extend(snapshot.blocks.keys());
            at = snapshot.parent.as_ref().and_then(|parent| self.snapshots.get(parent));
        }
        all
    }

    /// Returns the first `len` bytes of the volume that a snapshot makes.
    #[must_use]
    pub fn volume(&self, snapshot: &str, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        for index in self.indexes(snapshot) {
            let start = usize::try_from(index).unwrap() * BLOCK_LEN;
            if let Some((_, block)) = self.block(snapshot, index)
                && start < bytes.len()
            {
                let end = bytes.len().min(start + BLOCK_LEN);
                bytes[start..end].copy_from_slice(&block[..end - start]);
            }
        }
        bytes
    }
}

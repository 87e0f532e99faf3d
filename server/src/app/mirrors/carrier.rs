//! The port to the flow that copies: the program that serves the registry brings it, because the
//! registry itself reads and writes no other registry.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::mirrors::Mirror;
use crate::tokens::Grant;

/// The order of one run.
#[derive(Debug)]
pub struct Errand {
    /// The mirror.
    pub mirror: Mirror,
    /// The moves of channels that earlier runs made, or found to agree with the source: the
    /// sequence numbers by `APPLICATION:CHANNEL`.
    pub channels: BTreeMap<String, u64>,
    /// The address of this registry.
    pub own_url: String,
    /// The right to use this registry as the mirror, for as long as the run takes.
    pub grant: Grant,
}

/// A number of releases and their data as stored, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Amount {
    /// The number of releases.
    pub releases: u64,
    /// Their data as stored and sent, in bytes.
    pub bytes: u64,
}

/// The result of a run.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Carried {
    /// The number of releases deleted in the target.
    pub deleted: u64,
    /// The channels and releases left alone, each with the reason.
    pub left_alone: Vec<String>,
}

/// A receiver of a run's progress. Called from many threads; must return at once.
pub trait Watch: Send + Sync {
    /// Reports what the target lacks.
    fn lacks(&self, amount: Amount);
    /// Reports that data arrived at the target, in stored bytes.
    fn sent(&self, bytes: u64);
    /// Reports that a channel of the target, `APPLICATION:CHANNEL`, agrees with the source since
    /// the move with this sequence number.
    fn agreed(&self, channel: String, sequence: u64);
    /// Reports that a release is visible at the target.
    fn copied(&self);
}

/// The flow that copies.
#[async_trait::async_trait]
pub trait Carrier: Send + Sync {
    /// Runs a mirror once. A run may be dropped at any moment; the next one goes on. The error is
    /// one line, with the cause.
    async fn carry(&self, errand: Errand, watch: Arc<dyn Watch>) -> Result<Carried, String>;
}

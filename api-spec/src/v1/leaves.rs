//! Leaves of indexes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::LeafDigest;

/// The most leaves one question may name: those of 4 TiB of disk.
pub const LEAVES_PER_QUESTION_MAX: usize = 16_384;

/// Asks which of these leaves the registry lacks; answered by
/// [`MissingPositions`](super::MissingPositions). A leaf that is present is complete: every
/// chunk it lists is present, too, and stays until the lease ends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingLeaves {
    /// The lease under which the answer holds.
    pub lease: String,
    /// At most [`LEAVES_PER_QUESTION_MAX`] leaves.
    pub leaves: Vec<LeafDigest>,
}

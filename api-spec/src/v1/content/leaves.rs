//! Leaves of indexes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::LeafDigest;

/// The maximum number of leaves per query: 4 TiB of disk.
pub const LEAVES_PER_QUESTION_MAX: usize = 16_384;

/// A query for the leaves that the registry lacks.
///
/// The answer is a list of missing positions. A present leaf is complete: every chunk in it is
/// present as well, and stays until the lease ends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingLeaves {
    /// The lease for the query.
    pub lease: String,
    /// The leaves, at most 16384.
    pub leaves: Vec<LeafDigest>,
}

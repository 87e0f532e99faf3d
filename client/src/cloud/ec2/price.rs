//! An estimate of the price, by the list prices of us-east-1 in November 2026.

use super::super::Cost;
use super::BLOCK_LEN;

/// US dollars for a thousand calls of PutSnapshotBlock.
const PUT_USD_PER_1000: f64 = 0.006;
/// US dollars for a GiB of snapshot in a month.
const GIB_MONTH_USD: f64 = 0.05;
/// Calls for a volume beside its blocks: start, complete, and some looks.
const CALLS_PER_VOLUME: u64 = 5;
/// Calls for an image: look, register, look.
const CALLS_PER_IMAGE: u64 = 3;
/// Calls for a publication: identity, volumes, images.
const CALLS: u64 = 3;

/// Returns the cost of writing blocks.
pub(super) fn cost(blocks: u64, volumes: u64, images: u64) -> Cost {
    let call_count = CALLS + blocks + volumes * CALLS_PER_VOLUME + images * CALLS_PER_IMAGE;
    #[allow(clippy::cast_precision_loss)] // an estimate
    let (puts, gib) = (blocks as f64, (blocks * BLOCK_LEN) as f64 / (1u64 << 30) as f64);
    let cents = |usd: f64| (usd * 100.0).ceil() / 100.0;
    let calls_usd = cents(puts / 1000.0 * PUT_USD_PER_1000);
    Cost { call_count, calls_usd, month_usd: cents(gib * GIB_MONTH_USD) }
}

//! Packs, chunks, leaves and indexes.

pub(in crate::catalog) mod chunks;
pub(in crate::catalog) mod indexes;
pub(in crate::catalog) mod leaves;
pub(in crate::catalog) mod packs;

/// Expands to SQL for a pack, the column `$pack`, on which no caller of the generation in the
/// placeholder may begin to rely, because the pack is lost or condemned.
macro_rules! unsound {
    ($pack:literal, $generation:literal) => {
        concat!(
            "(EXISTS (SELECT 1 FROM lost_packs l WHERE l.pack_id = ",
            $pack,
            ")
              OR EXISTS (SELECT 1 FROM condemned_packs k WHERE k.pack_id = ",
            $pack,
            " AND (k.generation <= ",
            $generation,
            " OR k.is_swept = 1)))"
        )
    };
}
use unsound;

/// Expands to SQL for an object, the row `x`, on which no caller of the generation in the
/// placeholder may begin to rely, because the object is condemned.
macro_rules! condemned_object {
    ($kind:literal, $generation:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM condemned_objects o
                WHERE o.kind = '",
            $kind,
            "' AND o.digest = x.digest AND (o.generation <= ",
            $generation,
            " OR o.is_swept = 1))"
        )
    };
}
pub(super) use condemned_object;

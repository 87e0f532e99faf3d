//! The chunks that a caller may rely on.

use std::collections::{BTreeSet, HashMap, HashSet};

use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::index::ChunkRef;

use super::unsound;
use crate::catalog::model::collect::{Grip, PackKey};
use crate::catalog::model::content::{ChunkPlace, Located};
use crate::catalog::places::{Place, Places};
use crate::catalog::tx::{Batch, Bind, Tx, TxError, TxResult};

/// The maximum number of unfit chunks named. A caller that lacks one usually lacks many.
const UNFIT_NAMED: usize = 4;

/// Returns those of these packs on which no caller of this grip may begin to rely.
fn unsound(
    tx: &mut dyn Tx,
    packs: impl Iterator<Item = PackKey>,
    grip: Grip,
) -> TxResult<HashSet<PackKey>> {
    const FIND: &str =
        concat!("SELECT 1 FROM packs c WHERE c.id = $1 AND ", unsound!("c.id", "$2"));
    // Neighbours on a disk mostly share a pack.
    let mut last = None;
    let packs: BTreeSet<PackKey> =
        packs.filter(|pack| last.replace(*pack) != Some(*pack)).collect();
    let keys = packs.iter().map(|pack| [pack.bind(), grip.generation.bind()]);
    let found = tx.find_each(FIND, &Batch::new(keys), |_| Ok(()))?;
    let unsound = packs.iter().zip(found).filter(|(_, found)| found.is_some());
    Ok(unsound.map(|(pack, _)| *pack).collect())
}

/// Returns, for each chunk in order, the pack on which a caller of this grip may rely for it.
pub(super) fn usable(
    tx: &mut dyn Tx,
    places: &dyn Places,
    chunks: &[ChunkDigest],
    grip: Grip,
) -> TxResult<Vec<Option<PackKey>>> {
    let found = places.packs(tx, chunks)?;
    let packs: Vec<_> = found.into_iter().map(|place| place.map(|place| place.pack)).collect();
    let unsound = unsound(tx, packs.iter().flatten().copied(), grip)?;
    let is_usable = |pack: &PackKey| !unsound.contains(pack);
    Ok(packs.into_iter().map(|pack| pack.filter(is_usable)).collect())
}

/// Returns the positions of the chunks without a usable place, ascending.
pub(in crate::catalog) fn missing(
    tx: &mut dyn Tx,
    places: &dyn Places,
    chunks: &[ChunkDigest],
    grip: Grip,
) -> TxResult<Vec<u32>> {
    let usable = usable(tx, places, chunks, grip)?;
    Ok((0..).zip(usable).filter_map(|(at, pack)| pack.is_none().then_some(at)).collect())
}

/// Returns the places of chunks, including places in lost packs.
pub(in crate::catalog) fn locate(
    tx: &mut dyn Tx,
    places: &dyn Places,
    chunks: &[ChunkDigest],
) -> TxResult<Located> {
    let found = places.find(tx, chunks)?;
    let impossible = || TxError::damaged("the place of a chunk is impossible");
    let mut packs = Packs::default();
    if let Some(at) = found.iter().position(Option::is_none) {
        return Ok(Located::Missing(chunks[at]));
    }
    let place = |Place { pack, frame }| {
        let frame = frame.ok_or_else(impossible)?;
        Ok(ChunkPlace { pack: packs.position(pack), frame })
    };
    let places = found.into_iter().flatten().map(place).collect::<TxResult<_>>()?;
    Ok(Located::All { packs: packs.digests(tx)?, places })
}

/// The packs of an answer, each once, in the order of first use.
#[derive(Default)]
struct Packs {
    ids: Vec<PackKey>,
    positions: HashMap<PackKey, u32>,
    last: Option<(PackKey, u32)>,
}

impl Packs {
    fn position(&mut self, id: PackKey) -> u32 {
        // Neighbours on a disk mostly share a pack.
        if let Some((last, position)) = self.last
            && last == id
        {
            return position;
        }
        let ids = &mut self.ids;
        let position = *self.positions.entry(id).or_insert_with(|| {
            ids.push(id);
            // There are never more packs than chunks in the query, whose positions are `u32`.
            u32::try_from(ids.len() - 1).unwrap_or(u32::MAX)
        });
        self.last = Some((id, position));
        position
    }

    fn digests(&self, tx: &mut dyn Tx) -> TxResult<Vec<PackDigest>> {
        let sql = "SELECT digest FROM packs WHERE id = $1";
        let read = tx.find_each(sql, &Batch::of(&self.ids), |row| row.id(0))?;
        let read = read.into_iter().map(|digest| digest.map(PackDigest::from_bytes));
        read.collect::<Option<_>>().ok_or_else(|| TxError::damaged("a chunk's pack has no row"))
    }
}

/// The fitness of a leaf's chunks.
#[derive(Default)]
pub(in crate::catalog) struct Fit {
    /// The first few chunks that have no place or another length.
    pub(super) unfit: Vec<ChunkRef>,
    /// The packs of the others.
    pub(super) packs: BTreeSet<PackKey>,
}

/// Compares the chunks of a leaf with their places.
pub(super) fn fit(
    tx: &mut dyn Tx,
    places: &dyn Places,
    chunks: &[ChunkRef],
    grip: Grip,
) -> TxResult<Fit> {
    let digests: Vec<_> = chunks.iter().map(|chunk| chunk.digest).collect();
    let found = places.find(tx, &digests)?;
    let packs = found.iter().flatten().map(|place| place.pack);
    let unsound = unsound(tx, packs, grip)?;
    let mut fit = Fit::default();
    for (chunk, place) in chunks.iter().zip(found) {
        let len = |place: &Place| place.frame.map(|frame| frame.plain_len);
        let is_fit =
            |place: &Place| len(place) == Some(chunk.len) && !unsound.contains(&place.pack);
        match place.filter(is_fit) {
            Some(place) => {
                fit.packs.insert(place.pack);
            }
            None if fit.unfit.len() < UNFIT_NAMED => fit.unfit.push(*chunk),
            None => {}
        }
    }
    Ok(fit)
}

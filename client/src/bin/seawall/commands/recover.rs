//! `seawall recover DATA`.

use std::path::PathBuf;

use seawall_server::Rebuilt;
use serde::Serialize;

use crate::hosted::refused;
use crate::output::{Style, answer, count};
use crate::report::Failure;

/// What a store holds, found while its catalog was made anew.
#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    packs: u64,
    leaves: u64,
    indexes: u64,
    pub(super) releases: u64,
    channels: u64,
    unacknowledged: u64,
    pub(super) damage: Vec<Damage>,
}

/// Something that is not as it should be.
#[derive(Serialize, Clone)]
pub(super) struct Damage {
    pub(super) object: String,
    pub(super) what: String,
}

impl From<Rebuilt> for Found {
    fn from(found: Rebuilt) -> Self {
        let damage = found.damage.into_iter();
        Self {
            packs: found.packs,
            leaves: found.leaves,
            indexes: found.indexes,
            releases: found.releases,
            channels: found.channels,
            unacknowledged: found.unnamed,
            damage: damage.map(|it| Damage { object: it.object, what: it.what }).collect(),
        }
    }
}

impl Found {
    pub(super) fn text(&self) -> String {
        let leaves = if self.leaves == 1 { "leaf" } else { "leaves" };
        let mut text = format!(
            "  {}, {}, {}, {}, {} complete {leaves}\n",
            count(self.releases, "release"),
            count(self.channels, "channel"),
            count(self.packs, "pack"),
            count(self.indexes, "complete disk"),
            self.leaves,
        );
        if self.unacknowledged > 0 {
            let count = count(self.unacknowledged, "release");
            text += &format!("  {count} whose push was never answered: push again\n");
        }
        for damage in &self.damage {
            text += &format!("  DAMAGED  {}: {}\n", damage.object, damage.what);
        }
        text
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Recovered {
    found: Found,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_catalog: Option<PathBuf>,
}

pub(crate) async fn recover(data: PathBuf, style: Style) -> Result<(), Failure> {
    let recovered = seawall_server::recover(data).await.map_err(|error| refused(&error))?;
    let recovered = Recovered { found: recovered.found.into(), old_catalog: recovered.aside };
    answer(style, &recovered, |recovered| {
        let mut text =
            "made the catalog anew from the store\n".to_owned() + &recovered.found.text();
        if let Some(old) = &recovered.old_catalog {
            text += &format!("  the old catalog is {} now\n", old.display());
        }
        text
    })?;
    if recovered.found.damage.is_empty() {
        return Ok(());
    }
    let what = "the catalog is made, and parts of the store are damaged";
    let remedy = "start the registry, then bring what is lost: `seawall repair --from URL|DIR`";
    Err(Failure::damaged(what, remedy))
}

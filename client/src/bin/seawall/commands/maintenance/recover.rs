//! `seawall recover DATA`.

use std::path::{Path, PathBuf};

use seawall::error::ErrorKind;
use seawall_server::{Home, Rebuilt, StartError, StoreAt};
use serde::Serialize;

use crate::connect::hosted::refused;
use crate::failure::Failure;
use crate::output::{Style, answer, count};

/// The contents of a store, found while its catalog was rebuilt.
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

/// A damaged object.
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
            text += &format!("  {count} whose push was never acknowledged: push again\n");
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
    old_catalog: Option<String>,
}

/// Fails unless the directory holds a registry's data.
pub(super) fn check_data(data: &Path, store: &StoreAt) -> Result<(), Failure> {
    if *store != StoreAt::Inside {
        return Ok(());
    }
    if data.join("store").is_dir() {
        return Ok(());
    }
    let what = match data.is_dir() {
        true => format!("{} holds no registry: it has no folder `store`", data.display()),
        false => format!("there is no directory {}", data.display()),
    };
    let remedy = "name the data directory of `seawall serve`";
    Err(Failure::usage(what, remedy).of_kind(ErrorKind::NotFound))
}

/// Returns the failure of a rebuild; most often a registry still serves the data.
fn in_use(data: &Path, error: &StartError) -> Failure {
    let failure = refused(error);
    if matches!(error, StartError::Catalog { .. }) && failure.kind() == ErrorKind::Unavailable {
        let data = data.display();
        return failure.with_remedy(format!(
            "a registry serves {data}: stop it (`systemctl stop seawall`), then run `seawall \
             recover {data}` again"
        ));
    }
    failure
}

pub(crate) async fn recover(data: PathBuf, home: Home, style: Style) -> Result<(), Failure> {
    check_data(&data, &home.store)?;
    let recovered =
        seawall_server::recover(data.clone(), home).await.map_err(|error| in_use(&data, &error))?;
    let recovered = Recovered { found: recovered.found.into(), old_catalog: recovered.aside };
    answer(style, &recovered, |recovered| {
        let mut text = "rebuilt the catalog from the store\n".to_owned() + &recovered.found.text();
        if let Some(old) = &recovered.old_catalog {
            text += &format!("  the old catalog is now {old}\n");
        }
        text
    })?;
    if recovered.found.damage.is_empty() {
        return Ok(());
    }
    let what = "the catalog was rebuilt, but parts of the store are damaged";
    let remedy = "start the registry, then restore lost data: `seawall repair --from URL|DIR`";
    Err(Failure::damaged(what, remedy))
}

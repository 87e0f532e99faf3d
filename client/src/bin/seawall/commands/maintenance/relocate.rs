//! `seawall relocate DATA`: moves a registry to another store or catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use seawall::progress::{Progress, Stage};
use seawall_api::units::HumanBytes;
use seawall_server::{Amount, Home, Relocate, Relocated, RelocationPlan, Watch};
use serde::Serialize;

use super::recover::Damage;
use super::{catalog, store};
use crate::args::Global;
use crate::args::maintenance::RelocateArgs;
use crate::connect::hosted::refused;
use crate::failure::Failure;
use crate::output::{Style, answer, count};

/// The places of a store and a catalog.
#[derive(Serialize)]
struct Places {
    store: String,
    catalog: String,
}

/// A number of objects and their length.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Objects {
    object_count: u64,
    object_bytes: u64,
}

impl From<Amount> for Objects {
    fn from(amount: Amount) -> Self {
        Self { object_count: amount.count, object_bytes: amount.bytes }
    }
}

/// The rows of the tables of a catalog.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rows {
    row_count: u64,
    tables: Vec<Table>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    table: &'static str,
    row_count: u64,
}

impl From<Vec<(&'static str, u64)>> for Rows {
    fn from(rows: Vec<(&'static str, u64)>) -> Self {
        let rows: BTreeMap<_, _> = rows.into_iter().collect();
        Self {
            row_count: rows.values().sum(),
            tables: rows.into_iter().map(|(table, row_count)| Table { table, row_count }).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    from: Places,
    to: Places,
    to_copy: Objects,
    present: Objects,
    rows: Rows,
}

impl From<RelocationPlan> for Plan {
    fn from(plan: RelocationPlan) -> Self {
        Self {
            from: Places { store: plan.from.store, catalog: plan.from.catalog },
            to: Places { store: plan.to.store, catalog: plan.to.catalog },
            to_copy: plan.to_copy.into(),
            present: plan.present.into(),
            rows: plan.rows.into(),
        }
    }
}

impl Plan {
    fn text(&self) -> String {
        let mut text = places(&self.from, &self.to);
        let bytes = HumanBytes(self.to_copy.object_bytes);
        text += &format!("  {} to copy ({bytes})", count(self.to_copy.object_count, "object"));
        text += &there(&self.present);
        text += &format!("\n  {} to move\n", count(self.rows.row_count, "row"));
        text
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    already_there: bool,
    registry: String,
    from: Places,
    to: Places,
    copied: Objects,
    present: Objects,
    healed_count: u64,
    rows: Rows,
    damage: Vec<Damage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_catalog: Option<String>,
    #[serde(skip)]
    options: String,
}

impl From<Relocated> for Report {
    fn from(done: Relocated) -> Self {
        let damage = done.damage.into_iter();
        Self {
            already_there: done.already_there,
            registry: done.registry.to_string(),
            from: Places { store: done.from.store, catalog: done.from.catalog },
            to: Places { store: done.to.store, catalog: done.to.catalog },
            copied: done.copied.into(),
            present: done.present.into(),
            healed_count: done.healed,
            rows: done.rows.into(),
            damage: damage.map(|it| Damage { object: it.object, what: it.what }).collect(),
            old_catalog: done.aside,
            options: done.options,
        }
    }
}

impl Report {
    fn text(&self) -> String {
        if self.already_there {
            return format!("the registry is already at {}\n", self.to.store);
        }
        let mut text =
            format!("moved registry {}\n", self.registry) + &places(&self.from, &self.to);
        let bytes = HumanBytes(self.copied.object_bytes);
        text += &format!("  {} copied ({bytes})", count(self.copied.object_count, "object"));
        text += &there(&self.present);
        text += &format!("\n  {} moved and compared\n", count(self.rows.row_count, "row"));
        if self.healed_count > 0 {
            let healed = count(self.healed_count, "object");
            text += &format!("  {healed} copied again, because the check found them wrong\n");
        }
        for damage in &self.damage {
            text += &format!("  DAMAGED  {}: {}\n", damage.object, damage.what);
        }
        if let Some(old) = &self.old_catalog {
            text += &format!("  an earlier catalog of this registry is now {old}\n");
        }
        text += "the target was checked in full\n";
        text += &format!("serve it: seawall serve DATA{}\n", self.options);
        text
    }
}

fn places(from: &Places, to: &Places) -> String {
    let line = |what: &str, from: &str, to: &str| match from == to {
        true => format!("  {what}: {from} (stays)\n"),
        false => format!("  {what}: {from} to {to}\n"),
    };
    line("objects", &from.store, &to.store) + &line("catalog", &from.catalog, &to.catalog)
}

fn there(present: &Objects) -> String {
    match present.object_count {
        0 => String::new(),
        n => {
            format!(", {} there already ({})", count(n, "object"), HumanBytes(present.object_bytes))
        }
    }
}

#[derive(Serialize)]
struct Aborted {
    store: String,
}

/// Progress of a relocation on the terminal.
struct Shown(Arc<dyn Progress>);

impl Watch for Shown {
    fn begin(&self, stage: seawall_server::Stage, total_bytes: Option<u64>) {
        let stage = match stage {
            seawall_server::Stage::Objects => Stage::Copy,
            seawall_server::Stage::Rows => Stage::Rows,
            seawall_server::Stage::Check => Stage::Verify,
        };
        self.0.begin(stage, total_bytes);
    }

    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }

    fn present(&self, bytes: u64) {
        self.0.reused(bytes);
    }
}

pub(crate) async fn run(
    args: RelocateArgs,
    global: &Global,
    progress: Arc<dyn Progress>,
    style: Style,
) -> Result<(), Failure> {
    let from = Home {
        store: store::named(args.from.store())?,
        catalog: catalog::named(args.from.from_catalog.as_deref())?,
    };
    if args.abort {
        let store = format!("{}", from.store);
        let aborted = seawall_server::abort_relocation(args.data, from).await;
        aborted.map_err(|error| refused(&error))?;
        return answer(style, &Aborted { store }, |_| {
            "gave up the relocation: the registry takes writes again; what was copied stays where \
             it is\n"
                .to_owned()
        });
    }
    let to = Home {
        store: store::find(args.store, global)?,
        catalog: catalog::find(args.catalog, global)?,
    };
    let order = Relocate { data_dir: args.data, from, to };
    if args.dry_run {
        let plan = seawall_server::plan_relocation(order).await;
        let plan = Plan::from(plan.map_err(|error| refused(&error))?);
        return answer(style, &plan, Plan::text);
    }
    let done = seawall_server::relocate(order, Arc::new(Shown(progress.clone()))).await;
    progress.finish();
    let report = Report::from(done.map_err(|error| refused(&error))?);
    answer(style, &report, Report::text)?;
    if report.damage.is_empty() {
        return Ok(());
    }
    let what = "the registry was moved, but some of its objects are damaged, as they were before";
    let remedy = "serve it, then restore lost data: `seawall repair --from URL|DIR`";
    Err(Failure::damaged(what, remedy))
}

//! `seawall gc`: deletes data that no release references.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use seawall::registry::{Registry, RegistryError};
use seawall_api::problem::Problem;
use seawall_api::units::HumanBytes;
use seawall_api::v1::{Collection, CollectionPhase, CollectionPlan, CollectionTotals};

use crate::command::Collect;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{answer, count, moment};

/// The pause between two polls of a collection.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn collect(context: &Context, collect: Collect) -> Result<(), Failure> {
    if collect.dry_run {
        let plan = context.registry.collection_plan(collect.order.live_percent_min).await?;
        return answer(context.style, &plan, plan_text);
    }
    let mut collection = context.registry.start_collection(collect.order).await?;
    // A registry in this process, and its collection, would end with the command.
    if collect.wait || is_hosted(context) {
        collection = finished(&context.registry).await?;
    }
    check(&collection)?;
    answer(context.style, &collection, collection_text)
}

/// Waits until the collection under way is over.
async fn finished(registry: &Arc<dyn Registry>) -> Result<Collection, Failure> {
    come_to(registry, &[CollectionPhase::Idle]).await
}

/// Returns the bytes freed by the collection under way; `None` if the collection waits for older
/// leases.
pub(in crate::commands) async fn freed(
    registry: &Arc<dyn Registry>,
) -> Result<Option<u64>, Failure> {
    let collection = come_to(registry, &[CollectionPhase::Idle, CollectionPhase::Waiting]).await?;
    check(&collection)?;
    let over = collection.last.filter(|last| last.waits_until_secs.is_none());
    Ok(over.map(|last| last.totals.freed_bytes))
}

/// Waits until the collection under way is in one of `phases`.
async fn come_to(
    registry: &Arc<dyn Registry>,
    phases: &[CollectionPhase],
) -> Result<Collection, Failure> {
    loop {
        let collection = registry.collection().await?;
        if phases.contains(&collection.phase) {
            return Ok(collection);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

fn is_hosted(context: &Context) -> bool {
    !context.address.contains("://")
}

/// Fails if the last collection failed. A collection under way counts as no failure.
fn check(collection: &Collection) -> Result<(), Failure> {
    if !is_over(collection) {
        return Ok(());
    }
    let Some(error) = collection.last.as_ref().and_then(|last| last.error.as_ref()) else {
        return Ok(());
    };
    let detail = format!("the registry could not collect: {}", error.detail);
    Err(RegistryError::from(Problem { detail, ..error.clone() }).into())
}

fn plan_text(plan: &CollectionPlan) -> String {
    let are = if plan.reachable_chunks == 1 { "is" } else { "are" };
    let chunks = count(plan.reachable_chunks, "chunk");
    format!("{chunks} {are} reachable\n{}", totals_text("would free", &plan.totals))
}

fn totals_text(verb: &str, totals: &CollectionTotals) -> String {
    let mut text = format!("{verb} {}", HumanBytes(totals.freed_bytes));
    // Writing to a `String` cannot fail.
    let (packs, others) = (count(totals.packs, "pack"), count(totals.objects, "other object"));
    let _ = write!(text, ": {packs} ({})", HumanBytes(totals.pack_bytes));
    let _ = write!(text, ", {others} ({})", HumanBytes(totals.object_bytes));
    if totals.repacked > 0 {
        let (new, len) = (count(totals.repacked, "new pack"), HumanBytes(totals.repacked_bytes));
        let _ = write!(text, "; wrote {new} ({len})");
    }
    text + "\n"
}

fn is_over(collection: &Collection) -> bool {
    matches!(collection.phase, CollectionPhase::Idle | CollectionPhase::Waiting)
}

fn collection_text(collection: &Collection) -> String {
    let Some(last) = collection.last.as_ref().filter(|_| is_over(collection)) else {
        return format!("the collection runs: {:?}\n", collection.phase).to_lowercase();
    };
    if !last.has_looked {
        return "nothing to collect: nothing was deleted, and no push failed\n".to_owned();
    }
    let mut text = totals_text("freed", &last.totals);
    if let Some(until) = last.waits_until_secs {
        let (older, until) = (count(last.waits_for_leases, "older lease"), moment(until));
        let _ = writeln!(text, "waits for {older} of pushes and pulls, until {until} at most");
    }
    text
}

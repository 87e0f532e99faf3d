//! The conformance of the audit log, webhooks and quotas.

use seawall_api::audit::{Action, CHAIN_BEGIN};
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::ApplicationName;

use super::super::check::Healing;
use super::super::collect::{Actor, Added, Grip, Stored};
use super::super::jobs::{ClaimJob, JobKind};
use super::super::*;
use super::{NOW, add_leaf, chunk, index_row, leaf_row, lease, pack, release};

fn shop() -> ApplicationName {
    "webshop".parse().unwrap()
}

async fn log_of(catalog: &Catalog) -> Vec<Logged> {
    catalog.audit(AuditQuery { limit: 1000, ..AuditQuery::default() }).await.unwrap()
}

fn actions(log: &[Logged]) -> Vec<Action> {
    log.iter().map(|logged| logged.entry.action).collect()
}

async fn push(catalog: &Catalog, version: &str, seed: u8) -> Publication {
    assert_eq!(add_leaf(catalog, leaf_row("leaf"), vec![]).await, []);
    catalog.add_index(index_row(), Grip::ANY).await.unwrap();
    let lease = lease(seed, NOW + 10);
    // A refused publication leaves the lease open.
    catalog.end_lease(lease.id).await.unwrap();
    catalog.open_lease(lease.clone(), NOW).await.unwrap();
    catalog.publish(release(version, &lease, index_row().digest)).await.unwrap()
}

async fn promote(catalog: &Catalog, expected: Expected, version: &str) -> Moved {
    let request = MoveRequest {
        application: shop(),
        channel: "stable".parse().unwrap(),
        expected,
        release: ReleaseDigest::of(version.as_bytes()),
        now_secs: NOW + 1,
        moved_by: "ops".to_owned(),
    };
    catalog.move_channel(request).await.unwrap()
}

pub(in crate::catalog) fn webhook(
    seed: u8,
    events: &[Action],
    application: Option<ApplicationName>,
) -> Webhook {
    Webhook {
        id: WebhookId::from_bytes([seed; 16]),
        url: format!("https://hooks.example/{seed}"),
        secret: WebhookSecret::new(vec![seed; 32]),
        events: events.to_vec(),
        application,
        created_at_secs: NOW,
        created_by: "ops".to_owned(),
    }
}

async fn acts_are_logged_exactly_if_they_happened(catalog: &Catalog) {
    assert_eq!(log_of(catalog).await, []);
    assert_eq!(push(catalog, "1.0", 1).await, Publication::Created);
    // One repetition and one refusal, which are not logged.
    assert_eq!(push(catalog, "1.0", 2).await, Publication::AlreadyPresent);
    assert!(matches!(promote(catalog, Expected::Sequence(9), "1.0").await, Moved::Stale(None)));
    assert!(matches!(promote(catalog, Expected::Absent, "1.0").await, Moved::Done(_)));
    assert_eq!(push(catalog, "2.0", 3).await, Publication::Created);
    assert!(matches!(promote(catalog, Expected::Sequence(1), "2.0").await, Moved::Done(_)));
    let damage = Entry::new(Action::Damage, "", NOW + 2).with("object", "packs/aa");
    let logged = catalog.log(damage).await.unwrap();

    let log = log_of(catalog).await;
    assert_eq!(log[0], logged);
    let order =
        [Action::Publish, Action::Promote, Action::Publish, Action::Promote, Action::Damage];
    assert_eq!(actions(&log), order.into_iter().rev().collect::<Vec<_>>());
    let first = &log[4].entry;
    assert_eq!((log[4].sequence, first.actor.as_str(), first.at_secs), (1, "ci", NOW));
    assert_eq!(first.release, Some(ReleaseDigest::of(b"1.0")));
    let last = &log[1].entry;
    assert_eq!((last.actor.as_str(), last.facts["channel"].as_str()), ("ops", "stable"));
    assert_eq!((&*last.facts["sequence"], &*last.facts["fromVersion"]), ("2", "1.0"));
    let mut before = (0, CHAIN_BEGIN);
    for logged in log.iter().rev() {
        assert_eq!(*logged, Logged::after(before, logged.entry.clone()), "each follows the other");
        before = (logged.sequence, logged.digest);
    }
}

async fn the_log_is_asked_by_what_it_says(catalog: &Catalog) {
    let ask = async |query: AuditQuery| -> Vec<u64> {
        catalog.audit(query).await.unwrap().iter().map(|logged| logged.sequence).collect()
    };
    let all = || AuditQuery { limit: 10, ..AuditQuery::default() };
    assert_eq!(ask(AuditQuery { limit: 2, ..all() }).await, [5, 4]);
    assert_eq!(ask(AuditQuery { after: Some(4), ..all() }).await, [3, 2, 1]);
    assert_eq!(ask(AuditQuery { action: Some(Action::Promote), ..all() }).await, [4, 2]);
    assert_eq!(ask(AuditQuery { actor: Some("ci".to_owned()), ..all() }).await, [3, 1]);
    assert_eq!(ask(AuditQuery { since_secs: Some(NOW + 1), ..all() }).await, [5, 4, 2]);
    assert_eq!(ask(AuditQuery { application: Some(shop()), ..all() }).await, [4, 3, 2, 1]);
    let narrow = AuditQuery {
        application: Some(shop()),
        action: Some(Action::Publish),
        actor: Some("ci".to_owned()),
        since_secs: Some(NOW),
        after: Some(3),
        limit: 10,
    };
    assert_eq!(ask(narrow).await, [1]);
}

async fn an_outbox_fills_with_the_acts_that_a_webhook_wants(catalog: &Catalog) {
    let all = webhook(1, &[Action::Publish, Action::Promote], None);
    let other = webhook(2, &[Action::Publish], Some("other".parse().unwrap()));
    assert_eq!(catalog.add_webhook(all.clone()).await.unwrap(), WebhookAdded::Done);
    assert_eq!(catalog.add_webhook(other.clone()).await.unwrap(), WebhookAdded::Done);
    assert_eq!(due(catalog, NOW + 99).await, [], "what was before is not told");
    push(catalog, "3.0", 4).await;
    promote(catalog, Expected::Sequence(2), "3.0").await;
    assert_eq!(due(catalog, NOW + 99).await, [all.id]);

    let next = async |now_secs| catalog.next_delivery(all.id, now_secs).await.unwrap();
    let first = next(NOW + 1).await.unwrap();
    assert_eq!((first.logged.entry.action, first.attempt_count), (Action::Publish, 0));
    assert_eq!(first.webhook, all);
    let settle = async |id, state, at_secs, next_at_secs, outcome: &str| {
        let outcome = outcome.to_owned();
        let settlement = Settlement { state, at_secs, next_at_secs, outcome };
        catalog.settle_delivery(all.id, id, settlement).await.unwrap();
    };
    settle(first.id, DeliveryState::Pending, NOW + 2, NOW + 5, "refused").await;
    let second = next(NOW + 2).await.unwrap();
    assert_eq!(second.logged.entry.action, Action::Promote, "the one that failed waits");
    settle(second.id, DeliveryState::Delivered, NOW + 2, 0, "HTTP status 204").await;
    assert_eq!(next(NOW + 4).await, None);
    let again = next(NOW + 5).await.unwrap();
    assert_eq!((again.id, again.attempt_count), (first.id, 1));
    settle(again.id, DeliveryState::GivenUp, NOW + 21, 0, &"é".repeat(600)).await;
    settle(again.id, DeliveryState::Delivered, NOW + 22, 0, "too late").await;

    let rows = catalog.deliveries(all.id, None, 10).await.unwrap().unwrap();
    let states: Vec<_> = rows.iter().map(|row| row.state).collect();
    assert_eq!(states, [DeliveryState::Delivered, DeliveryState::GivenUp]);
    assert_eq!((rows[1].attempt_count, rows[1].outcome.len()), (2, 500));
    let older = catalog.deliveries(all.id, Some(rows[0].id), 10).await.unwrap().unwrap();
    assert_eq!(older, rows[1..]);
    let status = catalog.webhooks().await.unwrap();
    assert_eq!(status.iter().map(|status| status.lost_count).collect::<Vec<_>>(), [1, 0]);
    assert!(status.iter().all(|status| status.pending_count == 0));

    assert!(catalog.remove_webhook(all.id, "ops".to_owned(), NOW).await.unwrap());
    assert!(!catalog.remove_webhook(all.id, "ops".to_owned(), NOW).await.unwrap());
    assert_eq!(catalog.deliveries(all.id, None, 10).await.unwrap(), None);
    let log = log_of(catalog).await;
    assert_eq!((log[0].entry.action, &*log[0].entry.facts["change"]), (Action::Webhook, "removed"));
    assert_eq!(log[0].entry.facts["host"], "hooks.example", "its path may be a secret");
}

/// Settling a delivery of a removed webhook affects no delivery of another webhook, even if the
/// engine reuses the number.
async fn a_removed_webhook_settles_nothing_of_another(catalog: &Catalog) {
    let [gone, stays] = [3, 4].map(|seed| webhook(seed, &[Action::Promote], None));
    catalog.add_webhook(gone.clone()).await.unwrap();
    promote(catalog, Expected::Sequence(3), "1.0").await;
    let under_way = catalog.next_delivery(gone.id, NOW + 1).await.unwrap().unwrap();
    let job = ClaimJob {
        name: JobKind::Deliver.of(gone.id.to_string()),
        runner: [1; 16],
        now_secs: NOW,
        patience_secs: 10,
        restart: false,
    };
    catalog.claim_job(job, |_| String::new()).await.unwrap().unwrap();
    let due = catalog.due_webhooks(NOW + 1).await.unwrap();
    assert!(due.iter().any(|(id, job)| *id == gone.id && job.is_some()));
    assert!(catalog.remove_webhook(gone.id, "ops".to_owned(), NOW).await.unwrap());
    assert_eq!(catalog.newest_job(JobKind::Deliver.of(gone.id.to_string())).await.unwrap(), None);
    catalog.add_webhook(stays.clone()).await.unwrap();
    promote(catalog, Expected::Sequence(4), "2.0").await;
    let waits = catalog.deliveries(stays.id, None, 10).await.unwrap().unwrap();
    let (state, at_secs) = (DeliveryState::Delivered, NOW + 1);
    let settlement = Settlement { state, at_secs, next_at_secs: 0, outcome: "204".to_owned() };
    catalog.settle_delivery(gone.id, under_way.id, settlement.clone()).await.unwrap();
    catalog.settle_delivery(gone.id, waits[0].id, settlement).await.unwrap();
    let still = catalog.deliveries(stays.id, None, 10).await.unwrap().unwrap();
    assert_eq!((still.len(), still[0].state), (1, DeliveryState::Pending));
    assert!(catalog.remove_webhook(stays.id, "ops".to_owned(), NOW).await.unwrap());
}

async fn webhooks_are_bounded(catalog: &Catalog) {
    let mut seed = 10;
    let limit = loop {
        match catalog.add_webhook(webhook(seed, &[Action::Delete], None)).await.unwrap() {
            WebhookAdded::Done => seed += 1,
            WebhookAdded::TooMany(limit) => break limit,
        }
    };
    assert_eq!(catalog.webhooks().await.unwrap().len(), limit as usize);
}

async fn a_quota_is_what_publishing_keeps_to(catalog: &Catalog) {
    let state = catalog.quota(shop()).await.unwrap();
    assert_eq!(state.quota, Quota::default());
    let usage = Usage { data_bytes: 15, release_count: 3 };
    assert_eq!(state.usage, usage);
    let set = async |data_bytes_max, release_count_max| {
        let quota = Quota { data_bytes_max, release_count_max };
        catalog.set_quota(shop(), quota, "ops".to_owned(), NOW).await.unwrap();
    };
    set(Some(19), None).await;
    let excess = Excess::DataBytes { would_be: 20, limit: 19 };
    assert_eq!(push(catalog, "4.0", 5).await, Publication::QuotaExceeded(excess));
    assert_eq!(push(catalog, "3.0", 6).await, Publication::AlreadyPresent);
    set(None, Some(3)).await;
    let excess = Excess::ReleaseCount { would_be: 4, limit: 3 };
    assert_eq!(push(catalog, "4.0", 5).await, Publication::QuotaExceeded(excess));
    assert_eq!(catalog.quota(shop()).await.unwrap().usage, usage, "nothing of it is visible");
    set(Some(20), Some(4)).await;
    assert_eq!(push(catalog, "4.0", 5).await, Publication::Created);
    let log = log_of(catalog).await;
    let entry = &log[1].entry;
    assert_eq!((entry.action, &*entry.facts["dataBytesMax"]), (Action::Quota, "20"));
}

async fn data_stored_under_a_lease_is_counted_once(catalog: &Catalog) {
    let lease = lease(7, NOW + 10);
    catalog.open_lease(lease.clone(), NOW).await.unwrap();
    let frames = pack(70, 700..703).frames;
    let load = async |frames: &Vec<Frame>| {
        let load = catalog.lease_load(lease.id, shop(), frames.clone()).await.unwrap();
        load.map(|load| (load.brought, load.brings))
    };
    assert_eq!(load(&frames).await, Some((0, 3 * 4096)));
    let keep = async |pack: NewPack, lease: LeaseId| {
        let actor = Some(Actor { lease: Some(lease), at_secs: NOW });
        let grip = Grip { actor, ..Grip::ANY };
        let stored = Stored { grip, healing: Healing::IfNoted, is_metered: true };
        assert_eq!(catalog.keep_pack(pack, stored).await.unwrap(), Added::Present);
    };
    // The second pack shares a chunk with the first, and the third pack is the first again.
    for pack in [pack(70, 700..703), pack(71, 702..704), pack(70, 700..703)] {
        keep(pack, lease.id).await;
    }
    assert!(catalog.missing_chunks(vec![chunk(700)], Grip::ANY).await.unwrap().is_empty());
    assert_eq!(load(&frames).await, Some((4 * 4096, 0)), "a chunk with a place is not new");
    let unlimited = "other".parse().unwrap();
    assert_eq!(catalog.lease_load(lease.id, unlimited, frames.clone()).await.unwrap(), None);
    // A note of another lease deletes the notes of leases that ended.
    catalog.end_lease(lease.id).await.unwrap();
    keep(pack(72, 720..721), LeaseId::from_bytes([8; 16])).await;
    assert_eq!(load(&frames).await, Some((0, 0)));
}

async fn due(catalog: &Catalog, now_secs: u64) -> Vec<WebhookId> {
    let due = catalog.due_webhooks(now_secs).await.unwrap();
    let mut due: Vec<_> = due.into_iter().map(|(id, _)| id).collect();
    due.sort();
    due
}

/// A webhook is due from the time of its oldest delivery that is not settled.
pub(super) async fn a_webhook_is_due_while_a_delivery_is(catalog: &Catalog) {
    let [one, two] = [1, 2].map(|seed| webhook(seed, &[Action::Damage], None));
    catalog.add_webhook(one.clone()).await.unwrap();
    catalog.add_webhook(two.clone()).await.unwrap();
    catalog.log(Entry::new(Action::Damage, "", NOW)).await.unwrap();
    assert_eq!(due(catalog, NOW - 1).await, []);
    assert_eq!(due(catalog, NOW).await, [one.id, two.id]);
    assert_eq!(catalog.next_delivery(one.id, NOW - 1).await.unwrap(), None);
    let next = catalog.next_delivery(one.id, NOW).await.unwrap().unwrap();
    let settle = async |state, next_at_secs| {
        let settlement = Settlement { state, at_secs: NOW, next_at_secs, outcome: String::new() };
        catalog.settle_delivery(one.id, next.id, settlement).await.unwrap();
    };
    settle(DeliveryState::Pending, NOW + 9).await;
    assert_eq!(due(catalog, NOW + 8).await, [two.id], "the next attempt is later");
    assert_eq!(due(catalog, NOW + 9).await, [one.id, two.id]);
    settle(DeliveryState::Delivered, 0).await;
    assert_eq!(due(catalog, NOW + 99).await, [two.id], "it is settled");
}

/// Runs all tests that need no tools of the engine.
pub(super) async fn all(catalog: &Catalog) {
    acts_are_logged_exactly_if_they_happened(catalog).await;
    the_log_is_asked_by_what_it_says(catalog).await;
    an_outbox_fills_with_the_acts_that_a_webhook_wants(catalog).await;
    a_quota_is_what_publishing_keeps_to(catalog).await;
    data_stored_under_a_lease_is_counted_once(catalog).await;
    a_removed_webhook_settles_nothing_of_another(catalog).await;
    webhooks_are_bounded(catalog).await;
}

/// Each webhook keeps its newest thousand deliveries, even if other webhooks take numbers in
/// between.
pub(super) async fn webhooks_that_take_turns_remember_equally(catalog: &Catalog) {
    const ROUNDS: u64 = 1070;
    let both = [1, 2].map(|seed| webhook(seed, &[Action::Damage], None));
    for webhook in &both {
        catalog.add_webhook(webhook.clone()).await.unwrap();
    }
    for round in 0..ROUNDS {
        catalog.log(Entry::new(Action::Damage, "", NOW).with("object", round)).await.unwrap();
        for webhook in &both {
            let sent = catalog.next_delivery(webhook.id, NOW).await.unwrap().unwrap();
            let (state, outcome) = (DeliveryState::Delivered, String::new());
            let settlement = Settlement { state, at_secs: NOW, next_at_secs: 0, outcome };
            catalog.settle_delivery(webhook.id, sent.id, settlement).await.unwrap();
        }
    }
    for webhook in &both {
        let rows = catalog.deliveries(webhook.id, None, u32::MAX).await.unwrap().unwrap();
        assert_eq!(rows.len(), 1000);
        assert_eq!(rows[0].logged.entry.facts["object"], (ROUNDS - 1).to_string());
    }
}

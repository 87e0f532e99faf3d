//! The conformance tests of every catalog.

// Tests; the lints exempt only functions that bear `#[test]`.
#![allow(clippy::unwrap_used)]

use seawall_api::audit::Action;
use seawall_api::digest::{
    ChunkDigest, ContentDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest,
};
use seawall_api::index::ChunkRef;
use seawall_api::reference::Selector;
use seawall_api::units::{ChunkLen, DiskLen};

use super::collect::{Actor, Grip};
use super::*;

mod access;
pub(super) mod audit;
mod check;
mod collecting;
mod condemn;
mod deletion;
mod jobs;
mod mirrors;
mod relocation;
mod retention;
mod rows;
#[cfg(test)]
mod statements;
mod sweep;
#[cfg(test)]
mod tests;
mod uploads;

const NOW: u64 = 1_800_000_000;

fn chunk(seed: u32) -> ChunkDigest {
    ChunkDigest::of(&seed.to_le_bytes())
}

fn pack(seed: u32, chunks: impl Iterator<Item = u32>) -> NewPack {
    let plain_len = ChunkLen::new(4096).unwrap();
    let frames = chunks.map(|n| Frame {
        digest: chunk(n),
        offset: 16 + u64::from(n) * 100,
        stored_len: 100,
        plain_len,
        encoding: 1,
    });
    NewPack { digest: PackDigest::of(&seed.to_le_bytes()), len: 1000, frames: frames.collect() }
}

fn lease(seed: u8, deadline_secs: u64) -> NewLease {
    let application = "webshop".parse().unwrap();
    let id = LeaseId::from_bytes([seed; 16]);
    NewLease { id, application, purpose: Purpose::Push, deadline_secs, opened_by: "ci".to_owned() }
}

fn release(version: &str, lease: &NewLease, index: IndexDigest) -> NewRelease {
    NewRelease {
        release: Release {
            application: lease.application.clone(),
            version: version.parse().unwrap(),
            digest: ReleaseDigest::of(version.as_bytes()),
            machines: vec!["db".parse().unwrap(), "web".parse().unwrap()],
            published_at_secs: NOW,
            published_by: "ci".to_owned(),
            disk_bytes: 1 << 40,
            data_bytes: 5,
        },
        indexes: vec![index],
        descriptors: vec![],
        lease: lease.id,
        now_secs: NOW,
        sweeps: None,
    }
}

fn index_row() -> IndexRow {
    IndexRow {
        digest: IndexDigest::of(b"index"),
        disk_len: DiskLen::new(8192).unwrap(),
        content: ContentDigest::of(b"content"),
        data_bytes: 4096,
    }
}

async fn leases_live_until_their_deadline(catalog: &Catalog) {
    let lease = lease(1, NOW + 10);
    catalog.open_lease(lease.clone(), NOW).await.unwrap();
    let found = catalog.lease(lease.id, NOW + 9).await.unwrap().unwrap();
    assert_eq!(found.deadline_secs, lease.deadline_secs);
    assert_eq!((found.application, found.purpose), (lease.application.clone(), Purpose::Push));
    let actor = Some(Actor { lease: Some(lease.id), at_secs: NOW + 9 });
    assert_eq!(found.grip, Grip { generation: 0, sweeps: Some(0), actor });
    assert!(!found.has_kept);
    catalog.record_kept(lease.id).await.unwrap();
    assert!(catalog.lease(lease.id, NOW + 9).await.unwrap().unwrap().has_kept);
    assert_eq!(catalog.lease(lease.id, NOW + 10).await.unwrap(), None);
    assert!(catalog.renew_lease(lease.id, NOW + 9, NOW + 20).await.unwrap());
    assert!(catalog.lease(lease.id, NOW + 19).await.unwrap().is_some());
    assert!(!catalog.renew_lease(lease.id, NOW + 20, NOW + 30).await.unwrap(), "it had ended");
    catalog.end_lease(lease.id).await.unwrap();
    catalog.end_lease(lease.id).await.unwrap();
    assert_eq!(catalog.lease(lease.id, NOW).await.unwrap(), None);
}

async fn chunks_keep_their_first_place(catalog: &Catalog) {
    for _ in 0..2 {
        catalog.add_pack(pack(1, 0..3), Grip::ANY).await.unwrap();
        catalog.add_pack(pack(2, 2..5), Grip::ANY).await.unwrap();
    }
    assert_eq!(catalog.pack_len(pack(2, 0..0).digest).await.unwrap(), Some(1000));
    assert_eq!(catalog.pack_len(PackDigest::of(b"none")).await.unwrap(), None);
    let asked = [9, 4, 8, 2, 0, 9].map(chunk).to_vec();
    assert_eq!(catalog.missing_chunks(asked.clone(), Grip::NEWEST).await.unwrap(), [0, 2, 5]);
    let located = catalog.locate_chunks(asked).await.unwrap();
    assert_eq!(located, Located::Missing(chunk(9)), "the first that is missing");
    let asked = [4, 2, 0, 4].map(chunk).to_vec();
    let Located::All { packs, places } = catalog.locate_chunks(asked.clone()).await.unwrap() else {
        panic!("all of them are there")
    };
    assert_eq!(packs, [pack(2, 0..0).digest, pack(1, 0..0).digest]);
    assert_eq!(places.iter().map(|place| place.pack).collect::<Vec<_>>(), [0, 1, 1, 0]);
    assert_eq!(places.iter().map(|place| place.frame.digest).collect::<Vec<_>>(), asked);
    assert_eq!(places[1].frame, pack(1, 2..3).frames[0]);
}

fn sized(n: u32, len: u64) -> ChunkRef {
    ChunkRef { digest: chunk(n), len: ChunkLen::new(len).unwrap() }
}

fn leaf_row(name: &str) -> LeafRow {
    LeafRow { digest: LeafDigest::of(name.as_bytes()), span_len: 8192, data_bytes: 4096 }
}

/// Adds a leaf and returns its unfit chunks.
async fn add_leaf(catalog: &Catalog, leaf: LeafRow, chunks: Vec<ChunkRef>) -> Vec<ChunkRef> {
    match catalog.add_leaf(leaf, chunks, Grip::NEWEST).await.unwrap() {
        LeafAdded::Present => vec![],
        LeafAdded::Unfit(chunks) => chunks,
        LeafAdded::Swept => panic!("nothing is swept here"),
    }
}

async fn a_leaf_needs_every_chunk(catalog: &Catalog) {
    let leaf = leaf_row("incomplete");
    let asked = vec![sized(0, 4096), sized(1, 4095), sized(9, 4096)];
    let mut unfit = add_leaf(catalog, leaf, asked.clone()).await;
    unfit.sort_by_key(|chunk| chunk.digest);
    let mut want = asked[1..].to_vec();
    want.sort_by_key(|chunk| chunk.digest);
    assert_eq!(unfit, want);
    assert_eq!(catalog.leaves(vec![leaf.digest], Grip::NEWEST).await.unwrap(), [None]);
}

async fn chunks_of_a_lost_pack_are_missing_until_they_are_stored_again(catalog: &Catalog) {
    let (lost, other) = (pack(30, 300..303), pack(31, 303..305));
    let (torn, whole) = (leaf_row("torn"), leaf_row("whole"));
    catalog.add_pack(lost.clone(), Grip::ANY).await.unwrap();
    catalog.add_pack(other.clone(), Grip::ANY).await.unwrap();
    let both = vec![sized(300, 4096), sized(304, 4096)];
    assert_eq!(add_leaf(catalog, torn, both.clone()).await, []);
    assert_eq!(add_leaf(catalog, whole, vec![sized(303, 4096)]).await, []);
    let packs = catalog.packs_of(vec![torn.digest, whole.digest]).await.unwrap();
    assert_eq!(packs, [(lost.digest, 1000), (other.digest, 1000)], "each once");

    catalog.mark_pack_lost(lost.digest).await.unwrap();
    catalog.mark_pack_lost(lost.digest).await.unwrap();
    catalog.mark_pack_lost(PackDigest::of(b"none")).await.unwrap();
    let asked: Vec<_> = (300..305).map(chunk).collect();
    assert_eq!(catalog.missing_chunks(asked.clone(), Grip::NEWEST).await.unwrap(), [0, 1, 2]);
    let rows = catalog.leaves(vec![torn.digest, whole.digest], Grip::NEWEST).await.unwrap();
    assert_eq!(rows, [None, Some(whole)]);
    assert_eq!(add_leaf(catalog, torn, both.clone()).await, both[..1]);
    assert!(matches!(catalog.locate_chunks(asked.clone()).await.unwrap(), Located::All { .. }));

    // Some chunks come in another pack, the rest in the pack that was lost.
    let again = pack(32, 300..302);
    catalog.add_pack(again.clone(), Grip::ANY).await.unwrap();
    assert_eq!(catalog.missing_chunks(asked.clone(), Grip::NEWEST).await.unwrap(), [2]);
    assert_eq!(
        catalog.leaves(vec![torn.digest], Grip::NEWEST).await.unwrap(),
        [None],
        "it was not sent again"
    );
    assert_eq!(add_leaf(catalog, torn, both).await, []);
    assert_eq!(catalog.leaves(vec![torn.digest], Grip::NEWEST).await.unwrap(), [Some(torn)]);
    let packs = catalog.packs_of(vec![torn.digest]).await.unwrap();
    assert_eq!(packs, [(other.digest, 1000), (again.digest, 1000)]);
    catalog.add_pack(lost, Grip::ANY).await.unwrap();
    assert_eq!(catalog.missing_chunks(asked, Grip::NEWEST).await.unwrap(), [0; 0]);

    catalog.delete_leaf_row(torn.digest).await.unwrap();
    assert_eq!(catalog.leaves(vec![torn.digest], Grip::NEWEST).await.unwrap(), [None]);
    assert_eq!(catalog.packs_of(vec![torn.digest]).await.unwrap(), []);
}

async fn leaves_and_indexes_read_back(catalog: &Catalog) {
    let leaf = leaf_row("leaf");
    let none = LeafDigest::of(b"none");
    for _ in 0..2 {
        assert_eq!(add_leaf(catalog, leaf, vec![]).await, []);
        catalog.add_index(index_row(), Grip::ANY).await.unwrap();
    }
    let rows = catalog.leaves(vec![none, leaf.digest, none], Grip::NEWEST).await.unwrap();
    assert_eq!(rows, [None, Some(leaf), None]);
    assert_eq!(catalog.index(index_row().digest, Grip::NEWEST).await.unwrap(), Some(index_row()));
    assert_eq!(catalog.index(IndexDigest::of(b"none"), Grip::NEWEST).await.unwrap(), None);
}

async fn publishing_is_all_or_nothing(catalog: &Catalog) {
    let (one, two) = (lease(2, NOW + 10), lease(3, NOW));
    let index = index_row().digest;
    catalog.open_lease(one.clone(), NOW).await.unwrap();
    let gone = IndexDigest::of(b"none");
    let outcome = catalog.publish(release("1.0", &one, gone)).await.unwrap();
    assert_eq!(outcome, Publication::IndexMissing(gone));
    let outcome = catalog.publish(release("1.0", &two, index)).await.unwrap();
    assert_eq!(outcome, Publication::LeaseEnded);
    assert_eq!(catalog.application(one.application.clone()).await.unwrap(), None);
    let new = release("1.0", &one, index);
    let late = NewRelease { now_secs: NOW + 10, ..new.clone() };
    assert_eq!(catalog.publish(late).await.unwrap(), Publication::LeaseEnded);
    assert_eq!(catalog.publish(new.clone()).await.unwrap(), Publication::Created);
    assert_eq!(catalog.lease(one.id, NOW).await.unwrap(), None, "its lease ended with it");
    assert_eq!(catalog.publish(new.clone()).await.unwrap(), Publication::AlreadyPresent);
    let mut other = new.clone();
    other.release.digest = ReleaseDigest::of(b"other");
    let taken = Publication::VersionTaken(new.release.digest);
    assert_eq!(catalog.publish(other).await.unwrap(), taken);

    let third = lease(4, NOW + 10);
    catalog.open_lease(third.clone(), NOW).await.unwrap();
    catalog.publish(release("2.0", &third, index)).await.unwrap();
    let name = new.release.application.clone();
    let list = catalog.releases(name.clone(), None, 10).await.unwrap();
    let versions: Vec<_> = list.iter().map(|release| release.version.as_str()).collect();
    assert_eq!(versions, ["2.0", "1.0"]);
    assert_eq!(list[1], new.release);
    let after = Some(list[0].version.clone());
    assert_eq!(catalog.releases(name.clone(), after, 10).await.unwrap(), list[1..]);
    let application = catalog.application(name.clone()).await.unwrap().unwrap();
    assert_eq!((application.release_count, application.newest), (2, Some(list[0].version.clone())));
    for selector in ["1.0".to_owned(), new.release.digest.to_string()] {
        let found = catalog.resolve(name.clone(), selector.parse().unwrap()).await.unwrap();
        assert_eq!(found, Some(new.release.digest));
        let foreign = "other".parse().unwrap();
        assert_eq!(catalog.resolve(foreign, selector.parse().unwrap()).await.unwrap(), None);
    }
}

async fn channels_move_by_compare_and_set(catalog: &Catalog) {
    let application: seawall_api::names::ApplicationName = "webshop".parse().unwrap();
    let request = |expected, version: &str| MoveRequest {
        application: application.clone(),
        channel: "stable".parse().unwrap(),
        expected,
        release: ReleaseDigest::of(version.as_bytes()),
        now_secs: NOW,
        moved_by: "ci".to_owned(),
    };
    let go =
        async |expected, version| catalog.move_channel(request(expected, version)).await.unwrap();
    assert_eq!(go(Expected::Sequence(1), "1.0").await, Moved::Stale(None));
    assert_eq!(go(Expected::Absent, "none").await, Moved::NoSuchRelease);
    assert!(matches!(go(Expected::Absent, "1.0").await, Moved::Done(_)));
    assert_eq!(go(Expected::Absent, "2.0").await, Moved::Stale(Some(1)));
    let Moved::Done(channel) = go(Expected::Sequence(1), "2.0").await else { panic!() };
    assert_eq!((channel.sequence, channel.version.as_str()), (2, "2.0"));
    assert_eq!(go(Expected::Sequence(1), "1.0").await, Moved::Stale(Some(2)));
    let name = channel.name.clone();
    let found = catalog.channel(application.clone(), name.clone()).await.unwrap();
    assert_eq!(found.as_ref(), Some(&channel));
    assert_eq!(
        catalog.channels(application.clone()).await.unwrap(),
        std::slice::from_ref(&channel)
    );
    let moves = catalog.channel_moves(application.clone(), name.clone(), 10).await.unwrap();
    let moves: Vec<_> = moves.iter().map(|m| (m.sequence, m.version.as_str())).collect();
    assert_eq!(moves, [(2, "2.0"), (1, "1.0")]);
    assert_eq!(catalog.channel_moves(application.clone(), name.clone(), 1).await.unwrap().len(), 1);
    let selector = Selector::Channel(name);
    assert_eq!(catalog.resolve(application, selector).await.unwrap(), Some(channel.release));
}

async fn lost_releases_and_channels_are_restored(catalog: &Catalog) {
    let foreign = lease(5, NOW);
    let none = IndexDigest::of(b"none");
    let mut past = release("7.0", &foreign, none).release;
    past.application = "restored".parse().unwrap();
    past.machines = vec![];
    let indexes = vec![none, index_row().digest];
    assert!(catalog.restore_release(past.clone(), indexes.clone()).await.unwrap());
    assert!(!catalog.restore_release(past.clone(), indexes).await.unwrap(), "it is there");
    let name = past.application.clone();
    let found = catalog.release(name.clone(), past.digest).await.unwrap();
    assert_eq!(found, Some(past.clone()), "without machines, too");
    let other = "webshop".parse().unwrap();
    assert_eq!(catalog.release(other, past.digest).await.unwrap(), None);
    let change = |sequence, moved_by: &str| ChannelMove {
        sequence,
        release: past.digest,
        version: past.version.clone(),
        moved_at_secs: NOW + sequence,
        moved_by: moved_by.to_owned(),
    };
    let moves = vec![change(1, "a"), change(3, "b")];
    let channel: seawall_api::names::ChannelName = "stable".parse().unwrap();
    let (application, name) = (name, channel.clone());
    let restored = PastChannel { application: application.clone(), name, moves, sequence: 4 };
    catalog.restore_channel(restored).await.unwrap();
    let found = catalog.channel(application.clone(), channel.clone()).await.unwrap().unwrap();
    assert_eq!((found.sequence, found.release, found.moved_at_secs), (4, past.digest, NOW + 3));
    let moves = catalog.channel_moves(application, channel, 10).await.unwrap();
    assert_eq!(moves, [change(3, "b"), change(1, "a")]);
}

async fn a_copy_is_a_catalog_of_its_own(catalog: &Catalog) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.sqlite");
    let mut made = (catalog.copy().unwrap().make)().unwrap();
    std::io::copy(&mut made, &mut std::fs::File::create(&path).unwrap()).unwrap();
    let copy = crate::catalog::sqlite::open(&path).unwrap();
    let all = catalog.applications(None, 100).await.unwrap();
    assert_eq!(copy.applications(None, 100).await.unwrap(), all);
}

async fn all(catalog: &Catalog) {
    catalog.probe().await.unwrap();
    leases_live_until_their_deadline(catalog).await;
    chunks_keep_their_first_place(catalog).await;
    a_leaf_needs_every_chunk(catalog).await;
    chunks_of_a_lost_pack_are_missing_until_they_are_stored_again(catalog).await;
    leaves_and_indexes_read_back(catalog).await;
    publishing_is_all_or_nothing(catalog).await;
    channels_move_by_compare_and_set(catalog).await;
    lost_releases_and_channels_are_restored(catalog).await;
    check::a_release_is_damaged_until_what_it_lacks_is_there_again(catalog).await;
    check::rows_are_listed_and_corrected(catalog).await;
    a_copy_is_a_catalog_of_its_own(catalog).await;
}

/// Passes the tests that need a new catalog each to the macro `$each`, by module.
macro_rules! on_new_catalogs {
    ($each:ident) => {
        $each! {
            collecting: the_right_to_sweep_is_exclusive_until_it_is_dropped
                each_counter_counts_its_own_events
                every_publication_is_counted
                events_that_leave_unreachable_objects_count_as_litter
                ended_leases_are_deleted_and_leave_litter
                the_roots_are_the_visible_releases
                all_packs_are_listed_with_their_state
                places_come_in_pages_by_digest
                leaves_are_found_by_their_packs
                a_repack_moves_only_chunks_that_lie_in_its_sources
                a_repack_heals_and_pardons_its_pack
                a_repack_is_refused_once_its_pack_may_be_gone;
            condemn: each_condemnation_is_a_new_generation
                a_pack_without_a_row_can_be_condemned
                condemning_again_keeps_the_first_generation
                a_grip_sees_what_was_condemned_after_it
                a_release_relies_on_what_its_lease_relies_on
                publishing_pardons_the_release_document
                an_object_stored_again_is_pardoned
                a_chunk_leaves_a_condemned_pack_for_one_that_is_added
                a_pardon_counts_as_litter
                a_sweep_waits_for_older_leases
                nothing_is_added_once_the_sweep_counter_moved;
            sweep: a_sweep_takes_what_is_condemned_and_old_enough
                a_pack_that_a_live_leaf_needs_is_not_swept
                leaves_lose_their_rows_with_their_packs
                objects_lose_their_rows_when_they_are_chosen
                nobody_relies_on_what_is_being_swept
                places_in_swept_packs_are_forgotten_page_by_page
                a_cursor_spares_the_places_before_it
                the_end_of_a_sweep_deletes_the_rows_of_what_is_gone
                a_collection_ends_with_the_litter_it_began_with;
            deletion: a_held_release_is_not_deleted
                each_holder_alone_holds_a_release
                a_deletion_leaves_a_tombstone
                pins_end_with_their_release
                tombstones_come_in_pages_in_order_of_publication;
            relocation: a_closed_catalog_is_read_and_takes_no_writes
                jobs_end_with_the_catalog_that_is_closed
                a_catalog_that_was_left_stays_closed
                a_process_of_an_earlier_epoch_writes_no_more
                moved_rows_are_the_same_rows;
            rows: the_catalog_knows_what_a_release_needs
                only_indexes_with_a_row_are_linked
                publishing_again_completes_a_restored_release
                a_lease_publishes_for_its_application_only
                a_lost_pack_leaf_or_noted_object_damages_its_releases
                a_frame_is_misplaced_if_any_field_differs
                a_pack_is_corrected_unless_it_is_condemned
                rows_come_in_pages
                a_registry_is_given_one_identity
                a_catalog_that_can_be_written_has_no_barrier;
            jobs: a_job_has_one_runner_at_a_time
                a_job_resumes_until_it_is_complete
                a_stopped_job_is_free
                a_request_makes_a_job_go_on
                a_request_outlives_its_runner
                each_subject_has_a_job_of_its_own
                a_check_saves_its_findings_with_its_progress
                the_gravest_finding_of_an_object_stays;
            audit: a_webhook_is_due_while_a_delivery_is
                webhooks_that_take_turns_remember_equally;
            mirrors: a_mirror_lives_with_its_jobs
                requests_of_a_mirror_are_counted;
            access: a_token_is_found_by_its_digest
                a_revoked_token_keeps_its_name
                counts_of_requests_add_up_until_they_are_old;
        }
    };
}
#[cfg(test)]
use on_new_catalogs;

/// Runs the suite on catalogs that `new` makes.
///
/// # Panics
/// If a catalog breaks the contract.
pub async fn run(mut new: impl FnMut() -> Catalog) {
    Box::pin(all(&new())).await;
    Box::pin(retention::all(&new())).await;
    Box::pin(audit::all(&new())).await;
    Box::pin(uploads::all(&new())).await;
    macro_rules! run {
        ($($module:ident: $($test:ident)+;)+) => {
            $($(
                println!("{}", stringify!($test));
                Box::pin($module::$test(&new())).await;
            )+)+
        };
    }
    on_new_catalogs!(run);
}

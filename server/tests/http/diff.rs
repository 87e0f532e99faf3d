//! The differences between two releases.

use seawall_api::problem::Code;
use seawall_api::v1;

use crate::fixture::{TinyDisk, TinyRelease, machine};
use crate::world::{World, assert_problem};

const CHUNK: u64 = 4096;

async fn diff(world: &World, from: &str, to: &str) -> v1::ReleaseDiff {
    let answer = world.get(&format!("/v1/diff?from={from}&to={to}")).await;
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_diff_says_what_differs_and_what_it_costs() {
    let world = World::open().await;
    world.push(&TinyRelease::new("webshop", "1.0", "abcd", "ee..")).await;
    let next = TinyRelease::edited("webshop", "1.1", ["abxd", "ee..fa"], |document| {
        document.machines[1].cpus = 4;
        document.annotations.insert("owner".to_owned(), "shop".to_owned());
    });
    world.push(&next).await;
    let diff = diff(&world, "webshop:1.0", "webshop:1.1").await;

    let fields: Vec<_> = diff.fields.iter().map(|f| (f.field.as_str(), f.to.as_deref())).collect();
    assert_eq!(fields, [("annotations/owner", Some("\"shop\"")), ("version", Some("\"1.1\""))]);
    assert_eq!(diff.machines.len(), 2);
    let (db, web) = (&diff.machines[0], &diff.machines[1]);
    assert!(db.fields.is_empty());
    let disk = &db.disks[0];
    assert_eq!((disk.changed_extents, disk.changed_bytes), (1, CHUNK));
    assert_eq!(disk.new_plain_bytes, CHUNK);
    assert_eq!(web.fields[0].field, "cpus");
    let disk = &web.disks[0];
    assert_eq!((disk.changed_extents, disk.changed_bytes), (1, 2 * CHUNK));
    assert_eq!(disk.new_plain_bytes, CHUNK, "f is new, a is in the other machine");
    assert_eq!(disk.fields[0].field, "len");
    assert_eq!((diff.download_chunks, diff.new_plain_bytes), (2, 2 * CHUNK));
    assert_eq!(diff.download_bytes, 2 * CHUNK, "noise is stored raw");
    assert_eq!(diff.reused_plain_bytes, 6 * CHUNK, "a b d, e e, a");
}

#[tokio::test]
async fn a_release_does_not_differ_from_itself() {
    let world = World::open().await;
    let tiny = TinyRelease::new("team/webshop", "1.0", "abcd", "ee..");
    world.push(&tiny).await;
    let by_digest = format!("team/webshop@{}", tiny.release.digest());
    let diff = diff(&world, "team/webshop:1.0", &by_digest).await;
    assert!(diff.fields.is_empty() && diff.machines.is_empty());
    assert_eq!((diff.download_chunks, diff.download_bytes, diff.new_plain_bytes), (0, 0, 0));
    assert_eq!(diff.reused_plain_bytes, 6 * CHUNK);
    let path = "/v1/diff?from=team/webshop:1.0&to=team/webshop:9";
    assert_problem(world.get(path).await, Code::NotFound).await;
}

#[tokio::test]
async fn machines_and_disks_come_and_go() {
    let world = World::open().await;
    world.push(&TinyRelease::new("webshop", "1.0", "ab", "c.d")).await;
    let extra = TinyDisk::new("g.g");
    let lease = world.lease("webshop").await;
    world.upload(&lease, &extra).await;
    let next = TinyRelease::edited("webshop", "2.0", ["ab", "c.d"], |document| {
        document.machines.remove(0);
        document.machines[0].disks.push(extra.disk("data"));
        document.machines.push(machine("zoo", vec![extra.disk("root")]));
    });
    world.push(&next).await;
    let diff = diff(&world, "webshop:1.0", "webshop:2.0").await;
    let presences: Vec<_> =
        diff.machines.iter().map(|m| (m.machine.as_str(), m.presence)).collect();
    assert_eq!(
        presences,
        [
            ("db", v1::Presence::Removed),
            ("web", v1::Presence::Changed),
            ("zoo", v1::Presence::Added)
        ]
    );
    let data = &diff.machines[1].disks[0];
    assert_eq!((data.disk.as_str(), data.presence), ("data", v1::Presence::Added));
    assert_eq!(
        (data.changed_extents, data.changed_bytes),
        (2, 2 * CHUNK),
        "its hole is not a change"
    );
    assert_eq!(data.new_plain_bytes, CHUNK, "g is counted once");
    assert_eq!((diff.download_chunks, diff.new_plain_bytes), (1, CHUNK));
    let removed = &diff.machines[0].disks[0];
    assert_eq!((removed.presence, removed.to), (v1::Presence::Removed, None));
}

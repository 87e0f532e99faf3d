//! The conformance tests, run against SQLite, and tests of SQLite alone.

use super::*;
use crate::catalog::sqlite as engine;

macro_rules! run {
    ($($module:ident: $($test:ident)+;)+) => {
        $($({
            println!("{}", stringify!($test));
            let dir = tempfile::tempdir().unwrap();
            let catalog = engine::open_unsynced(&dir.path().join("catalog.sqlite")).unwrap();
            Box::pin($module::$test(&catalog)).await;
        })+)+
    };
}

#[tokio::test]
async fn sqlite_keeps_the_contract_from_a_new_catalog_on() {
    on_new_catalogs!(run);
}

#[tokio::test]
async fn sqlite_is_a_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.sqlite");
    all(&engine::open(&path).unwrap()).await;
    uploads::all(&engine::open_unsynced(&dir.path().join("uploads.sqlite")).unwrap()).await;
    let reopened = engine::open(&path).unwrap();
    let applications = reopened.applications(None, 10).await.unwrap();
    assert_eq!(applications.len(), 2, "it is durable");
}

#[tokio::test]
async fn sqlite_knows_what_runs_where() {
    let dir = tempfile::tempdir().unwrap();
    retention::all(&engine::open(&dir.path().join("catalog.sqlite")).unwrap()).await;
}

#[test]
fn of_processes_that_open_a_new_catalog_at_once_all_succeed() {
    for _ in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.sqlite");
        std::thread::scope(|scope| {
            let open = || engine::open(&path).map(|_| ()).unwrap();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }
}

#[tokio::test]
async fn a_catalog_of_a_later_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.sqlite");
    drop(engine::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = engine::open(&path).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("version 99"), "{cause}");
}

/// Measures queries for 65,536 chunks among a million. Run with `--release -- --ignored
/// --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn how_fast_chunks_are_looked_up() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = engine::open(&dir.path().join("catalog.sqlite")).unwrap();
    for n in 0..2000_u32 {
        catalog.add_pack(pack(n, n * 500..(n + 1) * 500), Grip::ANY).await.unwrap();
    }
    for round in 0..9_u32 {
        let asked: Vec<_> = (0..65_536).map(|n| chunk(n * 15 + round)).collect();
        let began = std::time::Instant::now();
        let missing = catalog.missing_chunks(asked.clone(), Grip::NEWEST).await.unwrap().len();
        let looked_up = began.elapsed();
        let began = std::time::Instant::now();
        let located = catalog.locate_chunks(asked).await.unwrap();
        assert!(matches!(located, Located::All { .. }) && missing == 0);
        println!("missing {looked_up:?}, locate {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn sqlite_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.sqlite");
    audit::all(&engine::open(&path).unwrap()).await;
    // The triggers also stop other programs that write to the file.
    let other = rusqlite::Connection::open(&path).unwrap();
    for sql in [
        "UPDATE audit SET actor = 'me'",
        "DELETE FROM audit WHERE sequence = 5",
        // REPLACE in another program deletes the row without firing the trigger against deletion.
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE sequence = 5",
        "REPLACE INTO audit SELECT * FROM audit WHERE sequence = 5",
        // By the row id.
        "INSERT OR REPLACE INTO audit (rowid, sequence, at_secs, actor, action, facts, digest)
         SELECT rowid, 1000, at_secs, actor, action, facts, digest FROM audit WHERE sequence = 5",
    ] {
        let error = other.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("the audit log only grows"), "{error}");
    }
}

/// A token's leases are bounded, and no pull lease holds up collections for ever.
#[tokio::test]
async fn leases_are_counted_by_token_and_those_to_pull_grow_old() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.sqlite");
    let catalog = engine::open_unsynced(&path).unwrap();
    let fill = |token: &str, count: u32| {
        let other = rusqlite::Connection::open(&path).unwrap();
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                   INSERT INTO leases (id, application, deadline_secs, opened_by)
                   SELECT randomblob(16), 'webshop', $2, $3 FROM n";
        other.execute(sql, rusqlite::params![count, NOW as i64 + 10, token]).unwrap();
    };
    let by = |id: u8, token: &str| NewLease {
        opened_by: token.to_owned(),
        purpose: Purpose::Pull,
        ..lease(id, NOW + 10)
    };
    fill("rack1", LEASES_PER_TOKEN_MAX);
    let opened = catalog.open_lease(by(1, "rack1"), NOW).await.unwrap();
    assert_eq!(opened, LeaseOpened::TooManyOfToken);
    assert_eq!(catalog.open_lease(by(2, "rack2"), NOW).await.unwrap(), LeaseOpened::Done);
    fill("", LEASES_PER_TOKEN_MAX);
    let opened = catalog.open_lease(by(3, ""), NOW).await.unwrap();
    assert_eq!(opened, LeaseOpened::Done, "without tokens only the whole is bounded");
    fill("rack3", LEASES_MAX);
    assert_eq!(catalog.open_lease(by(4, "rack4"), NOW).await.unwrap(), LeaseOpened::TooMany);
    let later = NOW + 11;
    assert_eq!(catalog.open_lease(by(5, "rack1"), later).await.unwrap(), LeaseOpened::Done);

    let old = NewLease { deadline_secs: later + 2 * PULL_LEASE_AGE_MAX_SECS, ..by(6, "rack1") };
    catalog.open_lease(old.clone(), later).await.unwrap();
    let at = later + PULL_LEASE_AGE_MAX_SECS - 1;
    assert!(catalog.renew_lease(old.id, at, at + 3 * PULL_LEASE_AGE_MAX_SECS).await.unwrap());
    assert!(!catalog.renew_lease(old.id, at + 1, at + 100).await.unwrap(), "it is a day old");
}

/// A webhook that fails for a long time takes a bounded part of the catalog.
#[tokio::test]
async fn past_its_queue_a_webhook_loses_what_comes_and_is_said_to() {
    const QUEUE: u32 = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.sqlite");
    let catalog = engine::open(&path).unwrap();
    catalog.add_webhook(audit::webhook(1, &[Action::Damage], None)).await.unwrap();
    let log = async || catalog.log(Entry::new(Action::Damage, "", NOW)).await.unwrap();
    log().await;
    let other = rusqlite::Connection::open(&path).unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                INSERT INTO deliveries SELECT i, webhook_id, sequence, state, created_at_secs,
                    attempt_count, next_at_secs, settled_at_secs, outcome
                FROM deliveries, n WHERE id = 1";
    other.execute(fill, [QUEUE]).unwrap();
    log().await;
    log().await;
    let status = catalog.webhooks().await.unwrap();
    assert_eq!((status[0].pending_count, status[0].lost_count), (QUEUE.into(), 2));
    assert_eq!(status[0].pending_since_secs, Some(NOW));
}

/// A file that other programs changed may contradict itself.
#[tokio::test]
async fn rows_that_contradict_each_other_are_faults() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.sqlite");
    let catalog = engine::open_unsynced(&path).unwrap();
    let one = collecting::published(&catalog, "1.0").await;
    let two = collecting::published(&catalog, "2.0").await;
    for (release, expected) in [(one, Expected::Absent), (two, Expected::Sequence(1))] {
        let request = MoveRequest {
            application: release.application,
            channel: "stable".parse().unwrap(),
            expected,
            release: release.digest,
            now_secs: NOW,
            moved_by: "ops".to_owned(),
        };
        assert!(matches!(catalog.move_channel(request).await.unwrap(), Moved::Done(_)));
    }
    assert_eq!(catalog.check_rows().await.unwrap(), [""; 0]);
    let other = rusqlite::Connection::open(&path).unwrap();
    let sql = "UPDATE channels SET release_id = (SELECT id FROM releases WHERE version = '1.0')";
    other.execute(sql, []).unwrap();
    let adrift = "channel webshop:stable contradicts its last move";
    assert_eq!(catalog.check_rows().await.unwrap(), [adrift]);
    other.pragma_update(None, "foreign_keys", false).unwrap();
    other.execute("DELETE FROM indexes", []).unwrap();
    let dangling = "a row of release_indexes refers to a missing row of indexes";
    assert_eq!(catalog.check_rows().await.unwrap(), [dangling, dangling, adrift]);
}

/// A flipped bit in a row is reported as damage here, not as a broken protocol by a client.
#[tokio::test]
async fn a_place_with_an_impossible_length_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.sqlite");
    let catalog = engine::open_unsynced(&path).unwrap();
    catalog.add_pack(pack(1, 0..1), Grip::ANY).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    for stored_len in [0, (4096 + 4096) + 1, 1 << 30] {
        other.execute("UPDATE chunks SET stored_len = ?1", [stored_len]).unwrap();
        let error = catalog.locate_chunks(vec![chunk(0)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{stored_len}");
    }
    other.execute("UPDATE chunks SET stored_len = 4096 + 4096", []).unwrap();
    assert!(matches!(catalog.locate_chunks(vec![chunk(0)]).await.unwrap(), Located::All { .. }));
}

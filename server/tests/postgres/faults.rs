//! Faults of the database server: no answered write is lost, and none is done twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_api::audit::Action;
use seawall_server::catalog::{AuditQuery, Barrier, Catalog, CatalogError, Entry};
use seawall_store::error::ErrorKind;

use crate::server::{Catalogs, Server};

const NOW: u64 = 1_800_000_000;
/// The time for something to happen on a busy machine.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(60);

/// Appends an entry to the audit log: a second run of the same work would append a second one.
pub(crate) async fn log(catalog: &Catalog) -> Result<(), CatalogError> {
    catalog.log(Entry::new(Action::Recover, "", NOW)).await.map(|_| ())
}

pub(crate) async fn logged(catalog: &Catalog) -> usize {
    let all = AuditQuery { limit: 10_000, ..AuditQuery::default() };
    let entries = catalog.audit(all).await.unwrap();
    let sequences: Vec<u64> = entries.iter().rev().map(|entry| entry.sequence).collect();
    let whole: Vec<u64> = (1..).take(entries.len()).collect();
    assert_eq!(sequences, whole, "the chain has no gap");
    entries.len()
}

/// Waits until a query has an answer.
pub(crate) fn await_answer(server: &Server, sql: &str) -> String {
    let deadline = Instant::now() + TIME_MAX;
    loop {
        let said = server.sql("postgres", sql);
        if !said.is_empty() {
            return said;
        }
        assert!(Instant::now() < deadline, "no answer to {sql}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes the server cut the next connections that add to the audit log, `count` of them.
fn cut_next(server: &Server, database: &str, count: u32, kind: &str) {
    let sql = format!(
        "CREATE SEQUENCE cuts;
         CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
             IF nextval('cuts') <= {count} THEN
                 PERFORM pg_terminate_backend(pg_backend_pid());
             END IF;
             RETURN NEW; END $f$;
         CREATE {kind} EXECUTE FUNCTION cut()"
    );
    server.sql(database, &sql);
}

#[tokio::test]
async fn a_transaction_that_is_cut_before_its_commit_runs_again_once() {
    let Some(server) = Server::start() else { return };
    let cases = [
        ("statement", "TRIGGER cut AFTER INSERT ON audit FOR EACH ROW"),
        (
            "commit",
            "CONSTRAINT TRIGGER cut AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW",
        ),
    ];
    for (database, kind) in cases {
        server.database(database);
        let catalog = server.open(database, "").unwrap();
        log(&catalog).await.unwrap();
        cut_next(&server, database, 3, kind);
        log(&catalog).await.unwrap();
        assert_eq!(logged(&catalog).await, 2, "cut in a {database}");
        assert!(server.sql(database, "SELECT last_value FROM cuts").parse::<u32>().unwrap() > 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_cut_after_its_commit_is_not_run_again() {
    let Some(server) = Server::start() else { return };
    server.database("cut");
    let catalog = Arc::new(server.open("cut", "").unwrap());
    // A commit is on the server's disk, and waits for a standby that never comes.
    server.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    server.sql("postgres", "SELECT pg_reload_conf()");
    let writes = Arc::clone(&catalog);
    let write = tokio::spawn(async move { log(&writes).await });
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE wait_event = 'SyncRep' AND datname = 'cut'";
    assert_eq!(await_answer(&server, cut), "t");
    // The answer waits until it is as durable as any other.
    let waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = 'cut'";
    await_answer(&server, waits);
    assert!(!write.is_finished());
    server.sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    server.sql("postgres", "SELECT pg_reload_conf()");
    write.await.unwrap().unwrap();
    assert_eq!(logged(&catalog).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_loses_nothing_that_was_answered() {
    let Some(mut server) = Server::start() else { return };
    server.database("restart");
    let catalog = Arc::new(server.open("restart", "").unwrap());
    let writes = Arc::clone(&catalog);
    let (send, stop) = tokio::sync::oneshot::channel::<()>();
    let write = tokio::spawn(async move {
        let (mut answered, mut refused, mut stop) = (0, 0, stop);
        while stop.try_recv().is_err() {
            match log(&writes).await {
                Ok(_) => answered += 1,
                // A slow machine may take longer to restart the server than work is tried again.
                Err(error) if error.kind() == ErrorKind::Unavailable => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        (answered, refused)
    });
    for _ in 0..3 {
        let before = logged(&catalog).await;
        server.stop();
        server.go();
        // Work goes on after each restart.
        let deadline = Instant::now() + TIME_MAX;
        while logged(&catalog).await <= before {
            assert!(Instant::now() < deadline, "no write after a restart");
            tokio::task::yield_now().await;
        }
    }
    send.send(()).unwrap();
    let (answered, refused): (usize, usize) = write.await.unwrap();
    let logged = logged(&catalog).await;
    assert!((answered..=answered + refused).contains(&logged), "{answered} {refused} {logged}");
}

#[tokio::test]
async fn without_a_server_work_fails_in_time_as_unavailable() {
    let Some(mut server) = Server::start() else { return };
    server.database("gone");
    let catalog = server.open("gone", "").unwrap();
    server.stop();
    let began = Instant::now();
    let error = log(&catalog).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(began.elapsed() < TIME_MAX, "{:?}", began.elapsed());
    server.go();
    log(&catalog).await.unwrap();
}

#[tokio::test]
async fn a_standby_is_read_until_it_is_promoted() {
    let Some(server) = Server::start() else { return };
    server.database("main");
    log(&server.open("main", "").unwrap()).await.unwrap();
    let standby = server.standby();
    let catalog = standby.open("main", "").unwrap();
    assert_eq!(catalog.barrier(), Some(Barrier::Standby));
    assert_eq!(logged(&catalog).await, 1);
    let error = log(&catalog).await.unwrap_err();
    assert_eq!(error.barrier(), Some(Barrier::Standby));
    assert_eq!(standby.sql("postgres", "SELECT pg_promote()"), "t");
    catalog.probe().await.unwrap();
    assert_eq!(catalog.barrier(), None, "a read noticed");
    log(&catalog).await.unwrap();
    assert_eq!(logged(&catalog).await, 2);
}

#[tokio::test]
async fn a_claim_ends_with_its_connection() {
    let Some(server) = Server::start() else { return };
    server.database("claims");
    let [one, other] = [(); 2].map(|()| server.open("claims", "").unwrap());
    let claim = one.claim_collecting().await.unwrap().unwrap();
    assert!(other.claim_collecting().await.unwrap().is_none());
    assert!(one.claim_copying().await.unwrap().is_some(), "another task");
    assert!(claim.is_held().await);
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'";
    server.sql("claims", cut);
    let deadline = Instant::now() + TIME_MAX;
    while claim.is_held().await {
        assert!(Instant::now() < deadline, "the loss of a claim is noticed");
        tokio::task::yield_now().await;
    }
    assert!(other.claim_collecting().await.unwrap().is_some());
}

//! Writers that hang, servers that are killed, and standbys that take over.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use seawall_server::catalog::Catalog;
use seawall_server::catalog::postgres::{self, Address};
use seawall_store::error::ErrorKind;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::faults::{TIME_MAX, await_answer, log, logged};
use crate::server::{Catalogs, Server};

/// Writes until it is told to stop. Returns the number of writes that were answered, and of those
/// that were refused.
fn write(catalog: &Arc<Catalog>, stop: &watch::Receiver<bool>) -> JoinHandle<(usize, usize)> {
    let (catalog, stop) = (Arc::clone(catalog), stop.clone());
    tokio::spawn(async move {
        let (mut answered, mut refused) = (0, 0);
        while !*stop.borrow() {
            match log(&catalog).await {
                Ok(()) => answered += 1,
                // A slow machine may take longer to start a server than work is tried again.
                Err(error) if error.kind() == ErrorKind::Unavailable => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        (answered, refused)
    })
}

/// Waits until `count` more writes are seen.
async fn await_writes(catalog: &Catalog, count: usize) {
    let (deadline, before) = (Instant::now() + TIME_MAX, logged(catalog).await);
    while logged(catalog).await < before + count {
        assert!(Instant::now() < deadline, "writes go on");
        tokio::task::yield_now().await;
    }
}

/// After a crash, the server gives the numbers of lost transactions to later ones. Two registries
/// write, so that the outcome of a lost commit of one could be mistaken for that of the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_nothing_that_was_answered() {
    let Some(mut server) = Server::start() else { return };
    server.database("killed");
    let registries = [(); 2].map(|()| Arc::new(server.open("killed", "").unwrap()));
    // Commits wait at their end, so that every kill finds some that are not answered.
    server.sql(
        "killed",
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
             $f$ BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END $f$;
         CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    let (send, stop) = watch::channel(false);
    let writes = registries.each_ref().map(|registry| write(registry, &stop));
    for _ in 0..4 {
        await_writes(&registries[0], 5).await;
        server.kill();
        server.go();
    }
    await_writes(&registries[0], 5).await;
    send.send(true).unwrap();
    let (mut answered, mut refused) = (0, 0);
    for write in writes {
        let (more, no) = write.await.unwrap();
        (answered, refused) = (answered + more, refused + no);
    }
    let logged = logged(&registries[0]).await;
    assert!((answered..=answered + refused).contains(&logged), "{answered} {refused} {logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_and_has_all_that_was_answered() {
    let Some(mut server) = Server::start() else { return };
    server.database("main");
    drop(server.open("main", "").unwrap());
    let standby = server.standby();
    server.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    server.sql("postgres", "SELECT pg_reload_conf()");
    await_answer(&server, "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'");
    let both = format!(",{}&target_session_attrs=read-write", standby.host());
    let catalog = Arc::new(server.open("main", &both).unwrap());
    let (send, stop) = watch::channel(false);
    let writes = write(&catalog, &stop);
    await_writes(&catalog, 10).await;
    server.kill();
    standby.sql("postgres", "SELECT pg_promote()");
    await_writes(&catalog, 10).await;
    send.send(true).unwrap();
    let (answered, refused) = writes.await.unwrap();
    let logged = logged(&catalog).await;
    assert!((answered..=answered + refused).contains(&logged), "{answered} {refused} {logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_when_their_connections_are_cut() {
    let Some(server) = Server::start() else { return };
    server.database("reads");
    let catalog = Arc::new(server.open("reads", "").unwrap());
    log(&catalog).await.unwrap();
    let (send, stop) = watch::channel(false);
    let reads = (0..4).map(|_| {
        let (catalog, stop) = (Arc::clone(&catalog), stop.clone());
        tokio::spawn(async move {
            while !*stop.borrow() {
                assert_eq!(logged(&catalog).await, 1);
            }
        })
    });
    let reads: Vec<_> = reads.collect();
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE application_name = 'seawall reader' HAVING count(*) > 0";
    for _ in 0..20 {
        await_answer(&server, cut);
    }
    send.send(true).unwrap();
    for read in reads {
        read.await.unwrap();
    }
}

/// Forwards connections to a server. Once a client inserts into the audit log, its answers are held
/// back for the life of that connection: the client hangs in the middle of its write.
fn hang_once(server_port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let is_spent = Arc::new(AtomicBool::new(false));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, is_spent) = (client.unwrap(), Arc::clone(&is_spent));
            let server = TcpStream::connect(("127.0.0.1", server_port)).unwrap();
            let hangs = Arc::new(AtomicBool::new(false));
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let holds = Arc::clone(&hangs);
            std::thread::spawn(move || {
                pump(from, to, |bytes| {
                    let inserts = bytes.windows(17).any(|text| text == b"INSERT INTO audit");
                    if inserts && !is_spent.swap(true, Ordering::SeqCst) {
                        holds.store(true, Ordering::SeqCst);
                    }
                    true
                });
            });
            std::thread::spawn(move || pump(server, client, |_| !hangs.load(Ordering::SeqCst)));
        }
    });
    port
}

/// Forwards bytes for which `passes` returns true, until the end of `from`.
fn pump(mut from: TcpStream, mut to: TcpStream, mut passes: impl FnMut(&[u8]) -> bool) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        if passes(&bytes[..len]) && to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Takes the 20 seconds after which the server ends an idle transaction.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_hangs_holds_the_others_up_for_a_bounded_time() {
    let Some(mut server) = Server::start() else { return };
    server.database("hang");
    server.stop();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    server.go_at(port);
    let folder = tempfile::tempdir().unwrap();
    let open = |port: u16| {
        let address = format!("postgres://postgres@127.0.0.1:{port}/hang?sslmode=disable");
        let folder = folder.path().to_owned();
        let copies = Arc::new(move || seawall_server::catalog::sqlite::blank(&folder));
        postgres::open(&Address::parse(&address, &|_| None).unwrap(), copies).unwrap()
    };
    let (hanging, other) = (open(hang_once(port)), open(port));
    let write = tokio::spawn(async move { log(&hanging).await });
    await_answer(
        &server,
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'seawall writer'
             AND state = 'idle in transaction' AND now() - state_change > interval '1 second'",
    );
    log(&other).await.unwrap();
    write.await.unwrap().unwrap();
    assert_eq!(logged(&other).await, 2, "each once");
}

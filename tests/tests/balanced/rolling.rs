//! A deployment that is restarted and upgraded while clients use it.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use seawall_tests::{same_bytes, tool};

use super::traffic::Traffic;
use super::{A, B, Stage, client, count, disk, push_line, wait_for_rotation, wait_until};

/// The requests between two restarts, at least.
const REQUESTS_MIN: u64 = 50;

/// The version that is read under traffic.
const FIRST: &str = "9.0.0";

/// A registry sees a request before its body has arrived, and no body waits in the balancer.
pub(super) fn bodies_pass_the_balancer_as_they_arrive(stage: &dyn Stage) {
    wait_for_rotation(stage, [true, true]);
    let (url, token) = stage.entrance();
    let mut socket = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!(
        "PUT /v1/packs/blake3:{0}?lease={1} HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {2}\r\n\r\n",
        "0".repeat(64),
        "0".repeat(32),
        16 << 20
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(&[0; 4096]).unwrap();
    // The request for the metrics is one of those in flight.
    let is_seen = || [A, B].iter().any(|&it| count(stage, it, "seawall_http_in_flight") == 2);
    wait_until("a registry gets the head of a request whose body is on its way", is_seen);
}

/// Two requests of one client use one connection to the balancer.
pub(super) fn a_connection_serves_several_requests(stage: &dyn Stage) {
    let url = stage.entrance().0 + "/v1/openapi.json";
    let null = ["-o", "/dev/null"];
    let made = ["-sf", "-w", "%{num_connects} %{http_code}\n"].into_iter();
    let printed = tool("curl", made.chain(null).chain(null).chain([url.as_str(), url.as_str()]));
    assert_eq!(printed, "1 200\n0 200\n", "connections that were made for each request");
}

/// Restarts each registry under traffic. Between the two restarts, a newer registry expands the
/// tables.
pub(super) fn each_registry_restarts_without_a_failed_request(stage: &mut dyn Stage) {
    wait_for_rotation(stage, [true, true]);
    disk(stage.world(), FIRST);
    client(stage, &push_line(FIRST)).succeeds();
    let paths = [&format!("releases/{FIRST}"), "releases", "channels"];
    let paths = paths.map(|path| format!("/v1/applications/team%2Fshop/{path}"));
    let traffic = Traffic::start(stage.entrance(), &paths);
    let mut round = 0;
    let mut transfer = |stage: &dyn Stage| {
        round += 1;
        let version = format!("9.0.{round}");
        disk(stage.world(), &version);
        let pushing = client(stage, &push_line(&version)).start();
        let into = format!("pulled-{version}");
        let pulling = client(stage, &format!("pull team/shop:{FIRST} --into {into}")).start();
        (pushing, pulling, into)
    };
    let ended = |stage: &dyn Stage, (pushing, pulling, into): (_, _, String)| {
        let both: [seawall_tests::Started; 2] = [pushing, pulling];
        for done in both.map(seawall_tests::Started::ends) {
            assert!(done.status.success(), "{done}");
            assert!(!done.stderr.contains("retrying"), "a request failed: {done}");
        }
        let world = stage.world();
        same_bytes(world.path(&into).join("a/root.raw"), world.path(format!("{FIRST}.raw")));
        fs::remove_dir_all(world.path(&into)).unwrap();
    };
    for registry in [A, B] {
        let before = traffic.answered();
        let under_way = transfer(stage);
        stage.tell_to_stop(registry);
        wait_for_rotation(stage, [registry != A, registry != B]);
        assert!(stage.metrics(registry).is_some(), "it serves until the balancer has noticed");
        stage.wait_for_end(registry);
        stage.start(registry);
        wait_for_rotation(stage, [true, true]);
        ended(stage, under_way);
        wait_until("clients are served", || traffic.answered() > before + REQUESTS_MIN);
        if registry == A {
            stage.query(
                "ALTER TABLE releases ADD COLUMN of_a_later_version BIGINT NOT NULL DEFAULT 0;
                 UPDATE schema_version SET version = version + 1;",
            );
            let under_way = transfer(stage);
            ended(stage, under_way);
        }
    }
    println!("{} requests, none of them failed", traffic.end());
    client(stage, "fsck").succeeds();
}

/// A newer registry contracts the tables: registries that would misread them serve nothing more.
pub(super) fn registries_too_old_for_the_catalog_leave_the_set(stage: &dyn Stage) {
    stage.query("UPDATE schema_version SET servable_from = servable_from + 1000;");
    wait_for_rotation(stage, [false, false]);
    let refused = client(stage, &format!("promote team/shop:{FIRST} stable")).ends();
    assert!(!refused.status.success(), "{refused}");
    refused.explains();
    stage.query("UPDATE schema_version SET servable_from = servable_from - 1000;");
    wait_for_rotation(stage, [true, true]);
}

//! Tests against a hand-written server, which can misbehave in ways that no framework allows.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use seawall_api::digest::{
    ChunkDigest, ContentDigest, DescriptorDigest, IndexDigest, PackDigest, ReleaseDigest,
};
use seawall_api::index::DiskIndex;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::{Descriptor, Release};
use seawall_api::units::DiskLen;
use seawall_api::v1::{ApplyRetention, Lease, LeasePurpose, NewWebhook};
use seawall_store::read::Freshness;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::error::{ErrorKind, Failure};
use crate::progress::Silent;
use crate::registry::{
    Audit, Expect, Maintenance, Reading, Registry, RegistryError, Retention, RetryPolicy, Writing,
};
use crate::spec::{DiskContent, flags};
use crate::verify::{VerifyRelease, verify_release};
use server::{Act, Server, http, ok};

fn patient() -> Timeouts {
    Timeouts { connect: Duration::from_secs(5), idle: Duration::from_secs(30) }
}

fn impatient() -> Timeouts {
    Timeouts { idle: Duration::from_secs(1), ..patient() }
}

fn application() -> ApplicationName {
    "team/web".parse().unwrap()
}

fn lease() -> Lease {
    Lease { id: "l1".to_owned(), ttl_secs: 60 }
}

fn release() -> Release {
    let spec = flags::describe(vec!["web=a".parse().unwrap()]).unwrap();
    let content = |_: &_, _: &_| {
        Ok::<_, std::convert::Infallible>(DiskContent {
            len: DiskLen::new(4096).unwrap(),
            content: ContentDigest::from_bytes([1; 32]),
            index: IndexDigest::from_bytes([2; 32]),
        })
    };
    let document = spec.into_document(application(), "1.0".parse().unwrap(), content).unwrap();
    Release::new(document).unwrap()
}

fn release_answer(named: ReleaseDigest, bytes: &[u8]) -> Act {
    Act::Answer(http("200 OK", &format!("seawall-release: {named}\r\n"), bytes))
}

fn version(text: &str) -> Selector {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_release_is_asked_for_by_its_path_and_with_the_token() {
    let release = release();
    let server = Server::start(vec![release_answer(release.digest(), release.bytes())]).await;
    let got = server.registry().release(&application(), &version("1.0")).await.unwrap();
    assert_eq!(got, release);
    let request = &server.requests()[0];
    assert!(request.starts_with("GET /v1/applications/team%2Fweb/releases/1.0 HTTP/1.1\r\n"));
    assert!(request.contains("authorization: Bearer s3cr3t\r\n"), "{request}");
    assert!(request.contains("user-agent: seawall/"), "{request}");
}

#[tokio::test]
async fn a_release_that_is_not_what_was_asked_for_is_refused() {
    let release = release();
    let digest = release.digest();
    let mut flipped = release.bytes().to_vec();
    flipped[10] ^= 1;
    let other = ReleaseDigest::of(b"other");
    let spaced = [release.bytes(), b" "].concat();
    let cases: [(&str, Act, &str); 6] = [
        ("1.0", release_answer(digest, &flipped), "a bit was flipped"),
        ("1.0", release_answer(other, release.bytes()), "the header is another's"),
        ("2.0", release_answer(digest, release.bytes()), "another version"),
        (&other.to_string(), release_answer(digest, release.bytes()), "another digest"),
        ("stable", release_answer(ReleaseDigest::of(b"{}"), b"{}"), "no document"),
        ("1.0", release_answer(ReleaseDigest::of(&spaced), &spaced), "not canonical"),
    ];
    for (selector, act, why) in cases {
        let server = Server::start(vec![act]).await;
        let error = server.registry().release(&application(), &version(selector)).await;
        let error = error.expect_err(why);
        assert!(matches!(error, RegistryError::WrongBytes { .. }), "{why}: {error:?}");
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains("release team/web"), "{error}");
    }
    let other_application: ApplicationName = "web".parse().unwrap();
    let server = Server::start(vec![release_answer(digest, release.bytes())]).await;
    let error = server.registry().release(&other_application, &version("stable")).await;
    assert!(matches!(error, Err(RegistryError::WrongBytes { .. })));
    let server = Server::start(vec![ok(release.bytes())]).await;
    let error = server.registry().release(&application(), &version("1.0")).await;
    assert!(matches!(error, Err(RegistryError::Protocol { .. })), "no header");
}

#[tokio::test]
async fn an_index_that_does_not_match_its_digest_is_refused() {
    let asked = IndexDigest::of(b"asked");
    for body in [&b"other"[..], b"", b"asked"] {
        let server = Server::start(vec![ok(body)]).await;
        let error = server.registry().index(asked).await.unwrap_err();
        assert!(matches!(error, RegistryError::WrongBytes { .. }), "{error:?}");
        assert!(error.to_string().contains(&asked.to_string()));
    }
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_told_from_an_answer() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"name\"".to_vec();
    for act in [Act::Reset, Act::Answer(cut), Act::Answer(b"nonsense\r\n\r\n".to_vec())] {
        let server = Server::start(vec![act]).await;
        let error = server.registry().server_version().await.unwrap_err();
        assert!(matches!(error, RegistryError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains(&server.url()), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn nobody_listening_is_said_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let registry = HttpRegistry::new(&url, None, patient()).unwrap();
    let error = registry.server_version().await.unwrap_err();
    assert!(error.to_string().contains(&url) && error.is_transient(), "{error}");
    assert!(error.remedy().unwrap().contains("/healthz"));
}

#[tokio::test]
async fn an_answer_over_its_limit_is_not_read() {
    let announced =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", u64::MAX / 2).into_bytes();
    // Without a length: 1 MiB pieces in chunked encoding, past the limit.
    let mut endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..=(JSON_LEN_MAX >> 20) {
        endless.extend_from_slice(b"100000\r\n");
        endless.extend(std::iter::repeat_n(b' ', 1 << 20));
        endless.extend_from_slice(b"\r\n");
    }
    for act in [Act::Hang(announced), Act::Hang(endless)] {
        let server = Server::start(vec![act]).await;
        let error = server.registry().server_version().await.unwrap_err();
        assert!(matches!(error, RegistryError::TooLarge { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn stalled_transfers_are_ended_and_slow_ones_are_not() {
    let head = b"HTTP/1.1 206 OK\r\ncontent-range: bytes 0-7/8\r\ncontent-length: 8\r\n\r\n";
    let pack = PackDigest::of(b"pack");

    for still in [Act::Hang(Vec::new()), Act::Hang(head.to_vec())] {
        let server = Server::start(vec![still]).await;
        let error = server.impatient().pack_range(pack, 0..8, Freshness::Any).await.unwrap_err();
        assert!(matches!(error, RegistryError::Stalled { .. }), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    // Eight pauses of 200 ms exceed the limit of one second; a single pause does not.
    let slow = Act::Drip(head.to_vec(), Duration::from_millis(200), 8);
    let server = Server::start(vec![slow]).await;
    let bytes = server.impatient().pack_range(pack, 0..8, Freshness::Any).await.unwrap();
    assert_eq!(bytes, Bytes::from_static(b"xxxxxxxx"));
}

#[tokio::test]
async fn an_upload_that_takes_long_is_not_cut_off_while_it_moves() {
    // A slow reader: the whole upload takes longer than the idle limit. The receive buffer is
    // small, so that the last bytes sent are among the last bytes read.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(256 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body_len = 16 << 20;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buf = vec![0; 256 << 10];
        let mut taken = 0;
        while taken < body_len {
            taken += stream.read(&mut buf).await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        stream.write_all(&http("201 Created", "", b"")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    let registry = HttpRegistry::new(&url, None, impatient()).unwrap();
    let bytes = Bytes::from(vec![7; body_len]);
    let began = std::time::Instant::now();
    registry.put_pack(&lease(), PackDigest::of(b"pack"), bytes).await.unwrap();
    assert!(began.elapsed() > impatient().idle, "it took {:?}", began.elapsed());
}

#[tokio::test]
async fn a_range_that_is_not_the_one_asked_for_is_refused() {
    let partial = |range: &str, body: &[u8]| {
        Act::Answer(http("206 Partial Content", &format!("content-range: {range}\r\n"), body))
    };
    let pack = PackDigest::of(b"pack");
    let cases = [
        (ok(b"0123456789"), "the whole pack"),
        (partial("bytes 0-3/10", b"0123"), "another place"),
        (partial("bytes 2-5/10", b"23"), "too short"),
        (Act::Answer(http("206 Partial Content", "", b"2345")), "no Content-Range"),
    ];
    for (act, why) in cases {
        let server = Server::start(vec![act]).await;
        let error = server.registry().pack_range(pack, 2..6, Freshness::Any).await.expect_err(why);
        assert!(matches!(error, RegistryError::Protocol { .. }), "{why}: {error:?}");
    }
    let server = Server::start(vec![partial("bytes 2-5/10", b"23456789")]).await;
    let error = server.registry().pack_range(pack, 2..6, Freshness::Any).await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { limit: 4, .. }), "{error:?}");

    let server = Server::start(vec![partial("bytes 2-5/10", b"2345")]).await;
    let bytes = server.registry().pack_range(pack, 2..6, Freshness::Any).await.unwrap();
    assert_eq!(bytes, Bytes::from_static(b"2345"));
    assert!(server.requests()[0].contains("range: bytes=2-5\r\n"));
    let none: Range<u64> = 3..3;
    assert!(server.registry().pack_range(pack, none, Freshness::Any).await.unwrap().is_empty());
    assert_eq!(server.requests().len(), 1, "nothing is not asked for");
}

#[tokio::test]
async fn positions_and_locations_outside_the_question_are_refused() {
    let chunk = ChunkDigest::of(b"chunk");
    let server = Server::start(vec![ok(br#"{"missing":[1]}"#), ok(br#"{"missing":[2]}"#)]).await;
    let registry = server.registry();
    let missing = registry.missing_chunks(&lease(), &[chunk, chunk]).await.unwrap();
    assert_eq!(missing, [false, true]);
    let error = registry.missing_chunks(&lease(), &[chunk, chunk]).await.unwrap_err();
    assert!(error.to_string().contains("position 2 in a list of 2"), "{error}");

    let pack = PackDigest::of(b"pack");
    let locate = |location: &str| ok(format!(r#"{{"packs":["{pack}"],{location}}}"#).as_bytes());
    let at = |pack: u32, stored: u32, plain: u32| {
        format!(
            r#""locations":[{{"pack":{pack},"offset":8,"storedLen":{stored},"plainLen":{plain},"encoding":1}}]"#
        )
    };
    let server = Server::start(vec![
        locate(&at(0, 10, 4096)),
        locate(&at(1, 10, 4096)),
        locate(&at(0, 10, u32::MAX)),
        locate(&at(0, u32::MAX, 4096)),
        locate(&at(0, 0, 4096)),
        locate(r#""locations":[]"#),
    ])
    .await;
    let registry = server.registry();
    let located = registry.locate_chunks(&[chunk]).await.unwrap();
    assert_eq!((located[0].pack, located[0].offset), (pack, 8));
    for _ in 1..6 {
        let error = registry.locate_chunks(&[chunk]).await.unwrap_err();
        assert!(matches!(error, RegistryError::Protocol { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_question_over_the_limit_is_asked_in_parts_and_answered_as_one() {
    let count = seawall_api::v1::CHUNKS_PER_QUESTION_MAX + 1;
    let (a, b) = (PackDigest::of(b"a"), PackDigest::of(b"b"));
    let at = r#"{"pack":0,"offset":8,"storedLen":9,"plainLen":4096,"encoding":1}"#;
    let first = vec![at; count - 1].join(",");
    let server = Server::start(vec![
        ok(format!(r#"{{"packs":["{a}"],"locations":[{first}]}}"#).as_bytes()),
        ok(format!(r#"{{"packs":["{b}"],"locations":[{at}]}}"#).as_bytes()),
    ])
    .await;
    let chunks = vec![ChunkDigest::of(b"chunk"); count];
    let located = server.registry().locate_chunks(&chunks).await.unwrap();
    assert_eq!(located.len(), count);
    assert_eq!([0, count - 1].map(|at| located[at].pack), [a, b], "each of its own answer");
}

#[tokio::test]
async fn problems_and_foreign_errors_are_told_apart() {
    let problem = seawall_api::problem::Problem::new(
        seawall_api::problem::Code::NotFound,
        "application `team/web` has no release 9.9",
    );
    let body = serde_json::to_vec(&problem).unwrap();
    let server = Server::start(vec![Act::Answer(http("404 Not Found", "", &body))]).await;
    let error = server.registry().release(&application(), &version("9.9")).await.unwrap_err();
    assert_eq!(error.to_string(), "application `team/web` has no release 9.9");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let channel = server.registry().channel(&application(), &"stable".parse().unwrap()).await;
    assert_eq!(channel.unwrap(), None);

    let html = http("502 Bad Gateway", "retry-after: 7\r\n", b"<html>nginx</html>");
    let server = Server::start(vec![Act::Answer(html)]).await;
    let error = server.registry().server_version().await.unwrap_err();
    assert!(error.to_string().contains("HTTP status 502"), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(error.is_transient());

    let server = Server::start(vec![ok(b"<html>a captive portal</html>")]).await;
    let error = server.registry().server_version().await.unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn the_token_does_not_follow_a_redirect_to_another_origin() {
    let other = Server::start(vec![ok(br#"{"name":"seawall","version":"1","epochs":[1]}"#)]).await;
    let to = format!("location: {}/elsewhere\r\n", other.url());
    let server = Server::start(vec![Act::Answer(http("307 Temporary Redirect", &to, b""))]).await;
    server.registry().server_version().await.unwrap();
    assert!(server.requests()[0].contains("authorization:"));
    assert!(!other.requests()[0].contains("authorization:"), "{}", other.requests()[0]);

    let opened = server.registry().open_lease(&application(), LeasePurpose::Push, None).await;
    let error = opened.unwrap_err();
    assert!(error.to_string().contains("HTTP status 307"), "a POST is not redirected: {error}");
    assert_eq!(other.requests().len(), 1);

    let circle = Act::Answer(http("302 Found", "location: /v1/version\r\n", b""));
    let server = Server::start(vec![circle]).await;
    let error = server.registry().server_version().await.unwrap_err();
    assert!(error.to_string().contains("redirects"), "{error}");
    assert_eq!(server.requests().len(), REDIRECTS_MAX + 1);
}

#[tokio::test]
async fn idempotent_calls_are_retried_and_others_are_not() {
    let policy = RetryPolicy {
        attempts_max: 3,
        delay_first: Duration::from_millis(1),
        delay_max: Duration::from_millis(5),
    };
    let good = ok(br#"{"name":"seawall","version":"1","epochs":[1]}"#);
    let busy = Act::Answer(http("503 Unavailable", "retry-after: 3600\r\n", b""));
    let server = Server::start(vec![Act::Reset, busy.clone(), good]).await;
    let registry = server.registry().retrying(policy, |_| {});
    assert_eq!(registry.server_version().await.unwrap().name, "seawall");
    assert_eq!(server.requests().len(), 3);

    let server = Server::start(vec![busy.clone()]).await;
    let registry = server.registry().retrying(policy, |_| {});
    registry.put_pack(&lease(), PackDigest::of(b"p"), Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(server.requests().len(), 3, "attempts are bounded");

    let server = Server::start(vec![Act::Answer(http("400 Bad Request", "", b""))]).await;
    let registry = server.registry().retrying(policy, |_| {});
    registry.server_version().await.unwrap_err();
    assert_eq!(server.requests().len(), 1, "a refusal stays one");
}

#[tokio::test]
async fn a_call_whose_repeat_is_not_harmless_is_sent_once() {
    let server = Server::start(vec![Act::Answer(http("503 Unavailable", "", b""))]).await;
    let policy = RetryPolicy { delay_first: Duration::from_millis(1), ..RetryPolicy::default() };
    let registry = server.registry().retrying(policy, |_| {});
    let (application, selector) = (application(), version("1.0"));
    let (host, pin) = ("host".parse().unwrap(), "pin".parse().unwrap());
    let channel = "stable".parse().unwrap();
    let digest = ReleaseDigest::of(b"r");
    let folder = tempfile::tempdir().unwrap();
    let (url, secret) = ("https://h/".to_owned(), String::new());
    let hook = NewWebhook { url, events: Vec::new(), application: None, secret };

    registry.move_channel(&application, &channel, Expect::Sequence(4), digest).await.unwrap_err();
    registry.delete_release(&application, &"1.0".parse().unwrap()).await.unwrap_err();
    registry.unpin(&application, &selector, &pin).await.unwrap_err();
    registry.forget_host(&host, None).await.unwrap_err();
    registry.apply_retention(&application, &ApplyRetention::default()).await.unwrap_err();
    registry.add_webhook(&hook).await.unwrap_err();
    registry.remove_webhook("w1").await.unwrap_err();
    registry.back_up(&folder.path().join("copy")).await.unwrap_err();

    let requests = server.requests();
    assert_eq!(requests.len(), 8, "{requests:?}");
    assert!(requests[0].contains("if-match: \"4\"\r\n"), "{}", requests[0]);
}

#[tokio::test]
async fn ending_a_lease_that_has_ended_is_a_success() {
    let ended = seawall_api::problem::Problem::new(
        seawall_api::problem::Code::LeaseEnded,
        "lease l1 has ended",
    );
    let body = serde_json::to_vec(&ended).unwrap();
    let server = Server::start(vec![Act::Answer(http("409 Conflict", "", &body))]).await;
    server.registry().end_lease(&lease()).await.unwrap();
    assert!(server.requests()[0].starts_with("DELETE /v1/leases/l1 "));
}

#[tokio::test]
async fn objects_are_put_under_their_digest_and_the_lease() {
    let server = Server::start(vec![Act::Answer(http("201 Created", "", b""))]).await;
    let leaf = seawall_api::index::Leaf::hole(4096);
    let value = seawall_api::content::SubtreeValue([0; 32]);
    let entry = seawall_api::index::LeafRef { digest: leaf.digest(), value };
    let index = DiskIndex::new(DiskLen::new(4096).unwrap(), 0, vec![entry]).unwrap();
    server.registry().put_leaf(&lease(), &leaf).await.unwrap();
    server.registry().put_index(&lease(), &index).await.unwrap();
    let requests = server.requests();
    let leaf = format!("PUT /v1/leaves/{}?lease=l1 ", leaf.digest());
    assert!(requests[0].starts_with(&leaf), "{}", requests[0]);
    assert!(requests[0].contains("content-length: 12\r\n"), "{}", requests[0]);
    assert!(requests[1].starts_with(&format!("PUT /v1/indexes/{}?lease=l1 ", index.digest())));
}

#[test]
fn addresses_that_are_none_are_refused_and_never_show_a_password() {
    for url in ["", "registry", "ftp://h", "http://", "http://h/?q", "http://h/#f", "file:///x"] {
        assert!(HttpRegistry::new(url, None, patient()).is_err(), "{url}");
    }
    let error = HttpRegistry::new("http://me:hunter2@h/", None, patient()).err().unwrap();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert_eq!(HttpRegistry::new("https://h/a/", None, patient()).unwrap().url(), "https://h/a");
}

/// A refused descriptor is not reported as damaged: its state is unknown.
#[tokio::test]
async fn a_descriptor_that_may_not_be_read_is_no_damage() {
    let mut document = release().document().clone();
    let digest = DescriptorDigest::of(b"<Envelope/>");
    let media_type = "application/ovf+xml".to_owned();
    document.machines[0].descriptor = Some(Descriptor { digest, media_type });
    let release = Release::new(document).unwrap();
    let answers = |status| {
        let release = release_answer(release.digest(), release.bytes());
        vec![
            ok(br#"{"id":"l1","ttlSecs":60}"#),
            release,
            Act::Answer(http(status, "", b"")),
            Act::Answer(http("404 Not Found", "", b"")),
        ]
    };
    for (status, is_damage) in [("403 Forbidden", false), ("404 Not Found", true)] {
        let server = Server::start(answers(status)).await;
        let verify = VerifyRelease {
            registry: Arc::new(server.registry()),
            application: application(),
            selector: version("1.0"),
            progress: Arc::new(Silent),
        };
        match verify_release(verify).await {
            Ok(report) => assert!(is_damage && report.damage.len() == 2, "{report}"),
            Err(error) => assert!(!is_damage && error.kind() == ErrorKind::Denied, "{error}"),
        }
    }
}

mod obstacle;
pub(crate) mod server;

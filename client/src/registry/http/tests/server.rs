//! A hand-written registry, which can misbehave in ways that no framework allows.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{HttpRegistry, Token};

/// The server's behaviour on one connection, which carries one request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Answers, then closes.
    Answer(Vec<u8>),
    /// Answers after a while, then closes.
    Late(Duration, Vec<u8>),
    /// Answers, then keeps the connection open without sending more.
    Hang(Vec<u8>),
    /// Closes without an answer.
    Reset,
    /// Sends the head, then single bytes of the body with a pause before each.
    Drip(Vec<u8>, Duration, usize),
}

pub(crate) struct Server {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Performs the acts in turn, one per connection, repeating the last one.
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        let position = AtomicUsize::new(0);
        Self::answering(move |_| {
            acts[position.fetch_add(1, Ordering::SeqCst).min(acts.len() - 1)].clone()
        })
        .await
    }

    /// Performs the act that `choose` returns for the head of a request.
    pub(crate) async fn answering(choose: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        let choose: Arc<Choose> = Arc::new(choose);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, choose.clone(), seen.clone()));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn registry(&self) -> HttpRegistry {
        let token = Token::parse("s3cr3t").unwrap();
        HttpRegistry::new(&self.url(), Some(token), super::patient()).unwrap()
    }

    /// Returns a client that waits one second for a stalled connection.
    pub(super) fn impatient(&self) -> HttpRegistry {
        HttpRegistry::new(&self.url(), None, super::impatient()).unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

type Choose = dyn Fn(&str) -> Act + Send + Sync;

async fn serve(mut stream: TcpStream, choose: Arc<Choose>, seen: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let mut buf = vec![0; 1 << 20];
    let mut whole_len = usize::MAX;
    while request.len() < whole_len {
        match stream.read(&mut buf).await {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&buf[..count]),
        }
        if whole_len == usize::MAX
            && let Some(head_len) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&request[..head_len]).to_lowercase();
            let body_len = head.split("content-length: ").nth(1);
            let body_len = body_len.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            whole_len = head_len + 4 + body_len.unwrap_or(0);
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let act = choose(&request);
    seen.lock().unwrap().push(request);
    match act {
        Act::Answer(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Act::Late(after, bytes) => {
            tokio::time::sleep(after).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Act::Hang(bytes) => {
            let _ = stream.write_all(&bytes).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        Act::Reset => drop(stream),
        Act::Drip(head, every, count) => {
            let _ = stream.write_all(&head).await;
            for _ in 0..count {
                tokio::time::sleep(every).await;
                if stream.write_all(b"x").await.is_err() {
                    return;
                }
            }
        }
    }
}

pub(crate) fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub(crate) fn ok(body: &[u8]) -> Act {
    Act::Answer(http("200 OK", "", body))
}

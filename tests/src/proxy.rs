//! A hostile registry: a proxy in front of a real registry, which changes its responses.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::registry::Registry;

/// Hop-by-hop headers.
const HOP_BY_HOP: [&str; 4] = ["connection", "content-length", "host", "transfer-encoding"];
/// The length of the pieces of an endless body, in bytes.
const PIECE_LEN: usize = 64 << 10;

/// What a client asked.
#[derive(Clone, Debug)]
pub struct ProxyRequest {
    /// `GET`, …
    pub method: String,
    /// The path with its query.
    pub target: String,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl ProxyRequest {
    /// Returns whether the request has this method and a path with this prefix.
    #[must_use]
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.target.starts_with(path)
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, except for the length, by name in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// An announced length that differs from the body's. The connection ends after the body.
    pub announced: Option<u64>,
    /// True to repeat the body, in chunks, until the client disconnects.
    pub is_endless: bool,
}

impl Answer {
    /// Returns a response of this status without a body, with a further header.
    #[must_use]
    pub fn empty(status: u16, name: &str, value: &str) -> Self {
        let headers = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        Self { status, headers, body: Vec::new(), announced: None, is_endless: false }
    }

    /// Returns the response with another body.
    #[must_use]
    pub fn with_body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Returns the response with a false length announced.
    #[must_use]
    pub fn announcing(self, len: u64) -> Self {
        Self { announced: Some(len), ..self }
    }

    /// Returns the response with an endless body.
    #[must_use]
    pub fn endless(self) -> Self {
        Self { is_endless: true, ..self }
    }
}

/// A running proxy, which ends with the process of the test.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    sent: Arc<AtomicU64>,
}

type Tamper = dyn Fn(&ProxyRequest, Answer) -> Answer + Send + Sync;

struct Shared {
    upstream: String,
    tamper: Box<Tamper>,
    sent: Arc<AtomicU64>,
    client: reqwest::blocking::Client,
}

impl Proxy {
    /// Starts a proxy in front of a registry. `tamper` changes each response.
    #[must_use]
    pub fn start(
        registry: &Registry,
        tamper: impl Fn(&ProxyRequest, Answer) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sent = Arc::new(AtomicU64::new(0));
        let client = reqwest::blocking::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let shared = Arc::new(Shared {
            upstream: registry.url().to_owned(),
            tamper: Box::new(tamper),
            sent: Arc::clone(&sent),
            client,
        });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client may disconnect in the middle of a response.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { url, sent }
    }

    /// Returns the proxy's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the number of bytes of bodies sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Answers one request. The next request uses another connection.
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some(asked) = read(&mut BufReader::new(stream.try_clone()?))? else { return Ok(()) };
        let answer = (self.tamper)(&asked, self.forward(&asked));
        let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if answer.is_endless {
            stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes())?;
            let piece = answer.body.repeat(PIECE_LEN / answer.body.len().max(1) + 1);
            loop {
                stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
                stream.write_all(&piece)?;
                stream.write_all(b"\r\n")?;
                self.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
        }
        let len = answer.announced.unwrap_or(answer.body.len() as u64);
        stream.write_all(format!("{head}content-length: {len}\r\n\r\n").as_bytes())?;
        if asked.method != "HEAD" {
            stream.write_all(&answer.body)?;
            self.sent.fetch_add(answer.body.len() as u64, Ordering::SeqCst);
        }
        Ok(())
    }

    fn forward(&self, asked: &ProxyRequest) -> Answer {
        let method = asked.method.parse().unwrap();
        let mut request = self.client.request(method, format!("{}{}", self.upstream, asked.target));
        for (name, value) in asked.headers.iter().filter(|(name, _)| is_end_to_end(name)) {
            request = request.header(name, value);
        }
        let answer = request.body(asked.body.clone()).send().unwrap();
        let status = answer.status().as_u16();
        let headers = answer.headers().iter().filter(|(name, _)| is_end_to_end(name.as_str()));
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let headers = headers.collect();
        let body = answer.bytes().unwrap().to_vec();
        Answer { status, headers, body, announced: None, is_endless: false }
    }
}

fn is_end_to_end(name: &str) -> bool {
    !HOP_BY_HOP.contains(&name)
}

/// Reads a request. Returns `None` if the client disconnected.
pub(crate) fn read(reader: &mut impl BufRead) -> std::io::Result<Option<ProxyRequest>> {
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let len = headers.get("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    Ok(Some(ProxyRequest { method, target, headers, body }))
}

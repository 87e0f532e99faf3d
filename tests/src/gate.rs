//! A proxy that stands before a service and harms some requests: refuses, loses, cuts or never
//! answers them. It changes nothing else, so that signatures stay valid.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use crate::proxy::{ProxyRequest, read};

/// The fate of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Harm {
    /// Answers as the service does.
    Nothing,
    /// Answers with this status and this code of S3, and does nothing.
    Refuse(u16, &'static str),
    /// Closes the connection before anything is done.
    Close,
    /// Does what is asked, and closes the connection without an answer.
    Lose,
    /// Does what is asked, and answers with the status 500.
    Deny,
    /// Does what is asked, and says that it succeeded, even if its condition was not met.
    Bless,
    /// Does what is asked twice.
    Repeat,
    /// Does what is asked, and sends half of the answer.
    Cut,
    /// Never answers.
    Hang,
}

/// A running proxy; it ends with the process of the test.
#[derive(Debug)]
pub struct Gate {
    url: String,
}

impl Gate {
    /// Starts a proxy before the service at `upstream`, `http://HOST:PORT`.
    #[must_use]
    pub fn start(
        upstream: &str,
        harm: impl Fn(&ProxyRequest) -> Harm + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let harm = Arc::new(harm);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (upstream, harm) = (upstream.clone(), Arc::clone(&harm));
                // A client may disconnect in the middle of an answer.
                std::thread::spawn(move || drop(serve(stream, &upstream, &*harm)));
            }
        });
        Self { url }
    }

    /// Returns the address of the proxy.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Answers one request; the next comes on another connection.
fn serve(
    mut stream: TcpStream,
    upstream: &str,
    harm: &dyn Fn(&ProxyRequest) -> Harm,
) -> std::io::Result<()> {
    let Some(asked) = read(&mut BufReader::new(stream.try_clone()?))? else { return Ok(()) };
    let refuse = |status: u16, code: &str| {
        let body = format!("<Error><Code>{code}</Code><Message>harmed</Message></Error>");
        let len = body.len();
        // Without the last header, a client that is told to come back would wait for long.
        let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {len}");
        format!("{head}\r\nretry-after: 0\r\n\r\n{body}")
    };
    let harm = harm(&asked);
    match harm {
        Harm::Close => return Ok(()),
        Harm::Hang => return stream.read_to_end(&mut Vec::new()).map(drop),
        Harm::Refuse(status, code) => return stream.write_all(refuse(status, code).as_bytes()),
        _ => {}
    }
    if harm == Harm::Repeat {
        forward(&asked, upstream)?;
    }
    let answer = forward(&asked, upstream)?;
    match harm {
        Harm::Lose => {}
        Harm::Deny => stream.write_all(refuse(500, "InternalError").as_bytes())?,
        Harm::Bless if answer.starts_with(b"HTTP/1.1 412") => {
            stream.write_all(b"HTTP/1.1 200 OK\r\netag: \"0\"\r\ncontent-length: 0\r\n\r\n")?;
        }
        Harm::Cut => stream.write_all(&answer[..answer.len() / 2])?,
        _ => stream.write_all(&answer)?,
    }
    stream.shutdown(Shutdown::Both)
}

/// Returns the whole answer of the service, as it was sent.
fn forward(asked: &ProxyRequest, upstream: &str) -> std::io::Result<Vec<u8>> {
    let mut head = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", asked.method, asked.target);
    for (name, value) in asked.headers.iter().filter(|(name, _)| *name != "connection") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut service = TcpStream::connect(upstream)?;
    service.write_all(format!("{head}\r\n").as_bytes())?;
    service.write_all(&asked.body)?;
    let mut answer = Vec::new();
    service.read_to_end(&mut answer)?;
    Ok(answer)
}

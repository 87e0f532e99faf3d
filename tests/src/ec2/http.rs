//! The wire: requests in, answers out, and the injected faults between them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::answer::{Answer, Outcome, Refusal};
use super::{Ec2Fault, Shared, ebs, query, signature};

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// Returns a header, or an empty text.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Returns a parameter of the address.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let len = headers.get("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
        let mut body = vec![0; len];
        reader.read_exact(&mut body).ok()?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        Some(Self { method, path: path.to_owned(), query: form(query), headers, body })
    }
}

/// Parses `a=b&c=d`.
pub(super) fn form(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    pairs.map(pair).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                let digits = String::from_utf8_lossy(&digits).into_owned();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Encodes text as a signature does.
pub(super) fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let one = |byte: u8| {
        if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(one).collect()
}

/// Answers the requests of one connection.
pub(super) fn serve(stream: &TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::with_capacity(1 << 20, stream.try_clone().unwrap());
    while let Some(request) = Request::read(&mut reader) {
        let Some(answer) = answer(&request, shared) else { return };
        let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", answer.body.len()));
        let bytes = [head.as_bytes(), &answer.body].concat();
        if (&mut &*stream).write_all(&bytes).is_err() {
            return;
        }
    }
}

/// Returns the answer, or `None` to close the connection.
fn answer(request: &Request, shared: &Shared) -> Option<Answer> {
    let operation = operation(request);
    let is_block = operation == "PutSnapshotBlock";
    if is_block {
        shared.block_bytes.fetch_add(request.body.len() as u64, Ordering::SeqCst);
        let now = shared.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        shared.in_flight_max.fetch_max(now, Ordering::SeqCst);
    }
    std::thread::sleep(Duration::from_millis(shared.latency_ms.load(Ordering::SeqCst)));
    let is_json = request.path != "/" || !request.header("x-amz-target").is_empty();
    let fault = shared.fault(&operation);
    let outcome = match fault {
        Some(Ec2Fault::ResetBefore) => return None,
        Some(Ec2Fault::HoldBefore) => {
            shared.hold();
            return None;
        }
        Some(Ec2Fault::ErrorBefore) => Err(internal(is_json)),
        Some(Ec2Fault::Throttle) if is_json => Err(Refusal {
            reason: "ACCOUNT_THROTTLED",
            ..Refusal::new(400, "RequestThrottledException", "slow down")
        }),
        Some(Ec2Fault::Throttle) => Err(Refusal::query("RequestLimitExceeded", "slow down")),
        _ => dispatch(request, &operation, shared),
    };
    if is_block {
        shared.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
    let outcome = match fault {
        Some(Ec2Fault::ResetAfter) => return None,
        Some(Ec2Fault::HoldAfter) => {
            shared.hold();
            return None;
        }
        Some(Ec2Fault::ErrorAfter) => Err(internal(is_json)),
        _ => outcome,
    };
    Some(outcome.unwrap_or_else(|refusal| {
        let told = format!("{operation}: {}: {}", refusal.name, refusal.message);
        shared.refused.lock().unwrap().push(told);
        if is_json { refusal.as_json() } else { refusal.as_xml() }
    }))
}

fn internal(is_json: bool) -> Refusal {
    let name = if is_json { "InternalServerException" } else { "InternalError" };
    Refusal::new(500, name, "An internal error has occurred")
}

/// Names the operation of a request.
fn operation(request: &Request) -> String {
    let parts: Vec<&str> = request.path.split('/').skip(1).collect();
    let name = match (request.method.as_str(), &parts[..]) {
        ("POST", ["snapshots"]) => "StartSnapshot",
        ("PUT", ["snapshots", _, "blocks", _]) => "PutSnapshotBlock",
        ("GET", ["snapshots", _, "blocks", _]) => "GetSnapshotBlock",
        ("POST", ["snapshots", "completion", _]) => "CompleteSnapshot",
        ("GET", ["snapshots", _, "blocks"]) => "ListSnapshotBlocks",
        ("GET", ["snapshots", _, "changedblocks"]) => "ListChangedBlocks",
        ("POST", [""]) => {
            if let Some((_, name)) = request.header("x-amz-target").split_once('.') {
                return name.to_owned();
            }
            let form = form(&String::from_utf8_lossy(&request.body));
            return form.into_iter().find(|(key, _)| key == "Action").unwrap_or_default().1;
        }
        _ => "Unknown",
    };
    name.to_owned()
}

fn dispatch(request: &Request, operation: &str, shared: &Shared) -> Outcome {
    let skew_secs = shared.skew_secs.load(Ordering::SeqCst);
    let scope = signature::check(request, skew_secs, operation == "PutSnapshotBlock")?;
    let service = match operation {
        "GetCallerIdentity" => "sts",
        "PutParameter" => "ssm",
        _ if request.path == "/" => "ec2",
        _ => "ebs",
    };
    if scope.service != service {
        let message = format!("signed for {}, not {service}", scope.service);
        return Err(Refusal::new(403, "SignatureDoesNotMatch", message));
    }
    let mut account = shared.account.lock().unwrap();
    account.tick();
    match service {
        "ebs" => ebs::dispatch(request, operation, &scope, &mut account),
        _ => query::dispatch(request, operation, &scope, &mut account),
    }
}

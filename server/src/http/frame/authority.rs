//! Validation of the host name that a request is addressed to.
//!
//! A registry without tokens trusts every client on this machine. A browser on this machine can be
//! made to send requests by any web page whose name resolves to 127.0.0.1 (DNS rebinding). Such a
//! request carries the host name of that page, so the registry answers only to loopback names that
//! nobody else can register.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_web::dev::ServiceRequest;
use actix_web::http::header::HOST;

use super::{Edge, Refusal};

/// Fails for a registry without tokens unless the request is addressed to a loopback name of this
/// machine.
pub(super) fn check(request: &ServiceRequest, edge: &Edge) -> Result<(), Refusal> {
    if edge.authentication.is_some() {
        return Ok(());
    }
    let mut hosts = request.headers().get_all(HOST).peekable();
    let is_named = hosts.peek().is_some();
    let is_local = |host: &[u8]| std::str::from_utf8(host).is_ok_and(is_loopback);
    let of_target = request.uri().authority().map(|authority| authority.as_str());
    if is_named && hosts.all(|host| is_local(host.as_bytes())) && of_target.is_none_or(is_loopback)
    {
        return Ok(());
    }
    Err(Refusal::NotLoopback)
}

/// Returns true if `host[:port]` names the loopback interface, regardless of any resolver.
fn is_loopback(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest
            .split_once(']')
            .is_some_and(|(host, port)| is_port(port) && host.parse() == Ok(Ipv6Addr::LOCALHOST));
    }
    let end = authority.find(':').unwrap_or(authority.len());
    let (host, port) = authority.split_at(end);
    let is_name = host.eq_ignore_ascii_case("localhost");
    is_port(port) && (is_name || host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback()))
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_the_loopback_has_its_names() {
        let ours = ["localhost", "LOCALHOST:7440", "127.0.0.1", "127.8.9.1:80", "[::1]", "[::1]:1"];
        for host in ours {
            assert!(is_loopback(host), "{host}");
        }
        let others = [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.168.0.1",
            "[::2]:80",
            "::1",
            "[::1",
            "[::1]x",
            "localhost:x",
            "localhost:1:2",
            "user@localhost",
            "127.0.0.1:99999",
            "0.0.0.0",
            "2130706433",
        ];
        for host in others {
            assert!(!is_loopback(host), "{host}");
        }
    }
}

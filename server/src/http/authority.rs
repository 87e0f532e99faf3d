//! Under which name a request came.
//!
//! A registry without tokens trusts whoever reaches it on this machine, and a browser here reaches
//! it for any page in the world whose name is made to point at 127.0.0.1 (DNS rebinding). Such a
//! request names that page's host, so only names that nobody else can give are answered.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_web::dev::ServiceRequest;
use actix_web::http::header::HOST;
use seawall_api::problem::Code;

use super::Edge;
use super::problem::ApiError;

/// Refuses a request that did not come under a name of this machine's loopback, where there are
/// no tokens to tell friend from foe.
pub(super) fn check(request: &ServiceRequest, edge: &Edge) -> Result<(), ApiError> {
    if edge.tokens.is_some() {
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
    let detail = "a registry without tokens answers to names of this machine's loopback alone";
    let remedy = "ask for it as `localhost` or `127.0.0.1`, or start it with a token file";
    Err(ApiError::new(Code::Denied, detail).with_remedy(remedy.to_owned()))
}

/// Whether `host[:port]` is the loopback's, whatever a resolver says.
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

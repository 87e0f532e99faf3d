//! Rate limits per token and per application, and per address for requests without a valid token,
//! as token buckets that fill at the rate and hold a burst.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use actix_web::dev::ServiceRequest;
use seawall_api::names::ApplicationName;

use super::{Refusal, limits};
use crate::config::{Rate, Rates};
use crate::tokens::Unidentified;
use bucket::Buckets;

mod bucket;

/// The parameter of a route that names the application.
const APPLICATION: &str = "application";

/// The rate limiter of a registry.
#[derive(Debug)]
pub(super) struct Limiter {
    tokens: Option<Buckets>,
    applications: Option<Buckets>,
    /// The requests of addresses without a valid token.
    refused: Buckets,
}

impl Limiter {
    pub(super) fn new(rates: Rates) -> Self {
        Self {
            tokens: rates.per_token.map(Buckets::new),
            applications: rates.per_application.map(Buckets::new),
            refused: Buckets::new(limits::REFUSED_RATE),
        }
    }

    /// Counts a request. Fails if the rate of the token or the application is exceeded. `actor` is
    /// the token's name.
    pub(super) fn admit(&self, request: &ServiceRequest, actor: &str) -> Result<(), Refusal> {
        let now = Instant::now();
        if let Some(tokens) = &self.tokens {
            let whose = || match actor {
                "" => "this registry".to_owned(),
                actor => format!("token `{actor}`"),
            };
            tokens.take(actor, now).map_err(|wait| exceeded(whose(), tokens.rate, wait))?;
        }
        let Some(applications) = &self.applications else { return Ok(()) };
        let name = request.match_info().get(APPLICATION).and_then(application_of);
        let Some(name) = name else { return Ok(()) };
        let whose = format!("application {name}");
        let taken = applications.take(name.as_str(), now);
        taken.map_err(|wait| exceeded(whose, applications.rate, wait))
    }

    /// Counts a refused request: toward the rate of its token or, if the token identifies nobody,
    /// of its address. Returns the refusal, or that of too many requests.
    pub(super) fn refuse(&self, request: &ServiceRequest, refusal: Refusal) -> Refusal {
        let counted = match &refusal {
            Refusal::OnlyReads { token } | Refusal::OutOfScope { token, .. } => {
                self.admit(request, token)
            }
            Refusal::NoToken | Refusal::Unidentified(Unidentified::Unknown) => {
                let address = address_of(request);
                let taken = self.refused.take(&address, Instant::now());
                taken.map_err(|wait| self.too_many_refused(&address, wait))
            }
            _ => Ok(()),
        };
        counted.err().unwrap_or(refusal)
    }

    /// Fails if too many requests of an address were refused.
    pub(super) fn check_refused(&self, request: &ServiceRequest) -> Result<(), Refusal> {
        let address = address_of(request);
        let wait = self.refused.wait(&address, Instant::now());
        wait.map_or(Ok(()), |wait| Err(self.too_many_refused(&address, wait)))
    }

    /// Exchanges the counted requests with other registries, through `exchange`: the requests of
    /// this registry by bucket in, the requests of all registries out.
    pub(super) async fn exchange<E>(
        &self,
        exchange: impl AsyncFnOnce(Vec<(String, u64)>) -> Result<Vec<u64>, E>,
    ) -> Result<(), E> {
        let kinds = [("token", &self.tokens), ("application", &self.applications)];
        let kinds = kinds.into_iter().filter_map(|(kind, buckets)| Some((kind, buckets.as_ref()?)));
        let now = Instant::now();
        let sent: Vec<_> =
            kinds.map(|(kind, buckets)| (kind, buckets, buckets.counted(now))).collect();
        let named = |(kind, _, counts): &(&str, &Buckets, Vec<(String, u64)>)| {
            let kind = kind.to_string();
            let names = counts.iter().map(|(name, count)| (format!("{kind} {name}"), *count));
            names.collect::<Vec<_>>()
        };
        let all: Vec<_> = sent.iter().flat_map(named).collect();
        if all.is_empty() {
            return Ok(());
        }
        let totals = exchange(all).await;
        let now = Instant::now();
        let mut rest = totals.as_deref().unwrap_or_default();
        for (_, buckets, counts) in &sent {
            if totals.is_err() {
                buckets.put_back(counts);
                continue;
            }
            let (own, others) = rest.split_at(counts.len().min(rest.len()));
            buckets.learn(counts, own, now);
            rest = others;
        }
        totals.map(drop)
    }

    fn too_many_refused(&self, address: &str, wait: Duration) -> Refusal {
        let whose = format!("address {address}, which sends no valid token,");
        exceeded(whose, self.refused.rate, wait)
    }
}

/// Returns the client's address. Of IPv6, the network: a host chooses the rest of its address.
fn address_of(request: &ServiceRequest) -> String {
    match request.peer_addr().map(|peer| peer.ip().to_canonical()) {
        Some(IpAddr::V6(address)) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from(network))
        }
        Some(IpAddr::V4(address)) => address.to_string(),
        None => String::new(),
    }
}

/// Returns the application that a segment of a routed path names. Such a path has no escapes but
/// the slash's.
fn application_of(segment: &str) -> Option<ApplicationName> {
    segment.replace("%2F", "/").replace("%2f", "/").parse().ok()
}

fn exceeded(whose: String, rate: Rate, wait: Duration) -> Refusal {
    Refusal::RateExceeded { whose, per_sec: rate.per_sec, wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_or_a_network() {
        let address = |text: &str| {
            let peer = text.parse().unwrap();
            address_of(&actix_web::test::TestRequest::default().peer_addr(peer).to_srv_request())
        };
        assert_eq!(address("10.0.0.1:5"), "10.0.0.1");
        assert_eq!(address("[::ffff:10.0.0.1]:5"), "10.0.0.1");
        assert_eq!(address("[2001:db8:1:2:3:4:5:6]:5"), "2001:db8:1:2::/64");
    }

    #[test]
    fn a_segment_names_an_application() {
        let name = |segment| application_of(segment).map(|name| name.to_string());
        assert_eq!(name("web").as_deref(), Some("web"));
        assert_eq!(name("team%2Fweb").as_deref(), Some("team/web"));
        for segment in ["", "%"] {
            assert_eq!(name(segment), None, "{segment}");
        }
    }
}

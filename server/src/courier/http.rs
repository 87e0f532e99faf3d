//! Delivery of messages over HTTP.
//!
//! Follows no redirect and uses no proxy: either would carry a message to an unchecked address. The
//! addresses of a name are checked when connecting, so that the name cannot change its meaning
//! after the check.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use url::Url;

use super::{Courier, Message, Reach};

/// The maximum time of a delivery, including the answer.
pub const POST_TIME_MAX: Duration = Duration::from_secs(10);
/// The maximum time to connect.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// The time for which an idle connection is kept for the next message.
const IDLE_TIME_MAX: Duration = Duration::from_secs(20);
/// The error for addresses that do not answer, do not exist, or are not permitted, alike.
const UNREACHABLE: &str = "the address cannot be reached from this registry";
const USER_AGENT: &str = concat!("seawall/", env!("CARGO_PKG_VERSION"));

/// A courier over HTTP.
#[derive(Debug)]
pub struct HttpCourier {
    reach: Reach,
    /// The client, created on first use: most registries have no webhook.
    client: OnceLock<Result<Client, String>>,
}

impl HttpCourier {
    /// Returns a courier with a set of permitted addresses.
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        Self { reach, client: OnceLock::new() }
    }

    fn client(&self) -> Result<&Client, String> {
        let made = self.client.get_or_init(|| {
            let client = || {
                Client::builder()
                    .user_agent(USER_AGENT)
                    .redirect(Policy::none())
                    .no_proxy()
                    .dns_resolver(Arc::new(Resolver(self.reach)))
                    .connect_timeout(CONNECT_TIME_MAX)
                    .timeout(POST_TIME_MAX)
                    .pool_idle_timeout(IDLE_TIME_MAX)
                    .pool_max_idle_per_host(1)
            };
            // A machine without certificate authorities trusts no HTTPS receiver. Plain HTTP
            // receivers need none.
            let built = client().build().or_else(|_| client().tls_certs_only([]).build());
            built.map_err(|error| error.to_string())
        });
        made.as_ref().map_err(Clone::clone)
    }
}

#[async_trait::async_trait]
impl Courier for HttpCourier {
    async fn post(&self, message: Message) -> Result<u16, String> {
        let url: Url = message.url.parse().map_err(|error| format!("not a valid URL: {error}"))?;
        if !self.reach.permits_host_of(&url) {
            return Err(UNREACHABLE.to_owned());
        }
        let mut request = self.client()?.post(url).header(CONTENT_TYPE, "application/json");
        for (name, value) in message.headers {
            request = request.header(name, value);
        }
        // The answer's body is not read.
        match request.body(message.body).send().await {
            Ok(answer) => Ok(answer.status().as_u16()),
            // Outcomes are visible to users who must not learn the names and services of this
            // network. The log has the cause for the operator.
            Err(error) => {
                let error = error.without_url();
                tracing::debug!(cause = chain(&error), "cannot reach a webhook");
                Err(UNREACHABLE.to_owned())
            }
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// A resolver limited to the permitted addresses of a name.
#[derive(Debug)]
struct Resolver(Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<SocketAddr> =
                found.filter(|address| reach.permits(address.ip())).collect();
            if permitted.is_empty() {
                return Err("the host name has no permitted address".into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

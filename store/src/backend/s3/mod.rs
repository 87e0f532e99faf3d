//! A store in a bucket of a service that speaks S3.
//!
//! The store asks for PUT, GET of a range, LIST and DELETE, and sends some PUTs on the condition
//! that the object is absent. The condition only saves an upload; nothing relies on it
//! (docs/adr/0012-buckets.md).
//!
//! # Limits
//!
//! A request may take long as long as bytes move; without progress it ends (`watch`). Failures of
//! the service and of the network are repeated with growing pauses, for a minute in all, as long as
//! the budget of all requests together permits it (`retry`).

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::prefix::PrefixStore;
use object_store::{Certificate, ClientOptions, RetryConfig};

mod address;
mod credentials;
mod links;
mod renewal;
mod retry;
mod threads;
mod watch;

use super::bucket::Bucket;
use crate::layer::CacheAt;
pub use address::{BucketAddress, InvalidAddress};
pub use credentials::Environment;
pub(super) use links::Links;
use renewal::{Refused, Renewing};
pub(super) use retry::Budget;
pub(super) use threads::Threads;

/// The time in which a connection is made.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// The time of one request: 17 MiB at 0.25 Mbit/s.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(600);
/// The time for which an unused connection is kept. Gateways close theirs after a minute.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);
/// The default time without progress after which a request is repeated.
pub const STALL_TIME_MAX: Duration = Duration::from_secs(60);

/// The way to name a bucket in an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Style {
    /// In the path: `https://HOST/BUCKET/KEY`.
    #[default]
    Path,
    /// In the host: `https://BUCKET.HOST/KEY`.
    VirtualHost,
}

/// The permission to send requests unencrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Transport {
    /// Only encrypted.
    #[default]
    Encrypted,
    /// Also in the clear.
    Any,
}

/// The way in which clients read packs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reads {
    /// Through the registry.
    #[default]
    Relayed,
    /// From the bucket, at an address that is signed for a while.
    Direct,
}

/// The settings of a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The address of the store.
    pub address: BucketAddress,
    /// The address of the service. `None` is AWS.
    pub endpoint: Option<String>,
    /// The region. `None` takes `AWS_REGION`, else `us-east-1`.
    pub region: Option<String>,
    /// The way to name the bucket.
    pub style: Style,
    /// The permission to send requests unencrypted.
    pub transport: Transport,
    /// The file with certificate authorities to trust beside those of the system.
    pub authorities: Option<PathBuf>,
    /// The time without progress after which a request is repeated.
    pub stall_time_max: Duration,
    /// The way of packs to clients: through the registry, or from the bucket itself.
    pub reads: Reads,
    /// The cache of what the registry reads, on a local disk.
    pub cache: Option<CacheAt>,
    /// The environment variables of AWS's tools.
    pub environment: Environment,
}

impl Settings {
    /// Returns the usual settings of a bucket.
    #[must_use]
    pub fn new(address: BucketAddress, environment: Environment) -> Self {
        Self {
            address,
            endpoint: None,
            region: None,
            style: Style::default(),
            transport: Transport::default(),
            authorities: None,
            stall_time_max: STALL_TIME_MAX,
            reads: Reads::default(),
            cache: None,
            environment,
        }
    }

    /// Returns the address of the service.
    fn endpoint(&self) -> Option<&str> {
        let of_environment = || {
            let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
            names.iter().find_map(|name| self.environment.get(name))
        };
        self.endpoint.as_deref().or_else(of_environment)
    }

    fn region(&self) -> Option<&str> {
        let of_environment =
            || self.environment.get("AWS_REGION").or(self.environment.get("AWS_DEFAULT_REGION"));
        self.region.as_deref().or_else(of_environment)
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    /// The address of the service is none.
    #[error("`{0}` is no address of an S3 service")]
    Endpoint(String),
    /// The address is unencrypted, and that is not permitted.
    #[error("refusing to send data and credentials unencrypted to {0}")]
    InTheClear(String),
    /// The file of certificate authorities cannot be used.
    #[error("cannot use the certificate authorities in {}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The machine provides no thread.
    #[error("cannot create the threads of the bucket's connections")]
    Threads(#[source] io::Error),
    /// The settings contradict each other.
    #[error("the bucket cannot be opened with these settings")]
    Other(#[source] object_store::Error),
}

impl InvalidSettings {
    /// Returns the next step.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Endpoint(_) => {
                "write https://HOST[:PORT], without a user, a path or a bucket, in --s3-endpoint"
            }
            Self::InTheClear(_) => {
                "use an https:// address in --s3-endpoint, or give --s3-allow-http"
            }
            Self::Authorities { .. } => "give a readable file of PEM certificates in --s3-ca",
            Self::Threads(_) => "raise the limit of processes (`ulimit -u`) and start again",
            Self::Other(_) => {
                "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither of them"
            }
        }
    }
}

/// The parts of a service beside its calls.
#[derive(Debug)]
pub(super) struct Service {
    /// The threads of the connections. They end with the last clone of the bucket.
    pub(super) _threads: Threads,
    /// The addresses for clients, if they may read from the bucket.
    pub(super) links: Option<Links>,
    /// The budget of retries.
    pub(super) budget: Arc<Budget>,
}

/// Opens a bucket. No request is sent.
///
/// # Errors
/// Fails if the settings cannot be used.
pub fn open(settings: &Settings) -> Result<Bucket, InvalidSettings> {
    let address = &settings.address;
    let endpoint = settings.endpoint().map(|text| endpoint(text, settings)).transpose()?;
    let is_encrypted = endpoint.as_deref().is_none_or(is_encrypted);
    let threads = Threads::start().map_err(InvalidSettings::Threads)?;
    let budget = Arc::new(Budget::default());
    let refused = Arc::new(Refused::default());
    let connector = watch::Connector {
        runtime: threads.handle(),
        stall_time_max: settings.stall_time_max,
        budget: Arc::clone(&budget),
        refused: Arc::clone(&refused),
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(address.bucket())
        .with_virtual_hosted_style_request(settings.style == Style::VirtualHost)
        .with_allow_http(settings.transport == Transport::Any)
        // A hash of the payload costs a core, and TLS protects the payload already.
        .with_unsigned_payload(is_encrypted)
        // The request that deletes many is one that not every service has.
        .with_disable_bulk_delete(true)
        // The connector retries.
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_client_options(client_options(settings)?)
        .with_http_connector(connector);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = settings.region() {
        builder = builder.with_region(region);
    }
    builder = settings.environment.apply(builder);
    if settings.environment.has_temporary_keys() {
        let source = Renewing::new(builder.clone(), refused).map_err(InvalidSettings::Other)?;
        builder = builder.with_credentials(Arc::new(source));
    }
    let s3 = builder.build().map_err(InvalidSettings::Other)?;
    let links = match settings.reads {
        Reads::Relayed => None,
        Reads::Direct => Some(Links::new(s3.clone(), address.prefix())),
    };
    let service = Service { _threads: threads, links, budget };
    Ok(match address.prefix() {
        "" => Bucket::of_service(Arc::new(s3), service),
        prefix => Bucket::of_service(Arc::new(PrefixStore::new(s3, prefix)), service),
    })
}

fn client_options(settings: &Settings) -> Result<ClientOptions, InvalidSettings> {
    let mut options = ClientOptions::new()
        .with_allow_http(settings.transport == Transport::Any)
        .with_connect_timeout(CONNECT_TIME_MAX)
        .with_timeout(REQUEST_TIME_MAX)
        .with_pool_idle_timeout(IDLE_TIME_MAX);
    let Some(path) = &settings.authorities else { return Ok(options) };
    let unusable = |source| InvalidSettings::Authorities { path: path.clone(), source };
    let pem = fs::read(path).map_err(unusable)?;
    let invalid = |error| unusable(io::Error::new(io::ErrorKind::InvalidData, error));
    let certificates = Certificate::from_pem_bundle(&pem).map_err(invalid)?;
    if certificates.is_empty() {
        let source = io::Error::new(io::ErrorKind::InvalidData, "it has no certificate");
        return Err(unusable(source));
    }
    for certificate in certificates {
        options = options.with_root_certificate(certificate);
    }
    Ok(options)
}

fn is_encrypted(endpoint: &str) -> bool {
    endpoint.starts_with("https://")
}

/// Checks the address of the service. Returns the address of the bucket if the bucket is part of
/// the host.
fn endpoint(text: &str, settings: &Settings) -> Result<String, InvalidSettings> {
    // What follows an `@` is the host: what stands before it may be a secret.
    let shown = || text.rsplit('@').next().unwrap_or_default().escape_debug().to_string();
    let (scheme, host) = text.split_once("://").unwrap_or(("", text));
    let host = host.trim_end_matches('/');
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']');
    if !matches!(scheme, "http" | "https") || host.is_empty() || !host.chars().all(is_host) {
        return Err(InvalidSettings::Endpoint(shown()));
    }
    if scheme == "http" && settings.transport != Transport::Any {
        return Err(InvalidSettings::InTheClear(shown()));
    }
    Ok(match settings.style {
        Style::Path => format!("{scheme}://{host}"),
        Style::VirtualHost => format!("{scheme}://{}.{host}", settings.address.bucket()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(endpoint: &str) -> Settings {
        let address = "s3://seawall/team".parse().unwrap();
        let variables = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        let variables = variables.map(|name| (name.to_owned(), "x".to_owned()));
        let environment = Environment::of(variables);
        Settings { endpoint: Some(endpoint.to_owned()), ..Settings::new(address, environment) }
    }

    #[test]
    fn requests_travel_in_the_clear_only_if_that_is_said() {
        let mut settings = settings("http://127.0.0.1:7480");
        let error = open(&settings).unwrap_err();
        assert!(matches!(error, InvalidSettings::InTheClear(_)), "{error}");
        assert!(error.remedy().contains("--s3-allow-http"));
        settings.transport = Transport::Any;
        open(&settings).unwrap();
    }

    #[test]
    fn an_endpoint_is_a_host_and_nothing_more() {
        for text in ["x", "ftp://x", "https://", "https://x/bucket", "https://key:hidden@x", "a b"]
        {
            let error = open(&settings(text)).unwrap_err();
            assert!(matches!(error, InvalidSettings::Endpoint(_)), "{text}: {error}");
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
        let mut settings = settings("https://s3.example.org/");
        assert_eq!(endpoint("https://a.b/", &settings).unwrap(), "https://a.b");
        settings.style = Style::VirtualHost;
        assert_eq!(endpoint("https://a.b", &settings).unwrap(), "https://seawall.a.b");
    }

    #[test]
    fn the_environment_fills_what_is_not_said() {
        let address = "s3://seawall".parse().unwrap();
        let variables = [("AWS_REGION", "eu-1"), ("AWS_ENDPOINT_URL", "http://a")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut settings = Settings::new(address, Environment::of(variables));
        assert_eq!((settings.endpoint(), settings.region()), (Some("http://a"), Some("eu-1")));
        (settings.endpoint, settings.region) = (Some("https://b".into()), Some("eu-2".into()));
        assert_eq!((settings.endpoint(), settings.region()), (Some("https://b"), Some("eu-2")));
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let settings = Settings { authorities: Some(path.clone()), ..settings("https://a") };
        for _ in 0..2 {
            let error = open(&settings).unwrap_err();
            assert!(matches!(error, InvalidSettings::Authorities { .. }), "{error}");
            fs::write(&path, "no certificate").unwrap();
        }
    }
}

//! Depots as a command names them: `s3://BUCKET/PREFIX`, `file:DIR`, `depot+https://HOST/PATH`, or
//! `https://HOST/PATH` where a web server has the identity of a depot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall::depot::medium::{Medium, StoredFiles, Web};
use seawall::depot::{Depot, Owner};
use seawall::error::ErrorKind;
use seawall::registry::http::Timeouts;
use seawall::registry::{HttpRegistry, RegistryError, RetryPolicy, Token};
use seawall_store::backend::s3::{self, BucketAddress, Settings, Transport};
use seawall_store::backend::{Bucket, Directory};

use crate::failure::Failure;
use crate::now;

/// The scheme of an address that is a depot without a question.
const WEB_MARK: &str = "depot+";
const FILE_MARK: &str = "file:";
const BUCKET_MARK: &str = "s3://";

/// The location of a depot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum DepotAt {
    /// A directory.
    Directory(PathBuf),
    /// A prefix of a bucket.
    Bucket(BucketAddress),
    /// A path of a web server: the address without `depot+`.
    Web(String),
}

impl DepotAt {
    /// Parses the location of a depot; `None` for any other text.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, Failure> {
        if let Some(path) = text.strip_prefix(FILE_MARK) {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(Failure::usage(
                    format!("`{text}` names no directory"),
                    "write file:DIRECTORY",
                ));
            }
            return Ok(Some(Self::Directory(path.into())));
        }
        if text.starts_with(BUCKET_MARK) {
            let bucket = text.parse().map_err(|error: s3::InvalidAddress| {
                Failure::usage(error.to_string(), error.remedy())
            })?;
            return Ok(Some(Self::Bucket(bucket)));
        }
        Ok(text.strip_prefix(WEB_MARK).map(|url| Self::Web(url.to_owned())))
    }

    /// Returns the location as text that names the depot from any working directory.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Directory(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                format!("{FILE_MARK}{}", path.display())
            }
            Self::Bucket(bucket) => bucket.to_string(),
            Self::Web(url) => format!("{WEB_MARK}{url}"),
        }
    }

    /// Opens the depot to read it.
    pub(crate) async fn open(&self, token: Option<Token>) -> Result<Arc<Depot>, Failure> {
        let medium: Arc<dyn Medium> = match self {
            Self::Directory(path) => {
                if !path.is_dir() {
                    let what = format!("there is no directory {}", path.display());
                    let remedy = "name the directory of a depot, as in file:/srv/depot";
                    return Err(Failure::usage(what, remedy).of_kind(ErrorKind::NotFound));
                }
                Arc::new(directory(path, self.address())?)
            }
            Self::Bucket(bucket) => Arc::new(self.bucket(bucket)?),
            Self::Web(url) => Arc::new(Web::from(server(url, token)?)),
        };
        Ok(Arc::new(Depot::open(medium, now_secs).await?))
    }

    /// Opens the depot to write to it as the mirror of `mirror`; an empty place becomes a depot.
    pub(crate) async fn create(&self, mirror: &str) -> Result<Arc<Depot>, Failure> {
        let medium = match self {
            Self::Directory(path) => {
                std::fs::create_dir_all(path).map_err(|error| {
                    Failure::io(&format!("cannot create {}", path.display()), &error)
                })?;
                directory(path, self.address())?
            }
            Self::Bucket(bucket) => self.bucket(bucket)?,
            Self::Web(url) => {
                return Err(Failure::usage(
                    format!("{url} is a web server, through which nothing can be written"),
                    "name the directory or the bucket that it serves: file:DIR or s3://BUCKET/PREFIX",
                ));
            }
        };
        owned(medium, mirror).await
    }

    /// Opens the depot for a plan, which writes nothing.
    pub(crate) async fn planned(&self, mirror: &str) -> Result<Arc<Depot>, Failure> {
        match self {
            Self::Directory(path) if !path.exists() => {
                owned(StoredFiles::new(Bucket::in_memory(), self.address()), mirror).await
            }
            // Nothing is written before the first object.
            _ => self.create(mirror).await,
        }
    }

    fn bucket(&self, bucket: &BucketAddress) -> Result<StoredFiles, Failure> {
        let environment = crate::aws_environment();
        let may_be_clear = environment.get("AWS_ALLOW_HTTP") == Some("true");
        let mut settings = Settings::new(bucket.clone(), environment);
        if may_be_clear {
            settings.transport = Transport::Any;
        }
        let opened = s3::open(&settings).map_err(|error| {
            let remedy = match &error {
                s3::InvalidSettings::InTheClear(_) => {
                    "use an https:// address in AWS_ENDPOINT_URL, or set AWS_ALLOW_HTTP=true"
                }
                error => error.remedy(),
            };
            Failure::new(ErrorKind::InvalidInput, &error, Some(remedy.to_owned()))
        })?;
        Ok(StoredFiles::new(opened, self.address()))
    }
}

/// Returns a text of 32 hexadecimal digits that no other run has.
pub(crate) fn random_id(mirror: &str) -> String {
    let nanos = now().duration_since(std::time::UNIX_EPOCH).map_or(0, |it| it.as_nanos());
    let run = format!("{nanos} {} {mirror}", std::process::id());
    let mut id = seawall_api::digest::ContentDigest::of(run.as_bytes()).to_hex();
    id.truncate(32);
    id
}

/// Opens a depot as the mirror of `mirror`.
async fn owned(medium: StoredFiles, mirror: &str) -> Result<Arc<Depot>, Failure> {
    let (nonce, mirror) = (random_id(mirror), mirror.to_owned());
    let owner = Owner { mirror, nonce, channels_expire_in_secs: None };
    Ok(Arc::new(Depot::create(Arc::new(medium), owner, now_secs).await?))
}

fn directory(path: &Path, address: String) -> Result<StoredFiles, Failure> {
    let files = Directory::open(path)
        .map_err(|error| Failure::new(error.kind(), &error, error.remedy()))?;
    Ok(StoredFiles::new(files, address))
}

fn server(url: &str, token: Option<Token>) -> Result<HttpRegistry, Failure> {
    let server = HttpRegistry::new(url, token, Timeouts::default()).map_err(|error| {
        let remedy = "write it as https://releases.example/depot".to_owned();
        Failure::new(ErrorKind::InvalidInput, &error, Some(remedy))
    })?;
    let note = |error: &RegistryError| tracing::info!(%error, "retrying");
    Ok(server.retrying(RetryPolicy::default(), note))
}

/// Returns the depot at an address with a path, if a web server has the identity of one there. A
/// registry answers that it has no such path.
pub(crate) async fn probe(url: &str, token: Option<Token>) -> Option<Arc<Depot>> {
    let has_path =
        url.split_once("://").is_some_and(|(_, rest)| rest.trim_end_matches('/').contains('/'));
    if !has_path {
        return None;
    }
    let server = HttpRegistry::new(url, token, Timeouts::default()).ok()?;
    Depot::open(Arc::new(Web::from(server)), now_secs).await.ok().map(Arc::new)
}

/// Returns the time, in seconds since 1970-01-01 UTC.
pub(crate) fn now_secs() -> u64 {
    now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

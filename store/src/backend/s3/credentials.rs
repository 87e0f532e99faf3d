//! Credentials, from where AWS's own tools take them.
//!
//! | order | source |
//! |---|---|
//! | 1 | `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` |
//! | 2 | `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN` |
//! | 3 | `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `…_FULL_URI` |
//! | 4 | the profile `AWS_PROFILE` of the file `AWS_SHARED_CREDENTIALS_FILE` or `~/.aws/credentials` |
//! | 5 | the role of the machine |
//!
//! The file is read again once it changed. The sources of temporary keys are asked again shortly
//! before the keys expire, or once the service refuses them (`renewal`).
//!
//! No other variable has an effect, so that none that is meant for another program changes what the
//! store relies on: `AWS_CONDITIONAL_PUT`, for example, would break every push.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use object_store::CredentialProvider;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider};

/// The variables that name credentials; their values may be secret.
const SOURCES: [&str; 11] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
];
/// The variable of keys that never change.
const STATIC_KEY: &str = "AWS_ACCESS_KEY_ID";
/// The variables of which one decides the source, before any credentials file.
const DECISIVE: [&str; 4] = [
    STATIC_KEY,
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// The environment variables of AWS's tools.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Environment(BTreeMap<String, String>);

impl fmt::Debug for Environment {
    /// Writes the names only: values are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// Takes the variables of AWS's tools, and `HOME`, from all variables of a process.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let is_ours = |name: &str| name == "HOME" || name.starts_with("AWS_");
        let ours = variables.into_iter().filter(|(name, value)| is_ours(name) && !value.is_empty());
        Self(ours.collect())
    }

    /// Returns a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets the source of credentials.
    pub(super) fn apply(&self, mut builder: AmazonS3Builder) -> AmazonS3Builder {
        for name in SOURCES {
            let key = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>();
            if let (Some(value), Ok(key)) = (self.get(name), key) {
                builder = builder.with_config(key, value);
            }
        }
        match self.decisive_profile() {
            Some(profile) => builder.with_credentials(Arc::new(profile)),
            None => builder,
        }
    }

    /// Returns whether the keys come from a source that keeps them until they expire.
    pub(super) fn has_temporary_keys(&self) -> bool {
        self.get(STATIC_KEY).is_none() && self.decisive_profile().is_none()
    }

    /// Returns the profile that is the source of credentials, if one is.
    fn decisive_profile(&self) -> Option<Profile> {
        let is_decided = DECISIVE.iter().any(|name| self.get(name).is_some());
        self.profile().filter(|profile| !is_decided && profile.path.is_file())
    }

    /// Returns the credentials for any service of AWS, renewed when they expire. No request is
    /// sent.
    ///
    /// # Errors
    /// Fails if the variables contradict each other.
    pub fn credentials(&self, region: &str) -> object_store::Result<AwsCredentialProvider> {
        // The chain of credentials is that of a bucket; its name is never sent.
        let builder = AmazonS3Builder::new().with_bucket_name("none").with_region(region);
        let s3 = self.apply(builder).build()?;
        Ok(Arc::clone(s3.credentials()))
    }

    fn profile(&self) -> Option<Profile> {
        let path = match (self.get("AWS_SHARED_CREDENTIALS_FILE"), self.get("HOME")) {
            (Some(path), _) => PathBuf::from(path),
            (None, Some(home)) => Path::new(home).join(".aws/credentials"),
            (None, None) => return None,
        };
        let name = self.get("AWS_PROFILE").unwrap_or("default").to_owned();
        Some(Profile { path, name, read: Mutex::new(None) })
    }
}

/// A profile of a credentials file. The file is read again once it changed, so that credentials
/// that expire can be renewed without a restart.
struct Profile {
    path: PathBuf,
    name: String,
    read: Mutex<Option<(SystemTime, Arc<AwsCredential>)>>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("path", &self.path).field("name", &self.name).finish()
    }
}

impl Profile {
    fn current(&self) -> io::Result<Arc<AwsCredential>> {
        let changed = fs::metadata(&self.path)?.modified()?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, credential)) = &*read
            && *at == changed
        {
            return Ok(Arc::clone(credential));
        }
        let credential = parse(&fs::read_to_string(&self.path)?, &self.name).ok_or_else(|| {
            let why = format!("it has no keys in the profile `{}`", self.name);
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?;
        let credential = Arc::new(credential);
        *read = Some((changed, Arc::clone(&credential)));
        Ok(credential)
    }
}

#[async_trait::async_trait]
impl CredentialProvider for Profile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.current().map_err(|error| {
            let why = format!("no credentials in {}: {error}", self.path.display());
            let path = self.path.display().to_string();
            object_store::Error::Unauthenticated { path, source: why.into() }
        })
    }
}

/// Parses a profile of a credentials file.
fn parse(text: &str, profile: &str) -> Option<AwsCredential> {
    let mut keys = BTreeMap::new();
    let mut is_wanted = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            is_wanted = name.trim_end_matches(']').trim() == profile;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_wanted) {
            keys.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    Some(AwsCredential {
        key_id: keys.remove("aws_access_key_id")?,
        secret_key: keys.remove("aws_secret_access_key")?,
        token: keys.remove("aws_session_token").filter(|token| !token.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\n[default]\naws_access_key_id = ONE\naws_secret_access_key=s=1\n\
                        [team]\naws_access_key_id=TWO\naws_secret_access_key = 2\n\
                        aws_session_token = T\n[empty]\n";

    #[test]
    fn a_profile_of_a_credentials_file_is_read() {
        let one = parse(FILE, "default").unwrap();
        assert_eq!((&*one.key_id, &*one.secret_key, one.token), ("ONE", "s=1", None));
        let two = parse(FILE, "team").unwrap();
        assert_eq!((&*two.key_id, &*two.secret_key), ("TWO", "2"));
        assert_eq!(two.token.as_deref(), Some("T"));
        assert!(parse(FILE, "empty").is_none() && parse(FILE, "none").is_none());
    }

    #[tokio::test]
    async fn a_credentials_file_that_changed_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        let environment = Environment::of([
            ("AWS_SHARED_CREDENTIALS_FILE".to_owned(), path.display().to_string()),
            ("AWS_PROFILE".to_owned(), "team".to_owned()),
        ]);
        let profile = environment.profile().unwrap();
        let error = profile.get_credential().await.unwrap_err();
        assert!(matches!(error, object_store::Error::Unauthenticated { .. }), "{error}");
        fs::write(&path, FILE).unwrap();
        assert_eq!(profile.get_credential().await.unwrap().key_id, "TWO");
        fs::write(&path, FILE.replace("TWO", "NEW")).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(profile.get_credential().await.unwrap().key_id, "NEW");
    }

    #[test]
    fn values_are_never_shown() {
        let secret = ("AWS_SECRET_ACCESS_KEY".to_owned(), "hidden".to_owned());
        let environment = Environment::of([secret, ("PATH".to_owned(), "x".to_owned())]);
        assert_eq!(format!("{environment:?}"), "{\"AWS_SECRET_ACCESS_KEY\"}");
    }
}

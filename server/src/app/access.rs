//! Access tokens kept in the catalog, so that every process that serves the catalog accepts them.
//!
//! A process remembers a token for [`REMEMBERED_SECS`], so that most requests read nothing. A
//! revoked token is refused at once by the process that revoked it, and by the others after that
//! time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use seawall_api::names::{ApplicationPattern, TokenName};

use super::AppError;
use super::page::Page;
use crate::catalog::Catalog;
use crate::catalog::access::{Role, TOKENS_MAX, Token, TokenCreated, TokenRevoked};
use crate::host::Host;

/// The name of the actor of commands in a registry's directory, which no token may have.
pub const LOCAL_NAME: &str = "local";
/// The beginning of every secret, by which scanners for leaked secrets recognise one.
const SECRET_PREFIX: &str = "swt_";
/// The number of random bytes of a secret.
const SECRET_LEN: usize = 32;
/// The maximum number of patterns of a token.
const PATTERNS_MAX: usize = 64;
/// The time for which a token is not looked up again, in seconds.
const REMEMBERED_SECS: u64 = 2;
/// The time for which counts of requests are kept, in seconds: longer than clocks differ.
const COUNTED_SECS: u64 = 3600;
/// The maximum number of remembered tokens.
const REMEMBERED_MAX: usize = 4096;

/// A request to create a token.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The name of the token.
    pub name: TokenName,
    /// The role of the token.
    pub role: Role,
    /// The applications that the token is limited to; empty for no limit.
    pub applications: Vec<ApplicationPattern>,
    /// Time of expiry, in seconds since 1970-01-01 UTC; `None` for never.
    pub expires_at_secs: Option<u64>,
    /// The name of the token used; empty without authentication.
    pub created_by: String,
}

/// The tokens in the catalog.
pub struct Tokens {
    catalog: Catalog,
    host: Arc<dyn Host>,
    /// The tokens found lately, with the time of the look-up, by the digest of their secret.
    recent: Mutex<HashMap<[u8; 32], (Token, u64)>>,
    /// The number of tokens revoked by this process.
    revoked_count: AtomicU64,
}

impl Tokens {
    pub(super) fn new(catalog: Catalog, host: Arc<dyn Host>) -> Self {
        Self { catalog, host, recent: <_>::default(), revoked_count: <_>::default() }
    }

    fn recent<T>(&self, work: impl FnOnce(&mut HashMap<[u8; 32], (Token, u64)>) -> T) -> T {
        work(&mut self.recent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Creates a token. Returns the token and its secret, of which only the digest is kept.
    ///
    /// # Errors
    /// [`AppError::NameTaken`] if there is or was a token of this name, [`AppError::Invalid`] if
    /// the token would be expired or has too many patterns, [`AppError::LimitReached`] if there are
    /// too many tokens.
    pub async fn create(&self, new: NewToken) -> Result<(Token, String), AppError> {
        let now_secs = self.host.now_secs();
        let NewToken { name, role, mut applications, expires_at_secs, created_by } = new;
        if expires_at_secs.is_some_and(|end| end <= now_secs || i64::try_from(end).is_err()) {
            return Err(AppError::rule("the token would expire in the past, or after all time"));
        }
        if name.as_str() == LOCAL_NAME {
            let rule =
                format!("`{LOCAL_NAME}` is the name for commands in the registry's directory");
            return Err(AppError::rule(rule));
        }
        applications.sort();
        applications.dedup();
        if applications.len() > PATTERNS_MAX {
            let rule = format!("a token is limited to at most {PATTERNS_MAX} patterns");
            return Err(AppError::rule(rule));
        }
        let secret = self.new_secret()?;
        let token = Token {
            name,
            role,
            applications,
            created_at_secs: now_secs,
            created_by,
            expires_at_secs,
            revoked_at_secs: None,
        };
        match self.catalog.create_token(token.clone(), digest(&secret)).await? {
            TokenCreated::Done => Ok((token, secret)),
            TokenCreated::NameTaken => Err(AppError::NameTaken { name: token.name }),
            TokenCreated::TooMany => Err(AppError::LimitReached {
                whose: "this registry".to_owned(),
                limit: format!("{TOKENS_MAX} tokens"),
                remedy: "revoke tokens that are not needed: `seawall token list` shows them",
            }),
        }
    }

    fn new_secret(&self) -> Result<String, AppError> {
        let mut bytes = Vec::with_capacity(SECRET_LEN);
        while bytes.len() < SECRET_LEN {
            let random = self.host.random().ok_or_else(|| AppError::Internal {
                action: "make a token",
                source: "the system provides no random bytes".into(),
            })?;
            bytes.extend_from_slice(&random);
        }
        Ok(format!("{SECRET_PREFIX}{}", hex::encode(bytes)))
    }

    /// Lists tokens by name, starting after `after`, valid or not.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn list(
        &self,
        after: Option<TokenName>,
        limit: u32,
    ) -> Result<Page<Token, TokenName>, AppError> {
        let items = self.catalog.tokens(after, limit.saturating_add(1)).await?;
        Ok(Page::of(items, limit, |token| token.name.clone()))
    }

    /// Revokes a token. Revoking a revoked token again changes nothing.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such token.
    pub async fn revoke(&self, name: TokenName, actor: String) -> Result<(), AppError> {
        let now_secs = self.host.now_secs();
        let revoked = self.catalog.revoke_token(name.clone(), actor, now_secs).await?;
        self.recent(|recent| {
            self.revoked_count.fetch_add(1, Ordering::AcqRel);
            recent.retain(|_, (token, _)| token.name != name);
        });
        match revoked {
            TokenRevoked::Done | TokenRevoked::Already => Ok(()),
            TokenRevoked::Absent => Err(AppError::not_found(format!("token `{name}`"))),
        }
    }

    /// Adds requests that this process counted, by bucket, to those of all processes. Returns the
    /// sums.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn add_counts(&self, counts: Vec<(String, u64)>) -> Result<Vec<u64>, AppError> {
        Ok(self.catalog.add_request_counts(counts, self.host.now_secs()).await?)
    }

    /// Forgets the sums of buckets that no process added to for an hour.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn forget_counts(&self) -> Result<(), AppError> {
        let before_secs = self.host.now_secs().saturating_sub(COUNTED_SECS);
        Ok(self.catalog.forget_request_counts(before_secs).await?)
    }

    /// Returns true if this process found a valid token with a secret, and remembers.
    pub(crate) fn was_found(&self, secret: &str) -> bool {
        self.recent(|recent| recent.contains_key(&digest(secret)))
    }

    /// Returns the valid token with a secret.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn find(&self, secret: &str) -> Result<Option<Token>, AppError> {
        // Other texts are secrets of a token file, or guesses. They cost no look-up.
        if !is_secret(secret) {
            return Ok(None);
        }
        let (digest, now_secs) = (digest(secret), self.host.now_secs());
        let fresh = |at: u64| at <= now_secs && now_secs - at < REMEMBERED_SECS;
        let known = self.recent(|recent| match recent.get(&digest) {
            Some((token, at)) if fresh(*at) => Some(token.clone()),
            _ => None,
        });
        if let Some(token) = known {
            return Ok(Some(token).filter(|token| token.is_valid(now_secs)));
        }
        let revoked_before = self.revoked_count.load(Ordering::Acquire);
        let token = self.catalog.token(digest).await?;
        let token = token.filter(|token| token.is_valid(now_secs));
        self.recent(|recent| {
            recent.remove(&digest);
            if recent.len() >= REMEMBERED_MAX {
                recent.retain(|_, (_, at)| fresh(*at));
            }
            // A token revoked since the look-up is not remembered.
            let is_current = revoked_before == self.revoked_count.load(Ordering::Acquire);
            if let Some(token) = token.clone().filter(|_| is_current)
                && recent.len() < REMEMBERED_MAX
            {
                recent.insert(digest, (token, now_secs));
            }
        });
        Ok(token)
    }
}

fn digest(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

fn is_secret(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let digits = text.strip_prefix(SECRET_PREFIX);
    digits.is_some_and(|digits| digits.len() == 2 * SECRET_LEN && digits.bytes().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::Site;

    fn new(name: &str, expires_at_secs: Option<u64>) -> NewToken {
        NewToken {
            name: name.parse().unwrap(),
            role: Role::Reader,
            applications: vec![],
            expires_at_secs,
            created_by: String::new(),
        }
    }

    #[tokio::test]
    async fn a_token_is_valid_until_it_expires_or_is_revoked_in_every_process() {
        let site = Site::new();
        let [one, other] = [site.sound(), site.sound()];
        let end = site.now_secs() + 10;
        let (token, secret) = one.tokens.create(new("ci", Some(end))).await.unwrap();
        let (_, lasting) = one.tokens.create(new("ops", None)).await.unwrap();
        assert_ne!(secret, lasting);
        for registry in [&one, &other] {
            assert_eq!(registry.tokens.find(&secret).await.unwrap(), Some(token.clone()));
        }
        site.pass(10);
        for registry in [&one, &other] {
            assert_eq!(registry.tokens.find(&secret).await.unwrap(), None, "expired");
            assert!(registry.tokens.find(&lasting).await.unwrap().is_some());
        }
        one.tokens.revoke("ops".parse().unwrap(), String::new()).await.unwrap();
        assert_eq!(one.tokens.find(&lasting).await.unwrap(), None, "revoked here");
        assert!(other.tokens.find(&lasting).await.unwrap().is_some(), "remembered");
        site.pass(REMEMBERED_SECS);
        assert_eq!(other.tokens.find(&lasting).await.unwrap(), None);
    }

    /// A token in constant use is looked up once in [`REMEMBERED_SECS`], not at every request.
    #[tokio::test]
    async fn a_token_is_remembered_again_after_each_look_up() {
        let site = Site::new();
        let registry = site.sound();
        let (_, secret) = registry.tokens.create(new("ci", None)).await.unwrap();
        let remembered_at = || registry.tokens.recent(|recent| recent.values().next().unwrap().1);
        for _ in 0..3 {
            registry.tokens.find(&secret).await.unwrap().unwrap();
            let looked_up_at = remembered_at();
            assert_eq!(looked_up_at, site.now_secs());
            site.pass(REMEMBERED_SECS - 1);
            registry.tokens.find(&secret).await.unwrap().unwrap();
            assert_eq!(remembered_at(), looked_up_at, "a hit prolongs nothing");
            site.pass(1);
        }
    }

    #[tokio::test]
    async fn a_token_that_could_not_be_used_is_not_created() {
        let site = Site::new();
        let registry = site.sound();
        for end in [0, site.now_secs(), u64::MAX] {
            let created = registry.tokens.create(new("ci", Some(end))).await;
            assert!(matches!(created, Err(AppError::Invalid { .. })), "{end}");
        }
        registry.tokens.create(new("ci", None)).await.unwrap();
        let again = registry.tokens.create(new("ci", None)).await;
        assert!(matches!(again, Err(AppError::NameTaken { .. })));
        let absent = registry.tokens.revoke("x".parse().unwrap(), String::new()).await;
        assert!(matches!(absent, Err(AppError::NotFound { .. })));
        for text in ["", "swt_", "0123456789abcdef0", &format!("swt_{}", "0".repeat(64))] {
            assert_eq!(registry.tokens.find(text).await.unwrap(), None, "{text:?}");
        }
    }
}

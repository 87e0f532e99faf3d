//! Rights that this process gives to a part of itself, for the time of its work.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::app::AppError;
use crate::host::Host;

/// The number of random bytes of a secret.
const SECRET_LEN: usize = 32;

/// The granted rights, by the digest of their secrets.
type Granted = Mutex<HashMap<[u8; 32], String>>;

/// The rights that are granted now. Each permits everything to an actor whose name no token can
/// have, and is known to this process alone.
pub struct Grants {
    host: Arc<dyn Host>,
    granted: Arc<Granted>,
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants").finish_non_exhaustive()
    }
}

/// A right, until dropped.
pub struct Grant {
    secret: String,
    granted: Weak<Granted>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grant(…)")
    }
}

impl Grant {
    /// Returns the secret to send as a bearer token.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(granted) = self.granted.upgrade() {
            let mut granted = granted.lock().unwrap_or_else(PoisonError::into_inner);
            granted.remove(blake3::hash(self.secret.as_bytes()).as_bytes());
        }
    }
}

impl Grants {
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        Self { host, granted: <_>::default() }
    }

    /// Grants a right to an actor.
    ///
    /// # Errors
    /// Fails if the system provides no random bytes.
    pub(crate) fn open(&self, actor: &str) -> Result<Grant, AppError> {
        let mut bytes = Vec::with_capacity(SECRET_LEN);
        while bytes.len() < SECRET_LEN {
            let random = self.host.random().ok_or_else(|| AppError::Internal {
                action: "make a token",
                source: "the system provides no random bytes".into(),
            })?;
            bytes.extend_from_slice(&random);
        }
        let secret = hex::encode(bytes);
        let digest = *blake3::hash(secret.as_bytes()).as_bytes();
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.insert(digest, actor.to_owned());
        Ok(Grant { secret, granted: Arc::downgrade(&self.granted) })
    }

    /// Returns the actor with a secret.
    pub(crate) fn actor(&self, secret: &str) -> Option<String> {
        let granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        if granted.is_empty() {
            return None;
        }
        // Looked up by digest, so that the time does not depend on the secret.
        granted.get(blake3::hash(secret.as_bytes()).as_bytes()).cloned()
    }
}

//! The identity of a depot: written first, never replaced.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::depot::DepotError;
use crate::depot::medium::Medium;
use crate::registry::RegistryError;

/// The path of the identity.
pub const IDENTITY: &str = "depot.json";
const SCHEMA: &str = "seawall.depot/1";
const LEN_MAX: u64 = 16 << 10;
/// The maximum length of the name of a mirror, in bytes.
const OWNER_LEN_MAX: usize = 1024;

/// The identity of a depot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    schema: String,
    /// The random name of the depot, in every document of it.
    pub id: String,
    /// The mirror that owns the depot: no other one writes to it.
    pub mirror: String,
}

impl Identity {
    /// Makes the identity of a new depot.
    #[must_use]
    pub fn new(id: String, mirror: String) -> Self {
        Self { schema: SCHEMA.to_owned(), id, mirror }
    }

    /// Reads the identity of a depot, `None` if there is none.
    ///
    /// # Errors
    /// Fails if the files cannot be read, or the identity is malformed.
    pub async fn read(medium: &dyn Medium) -> Result<Option<Self>, RegistryError> {
        let Some(bytes) = medium.read(IDENTITY, LEN_MAX).await? else { return Ok(None) };
        let address = || medium.address().to_owned();
        let document = || IDENTITY.to_owned();
        let malformed =
            |why| DepotError::Document { address: address(), document: document(), why };
        let identity: Self =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if identity.schema != SCHEMA {
            let schema = crate::plain::one_line(&identity.schema);
            return Err(
                DepotError::Newer { address: address(), document: document(), schema }.into()
            );
        }
        let is_id = !identity.id.is_empty() && identity.id.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_id || identity.id.len() > 64 || identity.mirror.len() > OWNER_LEN_MAX {
            return Err(malformed("its id or its mirror is none".to_owned()).into());
        }
        Ok(Some(identity))
    }

    /// Returns the bytes at rest.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text.into()
    }
}

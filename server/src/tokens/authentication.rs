//! Authentication: who sends a request, by the token file or by the tokens in the catalog.

use std::sync::Arc;

use seawall_api::names::ApplicationPattern;

use super::TokenBook;
use crate::app::AppError;
use crate::app::access::Tokens;
use crate::app::model::Role;

/// The holder of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    /// The name of the token.
    pub(crate) name: String,
    /// The role of the token.
    pub(crate) role: Role,
    /// The applications that the token is limited to. Empty for all applications and the registry
    /// itself.
    pub(crate) applications: Vec<ApplicationPattern>,
}

/// The reason why a secret identifies nobody.
#[derive(Debug)]
pub(crate) enum Unidentified {
    /// No valid token has the secret.
    Unknown,
    /// The token in the catalog has the name of another one in the file. The audit log could not
    /// tell them apart.
    Ambiguous { name: String },
    /// The tokens in the catalog could not be looked up.
    LookupFailed(AppError),
}

/// The tokens that a registry accepts.
pub(crate) struct Authentication {
    /// The tokens of a file, if there is one.
    pub(crate) file: Option<TokenBook>,
    /// The tokens in the catalog, if they are accepted.
    pub(crate) catalog: Option<Arc<Tokens>>,
}

impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authentication").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Authentication {
    /// Returns true if the token with a secret was valid lately.
    pub(crate) fn knows(&self, secret: &str) -> bool {
        let is_in_file = self.file.as_ref().is_some_and(|book| book.now().find(secret).is_some());
        is_in_file || self.catalog.as_ref().is_some_and(|tokens| tokens.was_found(secret))
    }

    /// Returns true if the token file has a token of this name.
    pub(crate) fn is_in_file(&self, name: &str) -> bool {
        self.file.as_ref().is_some_and(|book| book.now().has(name))
    }

    /// Returns the holder of the token with a secret.
    ///
    /// # Errors
    /// As [`Unidentified`] lists.
    pub(crate) async fn identify(&self, secret: &str) -> Result<Identity, Unidentified> {
        if let Some(book) = &self.file
            && let Some((name, role)) = book.now().find(secret)
        {
            return Ok(Identity { name: name.to_owned(), role, applications: Vec::new() });
        }
        let tokens = self.catalog.as_ref().ok_or(Unidentified::Unknown)?;
        let found = tokens.find(secret).await.map_err(Unidentified::LookupFailed)?;
        let token = found.ok_or(Unidentified::Unknown)?;
        let name: String = token.name.into();
        if self.is_in_file(&name) {
            return Err(Unidentified::Ambiguous { name });
        }
        Ok(Identity { name, role: token.role, applications: token.applications })
    }
}

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

/// The tokens in the catalog could not be looked up.
#[derive(Debug)]
pub(crate) struct LookupFailed(pub(crate) AppError);

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
    /// Returns the holder of the token with a secret, if the token is valid.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub(crate) async fn identify(&self, secret: &str) -> Result<Option<Identity>, LookupFailed> {
        if let Some(book) = &self.file
            && let Some((name, role)) = book.now().find(secret)
        {
            return Ok(Some(Identity { name: name.to_owned(), role, applications: Vec::new() }));
        }
        let Some(tokens) = &self.catalog else { return Ok(None) };
        let found = tokens.find(secret).await.map_err(LookupFailed)?;
        Ok(found.map(|token| Identity {
            name: token.name.into(),
            role: token.role,
            applications: token.applications,
        }))
    }
}

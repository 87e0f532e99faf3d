//! `/v1/tokens`

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use seawall_api::names::TokenName;
use seawall_api::v1;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::access::NewToken;
use crate::app::model::{Role, Token};
use crate::app::{AppError, Registry};
use crate::http::extract::{Body, page_len};
use crate::http::frame::{Access, Actor, Edge, Resource, at};
use crate::http::voice::ApiError;
use crate::tokens::Authentication;

/// Whoever creates tokens can do everything, so all operations require an operator's token.
pub(crate) fn resources() -> Vec<Resource> {
    vec![
        at("/v1/tokens").get(Access::Operator, list).post(Access::Operator, create),
        at("/v1/tokens/{token}").delete(Access::Operator, revoke),
    ]
}

fn body_of(token: Token) -> v1::Token {
    v1::Token {
        name: token.name,
        role: match token.role {
            Role::Reader => v1::TokenRole::Reader,
            Role::Publisher => v1::TokenRole::Publisher,
        },
        applications: token.applications,
        created_at_secs: token.created_at_secs,
        created_by: token.created_by,
        expires_at_secs: token.expires_at_secs,
        revoked_at_secs: token.revoked_at_secs,
    }
}

/// The page to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// The `next` of the previous page.
    after: Option<TokenName>,
    /// The maximum number of tokens, 1 to 1000. The default is 1000.
    limit: Option<u32>,
}

/// Lists the tokens that the registry keeps, ordered by name.
///
/// Includes revoked and expired tokens. Requires a publisher's token without limits.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", operation_id = "list_tokens", params(Page),
    responses((status = 200, description = "A page of tokens", body = v1::TokenPage)))]
pub(crate) async fn list(
    registry: web::Data<Registry>,
    page: web::Query<Page>,
) -> Result<web::Json<v1::TokenPage>, ApiError> {
    let Page { after, limit } = page.into_inner();
    let page = registry.tokens.list(after, page_len(limit)?).await?;
    let tokens = page.items.into_iter().map(body_of).collect();
    Ok(web::Json(v1::TokenPage { tokens, next: page.next }))
}

/// Creates a token, and returns its secret this once.
///
/// Requires a publisher's token without limits.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", operation_id = "create_token",
    request_body = v1::NewToken,
    responses((status = 201, description = "The token and its secret", body = v1::CreatedToken)))]
pub(crate) async fn create(
    registry: web::Data<Registry>,
    edge: web::Data<Edge>,
    actor: Actor,
    Body(body): Body<v1::NewToken>,
) -> Result<HttpResponse, ApiError> {
    let is_in_file = |tokens: &Authentication| tokens.is_in_file(body.name.as_str());
    if edge.authentication.as_ref().is_some_and(is_in_file) {
        return Err(AppError::NameTaken { name: body.name }.into());
    }
    let new = NewToken {
        name: body.name,
        role: match body.role {
            v1::TokenRole::Reader => Role::Reader,
            v1::TokenRole::Publisher => Role::Publisher,
        },
        applications: match body.applications {
            Some(patterns) if patterns.is_empty() => {
                let detail = "`applications` is empty: name one, or leave it out for no limit";
                return Err(ApiError::invalid(detail));
            }
            patterns => patterns.unwrap_or_default(),
        },
        expires_at_secs: body.expires_at_secs,
        created_by: actor.name,
    };
    let (token, secret) = registry.tokens.create(new).await?;
    // A secret belongs in no cache.
    let no_store = (header::CACHE_CONTROL, "no-store");
    Ok(HttpResponse::Created()
        .insert_header(no_store)
        .json(v1::CreatedToken { token: body_of(token), secret }))
}

/// Revokes a token.
///
/// Other registries over the same catalog refuse the token within two seconds. Revoking a revoked
/// token changes nothing.
#[utoipa::path(delete, path = "/v1/tokens/{token}", tag = "tokens", operation_id = "revoke_token",
    params(("token" = TokenName, Path, description = "The token's name")),
    responses((status = 204, description = "The token is revoked")))]
pub(crate) async fn revoke(
    registry: web::Data<Registry>,
    token: web::Path<TokenName>,
    actor: Actor,
) -> Result<HttpResponse, ApiError> {
    registry.tokens.revoke(token.into_inner(), actor.name).await?;
    Ok(HttpResponse::NoContent().finish())
}

//! `seawall token create|list|revoke`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use seawall_api::moment::rfc3339;
use seawall_api::names::{ApplicationPattern, TokenName};
use seawall_api::v1::{CreatedToken, NewToken, Token, TokenRole};
use serde::Serialize;

use super::Context;
use crate::command::tokens::{CreateToken, Tokens};
use crate::failure::Failure;
use crate::output::{Cell, Column, List, answer, answer_list, column, tell};

#[derive(Serialize)]
struct Listed {
    tokens: Vec<Token>,
}

#[derive(Serialize)]
struct Revoked {
    token: TokenName,
}

/// The answer of `token create`. The secret is absent if a file holds it.
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    token: Token,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// Runs a `token` command.
pub(super) async fn run(context: &Context, order: Tokens) -> Result<(), Failure> {
    match order {
        Tokens::Create(new) => create(context, new).await,
        Tokens::List => list(context).await,
        Tokens::Revoke(name) => revoke(context, name).await,
    }
}

async fn create(context: &Context, new: CreateToken) -> Result<(), Failure> {
    let CreateToken { name, role, applications, expires_at_secs, output } = new;
    let name = match name {
        Some(name) => name,
        None => chosen_name(role)?,
    };
    // Made before the token, so that no secret is lost to a file that cannot be written.
    let file = output.as_deref().map(new_file).transpose()?;
    let applications = Some(applications).filter(|patterns| !patterns.is_empty());
    let new = NewToken { name, role, applications, expires_at_secs };
    let created = context.registry.create_token(&new).await;
    let CreatedToken { token, secret } = match (created, &output) {
        (Err(error), Some(path)) => {
            let _ = std::fs::remove_file(path);
            return Err(error.into());
        }
        (created, _) => created?,
    };
    let secret = match (file, &output) {
        (Some(mut file), Some(path)) => {
            let written = writeln!(file, "{secret}").and_then(|()| file.sync_all());
            if let Err(error) = written {
                // Nobody knows the secret, so the token is of no use.
                context.registry.revoke_token(&token.name).await?;
                let _ = std::fs::remove_file(path);
                return Err(unwritten(path, &error));
            }
            None
        }
        _ => Some(secret),
    };
    tell(described(&token, output.as_deref()));
    answer(context.style, &Created { token, secret }, |created| {
        created.secret.as_ref().map_or_else(String::new, |secret| format!("{secret}\n"))
    })
}

/// Returns a name for a token of this role, with the time in it.
fn chosen_name(role: TokenRole) -> Result<TokenName, Failure> {
    let time = rfc3339(now_secs()).to_ascii_lowercase().replace(['-', ':'], "");
    let name = format!("{}-{time}", role.as_str());
    name.parse().map_err(|error| Failure::internal(format!("{error}")))
}

fn new_file(path: &Path) -> Result<std::fs::File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::io(&format!("cannot write the secret to {}", path.display()), error)
        .with_remedy("name a new file with --output, and another token")
}

fn described(token: &Token, output: Option<&Path>) -> String {
    let scope = match scope(&token.applications).as_str() {
        "" => "all applications and the registry itself".to_owned(),
        names => names.to_owned(),
    };
    let end =
        token.expires_at_secs.map_or_else(String::new, |at| format!(", until {}", rfc3339(at)));
    let place = match output {
        Some(path) => format!("its secret is in {}", path.display()),
        None => "its secret is shown only now".to_owned(),
    };
    format!("token {}: {} of {scope}{end}; {place}", token.name, token.role.as_str())
}

fn scope(applications: &[ApplicationPattern]) -> String {
    applications.iter().map(ApplicationPattern::as_str).collect::<Vec<_>>().join(",")
}

async fn revoke(context: &Context, name: TokenName) -> Result<(), Failure> {
    context.registry.revoke_token(&name).await?;
    answer(context.style, &Revoked { token: name }, |revoked| {
        format!("token {} is revoked\n", revoked.token)
    })
}

async fn list(context: &Context) -> Result<(), Failure> {
    let mut tokens = Vec::new();
    let mut after = None;
    loop {
        let page = context.registry.tokens(after.as_ref()).await?;
        tokens.extend(page.tokens);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    answer_list(context.style, &Listed { tokens }, listed)
}

const COLUMNS: &[Column] = &[
    column("token", 0),
    column("role", 0),
    column("applications", 1),
    column("state", 0),
    column("expires", 2),
    column("created", 4),
    column("by", 3),
];

fn listed(list: &Listed) -> List<'static> {
    let now_secs = now_secs();
    let rows = list.tokens.iter().map(|token| {
        let scope = scope(&token.applications);
        vec![
            Cell::from(token.name.to_string()),
            Cell::from(token.role.as_str().to_owned()),
            Cell::from(if scope.is_empty() { "all".to_owned() } else { scope }),
            Cell::from(state(token, now_secs).to_owned()),
            token.expires_at_secs.map_or(Cell::Nothing, Cell::Moment),
            Cell::Moment(token.created_at_secs),
            Cell::from(token.created_by.clone()),
        ]
    });
    let above = match list.tokens.is_empty() {
        true => "the registry keeps no token; `seawall token create` makes one\n".to_owned(),
        false => String::new(),
    };
    List { columns: COLUMNS, rows: rows.collect(), above, below: String::new() }
}

fn now_secs() -> u64 {
    let since = crate::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn state(token: &Token, now_secs: u64) -> &'static str {
    if token.revoked_at_secs.is_some() {
        "revoked"
    } else if token.expires_at_secs.is_some_and(|end| end <= now_secs) {
        "expired"
    } else {
        "valid"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_listed_with_its_state() {
        let token = Token {
            name: "ci".parse().unwrap(),
            role: TokenRole::Publisher,
            applications: vec!["team/*".parse().unwrap(), "shop".parse().unwrap()],
            created_at_secs: 0,
            created_by: "ops".to_owned(),
            expires_at_secs: Some(60),
            revoked_at_secs: None,
        };
        assert_eq!(state(&token, 59), "valid");
        assert_eq!(state(&token, 60), "expired");
        assert_eq!(state(&Token { revoked_at_secs: Some(1), ..token.clone() }, 0), "revoked");
        assert_eq!(
            described(&token, None),
            "token ci: publisher of team/*,shop, until 1970-01-01T00:01:00Z; its secret is shown \
             only now"
        );
        let text = listed(&Listed { tokens: vec![token] }).text();
        assert!(text.contains("ci     publisher  team/*,shop   expired"), "{text}");
    }
}

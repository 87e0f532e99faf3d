//! The conformance of access tokens.

use seawall_api::names::TokenName;

use super::super::access::{Role, Token, TokenCreated, TokenRevoked};
use super::super::*;
use super::NOW;

fn token(name: &str) -> Token {
    Token {
        name: name.parse().unwrap(),
        role: Role::Publisher,
        applications: ["team/*", "shop"].map(|pattern| pattern.parse().unwrap()).to_vec(),
        created_at_secs: NOW,
        created_by: "root".to_owned(),
        expires_at_secs: Some(NOW + 10),
        revoked_at_secs: None,
    }
}

/// A token is found by the digest of its secret alone.
pub(super) async fn a_token_is_found_by_its_digest(catalog: &Catalog) {
    let limited = token("ci");
    let all = Token {
        role: Role::Reader,
        applications: vec![],
        expires_at_secs: None,
        ..token("backup")
    };
    for (token, digest) in [(&limited, [1; 32]), (&all, [2; 32])] {
        let created = catalog.create_token(token.clone(), digest).await.unwrap();
        assert_eq!(created, TokenCreated::Done);
        assert_eq!(catalog.token(digest).await.unwrap().as_ref(), Some(token));
    }
    assert_eq!(catalog.token([3; 32]).await.unwrap(), None);
    let again = catalog.create_token(token("ci"), [4; 32]).await.unwrap();
    assert_eq!(again, TokenCreated::NameTaken);
    assert_eq!(catalog.token([4; 32]).await.unwrap(), None);
    assert!(limited.is_valid(NOW + 9) && !limited.is_valid(NOW + 10));
    assert!(all.is_valid(u64::MAX));
    let first = catalog.tokens(None, 1).await.unwrap();
    assert_eq!(first, std::slice::from_ref(&all));
    assert_eq!(catalog.tokens(Some(all.name), 9).await.unwrap(), [limited]);
}

/// A revoked token stays listed, and its name is never used again.
pub(super) async fn a_revoked_token_keeps_its_name(catalog: &Catalog) {
    let name = token("ci").name;
    catalog.create_token(token("ci"), [1; 32]).await.unwrap();
    let revoke = async |name: &TokenName, at: u64| {
        catalog.revoke_token(name.clone(), "ops".to_owned(), at).await.unwrap()
    };
    assert_eq!(revoke(&name, NOW + 1).await, TokenRevoked::Done);
    assert_eq!(revoke(&name, NOW + 2).await, TokenRevoked::Already);
    assert_eq!(revoke(&"other".parse().unwrap(), NOW + 2).await, TokenRevoked::Absent);
    let revoked = Token { revoked_at_secs: Some(NOW + 1), ..token("ci") };
    assert!(!revoked.is_valid(NOW));
    assert_eq!(catalog.token([1; 32]).await.unwrap(), Some(revoked));
    let again = catalog.create_token(token("ci"), [2; 32]).await.unwrap();
    assert_eq!(again, TokenCreated::NameTaken);
    let log = catalog.audit(AuditQuery { limit: 10, ..AuditQuery::default() }).await.unwrap();
    let told: Vec<_> =
        log.iter().map(|logged| (&*logged.entry.actor, &logged.entry.facts)).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((told[0].0, &*told[0].1["revoked"]), ("ops", "ci"));
    assert_eq!((told[1].0, &*told[1].1["created"]), ("root", "ci"));
    assert_eq!(&*told[1].1["applications"], "team/* shop");
}

pub(super) async fn counts_of_requests_add_up_until_they_are_old(catalog: &Catalog) {
    let count = async |counts: &[(&str, u64)], at: u64| {
        let counts = counts.iter().map(|(bucket, count)| ((*bucket).to_owned(), *count)).collect();
        catalog.add_request_counts(counts, at).await.unwrap()
    };
    assert_eq!(count(&[("token ci", 3), ("token ops", 1)], NOW).await, [3, 1]);
    assert_eq!(count(&[("token ci", 0), ("application web", 7)], NOW + 9).await, [3, 7]);
    assert_eq!(count(&[("token ops", 2)], NOW).await, [3]);
    catalog.forget_request_counts(NOW + 9).await.unwrap();
    assert_eq!(count(&[("token ops", 1), ("token ci", 1)], NOW + 9).await, [1, 4]);
}

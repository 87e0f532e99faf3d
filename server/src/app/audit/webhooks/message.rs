//! Webhook messages as defined by the Standard Webhooks specification 1.0: an id shared by all
//! attempts, the time of the attempt, and an HMAC-SHA-256 over both and the body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use seawall_api::moment::rfc3339;
use seawall_api::v1::{AuditEntry, WebhookMessage};
use sha2::Sha256;

use crate::catalog::{Delivery, Logged, WebhookSecret};
use crate::courier::Message;

/// The optional prefix of a secret.
const SECRET_PREFIX: &str = "whsec_";
/// The permitted length of a secret, in bytes.
const SECRET_LEN: std::ops::RangeInclusive<usize> = 24..=64;

/// Parses a secret in Base64, with or without the prefix.
pub(super) fn parse_secret(text: &str) -> Option<WebhookSecret> {
    let text = text.trim();
    let bytes = BASE64.decode(text.strip_prefix(SECRET_PREFIX).unwrap_or(text)).ok()?;
    SECRET_LEN.contains(&bytes.len()).then(|| WebhookSecret::new(bytes))
}

/// Returns the message id of an audit entry, by which receivers recognize duplicates. Derived from
/// the entry's digest, because sequence numbers restart with a new catalog.
#[must_use]
pub fn message_id(logged: &Logged) -> String {
    format!("msg_{}", &logged.digest.to_hex()[..32])
}

/// Builds the message of an attempt at `now_secs`.
pub(super) fn message(delivery: &Delivery, now_secs: u64) -> Message {
    let id = message_id(&delivery.logged);
    let timestamp = now_secs.to_string();
    let body = WebhookMessage {
        kind: delivery.logged.entry.action,
        timestamp: rfc3339(delivery.logged.entry.at_secs),
        data: body_of(delivery.logged.clone()),
    };
    // Strings, numbers and maps of strings always serialize.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let signature = sign(delivery.webhook.secret.expose(), &[&id, ".", &timestamp, "."], &body);
    Message {
        url: delivery.webhook.url.clone(),
        headers: vec![
            ("webhook-id", id),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", signature),
        ],
        body,
    }
}

/// Returns `v1,` and the Base64 of the HMAC over the head and the body.
fn sign(secret: &[u8], head: &[&str], body: &[u8]) -> String {
    // HMAC accepts keys of any length.
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    for part in head {
        hmac.update(part.as_bytes());
    }
    hmac.update(body);
    format!("v1,{}", BASE64.encode(hmac.finalize().into_bytes()))
}

/// Converts an audit entry to its wire form.
#[must_use]
pub fn body_of(logged: Logged) -> AuditEntry {
    let entry = logged.entry;
    AuditEntry {
        sequence: logged.sequence,
        at_secs: entry.at_secs,
        actor: entry.actor,
        action: entry.action,
        application: entry.application,
        version: entry.version,
        release: entry.release,
        facts: entry.facts,
        digest: logged.digest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example from the specification's reference libraries.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let secret = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let head = ["msg_p5jXN8AQM9LWM0D4loKWxJek", ".", "1614265330", "."];
        let signature = sign(secret.expose(), &head, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_long_enough_and_never_shown() {
        let bytes = |len: usize| BASE64.encode(vec![7; len]);
        assert_eq!(parse_secret(&format!(" {}\n", bytes(32))).unwrap().expose(), [7; 32]);
        assert!(parse_secret(&bytes(23)).is_none() && parse_secret(&bytes(65)).is_none());
        assert!(parse_secret("whsec_?").is_none() && parse_secret("").is_none());
        let secret = parse_secret(&bytes(24)).unwrap();
        assert!(!format!("{secret:?}").contains('7'));
    }
}

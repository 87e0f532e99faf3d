//! Signature Version 4, checked as the services do.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::answer::Refusal;
use super::http::Request;
use super::{ACCESS_KEY, SECRET_KEY};

/// The largest difference of the clocks, in seconds.
const SKEW_SECS_MAX: i64 = 300;

/// The proven scope of a request.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) region: String,
    pub(super) service: String,
    pub(super) signed: Vec<String>,
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn denied(name: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(403, name, message)
}

/// Proves the signature of a request, whose payload may be unsigned only if `may_be_unsigned`.
pub(super) fn check(
    request: &Request,
    skew_secs: i64,
    may_be_unsigned: bool,
) -> Result<Scope, Refusal> {
    let header = request.header("authorization");
    let missing = || denied("MissingAuthenticationToken", "the request is not signed");
    let rest = header.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(missing)?;
    let parts: BTreeMap<&str, &str> =
        rest.split(',').filter_map(|part| part.trim().split_once('=')).collect();
    let part = |name: &str| parts.get(name).copied().unwrap_or_default();
    let scope: Vec<&str> = part("Credential").split('/').collect();
    let [key, date, region, service, "aws4_request"] = scope[..] else {
        return Err(denied("IncompleteSignature", "the scope has five parts"));
    };
    if key != ACCESS_KEY {
        return Err(denied("UnrecognizedClientException", "the security token is invalid"));
    }
    let signed: Vec<String> = part("SignedHeaders").split(';').map(str::to_owned).collect();
    for name in ["host", "x-amz-date"] {
        if !signed.iter().any(|it| it == name) {
            return Err(denied("SignatureDoesNotMatch", format!("`{name}` is not signed")));
        }
    }
    let at = request.header("x-amz-date");
    fresh(at, skew_secs)?;
    if !at.starts_with(date) {
        return Err(denied("SignatureDoesNotMatch", "the scope is of another day"));
    }
    let hash = request.header("x-amz-content-sha256");
    let is_unsigned = hash == "UNSIGNED-PAYLOAD";
    if is_unsigned != may_be_unsigned {
        return Err(denied("SignatureDoesNotMatch", format!("a payload hash of `{hash}`")));
    }
    if !is_unsigned && hash != hex(&Sha256::digest(&request.body)) {
        return Err(denied("SignatureDoesNotMatch", "the payload hash is of another body"));
    }
    let canonical = canonical(request, &signed, hash);
    let scope_text = format!("{date}/{region}/{service}/aws4_request");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{at}\n{scope_text}\n{}",
        hex(&Sha256::digest(canonical.as_bytes()))
    );
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for text in [date, region, service, "aws4_request"] {
        key = hmac(&key, text);
    }
    if hex(&hmac(&key, &to_sign)) != part("Signature") {
        return Err(denied("SignatureDoesNotMatch", "the signature is another one"));
    }
    Ok(Scope { region: region.to_owned(), service: service.to_owned(), signed })
}

fn canonical(request: &Request, signed: &[String], hash: &str) -> String {
    let mut pairs: Vec<(String, String)> = request
        .query
        .iter()
        .map(|(name, value)| (super::http::encoded(name), super::http::encoded(value)))
        .collect();
    pairs.sort();
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers: String = signed
        .iter()
        .map(|name| {
            let value: Vec<&str> = request.header(name).split_whitespace().collect();
            format!("{name}:{}\n", value.join(" "))
        })
        .collect();
    let names = signed.join(";");
    let (method, path, query) = (&request.method, &request.path, query.join("&"));
    format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{hash}")
}

/// Fails unless a time as `20261201T024709Z` is within five minutes of the service's clock.
fn fresh(at: &str, skew_secs: i64) -> Result<(), Refusal> {
    let digits: String = at.chars().filter(char::is_ascii_digit).collect();
    if digits.len() != 14 {
        return Err(denied("IncompleteSignature", "x-amz-date has another form"));
    }
    let [y, mo, d] = [&digits[..4], &digits[4..6], &digits[6..8]];
    let [h, mi, s] = [&digits[8..10], &digits[10..12], &digits[12..14]];
    let text = format!("{y}-{mo}-{d}T{h}:{mi}:{s}Z");
    let at = seawall_api::moment::parse(&text)
        .ok_or_else(|| denied("IncompleteSignature", "x-amz-date is no time"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let difference = i64::try_from(now).unwrap() + skew_secs - i64::try_from(at).unwrap();
    if difference.abs() > SKEW_SECS_MAX {
        let message = format!("Signature expired: {text} differs by {difference} seconds");
        return Err(denied("RequestExpired", message));
    }
    Ok(())
}

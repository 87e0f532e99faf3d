//! The names in a refused request, and the next step after its refusal.

use reqwest::Url;
use seawall_api::problem::Code;

/// The names in the address of a request.
///
/// The client writes its own remedies with these names. A remedy sent by the registry is never
/// repeated as a command: a hostile registry would choose the commands that a person runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestContext {
    pub(super) application: Option<String>,
    channel: Option<String>,
}

impl RequestContext {
    /// Reads the names from an address of the HTTP API.
    pub(super) fn of(url: &Url) -> Self {
        let segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
        let after = |folder: &str| {
            let at = segments.iter().position(|segment| *segment == folder)?;
            // The only character of a name that an address encodes.
            segments.get(at + 1).map(|name| name.replace("%2F", "/"))
        };
        Self { application: after("applications"), channel: after("channels") }
    }

    /// Returns the next step after a refusal of this request.
    pub(super) fn remedy(&self, code: Code) -> Option<String> {
        let mut text = problem_remedy(code)?.to_owned();
        for (blank, name) in [("APPLICATION", &self.application), ("CHANNEL", &self.channel)] {
            if let Some(name) = name {
                text = text.replace(blank, name);
            }
        }
        Some(text)
    }
}

/// Returns the next step after a refusal, with `APPLICATION` and `CHANNEL` for the names.
fn problem_remedy(code: Code) -> Option<&'static str> {
    match code {
        Code::Unauthenticated => Some(
            "give a token the registry knows: --token-file FILE, SEAWALL_TOKEN_FILE or \
             SEAWALL_TOKEN",
        ),
        Code::Denied => Some("use a token that permits this: --token-file FILE"),
        Code::NotFound => {
            Some("`seawall list` and `seawall list APPLICATION` show the existing names")
        }
        Code::VersionTaken => Some("a version is never reused: push under a new one"),
        Code::NameTaken => Some("choose another name: `seawall token list` shows those in use"),
        Code::Incomplete | Code::LeaseEnded => {
            Some("run the push again: it resumes and sends only what is missing")
        }
        Code::PreconditionFailed => {
            Some("run `seawall channels APPLICATION CHANNEL` to see who moved it, then retry")
        }
        Code::Unavailable | Code::RateLimited => Some("run the command again in a moment"),
        Code::QuotaExceeded => Some("`seawall quota APPLICATION` shows its usage"),
        Code::StorageFull => Some(
            "delete releases with `seawall rm` and run `seawall gc`, or enlarge the registry's \
             disk; then run this command again",
        ),
        Code::Damaged => Some("run `seawall verify REF`, then push the release again"),
        Code::Held => {
            Some("move the channel on, remove the pin, or patch the host to another release first")
        }
        Code::Gone => {
            Some("choose another release: `seawall list APPLICATION` shows those that are left")
        }
        Code::CheckRuns => Some("wait for its end, or stop it: `seawall fsck --stop`"),
        Code::Internal => Some(
            "the registry's log has the cause; for a registry in a directory, run it again with -v",
        ),
        _ => None,
    }
}

/// Returns true if the code alone tells the next step. Otherwise the advice of the registry, which
/// knows the case, is shown as well.
pub(super) fn knows_next_step(code: Code) -> bool {
    let has_many_causes = matches!(code, Code::Denied | Code::Damaged | Code::StorageFull);
    problem_remedy(code).is_some() && !has_many_causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_names_the_application_and_channel_of_the_request() {
        let asked = |url: &str| RequestContext::of(&Url::parse(url).unwrap());
        for (url, code, command) in [
            ("http://h/v1/applications/team%2Fshop/releases/1.0.0", Code::Gone, "list team/shop`"),
            ("http://h/s/v1/applications/shop/releases/1", Code::QuotaExceeded, "quota shop`"),
            (
                "http://h/v1/applications/shop/channels/stable",
                Code::PreconditionFailed,
                "channels shop stable`",
            ),
            ("http://h/v1/leases", Code::QuotaExceeded, "quota APPLICATION`"),
        ] {
            let remedy = asked(url).remedy(code).unwrap();
            assert!(remedy.contains(&format!("`seawall {command}")), "{url}: {remedy}");
        }
    }
}

//! The addresses of version 1 of the API.

use reqwest::Url;
use seawall_api::names::{ApplicationName, ChannelName};
use seawall_api::reference::Selector;

/// Builds `base/v1/…`; each segment is escaped, so that `team/webshop` stays one segment.
pub(super) fn v1<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("v1").extend(segments);
    }
    url
}

/// Adds a query to an address, leaving out pairs without a value.
pub(super) fn with_query<'a>(
    mut url: Url,
    pairs: impl IntoIterator<Item = (&'static str, Option<&'a str>)>,
) -> Url {
    for (key, value) in pairs {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(key, value);
        }
    }
    url
}

pub(super) fn application(base: &Url, name: &ApplicationName) -> Url {
    v1(base, ["applications", name.as_str()])
}

pub(super) fn releases(base: &Url, application: &ApplicationName) -> Url {
    v1(base, ["applications", application.as_str(), "releases"])
}

pub(super) fn release(base: &Url, application: &ApplicationName, selector: &Selector) -> Url {
    v1(base, ["applications", application.as_str(), "releases", &selector.to_string()])
}

pub(super) fn channels(base: &Url, application: &ApplicationName) -> Url {
    v1(base, ["applications", application.as_str(), "channels"])
}

pub(super) fn channel(base: &Url, application: &ApplicationName, channel: &ChannelName) -> Url {
    v1(base, ["applications", application.as_str(), "channels", channel.as_str()])
}

pub(super) fn history(base: &Url, application: &ApplicationName, channel: &ChannelName) -> Url {
    let application = application.as_str();
    v1(base, ["applications", application, "channels", channel.as_str(), "history"])
}

/// Returns a side of a diff: `application:selector`, or `application@digest` for a digest.
pub(super) fn side((application, selector): (&ApplicationName, &Selector)) -> String {
    match selector {
        Selector::Digest(digest) => format!("{application}@{digest}"),
        named => format!("{application}:{named}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_in_a_name_stays_within_its_segment() {
        let name: ApplicationName = "team/webshop".parse().unwrap();
        for (base, path) in [
            ("http://h:1", "/v1/applications/team%2Fwebshop/releases"),
            ("http://h:1/", "/v1/applications/team%2Fwebshop/releases"),
            ("http://h:1/seawall/", "/seawall/v1/applications/team%2Fwebshop/releases"),
        ] {
            assert_eq!(releases(&Url::parse(base).unwrap(), &name).path(), path);
        }
    }

    #[test]
    fn a_plus_in_a_version_survives_a_path_and_a_query() {
        let base = Url::parse("http://h").unwrap();
        let name: ApplicationName = "web".parse().unwrap();
        let selector: Selector = "1.0+b1".parse().unwrap();
        let url = release(&base, &name, &selector);
        assert_eq!(url.path(), "/v1/applications/web/releases/1.0+b1");
        let url = with_query(url, [("from", Some(&*side((&name, &selector)))), ("to", None)]);
        assert_eq!(url.query(), Some("from=web%3A1.0%2Bb1"));
    }
}

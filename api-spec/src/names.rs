//! Names given by people: applications, machines, disks, channels, versions.
//!
//! A name is proven on construction. No path can escape through a name (`..`, `/`, control
//! characters, leading dots), and each name except a version has one spelling, in lower case.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

mod usable;

/// The maximum length of a name's segment, in bytes. File systems and object keys take such lengths
/// with ease.
pub const NAME_LEN_MAX: usize = 64;
/// The maximum number of `/`-separated segments of an application name.
pub const APPLICATION_SEGMENTS_MAX: usize = 4;
/// The maximum length of a version, in bytes.
pub const VERSION_LEN_MAX: usize = 128;

/// The reason a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {why}")]
pub struct InvalidName {
    /// The rejected text, shortened and with control characters escaped.
    pub text: String,
    /// The kind of name expected, with its article.
    pub what: &'static str,
    /// The broken rule.
    pub why: &'static str,
}

impl InvalidName {
    fn new(text: &str, what: &'static str, why: &'static str) -> Self {
        let text = text.chars().take(NAME_LEN_MAX).flat_map(char::escape_default).collect();
        Self { text, what, why }
    }
}

const SEGMENT_RULE: &str =
    "use 1 to 64 of a-z, 0-9, `-`, `_` and `.`, beginning and ending with a letter or digit";

fn is_segment(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=NAME_LEN_MAX).contains(&bytes.len())
        && plain(bytes[0])
        && plain(bytes[bytes.len() - 1])
        && bytes.iter().all(|&b| plain(b) || matches!(b, b'-' | b'_' | b'.'))
        && !text.contains("..")
}

fn segment(text: &str, what: &'static str) -> Result<(), InvalidName> {
    if is_segment(text) { Ok(()) } else { Err(InvalidName::new(text, what, SEGMENT_RULE)) }
}

/// The OpenAPI schema of a kind of name.
struct NameSchema {
    /// The pattern of valid names, in the dialect of ECMA 262.
    pattern: &'static str,
    len_max: usize,
    example: &'static str,
}

/// The pattern of a segment, without the limit on the length: no two dots in a row, and a letter or
/// digit at either end.
macro_rules! segment_pattern {
    () => {
        r"[a-z0-9](?:(?:\.?[_-])*\.?[a-z0-9])*"
    };
}

const fn segment_schema(example: &'static str) -> NameSchema {
    let pattern = concat!("^", segment_pattern!(), "$");
    NameSchema { pattern, len_max: NAME_LEN_MAX, example }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $schema:expr, $prove:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the name's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let prove: fn(&str) -> Result<(), InvalidName> = $prove;
                prove(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let schema: NameSchema = $schema;
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(schema.pattern))
                    .min_length(Some(1))
                    .max_length(Some(schema.len_max))
                    .examples([schema.example])
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    };
}

name! {
    /// The name of an application: one to four segments, such as `team/webshop`.
    ApplicationName,
    NameSchema {
        pattern: concat!("^", segment_pattern!(), "(?:/", segment_pattern!(), "){0,3}$"),
        len_max: APPLICATION_SEGMENTS_MAX * (NAME_LEN_MAX + 1) - 1,
        example: "team/webshop",
    },
    |text| {
        let what = "an application name";
        if text.split('/').count() > APPLICATION_SEGMENTS_MAX {
            return Err(InvalidName::new(text, what, "use at most 4 segments between slashes"));
        }
        text.split('/').try_for_each(|part| segment(part, what))
    }
}
name! {
    /// The name of a machine: its role in the release, such as `web`.
    MachineName,
    segment_schema("web"),
    |text| segment(text, "a machine name")
}
name! {
    /// The name of a disk within its machine, such as `root`.
    DiskName,
    segment_schema("root"),
    |text| segment(text, "a disk name")
}
name! {
    /// The name of a network shared by machines of a release, such as `backend`.
    NetworkName,
    segment_schema("backend"),
    |text| segment(text, "a network name")
}
name! {
    /// The name of a host that runs machines of a release, such as `rack4.example`.
    HostName,
    segment_schema("rack4.example"),
    |text| segment(text, "a host name")
}
name! {
    /// The name of a pin, which keeps a release until the pin is removed, such as `audit-2026`.
    PinName,
    segment_schema("audit-2026"),
    |text| segment(text, "a pin name")
}
name! {
    /// The name of an access token, such as `ci-webshop`. The audit log shows it as the actor.
    TokenName,
    segment_schema("ci-webshop"),
    |text| segment(text, "a token name")
}
name! {
    /// The name of a mirror, such as `site-east`.
    MirrorName,
    segment_schema("site-east"),
    |text| segment(text, "the name of a mirror")
}
name! {
    /// A pattern of application names: one name, `NAME/*` for every name below, or `*` for all.
    ApplicationPattern,
    NameSchema {
        pattern: concat!(
            r"^(?:\*|", segment_pattern!(), "(?:/", segment_pattern!(), "){0,3}|",
            segment_pattern!(), "(?:/", segment_pattern!(), r"){0,2}/\*)$"
        ),
        len_max: APPLICATION_SEGMENTS_MAX * (NAME_LEN_MAX + 1) - 1,
        example: "team/*",
    },
    |text| {
        let what = "a pattern of application names";
        let (name, segments_max) = match text.strip_suffix("/*") {
            Some(parent) => (parent, APPLICATION_SEGMENTS_MAX - 1),
            None if text == "*" => return Ok(()),
            None => (text, APPLICATION_SEGMENTS_MAX),
        };
        if name.split('/').count() > segments_max {
            return Err(InvalidName::new(text, what, "use at most 4 segments between slashes"));
        }
        name.split('/').try_for_each(|part| segment(part, what))
    }
}
name! {
    /// The name of a channel: a segment that begins with a letter, such as `stable`.
    ChannelName,
    NameSchema {
        pattern: concat!("^(?![0-9])", segment_pattern!(), "$"),
        len_max: NAME_LEN_MAX,
        example: "stable",
    },
    |text| {
        segment(text, "a channel name")?;
        if text.as_bytes()[0].is_ascii_digit() {
            let why = "a channel begins with a letter; a name that begins with a digit is a \
                       version";
            return Err(InvalidName::new(text, "a channel name", why));
        }
        Ok(())
    }
}

name! {
    /// The version of a release: an immutable name that begins with a digit, normally a semantic
    /// version (semver 2.0.0).
    ///
    /// `1.0` is accepted as written and is not the same version as `1.0.0`.
    Version,
    NameSchema {
        pattern: r"^[0-9](?:(?:\.?[A-Za-z0-9+_-])*\.?[A-Za-z0-9])?$",
        len_max: VERSION_LEN_MAX,
        example: "1.0.0",
    },
    |text| {
        let bad = |why| Err(InvalidName::new(text, "a version", why));
        if text.is_empty() || text.len() > VERSION_LEN_MAX {
            return bad("use 1 to 128 characters");
        }
        if !text.as_bytes()[0].is_ascii_digit() {
            return bad("a version begins with a digit; a name that begins with a letter is a \
                        channel");
        }
        if text.contains("..") || !text.bytes().last().is_some_and(|b| b.is_ascii_alphanumeric()) {
            return bad("a version ends with a letter or digit and has no empty part");
        }
        if text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'_'))
        {
            Ok(())
        } else {
            bad("use letters, digits, `.`, `-`, `+` and `_`")
        }
    }
}

impl ApplicationPattern {
    /// Returns true if the pattern covers an application.
    #[must_use]
    pub fn matches(&self, application: &ApplicationName) -> bool {
        match self.0.strip_suffix('*') {
            // The slash stays in the prefix: `team/*` covers neither `team` nor `teams/shop`.
            Some(prefix) => application.as_str().starts_with(prefix),
            None => self.0 == application.as_str(),
        }
    }

    /// Returns true if one of the patterns covers an application, or if there are none: an empty
    /// list sets no limit.
    #[must_use]
    pub fn permit(patterns: &[Self], application: &ApplicationName) -> bool {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(application))
    }
}

impl Version {
    /// Compares by semantic version precedence (semver 2.0.0, section 11). `1.0` counts as `1.0.0`.
    ///
    /// Other texts sort before all semantic versions, by text, so that the order is total and
    /// listings are stable.
    #[must_use]
    pub fn precedence(&self, other: &Self) -> std::cmp::Ordering {
        let parse = |version: &Self| semver::Version::parse(&version.padded()).ok();
        (parse(self), &self.0).cmp(&(parse(other), &other.0))
    }

    /// Returns the text with missing numeric parts filled with zeros: `1.0-rc1` becomes
    /// `1.0.0-rc1`.
    fn padded(&self) -> String {
        let end = self.0.find(['-', '+', '_']).unwrap_or(self.0.len());
        let (core, rest) = self.0.split_at(end);
        let missing = 2_usize.saturating_sub(core.matches('.').count());
        format!("{core}{}{rest}", ".0".repeat(missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_escape_a_directory_do_not_exist() {
        for text in [
            "", ".", "..", "../x", "a/..", "a//b", "/a", "a/", "a\\b", "a\0b", "A", "a b", "-a",
            "a-", ".a", "a.", "a..b", "ä", "a\nb", "%2e%2e",
        ] {
            assert!(text.parse::<ApplicationName>().is_err(), "{text:?} as application");
            assert!(text.parse::<MachineName>().is_err(), "{text:?} as machine");
        }
        let long = "a".repeat(NAME_LEN_MAX + 1);
        assert!(long.parse::<DiskName>().is_err());
        assert!("a/b/c/d/e".parse::<ApplicationName>().is_err());
    }

    #[test]
    fn a_pattern_covers_the_names_below_it() {
        for (pattern, name, covers) in [
            ("shop", "shop", true),
            ("shop", "shop/a", false),
            ("shop", "shops", false),
            ("team/*", "team/shop", true),
            ("team/*", "team/shop/a", true),
            ("team/*", "team", false),
            ("team/*", "teams/shop", false),
            ("*", "team/shop", true),
        ] {
            let pattern: ApplicationPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&name.parse().unwrap()), covers, "{pattern} {name}");
        }
        for bad in
            ["", "**", "*/a", "a*", "a/*b", "/*", "a//*", "a/b/c/d/*", "../*", "A/*", "a/*/*"]
        {
            assert!(bad.parse::<ApplicationPattern>().is_err(), "{bad}");
        }
        assert!(ApplicationPattern::permit(&[], &"a".parse().unwrap()));
    }

    #[test]
    fn usual_names_are_names() {
        for text in ["web", "team/webshop", "a", "a.b-c_d", "a/b/c/d", "7zip"] {
            assert!(text.parse::<ApplicationName>().is_ok(), "{text}");
        }
        assert!("team/web".parse::<MachineName>().is_err(), "a machine has one segment");
    }

    #[test]
    fn names_that_no_host_can_keep_are_names_and_not_usable() {
        for text in ["seawall.lock", "release.json", "con", "nul.x", "com1", "lpt9.a.b", "aux"] {
            assert!(text.parse::<MachineName>().unwrap().check_usable().is_err(), "{text}");
        }
        for text in ["web", "release", "seawall", "pulling", "libvirt", "com", "com10", "console"] {
            text.parse::<MachineName>().unwrap().check_usable().unwrap();
            text.parse::<DiskName>().unwrap().check_usable().unwrap();
        }
        assert!("prn".parse::<DiskName>().unwrap().check_usable().is_err());
        assert!("release.json".parse::<DiskName>().unwrap().check_usable().is_ok());
    }

    #[test]
    fn a_digit_says_version_and_a_letter_says_channel() {
        assert!("1.0".parse::<Version>().is_ok());
        assert!("1.0.0-rc.1+build5".parse::<Version>().is_ok());
        assert!("stable".parse::<Version>().is_err());
        assert!("1".parse::<ChannelName>().is_err());
        assert!("stable".parse::<ChannelName>().is_ok());
        for text in ["1/0", "1..0", "1.", "", "1 0", "1.0\n"] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn versions_sort_by_precedence_not_by_text() {
        let mut versions: Vec<Version> = ["1.10.0", "1.9.0", "1.0", "1.0.0-rc1", "20261122", "2.0"]
            .map(|text| text.parse().unwrap())
            .into();
        versions.sort_by(Version::precedence);
        let texts: Vec<_> = versions.iter().map(Version::as_str).collect();
        assert_eq!(texts, ["1.0.0-rc1", "1.0", "1.9.0", "1.10.0", "2.0", "20261122"]);
    }

    #[test]
    fn a_bad_name_is_shown_safely() {
        let error = "x\x1b[2J".parse::<DiskName>().unwrap_err();
        assert!(!error.to_string().contains('\x1b'));
    }
}

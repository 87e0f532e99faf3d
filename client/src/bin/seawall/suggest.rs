//! "Did you mean": suggestions of the nearest names, and lists of existing ones.

/// The maximum number of names listed; a longer list would bury the intended one.
const LISTED_MAX: usize = 10;

/// Returns the name nearest to `typed`, if any is near.
pub(crate) fn nearest<'a>(typed: &str, names: &[&'a str]) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&typed, &name.to_lowercase());
    // One edit per three characters of the longer name, at least one and at most four.
    let limit = |name: &str| (typed.chars().count().max(name.chars().count()) / 3).clamp(1, 4);
    let near = |name: &&&str| {
        let starts = typed.len() >= 3 && name.to_lowercase().starts_with(&typed);
        starts || distance(name) <= limit(name)
    };
    names.iter().filter(near).min_by_key(|name| distance(name)).copied()
}

/// Returns a suggestion and a list, as in ``did you mean `stable`? channels: beta, stable``; `what`
/// is a plural noun.
pub(crate) fn among(what: &str, typed: &str, names: &[&str]) -> String {
    let mut remedy = String::new();
    if let Some(near) = nearest(typed, names) {
        remedy += &format!("did you mean `{near}`? ");
    }
    remedy + &listed(what, names)
}

/// Returns the likely meaning of an unknown key or value, from an error of serde that lists the
/// known ones: "unknown field `cpu`, expected one of `cpus`, `memory`".
pub(crate) fn of_unknown(error: &str) -> Option<&str> {
    let (_, rest) = error.split_once("unknown field `").or(error.split_once("unknown variant `"))?;
    let (typed, rest) = rest.split_once('`')?;
    let (_, known) = rest.split_once("expected ")?;
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    nearest(typed, &known)
}

/// Returns a list such as `channels: beta, stable`, cut after ten names.
pub(crate) fn listed(what: &str, names: &[&str]) -> String {
    if names.is_empty() {
        return format!("there are no {what}");
    }
    let more = names.len().saturating_sub(LISTED_MAX);
    let shown = names[..names.len() - more].join(", ");
    match more {
        0 => format!("{what}: {shown}"),
        more => format!("{what}: {shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_meant_and_what_is_far_is_not_guessed() {
        let names = ["stable", "beta", "nightly", "1.0.0", "1.1.0"];
        for (typed, meant) in [
            ("stabel", Some("stable")),
            ("Stable", Some("stable")),
            ("stab", Some("stable")),
            ("v1.0.0", Some("1.0.0")),
            ("nigthly", Some("nightly")),
            ("production", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, &names), meant, "{typed}");
        }
        assert_eq!(nearest("a", &[]), None);
    }

    #[test]
    fn an_unknown_key_is_likely_one_of_those_that_are_expected() {
        let error = "TOML parse error\nunknown field `registri`, expected `registry` or `token`";
        assert_eq!(of_unknown(error), Some("registry"));
        let error = "unknown variant `uefi-secur`, expected one of `bios`, `uefi`, `uefi-secure`";
        assert_eq!(of_unknown(error), Some("uefi-secure"));
        assert_eq!(of_unknown("unknown field `zzz`, expected `registry`"), None);
        assert_eq!(of_unknown("something else"), None);
    }

    #[test]
    fn existing_names_are_listed_unless_there_are_many() {
        let remedy = among("channels", "stabel", &["beta", "stable"]);
        assert_eq!(remedy, "did you mean `stable`? channels: beta, stable");
        assert_eq!(among("channels", "x", &[]), "there are no channels");
        let names: Vec<String> = (0..12).map(|n| format!("1.{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(listed("versions", &names).ends_with("1.9 and 2 more"));
    }
}

//! Parses text as a reference and as each kind of name: an accepted text survives printing and
//! parsing, and no accepted name can lead out of a directory.
//!
//! Seeds: the references of docs/FORMAT.md, section 7, in `fuzz/seeds/reference`.

#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use seawall_api::digest::{ChunkDigest, ReleaseDigest};
use seawall_api::names::{
    ApplicationName, ChannelName, DiskName, MachineName, NAME_LEN_MAX, NetworkName, Version,
};
use seawall_api::reference::{Reference, Selector};

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        let printed = reference.to_string();
        assert_eq!(printed.parse().as_ref(), Ok(&reference), "{printed:?}");
        assert!(reference.disk.is_none() || reference.machine.is_some());
        assert!(reference.machine.is_none() || reference.selector.is_some());
    }
    if let Ok(selector) = text.parse::<Selector>() {
        assert_eq!(selector.to_string().parse(), Ok(selector));
    }
    one_spelling::<ReleaseDigest>(text);
    one_spelling::<ChunkDigest>(text);
    name::<ApplicationName>(text, 4);
    for prove in [name::<MachineName>, name::<DiskName>, name::<NetworkName>, name::<ChannelName>] {
        prove(text, 1);
    }
    if let Ok(version) = text.parse::<Version>() {
        assert_eq!(version.as_str(), text);
        assert!(!text.contains('/') && !text.contains(".."));
        assert_eq!(version.precedence(&version), std::cmp::Ordering::Equal);
    }
});

fn one_spelling<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

/// Asserts that a name is a safe path of at most this many segments.
fn name<T: FromStr + Display>(text: &str, segments_max: usize) {
    let Ok(name) = text.parse::<T>() else { return };
    assert_eq!(name.to_string(), text);
    let segments: Vec<&str> = text.split('/').collect();
    assert!(segments.len() <= segments_max);
    for segment in segments {
        assert!((1..=NAME_LEN_MAX).contains(&segment.len()));
        assert!(!segment.starts_with('.') && !segment.contains("..") && segment.is_ascii());
        assert!(!segment.bytes().any(|b| b.is_ascii_control() || b"\\ %".contains(&b)));
    }
}

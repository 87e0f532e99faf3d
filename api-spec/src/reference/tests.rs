use proptest::prelude::*;

use super::*;

const DIGEST: &str = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

/// Parses a reference and returns its parts as one readable line.
fn parts(text: &str) -> Result<String, InvalidReference> {
    let r: Reference = text.parse()?;
    let none = || "-".to_owned();
    let selector = match &r.selector {
        None => none(),
        Some(Selector::Version(v)) => format!("version {v}"),
        Some(Selector::Channel(c)) => format!("channel {c}"),
        Some(Selector::Digest(_)) => "digest".to_owned(),
    };
    let machine = r.machine.map_or_else(none, |m| m.to_string());
    let disk = r.disk.map_or_else(none, |d| d.to_string());
    Ok([r.host.unwrap_or_else(none), r.application.to_string(), selector, machine, disk].join("|"))
}

#[test]
fn every_form_is_read_as_it_is_meant() {
    let cases = [
        ("webshop", "-|webshop|-|-|-"),
        ("team/webshop", "-|team/webshop|-|-|-"),
        ("webshop:1.0", "-|webshop|version 1.0|-|-"),
        ("team/webshop:stable", "-|team/webshop|channel stable|-|-"),
        ("webshop:1.0/web", "-|webshop|version 1.0|web|-"),
        ("webshop:1/web/root", "-|webshop|version 1|web|root"),
        ("team/webshop:stable/web/root", "-|team/webshop|channel stable|web|root"),
        ("localhost/webshop:1.0", "localhost|webshop|version 1.0|-|-"),
        ("localhost:8440/team/webshop:1.0/web", "localhost:8440|team/webshop|version 1.0|web|-"),
        ("images.example.org/webshop", "images.example.org|webshop|-|-|-"),
        ("images.example.org:443/a/b:2.0", "images.example.org:443|a/b|version 2.0|-|-"),
        ("[::1]:8440/webshop:1", "[::1]:8440|webshop|version 1|-|-"),
    ];
    for (text, want) in cases {
        assert_eq!(parts(text).as_deref(), Ok(want), "{text}");
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.to_string(), text, "prints as it parses");
    }
    assert_eq!(parts(&format!("webshop@{DIGEST}")).as_deref(), Ok("-|webshop|digest|-|-"));
    assert_eq!(parts(&format!("webshop@{DIGEST}/web")).as_deref(), Ok("-|webshop|digest|web|-"));
}

#[test]
fn invalid_references_are_refused() {
    for text in [
        "",
        ":1.0",
        "/webshop",
        "webshop:",
        "webshop:1.0/",
        "webshop:1.0/web/root/x",
        "webshop@",
        "webshop@1.0",
        "webshop@sha256:00",
        "Web:1",
        "../x:1",
        "a/../b",
        "web shop",
        "webshop:1/../..",
        ".evil.org/x",
        "webshop:-1",
        "a:b:c",
    ] {
        assert!(text.parse::<Reference>().is_err(), "{text:?}");
    }
    assert_eq!("a".repeat(2000).parse::<Reference>(), Err(InvalidReference::TooLong));
}

proptest! {
    /// The parser never panics, and an accepted reference survives printing and parsing.
    #[test]
    fn parsing_is_total_and_printing_is_its_inverse(text in "[a-z0-9.:/@_\\[\\]-]{0,60}") {
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference));
        }
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,80}") {
        let _ = text.parse::<Reference>();
    }
}

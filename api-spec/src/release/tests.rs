use std::collections::BTreeMap;

use super::*;
use crate::digest::{ContentDigest, IndexDigest};

fn machine(name: &str) -> Machine {
    Machine {
        name: name.parse().unwrap(),
        architecture: Architecture::X86_64,
        firmware: Firmware::Bios,
        cpus: 2,
        memory_mib: 2048,
        start_order: 0,
        disks: vec![Disk {
            name: "root".parse().unwrap(),
            len: 4 << 30,
            content: ContentDigest::of(b"content"),
            index: IndexDigest::of(b"index"),
            bus: Bus::Virtio,
        }],
        network_cards: vec![],
        annotations: BTreeMap::new(),
        descriptor: None,
    }
}

fn document(machines: Vec<Machine>) -> Document {
    Document {
        schema: Schema::V1,
        application: "team/webshop".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        machines,
        networks: vec![],
        parameters: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }
}

/// Golden bytes: a change here gives every existing release another identity.
#[test]
fn a_release_has_these_bytes() {
    let release = Release::new(document(vec![machine("web")])).unwrap();
    let want = concat!(
        r#"{"annotations":{},"application":"team/webshop","machines":[{"annotations":{},"#,
        r#""architecture":"x86_64","cpus":2,"disks":[{"bus":"virtio","#,
        r#""content":"blake3:3fba5250be9ac259c56e7250c526bc83bacb4be825f2799d3d59e5b4878dd74e","#,
        r#""index":"blake3:aaa6dc8a27328ce8cb8fc0d7a46c2774d23a9db2b642477ca4b420102d359c45","len":4294967296,"name":"root"}],"#,
        r#""firmware":"bios","memoryMib":2048,"name":"web","networkCards":[],"startOrder":0}],"#,
        r#""networks":[],"parameters":{},"schema":"seawall.release/1","version":"1.0.0"}"#
    );
    assert_eq!(std::str::from_utf8(release.bytes()), Ok(want));
    assert_eq!(release.digest(), ReleaseDigest::of(want.as_bytes()));
    assert_eq!(Release::parse(want.as_bytes()).unwrap(), release);
}

#[test]
fn a_second_spelling_is_not_a_release() {
    let release = Release::new(document(vec![machine("web")])).unwrap();
    let text = std::str::from_utf8(release.bytes()).unwrap();
    let reordered = text.replacen(r#"{"annotations":{},"#, "{", 1).replacen(
        r#""version":"1.0.0"}"#,
        r#""version":"1.0.0","annotations":{}}"#,
        1,
    );
    for other in [format!(" {text}"), format!("{text}\n"), text.replace(":2,", ": 2,"), reordered] {
        let error = Release::parse(other.as_bytes()).unwrap_err();
        assert!(matches!(error, InvalidRelease::NotCanonical), "{other}: {error}");
    }
}

#[test]
fn unknown_fields_and_schemas_are_refused() {
    let release = Release::new(document(vec![machine("web")])).unwrap();
    let text = std::str::from_utf8(release.bytes()).unwrap();
    for other in [
        text.replace(r#""cpus":2"#, r#""cpus":2,"gpus":1"#),
        text.replace("seawall.release/1", "seawall.release/2"),
        text.replace("x86_64", "z80"),
        text.replace("blake3:", "BLAKE3:"),
        text.replace("team/webshop", "../webshop"),
        text.replace(r#""cpus":2"#, r#""cpus":-2"#),
    ] {
        assert!(matches!(Release::parse(other.as_bytes()), Err(InvalidRelease::Schema(_))));
    }
}

/// A violation of one rule, and the place named by the error.
type Case = (fn(&mut Document), &'static str);

#[test]
fn every_rule_names_the_place_it_is_broken_in() {
    let cases: [Case; 9] = [
        (|d| d.machines.clear(), "machines"),
        (|d| d.machines.swap(0, 1), "machines"),
        (|d| d.machines[1].name = d.machines[0].name.clone(), "machines"),
        (|d| d.machines[0].disks.clear(), "machine `db`, disks"),
        (|d| d.machines[0].cpus = 0, "machine `db`, cpus"),
        (|d| d.machines[1].memory_mib = 0, "machine `web`, memoryMib"),
        (|d| d.machines[0].disks[0].len = 0, "machine `db`, disk `root`"),
        (|d| d.machines[0].disks = vec![d.machines[0].disks[0].clone(); 2], "machine `db`, disks"),
        (
            |d| {
                let network = "lan".parse().unwrap();
                let model = NetworkModel::Virtio;
                d.machines[0].network_cards.push(NetworkCard { network, model });
            },
            "machine `db`, networkCards",
        ),
    ];
    for (i, (break_it, place)) in cases.into_iter().enumerate() {
        let mut document = document(vec![machine("db"), machine("web")]);
        Release::new(document.clone()).expect("the unbroken document is a release");
        break_it(&mut document);
        let text = Release::new(document).unwrap_err().to_string();
        assert!(text.starts_with(place), "case {i}: {text}");
    }
}

//! The conformance of pins, hosts and policies.

use seawall_api::names::{ApplicationName, HostName};

use super::super::collect::{DeleteRequest, Deletion, Holder};
use super::super::retention::{
    HOST_FORGOTTEN_SECS, HostPart, HostReport, INSTANCES_MAX, Marks, PINS_MAX, Pin, Pinned,
    PolicyRow, Reported,
};
use super::*;

fn shop() -> ApplicationName {
    "fleet/shop".parse().unwrap()
}

fn digest(version: &str) -> ReleaseDigest {
    ReleaseDigest::of(format!("fleet {version}").as_bytes())
}

fn pin(name: &str, reason: &str) -> Pin {
    Pin {
        name: name.parse().unwrap(),
        reason: reason.to_owned(),
        pinned_at_secs: NOW,
        pinned_by: "ops".to_owned(),
    }
}

fn report(host: &str, instance: &str, version: &str, now_secs: u64) -> HostReport {
    HostReport {
        host: host.parse().unwrap(),
        application: shop(),
        instance: instance.to_owned(),
        release: digest(version),
        channel: Some("stable".parse().unwrap()),
        disks: 3,
        now_secs,
        deadline_secs: now_secs + 100,
        reported_by: String::new(),
        speaks_for_all: true,
    }
}

async fn promote(catalog: &Catalog, version: &str, expected: Expected) {
    let request = MoveRequest {
        application: shop(),
        channel: "stable".parse().unwrap(),
        expected,
        release: digest(version),
        now_secs: NOW,
        moved_by: "ops".to_owned(),
    };
    assert!(matches!(catalog.move_channel(request).await.unwrap(), Moved::Done(_)));
}

fn removal() -> Entry {
    Entry::new(Action::Unpin, "ops", NOW)
}

/// Adds releases 1.0 to 5.0 and moves `stable` from 1.0 over 2.0 and 3.0 to 4.0.
async fn furnish(catalog: &Catalog) {
    for version in ["1.0", "2.0", "3.0", "4.0", "5.0"] {
        let release = Release {
            application: shop(),
            version: version.parse().unwrap(),
            digest: digest(version),
            machines: vec![],
            published_at_secs: NOW,
            published_by: "ci".to_owned(),
            disk_bytes: 0,
            data_bytes: 0,
        };
        assert!(catalog.restore_release(release, vec![]).await.unwrap());
    }
    let release = Release {
        application: "other".parse().unwrap(),
        version: "5.0".parse().unwrap(),
        digest: digest("other"),
        machines: vec![],
        published_at_secs: NOW,
        published_by: "ci".to_owned(),
        disk_bytes: 0,
        data_bytes: 0,
    };
    assert!(catalog.restore_release(release, vec![]).await.unwrap());
    promote(catalog, "1.0", Expected::Absent).await;
    for (version, sequence) in [("2.0", 1), ("3.0", 2), ("4.0", 3)] {
        promote(catalog, version, Expected::Sequence(sequence)).await;
    }
}

async fn holders(catalog: &Catalog, version: &str) -> Option<Vec<Holder>> {
    catalog.holders(shop(), digest(version), NOW, 2).await.unwrap()
}

async fn pins_are_set_replaced_and_taken_away(catalog: &Catalog) {
    let (app, one) = (shop(), digest("1.0"));
    assert_eq!(catalog.pin(app.clone(), one, pin("b", "x")).await.unwrap(), Pinned::Created);
    assert_eq!(catalog.pin(app.clone(), one, pin("a", "y")).await.unwrap(), Pinned::Created);
    assert_eq!(catalog.pin(app.clone(), one, pin("b", "z")).await.unwrap(), Pinned::Replaced);
    let want = [pin("a", "y"), pin("b", "z")];
    assert_eq!(catalog.pins(app.clone(), one).await.unwrap(), want);
    let none = digest("9.0");
    assert_eq!(catalog.pin(app.clone(), none, pin("a", "y")).await.unwrap(), Pinned::NoSuchRelease);
    let elsewhere: ApplicationName = "webshop".parse().unwrap();
    assert_eq!(
        catalog.pin(elsewhere.clone(), one, pin("a", "y")).await.unwrap(),
        Pinned::NoSuchRelease
    );
    assert!(!catalog.unpin(elsewhere, one, "a".parse().unwrap(), removal()).await.unwrap());
    let held = holders(catalog, "1.0").await.unwrap();
    let names: Vec<_> = want
        .iter()
        .map(|pin| Holder::Pin { name: pin.name.clone(), reason: pin.reason.clone() })
        .collect();
    assert_eq!(held, names);
    for name in ["a", "b"] {
        assert!(catalog.unpin(app.clone(), one, name.parse().unwrap(), removal()).await.unwrap());
        assert!(!catalog.unpin(app.clone(), one, name.parse().unwrap(), removal()).await.unwrap());
    }
    assert_eq!(holders(catalog, "1.0").await, Some(vec![]));
    for n in 0..PINS_MAX {
        catalog.pin(app.clone(), one, pin(&format!("p{n}"), "x")).await.unwrap();
    }
    assert_eq!(catalog.pin(app.clone(), one, pin("q", "x")).await.unwrap(), Pinned::TooMany);
    assert_eq!(catalog.pin(app.clone(), one, pin("p0", "y")).await.unwrap(), Pinned::Replaced);
    for n in 0..PINS_MAX {
        catalog.unpin(app.clone(), one, format!("p{n}").parse().unwrap(), removal()).await.unwrap();
    }
}

async fn hosts_say_what_they_run(catalog: &Catalog) {
    let Reported::Done(row) = catalog.report_host(report("b", "/x", "2.0", NOW)).await.unwrap()
    else {
        panic!("it is noted")
    };
    assert_eq!((row.version.as_str(), row.moves_behind), ("2.0", Some(2)));
    assert_eq!(row.channel_version.as_ref().unwrap().as_str(), "4.0");
    assert_eq!((row.since_secs, row.renewed_at_secs, row.deadline_secs), (NOW, NOW, NOW + 100));
    // A report of the same release keeps the start time; another release resets it.
    let Reported::Done(row) = catalog.report_host(report("b", "/x", "2.0", NOW + 5)).await.unwrap()
    else {
        panic!("it is noted")
    };
    assert_eq!((row.since_secs, row.renewed_at_secs), (NOW, NOW + 5));
    let Reported::Done(row) = catalog.report_host(report("b", "/x", "4.0", NOW + 9)).await.unwrap()
    else {
        panic!("it is noted")
    };
    assert_eq!((row.since_secs, row.moves_behind), (NOW + 9, Some(0)));
    // A release its channel never pointed at, a channel that does not exist, and no channel.
    let mut never = report("c", "/x", "5.0", NOW);
    catalog.report_host(never.clone()).await.unwrap();
    never.channel = Some("beta".parse().unwrap());
    never.instance = "/y".to_owned();
    catalog.report_host(never.clone()).await.unwrap();
    never.channel = None;
    never.instance = "/z".to_owned();
    catalog.report_host(never).await.unwrap();
    let all = catalog.hosts(None, None, 10).await.unwrap();
    let said = |row: &super::super::retention::HostRow| {
        let channel = row.channel.as_ref().map_or("-", |channel| channel.as_str()).to_owned();
        (row.host.to_string(), row.instance.clone(), channel, row.moves_behind)
    };
    let want = [
        ("b", "/x", "stable", Some(0)),
        ("c", "/x", "stable", None),
        ("c", "/y", "beta", None),
        ("c", "/z", "-", None),
    ];
    let want = want.map(|(a, b, c, n)| (a.to_owned(), b.to_owned(), c.to_owned(), n));
    assert_eq!(all.rows.iter().map(said).collect::<Vec<_>>(), want);
    assert_eq!(all.next, None);
    let page = catalog.hosts(Some(shop()), None, 1).await.unwrap();
    assert_eq!((page.rows.len(), page.next.clone()), (1, Some("b".parse().unwrap())));
    let page = catalog.hosts(Some(shop()), page.next, 1).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (3, None), "a host is not torn apart");
    let elsewhere = catalog.hosts(Some("webshop".parse().unwrap()), None, 10).await.unwrap();
    assert!(elsewhere.rows.is_empty());
    let held = holders(catalog, "5.0").await.unwrap();
    assert_eq!(held, [Holder::Host { host: "c".parse().unwrap(), renewed_at_secs: NOW }]);
    let at_the_deadline = catalog.holders(shop(), digest("5.0"), NOW + 100, 2).await.unwrap();
    assert_eq!(at_the_deadline, Some(vec![]));
    let none = report("d", "/x", "9.0", NOW);
    assert_eq!(catalog.report_host(none).await.unwrap(), Reported::NoSuchRelease);
}

async fn a_host_is_forgotten_when_it_is_asked_for_or_silent_for_long(catalog: &Catalog) {
    let c: HostName = "c".parse().unwrap();
    let part = |instance: Option<&str>| HostPart {
        application: Some(shop()),
        instance: instance.map(str::to_owned),
    };
    assert_eq!(catalog.forget_host(c.clone(), part(Some("/y"))).await.unwrap(), 1);
    assert_eq!(catalog.forget_host(c.clone(), part(Some("/y"))).await.unwrap(), 0);
    assert_eq!(catalog.forget_host(c, HostPart::default()).await.unwrap(), 2);
    for n in 0..INSTANCES_MAX {
        let done = catalog.report_host(report("e", &n.to_string(), "5.0", NOW)).await.unwrap();
        assert!(matches!(done, Reported::Done(_)));
    }
    let more = report("e", "more", "5.0", NOW);
    assert_eq!(catalog.report_host(more).await.unwrap(), Reported::TooManyInstances);
    let later = NOW + 101 + HOST_FORGOTTEN_SECS;
    catalog.report_host(report("f", "/x", "5.0", later)).await.unwrap();
    let all = catalog.hosts(None, None, 10).await.unwrap();
    let hosts: Vec<_> = all.rows.iter().map(|row| row.host.as_str()).collect();
    assert_eq!(hosts, ["b", "f"], "`b` was heard of nine seconds later than `e`");
}

async fn a_host_is_spoken_for_by_the_token_that_spoke_first(catalog: &Catalog) {
    let by = |token: &str, version: &str, now_secs: u64| HostReport {
        reported_by: token.to_owned(),
        speaks_for_all: false,
        ..report("h", "/x", version, now_secs)
    };
    let is_done = |reported| matches!(reported, Reported::Done(_));
    assert!(is_done(catalog.report_host(by("rack1", "5.0", NOW)).await.unwrap()));
    assert!(is_done(catalog.report_host(by("rack1", "4.0", NOW)).await.unwrap()));
    let taken = by("rack2", "5.0", NOW + 50);
    assert_eq!(catalog.report_host(taken.clone()).await.unwrap(), Reported::OfAnother);
    let beside = HostReport { instance: "/y".to_owned(), ..taken.clone() };
    assert_eq!(catalog.report_host(beside).await.unwrap(), Reported::OfAnother);
    // Another application on the same host is another token's to report.
    let application = "other".parse().unwrap();
    let other = HostReport { application, release: digest("other"), ..taken.clone() };
    assert!(is_done(catalog.report_host(other).await.unwrap()));
    let publisher = HostReport { speaks_for_all: true, ..taken };
    assert!(is_done(catalog.report_host(publisher).await.unwrap()));
    let host: HostName = "h".parse().unwrap();
    assert_eq!(
        catalog.report_host(by("rack2", "5.0", NOW + 60)).await.unwrap(),
        Reported::OfAnother,
        "it is rack1's still"
    );
    assert!(is_done(catalog.report_host(by("rack1", "5.0", NOW)).await.unwrap()));
    let late = by("rack2", "5.0", NOW + 101);
    assert!(is_done(catalog.report_host(late).await.unwrap()), "rack1 was not heard of since");
    catalog.forget_host(host, HostPart::default()).await.unwrap();
}

async fn the_holders_in_a_listing_are_those_that_refuse_a_deletion(catalog: &Catalog) {
    catalog.pin(shop(), digest("1.0"), pin("audit", "x")).await.unwrap();
    catalog.report_host(report("g", "/x", "5.0", NOW)).await.unwrap();
    catalog.report_host(report("g", "/y", "5.0", NOW)).await.unwrap();
    let mut marks = catalog.marks(shop(), NOW, 2).await.unwrap();
    marks.sort_by_key(|(release, _)| *release);
    let stable = || vec!["stable".parse().unwrap()];
    let mut want = vec![
        (digest("1.0"), Marks { pins: vec!["audit".parse().unwrap()], ..Marks::default() }),
        (digest("2.0"), Marks { recent_on: stable(), ..Marks::default() }),
        (digest("3.0"), Marks { recent_on: stable(), ..Marks::default() }),
        (digest("4.0"), Marks { host_count: 1, ..Marks::default() }),
        (digest("5.0"), Marks { host_count: 2, ..Marks::default() }),
    ];
    want.sort_by_key(|(release, _)| *release);
    assert_eq!(marks, want);
    let held = holders(catalog, "2.0").await.unwrap();
    let (channel, moves_ago) = ("stable".parse().unwrap(), 2);
    assert_eq!(held, [Holder::History { channel, moves_ago }]);
    assert_eq!(holders(catalog, "9.0").await, None);

    let inventory = catalog.inventory(shop()).await.unwrap();
    let versions: Vec<_> = inventory.releases.iter().map(|r| r.version.as_str()).collect();
    assert_eq!(versions, ["5.0", "4.0", "3.0", "2.0", "1.0"]);
    let steps: Vec<_> = inventory.moves.iter().map(|(_, step)| step.sequence).collect();
    assert_eq!(steps, [1, 2, 3, 4]);
    assert_eq!(inventory.pins, [(digest("1.0"), "audit".parse().unwrap())]);
    let hosts: Vec<_> = inventory.hosts.iter().map(|host| host.host.as_str()).collect();
    assert_eq!(hosts, ["b", "f", "g", "g"]);
}

async fn policies_are_kept_by_scope(catalog: &Catalog) {
    let row = |channel: Option<&str>, policy: &str| PolicyRow {
        channel: channel.map(|name| name.parse().unwrap()),
        policy: policy.to_owned(),
        set_at_secs: NOW,
        set_by: "ops".to_owned(),
    };
    for policy in [row(Some("stable"), "s"), row(None, "a"), row(None, "b")] {
        catalog.set_policy(shop(), policy).await.unwrap();
    }
    let want = [row(None, "b"), row(Some("stable"), "s")];
    assert_eq!(catalog.policies(shop()).await.unwrap(), want);
    assert_eq!(catalog.applications_with_policies().await.unwrap(), [shop()]);
    assert_eq!(catalog.inventory(shop()).await.unwrap().policies, want);
    assert!(catalog.remove_policy(shop(), None, removal()).await.unwrap());
    assert!(!catalog.remove_policy(shop(), None, removal()).await.unwrap());
    assert_eq!(catalog.policies(shop()).await.unwrap(), want[1..]);
}

async fn pins_and_hosts_of_a_release_end_with_it(catalog: &Catalog) {
    let request = |version: &str| DeleteRequest {
        application: shop(),
        version: version.parse().unwrap(),
        now_secs: NOW + 200,
        deleted_by: "ops".to_owned(),
        moves_held: 2,
    };
    let held = catalog.delete_release(request("1.0")).await.unwrap();
    assert!(matches!(&held, Deletion::Held(holders) if holders.len() == 1), "{held:?}");
    catalog.unpin(shop(), digest("1.0"), "audit".parse().unwrap(), removal()).await.unwrap();
    let done = catalog.delete_release(request("1.0")).await.unwrap();
    assert!(matches!(done, Deletion::Done(_)), "{done:?}");
    for selector in [Selector::Version("1.0".parse().unwrap()), Selector::Digest(digest("1.0"))] {
        let buried = catalog.deleted(shop(), selector).await.unwrap().unwrap();
        assert_eq!((buried.deleted_at_secs, buried.deleted_by.as_str()), (NOW + 200, "ops"));
    }
    let stable = Selector::Channel("stable".parse().unwrap());
    assert_eq!(catalog.deleted(shop(), stable).await.unwrap(), None);
    let there = Selector::Digest(digest("2.0"));
    assert_eq!(catalog.deleted(shop(), there).await.unwrap(), None);
    assert_eq!(holders(catalog, "1.0").await, None);
    let none = report("h", "/x", "1.0", NOW);
    assert_eq!(catalog.report_host(none).await.unwrap(), Reported::NoSuchRelease);
    // The channel's history still names the release.
    assert_eq!(catalog.inventory(shop()).await.unwrap().moves.len(), 4);
}

pub(super) async fn all(catalog: &Catalog) {
    furnish(catalog).await;
    pins_are_set_replaced_and_taken_away(catalog).await;
    hosts_say_what_they_run(catalog).await;
    a_host_is_forgotten_when_it_is_asked_for_or_silent_for_long(catalog).await;
    a_host_is_spoken_for_by_the_token_that_spoke_first(catalog).await;
    the_holders_in_a_listing_are_those_that_refuse_a_deletion(catalog).await;
    policies_are_kept_by_scope(catalog).await;
    pins_and_hosts_of_a_release_end_with_it(catalog).await;
}

//! Tests of retention plans.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use seawall_api::digest::ReleaseDigest;

use super::*;
use crate::catalog::ChannelMove;
use crate::catalog::retention::{Inventory, InventoryHost, InventoryRelease};

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 24 * 3600;
const NONE: [u8; 0] = [];

fn digest(n: u8) -> ReleaseDigest {
    ReleaseDigest::from_bytes([n; 32])
}

/// Release number `n`, published `days` ago; every release of a number over 100 is a prerelease.
fn release(n: u8, days: u64) -> InventoryRelease {
    let version = if n > 100 { format!("1.{n}.0-rc.1") } else { format!("1.{n}") };
    let version = version.parse().unwrap();
    InventoryRelease { version, digest: digest(n), published_at_secs: NOW - days * DAY }
}

/// Builds a channel's moves to these releases, each so many days ago, oldest first.
fn moves(channel: &str, steps: &[(u8, u64)]) -> Vec<(ChannelName, ChannelMove)> {
    let step = |(i, (n, days)): (usize, &(u8, u64))| {
        let step = ChannelMove {
            sequence: i as u64 + 1,
            release: digest(*n),
            version: release(*n, 0).version,
            moved_at_secs: NOW - days * DAY,
            moved_by: String::new(),
        };
        (channel.parse().unwrap(), step)
    };
    steps.iter().enumerate().map(step).collect()
}

fn host(name: &str, n: u8, deadline_secs: u64) -> InventoryHost {
    InventoryHost { release: digest(n), host: name.parse().unwrap(), deadline_secs }
}

/// Builds ten releases at intervals of ten days, 9 the newest; `stable` is at 5, previously at 1, 2
/// and 3.
fn inventory() -> Inventory {
    Inventory {
        releases: (0..10).rev().map(|n| release(n, 100 - u64::from(n) * 10)).collect(),
        moves: moves("stable", &[(1, 80), (2, 70), (3, 60), (5, 40)]),
        ..Inventory::default()
    }
}

fn for_application(policy: Policy) -> Policies {
    Policies { application: Some(policy), channels: vec![] }
}

fn for_stable(policy: Policy) -> Policies {
    Policies { application: None, channels: vec![("stable".parse().unwrap(), policy)] }
}

/// Returns the numbers of the releases to delete, ascending.
fn going(inventory: &Inventory, policies: &Policies) -> Vec<u8> {
    let verdicts = plan(inventory, policies, NOW, MOVES_HELD);
    assert_eq!(verdicts.len(), inventory.releases.len(), "each has its verdict");
    assert!(verdicts.iter().all(|verdict| !verdict.reasons.is_empty()), "each has its reason");
    let gone = verdicts.iter().filter(|verdict| verdict.goes);
    let mut gone: Vec<_> = gone.map(|verdict| verdict.release.digest.as_bytes()[0]).collect();
    gone.sort_unstable();
    gone
}

fn reasons(inventory: &Inventory, policies: &Policies, n: u8) -> Vec<String> {
    let verdicts = plan(inventory, policies, NOW, MOVES_HELD);
    let verdict = verdicts.iter().find(|verdict| verdict.release.digest == digest(n)).unwrap();
    verdict.reasons.iter().map(ToString::to_string).collect()
}

fn last(count: u32) -> Policy {
    Policy { keep_last: Some(count), ..Policy::default() }
}

#[test]
fn without_a_policy_nothing_goes() {
    let inventory = inventory();
    assert_eq!(going(&inventory, &Policies::default()), NONE);
    assert_eq!(reasons(&inventory, &Policies::default(), 0), ["no policy applies to it"]);
    let silent = Policy { keep_expired_hosts_secs: Some(0), ..Policy::default() };
    assert_eq!(going(&inventory, &for_application(silent)), NONE, "no rule of it keeps anything");
}

#[test]
fn each_rule_keeps_what_it_says_and_no_more() {
    let inventory = inventory();
    let younger = |days| Policy { keep_younger_secs: Some(days * DAY), ..Policy::default() };
    let left = |days| Policy { keep_superseded_secs: Some(days * DAY), ..Policy::default() };
    // Held by `stable` under any policy: 5, and 3 and 2 one and two moves ago.
    let cases = [
        (for_application(last(1)), vec![0, 1, 4, 6, 7, 8]),
        (for_application(last(4)), vec![0, 1, 4]),
        (for_application(last(10)), vec![]),
        (for_application(younger(25)), vec![0, 1, 4, 6, 7]),
        // Published exactly 30 days ago: not younger.
        (for_application(younger(30)), vec![0, 1, 4, 6, 7]),
        (for_application(left(71)), vec![0, 4, 6, 7, 8, 9]),
        (for_application(left(70)), vec![0, 1, 4, 6, 7, 8, 9]),
        // A channel's policy decides only on the releases of the channel.
        (for_stable(last(1)), vec![1]),
        (for_stable(last(4)), vec![]),
        (for_stable(left(71)), vec![]),
        (for_stable(younger(1)), vec![1]),
        // One keeping rule is enough.
        (for_application(Policy { keep_last: Some(1), ..younger(25) }), vec![0, 1, 4, 6, 7]),
    ];
    for (policies, want) in cases {
        assert_eq!(going(&inventory, &policies), want, "{policies:?}");
    }
    // Two policies: a release stays while one of them keeps it.
    let both = Policies {
        application: Some(last(1)),
        channels: vec![("stable".parse().unwrap(), last(4))],
    };
    assert_eq!(going(&inventory, &both), [0, 4, 6, 7, 8]);
    assert_eq!(reasons(&inventory, &both, 0), ["no rule of the application keeps it"]);
    assert_eq!(reasons(&inventory, &both, 1), ["among the last 4 of channel stable"]);
    assert_eq!(
        reasons(&inventory, &both, 5),
        ["channel stable points at it", "among the last 4 of channel stable"]
    );
    assert_eq!(
        reasons(&inventory, &for_application(left(61)), 3),
        ["channel stable pointed at it 1 move ago", "left by a channel less than 61d ago"]
    );
}

#[test]
fn prereleases_are_counted_apart_where_that_is_asked_for() {
    let releases = [9, 103, 8, 102, 101, 7].into_iter().map(|n| release(n, 300));
    let inventory = Inventory { releases: releases.collect(), ..Inventory::default() };
    assert_eq!(going(&inventory, &for_application(last(2))), [7, 8, 101, 102]);
    let apart = Policy { keep_last_prereleases: Some(1), ..last(2) };
    assert_eq!(going(&inventory, &for_application(apart)), [7, 101, 102]);
    let none_apart = Policy { keep_last_prereleases: Some(3), ..last(1) };
    assert_eq!(going(&inventory, &for_application(none_apart)), [7, 8]);
}

#[test]
fn releases_on_hosts_stay_and_silent_hosts_count_for_their_grace_period() {
    let mut inventory = inventory();
    inventory.hosts = vec![
        host("a", 0, NOW + 1),
        host("b", 0, NOW + 9),
        host("c", 4, NOW),
        host("d", 6, NOW - 31 * DAY),
        host("e", 7, NOW - 2 * DAY),
    ];
    let day = Policy { keep_expired_hosts_secs: Some(DAY), ..last(1) };
    assert_eq!(
        going(&inventory, &for_application(last(1))),
        [1, 6, 8],
        "30 days where none is said"
    );
    assert_eq!(going(&inventory, &for_application(day)), [1, 6, 7, 8]);
    let none = Policy { keep_expired_hosts_secs: Some(0), ..last(1) };
    assert_eq!(
        going(&inventory, &for_application(none.clone())),
        [1, 4, 6, 7, 8],
        "0 stays: it runs"
    );
    assert_eq!(reasons(&inventory, &for_application(none), 0), ["runs on host a and 1 more"]);
    let silent = reasons(&inventory, &for_application(last(1)), 4);
    assert_eq!(silent, ["ran on host c, silent since"]);
}

#[test]
fn policies_have_limits_and_one_spelling_at_rest() {
    let good = Policy {
        keep_last_prereleases: Some(2),
        keep_younger_secs: Some(0),
        keep_superseded_secs: Some(DAY),
        keep_expired_hosts_secs: Some(0),
        ..last(1)
    };
    good.check().unwrap();
    assert_eq!(Policy::decode(&good.encode()).unwrap(), good);
    assert_eq!(last(3).encode(), r#"{"keepLast":3}"#);
    let bad = [
        last(0),
        last(1_000_001),
        Policy { keep_last_prereleases: Some(1), ..Policy::default() },
        Policy { keep_last_prereleases: Some(0), ..last(1) },
        Policy { keep_younger_secs: Some(u64::MAX), ..Policy::default() },
        Policy { keep_expired_hosts_secs: Some(367 * DAY), ..last(1) },
    ];
    for policy in bad {
        policy.check().unwrap_err();
    }
    // A policy with an unknown rule, from a later version, is an error.
    Policy::decode(r#"{"keepLast":3,"keepSigned":true}"#).unwrap_err();
}

/// Generates up to 12 releases with channels that moved among them.
fn any_inventory() -> impl Strategy<Value = Inventory> {
    let releases = vec((0..3_u64, any::<bool>()), 0..12);
    let steps = || vec((0..12_u8, 0..90_u64), 0..6);
    let pins = vec(0..12_u8, 0..3);
    let hosts = vec((0..12_u8, 0..80_u64), 0..4);
    (releases, steps(), steps(), pins, hosts).prop_map(|(ages, stable, beta, pins, hosts)| {
        let mut days = 0;
        let mut releases: Vec<_> = ages
            .iter()
            .enumerate()
            .map(|(n, (age, is_prerelease))| {
                days += age * 15;
                let mut release = release(u8::try_from(n).unwrap(), days);
                if *is_prerelease {
                    release.version = format!("1.{n}.0-rc").parse().unwrap();
                }
                release
            })
            .collect();
        releases.sort_by_key(|release| std::cmp::Reverse(release.published_at_secs));
        let is_there = |n: u8| usize::from(n) < ages.len();
        let walk = |channel: &str, mut steps: Vec<(u8, u64)>| {
            steps.retain(|(n, _)| is_there(*n));
            steps.sort_by_key(|(_, days)| std::cmp::Reverse(*days));
            moves(channel, &steps)
        };
        Inventory {
            moves: [walk("beta", beta), walk("stable", stable)].concat(),
            pins: pins
                .into_iter()
                .filter(|n| is_there(*n))
                .map(|n| (digest(n), "pin".parse().unwrap()))
                .collect(),
            hosts: hosts
                .into_iter()
                .filter(|(n, _)| is_there(*n))
                .map(|(n, days)| host("h", n, NOW + 40 * DAY - days * DAY))
                .collect(),
            policies: vec![],
            releases,
        }
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let count = || proptest::option::of(1..8_u32);
    let secs = || proptest::option::of((0..90_u64).prop_map(|days| days * DAY));
    (count(), count(), secs(), secs(), secs()).prop_map(
        |(keep_last, apart, keep_younger_secs, keep_superseded_secs, keep_expired_hosts_secs)| {
            let keep_last_prereleases = apart.filter(|_| keep_last.is_some());
            Policy {
                keep_last,
                keep_last_prereleases,
                keep_younger_secs,
                keep_superseded_secs,
                keep_expired_hosts_secs,
            }
        },
    )
}

fn any_policies() -> impl Strategy<Value = Policies> {
    let channels = ["beta", "stable"].map(|name| {
        let policy = proptest::option::of(any_policy());
        policy.prop_map(move |policy| policy.map(|policy| (name.parse().unwrap(), policy)))
    });
    (proptest::option::of(any_policy()), channels).prop_map(|(application, channels)| Policies {
        application,
        channels: channels.into_iter().flatten().collect(),
    })
}

/// Reduces every number of a policy without adding or removing rules.
fn stricter(policy: &Policy) -> Policy {
    let fewer = |count: Option<u32>| count.map(|count| count.div_ceil(2));
    let less = |secs: Option<u64>| secs.map(|secs| secs / 3);
    Policy {
        keep_last: fewer(policy.keep_last),
        keep_last_prereleases: fewer(policy.keep_last_prereleases),
        keep_younger_secs: less(policy.keep_younger_secs),
        keep_superseded_secs: less(policy.keep_superseded_secs),
        // Without a number, the default of 30 days applies to both.
        keep_expired_hosts_secs: less(policy.keep_expired_hosts_secs),
    }
}

/// Returns whether a release is held, computed independently of the plan.
fn is_held(inventory: &Inventory, n: ReleaseDigest) -> bool {
    let by_channel = |name: &str| {
        let steps: Vec<_> = inventory.moves.iter().filter(|(of, _)| of.as_str() == name).collect();
        steps.iter().rev().take(MOVES_HELD as usize + 1).any(|(_, step)| step.release == n)
    };
    by_channel("beta")
        || by_channel("stable")
        || inventory.pins.iter().any(|(release, _)| *release == n)
        || inventory.hosts.iter().any(|host| host.release == n && host.deadline_secs > NOW)
}

proptest! {
    #[test]
    fn nothing_that_is_held_goes(inventory in any_inventory(), policies in any_policies()) {
        for n in going(&inventory, &policies) {
            prop_assert!(!is_held(&inventory, digest(n)), "{n} is held");
        }
    }

    #[test]
    fn nothing_goes_that_no_policy_decides_on(inventory in any_inventory(), policy in any_policy()) {
        for n in going(&inventory, &for_stable(policy)) {
            let mut steps = inventory.moves.iter().filter(|(of, _)| of.as_str() == "stable");
            prop_assert!(steps.any(|(_, step)| step.release == digest(n)));
        }
    }

    /// A stricter policy deletes all releases that the looser policy deletes.
    #[test]
    fn a_stricter_policy_keeps_nothing_more(inventory in any_inventory(), policies in any_policies()) {
        let strict = Policies {
            application: policies.application.as_ref().map(stricter),
            channels: policies
                .channels
                .iter()
                .map(|(name, policy)| (name.clone(), stricter(policy)))
                .collect(),
        };
        let (loose, strict) = (going(&inventory, &policies), going(&inventory, &strict));
        prop_assert!(loose.iter().all(|n| strict.contains(n)), "{loose:?} {strict:?}");
    }

    /// As time passes, more releases are deleted, never fewer.
    #[test]
    fn a_release_deleted_by_a_plan_is_deleted_by_every_later_plan(inventory in any_inventory(), policies in any_policies()) {
        let goes = |now| -> HashSet<_> {
            let verdicts = plan(&inventory, &policies, now, MOVES_HELD);
            verdicts.iter().filter(|v| v.goes).map(|v| v.release.digest).collect()
        };
        prop_assert!(goes(NOW).is_subset(&goes(NOW + 5 * DAY)));
    }
}

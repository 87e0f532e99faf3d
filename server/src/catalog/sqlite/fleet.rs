//! Pins, hosts and policies.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use seawall_api::audit::Action;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName};
use seawall_api::reference::Selector;

use super::connection::SqlResult;
use super::{audit, deletion, releases, row};
use crate::catalog::Entry;
use crate::catalog::collect::{Holder, Tombstone};
use crate::catalog::fleet::{
    HOST_FORGOTTEN_SECS, HOSTS_MAX, HOSTS_PER_TOKEN_MAX, HostPart, HostReport, HostRow, HostRows,
    INSTANCES_MAX, Marks, PINS_MAX, Pin, Pinned, PolicyRow, Reported, Standing, StandingHost,
    StandingRelease,
};
use crate::catalog::model::ChannelMove;

/// Stands for an application's own policy in the column of channels. No channel has this name.
const NO_CHANNEL: &str = "";

pub(super) fn deleted(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    selector: &Selector,
) -> SqlResult<Option<Tombstone>> {
    match selector {
        Selector::Version(version) => deletion::tombstone(tx, application, version),
        Selector::Digest(digest) => deletion::tombstone_of(tx, application, *digest),
        Selector::Channel(_) => Ok(None),
    }
}

/// Returns the row id of a visible release.
fn release_id(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    release: ReleaseDigest,
) -> SqlResult<Option<i64>> {
    let sql = "SELECT id FROM releases
               WHERE digest = $1 AND application = $2 AND deleted_at_secs IS NULL";
    tx.prepare_cached(sql)?
        .query_row(params![release.as_bytes(), application.as_str()], |found| found.get(0))
        .optional()
}

pub(super) fn holders(
    tx: &Transaction<'_>,
    (application, release): (&ApplicationName, ReleaseDigest),
    now_secs: u64,
    moves_held: u32,
) -> SqlResult<Option<Vec<Holder>>> {
    let id = release_id(tx, application, release)?;
    id.map(|id| deletion::holders(tx, id, now_secs, moves_held)).transpose()
}

pub(super) fn marks(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    now_secs: u64,
    moves_held: u32,
) -> SqlResult<Vec<(ReleaseDigest, Marks)>> {
    let digest = |found: &Row<'_>| row::digest(found, 0);
    let mut marks = BTreeMap::<[u8; 32], Marks>::new();
    let mut recent = tx.prepare_cached(
        "SELECT DISTINCT r.digest, m.channel
         FROM channel_moves m
         JOIN channels c ON c.application = m.application AND c.name = m.channel
         JOIN releases r ON r.id = m.release_id
         WHERE m.application = $1 AND c.release_id <> m.release_id
             AND c.sequence - m.sequence <= $2 AND r.deleted_at_secs IS NULL
         ORDER BY m.channel",
    )?;
    let found = recent.query_map(params![application.as_str(), moves_held], |found| {
        Ok((digest(found)?, row::name::<ChannelName>(found, 1)?))
    })?;
    for found in found {
        let (release, channel) = found?;
        marks.entry(release).or_default().recent_on.push(channel);
    }
    for (release, pin) in pins_of_application(tx, application)? {
        marks.entry(*release.as_bytes()).or_default().pins.push(pin);
    }
    let mut hosts = tx.prepare_cached(
        "SELECT r.digest, COUNT(DISTINCT h.host)
         FROM hosts h JOIN releases r ON r.id = h.release_id
         WHERE h.application = $1 AND h.deadline_secs > $2 GROUP BY r.digest",
    )?;
    let now = row::integer(now_secs)?;
    let found = hosts.query_map(params![application.as_str(), now], |found| {
        Ok((digest(found)?, row::quantity(found, 1)?))
    })?;
    for found in found {
        let (release, count) = found?;
        marks.entry(release).or_default().host_count = count;
    }
    let marks = marks.into_iter();
    Ok(marks.map(|(release, marks)| (ReleaseDigest::from_bytes(release), marks)).collect())
}

fn pins_of_application(
    tx: &Transaction<'_>,
    application: &ApplicationName,
) -> SqlResult<Vec<(ReleaseDigest, PinName)>> {
    tx.prepare_cached(
        "SELECT r.digest, p.name FROM pins p JOIN releases r ON r.id = p.release_id
         WHERE r.application = $1 ORDER BY r.id, p.name",
    )?
    .query_map([application.as_str()], |found| {
        Ok((ReleaseDigest::from_bytes(row::digest(found, 0)?), row::name(found, 1)?))
    })?
    .collect()
}

pub(super) fn standing(tx: &Transaction<'_>, application: &ApplicationName) -> SqlResult<Standing> {
    let releases = tx
        .prepare_cached(
            "SELECT version, digest, published_at_secs FROM releases
             WHERE application = $1 AND deleted_at_secs IS NULL ORDER BY id DESC",
        )?
        .query_map([application.as_str()], |found| {
            Ok(StandingRelease {
                version: row::name(found, 0)?,
                digest: ReleaseDigest::from_bytes(row::digest(found, 1)?),
                published_at_secs: row::quantity(found, 2)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    let moves = tx
        .prepare_cached(
            "SELECT m.channel, m.sequence, r.digest, r.version, m.moved_at_secs, m.moved_by
             FROM channel_moves m JOIN releases r ON r.id = m.release_id
             WHERE m.application = $1 ORDER BY m.channel, m.sequence",
        )?
        .query_map([application.as_str()], |found| {
            let step = ChannelMove {
                sequence: row::quantity(found, 1)?,
                release: ReleaseDigest::from_bytes(row::digest(found, 2)?),
                version: row::name(found, 3)?,
                moved_at_secs: row::quantity(found, 4)?,
                moved_by: found.get(5)?,
            };
            Ok((row::name(found, 0)?, step))
        })?
        .collect::<Result<_, _>>()?;
    let hosts = tx
        .prepare_cached(
            "SELECT r.digest, h.host, h.deadline_secs
             FROM hosts h JOIN releases r ON r.id = h.release_id
             WHERE h.application = $1 ORDER BY h.host, h.instance",
        )?
        .query_map([application.as_str()], |found| {
            Ok(StandingHost {
                release: ReleaseDigest::from_bytes(row::digest(found, 0)?),
                host: row::name(found, 1)?,
                deadline_secs: row::quantity(found, 2)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    let pins = pins_of_application(tx, application)?;
    Ok(Standing { releases, moves, pins, hosts, policies: policies(tx, application)? })
}

pub(super) fn pin(
    tx: &Transaction<'_>,
    (application, release): (&ApplicationName, ReleaseDigest),
    pin: &Pin,
) -> SqlResult<Pinned> {
    let Some(id) = release_id(tx, application, release)? else {
        return Ok(Pinned::NoSuchRelease);
    };
    let is_there = tx
        .prepare_cached("SELECT 1 FROM pins WHERE release_id = $1 AND name = $2")?
        .exists(params![id, pin.name.as_str()])?;
    if !is_there {
        let count: u32 = tx
            .prepare_cached("SELECT COUNT(*) FROM pins WHERE release_id = $1")?
            .query_row([id], |found| found.get(0))?;
        if count >= PINS_MAX {
            return Ok(Pinned::TooMany);
        }
    }
    tx.prepare_cached(
        "INSERT INTO pins (release_id, name, reason, pinned_at_secs, pinned_by)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (release_id, name) DO UPDATE SET reason = excluded.reason,
             pinned_at_secs = excluded.pinned_at_secs, pinned_by = excluded.pinned_by",
    )?
    .execute(params![
        id,
        pin.name.as_str(),
        pin.reason,
        row::integer(pin.pinned_at_secs)?,
        pin.pinned_by
    ])?;
    let version = releases::by_id(tx, id)?.version;
    let entry = Entry::new(Action::Pin, &pin.pinned_by, pin.pinned_at_secs)
        .to_application(application)
        .to_release(&version, release)
        .with("pin", &pin.name)
        .with("reason", &pin.reason);
    audit::append(tx, &entry)?;
    Ok(if is_there { Pinned::Replaced } else { Pinned::Created })
}

pub(super) fn unpin(
    tx: &Transaction<'_>,
    (application, release): (&ApplicationName, ReleaseDigest),
    name: &PinName,
) -> SqlResult<bool> {
    let Some(id) = release_id(tx, application, release)? else { return Ok(false) };
    let count = tx
        .prepare_cached("DELETE FROM pins WHERE release_id = $1 AND name = $2")?
        .execute(params![id, name.as_str()])?;
    Ok(count > 0)
}

pub(super) fn pins(
    tx: &Transaction<'_>,
    (application, release): (&ApplicationName, ReleaseDigest),
) -> SqlResult<Vec<Pin>> {
    let Some(id) = release_id(tx, application, release)? else { return Ok(vec![]) };
    tx.prepare_cached(
        "SELECT name, reason, pinned_at_secs, pinned_by FROM pins
         WHERE release_id = $1 ORDER BY name",
    )?
    .query_map([id], |found| {
        Ok(Pin {
            name: row::name(found, 0)?,
            reason: found.get(1)?,
            pinned_at_secs: row::quantity(found, 2)?,
            pinned_by: found.get(3)?,
        })
    })?
    .collect()
}

const HOST: &str = "SELECT h.host, h.application, h.instance, r.digest, r.version,
        r.published_at_secs, h.channel, p.version,
        c.sequence - (SELECT MAX(m.sequence) FROM channel_moves m
                      WHERE m.application = h.application AND m.channel = h.channel
                          AND m.release_id = h.release_id),
        h.disks, h.since_secs, h.renewed_at_secs, h.deadline_secs
    FROM hosts h
    JOIN releases r ON r.id = h.release_id
    LEFT JOIN channels c ON c.application = h.application AND c.name = h.channel
    LEFT JOIN releases p ON p.id = c.release_id";

fn read_host(found: &Row<'_>) -> SqlResult<HostRow> {
    let name = |at| found.get::<_, Option<String>>(at);
    Ok(HostRow {
        host: row::name(found, 0)?,
        application: row::name(found, 1)?,
        instance: found.get(2)?,
        release: ReleaseDigest::from_bytes(row::digest(found, 3)?),
        version: row::name(found, 4)?,
        published_at_secs: row::quantity(found, 5)?,
        channel: name(6)?.map(|text| row::parse(&text, 6)).transpose()?,
        channel_version: name(7)?.map(|text| row::parse(&text, 7)).transpose()?,
        moves_behind: match found.get::<_, Option<i64>>(8)? {
            None => None,
            Some(_) => Some(row::quantity(found, 8)?),
        },
        disks: row::quantity(found, 9)?,
        since_secs: row::quantity(found, 10)?,
        renewed_at_secs: row::quantity(found, 11)?,
        deadline_secs: row::quantity(found, 12)?,
    })
}

pub(super) fn report(tx: &Transaction<'_>, report: &HostReport) -> SqlResult<Reported> {
    let Some(id) = release_id(tx, &report.application, report.release)? else {
        return Ok(Reported::NoSuchRelease);
    };
    if !report.speaks_for_all && is_of_another(tx, report)? {
        return Ok(Reported::OfAnother);
    }
    let key = params![report.host.as_str(), report.application.as_str(), report.instance];
    let sql = "SELECT 1 FROM hosts WHERE host = $1 AND application = $2 AND instance = $3";
    if !tx.prepare_cached(sql)?.exists(key)? {
        let silent = report.now_secs.saturating_sub(HOST_FORGOTTEN_SECS);
        tx.prepare_cached("DELETE FROM hosts WHERE deadline_secs < $1")?
            .execute([row::integer(silent)?])?;
        let instances: u32 = tx
            .prepare_cached("SELECT COUNT(*) FROM hosts WHERE host = $1")?
            .query_row([report.host.as_str()], |found| found.get(0))?;
        if instances >= INSTANCES_MAX {
            return Ok(Reported::TooManyInstances);
        }
        let all: u32 =
            tx.prepare_cached("SELECT COUNT(*) FROM hosts")?.query_row([], |found| found.get(0))?;
        if all >= HOSTS_MAX {
            return Ok(Reported::TooManyHosts);
        }
        let own: u32 = tx
            .prepare_cached("SELECT COUNT(*) FROM hosts WHERE reported_by = $1")?
            .query_row([&report.reported_by], |found| found.get(0))?;
        if own >= HOSTS_PER_TOKEN_MAX && !report.reported_by.is_empty() {
            return Ok(Reported::TooManyOfToken);
        }
    }
    tx.prepare_cached(
        "INSERT INTO hosts (host, application, instance, release_id, channel, disks, since_secs,
                            renewed_at_secs, deadline_secs, reported_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)
         ON CONFLICT (host, application, instance) DO UPDATE SET
             since_secs = CASE WHEN hosts.release_id = excluded.release_id
                               THEN hosts.since_secs ELSE excluded.since_secs END,
             release_id = excluded.release_id, channel = excluded.channel,
             disks = excluded.disks, renewed_at_secs = excluded.renewed_at_secs,
             deadline_secs = excluded.deadline_secs,
             reported_by = CASE WHEN $10 = 1 AND hosts.reported_by <> ''
                                THEN hosts.reported_by ELSE excluded.reported_by END",
    )?
    .execute(params![
        report.host.as_str(),
        report.application.as_str(),
        report.instance,
        id,
        report.channel.as_ref().map(ChannelName::as_str),
        row::integer(report.disks)?,
        row::integer(report.now_secs)?,
        row::integer(report.deadline_secs)?,
        report.reported_by,
        report.speaks_for_all
    ])?;
    let sql = format!("{HOST} WHERE h.host = $1 AND h.application = $2 AND h.instance = $3");
    let row = tx.prepare_cached(&sql)?.query_row(key, read_host)?;
    Ok(Reported::Done(Box::new(row)))
}

/// Returns whether another token reports this host. Reports past their deadline do not count,
/// because a replaced token is not heard of again.
fn is_of_another(tx: &Transaction<'_>, report: &HostReport) -> SqlResult<bool> {
    let sql = "SELECT 1 FROM hosts WHERE host = $1 AND reported_by <> $2 AND reported_by <> ''
                   AND deadline_secs > $3";
    let now = row::integer(report.now_secs)?;
    tx.prepare_cached(sql)?.exists(params![report.host.as_str(), report.reported_by, now])
}

pub(super) fn hosts(
    tx: &Transaction<'_>,
    application: Option<&ApplicationName>,
    after: Option<&HostName>,
    limit: u32,
) -> SqlResult<HostRows> {
    // No name is empty. The empty text sorts before all hosts, and stands for all applications.
    let application = application.map_or("", ApplicationName::as_str);
    let after = after.map_or("", HostName::as_str);
    let mut names: Vec<HostName> = tx
        .prepare_cached(
            "SELECT DISTINCT host FROM hosts
             WHERE host > $1 AND ($2 = '' OR application = $2) ORDER BY host LIMIT $3",
        )?
        .query_map(params![after, application, limit.saturating_add(1)], |found| {
            row::name(found, 0)
        })?
        .collect::<Result<_, _>>()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = names.len() > limit;
    names.truncate(limit);
    let Some(last) = names.pop() else { return Ok(HostRows { rows: vec![], next: None }) };
    let sql = format!(
        "{HOST} WHERE h.host > $1 AND ($2 = '' OR h.application = $2) AND h.host <= $3
         ORDER BY h.host, h.application, h.instance"
    );
    let rows = tx
        .prepare_cached(&sql)?
        .query_map(params![after, application, last.as_str()], read_host)?
        .collect::<Result<_, _>>()?;
    Ok(HostRows { rows, next: more.then_some(last) })
}

pub(super) fn forget(tx: &Transaction<'_>, host: &HostName, part: &HostPart) -> SqlResult<u64> {
    let count = tx
        .prepare_cached(
            "DELETE FROM hosts WHERE host = $1 AND ($2 = '' OR application = $2)
                 AND ($3 = '' OR instance = $3)",
        )?
        .execute(params![
            host.as_str(),
            part.application.as_ref().map_or("", ApplicationName::as_str),
            part.instance.as_deref().unwrap_or_default()
        ])?;
    Ok(count as u64)
}

pub(super) fn set_policy(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    policy: &PolicyRow,
) -> SqlResult<()> {
    tx.prepare_cached(
        "INSERT INTO policies (application, channel, policy, set_at_secs, set_by)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (application, channel) DO UPDATE SET policy = excluded.policy,
             set_at_secs = excluded.set_at_secs, set_by = excluded.set_by",
    )?
    .execute(params![
        application.as_str(),
        policy.channel.as_ref().map_or(NO_CHANNEL, ChannelName::as_str),
        policy.policy,
        row::integer(policy.set_at_secs)?,
        policy.set_by
    ])?;
    let entry = Entry::new(Action::Policy, &policy.set_by, policy.set_at_secs)
        .to_application(application)
        .with("channel", policy.channel.as_ref().map_or(NO_CHANNEL, ChannelName::as_str))
        .with("policy", &policy.policy);
    audit::append(tx, &entry)?;
    Ok(())
}

pub(super) fn remove_policy(
    tx: &Transaction<'_>,
    application: &ApplicationName,
    channel: Option<&ChannelName>,
) -> SqlResult<bool> {
    let channel = channel.map_or(NO_CHANNEL, ChannelName::as_str);
    let count = tx
        .prepare_cached("DELETE FROM policies WHERE application = $1 AND channel = $2")?
        .execute([application.as_str(), channel])?;
    Ok(count > 0)
}

pub(super) fn policies(
    tx: &Transaction<'_>,
    application: &ApplicationName,
) -> SqlResult<Vec<PolicyRow>> {
    tx.prepare_cached(
        "SELECT channel, policy, set_at_secs, set_by FROM policies
         WHERE application = $1 ORDER BY channel",
    )?
    .query_map([application.as_str()], |found| {
        let channel: String = found.get(0)?;
        let channel = (channel != NO_CHANNEL).then(|| row::parse(&channel, 0)).transpose()?;
        Ok(PolicyRow {
            channel,
            policy: found.get(1)?,
            set_at_secs: row::quantity(found, 2)?,
            set_by: found.get(3)?,
        })
    })?
    .collect()
}

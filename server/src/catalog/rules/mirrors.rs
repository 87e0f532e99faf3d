//! Mirrors: standing orders, whose runs are jobs.

use seawall_api::audit::Action;
use seawall_api::names::MirrorName;

use crate::catalog::model::audit::Entry;
use crate::catalog::model::jobs::JobKind;
use crate::catalog::model::mirrors::{Direction, Mirror, MirrorAdded, MirrorRow, MirrorToken};
use crate::catalog::rules::audit;
use crate::catalog::rules::maintenance::jobs;
use crate::catalog::tx::{Row, Tx, TxError, TxResult, args};

/// The maximum number of mirrors.
const MIRRORS_MAX: u32 = 100;
/// Separates the names in a column. No name contains a space.
const SEPARATOR: &str = " ";

/// Expands to a query for [`read`].
macro_rules! select_mirror {
    ($rest:literal) => {
        concat!(
            "SELECT name, direction, url, token, applications, channels, every_secs,
                 bytes_per_sec_max, deletes, overrides_channels, request_count, created_at_secs,
                 created_by FROM mirrors ",
            $rest
        )
    };
}

fn read(row: Row<'_>) -> TxResult<Mirror> {
    let word = row.text(1)?;
    let direction = Direction::ALL.into_iter().find(|direction| direction.as_str() == word);
    let words = |at| row.text(at).map(|text| text.split(SEPARATOR).filter(|it| !it.is_empty()));
    Ok(Mirror {
        name: row.name(0)?,
        direction: direction.ok_or_else(|| TxError::damaged("a mirror has no direction"))?,
        url: row.text(2)?.to_owned(),
        token: row.text_or_none(3)?.map(|text| MirrorToken::new(text.to_owned())),
        applications: words(4)?.map(str::parse).collect::<Result<_, _>>().map_err(damaged)?,
        channels: words(5)?.map(str::parse).collect::<Result<_, _>>().map_err(damaged)?,
        every_secs: row.count(6)?,
        bytes_per_sec_max: row.count_or_none(7)?,
        deletes: row.flag(8)?,
        overrides_channels: row.flag(9)?,
        request_count: row.count(10)?,
        created_at_secs: row.count(11)?,
        created_by: row.text(12)?.to_owned(),
    })
}

fn damaged(error: seawall_api::names::InvalidName) -> TxError {
    TxError::damaged(error)
}

/// Adds a mirror, up to a maximum number.
pub(in crate::catalog) fn add(tx: &mut dyn Tx, mirror: &Mirror) -> TxResult<MirrorAdded> {
    if find(tx, &mirror.name)?.is_some() {
        return Ok(MirrorAdded::NameTaken);
    }
    let count: u32 = tx.get("SELECT COUNT(*) FROM mirrors", &[], |row| row.count(0))?;
    if count >= MIRRORS_MAX {
        return Ok(MirrorAdded::TooMany(MIRRORS_MAX));
    }
    let token = mirror.token.as_ref().map(|token| token.expose().to_owned());
    let applications: Vec<_> = mirror.applications.iter().map(|it| it.as_str()).collect();
    let channels: Vec<_> = mirror.channels.iter().map(|it| it.as_str()).collect();
    let (applications, channels) = (applications.join(SEPARATOR), channels.join(SEPARATOR));
    let sql = "INSERT INTO mirrors (name, direction, url, token, applications, channels,
                   every_secs, bytes_per_sec_max, deletes, overrides_channels, request_count,
                   created_at_secs, created_by)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12)";
    let Mirror { name, url, every_secs, bytes_per_sec_max, deletes, overrides_channels, .. } =
        mirror;
    let values = args![
        name,
        *mirror.direction.as_str(),
        url,
        token,
        applications,
        channels,
        every_secs,
        bytes_per_sec_max,
        deletes,
        overrides_channels,
        mirror.created_at_secs,
        mirror.created_by
    ];
    tx.run(sql, values)?;
    let entry = changed(mirror, &mirror.created_by, mirror.created_at_secs)
        .with("change", "added")
        .with("applications", applications);
    audit::append(tx, &entry)?;
    Ok(MirrorAdded::Done)
}

/// Makes the log entry of a change, which names the host of the other registry.
fn changed(mirror: &Mirror, actor: &str, now_secs: u64) -> Entry {
    Entry::new(Action::Mirror, actor, now_secs)
        .with("mirror", &mirror.name)
        .with("direction", mirror.direction.as_str())
        .with("host", mirror.url.split('/').nth(2).unwrap_or_default())
}

/// Logs that a mirror began to fail, with the reason, or recovered.
pub(in crate::catalog) fn log_state(
    tx: &mut dyn Tx,
    mirror: &Mirror,
    failure: Option<&str>,
    now_secs: u64,
) -> TxResult<()> {
    let entry = changed(mirror, "", now_secs);
    let entry = match failure {
        Some(reason) => entry.with("change", "failing").with("reason", reason),
        None => entry.with("change", "recovered"),
    };
    audit::append(tx, &entry).map(drop)
}

/// Removes a mirror with its jobs. Returns false if there is none.
pub(in crate::catalog) fn remove(
    tx: &mut dyn Tx,
    name: &MirrorName,
    actor: &str,
    now_secs: u64,
) -> TxResult<bool> {
    let Some(mirror) = find(tx, name)? else { return Ok(false) };
    tx.run("DELETE FROM mirrors WHERE name = $1", args![name])?;
    jobs::forget(tx, &JobKind::Mirror.of(name.as_str()))?;
    audit::append(tx, &changed(&mirror, actor, now_secs).with("change", "removed"))?;
    Ok(true)
}

/// Returns a mirror.
pub(in crate::catalog) fn find(tx: &mut dyn Tx, name: &MirrorName) -> TxResult<Option<Mirror>> {
    tx.find(select_mirror!("WHERE name = $1"), args![name], read)
}

/// Lists all mirrors by name, each with its newest job.
pub(in crate::catalog) fn list(tx: &mut dyn Tx) -> TxResult<Vec<MirrorRow>> {
    let mirrors = tx.list(select_mirror!("ORDER BY name"), &[], read)?;
    let with_job = |mirror: Mirror| {
        let job = jobs::newest(tx, &JobKind::Mirror.of(mirror.name.as_str()))?;
        Ok(MirrorRow { mirror, job })
    };
    mirrors.into_iter().map(with_job).collect()
}

/// Counts a request for a run. Returns its number; `None` if there is no such mirror.
pub(in crate::catalog) fn request(tx: &mut dyn Tx, name: &MirrorName) -> TxResult<Option<u64>> {
    let sql = "UPDATE mirrors SET request_count = request_count + 1 WHERE name = $1";
    tx.run(sql, args![name])?;
    Ok(find(tx, name)?.map(|mirror| mirror.request_count))
}

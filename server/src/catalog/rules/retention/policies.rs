//! Policies of applications and channels.

use seawall_api::audit::Action;
use seawall_api::names::{ApplicationName, ChannelName};

use crate::catalog::model::audit::Entry;
use crate::catalog::model::retention::PolicyRow;
use crate::catalog::rules::audit;
use crate::catalog::tx::{Tx, TxError, TxResult, args};

/// Stands for an application's own policy in the column of channels. No channel has this name.
const NO_CHANNEL: &str = "";

fn column(channel: Option<&ChannelName>) -> &str {
    channel.map_or(NO_CHANNEL, ChannelName::as_str)
}

/// Sets a policy of an existing application.
pub(in crate::catalog) fn set(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    row: &PolicyRow,
) -> TxResult<()> {
    let PolicyRow { channel, policy, set_at_secs, set_by } = row;
    let channel = column(channel.as_ref());
    let sql = "INSERT INTO policies (application, channel, policy, set_at_secs, set_by)
               VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (application, channel) DO UPDATE SET policy = excluded.policy,
                   set_at_secs = excluded.set_at_secs, set_by = excluded.set_by";
    tx.run(sql, args![application, channel, policy, set_at_secs, set_by])?;
    let entry = Entry::new(Action::Policy, set_by, *set_at_secs)
        .to_application(application)
        .with("channel", channel)
        .with("policy", policy);
    audit::append(tx, &entry)?;
    Ok(())
}

/// Removes a policy, and logs the removal as `entry`. Returns false if there was none.
pub(in crate::catalog) fn remove(
    tx: &mut dyn Tx,
    application: &ApplicationName,
    channel: Option<&ChannelName>,
    entry: &Entry,
) -> TxResult<bool> {
    let sql = "DELETE FROM policies WHERE application = $1 AND channel = $2";
    if tx.run(sql, args![application, column(channel)])? == 0 {
        return Ok(false);
    }
    audit::append(tx, entry)?;
    Ok(true)
}

/// Lists the applications with policies, by name.
pub(in crate::catalog) fn applications(tx: &mut dyn Tx) -> TxResult<Vec<ApplicationName>> {
    let sql = "SELECT DISTINCT application FROM policies ORDER BY application";
    tx.list(sql, &[], |row| row.name(0))
}

/// Lists the policies of an application: its own first, then those of its channels by name.
pub(in crate::catalog) fn list(
    tx: &mut dyn Tx,
    application: &ApplicationName,
) -> TxResult<Vec<PolicyRow>> {
    let sql = "SELECT channel, policy, set_at_secs, set_by FROM policies
               WHERE application = $1 ORDER BY channel";
    tx.list(sql, args![application], |row| {
        let channel = Some(row.text(0)?).filter(|channel| *channel != NO_CHANNEL);
        Ok(PolicyRow {
            channel: channel.map(str::parse).transpose().map_err(TxError::damaged)?,
            policy: row.text(1)?.to_owned(),
            set_at_secs: row.count(2)?,
            set_by: row.text(3)?.to_owned(),
        })
    })
}

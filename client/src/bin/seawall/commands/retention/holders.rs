//! The holders of a release, as a table and as the failure of a removal.

use seawall::error::ErrorKind;
use seawall::plain::one_line;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::v1::Holder;

use crate::failure::Failure;
use crate::output::{count, moment, table};

/// The number of holders named in an error; hosts alone may number thousands.
const NAMED_HOLDERS_MAX: usize = 10;

/// Returns the failure for a held release, with the commands that release each holder.
pub(super) fn stays(
    application: &ApplicationName,
    version: &Version,
    holders: &[Holder],
) -> Failure {
    let named = holders.iter().take(NAMED_HOLDERS_MAX);
    let mut causes: Vec<String> = named.clone().map(words).collect();
    if let more @ 1.. = holders.len().saturating_sub(NAMED_HOLDERS_MAX) {
        causes.push(format!("and {}", count(more as u64, "more holder")));
    }
    let what = format!("{application}:{version} stays: {}", causes.join("; "));
    let mut remedies: Vec<String> =
        named.map(|holder| remedy(application, version, holder)).collect();
    remedies.dedup();
    Failure::usage(what, remedies.join("; ")).of_kind(ErrorKind::Conflict)
}

fn words(holder: &Holder) -> String {
    match holder {
        Holder::Channel { channel } => format!("channel {channel} points at it"),
        Holder::History { channel, moves_ago } => {
            format!("channel {channel} pointed at it {} ago", count(*moves_ago, "move"))
        }
        Holder::Pin { pin, reason } => format!("pin {pin}: {}", one_line(reason)),
        Holder::Host { host, .. } => format!("host {host} runs it"),
    }
}

/// Returns the next step that makes a holder let go.
fn remedy(application: &ApplicationName, version: &Version, holder: &Holder) -> String {
    match holder {
        Holder::Channel { channel } => {
            format!(
                "point the channel at another: `seawall promote {application}:VERSION {channel}`"
            )
        }
        Holder::History { channel, .. } => format!(
            "a rollback of {channel} may need the release: delete it once {channel} has moved on; \
             `seawall channels {application} {channel}` shows its moves"
        ),
        Holder::Pin { pin, .. } => {
            format!("remove the pin: `seawall unpin {application}:{version} --name {pin}`")
        }
        Holder::Host { host, .. } => format!(
            "patch the host to another release, or if it is gone: `seawall hosts {application} \
             --forget {host}`"
        ),
    }
}

/// Formats the holders of a release as a table.
pub(in crate::commands) fn holders_text(holders: &[Holder]) -> String {
    let row = |holder: &Holder| match holder {
        Holder::Channel { channel } => {
            vec![format!("channel {channel}"), "points at it".to_owned()]
        }
        Holder::History { channel, moves_ago } => {
            let ago = count(*moves_ago, "move");
            vec![format!("channel {channel}"), format!("pointed at it {ago} ago")]
        }
        Holder::Pin { pin, reason } => vec![format!("pin {pin}"), reason.clone()],
        Holder::Host { host, renewed_at_secs } => {
            vec![
                format!("host {host}"),
                format!("runs it; last report {}", moment(*renewed_at_secs)),
            ]
        }
    };
    table(&["HELD BY", "WHY"], holders.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_a_line_each() {
        let channel = || "stable".parse().unwrap();
        let text = holders_text(&[
            Holder::Channel { channel: channel() },
            Holder::History { channel: channel(), moves_ago: 1 },
            Holder::Pin { pin: "audit".parse().unwrap(), reason: "until 2027".to_owned() },
            Holder::Host { host: "rack4".parse().unwrap(), renewed_at_secs: 0 },
        ]);
        assert_eq!(
            text,
            "HELD BY         WHY\n\
             channel stable  points at it\n\
             channel stable  pointed at it 1 move ago\n\
             pin audit       until 2027\n\
             host rack4      runs it; last report 1970-01-01 00:00:00Z\n"
        );
    }
}

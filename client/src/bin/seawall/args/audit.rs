//! The arguments of `audit`, `webhooks` and `quota`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Credentials, Listing};

#[derive(Subcommand, Debug)]
pub(crate) enum RawAudit {
    /// Show who did what to which release, or verify the log
    Audit(AuditArgs),
    /// Send signed event notifications (webhooks), with retries
    #[command(subcommand, arg_required_else_help = true)]
    Webhooks(RawWebhooks),
    /// Limit an application; show its usage if no limit is given
    Quota(QuotaArgs),
}

impl RawAudit {
    /// Returns the options for the command's list; the defaults for a command without a list.
    pub(crate) fn listing(&self) -> Listing {
        match self {
            Self::Audit(args) => args.listing.clone(),
            Self::Webhooks(
                RawWebhooks::List { listing, .. } | RawWebhooks::Deliveries { listing, .. },
            ) => listing.clone(),
            _ => Listing::default(),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    /// Only actions on this application
    pub(crate) application: Option<String>,
    /// Only this action: publish, promote, delete, pin, unpin, policy, quota, webhook, token,
    /// damage, collect, repair, recover or mirror
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Only actions with the token of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Only actions since this time: 2026-11-22, 2026-11-22T04:07:00Z, or 90m, 12h, 7d ago
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// The number of entries to show
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) limit: u32,
    /// Rehash the whole log and print its head, to be recorded elsewhere
    #[arg(long, conflicts_with_all = ["application", "action", "actor", "since", "limit"])]
    pub(crate) verify: bool,
    /// A head recorded earlier; the command fails if the log lacks it
    #[arg(long, value_name = "NUMBER@DIGEST", requires = "verify")]
    pub(crate) head: Option<String>,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Subcommand, Debug)]
pub(crate) enum RawWebhooks {
    /// Send events to an address from now on
    Add(WebhookAddArgs),
    /// List the webhooks, and the number of pending messages of each
    List {
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        credentials: Credentials,
    },
    /// Remove a webhook and its pending messages
    Remove {
        /// The webhook's identifier, shown by `list`
        id: String,
        #[command(flatten)]
        credentials: Credentials,
    },
    /// List the messages to a webhook and its responses, newest first
    Deliveries {
        /// The webhook's identifier, shown by `list`
        id: String,
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        credentials: Credentials,
    },
}

#[derive(Args, Debug)]
pub(crate) struct WebhookAddArgs {
    /// The address for messages, sent by POST: http:// or https://
    pub(crate) url: String,
    /// The events to send, between commas: publish, promote, delete, damage, mirror
    #[arg(long, value_name = "EVENTS", value_delimiter = ',', required = true)]
    pub(crate) events: Vec<String>,
    /// Only events of this application
    #[arg(long, value_name = "APPLICATION")]
    pub(crate) application: Option<String>,
    /// The file with the secret that signs messages, in Base64; `openssl rand -base64 32` makes one
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: PathBuf,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct QuotaArgs {
    /// The application, existing or not
    pub(crate) application: String,
    /// The limit of data in the disks of all releases together: 500GiB, a number, or none
    #[arg(long, value_name = "SIZE|none")]
    pub(crate) bytes: Option<String>,
    /// The maximum number of releases, or none
    #[arg(long, value_name = "COUNT|none")]
    pub(crate) releases: Option<String>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

//! The commands for those who watch a registry, as they are typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Credentials, Listing};

#[derive(Subcommand, Debug)]
pub(crate) enum RawWatch {
    /// Show who did what to which release, or prove the log unchanged
    Audit(AuditArgs),
    /// Send signed event notifications (webhooks), with retries
    #[command(subcommand, arg_required_else_help = true)]
    Webhooks(RawWebhooks),
    /// Limit an application; without flags shows current use
    Quota(QuotaArgs),
}

impl RawWatch {
    /// How the command prints its list, if it prints one.
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
    /// Only this action: publish, promote, delete, pin, unpin, policy, quota, webhook, damage,
    /// collect, repair or recover
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Only actions with the token of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Only actions since then: 2026-11-22, 2026-11-22T04:07:00Z, or 90m, 12h, 7d ago
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// How many to show
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) limit: u32,
    /// Hash the whole log again and print its head, to be noted elsewhere
    #[arg(long, conflicts_with_all = ["application", "action", "actor", "since", "limit"])]
    pub(crate) verify: bool,
    /// A head noted earlier, which the log must still hold
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
    /// List the webhooks, and how many messages wait for each
    List {
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        credentials: Credentials,
    },
    /// Remove a webhook, and what waits for it
    Remove {
        /// The webhook, as `list` shows it
        id: String,
        #[command(flatten)]
        credentials: Credentials,
    },
    /// List what a webhook was told and how it answered, newest first
    Deliveries {
        /// The webhook, as `list` shows it
        id: String,
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        credentials: Credentials,
    },
}

#[derive(Args, Debug)]
pub(crate) struct WebhookAddArgs {
    /// Where to send messages, by POST: http:// or https://
    pub(crate) url: String,
    /// The events to send, between commas: publish, promote, delete, damage
    #[arg(long, value_name = "EVENTS", value_delimiter = ',', required = true)]
    pub(crate) events: Vec<String>,
    /// Only of this application
    #[arg(long, value_name = "APPLICATION")]
    pub(crate) application: Option<String>,
    /// A file with the secret that signs the messages, in Base64: `openssl rand -base64 32` makes
    /// one
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: PathBuf,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

#[derive(Args, Debug)]
pub(crate) struct QuotaArgs {
    /// The application; it need not exist yet
    pub(crate) application: String,
    /// How much data the disks of its releases may have together: 500GiB, a number, or none
    #[arg(long, value_name = "SIZE|none")]
    pub(crate) bytes: Option<String>,
    /// How many releases it may have, or none
    #[arg(long, value_name = "COUNT|none")]
    pub(crate) releases: Option<String>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

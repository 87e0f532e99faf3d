//! Validation of `audit`, `webhooks` and `quota`.

use std::path::Path;
use std::time::SystemTime;

use seawall::audit::Head;
use seawall::registry::AuditFilter;
use seawall_api::audit::{Action, EVENTS};
use seawall_api::moment;
use seawall_api::names::ApplicationName;

use super::reference::application;
use super::{Command, Reach};
use crate::args::audit::{AuditArgs, QuotaArgs, RawAudit, RawWebhooks, WebhookAddArgs};
use crate::failure::Failure;
use crate::{size, suggest};

/// The longest file read for a secret, in bytes: 64 bytes in Base64 and some white space.
const SECRET_FILE_LEN_MAX: u64 = 256;
/// The word that removes a limit.
const NONE: &str = "none";

/// A validated `audit`, `webhooks` or `quota` command.
pub(crate) enum Audit {
    Log(AuditFilter, u32),
    VerifyLog(Option<Head>),
    AddWebhook(AddWebhook),
    Webhooks,
    RemoveWebhook(String),
    Deliveries(String),
    Quota(Quota),
}

impl Audit {
    /// Returns the name of the answer's schema.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::Log(..) => "audit",
            Self::VerifyLog(_) => "audit-verify",
            Self::AddWebhook(_) => "webhook",
            Self::Webhooks => "webhooks",
            Self::RemoveWebhook(_) => "webhook-removed",
            Self::Deliveries(_) => "deliveries",
            Self::Quota(_) => "quota",
        }
    }
}

impl std::fmt::Debug for Audit {
    /// Omits the secret of a webhook.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Log(filter, limit) => write!(f, "Log({filter:?}, {limit})"),
            Self::VerifyLog(head) => write!(f, "VerifyLog({head:?})"),
            Self::AddWebhook(new) => write!(f, "AddWebhook({:?})", new.events),
            Self::Webhooks => f.write_str("Webhooks"),
            Self::RemoveWebhook(id) => write!(f, "RemoveWebhook({id})"),
            Self::Deliveries(id) => write!(f, "Deliveries({id})"),
            Self::Quota(quota) => write!(f, "{quota:?}"),
        }
    }
}

pub(crate) struct AddWebhook {
    pub(crate) url: String,
    pub(crate) events: Vec<Action>,
    pub(crate) application: Option<ApplicationName>,
    pub(crate) secret: String,
}

/// Limits to set: `None` keeps a limit, `Some(None)` removes it.
#[derive(Debug)]
pub(crate) struct Quota {
    pub(crate) application: ApplicationName,
    pub(crate) data_bytes_max: Option<Option<u64>>,
    pub(crate) release_count_max: Option<Option<u64>>,
}

pub(super) fn prove(raw: RawAudit) -> Result<Command, Failure> {
    match raw {
        RawAudit::Audit(args) => audit(args),
        RawAudit::Webhooks(raw) => webhooks(raw),
        RawAudit::Quota(args) => quota(args),
    }
}

fn audit(args: AuditArgs) -> Result<Command, Failure> {
    let mut reach = Reach { host: None, credentials: args.credentials };
    if args.verify {
        let head = args.head.as_deref().map(str::parse).transpose().map_err(|error| {
            Failure::new(
                seawall::error::ErrorKind::InvalidInput,
                &error,
                Some("`seawall audit --verify` prints it".to_owned()),
            )
        })?;
        return Ok(Command::Audit(reach, Audit::VerifyLog(head)));
    }
    let mut filter = AuditFilter { actor: args.actor, ..AuditFilter::default() };
    if let Some(text) = &args.application {
        let (host, application) = application(text)?;
        reach.host = host;
        filter.application = Some(application);
    }
    filter.action = args.action.as_deref().map(action).transpose()?;
    filter.since_secs = args.since.as_deref().map(since).transpose()?;
    Ok(Command::Audit(reach, Audit::Log(filter, args.limit)))
}

fn action(text: &str) -> Result<Action, Failure> {
    text.parse().map_err(|_: seawall_api::audit::UnknownAction| {
        let names = Action::ALL.map(Action::as_str);
        let what = format!("`--action {}` is not an action of the audit log", text.escape_debug());
        Failure::usage(what, suggest::among("actions", text, &names))
    })
}

/// Parses an event of webhooks, which are a subset of the actions in the log.
fn sent_event(text: &str) -> Result<Action, Failure> {
    let found = EVENTS.into_iter().find(|event| event.as_str() == text.trim());
    found.ok_or_else(|| {
        let names = EVENTS.map(Action::as_str);
        let what = format!("`--events {}`: webhooks send no such event", text.escape_debug());
        Failure::usage(what, suggest::among("events", text, &names))
    })
}

/// Parses a moment, or a time before now, into seconds since 1970.
pub(super) fn since(text: &str) -> Result<u64, Failure> {
    if let Some(secs) = moment::parse(text) {
        return Ok(secs);
    }
    let ago = size::duration_secs(text);
    let now_secs = crate::now().duration_since(SystemTime::UNIX_EPOCH);
    let now_secs = now_secs.map_or(0, |since| since.as_secs());
    ago.map(|ago| now_secs.saturating_sub(ago)).ok_or_else(|| {
        Failure::usage(
            format!("`--since {}` is not a time", text.escape_debug()),
            "write 2026-11-22, 2026-11-22T04:07:00Z, or 90m, 12h, 7d",
        )
    })
}

/// Validates the identifier of a webhook.
fn webhook_id(id: String) -> Result<String, Failure> {
    if id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(id);
    }
    Err(Failure::usage(
        format!(
            "`{}` is not the id of a webhook, which has 32 hexadecimal digits",
            id.escape_debug()
        ),
        "`seawall webhooks list` shows them",
    ))
}

fn webhooks(raw: RawWebhooks) -> Result<Command, Failure> {
    let (credentials, audit) = match raw {
        RawWebhooks::Add(args) => return add_webhook(args),
        RawWebhooks::List { credentials, .. } => (credentials, Audit::Webhooks),
        RawWebhooks::Remove { id, credentials } => {
            (credentials, Audit::RemoveWebhook(webhook_id(id)?))
        }
        RawWebhooks::Deliveries { id, credentials, .. } => {
            (credentials, Audit::Deliveries(webhook_id(id)?))
        }
    };
    Ok(Command::Audit(Reach { host: None, credentials }, audit))
}

fn add_webhook(args: WebhookAddArgs) -> Result<Command, Failure> {
    let mut reach = Reach { host: None, credentials: args.credentials };
    let mut named = None;
    if let Some(text) = &args.application {
        let (host, application) = application(text)?;
        reach.host = host;
        named = Some(application);
    }
    let events = args.events.iter().map(|event| sent_event(event)).collect::<Result<_, _>>()?;
    let secret = read_secret(&args.secret_file)?;
    let new = AddWebhook { url: args.url, events, application: named, secret };
    Ok(Command::Audit(reach, Audit::AddWebhook(new)))
}

fn read_secret(path: &Path) -> Result<String, Failure> {
    let cannot = |error| {
        let path = path.display();
        Failure::io(&format!("cannot read the secret in {path}"), &error)
            .with_remedy(format!("`openssl rand -base64 32 > {path}` makes one"))
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(file, SECRET_FILE_LEN_MAX), &mut text)
        .map_err(cannot)?;
    Ok(text.trim().to_owned())
}

fn quota(args: QuotaArgs) -> Result<Command, Failure> {
    let (host, application) = application(&args.application)?;
    let limit = |flag: &str, text: &str, number: Option<u64>| match text {
        NONE => Ok(None),
        _ => number.map(Some).ok_or_else(|| {
            Failure::usage(
                format!("`{flag} {}` is not a limit", text.escape_debug()),
                "write a number, `none`, or for --bytes a size such as 500GiB",
            )
        }),
    };
    let bytes = args.bytes.as_deref();
    let releases = args.releases.as_deref();
    let quota = Quota {
        application,
        data_bytes_max: bytes.map(|text| limit("--bytes", text, size::parse(text))).transpose()?,
        release_count_max: releases
            .map(|text| limit("--releases", text, text.parse().ok()))
            .transpose()?,
    };
    Ok(Command::Audit(Reach { host, credentials: args.credentials }, Audit::Quota(quota)))
}

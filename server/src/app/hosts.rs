//! Hosts: what runs where, as the hosts themselves say it.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, HostName};
use seawall_api::reference::Selector;
use seawall_api::v1::{HOST_TTL_SECS_MAX, HOST_TTL_SECS_MIN};

use super::deletion::gone;
use super::listings::Page;
use super::pins::check_text;
use super::{AppError, Registry};
use crate::catalog::fleet::{
    HOSTS_MAX, HOSTS_PER_TOKEN_MAX, HostPart, HostReport, HostRow, HostRows, INSTANCES_MAX,
    Reported,
};

/// The longest name of an instance, in bytes.
const INSTANCE_LEN_MAX: usize = 1024;
/// The most hosts that one answer holds: each may have many instances.
const HOSTS_PER_PAGE_MAX: u32 = 256;

const FORGET_SOME: &str = "forget hosts that are gone: `seawall hosts --forget HOST`";

/// What a host says that it runs.
#[derive(Clone, Debug)]
pub struct HostRuns {
    /// The application.
    pub application: ApplicationName,
    /// What tells two copies on one host apart.
    pub instance: String,
    /// The release.
    pub release: ReleaseDigest,
    /// The channel it follows.
    pub channel: Option<ChannelName>,
    /// How many disks it has of it.
    pub disks: u64,
    /// How long this holds.
    pub ttl_secs: u64,
    /// The token it is said with; empty without authentication.
    pub reported_by: String,
    /// Whether that token may speak for hosts of which another spoke first.
    pub speaks_for_all: bool,
}

/// What a host runs, and whether that still holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostSeen {
    /// What it said.
    pub row: HostRow,
    /// Its deadline has passed.
    pub is_expired: bool,
}

impl Registry {
    /// Notes what a host runs; it holds its release until the deadline.
    ///
    /// # Errors
    /// [`AppError::NotFound`] or [`AppError::Gone`] when there is no such release,
    /// [`AppError::Invalid`] when a limit is broken.
    pub async fn report_host(&self, host: HostName, runs: HostRuns) -> Result<HostSeen, AppError> {
        check_text("the instance", &runs.instance, INSTANCE_LEN_MAX)?;
        if !(HOST_TTL_SECS_MIN..=HOST_TTL_SECS_MAX).contains(&runs.ttl_secs) {
            return Err(AppError::rule(format!(
                "a host is remembered for {HOST_TTL_SECS_MIN} to {HOST_TTL_SECS_MAX} seconds, not \
                 {}",
                runs.ttl_secs
            )));
        }
        let disks_max = u64::from(u32::MAX);
        if runs.disks > disks_max {
            return Err(AppError::rule(format!("a host has at most {disks_max} disks")));
        }
        let now_secs = self.host.now_secs();
        let (application, release) = (runs.application.clone(), runs.release);
        let report = HostReport {
            host: host.clone(),
            application: runs.application,
            instance: runs.instance,
            release,
            channel: runs.channel,
            disks: runs.disks,
            now_secs,
            deadline_secs: now_secs.saturating_add(runs.ttl_secs),
            reported_by: runs.reported_by,
            speaks_for_all: runs.speaks_for_all,
        };
        let reported_by = report.reported_by.clone();
        match self.catalog.report_host(report).await? {
            Reported::Done(row) => Ok(HostSeen { row: *row, is_expired: false }),
            Reported::NoSuchRelease => {
                let selector = Selector::Digest(release);
                let buried = self.catalog.deleted(application.clone(), selector).await?;
                let absent = || AppError::not_found(format!("release {application}@{release}"));
                Err(buried.as_ref().map_or_else(absent, gone))
            }
            Reported::OfAnother => Err(AppError::OfAnother { object: format!("host {host}") }),
            Reported::TooManyInstances => Err(AppError::LimitReached {
                whose: format!("host {host}"),
                limit: format!("{INSTANCES_MAX} releases"),
                remedy: "forget it (`seawall hosts --forget HOST`), then run `seawall status` on it",
            }),
            Reported::TooManyHosts => Err(AppError::LimitReached {
                whose: "this registry".to_owned(),
                limit: format!("{HOSTS_MAX} releases on hosts"),
                remedy: FORGET_SOME,
            }),
            Reported::TooManyOfToken => Err(AppError::LimitReached {
                whose: format!("token `{reported_by}`"),
                limit: format!("{HOSTS_PER_TOKEN_MAX} releases on hosts"),
                remedy: FORGET_SOME,
            }),
        }
    }

    /// A page of hosts by name, from the one after `after`.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is no such application.
    pub async fn hosts(
        &self,
        application: Option<ApplicationName>,
        after: Option<HostName>,
        limit: u32,
    ) -> Result<Page<HostSeen, HostName>, AppError> {
        if let Some(application) = &application {
            self.find_application(application).await?;
        }
        let limit = limit.min(HOSTS_PER_PAGE_MAX);
        let HostRows { rows, next } = self.catalog.hosts(application, after, limit).await?;
        let now_secs = self.host.now_secs();
        let seen = |row: HostRow| HostSeen { is_expired: row.deadline_secs <= now_secs, row };
        Ok(Page { items: rows.into_iter().map(seen).collect(), next })
    }

    /// Forgets what a host runs, or a part of it.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when nothing is known of it.
    pub async fn forget_host(&self, host: &HostName, part: HostPart) -> Result<(), AppError> {
        if self.catalog.forget_host(host.clone(), part).await? > 0 {
            return Ok(());
        }
        Err(AppError::not_found(format!("host {host}")))
    }
}

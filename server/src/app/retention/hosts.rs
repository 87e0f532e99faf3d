//! Hosts and the releases on them, as reported by the hosts themselves.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName, HostName};
use seawall_api::reference::Selector;
use seawall_api::v1::{HOST_TTL_SECS_MAX, HOST_TTL_SECS_MIN};

use super::Retention;
use super::pins::check_text;
use crate::app::AppError;
use crate::app::model::Page;
use crate::app::names::gone;
use crate::catalog::retention::{
    HOSTS_MAX, HOSTS_PER_TOKEN_MAX, HostPart, HostReport, HostRow, HostRows, INSTANCES_MAX,
    Reported,
};

/// The maximum length of an instance's name, in bytes.
const INSTANCE_LEN_MAX: usize = 1024;
/// The maximum number of hosts in a response, as each host may have many instances.
const HOSTS_PER_PAGE_MAX: u32 = 256;

const FORGET_SOME: &str = "remove hosts that no longer exist: `seawall hosts --forget HOST`";

/// A host's report of a release.
#[derive(Clone, Debug)]
pub struct HostRuns {
    /// The application.
    pub application: ApplicationName,
    /// Distinguishes several copies of the application on one host.
    pub instance: String,
    /// The release.
    pub release: ReleaseDigest,
    /// The channel followed by the host.
    pub channel: Option<ChannelName>,
    /// The number of disks of the release on the host.
    pub disks: u64,
    /// The validity of the report, in seconds.
    pub ttl_secs: u64,
    /// The name of the reporting token; empty without authentication.
    pub reported_by: String,
    /// True if the token may also report for hosts first reported by another token.
    pub speaks_for_all: bool,
}

/// A reported release on a host, and whether the report has expired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostSeen {
    /// The report.
    pub row: HostRow,
    /// True once the deadline has passed.
    pub is_expired: bool,
}

impl Retention {
    /// Records a release on a host. The release is held until the deadline.
    ///
    /// # Errors
    /// [`AppError::NotFound`] or [`AppError::Gone`] if there is no such release,
    /// [`AppError::Invalid`] if a field is malformed or out of range, [`AppError::LimitReached`] if
    /// there are too many hosts or instances, [`AppError::OfAnother`] if the host belongs to
    /// another token.
    pub async fn report_host(&self, host: HostName, runs: HostRuns) -> Result<HostSeen, AppError> {
        check_text("the instance", &runs.instance, INSTANCE_LEN_MAX)?;
        if !(HOST_TTL_SECS_MIN..=HOST_TTL_SECS_MAX).contains(&runs.ttl_secs) {
            return Err(AppError::rule(format!(
                "a report is valid for {HOST_TTL_SECS_MIN} to {HOST_TTL_SECS_MAX} seconds, not {}",
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
            Reported::OfAnother => Err(AppError::OfAnother {
                object: format!("the report of {application} on host {host}"),
            }),
            Reported::TooManyInstances => Err(AppError::LimitReached {
                whose: format!("host {host}"),
                limit: format!("{INSTANCES_MAX} releases of {application}"),
                remedy: "remove it (`seawall hosts --forget HOST`), then run `seawall status` on \
                         it",
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

    /// Lists hosts by name, starting after `after`.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such application.
    pub async fn hosts(
        &self,
        application: Option<ApplicationName>,
        after: Option<HostName>,
        limit: u32,
    ) -> Result<Page<HostSeen, HostName>, AppError> {
        if let Some(application) = &application {
            self.names.find_application(application).await?;
        }
        let limit = limit.min(HOSTS_PER_PAGE_MAX);
        let HostRows { rows, next } = self.catalog.hosts(application, after, limit).await?;
        let now_secs = self.host.now_secs();
        let seen = |row: HostRow| HostSeen { is_expired: row.deadline_secs <= now_secs, row };
        Ok(Page { items: rows.into_iter().map(seen).collect(), next })
    }

    /// Removes all or part of a host's reports.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such report, [`AppError::Invalid`] if the instance is
    /// malformed. An empty instance is refused, because it could mean one instance or all of them.
    pub async fn forget_host(&self, host: &HostName, part: HostPart) -> Result<(), AppError> {
        if let Some(instance) = &part.instance {
            check_text("the instance", instance, INSTANCE_LEN_MAX)?;
        }
        if self.catalog.forget_host(host.clone(), part).await? > 0 {
            return Ok(());
        }
        Err(AppError::not_found(format!("host {host}")))
    }
}

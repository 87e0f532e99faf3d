//! The next step after "not found": existing names, and the likely intended one.
//!
//! Runs only after a command has failed. An error in here keeps the original failure.

use seawall::error::ErrorKind;
use seawall::registry::Registry;
use seawall::resolve::document;
use seawall_api::names::{ApplicationName, ChannelName, DiskName, HostName, MachineName, PinName};
use seawall_api::reference::Selector;

use crate::command::audit::Audit;
use crate::command::{Command, Retention, Target};
use crate::failure::Failure;
use crate::suggest;

/// The maximum number of pages to read; more would keep the user waiting.
const PAGES_MAX: usize = 5;

/// The names in a command that a registry may not have.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    targets: Vec<Target>,
    application: Option<ApplicationName>,
    channel: Option<ChannelName>,
    pin: Option<PinName>,
    host: Option<HostName>,
    webhook: Option<String>,
    machines: Vec<MachineName>,
    disk: Option<DiskName>,
}

impl Wanted {
    pub(super) fn of(command: &mut Command) -> Self {
        let targets: Vec<Target> =
            command.targets_mut().into_iter().map(|target| target.clone()).collect();
        let mut wanted = Self { targets, ..Self::default() };
        match command {
            Command::Releases(_, application) | Command::Channels(_, application) => {
                wanted.application = Some(application.clone());
            }
            Command::History(_, application, channel) => {
                wanted.application = Some(application.clone());
                wanted.channel = Some(channel.clone());
            }
            Command::Retention(_, Retention::Unpin { name, .. }) => wanted.pin = Some(name.clone()),
            Command::Retention(_, Retention::Forget { host, .. }) => {
                wanted.host = Some(host.clone())
            }
            Command::Retention(_, Retention::Hosts(application)) => {
                wanted.application.clone_from(application);
            }
            Command::Retention(_, Retention::SetPolicy(set)) => {
                wanted.application = Some(set.application.clone());
            }
            Command::Pull(_, pull) => wanted.machines.clone_from(&pull.machines),
            Command::Package(_, package) => wanted.machines.clone_from(&package.machines),
            Command::Export(_, export) => {
                wanted.machines = vec![export.machine.clone()];
                wanted.disk = Some(export.disk.clone());
            }
            Command::Retention(
                _,
                Retention::Policies(application)
                | Retention::Plan(application)
                | Retention::Apply(application),
            ) => wanted.application = Some(application.clone()),
            Command::Audit(_, Audit::RemoveWebhook(id) | Audit::Deliveries(id)) => {
                wanted.webhook = Some(id.clone());
            }
            _ => {}
        }
        wanted
    }
}

/// Returns the failure, with a better next step if the registry offers one.
pub(super) async fn better(failure: Failure, wanted: &Wanted, registry: &dyn Registry) -> Failure {
    if failure.kind() != ErrorKind::NotFound {
        return failure;
    }
    match hint(wanted, registry).await {
        Some(remedy) => failure.with_remedy(remedy),
        None => failure,
    }
}

async fn hint(wanted: &Wanted, registry: &dyn Registry) -> Option<String> {
    if let Some(host) = &wanted.host {
        return host_hint(host, registry).await;
    }
    if let Some(id) = &wanted.webhook {
        let webhooks = registry.webhooks().await.ok()?;
        let ids: Vec<&str> = webhooks.iter().map(|webhook| webhook.id.as_str()).collect();
        return Some(suggest::among("webhooks", id, &ids));
    }
    let named = wanted.targets.iter().map(|target| &target.application);
    let named: Vec<_> = named.chain(&wanted.application).collect();
    let applications = applications(registry).await?;
    for application in named {
        if !applications.iter().any(|name| name == application.as_str()) {
            return Some(application_hint(application, &applications));
        }
    }
    if let (Some(application), Some(channel)) = (&wanted.application, &wanted.channel) {
        let channels = channels(registry, application).await?;
        let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
        return Some(suggest::among("channels", channel.as_str(), &channels));
    }
    if let Some(target) = wanted.targets.first()
        && let Some(hint) = part_hint(wanted, target, registry).await
    {
        return Some(hint);
    }
    for target in &wanted.targets {
        if let Some(hint) = target_hint(target, wanted.pin.as_ref(), registry).await {
            return Some(hint);
        }
    }
    None
}

fn application_hint(application: &ApplicationName, applications: &[String]) -> String {
    if applications.is_empty() {
        return "this registry has no applications yet; push one: `seawall push \
                APPLICATION:1.0.0 --machine web=disk.qcow2`"
            .to_owned();
    }
    let names: Vec<&str> = applications.iter().map(String::as_str).collect();
    suggest::among("applications", application.as_str(), &names)
}

/// Suggests a machine or disk; `None` if the release has all those in `wanted`.
async fn part_hint(wanted: &Wanted, target: &Target, registry: &dyn Registry) -> Option<String> {
    let release = document(registry, &target.application, &target.selector).await.ok()?;
    let machines: Vec<&str> = release.machines().iter().map(|it| it.name.as_str()).collect();
    for name in &wanted.machines {
        let Some(machine) = release.machine(name) else {
            return Some(suggest::among("machines", name.as_str(), &machines));
        };
        let disks: Vec<&str> = machine.disks.iter().map(|disk| disk.name.as_str()).collect();
        match &wanted.disk {
            Some(disk) if !disks.contains(&disk.as_str()) => {
                let what = format!("disks of {name}");
                return Some(suggest::among(&what, disk.as_str(), &disks));
            }
            _ => {}
        }
    }
    None
}

/// Suggests a version or channel, or a pin if the release exists; `None` if there is nothing to
/// suggest.
async fn target_hint(
    target: &Target,
    pin: Option<&PinName>,
    registry: &dyn Registry,
) -> Option<String> {
    let Target { application, selector, prefix } = target;
    if prefix.is_some() {
        return None;
    }
    let releases = registry.releases(application, None).await.ok()?.releases;
    let versions: Vec<String> = releases.iter().map(|it| it.version.to_string()).collect();
    let channels = channels(registry, application).await.unwrap_or_default();
    let named = selector.to_string();
    let is_there = match selector {
        Selector::Digest(digest) => releases.iter().any(|it| it.digest == *digest),
        _ => versions.contains(&named) || channels.contains(&named),
    };
    if is_there {
        let pin = pin?;
        let of = |it: &&seawall_api::v1::ReleaseSummary| {
            it.version.to_string() == named || it.channels.iter().any(|c| c.as_str() == named)
        };
        let pins = releases.iter().find(of).map(|it| it.pins.clone()).unwrap_or_default();
        let pins: Vec<&str> = pins.iter().map(PinName::as_str).collect();
        return Some(match pins.is_empty() {
            true => format!("`seawall show {application}:{named}` lists what holds it"),
            false => suggest::among("its pins", pin.as_str(), &pins),
        });
    }
    let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
    let all: Vec<&str> = versions.iter().chain(&channels).copied().collect();
    let mut remedy = String::new();
    if let Some(near) = suggest::nearest(&named, &all) {
        remedy += &format!("did you mean `{application}:{near}`? ");
    }
    remedy += &suggest::listed("versions", &versions);
    if !channels.is_empty() {
        remedy += &format!("; {}", suggest::listed("channels", &channels));
    }
    Some(remedy)
}

async fn host_hint(host: &HostName, registry: &dyn Registry) -> Option<String> {
    let hosts = registry.hosts(None, None).await.ok()?.hosts;
    let mut names: Vec<&str> = hosts.iter().map(|run| run.host.as_str()).collect();
    names.dedup();
    Some(suggest::among("hosts", host.as_str(), &names) + "; `seawall hosts` shows what they run")
}

async fn applications(registry: &dyn Registry) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let page = registry.applications(after.as_ref()).await.ok()?;
        names.extend(page.applications.iter().map(|application| application.name.to_string()));
        after = page.next;
        if after.is_none() {
            return Some(names);
        }
    }
    // Beyond the limit, the intended name may be on a page not read.
    None
}

async fn channels(registry: &dyn Registry, application: &ApplicationName) -> Option<Vec<String>> {
    let channels = registry.channels(application).await.ok()?;
    Some(channels.iter().map(|channel| channel.name.to_string()).collect())
}

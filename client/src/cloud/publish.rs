//! Publish: makes the images of a release at a place.
//!
//! 1. Plan: which images and volumes are missing, and which blocks of them.
//! 2. Send: the blocks of each volume, over its parent.
//! 3. Register: the images, once all of their volumes are complete.
//!
//! After a crash the same command looks for what there is, by tags, and goes on.

use std::sync::Arc;

use seawall_api::names::{ApplicationName, MachineName};
use seawall_api::reference::Selector;
use seawall_api::release::{Machine, Release};

use super::plan::{Plan, Planner, Way};
use super::port::{Cloud, Image, ImageSpec, Volume};
use super::send::Sender;
use super::{CloudError, Origin, PublishReport, State};
use crate::host::HostState;
use crate::progress::{Progress, Stage};
use crate::registry::Reading;
use crate::remote::RemoteRelease;
use crate::resolve::{self, Resolved};

/// A publication to make.
pub struct Publish {
    /// The registry.
    pub registry: Arc<dyn Reading>,
    /// The application.
    pub application: ApplicationName,
    /// The selector of one of its releases.
    pub selector: Selector,
    /// The machines; empty for all.
    pub machines: Vec<MachineName>,
    /// The place.
    pub cloud: Arc<dyn Cloud>,
    /// This host's state directory.
    pub state: HostState,
    /// The receiver of progress reports.
    pub progress: Arc<dyn Progress>,
    /// The number of threads that decode and hash.
    pub threads: usize,
    /// True to plan only.
    pub dry_run: bool,
}

/// Publishes a release.
///
/// # Errors
/// Fails if there is no such release or machine, a machine cannot be an image at the place, or the
/// registry or the provider fails. The next publication goes on.
pub async fn publish(order: Publish) -> Result<PublishReport, CloudError> {
    let registry = Arc::clone(&order.registry);
    let (application, selector) = (order.application.clone(), order.selector.clone());
    resolve::held(&registry, &application, &selector, async |resolved| {
        Box::pin(publish_resolved(order, resolved)).await
    })
    .await
}

async fn publish_resolved(
    order: Publish,
    resolved: &Resolved,
) -> Result<PublishReport, CloudError> {
    let cloud = order.cloud.as_ref();
    let machines = chosen(resolved.release(), &order.machines)?;
    machines.iter().try_for_each(|machine| cloud.check(machine))?;
    let remote = RemoteRelease::open(resolved, &order.state, order.threads)?;
    let of = Some(&order.application);
    let (volumes, images) = tokio::try_join!(cloud.volumes(of), cloud.images(of))?;
    let planner = Planner { cloud, remote: &remote, volumes, images };
    let plan = planner.plan(machines).await?;
    if order.dry_run {
        return Ok(plan.report(cloud, &[], &[]));
    }
    order.progress.begin(Stage::Upload, Some(plan.blocks() * cloud.block_len()));
    let volumes = send(&order, &remote, &plan).await?;
    let images = register(cloud, &plan, &volumes).await?;
    order.progress.finish();
    let names: Vec<String> = volumes.iter().map(|volume| volume.id.clone()).collect();
    Ok(plan.report(cloud, &names, &images))
}

/// Returns the machines with these names, or all.
fn chosen<'a>(release: &'a Release, names: &[MachineName]) -> Result<Vec<&'a Machine>, CloudError> {
    if names.is_empty() {
        return Ok(release.machines().iter().collect());
    }
    let one = |name: &MachineName| {
        release.machine(name).ok_or_else(|| {
            let known: Vec<_> = release.machines().iter().map(|it| it.name.as_str()).collect();
            CloudError::NoSuch {
                what: format!(
                    "{}:{} has no machine `{name}`",
                    release.application(),
                    release.version()
                ),
                remedy: format!("name one of: {}", known.join(", ")),
            }
        })
    };
    names.iter().map(one).collect()
}

/// Writes the missing volumes, and returns them in the order of the plan.
async fn send(
    order: &Publish,
    remote: &RemoteRelease<'_>,
    plan: &Plan<'_>,
) -> Result<Vec<Volume>, CloudError> {
    let cloud = order.cloud.as_ref();
    let mut volumes = Vec::new();
    for write in &plan.writes {
        let disk = write.spec.origin.disk.parse().map_err(|_| CloudError::Defect)?;
        let image = Arc::new(remote.disk(&write.machine, &disk).await?);
        let sender = Sender { cloud, state: &order.state, progress: order.progress.as_ref() };
        let id = sender.send(&write.spec, &image, &write.blocks).await?;
        volumes.push(Volume {
            id,
            state: State::Available,
            len: cloud.volume_len(write.spec.disk_len),
            encrypted: false,
            created: String::new(),
            origin: write.spec.origin.clone(),
        });
    }
    Ok(volumes)
}

async fn register(
    cloud: &dyn Cloud,
    plan: &Plan<'_>,
    written: &[Volume],
) -> Result<Vec<Image>, CloudError> {
    let mut images = Vec::new();
    for planned in &plan.images {
        if let Some(image) = &planned.there {
            images.push(image.clone());
            continue;
        }
        let volumes = planned.disks.iter().map(|way| match way {
            Way::There(volume) => Volume::clone(volume),
            Way::Written(position) => written[*position].clone(),
        });
        let spec = ImageSpec {
            origin: Origin::of_machine(plan.release, &planned.machine.name),
            machine: planned.machine,
            volumes: volumes.collect(),
        };
        images.push(cloud.register(&spec).await?);
    }
    Ok(images)
}

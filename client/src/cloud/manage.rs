//! Manage: what a place has of an application, and changes of its images.

use std::collections::BTreeSet;
use std::fmt;

use seawall_api::names::{ApplicationName, MachineName};
use seawall_api::release::Release;
use seawall_api::units::Counted;
use serde::Serialize;

use super::port::{Change, Cloud, Image};
use super::{CloudError, Volume};
use crate::error::ErrorKind;

/// An image of a place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageStatus {
    /// The provider's name.
    pub image: String,
    /// The version of the release.
    pub version: String,
    /// The digest of the release.
    pub digest: String,
    /// The machine.
    pub machine: String,
    /// The state.
    pub state: String,
    /// The time from which the image is deprecated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
    /// The instances that use the image.
    pub instances: Vec<String>,
    /// True if the registry has the release.
    pub is_in_registry: bool,
    /// The volumes.
    pub volumes: Vec<String>,
}

/// A volume that no image uses: of an unfinished publication, or left behind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnusedVolume {
    /// The provider's name.
    pub volume: String,
    /// The version of the release for which it was made.
    pub version: String,
    /// The disk, as `machine/disk`.
    pub disk: String,
    /// The state.
    pub state: String,
}

/// The objects of an application in a place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The application.
    pub application: String,
    /// The provider.
    pub provider: String,
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The images, by version and machine.
    pub images: Vec<ImageStatus>,
    /// The volumes that no image uses.
    pub unused_volumes: Vec<UnusedVolume>,
}

impl fmt::Display for StatusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (provider, region, account) = (&self.provider, &self.region, &self.account);
        let images = Counted(self.images.len() as u64, "image");
        write!(f, "{} at {provider}:{region}, account {account}: {images}", self.application)?;
        for image in &self.images {
            let ImageStatus { image: id, version, machine, state, instances, .. } = image;
            let instances = Counted(instances.len() as u64, "instance");
            write!(f, "\n  {version}/{machine}  {id}  {state}, {instances}")?;
            if let Some(at) = &image.deprecated {
                write!(f, ", deprecated from {at}")?;
            }
            if !image.is_in_registry {
                write!(f, ", not in the registry")?;
            }
        }
        for UnusedVolume { volume, version, disk, state } in &self.unused_volumes {
            write!(f, "\n  {version}/{disk}  {volume}  {state}, of no image")?;
        }
        Ok(())
    }
}

/// Returns what a place has of an application. `releases` are the digests that the registry has.
///
/// # Errors
/// Fails if the provider does.
pub async fn status(
    cloud: &dyn Cloud,
    application: &ApplicationName,
    releases: &BTreeSet<String>,
) -> Result<StatusReport, CloudError> {
    let of = Some(application);
    let (images, volumes) = tokio::try_join!(cloud.images(of), cloud.volumes(of))?;
    let ids: Vec<String> = images.iter().map(|image| image.id.clone()).collect();
    let users = cloud.users(&ids).await?;
    let used: BTreeSet<&String> = images.iter().flat_map(|image| &image.volumes).collect();
    let unused = volumes.iter().filter(|it| !used.contains(&it.id));
    let mut unused_volumes: Vec<_> = unused.map(unused_volume).collect();
    unused_volumes.sort_by(|a, b| (&a.version, &a.disk).cmp(&(&b.version, &b.disk)));
    let image = |it: &Image| ImageStatus {
        image: it.id.clone(),
        version: it.origin.version.clone(),
        digest: it.origin.release.clone(),
        machine: it.origin.machine.clone(),
        state: it.state.name().to_owned(),
        deprecated: it.deprecated_at.clone(),
        instances: of_image(&users, &it.id),
        is_in_registry: releases.contains(&it.origin.release),
        volumes: it.volumes.clone(),
    };
    let mut images: Vec<_> = images.iter().map(image).collect();
    images.sort_by(|a, b| (&a.version, &a.machine).cmp(&(&b.version, &b.machine)));
    let place = cloud.place();
    Ok(StatusReport {
        application: application.to_string(),
        provider: place.provider.clone(),
        account: place.account.clone(),
        region: place.region.clone(),
        images,
        unused_volumes,
    })
}

fn unused_volume(volume: &Volume) -> UnusedVolume {
    UnusedVolume {
        volume: volume.id.clone(),
        version: volume.origin.version.clone(),
        disk: format!("{}/{}", volume.origin.machine, volume.origin.disk),
        state: volume.state.name().to_owned(),
    }
}

fn of_image(users: &[(String, String)], image: &str) -> Vec<String> {
    users.iter().filter(|(it, _)| it == image).map(|(_, user)| user.clone()).collect()
}

/// The result of a change of images.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeReport {
    /// The release, as `application:version`.
    pub reference: String,
    /// The digest of the release.
    pub digest: String,
    /// The images that were changed, or removed.
    pub images: Vec<String>,
    /// The volumes that were removed.
    pub removed_volumes: Vec<String>,
    /// The volumes that stay, because other images use them.
    pub kept_volumes: Vec<String>,
}

impl ChangeReport {
    fn new(release: &Release, images: &[Image]) -> Self {
        Self {
            reference: format!("{}:{}", release.application(), release.version()),
            digest: release.digest().to_string(),
            images: images.iter().map(|image| image.id.clone()).collect(),
            removed_volumes: Vec::new(),
            kept_volumes: Vec::new(),
        }
    }
}

impl fmt::Display for ChangeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reference, self.images.join(", "))?;
        for volume in &self.removed_volumes {
            write!(f, "\n  {volume} is removed")?;
        }
        for volume in &self.kept_volumes {
            write!(f, "\n  {volume} stays, because another image uses it")?;
        }
        Ok(())
    }
}

/// Returns the images of a release at a place, of some machines or of all.
///
/// # Errors
/// Fails if there is none, or the provider fails.
async fn images_of(
    cloud: &dyn Cloud,
    release: &Release,
    machines: &[MachineName],
) -> Result<Vec<Image>, CloudError> {
    let digest = release.digest().to_string();
    let is_chosen =
        |name: &str| machines.is_empty() || machines.iter().any(|it| it.as_str() == name);
    let mut images = cloud.images(Some(release.application())).await?;
    images.retain(|it| it.origin.release == digest && is_chosen(&it.origin.machine));
    if images.is_empty() {
        let (application, version) = (release.application(), release.version());
        let place = cloud.place();
        return Err(CloudError::NoSuch {
            what: format!("{application}:{version} has no image at {place}"),
            remedy: format!(
                "`seawall cloud publish {application}:{version} --to {}:{}` makes it",
                place.provider, place.region
            ),
        });
    }
    Ok(images)
}

/// Changes the images of a release.
///
/// # Errors
/// Fails if there is no image, or the provider refuses.
pub async fn change(
    cloud: &dyn Cloud,
    release: &Release,
    machines: &[MachineName],
    change: &Change,
) -> Result<ChangeReport, CloudError> {
    let images = images_of(cloud, release, machines).await?;
    for image in &images {
        cloud.change(&image.id, change).await?;
    }
    Ok(ChangeReport::new(release, &images))
}

/// Removes the images of a release, and the volumes that no other image uses. An image that an
/// instance uses stays, and then nothing is removed.
///
/// # Errors
/// Fails if an instance uses an image, or the provider refuses. Running it again goes on.
pub async fn remove(
    cloud: &dyn Cloud,
    release: &Release,
    machines: &[MachineName],
) -> Result<ChangeReport, CloudError> {
    let images = match images_of(cloud, release, machines).await {
        // An earlier removal got so far; its volumes are left.
        Err(CloudError::NoSuch { .. }) => Vec::new(),
        found => found?,
    };
    let ids: Vec<String> = images.iter().map(|image| image.id.clone()).collect();
    if let Some((image, user)) = cloud.users(&ids).await?.into_iter().next() {
        return Err(CloudError::Refused {
            call: format!("the removal of {image}"),
            name: "InUse".to_owned(),
            message: format!("instance {user} uses it"),
            kind: ErrorKind::Conflict,
            remedy: Some(
                "`seawall cloud disable` keeps new instances from it; remove it once the last \
                 instance is gone"
                    .to_owned(),
            ),
        });
    }
    let mut report = ChangeReport::new(release, &images);
    for image in &images {
        cloud.remove_image(&image.id).await?;
    }
    sweep(cloud, release, machines, (&images, &mut report)).await?;
    if images.is_empty() && report.removed_volumes.is_empty() {
        images_of(cloud, release, machines).await?;
    }
    Ok(report)
}

/// Removes the volumes of removed images, and those that an interrupted removal or publication of
/// the release left behind.
async fn sweep(
    cloud: &dyn Cloud,
    release: &Release,
    machines: &[MachineName],
    (removed, report): (&[Image], &mut ChangeReport),
) -> Result<(), CloudError> {
    let of = Some(release.application());
    let mut others = cloud.images(of).await?;
    // A list may still show what is gone.
    others.retain(|it| !removed.iter().any(|image| image.id == it.id));
    let digest = release.digest().to_string();
    for volume in cloud.volumes(of).await? {
        let is_ours = volume.origin.release == digest && is_chosen(machines, &volume);
        if !is_ours && !removed.iter().any(|image| image.volumes.contains(&volume.id)) {
            continue;
        }
        let is_used = others.iter().any(|image| image.volumes.contains(&volume.id));
        if !is_used && cloud.remove_volume(&volume.id).await? {
            report.removed_volumes.push(volume.id);
        } else {
            report.kept_volumes.push(volume.id);
        }
    }
    Ok(())
}

fn is_chosen(machines: &[MachineName], volume: &Volume) -> bool {
    machines.is_empty() || machines.iter().any(|it| it.as_str() == volume.origin.machine)
}

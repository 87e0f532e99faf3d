//! Plan: what a place lacks of a release.

use std::collections::BTreeMap;

use seawall_api::names::MachineName;
use seawall_api::reference::Selector;
use seawall_api::release::{Disk, Machine, Release};

use super::blocks::changed;
use super::report::{DiskReport, ImageReport, PublishReport};
use super::{Cloud, CloudError, Cost, Image, Origin, State, Volume, VolumeSpec};
use crate::directory::DiskLayout;
use crate::error::ErrorKind;
use crate::remote::RemoteRelease;
use crate::resolve::{self, ResolveError};

/// The number of volumes that are considered as parent, the newest first.
const PARENTS_MAX: usize = 4;

/// A volume to be written.
pub(super) struct Write {
    pub(super) machine: MachineName,
    pub(super) spec: VolumeSpec,
    /// The ascending indexes of the blocks to write.
    pub(super) blocks: Vec<u64>,
}

/// The way to the volume of a disk.
pub(super) enum Way {
    /// The volume is complete.
    There(Box<Volume>),
    /// The volume is at this position of [`Plan::writes`].
    Written(usize),
}

/// A machine's image.
pub(super) struct PlannedImage<'a> {
    pub(super) machine: &'a Machine,
    pub(super) there: Option<Image>,
    pub(super) disks: Vec<Way>,
}

/// The part of a release that a place lacks.
pub(super) struct Plan<'a> {
    pub(super) release: &'a Release,
    pub(super) writes: Vec<Write>,
    pub(super) images: Vec<PlannedImage<'a>>,
}

/// The planner of a publication.
pub(super) struct Planner<'a> {
    pub(super) cloud: &'a dyn Cloud,
    pub(super) remote: &'a RemoteRelease<'a>,
    /// The volumes of the application at the place.
    pub(super) volumes: Vec<Volume>,
    pub(super) images: Vec<Image>,
}

impl<'a> Planner<'a> {
    /// Plans the images of machines.
    pub(super) async fn plan(&self, machines: Vec<&'a Machine>) -> Result<Plan<'a>, CloudError> {
        let release = self.remote.resolved().release();
        let mut plan = Plan { release, writes: Vec::new(), images: Vec::new() };
        // Disks of the same content share a volume.
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for machine in machines {
            let origin = Origin::of_machine(release, &machine.name);
            let is_it = |it: &&Image| it.origin == origin && it.state != State::Failed;
            let there = self.images.iter().find(is_it).cloned();
            let mut disks = Vec::new();
            for disk in &machine.disks {
                if let Some(volume) = self.there(disk) {
                    disks.push(Way::There(Box::new(volume.clone())));
                    continue;
                }
                let position = match known.get(&disk.content.to_string()) {
                    Some(position) => *position,
                    None => {
                        plan.writes.push(self.write(machine, disk).await?);
                        known.insert(disk.content.to_string(), plan.writes.len() - 1);
                        plan.writes.len() - 1
                    }
                };
                disks.push(Way::Written(position));
            }
            plan.images.push(PlannedImage { machine, there, disks });
        }
        Ok(plan)
    }

    /// Returns a complete volume with the content of a disk.
    fn there(&self, disk: &Disk) -> Option<&Volume> {
        let (content, len) = (disk.content.to_string(), self.cloud.volume_len(disk.len));
        let is_it = |it: &&Volume| {
            it.state == State::Available && it.origin.content == content && it.len == len
        };
        self.volumes.iter().find(is_it)
    }

    async fn write(&self, machine: &Machine, disk: &Disk) -> Result<Write, CloudError> {
        let layout = self.remote.layout(&machine.name, &disk.name).await?;
        let block_len = self.cloud.block_len();
        let mut best = (None, changed(None, &layout, block_len)?);
        let begun = self.begun(machine, disk).map(|volume| volume.origin.parent.as_str());
        for parent in self.parents(machine, disk) {
            // A volume that was begun keeps its parent.
            if begun.is_some_and(|id| id != parent.id) {
                continue;
            }
            let Some(old) = self.layout_of(parent, disk).await? else { continue };
            let blocks = changed(Some(&old), &layout, block_len)?;
            if begun.is_some() || blocks.len() < best.1.len() {
                best = (Some(parent.clone()), blocks);
            }
        }
        let mut origin = Origin::of_disk(self.remote.resolved().release(), &machine.name, disk);
        origin.parent = best.0.as_ref().map_or_else(String::new, |parent| parent.id.clone());
        let spec = VolumeSpec { origin, disk_len: disk.len, parent: best.0 };
        Ok(Write { machine: machine.name.clone(), spec, blocks: best.1 })
    }

    /// Returns the volume of a disk that a killed flow left unfinished.
    fn begun(&self, machine: &Machine, disk: &Disk) -> Option<&Volume> {
        let release = self.remote.resolved().release();
        let origin = Origin::of_disk(release, &machine.name, disk);
        let is_it = |it: &&Volume| {
            let unbased = Origin { parent: String::new(), ..it.origin.clone() };
            it.state == State::Pending && unbased == origin
        };
        self.volumes.iter().find(is_it)
    }

    /// Returns volumes of other contents of the same disk, the newest first.
    fn parents(&self, machine: &Machine, disk: &Disk) -> Vec<&Volume> {
        let len_max = self.cloud.volume_len(disk.len);
        let is_one = |it: &&Volume| {
            it.state == State::Available
                && it.len <= len_max
                && it.origin.machine == machine.name.as_str()
                && it.origin.disk == disk.name.as_str()
        };
        let mut parents: Vec<_> = self.volumes.iter().filter(is_one).collect();
        parents.sort_by(|a, b| b.created.cmp(&a.created).then(b.id.cmp(&a.id)));
        parents.truncate(PARENTS_MAX);
        parents
    }

    /// Returns the layout of the disk that a volume holds, or `None` if the registry no longer has
    /// its release.
    async fn layout_of(
        &self,
        volume: &Volume,
        disk: &Disk,
    ) -> Result<Option<DiskLayout>, CloudError> {
        let resolved = self.remote.resolved();
        let Ok(digest) = volume.origin.release.parse() else { return Ok(None) };
        let application = resolved.release().application();
        let selector = Selector::Digest(digest);
        let registry = resolved.registry().as_ref();
        let is_gone = |kind| matches!(kind, ErrorKind::NotFound | ErrorKind::Damaged);
        let release = match resolve::document(registry, application, &selector).await {
            Ok(release) => release,
            Err(error) if is_gone(error.kind()) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut disks = release.disks().map(|(_, it)| it);
        let content = &volume.origin.content;
        // Tags may lie; the document does not.
        let Some(old) = disks.find(|it| it.name == disk.name && it.content.to_string() == *content)
        else {
            return Ok(None);
        };
        match self.remote.load(old.index).await {
            Ok(layout) if layout.index().content() == old.content => Ok(Some(layout)),
            Ok(_) => Ok(None),
            Err(ResolveError::Registry(error)) if is_gone(error.kind()) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Plan<'_> {
    /// Returns the number of blocks to write.
    pub(super) fn blocks(&self) -> u64 {
        self.writes.iter().map(|write| write.blocks.len() as u64).sum()
    }

    /// Returns the report. `volumes` are the names of the written volumes, `images` of all images;
    /// both are empty for a plan.
    pub(super) fn report(
        &self,
        cloud: &dyn Cloud,
        volumes: &[String],
        images: &[Image],
    ) -> PublishReport {
        let place = cloud.place();
        let (release, blocks) = (self.release, self.blocks());
        let missing = self.images.iter().filter(|image| image.there.is_none()).count();
        PublishReport {
            reference: format!("{}:{}", release.application(), release.version()),
            digest: release.digest().to_string(),
            provider: place.provider.clone(),
            account: place.account.clone(),
            region: place.region.clone(),
            images: (0..self.images.len())
                .map(|at| self.image_report(cloud, at, (volumes, images)))
                .collect(),
            block_count: blocks,
            sent_bytes: blocks * cloud.block_len(),
            cost: self.cost(cloud, missing as u64),
            is_plan: images.is_empty(),
        }
    }

    fn cost(&self, cloud: &dyn Cloud, images: u64) -> Cost {
        cloud.cost(self.blocks(), self.writes.len() as u64, images)
    }

    fn image_report(
        &self,
        cloud: &dyn Cloud,
        at: usize,
        (volumes, images): (&[String], &[Image]),
    ) -> ImageReport {
        let planned = &self.images[at];
        let mut disks = Vec::new();
        for (disk, way) in planned.machine.disks.iter().zip(&planned.disks) {
            let (volume, parent, blocks) = match way {
                Way::There(volume) => (Some(volume.id.clone()), None, None),
                Way::Written(position) => {
                    let write = &self.writes[*position];
                    let parent = write.spec.parent.as_ref().map(|it| it.id.clone());
                    (volumes.get(*position).cloned(), parent, Some(write.blocks.len() as u64))
                }
            };
            disks.push(DiskReport {
                disk: format!("{}/{}", planned.machine.name, disk.name),
                volume,
                parent,
                already_there: blocks.is_none(),
                block_count: blocks.unwrap_or(0),
                sent_bytes: blocks.unwrap_or(0) * cloud.block_len(),
                volume_bytes: cloud.volume_len(disk.len),
            });
        }
        let image = planned.there.as_ref().or(images.get(at)).map(|image| image.id.clone());
        let machine = planned.machine.name.to_string();
        ImageReport { machine, image, already_there: planned.there.is_some(), disks }
    }
}

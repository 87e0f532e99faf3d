//! Amazon EC2, and what speaks its API.
//!
//! A volume is an EBS snapshot, written by the EBS direct API; an image is an AMI. Requests are
//! signed by `object_store`, so no SDK is linked.
//!
//! | file | calls |
//! |---|---|
//! | `ebs` | StartSnapshot, PutSnapshotBlock, CompleteSnapshot |
//! | `snapshots`, `images` | EC2's Query protocol |
//! | `wire`, `pace`, `names` | signatures, retries, back-off by the names of errors |

mod ebs;
mod images;
mod names;
mod pace;
mod price;
mod query;
mod snapshots;
mod wire;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use seawall_api::names::ApplicationName;
use seawall_api::release::{Architecture, Firmware, Machine};
use seawall_store::backend::s3::Environment;

use super::{Change, Cloud, CloudError, Cost, Image, ImageSpec, Place, Volume, VolumeSpec};
use wire::Wire;

/// The length of a block of a snapshot, in bytes.
const BLOCK_LEN: u64 = 512 << 10;
/// Bytes of a GiB.
const GIB: u64 = 1 << 30;
/// The maximum size of a volume, in GiB.
const VOLUME_GIB_MAX: u64 = 65_536;
/// The maximum length of the name of a region.
const REGION_LEN_MAX: usize = 32;

/// A region of EC2, as in `ec2:eu-west-1`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region(String);

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ec2:{}", self.0)
    }
}

impl FromStr for Region {
    type Err = CloudError;

    fn from_str(text: &str) -> Result<Self, CloudError> {
        let region = text.strip_prefix("ec2:").filter(|region| {
            let is_right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            (1..=REGION_LEN_MAX).contains(&region.len()) && region.chars().all(is_right)
        });
        region.map(|region| Self(region.to_owned())).ok_or_else(|| CloudError::Setting {
            what: format!("`{}` names no place of images", text.escape_debug()),
            remedy: "write ec2:REGION, as in ec2:eu-west-1".to_owned(),
        })
    }
}

/// The settings of a region.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The region.
    pub region: Region,
    /// The address of every service. `None` for the addresses of AWS.
    pub endpoint: Option<String>,
    /// The variables of AWS's tools.
    pub environment: Environment,
}

/// A region of an account.
pub struct Ec2 {
    wire: Wire,
    place: Place,
}

impl Ec2 {
    /// Opens a region: finds the credentials and asks which account they are of.
    ///
    /// # Errors
    /// Fails if the settings cannot be used, or the credentials are refused.
    pub async fn open(settings: &Settings) -> Result<Self, CloudError> {
        let wire = Wire::new(settings)?;
        let account = query::account(&wire).await?;
        let (provider, region) = ("ec2".to_owned(), settings.region.0.clone());
        Ok(Self { wire, place: Place { provider, account, region } })
    }
}

/// Returns the size of the volume of a disk, in GiB.
fn volume_gib(disk_len: u64) -> u64 {
    disk_len.div_ceil(GIB).max(1)
}

#[async_trait]
impl Cloud for Ec2 {
    fn place(&self) -> &Place {
        &self.place
    }

    fn block_len(&self) -> u64 {
        BLOCK_LEN
    }

    fn check(&self, machine: &Machine) -> Result<(), CloudError> {
        let refuse = |why: String| {
            let machine = machine.name.to_string();
            Err(CloudError::Unsupported { machine, why })
        };
        match (machine.architecture, machine.firmware) {
            (Architecture::Aarch64, Firmware::Bios) => {
                return refuse("EC2 starts aarch64 by UEFI only, and its firmware is bios".into());
            }
            (Architecture::X86_64 | Architecture::Aarch64 | Architecture::I686, _) => {}
            (other, _) => return refuse(format!("EC2 has no processors of {other:?}")),
        }
        if machine.disks.len() > images::DISKS_MAX {
            let max = images::DISKS_MAX;
            return refuse(format!("an AMI has at most {max} disks, not {}", machine.disks.len()));
        }
        let is_large = |len| volume_gib(len) > VOLUME_GIB_MAX;
        match machine.disks.iter().find(|disk| is_large(disk.len)) {
            Some(disk) => refuse(format!("disk `{}` is larger than 64 TiB", disk.name)),
            None => Ok(()),
        }
    }

    fn volume_len(&self, disk_len: u64) -> u64 {
        volume_gib(disk_len) * GIB
    }

    fn cost(&self, blocks: u64, volumes: u64, images: u64) -> Cost {
        price::cost(blocks, volumes, images)
    }

    async fn volumes(&self, of: Option<&ApplicationName>) -> Result<Vec<Volume>, CloudError> {
        snapshots::list(&self.wire, of).await
    }

    async fn images(&self, of: Option<&ApplicationName>) -> Result<Vec<Image>, CloudError> {
        images::list(&self.wire, of).await
    }

    async fn begin(&self, spec: &VolumeSpec) -> Result<String, CloudError> {
        ebs::begin(&self.wire, &self.place, spec).await
    }

    async fn put(
        &self,
        volume: &str,
        index: u64,
        block: (Bytes, [u8; 32]),
        percent: u8,
    ) -> Result<(), CloudError> {
        ebs::put(&self.wire, (volume, index), block, percent).await
    }

    async fn complete(&self, volume: &str, digests: &[[u8; 32]]) -> Result<(), CloudError> {
        ebs::complete(&self.wire, volume, digests).await
    }

    async fn settle(&self, volume: &str) -> Result<(), CloudError> {
        snapshots::settle(&self.wire, volume).await
    }

    async fn register(&self, spec: &ImageSpec<'_>) -> Result<Image, CloudError> {
        images::register(&self.wire, spec).await
    }

    async fn users(&self, images: &[String]) -> Result<Vec<(String, String)>, CloudError> {
        images::users(&self.wire, images).await
    }

    async fn change(&self, image: &str, change: &Change) -> Result<(), CloudError> {
        images::change(&self.wire, image, change).await
    }

    async fn remove_image(&self, image: &str) -> Result<(), CloudError> {
        images::remove(&self.wire, image).await
    }

    async fn remove_volume(&self, volume: &str) -> Result<bool, CloudError> {
        match snapshots::delete(&self.wire, volume).await {
            Err(CloudError::Refused { name, .. }) if name == "InvalidSnapshot.InUse" => Ok(false),
            done => done.map(|()| true),
        }
    }
}

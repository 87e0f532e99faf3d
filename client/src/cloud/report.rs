//! The reports of the flows with a cloud.

use std::fmt;

use seawall_api::units::{Counted, HumanBytes};
use serde::Serialize;

/// The estimated cost of a publication.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// The number of calls of the provider's API, without repeats.
    pub call_count: u64,
    /// The price of the calls in US dollars, rounded up to a cent.
    pub calls_usd: f64,
    /// The price of the storage in US dollars per month, rounded up to a cent.
    pub month_usd: f64,
}

/// A disk of a publication.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskReport {
    /// The disk, as `machine/disk`.
    pub disk: String,
    /// The volume; absent in a plan for a volume that does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// The volume on which this one is based.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// True if the volume was there already.
    pub already_there: bool,
    /// The number of blocks that are written.
    pub block_count: u64,
    /// The bytes of these blocks.
    pub sent_bytes: u64,
    /// The size of the volume, in bytes.
    pub volume_bytes: u64,
}

/// An image of a publication.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// The machine.
    pub machine: String,
    /// The image; absent in a plan for an image that does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// True if the image was there already.
    pub already_there: bool,
    /// The disks, in order.
    pub disks: Vec<DiskReport>,
}

/// The result of a publication, or its plan.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishReport {
    /// The release, as `application:version`.
    pub reference: String,
    /// The digest of the release.
    pub digest: String,
    /// The provider.
    pub provider: String,
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The images, one for each machine.
    pub images: Vec<ImageReport>,
    /// The number of blocks of all disks that are written.
    pub block_count: u64,
    /// The bytes of these blocks.
    pub sent_bytes: u64,
    /// The estimated cost.
    pub cost: Cost,
    /// True for a plan.
    #[serde(skip)]
    pub is_plan: bool,
}

impl fmt::Display for PublishReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.is_plan { "would be published" } else { "is published" };
        let (provider, region, account) = (&self.provider, &self.region, &self.account);
        write!(f, "{} {verb} to {provider}:{region}, account {account}", self.reference)?;
        for image in &self.images {
            let id = image.image.as_deref().unwrap_or("new");
            let there = if image.already_there { ", there already" } else { "" };
            write!(f, "\n  {}  {id}{there}", image.machine)?;
            for disk in &image.disks {
                write!(f, "\n    {disk}")?;
            }
        }
        let (blocks, bytes) = (Counted(self.block_count, "block"), HumanBytes(self.sent_bytes));
        let Cost { call_count, calls_usd, month_usd } = &self.cost;
        write!(f, "\n  {blocks}, {bytes} to send in {} of the API", Counted(*call_count, "call"))?;
        write!(f, "\n  about {calls_usd:.2} USD for calls, {month_usd:.2} USD a month for storage")
    }
}

impl fmt::Display for DiskReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.volume.as_deref().unwrap_or("new");
        write!(f, "{}  {id}  {}", self.disk, HumanBytes(self.volume_bytes))?;
        if self.already_there {
            return write!(f, ", there already");
        }
        write!(f, ", {}", Counted(self.block_count, "block"))?;
        match &self.parent {
            Some(parent) => write!(f, " over {parent}"),
            None => write!(f, " in full"),
        }
    }
}

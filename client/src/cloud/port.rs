//! The trait through which flows reach a provider.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use seawall_api::names::ApplicationName;
use seawall_api::release::Machine;

use super::{CloudError, Cost, Origin};

/// A place of volumes and images: a region of an account at a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The provider, such as `ec2`.
    pub provider: String,
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} (account {})", self.provider, self.region, self.account)
    }
}

/// The state of a volume or an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Being made.
    Pending,
    /// Complete and usable.
    Available,
    /// An image that starts no new machine.
    Disabled,
    /// Failed; never usable.
    Failed,
}

impl State {
    /// Returns the name, as the ledger has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Disabled => "disabled",
            Self::Failed => "failed",
        }
    }
}

/// A volume with our tags.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Volume {
    /// The provider's name.
    pub id: String,
    /// The state.
    pub state: State,
    /// The size in bytes.
    pub len: u64,
    /// Whether the provider encrypts the volume.
    pub encrypted: bool,
    /// The time of creation, as the provider writes it; later ones sort behind earlier ones.
    pub created: String,
    /// The origin.
    pub origin: Origin,
}

/// An image with our tags.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// The provider's name.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The state.
    pub state: State,
    /// The time from which the image is deprecated, in RFC 3339.
    pub deprecated_at: Option<String>,
    /// The volumes, in the order of the machine's disks.
    pub volumes: Vec<String>,
    /// The origin.
    pub origin: Origin,
}

/// A volume to write.
#[derive(Clone, Debug)]
pub struct VolumeSpec {
    /// The origin, which identifies the volume.
    pub origin: Origin,
    /// The length of the disk in bytes.
    pub disk_len: u64,
    /// The complete volume from which the new one differs in the blocks to be written.
    pub parent: Option<Volume>,
}

/// An image to register.
#[derive(Clone, Debug)]
pub struct ImageSpec<'a> {
    /// The origin, which identifies the image.
    pub origin: Origin,
    /// The machine.
    pub machine: &'a Machine,
    /// The complete volumes of its disks, in order.
    pub volumes: Vec<Volume>,
}

/// A change of an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Lets an account start machines from the image.
    Share(String),
    /// Ends that.
    Unshare(String),
    /// Marks the image as deprecated from this time on, in RFC 3339.
    Deprecate(String),
    /// Removes the mark.
    Undeprecate,
    /// Starts no new machines from the image.
    Disable,
    /// Ends that.
    Enable,
}

/// A region of an account at a provider.
///
/// # Contract
///
/// 1. Every call may be repeated, also after its answer was lost.
/// 2. Lists contain only objects of the account itself that have our tags.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// Returns the place.
    fn place(&self) -> &Place;

    /// Returns the length of the blocks in which volumes are written, in bytes.
    fn block_len(&self) -> u64;

    /// Fails if a machine cannot be an image here.
    fn check(&self, machine: &Machine) -> Result<(), CloudError>;

    /// Returns the size of the volume for a disk of this length, in bytes.
    fn volume_len(&self, disk_len: u64) -> u64;

    /// Estimates the calls and the price of writing blocks and registering images.
    fn cost(&self, blocks: u64, volumes: u64, images: u64) -> Cost;

    /// Returns all volumes of an application, or of all.
    async fn volumes(&self, of: Option<&ApplicationName>) -> Result<Vec<Volume>, CloudError>;

    /// Returns all images of an application, or of all.
    async fn images(&self, of: Option<&ApplicationName>) -> Result<Vec<Image>, CloudError>;

    /// Begins to write a volume, or goes on with one that was begun. Returns its name.
    async fn begin(&self, spec: &VolumeSpec) -> Result<String, CloudError>;

    /// Writes a block of a pending volume. `digest` is the SHA-256 of its bytes, `percent` how much
    /// is written.
    async fn put(
        &self,
        volume: &str,
        index: u64,
        block: (Bytes, [u8; 32]),
        percent: u8,
    ) -> Result<(), CloudError>;

    /// Ends the writing of a volume. `digests` are those of all blocks written, by index.
    async fn complete(&self, volume: &str, digests: &[[u8; 32]]) -> Result<(), CloudError>;

    /// Waits until a volume is complete.
    async fn settle(&self, volume: &str) -> Result<(), CloudError>;

    /// Registers an image, or returns the one that has the origin already.
    async fn register(&self, spec: &ImageSpec<'_>) -> Result<Image, CloudError>;

    /// Returns the machines that run from images, each as image and machine.
    async fn users(&self, images: &[String]) -> Result<Vec<(String, String)>, CloudError>;

    /// Changes an image.
    async fn change(&self, image: &str, change: &Change) -> Result<(), CloudError>;

    /// Removes an image, but no volume.
    async fn remove_image(&self, image: &str) -> Result<(), CloudError>;

    /// Removes a volume. Returns false if an image uses it.
    async fn remove_volume(&self, volume: &str) -> Result<bool, CloudError>;
}

//! The header and the descriptor of sparse VMDKs, shared by all variants.

use seawall_api::digest::ContentDigest;

pub(in super::super::super) const SECTOR_LEN: u64 = 512;
pub(in super::super::super) const GRAIN_LEN: u64 = 64 << 10;
pub(in super::super::super) const GRAIN_SECTORS: u64 = GRAIN_LEN / SECTOR_LEN;
/// Number of entries of 4 bytes in a grain table: four sectors.
pub(in super::super::super) const TABLE_ENTRIES: u64 = 512;
pub(in super::super::super) const TABLE_LEN: u64 = TABLE_ENTRIES * 4;
/// The offset of the descriptor in sectors, as in files of QEMU and VMware.
pub(in super::super::super) const DESCRIPTOR_SECTOR: u64 = 1;
/// The length reserved for the descriptor, in sectors.
pub(in super::super::super) const DESCRIPTOR_SECTORS: u64 = 20;

/// Maximum length of a disk, in bytes. Entries have sector numbers of 32 bits, so all grains begin
/// in the first 2 TiB of the file; the difference leaves room for tables and markers.
pub(in super::super::super) const DISK_LEN_MAX: u64 = 2040 << 30;

/// CIDs with a special meaning: no parent, and none yet.
const CIDS_TAKEN: [u32; 2] = [u32::MAX, u32::MAX - 1];
/// The adapter of disks for machines that boot from SCSI. Importers use their own description.
const ADAPTER: &str = "lsilogic";
const HARDWARE_VERSION: &str = "13";
const HEADS: u64 = 255;
const SECTORS_PER_TRACK: u64 = 63;

/// The header fields that differ between the variants.
#[derive(Clone, Copy, Debug)]
pub(in super::super::super) struct Head {
    pub(in super::super::super) version: u32,
    pub(in super::super::super) flags: u32,
    pub(in super::super::super) sectors: u64,
    /// The sector of the second grain directory; 0 for none.
    pub(in super::super::super) redundant: u64,
    /// The sector of the grain directory.
    pub(in super::super::super) directory: u64,
    /// The sector of the first grain.
    pub(in super::super::super) grains: u64,
    /// The compression: 1 if grains are zlib streams.
    pub(in super::super::super) compression: u16,
}

impl Head {
    /// Returns the sector of the header.
    pub(in super::super::super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend(b"KDMV");
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.sectors.to_le_bytes());
        bytes.extend(GRAIN_SECTORS.to_le_bytes());
        bytes.extend(DESCRIPTOR_SECTOR.to_le_bytes());
        bytes.extend(DESCRIPTOR_SECTORS.to_le_bytes());
        bytes.extend(512u32.to_le_bytes()); // entries in a grain table
        bytes.extend(self.redundant.to_le_bytes());
        bytes.extend(self.directory.to_le_bytes());
        bytes.extend(self.grains.to_le_bytes());
        bytes.push(0); // was closed as it should be
        bytes.extend(b"\n \r\n"); // breaks when a transfer takes the file for text
        bytes.extend(self.compression.to_le_bytes());
        bytes.resize(512, 0);
        bytes
    }
}

/// Returns the descriptor, padded to [`DESCRIPTOR_SECTORS`].
pub(in super::super::super) fn descriptor(
    create_type: &str,
    sectors: u64,
    content: &ContentDigest,
) -> Vec<u8> {
    let hex = content.to_hex();
    let [a, b, c, d, ..] = *content.as_bytes();
    let cid = Some(u32::from_be_bytes([a, b, c, d]));
    let cid = cid.filter(|cid| !CIDS_TAKEN.contains(cid)).unwrap_or(1);
    let cylinders = (sectors / (HEADS * SECTORS_PER_TRACK)).max(1);
    // The file's name is unknown here; readers of embedded descriptors ignore it.
    let mut text = format!(
        "# Disk DescriptorFile\nversion=1\nCID={cid:08x}\nparentCID=ffffffff\n\
         createType=\"{create_type}\"\n\n# Extent description\nRW {sectors} SPARSE \"disk.vmdk\"\n\n\
         # The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"{HARDWARE_VERSION}\"\n\
         ddb.longContentID = \"{}{cid:08x}\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"{HEADS}\"\n\
         ddb.geometry.sectors = \"{SECTORS_PER_TRACK}\"\nddb.adapterType = \"{ADAPTER}\"\n\
         ddb.toolsVersion = \"2147483647\"\n",
        &hex[8..32]
    )
    .into_bytes();
    text.resize(usize::try_from(DESCRIPTOR_SECTORS * SECTOR_LEN).unwrap_or(0), 0);
    text
}

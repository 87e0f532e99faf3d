//! VDI, the format of VirtualBox: a reader of dynamic and fixed files of version 1.1.
//!
//! Differencing and undo images are refused: they name their parent by an identifier that only
//! VirtualBox's media registry resolves.
//!
//! # Invariants
//!
//! 1. A block in use lies in the file.

use super::blocks::parent::{Id, Parent};
use super::blocks::{BlockFile, Kind, Mapping, TableLimits};
use super::fields::{array, le32, le64};
use crate::image::source::NamedSource;
use crate::image::{Format, ImageError};

/// Offset of the signature, after a text that varies.
pub(in crate::image) const SIGNATURE_AT: usize = 64;
pub(in crate::image) const SIGNATURE: [u8; 4] = 0xbeda_107f_u32.to_le_bytes();

const HEADER_LEN: usize = 512;
const VERSION: u32 = 0x0001_0001;
const DYNAMIC: u32 = 1;
const FIXED: u32 = 2;
const SECTOR_LEN: u64 = 512;
/// Maximum length of a disk, in bytes.
const DISK_LEN_MAX: u64 = 64 << 40;
/// Maximum length of a block, in bytes. VirtualBox writes blocks of 1 MiB.
const BLOCK_LEN_MAX: u64 = 256 << 20;
/// Entries from this value on have no block: one never written, or one discarded.
const DISCARDED: u32 = 0xffff_fffe;

/// A VDI file.
pub(in crate::image) struct VdiFile {
    source: NamedSource,
    disk_len: u64,
    is_fixed: bool,
    block_len: u64,
    /// Length of the extra data before each block, in bytes.
    extra_len: u64,
    blocks_offset: u64,
    table_offset: u64,
    table: Vec<u32>,
    id: Id,
}

impl BlockFile for VdiFile {
    const FORMAT: Format = Format::Vdi;

    fn is_fixed(&self) -> bool {
        self.is_fixed
    }

    fn open(source: NamedSource, limits: &mut TableLimits) -> Result<Self, ImageError> {
        let wrong = |offset, reason: String| Err(source.damaged("VDI header", offset, reason));
        let mut header = [0; HEADER_LEN];
        if source.len < 512 {
            return wrong(0, format!("the file has {} bytes, a header has 512", source.len));
        }
        source.read(0, &mut header)?;
        if header[SIGNATURE_AT..SIGNATURE_AT + 4] != SIGNATURE {
            return wrong(64, "it has no signature 0xbeda107f".to_owned());
        }
        let refuse = |feature: String| {
            let remedy = "make it one file with VirtualBox: `VBoxManage clonemedium --format VDI`";
            Err(source.unsupported(feature, remedy))
        };
        let version = le32(&header, 68);
        if version != VERSION {
            return refuse(format!("VDI version {}.{}", version >> 16, version & 0xffff));
        }
        let kind = le32(&header, 76);
        // The identifier of the linked image or of the parent.
        let alone = header[424..456].iter().all(|byte| *byte == 0);
        if !matches!(kind, DYNAMIC | FIXED) || !alone {
            return refuse(format!("a parent, as a VDI of type {kind}"));
        }
        let block_len = u64::from(le32(&header, 376));
        if !block_len.is_power_of_two() || !(SECTOR_LEN..=BLOCK_LEN_MAX).contains(&block_len) {
            let reason = "bytes are not a power of two from 512 to 256 MiB";
            return wrong(376, format!("blocks of {block_len} {reason}"));
        }
        let extra_len = u64::from(le32(&header, 380));
        if extra_len > block_len {
            return wrong(380, format!("{extra_len} bytes before each block of {block_len}"));
        }
        let disk_len = le64(&header, 368);
        if disk_len > DISK_LEN_MAX {
            return wrong(368, format!("a disk of {disk_len} bytes is longer than 64 TiB"));
        }
        // QEMU rounds up, too; VirtualBox only makes whole sectors.
        let disk_len = disk_len.next_multiple_of(SECTOR_LEN);
        let (needed, blocks) = (disk_len.div_ceil(block_len), u64::from(le32(&header, 384)));
        if needed > blocks {
            return wrong(384, format!("{blocks} blocks do not hold {disk_len} bytes"));
        }
        let table_offset = u64::from(le32(&header, 340));
        // `blocks` has 32 bits.
        let table = limits.load(&source, table_offset, needed * 4)?;
        Ok(Self {
            disk_len,
            is_fixed: kind == FIXED,
            block_len,
            extra_len,
            blocks_offset: u64::from(le32(&header, 344)),
            table_offset,
            table: table.chunks_exact(4).map(|entry| le32(entry, 0)).collect(),
            id: array(&header, 392),
            source,
        })
    }

    fn source(&self) -> &NamedSource {
        &self.source
    }

    fn disk_len(&self) -> u64 {
        self.disk_len
    }

    fn piece(&self, offset: u64) -> Result<Mapping, ImageError> {
        let (block, in_block) = (offset / self.block_len, offset % self.block_len);
        let len = self.block_len - in_block;
        let index = usize::try_from(block).unwrap_or(usize::MAX);
        let entry = self.table.get(index).copied().unwrap_or(u32::MAX);
        if entry >= DISCARDED {
            return Ok(Mapping { kind: Kind::Zero, len });
        }
        // Less than 2^32 times at most 2^29, plus 32 bits: no overflow.
        let stride = self.extra_len + self.block_len;
        let host = self.blocks_offset + u64::from(entry) * stride + self.extra_len;
        let used = self.block_len.min(self.disk_len - (offset - in_block));
        if host + used > self.source.len {
            let end = self.source.len;
            let reason = format!("block {block} at {host} ends past the end of file at {end}");
            let at = self.table_offset + block * 4;
            return Err(self.source.damaged("VDI table entry", at, reason));
        }
        Ok(Mapping { kind: Kind::Data(host + in_block), len })
    }

    fn id(&self) -> Id {
        self.id
    }

    fn parent(&self) -> Option<&Parent> {
        None
    }
}

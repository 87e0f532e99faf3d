//! Marks of a raw disk: signatures that firmware, partitioners and file systems write at its start.

/// Offset and bytes, from the first 128 KiB of a disk.
const MARKS: [(usize, &[u8]); 33] = [
    // The boot signature of an MBR, of a FAT and of an NTFS.
    (510, b"\x55\xaa"),
    // GPT with sectors of 512 bytes and of 4 KiB.
    (512, b"EFI PART"),
    (4096, b"EFI PART"),
    // Apple's partition map.
    (512, b"PM\0\0"),
    // A BSD label.
    (512, b"\x57\x45\x56\x82"),
    (0, b"XFSB"),
    (0, b"hsqs"),
    (0, b"sqsh"),
    // bcache.
    (4120, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    // ext2, ext3 and ext4.
    (1080, b"\x53\xef"),
    // f2fs and erofs.
    (1024, b"\x10\x20\xf5\xf2"),
    (1024, b"\xe2\xe1\xf5\xe0"),
    // HFS, HFS+ and HFSX.
    (1024, b"BD"),
    (1024, b"H+"),
    (1024, b"HX"),
    // APFS.
    (32, b"NXSB"),
    // The label of an LVM physical volume, in one of the first four sectors.
    (0, b"LABELONE"),
    (512, b"LABELONE"),
    (1024, b"LABELONE"),
    (1536, b"LABELONE"),
    // A member of a Linux RAID, versions 1.1 and 1.2.
    (0, b"\xfc\x4e\x2b\xa9"),
    (4096, b"\xfc\x4e\x2b\xa9"),
    // Linux swap, with pages of 4, 8, 16 and 64 KiB.
    (4086, b"SWAPSPACE2"),
    (8182, b"SWAPSPACE2"),
    (16374, b"SWAPSPACE2"),
    (65526, b"SWAPSPACE2"),
    (32768, b"JFS1"),
    // ISO 9660 and UDF.
    (32769, b"CD001"),
    (32769, b"BEA01"),
    (65588, b"ReIsEr"),
    (65600, b"_BHRfS_M"),
    // UFS2 and UFS1, little-endian.
    (65536 + 1372, b"\x19\x01\x54\x19"),
    (8192 + 1372, b"\x54\x19\x01\x00"),
];

/// Returns whether a disk with these first bytes was written by a guest or a partitioner.
pub(super) fn is_plain(head: &[u8]) -> bool {
    MARKS.iter().any(|(at, bytes)| head.get(*at..).is_some_and(|it| it.starts_with(bytes)))
}

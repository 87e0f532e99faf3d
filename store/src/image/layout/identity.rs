//! Identifiers of files, derived from their disk.

use seawall_api::digest::ContentDigest;

/// Derives an identifier from the disk. `context` names the kind of file and identifier.
///
/// The UUID variant is set, the version is not: formats differ in its place.
pub(super) fn derive(context: &str, disk_len: u64, content: &ContentDigest) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(&disk_len.to_le_bytes()).update(content.as_bytes());
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    // The variant that UUIDs and GUIDs have in common.
    id[8] = id[8] & 0x3f | 0x80;
    id
}

/// Sets version 8, which its maker defines (RFC 9562, section 5.8), in byte `at` of an identifier.
pub(super) fn with_version(mut id: [u8; 16], at: usize) -> [u8; 16] {
    id[at] = id[at] & 0x0f | 0x80;
    id
}

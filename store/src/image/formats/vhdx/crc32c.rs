//! CRC-32C (Castagnoli), the checksum of VHDX.

/// The polynomial 0x1EDC6F41, bit-reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "below 256")]
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// Returns the checksum of a structure, with its own checksum (4 bytes at offset 4) taken as zeros.
pub(in crate::image) fn of_structure(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().enumerate().fold(u32::MAX, |crc, (at, byte)| {
        let byte = if (4..8).contains(&at) { 0 } else { *byte };
        crc >> 8 ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)]
    });
    !crc
}

#[cfg(test)]
mod tests {
    /// The check value of the catalogue of CRCs is for `123456789`. With zeros in place of the
    /// checksum, the value is different; it comes from another implementation.
    #[test]
    fn a_known_checksum_comes_out() {
        assert_eq!(super::of_structure(b"1234"), 0xf63a_f4ee);
        assert_eq!(
            super::of_structure(b"1234\xaa\xbb\xcc\xdd9"),
            super::of_structure(b"1234\0\0\0\x009")
        );
    }
}

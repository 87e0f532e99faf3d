//! GUIDs in the byte order of a file: the first three groups are little-endian.

use super::super::blocks::parent::Id;

pub(in crate::image) const BAT: Id = guid("2dc27766f62342009d64115e9bfd4a08");
pub(in crate::image) const METADATA: Id = guid("8b7ca20647904b9ab8fe575f050f886e");
pub(in crate::image) const FILE_PARAMETERS: Id = guid("caa16737fa364d43b3b633f0aa44e76b");
pub(in crate::image) const DISK_LEN: Id = guid("2fa54224cd1b4876b2115dbed83bf4b8");
pub(in crate::image) const DISK_ID: Id = guid("beca12abb2e6452393efc309e000c746");
pub(in crate::image) const LOGICAL_SECTOR: Id = guid("8141bf1da96f4709ba47f233a8faab5f");
pub(in crate::image) const PHYSICAL_SECTOR: Id = guid("cda348c7445d44719cc9e9885251c556");
pub(super) const PARENT_LOCATOR: Id = guid("a8d35f2db30b454dabf7d3d84834ab0c");
pub(super) const LOCATOR_OF_VHDX: Id = guid("b04aefb7d19e4a81b78925b8e9445913");

/// The place in the file of each byte of the text.
const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

const fn guid(digits: &str) -> Id {
    match parse(digits.as_bytes()) {
        Some(id) => id,
        None => panic!("a constant has 32 digits"),
    }
}

/// Parses a GUID; all other characters than hexadecimal digits are separators.
pub(super) const fn parse(text: &[u8]) -> Option<Id> {
    let mut id = [0; 16];
    let (mut at, mut digits) = (0, 0);
    while at < text.len() {
        let digit = match text[at] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            digit @ b'A'..=b'F' => digit - b'A' + 10,
            _ => {
                at += 1;
                continue;
            }
        };
        if digits == 32 {
            return None;
        }
        let place = ORDER[digits / 2];
        id[place] = id[place] << 4 | digit;
        digits += 1;
        at += 1;
    }
    if digits == 32 { Some(id) } else { None }
}

//! The entries that a cache holds, in the order of their use.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use seawall_api::digest::PackDigest;

use crate::kind::Collectable;
use crate::port::ObjectName;

/// The part that is a whole object.
const WHOLE: u32 = u32::MAX;

/// The name of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    digest: [u8; 32],
    part: u32,
}

impl Key {
    /// Names a segment of a pack.
    pub(super) fn segment(pack: PackDigest, number: u32) -> Self {
        Self { digest: *pack.as_bytes(), part: number.min(WHOLE - 1) }
    }

    /// Names an object that is named by its hash. The kind is no part of the name: one hash has
    /// one content.
    pub(super) fn whole(name: &ObjectName) -> Option<Self> {
        let object = Collectable::of(name)?;
        Some(Self { digest: *object.parts().1, part: WHOLE })
    }

    /// Returns the bytes of the name, which the checksum of an entry covers.
    pub(super) fn bytes(&self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..32].copy_from_slice(&self.digest);
        bytes[32..].copy_from_slice(&self.part.to_le_bytes());
        bytes
    }

    /// Returns the name of the folder for this entry: one of 256.
    pub(super) fn shard(&self) -> String {
        format!("{:02x}", self.digest[0])
    }

    /// Parses the text form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (hex, part) = match text.split_once('.') {
            Some((hex, part)) => (hex, part.parse().ok().filter(|part| *part != WHOLE)?),
            None => (text, WHOLE),
        };
        let digest = *PackDigest::from_hex(hex).ok()?.as_bytes();
        let key = Self { digest, part };
        (key.to_string() == text).then_some(key)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&PackDigest::from_bytes(self.digest).to_hex())?;
        match self.part {
            WHOLE => Ok(()),
            part => write!(f, ".{part}"),
        }
    }
}

struct Slot {
    space: u64,
    used: u64,
}

/// The entries of a cache, the least recently used first out.
#[derive(Default)]
pub(super) struct Entries {
    slots: HashMap<Key, Slot>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    space: u64,
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("space", &self.space).finish_non_exhaustive()
    }
}

impl Entries {
    /// Returns the number of entries.
    pub(super) fn count(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Returns the space of all entries, in bytes.
    pub(super) fn space(&self) -> u64 {
        self.space
    }

    /// Adds an entry as the one used last.
    pub(super) fn add(&mut self, key: Key, space: u64) {
        self.remove(key);
        self.uses += 1;
        self.space += space;
        self.by_use.insert(self.uses, key);
        self.slots.insert(key, Slot { space, used: self.uses });
    }

    /// Adds an entry of an earlier process, unless this process knows a newer one.
    pub(super) fn add_unless_known(&mut self, key: Key, space: u64) {
        if !self.slots.contains_key(&key) {
            self.add(key, space);
        }
    }

    /// Makes an entry the one used last.
    pub(super) fn touch(&mut self, key: Key) {
        if let Some(slot) = self.slots.get_mut(&key) {
            self.by_use.remove(&slot.used);
            self.uses += 1;
            slot.used = self.uses;
            self.by_use.insert(self.uses, key);
        }
    }

    pub(super) fn remove(&mut self, key: Key) {
        if let Some(slot) = self.slots.remove(&key) {
            self.by_use.remove(&slot.used);
            self.space -= slot.space;
        }
    }

    /// Removes the least recently used entries until `space` more bytes fit into `space_max`.
    /// Returns the removed ones.
    pub(super) fn make_room(&mut self, space: u64, space_max: u64) -> Vec<Key> {
        let mut removed = Vec::new();
        while self.space.saturating_add(space) > space_max
            && let Some((_, &oldest)) = self.by_use.first_key_value()
        {
            self.remove(oldest);
            removed.push(oldest);
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Key {
        Key::segment(PackDigest::of(b"pack"), n)
    }

    #[test]
    fn the_least_recently_used_entries_make_room() {
        let mut entries = Entries::default();
        (0..4).for_each(|n| entries.add(key(n), 10));
        entries.touch(key(0));
        assert_eq!(entries.make_room(5, 40), [key(1)]);
        assert_eq!(entries.make_room(20, 40), [key(2)]);
        assert_eq!((entries.count(), entries.space()), (2, 20));
        entries.add(key(0), 15);
        assert_eq!(entries.space(), 25, "an entry that is written again counts once");
        assert_eq!(entries.make_room(100, 40), [key(3), key(0)]);
        assert_eq!((entries.count(), entries.space()), (0, 0));
    }

    #[test]
    fn the_name_of_an_entry_has_one_spelling() {
        let name = ObjectName::Leaf(seawall_api::digest::LeafDigest::of(b"leaf"));
        for key in [key(0), key(17), Key::whole(&name).unwrap()] {
            assert_eq!(Key::parse(&key.to_string()), Some(key));
        }
        let text = key(7).to_string();
        for text in
            [text.to_uppercase(), format!("{text}0x"), text.replace(".7", ".07"), "x".into()]
        {
            assert_eq!(Key::parse(&text), None, "{text}");
        }
        assert!(Key::whole(&ObjectName::Pack(PackDigest::of(b"pack"))).is_none());
        assert!(Key::whole(&ObjectName::Name("a/@1".to_owned())).is_none());
    }
}

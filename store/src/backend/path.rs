//! Object paths, determined by the name alone (docs/FORMAT.md, section 2).

use seawall_api::digest::{DescriptorDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest};

use crate::port::{ObjectKind, ObjectName};

impl ObjectKind {
    /// All kinds.
    pub(super) const ALL: [Self; 6] =
        [Self::Pack, Self::Index, Self::Leaf, Self::Release, Self::Descriptor, Self::Name];

    /// Returns the folder of all objects of the kind.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Pack => "packs",
            Self::Index => "indexes/lists",
            Self::Leaf => "indexes/leaves",
            Self::Release => "releases",
            Self::Descriptor => "descriptors",
            Self::Name => "names",
        }
    }
}

/// Returns the path of an object in one of 256 folders, chosen by the first byte of its digest to
/// keep directories small.
fn sharded(kind: ObjectKind, hex: &str) -> String {
    format!("{}/{}/{hex}", kind.folder(), &hex[..2])
}

impl ObjectName {
    /// Returns the object's path, relative to the root of the store.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Pack(digest) => sharded(ObjectKind::Pack, &digest.to_hex()),
            Self::Index(digest) => sharded(ObjectKind::Index, &digest.to_hex()),
            Self::Leaf(digest) => sharded(ObjectKind::Leaf, &digest.to_hex()),
            Self::Release(digest) => sharded(ObjectKind::Release, &digest.to_hex()),
            Self::Descriptor(digest) => sharded(ObjectKind::Descriptor, &digest.to_hex()),
            Self::Name(name) => format!("{}/{name}", ObjectKind::Name.folder()),
        }
    }

    /// Parses a path written by [`Self::path`], of any kind; `None` for any other path.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        ObjectKind::ALL.into_iter().find_map(|kind| Self::from_path(kind, path))
    }

    /// Parses a path of this kind written by [`Self::path`]; `None` for any other file in the
    /// store.
    pub(super) fn from_path(kind: ObjectKind, path: &str) -> Option<Self> {
        let rest = path.strip_prefix(kind.folder())?.strip_prefix('/')?;
        let hex = || rest.split_once('/').map(|(_, hex)| hex);
        let name = match kind {
            ObjectKind::Pack => Self::Pack(PackDigest::from_hex(hex()?).ok()?),
            ObjectKind::Index => Self::Index(IndexDigest::from_hex(hex()?).ok()?),
            ObjectKind::Leaf => Self::Leaf(LeafDigest::from_hex(hex()?).ok()?),
            ObjectKind::Release => Self::Release(ReleaseDigest::from_hex(hex()?).ok()?),
            ObjectKind::Descriptor => Self::Descriptor(DescriptorDigest::from_hex(hex()?).ok()?),
            ObjectKind::Name => Self::Name(rest.to_owned()),
        };
        (name.path() == path).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_it_is_written_and_nothing_else_is() {
        let pack = ObjectName::Pack(PackDigest::of(b"x"));
        let path = pack.path();
        assert_eq!(ObjectName::from_path(ObjectKind::Pack, &path), Some(pack.clone()));
        let named = ObjectName::Name("shop/@1.0".to_owned());
        for object in [pack, ObjectName::Leaf(LeafDigest::of(b"x")), named] {
            assert_eq!(ObjectName::parse(&object.path()), Some(object));
        }
        assert_eq!(ObjectName::parse("catalog.sqlite"), None);
        for other in [
            path.replacen("/", "/00/", 1),
            path.to_uppercase(),
            format!("{path}.part"),
            path.replace("packs", "indexes/lists"),
            "packs".to_owned(),
        ] {
            assert_eq!(ObjectName::from_path(ObjectKind::Pack, &other), None, "{other}");
        }
    }
}

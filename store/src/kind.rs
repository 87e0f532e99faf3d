//! The kinds of objects at rest, in one table: what is true of every object of a kind.
//!
//! # Adding a kind
//!
//! 1. Add a row to the table at the end of this file, among the collectable kinds if releases are
//!    what keeps its objects. The names, the paths, the lists of kinds, the proof of a hash and the
//!    reports of a check follow from the row.
//! 2. Describe its path and its bytes in docs/FORMAT.md, section 2.
//! 3. The compiler names the places that are about something else than the kind itself: the phase
//!    of a check that reads the objects (`fsck`), the rows that a catalog keeps of them, and who
//!    needs them. The mark of a collection must reach the objects of a collectable kind.

use seawall_api::digest::{DescriptorDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::index::{INDEX_LEN_MAX, LEAF_LEN_MAX};
use seawall_api::release::{DESCRIPTOR_LEN_MAX, RELEASE_LEN_MAX};

use crate::pack::PACK_LEN_MAX;

/// The rules common to all objects of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The noun for one object, in reports and in the rows of a catalog.
    pub noun: &'static str,
    /// The folder of all objects. An object named by a digest lies in one of 256 folders below,
    /// chosen by the first byte of the digest to keep directories small.
    pub folder: &'static str,
    /// The maximum length of an object, in bytes.
    pub len_max: usize,
    /// The way to prove an object's bytes against its name.
    pub proof: Proof,
    /// The reason to keep an object.
    pub root: Root,
}

/// The way to prove an object's bytes against its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// The bytes hash to the digest.
    Hash,
    /// The footer hashes to the digest, and each frame to the chunk that the footer lists.
    Frames,
    /// The record parses, and the catalog agrees with the name.
    Record,
}

/// The reason to keep an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Root {
    /// A release needs a chunk that has its place in the object.
    Chunks,
    /// A release reaches the object.
    Release,
    /// The object's own existence: nothing collects it.
    Itself,
}

/// Defines the names and kinds of objects from the table.
macro_rules! kinds {
    (
        { $($(#[$own_doc:meta])* $Own:ident($OwnDigest:ident) = $own_rules:expr;)* }
        collectable { $($(#[$doc:meta])* $Kind:ident($Digest:ident) = $rules:expr;)* }
        named { $(#[$name_doc:meta])* $Name:ident = $name_rules:expr; }
    ) => {
        /// The name of an object at rest, which alone determines its path ([`ObjectName::path`]).
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum ObjectName {
            $($(#[$own_doc])* $Own($OwnDigest),)*
            $($(#[$doc])* $Kind($Digest),)*
            $(#[$name_doc])* $Name(String),
        }

        /// A kind of object.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[allow(missing_docs)] // as in `ObjectName`
        pub enum ObjectKind {
            $($Own,)*
            $($Kind,)*
            $Name,
        }

        /// An object that a collection removes once no release reaches it ([`Root::Release`]).
        /// Packs are removed for the chunks in them.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Collectable {
            $($(#[$doc])* $Kind($Digest),)*
        }

        impl ObjectKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$Own,)* $(Self::$Kind,)* Self::$Name];

            /// Returns what is true of every object of the kind.
            #[must_use]
            pub const fn rules(self) -> Rules {
                match self {
                    $(Self::$Own => $own_rules,)*
                    $(Self::$Kind => $rules,)*
                    Self::$Name => $name_rules,
                }
            }

            /// Returns the object of this kind whose path ends in `rest`, below the kind's folder.
            fn object(self, rest: &str) -> Option<ObjectName> {
                let hex = || rest.split_once('/').map(|(_, hex)| hex);
                Some(match self {
                    $(Self::$Own => ObjectName::$Own($OwnDigest::from_hex(hex()?).ok()?),)*
                    $(Self::$Kind => ObjectName::$Kind($Digest::from_hex(hex()?).ok()?),)*
                    Self::$Name => ObjectName::$Name(rest.to_owned()),
                })
            }
        }

        impl ObjectName {
            /// Returns the object's kind.
            #[must_use]
            pub const fn kind(&self) -> ObjectKind {
                match self {
                    $(Self::$Own(_) => ObjectKind::$Own,)*
                    $(Self::$Kind(_) => ObjectKind::$Kind,)*
                    Self::$Name(_) => ObjectKind::$Name,
                }
            }

            /// Returns the object's path, relative to the root of the store.
            #[must_use]
            pub fn path(&self) -> String {
                let folder = self.kind().rules().folder;
                let hex = match self {
                    $(Self::$Own(digest) => digest.to_hex(),)*
                    $(Self::$Kind(digest) => digest.to_hex(),)*
                    Self::$Name(name) => return format!("{folder}/{name}"),
                };
                format!("{folder}/{}/{hex}", &hex[..2])
            }

            /// Returns whether `bytes` hash to the name. Always true for objects that are proven
            /// otherwise ([`Proof`]).
            #[must_use]
            pub fn is_of(&self, bytes: &[u8]) -> bool {
                if self.kind().rules().proof != Proof::Hash {
                    return true;
                }
                match self {
                    $(Self::$Own(digest) => $OwnDigest::of(bytes) == *digest,)*
                    $(Self::$Kind(digest) => $Digest::of(bytes) == *digest,)*
                    Self::$Name(_) => true,
                }
            }
        }

        impl Collectable {
            /// Returns the object's name in the store.
            #[must_use]
            pub const fn object(self) -> ObjectName {
                match self {
                    $(Self::$Kind(digest) => ObjectName::$Kind(digest),)*
                }
            }

            /// Returns the collectable object of this name; `None` for other kinds.
            #[must_use]
            pub const fn of(object: &ObjectName) -> Option<Self> {
                match object {
                    $(ObjectName::$Kind(digest) => Some(Self::$Kind(*digest)),)*
                    _ => None,
                }
            }

            /// Returns the noun of the kind and the digest, which a catalog stores.
            #[must_use]
            pub const fn parts(&self) -> (&'static str, &[u8; 32]) {
                match self {
                    $(Self::$Kind(digest) => (ObjectKind::$Kind.rules().noun, digest.as_bytes()),)*
                }
            }

            /// Returns the object of these [`Self::parts`]; `None` if no kind has the noun.
            #[must_use]
            pub fn of_parts(noun: &str, digest: [u8; 32]) -> Option<Self> {
                let all = [$((ObjectKind::$Kind, Self::$Kind($Digest::from_bytes(digest))),)*];
                all.into_iter().find(|(kind, _)| kind.rules().noun == noun).map(|(_, object)| object)
            }
        }
    };
}

kinds! {
    {
        /// An immutable set of compressed chunks.
        Pack(PackDigest) = Rules {
            noun: "pack", folder: "packs", len_max: PACK_LEN_MAX,
            proof: Proof::Frames, root: Root::Chunks,
        };
    }
    collectable {
        /// A leaf of a disk index.
        Leaf(LeafDigest) = Rules {
            noun: "leaf", folder: "indexes/leaves", len_max: LEAF_LEN_MAX,
            proof: Proof::Hash, root: Root::Release,
        };
        /// The list of a disk index.
        Index(IndexDigest) = Rules {
            noun: "index", folder: "indexes/lists", len_max: INDEX_LEN_MAX,
            proof: Proof::Hash, root: Root::Release,
        };
        /// An original descriptor.
        Descriptor(DescriptorDigest) = Rules {
            noun: "descriptor", folder: "descriptors", len_max: DESCRIPTOR_LEN_MAX,
            proof: Proof::Hash, root: Root::Release,
        };
        /// A release document.
        Release(ReleaseDigest) = Rules {
            noun: "release", folder: "releases", len_max: RELEASE_LEN_MAX,
            proof: Proof::Hash, root: Root::Release,
        };
    }
    named {
        /// A record that the catalog's owner keeps with the bytes, so that a lost catalog can be
        /// rebuilt from the store alone: a path of names joined by `/`, each validated by its type.
        Name = Rules {
            noun: "name", folder: "names", len_max: 64 << 10,
            proof: Proof::Record, root: Root::Itself,
        };
    }
}

impl ObjectName {
    /// Parses a path written by [`Self::path`], of any kind; `None` for any other path.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        ObjectKind::ALL.iter().find_map(|kind| Self::from_path(*kind, path))
    }

    /// Parses a path of this kind written by [`Self::path`]; `None` for any other file in the
    /// store.
    pub(crate) fn from_path(kind: ObjectKind, path: &str) -> Option<Self> {
        let rest = path.strip_prefix(kind.rules().folder)?.strip_prefix('/')?;
        kind.object(rest).filter(|name| name.path() == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectable_objects_are_those_that_releases_keep() {
        for kind in ObjectKind::ALL {
            let rest = format!("ab/ab{}", "0".repeat(62));
            let name = kind.object(&rest).unwrap();
            assert_eq!(name.kind(), *kind);
            let collectable = Collectable::of(&name);
            assert_eq!(collectable.is_some(), kind.rules().root == Root::Release, "{kind:?}");
            let Some(collectable) = collectable else { continue };
            assert_eq!(collectable.object(), name);
            let (noun, digest) = collectable.parts();
            assert_eq!(Collectable::of_parts(noun, *digest), Some(collectable));
        }
        assert_eq!(Collectable::of_parts("pack", [0; 32]), None);
    }

    #[test]
    fn objects_named_by_their_hash_are_proven_by_it() {
        let leaf = ObjectName::Leaf(LeafDigest::of(b"x"));
        assert!(leaf.is_of(b"x") && !leaf.is_of(b"y"));
        assert!(ObjectName::Pack(PackDigest::of(b"x")).is_of(b"y"), "a footer has to be read");
    }

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

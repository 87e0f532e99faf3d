//! Checks that an answer matches its request. Pure: bytes in, proven values out.

use reqwest::header::{CONTENT_RANGE, HeaderMap};
use seawall_api::digest::{DescriptorDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::index::{DiskIndex, Leaf};
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::units::ChunkLen;
use seawall_api::v1::{ChunkLocation, LocatedChunks, RELEASE_HEADER};
use seawall_store::read::Place;

use crate::registry::RegistryError;

fn wrong(object: String, why: impl Into<String>) -> RegistryError {
    RegistryError::WrongBytes { object, why: why.into() }
}

/// Proves that `bytes` are the release that `selector` names in `application`.
pub(super) fn release(
    (application, selector): (&ApplicationName, &Selector),
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<Release, RegistryError> {
    let named: ReleaseDigest = headers
        .get(RELEASE_HEADER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .ok_or_else(|| RegistryError::Protocol {
            what: format!("read release {application} {selector}"),
            why: format!("the header `{RELEASE_HEADER}` is missing or is not a digest"),
        })?;
    document((application, selector), named, bytes)
}

/// Proves that `bytes` are the release `named`, which `selector` names in `application`.
pub(crate) fn document(
    (application, selector): (&ApplicationName, &Selector),
    named: ReleaseDigest,
    bytes: &[u8],
) -> Result<Release, RegistryError> {
    let object = || format!("release {application} {selector}");
    let actual = ReleaseDigest::of(bytes);
    if actual != named {
        return Err(wrong(object(), format!("its name is {named}, its bytes are {actual}")));
    }
    let release = Release::parse(bytes).map_err(|error| wrong(object(), chain(&error)))?;
    let agrees = match selector {
        Selector::Digest(digest) => *digest == actual,
        Selector::Version(version) => version == release.version(),
        // The registry alone decides which release a channel points at.
        Selector::Channel(_) => true,
    };
    if !agrees || release.application() != application {
        let (other, version) = (release.application(), release.version());
        return Err(wrong(object(), format!("they are {other}:{version}, {actual}")));
    }
    Ok(release)
}

/// Proves that `bytes` are the index named `digest`.
pub(crate) fn index(digest: IndexDigest, bytes: &[u8]) -> Result<DiskIndex, RegistryError> {
    let object = || format!("index {digest}");
    let actual = IndexDigest::of(bytes);
    if actual != digest {
        return Err(wrong(object(), format!("their digest is {actual}")));
    }
    DiskIndex::decode(bytes).map_err(|error| wrong(object(), error.to_string()))
}

/// Proves that `bytes` are the descriptor named `digest`.
pub(crate) fn descriptor(digest: DescriptorDigest, bytes: &[u8]) -> Result<(), RegistryError> {
    let actual = DescriptorDigest::of(bytes);
    if actual == digest {
        return Ok(());
    }
    Err(wrong(format!("descriptor {digest}"), format!("their digest is {actual}")))
}

/// Proves that `bytes` are the leaf named `digest`, covering `span` bytes of a disk.
pub(crate) fn leaf(digest: LeafDigest, span: u64, bytes: &[u8]) -> Result<Leaf, RegistryError> {
    let object = || format!("leaf {digest}");
    let actual = LeafDigest::of(bytes);
    if actual != digest {
        return Err(wrong(object(), format!("their digest is {actual}")));
    }
    Leaf::decode(bytes, span).map_err(|error| wrong(object(), error.to_string()))
}

/// Proves that locations answer a request about `asked` chunks and have possible lengths.
pub(super) fn places(asked: usize, answer: &LocatedChunks) -> Result<Vec<Place>, RegistryError> {
    let bad = |why: String| RegistryError::Protocol { what: "locate chunks".to_owned(), why };
    let count = answer.locations.len();
    if count != asked {
        return Err(bad(format!("it located {count} chunks instead of {asked}")));
    }
    let place = |(position, at): (usize, &ChunkLocation)| {
        let len_legal = ChunkLen::new(u64::from(at.plain_len))
            .is_ok_and(|len| len.may_be_stored_in(at.stored_len))
            && at.offset.checked_add(u64::from(at.stored_len)).is_some();
        let ChunkLocation { offset, stored_len, plain_len, encoding, .. } = *at;
        match answer.packs.get(at.pack as usize) {
            Some(&pack) if len_legal => Ok(Place { pack, offset, stored_len, plain_len, encoding }),
            _ => Err(bad(format!("location {position} is impossible: {at:?}"))),
        }
    };
    answer.locations.iter().enumerate().map(place).collect()
}

/// Proves that all missing positions lie within a list of `asked` items. Returns true for each
/// missing item.
pub(super) fn missing(what: &str, asked: usize, at: &[u32]) -> Result<Vec<bool>, RegistryError> {
    let mut missing = vec![false; asked];
    for &position in at {
        // An answer to another question would make a push rely on chunks that are not there.
        let slot = missing.get_mut(position as usize).ok_or_else(|| RegistryError::Protocol {
            what: what.to_owned(),
            why: format!("it answered for position {position} in a list of {asked}"),
        })?;
        *slot = true;
    }
    Ok(missing)
}

/// Proves that a partial answer is the requested range.
pub(super) fn range(
    pack: PackDigest,
    range: &std::ops::Range<u64>,
    headers: &HeaderMap,
) -> Result<(), RegistryError> {
    let asked = format!("bytes {}-{}/", range.start, range.end.saturating_sub(1));
    let got = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if got.starts_with(&asked) {
        return Ok(());
    }
    Err(RegistryError::Protocol {
        what: format!("read a range of pack {pack}"),
        why: format!("it sent `{}` instead of `{asked}…`", got.escape_debug()),
    })
}

/// Joins an error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

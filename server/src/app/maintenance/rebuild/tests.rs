//! Tests of rebuilds from damaged stores.

use std::collections::HashSet;

use bytes::Bytes;
use seawall_api::digest::DescriptorDigest;
use seawall_api::names::ApplicationName;
use seawall_api::problem::Code;
use seawall_api::reference::Selector;
use seawall_api::release::Descriptor;

use super::*;
use crate::app::records::Subject;
use crate::app::tests::database::Database;
use crate::app::tests::fixture::TinyRelease;
use crate::app::tests::{NOW, Site, promote, push};
use crate::catalog::Purpose;
use crate::catalog::collect::Grip;
use crate::catalog::{Expected, Release};

/// A kind of damage to an object.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Harm {
    Delete,
    Truncate,
    /// Flips a bit of the 40th byte from the end, which lies in the footer of a pack.
    Flip,
}

async fn harm(store: &dyn ObjectStore, name: &ObjectName, how: Harm) {
    let bytes = store.get(name).await.unwrap();
    store.delete(name).await.unwrap();
    let bytes = match how {
        Harm::Delete => return,
        Harm::Truncate => bytes.slice(..bytes.len() / 2),
        Harm::Flip => {
            let mut bytes = bytes.to_vec();
            let at = bytes.len() - 40.min(bytes.len());
            bytes[at] ^= 1;
            Bytes::from(bytes)
        }
    };
    store.put(name, bytes).await.unwrap();
}

/// Builds a site with two releases and a channel that moved from the first to the second.
async fn furnished() -> (Site, [TinyRelease; 2]) {
    let site = Site::new();
    let releases = [("1.0", "cd"), ("2.0", "ef")];
    let releases = releases.map(|(version, web)| TinyRelease::new("webshop", version, "ab", web));
    let registry = site.sound();
    for release in &releases {
        push(&registry, release).await.unwrap();
    }
    promote(&registry, &releases[0], Expected::Absent).await.unwrap();
    promote(&registry, &releases[1], Expected::Sequence(1)).await.unwrap();
    (site, releases)
}

async fn rebuilt(site: &Site) -> (Database, Catalog, Rebuilt) {
    let database = Database::new();
    let catalog = database.open();
    let found = rebuild(Arc::clone(&site.store), &catalog, NOW).await.unwrap();
    (database, catalog, found)
}

fn webshop() -> ApplicationName {
    "webshop".parse().unwrap()
}

async fn versions(catalog: &Catalog) -> Vec<String> {
    let releases: Vec<Release> = catalog.releases(webshop(), None, 10).await.unwrap();
    releases.iter().map(|release| release.version.to_string()).collect()
}

#[tokio::test]
async fn an_empty_store_gives_an_empty_catalog() {
    let (_dir, catalog, found) = rebuilt(&Site::new()).await;
    assert_eq!(found, Rebuilt::default());
    assert!(catalog.applications(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_sound_store_gives_all_of_it_back() {
    let (site, _) = furnished().await;
    let never = TinyRelease::new("webshop", "3.0", "ab", "ef");
    let bytes = Bytes::copy_from_slice(never.release.bytes());
    site.store.put(&ObjectName::Release(never.release.digest()), bytes).await.unwrap();
    let (_dir, catalog, found) = rebuilt(&site).await;
    let want = Rebuilt {
        packs: 3,
        leaves: 3,
        indexes: 3,
        releases: 2,
        deleted: 0,
        channels: 1,
        unnamed: 1,
        damage: vec![],
    };
    assert_eq!(found, want);
    assert_eq!(versions(&catalog).await, ["2.0", "1.0"]);
}

/// {delete, truncate, flip} × {pack, leaf, index, release document}: both releases are listed, and
/// the damaged object and its release are reported (a missing pack through the leaf that needs it).
#[tokio::test]
async fn a_release_that_is_damaged_is_listed_and_reported() {
    for how in [Harm::Delete, Harm::Truncate, Harm::Flip] {
        for at in 0..4 {
            let (site, [_, two]) = furnished().await;
            let disk = &two.disks[1];
            let leaf = ObjectName::Leaf(disk.leaf.digest());
            let index = ObjectName::Index(disk.index.digest());
            let document = ObjectName::Release(two.release.digest());
            let object = match at {
                0 => ObjectName::Pack(disk.pack().digest),
                1 => leaf.clone(),
                2 => index.clone(),
                _ => document.clone(),
            };
            harm(&*site.store, &object, how).await;
            let (_dir, catalog, found) = rebuilt(&site).await;
            let case = format!("{how:?} {object:?}: {:?}", found.damage);
            assert_eq!((found.releases, found.channels), (2, 1), "{case}");
            assert_eq!(versions(&catalog).await, ["2.0", "1.0"], "{case}");
            let named: HashSet<_> = found.damage.iter().map(|d| d.object.clone()).collect();
            if how != Harm::Delete || object == document {
                assert!(named.contains(&object.path()), "{case}");
            }
            if object != document {
                assert!(named.contains("release webshop:2.0"), "{case}");
                assert!(!named.contains("release webshop:1.0"), "{case}");
                assert!(
                    catalog.index(disk.index.digest(), Grip::NEWEST).await.unwrap().is_none(),
                    "{case}"
                );
            }
        }
    }
}

/// {delete, truncate, flip} of a descriptor: the release is listed, and the damage is reported.
#[tokio::test]
async fn a_release_whose_descriptor_is_damaged_is_listed_and_reported() {
    const TEXT: &[u8] = &[b' '; 64];
    let digest = DescriptorDigest::of(TEXT);
    let tiny = TinyRelease::edited("webshop", "3.0", ["ab", "c"], |document| {
        let media_type = "application/ovf+xml".to_owned();
        document.machines[0].descriptor = Some(Descriptor { digest, media_type });
    });
    for how in [Harm::Delete, Harm::Truncate, Harm::Flip] {
        let (site, _) = furnished().await;
        let registry = site.sound();
        let lease = registry.content.open_lease(webshop(), Purpose::Push).await.unwrap();
        registry.content.put_descriptor(lease, digest, Bytes::from_static(TEXT)).await.unwrap();
        push(&registry, &tiny).await.unwrap();
        assert_eq!(rebuilt(&site).await.2.damage, [], "it is sound");
        let name = ObjectName::Descriptor(digest);
        harm(&*site.store, &name, how).await;
        let (_dir, catalog, found) = rebuilt(&site).await;
        assert_eq!(versions(&catalog).await, ["3.0", "2.0", "1.0"], "{how:?}");
        let object = if how == Harm::Delete { "release webshop:3.0".into() } else { name.path() };
        let named: Vec<_> = found.damage.iter().map(|damage| &*damage.object).collect();
        assert_eq!(named, [&*object], "{how:?}");
    }
}

/// A new push of a damaged release sends the missing content and repairs the release.
#[tokio::test]
async fn a_damaged_release_is_healed_by_a_push() {
    let (site, [_, two]) = furnished().await;
    harm(&*site.store, &ObjectName::Pack(two.disks[1].pack().digest), Harm::Delete).await;
    let (database, catalog, _) = rebuilt(&site).await;
    drop(catalog);
    let site = Site { database, ..site };
    let registry = site.sound();
    let error = registry.content.locate_chunks(two.disks[1].chunks()).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    push(&registry, &two).await.unwrap();
    registry.content.locate_chunks(two.disks[1].chunks()).await.unwrap();
    assert_eq!(rebuilt(&site).await.2.damage, []);
}

#[tokio::test]
async fn records_that_cannot_be_read_are_reported_and_take_nothing_with_them() {
    for how in [Harm::Truncate, Harm::Flip] {
        let (site, [_, two]) = furnished().await;
        let release = Subject::Release(webshop(), "1.0".parse().unwrap()).object();
        let last = Subject::Move(webshop(), "stable".parse().unwrap(), 2).object();
        harm(&*site.store, &last, how).await;
        site.store.delete(&release).await.unwrap();
        site.store.put(&release, Bytes::from_static(b"{}")).await.unwrap();
        let (_dir, catalog, found) = rebuilt(&site).await;
        let named: HashSet<_> = found.damage.iter().map(|d| d.object.as_str()).collect();
        // The document replaces the release record; the channel falls back to its previous move.
        let (release, last) = (release.path(), last.path());
        let want =
            [release.as_str(), "release webshop:1.0", last.as_str(), "channel webshop:stable"];
        assert_eq!(named, HashSet::from(want), "{how:?}");
        assert_eq!((found.releases, found.channels), (2, 1));
        let selector = Selector::Version(two.release.version().clone());
        let resolved = catalog.resolve(webshop(), selector).await.unwrap();
        assert_eq!(resolved, Some(two.release.digest()));
    }
}

/// A sequence number is never reused, even if the record of its move is unreadable.
#[tokio::test]
async fn a_channel_whose_last_move_is_unreadable_moves_on_from_it() {
    let (site, [one, _]) = furnished().await;
    let last = Subject::Move(webshop(), "stable".parse().unwrap(), 2).object();
    harm(&*site.store, &last, Harm::Truncate).await;
    let (database, catalog, found) = rebuilt(&site).await;
    assert_eq!((found.channels, found.damage.len()), (1, 2));
    assert_eq!(found.damage[1].what, "it was set back to 1.0, move 1 of 2");
    let channel = &catalog.channels(webshop()).await.unwrap()[0];
    assert_eq!((channel.sequence, channel.release), (2, one.release.digest()));
    drop(catalog);
    let site = Site { database, ..site };
    let moved = promote(&site.sound(), &one, Expected::Sequence(2)).await.unwrap();
    assert_eq!(moved.sequence, 3);
    assert_eq!(rebuilt(&site).await.2.channels, 1);
}

/// A failing store is not mistaken for a store with less content, whichever read fails.
#[tokio::test]
async fn a_store_that_fails_ends_the_rebuild() {
    for at in 0.. {
        let (site, _) = furnished().await;
        let database = Database::new();
        let catalog = database.open();
        match rebuild(site.failing_read(at), &catalog, NOW).await {
            Err(error) => assert_eq!(error.code(), Code::Unavailable, "{error}"),
            Ok(found) => {
                assert!(at > 20, "{at} reads");
                assert_eq!((found.releases, found.damage), (2, vec![]));
                return;
            }
        }
    }
}

/// An unreadable sector costs only the objects on it, not the whole rebuild. A disk that also fails
/// a probe ends the rebuild.
#[tokio::test]
async fn an_object_on_a_bad_sector_is_damage() {
    for is_probed in [true, false] {
        let (site, [_, two]) = furnished().await;
        let object = ObjectName::Leaf(two.disks[1].leaf.digest());
        let database = Database::new();
        let catalog = database.open();
        let found = rebuild(site.bad_sector(object.clone(), is_probed), &catalog, NOW).await;
        if !is_probed {
            assert_eq!(found.unwrap_err().code(), Code::Unavailable);
            continue;
        }
        let found = found.unwrap();
        assert_eq!((found.releases, found.channels), (2, 1));
        assert!(found.damage.iter().any(|damage| damage.object == object.path()));
    }
}

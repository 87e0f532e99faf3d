//! Removes what no document names: first listed as condemned, and after a grace period deleted.
//! A reader that began before has this time to end.

use std::collections::{BTreeMap, HashSet};

use seawall_api::names::{ApplicationName, Version};
use seawall_store::port::{ObjectKind, ObjectName};

use super::{Depot, Writer};
use serde::Serialize;

use crate::depot::documents::{IDENTITY, Releases};
use crate::depot::{map, maps};
use crate::registry::RegistryError;

const CONDEMNED: &str = "mirror/condemned";
const CONDEMNED_LEN_MAX: u64 = 64 << 20;
const PRUNE: &str = "remove content";

/// The outcome of a prune.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// The number of objects that were deleted.
    pub deleted_count: u64,
    /// Their length in bytes.
    pub deleted_bytes: u64,
    /// The number of objects that a later prune deletes, after the grace period.
    pub condemned_count: u64,
    /// Their length in bytes.
    pub condemned_bytes: u64,
}

impl Depot {
    /// Removes releases from the list of their application. Channels that point to them go, too.
    ///
    /// # Errors
    /// Fails if the documents cannot be read or written.
    pub async fn withdraw(
        &self,
        application: &ApplicationName,
        versions: &[Version],
    ) -> Result<(), RegistryError> {
        let writer = self.writer(PRUNE)?;
        let mut stock = writer.stock.lock().await;
        self.begin(writer, &mut stock).await?;
        let Some(listed) = self.listed_once(&mut stock, application).await? else { return Ok(()) };
        let (previous, mut content) = (listed.sequence, listed.content);
        let is_gone = |version: &Version| versions.contains(version);
        content.releases.retain(|it| !is_gone(&it.summary.version));
        content.channels.retain(|it| !is_gone(&it.channel.version));
        writer.check_turn().await?;
        self.write_releases((writer, &mut stock), previous, content).await
    }

    /// Deletes the objects that no document has named for `grace_secs`, and condemns the others
    /// that none names.
    ///
    /// # Errors
    /// Fails if any document or map cannot be read: then nothing is deleted.
    pub async fn prune(&self, grace_secs: u64) -> Result<Pruned, RegistryError> {
        let writer = self.writer(PRUNE)?;
        let mut stock = writer.stock.lock().await;
        self.begin(writer, &mut stock).await?;
        let needed = self.needed(writer).await?;
        let before = writer.condemned().await?;
        let (now, mut after, mut pruned) = ((self.now)(), BTreeMap::new(), Pruned::default());
        let mut doomed = Vec::new();
        for listed in writer.medium.list("").await? {
            if !is_ours(&listed.path) || needed.contains(&listed.path) {
                continue;
            }
            let since = before.get(&listed.path).copied().unwrap_or(now);
            if before.contains_key(&listed.path) && now.saturating_sub(since) >= grace_secs {
                doomed.push(listed.path);
                pruned.deleted_count += 1;
                pruned.deleted_bytes += listed.len;
            } else {
                pruned.condemned_count += 1;
                pruned.condemned_bytes += listed.len;
                after.insert(listed.path, since);
            }
        }
        writer.check_turn().await?;
        for path in doomed {
            writer.medium.remove(&path).await?;
        }
        let text = serde_json::to_vec(&after).unwrap_or_default();
        writer.medium.write(CONDEMNED, text.into()).await?;
        stock.chunks.clear();
        stock.seeded.clear();
        drop(stock);
        self.end().await?;
        Ok(pruned)
    }

    /// Returns the paths of all objects that documents reach.
    async fn needed(&self, writer: &Writer) -> Result<HashSet<String>, RegistryError> {
        let mut needed = HashSet::new();
        let medium = writer.medium.as_ref();
        let listings = writer.medium.list("listings").await?;
        for application in applications(listings.iter().map(|it| it.path.as_str())) {
            let Some(listed) = self.listed(&application).await? else { continue };
            for release in listed.content.releases {
                needed.insert(ObjectName::Release(release.summary.digest).path());
                let descriptors = release.descriptors.into_iter().map(ObjectName::Descriptor);
                needed.extend(descriptors.map(|it| it.path()));
                for disk in release.disks {
                    for position in 0.. {
                        let path = map::path(disk.index, position);
                        if !needed.insert(path) && position == 0 {
                            break;
                        }
                        let (part, _) = maps::part(medium, disk.index, position).await?;
                        let places = part.leaves.iter().flat_map(|leaf| &leaf.places);
                        let packs: HashSet<_> = places.map(|place| place.pack).collect();
                        needed.extend(packs.into_iter().map(|it| ObjectName::Pack(it).path()));
                        if part.is_last {
                            break;
                        }
                    }
                }
            }
        }
        Ok(needed)
    }
}

impl Writer {
    /// Returns the condemned objects, by path, with the time since.
    async fn condemned(&self) -> Result<BTreeMap<String, u64>, RegistryError> {
        let text = self.medium.read(CONDEMNED, CONDEMNED_LEN_MAX).await?;
        // A list that cannot be read condemns anew: the grace period begins again.
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default())
    }
}

/// Returns whether a file is one that a mirror writes and may delete: an object or a map. Foreign
/// files are left alone.
fn is_ours(path: &str) -> bool {
    let is_map = || {
        let parts: Vec<_> = path.split('/').collect();
        matches!(parts[..], ["maps", xx, hex, part]
            if hex.len() == 64 && hex.starts_with(xx) && part.parse::<u32>().is_ok())
    };
    let object = ObjectName::parse(path).filter(|it| it.kind() != ObjectKind::Name);
    path != IDENTITY && (object.is_some() || is_map())
}

/// Returns the applications that have a document.
fn applications<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<ApplicationName> {
    let names = paths.filter_map(|path| {
        let name = path.strip_prefix("listings/")?.rsplit_once("/@releases.")?.0;
        name.parse::<ApplicationName>().ok()
    });
    let mut names: Vec<_> = names.filter(|it| !Releases::stem(it).is_empty()).collect();
    names.sort();
    names.dedup();
    names
}

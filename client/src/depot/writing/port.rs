//! The port [`Writing`].

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use seawall_api::digest::ReleaseDigest;
use seawall_api::digest::{ChunkDigest, DescriptorDigest, IndexDigest, LeafDigest, PackDigest};
use seawall_api::index::{DiskIndex, Leaf, leaf_range};
use seawall_api::names::{ApplicationName, ChannelName};
use seawall_api::problem::{Code, Problem};
use seawall_api::release::Release;
use seawall_api::v1::{Channel, Lease, Published};
use seawall_store::error::StoreError;
use seawall_store::pack::VerifiedPack;
use seawall_store::port::ObjectName;

use super::stock::{Stock, places};
use super::{Depot, DepotError, Writer};
use crate::depot::map::{self, LEAVES_PER_PART_MAX, MapPart, MappedLeaf, PART_LEN_TARGET};
use crate::depot::maps;
use crate::registry::{Expect, RegistryError, Writing};

/// The number of map parts that are read to learn what the depot holds of an application.
const PARTS_READ_MAX: usize = 64;
const WRITE: &str = "take content; `seawall copy` writes to it";

/// Makes the error of content that rests on content the depot lacks.
pub(super) fn incomplete(detail: String) -> RegistryError {
    Problem::new(Code::Incomplete, detail).into()
}

impl Depot {
    /// Makes the error of a file of this host.
    pub(super) fn spool_failed(&self, source: io::Error) -> RegistryError {
        let source = StoreError::io("use", "a temporary file", source);
        DepotError::Files { address: self.address().to_owned(), source }.into()
    }

    /// Learns what the depot holds of the newest release of the application that a lease is for.
    pub(super) async fn seed(&self, stock: &mut Stock, lease: &Lease) -> Result<(), RegistryError> {
        let Ok(application) = lease.id.parse::<ApplicationName>() else { return Ok(()) };
        self.look(self.writer(WRITE)?, stock).await?;
        if !stock.seeded.insert(application.clone()) {
            return Ok(());
        }
        let Some(listed) = self.listed_once(stock, &application).await? else { return Ok(()) };
        for release in &listed.content.releases {
            stock.descriptors.extend(release.descriptors.iter().copied());
            let sizes = release.disks.iter().map(|disk| (disk.index, disk.data_bytes));
            stock.indexes.extend(sizes);
        }
        let newest = listed.content.releases.first();
        let mut indexes: Vec<_> = newest.into_iter().flat_map(|it| &it.disks).collect();
        indexes.dedup_by_key(|disk| disk.index);
        let mut parts_left = PARTS_READ_MAX;
        for disk in indexes {
            for position in 0.. {
                if parts_left == 0 {
                    return Ok(());
                }
                parts_left -= 1;
                let part = match maps::part(self.medium.as_ref(), disk.index, position).await {
                    Ok((part, _)) => part,
                    // Torn or gone: the disk is written again.
                    Err(RegistryError::Depot(error)) if !error.is_transient() => {
                        tracing::warn!(%error, "a map of the depot is written again");
                        stock.indexes.remove(&disk.index);
                        break;
                    }
                    Err(error) => return Err(error),
                };
                let is_last = part.is_last;
                for leaf in part.leaves {
                    stock.learn(&leaf).map_err(|error| self.spool_failed(error))?;
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Writes the map of an index, part by part.
    async fn write_map(
        &self,
        (writer, stock): (&Writer, &mut Stock),
        index: &DiskIndex,
    ) -> Result<u64, RegistryError> {
        let digest = index.digest();
        let mut part = MapPart {
            index: digest,
            position: 0,
            is_last: false,
            list: Some(index.encode().into()),
            leaves: Vec::new(),
        };
        let (mut len, mut data_bytes) = (0, 0);
        let mut seen = std::collections::HashMap::new();
        for (position, leaf) in index.leaves().iter().enumerate() {
            let range = leaf_range(index.disk_len(), position);
            let span_len = range.end - range.start;
            if let Some(bytes) = seen.get(&leaf.digest) {
                data_bytes += bytes;
                continue;
            }
            let mapped = self.mapped(stock, leaf.digest, span_len)?;
            let bytes = mapped.places.iter().map(|place| u64::from(place.plain_len)).sum::<u64>();
            data_bytes += bytes;
            seen.insert(leaf.digest, bytes);
            if part.leaves.len() == LEAVES_PER_PART_MAX || len > PART_LEN_TARGET {
                writer.medium.write(&map::path(digest, part.position), part.encode()).await?;
                part.position += 1;
                (part.list, len) = (None, 0);
                part.leaves.clear();
            }
            len += mapped.len_in_part();
            part.leaves.push(mapped);
        }
        part.is_last = true;
        writer.medium.write(&map::path(digest, part.position), part.encode()).await?;
        Ok(data_bytes)
    }

    fn mapped(
        &self,
        stock: &mut Stock,
        digest: LeafDigest,
        span_len: u64,
    ) -> Result<MappedLeaf, RegistryError> {
        let found = stock.leaves.get(digest).map_err(|error| self.spool_failed(error))?;
        let hole = || Some(Leaf::hole(span_len)).filter(|hole| hole.digest() == digest);
        found
            .or_else(|| {
                let bytes = hole()?.encode().into();
                Some(MappedLeaf { digest, bytes, places: Vec::new() })
            })
            .ok_or_else(|| incomplete(format!("leaf {digest} is not in the depot")))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Writing for Depot {
    async fn publish(&self, release: &Release, _: &Lease) -> Result<Published, RegistryError> {
        self.list_release(release).await
    }

    async fn move_channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
        expect: Expect,
        release: ReleaseDigest,
    ) -> Result<Channel, RegistryError> {
        self.list_move((application, channel), expect, release).await
    }

    async fn missing_chunks(
        &self,
        lease: &Lease,
        chunks: &[ChunkDigest],
    ) -> Result<Vec<bool>, RegistryError> {
        let mut stock = self.writer(WRITE)?.stock.lock().await;
        self.seed(&mut stock, lease).await?;
        Ok(chunks.iter().map(|chunk| !stock.chunks.contains_key(chunk)).collect())
    }

    async fn missing_leaves(
        &self,
        lease: &Lease,
        leaves: &[LeafDigest],
    ) -> Result<Vec<bool>, RegistryError> {
        let mut stock = self.writer(WRITE)?.stock.lock().await;
        self.seed(&mut stock, lease).await?;
        Ok(leaves.iter().map(|leaf| !stock.leaves.contains(*leaf)).collect())
    }

    async fn has_index(&self, index: IndexDigest) -> Result<bool, RegistryError> {
        Ok(self.writer(WRITE)?.stock.lock().await.indexes.contains_key(&index))
    }

    async fn put_leaf(&self, _: &Lease, leaf: &Leaf) -> Result<(), RegistryError> {
        let mut stock = self.writer(WRITE)?.stock.lock().await;
        let bytes = Bytes::from(leaf.encode());
        let places = leaf.chunks().map(|chunk| {
            let place = stock.chunks.get(&chunk.digest).copied();
            place.ok_or_else(|| incomplete(format!("chunk {} is not in the depot", chunk.digest)))
        });
        let places = places.collect::<Result<_, _>>()?;
        let leaf = MappedLeaf { digest: leaf.digest(), bytes, places };
        stock.leaves.put(&leaf).map_err(|error| self.spool_failed(error))
    }

    async fn put_index(&self, lease: &Lease, index: &DiskIndex) -> Result<(), RegistryError> {
        let writer = self.writer(WRITE)?;
        let mut stock = writer.stock.lock().await;
        // A push does not ask about leaves that its parent release has.
        self.seed(&mut stock, lease).await?;
        let digest = index.digest();
        if !stock.indexes.contains_key(&digest) {
            self.begin(writer, &mut stock).await?;
            stock.is_unnamed = true;
            let data_bytes = self.write_map((writer, &mut stock), index).await?;
            stock.indexes.insert(digest, data_bytes);
        }
        Ok(())
    }

    async fn put_descriptor(&self, _: &Lease, bytes: Bytes) -> Result<(), RegistryError> {
        let writer = self.writer(WRITE)?;
        let digest = DescriptorDigest::of(&bytes);
        let mut stock = writer.stock.lock().await;
        if !stock.descriptors.contains(&digest) {
            self.begin(writer, &mut stock).await?;
            stock.is_unnamed = true;
            writer.medium.write(&ObjectName::Descriptor(digest).path(), bytes).await?;
            stock.descriptors.insert(digest);
        }
        Ok(())
    }

    async fn put_pack(
        &self,
        _: &Lease,
        pack: PackDigest,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        let writer = self.writer(WRITE)?;
        let proof = tokio::task::spawn_blocking(move || VerifiedPack::verify(pack, bytes)).await;
        let wrong = |why: String| RegistryError::WrongBytes { object: format!("pack {pack}"), why };
        let pack = proof.map_err(|error| wrong(error.to_string()))?;
        let pack = pack.map_err(|error| wrong(error.to_string()))?;
        let path = ObjectName::Pack(pack.digest()).path();
        // Another packer may have stored the same chunks in other frames under this name. The
        // frames that are there are the ones that documents describe.
        {
            let mut stock = writer.stock.lock().await;
            self.begin(writer, &mut stock).await?;
            stock.is_unnamed = true;
            let mut known = pack.frames().iter();
            if known.all(|frame| {
                stock.chunks.get(&frame.digest).is_some_and(|it| it.pack == pack.digest())
            }) {
                return Ok(());
            }
        }
        writer.medium.write(&path, pack.bytes().clone()).await?;
        let mut stock = writer.stock.lock().await;
        stock.chunks.extend(places(pack.digest(), pack.frames()));
        Ok(())
    }
}

//! Verifies a release in a registry.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use seawall_api::digest::{ChunkDigest, LeafDigest};
use seawall_api::index::{
    ChunkRef, DiskIndex, Extent, LEAF_SPAN, Leaf, LeafRef, leaf_count, leaf_range,
};
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::units::CHUNK_LEN_MAX;
use seawall_store::codec::Decoder;
use seawall_store::content::LeafHasher;
use tokio::runtime::Handle;

use super::{Damage, DiskState, VerifiedDisk, VerifyError, VerifyReport, damage_of};
use crate::fetch::{Request, Want, coalesce};
use crate::progress::{Progress, Stage};
use crate::registry::Registry;
use crate::resolve::{self, Resolved};

/// The number of leaves verified concurrently.
const LEAVES_AT_ONCE: usize = 4;
/// The number of ranges of packs cached per leaf, at most 4 MiB each. Repeated chunks lie close.
const RANGES_KEPT: usize = 6;

/// The defect of a leaf whose bytes do not match its value in the index.
const WRONG_VALUE: &str = "its bytes do not hash to the value that the index gives it";

/// The inputs of a verification.
pub struct VerifyRelease {
    /// The registry that holds the release.
    pub registry: Arc<dyn Registry>,
    /// The application.
    pub application: ApplicationName,
    /// The selector of the release.
    pub selector: Selector,
    /// The receiver of progress.
    pub progress: Arc<dyn Progress>,
}

/// Fetches and hashes every chunk of a release.
///
/// # Errors
/// Fails if the release cannot be resolved or the registry cannot be reached. Damage is not an
/// error but an entry in the report.
pub async fn verify_release(verify: VerifyRelease) -> Result<VerifyReport, VerifyError> {
    let VerifyRelease { registry, application, selector, progress } = verify;
    resolve::held(&registry, &application, &selector, async |resolved| {
        verify_resolved(resolved, &progress).await
    })
    .await
}

async fn verify_resolved(
    resolved: &Resolved,
    progress: &Arc<dyn Progress>,
) -> Result<VerifyReport, VerifyError> {
    let release = resolved.release();
    let mut report = VerifyReport::new(release);
    progress.begin(Stage::Verify, None);
    verify_descriptors(resolved, &mut report).await?;
    for (machine, disk) in release.disks() {
        let damage_before = report.damage.len();
        match resolved.registry().index(disk.index).await {
            Ok(index) if (index.content(), index.disk_len().get()) != (disk.content, disk.len) => {
                let (content, len) = (index.content(), index.disk_len().get());
                let what = format!(
                    "it describes {content} of {len} bytes, not {} of {} bytes",
                    disk.content, disk.len
                );
                report.damage.push(Damage::new(format!("index {}", disk.index), what));
            }
            Ok(index) => {
                let check = |position| LeafCheck::new(resolved, progress, &index, position);
                verify_disk(&index, check, &mut report).await?;
            }
            Err(error) => {
                report.damage.push(damage_of(format!("index {}", disk.index), error)?);
            }
        }
        report.disks.push(VerifiedDisk {
            machine: machine.name.clone(),
            disk: disk.name.clone(),
            content: disk.content,
            state: if report.damage.len() == damage_before {
                DiskState::Intact
            } else {
                DiskState::Damaged
            },
            file: None,
        });
    }
    progress.finish();
    Ok(report)
}

/// Reads the original descriptors. The registry's client hashes their bytes.
async fn verify_descriptors(
    resolved: &Resolved,
    report: &mut VerifyReport,
) -> Result<(), VerifyError> {
    let mut seen = HashSet::new();
    let machines = resolved.release().machines();
    for descriptor in machines.iter().filter_map(|m| m.descriptor.as_ref()) {
        if !seen.insert(descriptor.digest) {
            continue;
        }
        if let Err(error) = resolved.registry().descriptor(descriptor.digest).await {
            let object = format!("descriptor {}", descriptor.digest);
            report.damage.push(damage_of(object, error)?);
        }
    }
    Ok(())
}

async fn verify_disk(
    index: &DiskIndex,
    check: impl Fn(usize) -> LeafCheck,
    report: &mut VerifyReport,
) -> Result<(), VerifyError> {
    let zeros = zeros_leaf();
    let is_zeros = |leaf: &LeafRef| Some(leaf.digest) == zeros;
    // The leaf of zeros is fetched once, regardless of the length of a hole.
    let first_zeros = index.leaves().iter().position(is_zeros);
    let positions = (0..index.leaves().len())
        .filter(|&position| !is_zeros(&index.leaves()[position]) || Some(position) == first_zeros);
    let mut leaves = stream::iter(positions)
        .map(|position| {
            let check = check(position);
            tokio::task::spawn_blocking(move || check.run())
        })
        .buffered(LEAVES_AT_ONCE);
    while let Some(outcome) = leaves.next().await {
        let (hashed_bytes, damage) = outcome.map_err(|_| VerifyError::Defect)??;
        report.hashed_bytes += hashed_bytes;
        report.damage.extend(damage);
    }
    if first_zeros.is_some() {
        let index = index.clone();
        let values = move || zeros_with_wrong_values(&index, zeros);
        let damage = tokio::task::spawn_blocking(values).await.map_err(|_| VerifyError::Defect)?;
        report.damage.extend(damage);
    }
    Ok(())
}

/// Returns the digest of a full-length leaf without data.
fn zeros_leaf() -> Option<LeafDigest> {
    let len = u32::try_from(LEAF_SPAN).ok()?;
    let leaf = Leaf::new(vec![Extent::Hole(len)], LEAF_SPAN).ok()?;
    Some(LeafDigest::of(&leaf.encode()))
}

/// Returns damage for each leaf of zeros with a wrong value in the index.
fn zeros_with_wrong_values(index: &DiskIndex, zeros: Option<LeafDigest>) -> Vec<Damage> {
    let is_root = leaf_count(index.disk_len()) == 1;
    let leaves = index.leaves().iter().enumerate();
    // The first one was fetched and checked like any other leaf.
    let of_zeros = leaves.filter(|(_, leaf)| Some(leaf.digest) == zeros).skip(1);
    let wrong = of_zeros.filter(|(position, leaf)| {
        let span = leaf_range(index.disk_len(), *position);
        let mut hasher = LeafHasher::new(span.start, is_root);
        hasher.update_zeros(span.end - span.start);
        hasher.finish() != leaf.value
    });
    wrong.map(|(_, leaf)| Damage::new(format!("leaf {}", leaf.digest), WRONG_VALUE)).collect()
}

/// The verification of one leaf, on a thread of its own.
struct LeafCheck {
    registry: Arc<dyn Registry>,
    progress: Arc<dyn Progress>,
    handle: Handle,
    leaf: LeafRef,
    span: std::ops::Range<u64>,
    is_root: bool,
    decoder: Decoder,
    plain: Vec<u8>,
    requests: Vec<Request>,
    places: HashMap<ChunkRef, (usize, usize)>,
    kept: VecDeque<(usize, Bytes)>,
    damage: Vec<Damage>,
}

impl LeafCheck {
    fn new(
        resolved: &Resolved,
        progress: &Arc<dyn Progress>,
        index: &DiskIndex,
        position: usize,
    ) -> Self {
        Self {
            registry: Arc::clone(resolved.registry()),
            progress: Arc::clone(progress),
            handle: Handle::current(),
            leaf: index.leaves()[position],
            span: leaf_range(index.disk_len(), position),
            is_root: leaf_count(index.disk_len()) == 1,
            decoder: Decoder::default(),
            plain: vec![0; CHUNK_LEN_MAX as usize],
            requests: Vec::new(),
            places: HashMap::new(),
            kept: VecDeque::new(),
            damage: Vec::new(),
        }
    }

    fn run(mut self) -> Result<(u64, Vec<Damage>), VerifyError> {
        let span_len = self.span.end - self.span.start;
        let leaf = match self.handle.block_on(self.registry.leaf(self.leaf.digest, span_len)) {
            Ok(leaf) => leaf,
            Err(error) => {
                let object = format!("leaf {}", self.leaf.digest);
                return Ok((0, vec![damage_of(object, error)?]));
            }
        };
        self.locate(&leaf)?;
        let mut hasher = LeafHasher::new(self.span.start, self.is_root);
        let mut hashed_bytes = 0;
        for extent in leaf.extents() {
            match extent {
                Extent::Hole(len) => hasher.update_zeros(u64::from(*len)),
                Extent::Data(chunk) => {
                    if let Some(len) = self.read(*chunk)? {
                        hasher.update(&self.plain[..len]);
                        hashed_bytes += len as u64;
                        self.progress.advance(len as u64);
                    }
                }
            }
        }
        // With a chunk missing, the value differs for a reason that is reported already.
        if self.damage.is_empty() && hasher.finish() != self.leaf.value {
            self.damage.push(Damage::new(format!("leaf {}", self.leaf.digest), WRONG_VALUE));
        }
        Ok((hashed_bytes, self.damage))
    }

    /// Locates the leaf's chunks. Reports lost chunks as damage.
    fn locate(&mut self, leaf: &Leaf) -> Result<(), VerifyError> {
        let mut seen = HashSet::new();
        let chunks: Vec<_> = leaf.chunks().filter(|chunk| seen.insert(*chunk)).collect();
        if self.locate_all(&chunks)?.is_some() {
            // A request fails as a whole if one chunk is lost, so each chunk is located alone.
            for chunk in &chunks {
                let damage = self.locate_all(std::slice::from_ref(chunk))?;
                self.damage.extend(damage);
            }
        }
        Ok(())
    }

    /// Plans the reads of chunks. Returns a defect of the answer as damage.
    fn locate_all(&mut self, chunks: &[ChunkRef]) -> Result<Option<Damage>, VerifyError> {
        let object =
            || chunks.first().map_or_else(String::new, |it| format!("chunk {}", it.digest));
        let digests: Vec<_> = chunks.iter().map(|chunk| chunk.digest).collect();
        let located = match self.handle.block_on(self.registry.locate_chunks(&digests)) {
            Ok(located) => located,
            Err(error) => return damage_of(object(), error).map(Some),
        };
        let wants = chunks.iter().map(|&chunk| Want { chunk, places: Vec::new() }).collect();
        let requests = match coalesce(wants, &located) {
            Ok(requests) => requests,
            Err(error) => return Ok(Some(Damage::from_error(object(), &error))),
        };
        for request in requests {
            let position = self.requests.len();
            for (frame_position, frame) in request.frames.iter().enumerate() {
                self.places.insert(frame.want.chunk, (position, frame_position));
            }
            self.requests.push(request);
        }
        Ok(None)
    }

    /// Reads a chunk into the front of `plain`. Reports a defective chunk as damage.
    fn read(&mut self, chunk: ChunkRef) -> Result<Option<usize>, VerifyError> {
        let Some(&(position, frame_position)) = self.places.get(&chunk) else { return Ok(None) };
        let Some(bytes) = self.range(position)? else { return Ok(None) };
        let request = &self.requests[position];
        let frame = &request.frames[frame_position];
        let object = format!("chunk {} in pack {}", chunk.digest, request.pack);
        let Some(stored) = bytes.get(frame.range.clone()) else { return Ok(None) };
        let damage = match self.decoder.decode(frame.encoding, stored, chunk.len, &mut self.plain) {
            Ok(plain) if ChunkDigest::of(plain) == chunk.digest => return Ok(Some(plain.len())),
            Ok(plain) => {
                Damage::new(object, format!("its bytes hash to {}", ChunkDigest::of(plain)))
            }
            Err(error) => Damage::from_error(object, &error),
        };
        // Reported once per chunk, even if the disk repeats the chunk.
        self.places.remove(&chunk);
        self.damage.push(damage);
        Ok(None)
    }

    /// Returns the bytes of a request, cached for its other chunks.
    fn range(&mut self, position: usize) -> Result<Option<Bytes>, VerifyError> {
        if let Some((_, bytes)) = self.kept.iter().find(|(kept, _)| *kept == position) {
            return Ok(Some(bytes.clone()));
        }
        let request = &self.requests[position];
        match self.handle.block_on(self.registry.pack_range(request.pack, request.range.clone())) {
            Ok(bytes) => {
                self.progress.transferred(bytes.len() as u64);
                if self.kept.len() == RANGES_KEPT {
                    self.kept.pop_front();
                }
                self.kept.push_back((position, bytes.clone()));
                Ok(Some(bytes))
            }
            Err(error) => {
                let range = &request.range;
                let object = format!("pack {}, bytes {}..{}", request.pack, range.start, range.end);
                self.damage.push(damage_of(object, error)?);
                for frame in &request.frames {
                    self.places.remove(&frame.want.chunk);
                }
                Ok(None)
            }
        }
    }
}

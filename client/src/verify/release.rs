//! Verifies a release in a registry.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use seawall_api::digest::LeafDigest;
use seawall_api::index::{
    ChunkRef, DiskIndex, Extent, LEAF_SPAN, Leaf, LeafRef, leaf_count, leaf_range,
};
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_store::content::LeafHasher;
use seawall_store::read::{Freshness, Plan, Prover, ReadError, Reader, Request};
use tokio::runtime::Handle;

use super::{Damage, DiskState, VerifiedDisk, VerifyError, VerifyReport, damage_of};
use crate::fetch::Packs;
use crate::progress::{Progress, Stage};
use crate::registry::Reading;
use crate::resolve::{self, Resolved};

/// The number of leaves verified concurrently.
const LEAVES_AT_ONCE: usize = 4;
/// The number of ranges of packs cached per leaf, at most 4 MiB each. Repeated chunks lie close.
const RANGES_KEPT: usize = 6;

/// The defect of a leaf whose bytes do not match its value in the index.
const WRONG_VALUE: &str = "its bytes do not hash to its value in the index";

/// The inputs of a verification.
pub struct VerifyRelease {
    /// The registry that holds the release.
    pub registry: Arc<dyn Reading>,
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
    let source = Arc::new(Packs::of(resolved));
    let reader = Arc::new(Reader::new(source, LEAVES_AT_ONCE));
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
                let check = |position| LeafCheck::new(&reader, progress, &index, position);
                verify_disk(resolved.registry(), &index, check, &mut report).await?;
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
    registry: &Arc<dyn Reading>,
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
            let (check, registry) = (check(position), Arc::clone(registry));
            tokio::task::spawn_blocking(move || check.run(&*registry))
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
    reader: Arc<Reader>,
    progress: Arc<dyn Progress>,
    handle: Handle,
    leaf: LeafRef,
    span: std::ops::Range<u64>,
    is_root: bool,
    prover: Prover,
    requests: Vec<Request<ChunkRef>>,
    places: HashMap<ChunkRef, (usize, usize)>,
    kept: VecDeque<(usize, Bytes)>,
    damage: Vec<Damage>,
}

impl LeafCheck {
    fn new(
        reader: &Arc<Reader>,
        progress: &Arc<dyn Progress>,
        index: &DiskIndex,
        position: usize,
    ) -> Self {
        Self {
            reader: Arc::clone(reader),
            progress: Arc::clone(progress),
            handle: Handle::current(),
            leaf: index.leaves()[position],
            span: leaf_range(index.disk_len(), position),
            is_root: leaf_count(index.disk_len()) == 1,
            prover: Prover::default(),
            requests: Vec::new(),
            places: HashMap::new(),
            kept: VecDeque::new(),
            damage: Vec::new(),
        }
    }

    fn run(self, registry: &dyn Reading) -> Result<(u64, Vec<Damage>), VerifyError> {
        let span_len = self.span.end - self.span.start;
        match self.handle.block_on(registry.leaf(self.leaf.digest, span_len)) {
            Ok(leaf) => self.check(&leaf),
            Err(error) => {
                let object = format!("leaf {}", self.leaf.digest);
                Ok((0, vec![damage_of(object, error)?]))
            }
        }
    }

    fn check(mut self, leaf: &Leaf) -> Result<(u64, Vec<Damage>), VerifyError> {
        self.locate(leaf)?;
        let mut hasher = LeafHasher::new(self.span.start, self.is_root);
        let mut hashed_bytes = 0;
        for extent in leaf.extents() {
            match extent {
                Extent::Hole(len) => hasher.update_zeros(u64::from(*len)),
                Extent::Data(chunk) => {
                    if self.read(*chunk, |plain| hasher.update(plain))? {
                        hashed_bytes += u64::from(chunk.len);
                        self.progress.advance(u64::from(chunk.len));
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
        let Plan { requests, lost } = self.handle.block_on(self.reader.plan_each(chunks));
        for (chunk, error) in lost {
            self.damage.push(damage_of(format!("chunk {}", chunk.digest), error)?);
        }
        for (at, request) in requests.iter().enumerate() {
            let frames = request.frames.iter().enumerate();
            self.places.extend(frames.map(|(position, frame)| (frame.want, (at, position))));
        }
        self.requests = requests;
        Ok(())
    }

    /// Reads a chunk and passes its bytes to `hash`. Returns false, and reports damage, if the
    /// chunk is defective.
    fn read(&mut self, chunk: ChunkRef, hash: impl FnOnce(&[u8])) -> Result<bool, VerifyError> {
        let Some(&(at, position)) = self.places.get(&chunk) else { return Ok(false) };
        let mut freshness = Freshness::Any;
        let error = loop {
            let Some(bytes) = self.range(at, freshness)? else { return Ok(false) };
            match self.requests[at].prove(position, &bytes, &mut self.prover) {
                Ok(proven) => {
                    hash(proven.plain);
                    return Ok(true);
                }
                Err(error) if freshness == Freshness::AtRest => break error,
                Err(_) => {
                    // A cache may have kept bytes that were wrong once.
                    self.kept.retain(|(kept, _)| *kept != at);
                    freshness = Freshness::AtRest;
                }
            }
        };
        let request = &self.requests[at];
        let object = format!("chunk {} in pack {}", chunk.digest, request.pack);
        // The object names the pack already.
        self.damage.push(match &error {
            ReadError::Digest { actual, .. } => {
                Damage::new(object, format!("its bytes hash to {actual}"))
            }
            ReadError::Codec { source, .. } => Damage::from_error(object, source),
            other => Damage::from_error(object, other),
        });
        // Reported once per chunk, even if the disk repeats the chunk.
        self.places.remove(&chunk);
        Ok(false)
    }

    /// Returns the bytes of a request, cached for its other chunks.
    fn range(&mut self, at: usize, freshness: Freshness) -> Result<Option<Bytes>, VerifyError> {
        if let Some((_, bytes)) = self.kept.iter().find(|(kept, _)| *kept == at) {
            return Ok(Some(bytes.clone()));
        }
        let request = &self.requests[at];
        match self.handle.block_on(self.reader.read(request, freshness)) {
            Ok(bytes) => {
                self.progress.transferred(bytes.len() as u64);
                if self.kept.len() == RANGES_KEPT {
                    self.kept.pop_front();
                }
                self.kept.push_back((at, bytes.clone()));
                Ok(Some(bytes))
            }
            Err(error) => {
                let range = &request.range;
                let object = format!("pack {}, bytes {}..{}", request.pack, range.start, range.end);
                self.damage.push(damage_of(object, error)?);
                for frame in &request.frames {
                    self.places.remove(&frame.want);
                }
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests;

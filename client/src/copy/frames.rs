//! Move: frames of the source, unchanged, in packs of the target.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use seawall_api::index::ChunkRef;
use seawall_api::v1::Lease;
use seawall_store::pack::{FinishedPack, PackWriter};
use seawall_store::read::{Freshness, ReadError, Reader, Request};

use super::{Amount, Copy, CopyError};
use crate::error::ErrorKind;
use crate::registry::RegistryError;

/// The number of ranges of the source that are read ahead, at most 4 MiB each.
const READS_AT_ONCE: usize = 8;
/// The number of packs on their way to the target, each of which stays in memory until it arrives.
const PACKS_AT_ONCE: usize = 3;

/// A request of the source.
type Asked = Arc<Request<ChunkRef>>;

/// A pack for the target, and where its frames were read.
struct Sealed {
    pack: FinishedPack,
    frames: Vec<(Asked, usize)>,
}

/// Moves the frames of `requests` into packs of the target. Returns what was sent.
pub(super) async fn send(
    copy: &Copy,
    lease: &Lease,
    reader: &Arc<Reader>,
    requests: Vec<Request<ChunkRef>>,
) -> Result<Amount, CopyError> {
    let sent = packs(reader, requests)
        .map_ok(|sealed| put(copy, lease, reader, sealed))
        .try_buffer_unordered(PACKS_AT_ONCE);
    let sum = |sum: Amount, amount| std::future::ready(Ok(sum + amount));
    sent.try_fold(Amount::default(), sum).await
}

/// Reads requests in order and packs their frames.
fn packs(
    reader: &Arc<Reader>,
    requests: Vec<Request<ChunkRef>>,
) -> impl Stream<Item = Result<Sealed, CopyError>> + Send {
    let read = |request: Request<ChunkRef>| {
        let (reader, request) = (Arc::clone(reader), Arc::new(request));
        async move {
            let bytes = reader.read(&request, Freshness::Any).await?;
            Ok::<_, CopyError>((request, bytes))
        }
    };
    let reads: Vec<_> = requests.into_iter().map(read).collect();
    let answers = stream::iter(reads).buffered(READS_AT_ONCE).boxed();
    stream::try_unfold((answers, Open::default()), async |(mut answers, mut open)| {
        while !open.writer.is_full() {
            if let Some((request, bytes, position)) = open.answer.take() {
                if position < request.frames.len() {
                    open.push(&request, &bytes, position)?;
                    open.answer = Some((request, bytes, position + 1));
                }
            } else if let Some((request, bytes)) = answers.try_next().await? {
                open.answer = Some((request, bytes, 0));
            } else {
                break;
            }
        }
        let sealed = open.seal();
        Ok(sealed.map(|sealed| (sealed, (answers, open))))
    })
}

/// The pack under construction, and the answer whose frames go into it.
#[derive(Default)]
struct Open {
    writer: PackWriter,
    frames: Vec<(Asked, usize)>,
    answer: Option<(Asked, Bytes, usize)>,
}

impl Open {
    fn push(&mut self, request: &Asked, bytes: &[u8], position: usize) -> Result<(), CopyError> {
        let (frame, stored) = request.stored(position, bytes).map_err(Arc::new)?;
        self.writer.push_stored(&frame, stored);
        self.frames.push((Arc::clone(request), position));
        Ok(())
    }

    fn seal(&mut self) -> Option<Sealed> {
        if self.writer.is_empty() {
            return None;
        }
        let (pack, frames) = (self.writer.finish(None), std::mem::take(&mut self.frames));
        Some(Sealed { pack, frames })
    }
}

/// Stores a pack. If the target refuses its content, reads the frames once more, proves them, and
/// tries again.
async fn put(
    copy: &Copy,
    lease: &Lease,
    reader: &Arc<Reader>,
    sealed: Sealed,
) -> Result<Amount, CopyError> {
    let Sealed { mut pack, frames } = sealed;
    if let Some(pace) = &copy.manner.pace {
        pace.take(pack.bytes.len() as u64).await;
    }
    let first = copy.to.put_pack(lease, pack.digest, pack.bytes.clone()).await;
    if let Err(error) = first {
        if !is_of_content(&error) {
            return Err(error.into());
        }
        tracing::info!(%error, "the target refused a pack: reading its chunks once more");
        pack = proven(reader, frames).await?;
        copy.to.put_pack(lease, pack.digest, pack.bytes.clone()).await?;
    }
    copy.progress.transferred(pack.bytes.len() as u64);
    copy.progress.advance(pack.plain_bytes);
    Ok(Amount {
        chunks: pack.chunk_count as u64,
        bytes: pack.plain_bytes,
        stored_bytes: pack.bytes.len() as u64,
        packs: 1,
    })
}

/// Returns true if the target found that a pack does not hold the chunks that it lists.
fn is_of_content(error: &RegistryError) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Damaged)
}

/// Packs frames that are read at rest and proven, one request after the other.
async fn proven(
    reader: &Arc<Reader>,
    frames: Vec<(Asked, usize)>,
) -> Result<FinishedPack, CopyError> {
    let mut writer = PackWriter::default();
    let mut last: Option<(Asked, Bytes)> = None;
    for (request, position) in frames {
        let bytes = match &last {
            Some((read, bytes)) if Arc::ptr_eq(read, &request) => bytes.clone(),
            _ => reader.read(&request, Freshness::AtRest).await?,
        };
        last = Some((Arc::clone(&request), bytes.clone()));
        let (asked, at_rest) = (Arc::clone(&request), bytes.clone());
        let prove = move |prover: &mut seawall_store::read::Prover| {
            asked.prove(position, &at_rest, prover).map(drop).map_err(Arc::<ReadError>::new)
        };
        reader.work(prove).await??;
        let (frame, stored) = request.stored(position, &bytes).map_err(Arc::new)?;
        writer.push_stored(&frame, stored);
    }
    Ok(writer.finish(None))
}

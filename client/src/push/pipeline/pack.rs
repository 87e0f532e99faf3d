//! Pack: compresses chunks into packs.

use seawall_api::digest::ChunkDigest;
use seawall_api::index::ChunkRef;
use seawall_store::pack::PackWriter;

use super::worker::Line;
use super::{Batch, Event, Inputs, Plain, PushError, Sealed};

/// A worker's open pack.
pub(super) struct Packer<'w> {
    inputs: &'w Inputs,
    line: &'w Line,
    pack: PackWriter,
    /// The chunks in the open pack.
    chunks: Vec<ChunkDigest>,
    plain: Vec<u8>,
}

impl<'w> Packer<'w> {
    pub(super) fn new(inputs: &'w Inputs, line: &'w Line) -> Self {
        Self { inputs, line, pack: PackWriter::default(), chunks: Vec::new(), plain: Vec::new() }
    }

    /// Compresses a batch into packs. Returns the memory of kept bytes.
    pub(super) fn pack(&mut self, batch: Batch) -> Result<Vec<u8>, PushError> {
        match batch.plain {
            Plain::Disk(disk) => {
                let image = &self.inputs.disks[disk].image;
                let mut plain = std::mem::take(&mut self.plain);
                for (offset, chunk) in batch.chunks {
                    let len = usize::from(chunk.len);
                    plain.resize(plain.len().max(len), 0);
                    image.read_at(offset, &mut plain[..len])?;
                    self.push(chunk, &plain[..len])?;
                }
                self.plain = plain;
                Ok(Vec::new())
            }
            Plain::Kept(plain) => {
                for (offset, chunk) in batch.chunks {
                    let start = usize::try_from(offset).unwrap_or(usize::MAX);
                    let end = start.saturating_add(usize::from(chunk.len));
                    self.push(chunk, plain.get(start..end).ok_or(PushError::Defect)?)?;
                }
                Ok(plain)
            }
        }
    }

    fn push(&mut self, chunk: ChunkRef, plain: &[u8]) -> Result<(), PushError> {
        self.pack.push(chunk.digest, chunk.len, plain);
        self.chunks.push(chunk.digest);
        self.inputs.push.progress.advance(chunk.len.into());
        if self.pack.is_full() { self.seal() } else { Ok(()) }
    }

    /// Seals the open pack, unless it is empty, once there is a connection to send it over.
    pub(super) fn seal(&mut self) -> Result<(), PushError> {
        if self.pack.is_empty() {
            return Ok(());
        }
        let memory = self.line.ask(Event::Full)?;
        let (pack, chunks) = (self.pack.finish(memory), std::mem::take(&mut self.chunks));
        self.line.tell(Event::Sealed(Sealed { pack, chunks }))
    }
}

//! Inspect: what an image file is, and what is on its disk. No registry, and nothing is written.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use seawall_api::digest::ContentDigest;
use seawall_api::units::HumanBytes;
use seawall_store::image::convert::{self, ConvertError};
use seawall_store::image::partitions::{TableKind, partition_table};
use seawall_store::image::{DiskImage, Format};
use serde::Serialize;

use crate::convert::ConvertFailure;
use crate::disk::{DiskAccess, DiskSource};
use crate::progress::{Progress, Stage};

/// What to inspect, and how closely.
pub struct Inspect {
    /// The image.
    pub path: PathBuf,
    /// Its format, where its content is not to be asked.
    pub format: Option<Format>,
    /// How it may be opened.
    pub access: DiskAccess,
    /// Whether to read the whole disk for its digest.
    pub digest: bool,
    /// How many threads hash.
    pub threads: usize,
    /// Hears how far it is.
    pub progress: Arc<dyn Progress>,
}

/// What an image is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectReport {
    /// Its format.
    pub format: String,
    /// Which kind of it; empty where there is nothing to tell apart.
    pub variant: String,
    /// What the file is compressed by as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// Length of its logical sectors in bytes, where they are other than 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_len: Option<u64>,
    /// Length of the disk in bytes.
    pub disk_len: u64,
    /// Bytes that its map calls data.
    pub allocated_bytes: u64,
    /// In how many runs they are.
    pub allocated_runs: u64,
    /// Every file it is made of, backing files last.
    pub files: Vec<String>,
    /// `mbr` or `gpt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_table: Option<&'static str>,
    /// The partitions.
    pub partitions: Vec<InspectedPartition>,
    /// The disk's identity, where it was asked for; `b3sum` of the raw disk prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentDigest>,
    /// Bytes in blocks that are not all zero, where the digest was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_bytes: Option<u64>,
}

/// A partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectedPartition {
    /// Its number as Linux counts.
    pub number: u64,
    /// Where it begins on the disk, in bytes.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Its type: hexadecimal digits, or a GUID.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name; of GPT only.
    pub name: String,
}

/// Inspects an image.
///
/// # Errors
/// When the image cannot be read.
pub async fn inspect(order: Inspect) -> Result<InspectReport, ConvertFailure> {
    let progress = Arc::clone(&order.progress);
    let outcome = tokio::task::spawn_blocking(move || look(&order)).await;
    progress.finish();
    outcome.map_err(|_| ConvertFailure::Defect)?
}

fn look(order: &Inspect) -> Result<InspectReport, ConvertFailure> {
    let mut access = order.access.clone();
    // What stands in a disk's tables may be looked at while a machine runs.
    access.allow_in_use |= !order.digest;
    let disk = access.open(&order.path, order.format, order.progress.as_ref())?;
    let image = &disk.image;
    let (allocated_bytes, allocated_runs) = allocated(&**image)?;
    let table = partition_table(&**image).map_err(ConvertError::from)?;
    let kind = table.as_ref().map(|table| match table.kind {
        TableKind::Mbr => "mbr",
        TableKind::Gpt => "gpt",
    });
    let partitions = table.into_iter().flat_map(|table| table.partitions);
    let digest = if order.digest {
        order.progress.begin(Stage::Scan, Some(allocated_bytes));
        let advance = |bytes| order.progress.advance(bytes);
        Some(convert::content_digest(&**image, order.threads, &advance)?)
    } else {
        None
    };
    let DiskSource { format, variant, compression, sector_len, files } = disk.source;
    Ok(InspectReport {
        format,
        variant,
        compression,
        sector_len,
        disk_len: image.disk_len(),
        allocated_bytes,
        allocated_runs,
        files,
        partition_table: kind,
        partitions: partitions
            .map(|it| InspectedPartition {
                number: it.number,
                start: it.start,
                len: it.len,
                kind: it.kind,
                name: it.name,
            })
            .collect(),
        content: digest.map(|(content, _)| content),
        data_bytes: digest.map(|(_, data_len)| data_len),
    })
}

/// Bytes that the map calls data, and in how many runs they are.
fn allocated(image: &dyn DiskImage) -> Result<(u64, u64), ConvertError> {
    let (mut bytes, mut runs, mut at) = (0, 0, 0);
    // Where the run before ended: runs are given in pieces.
    let mut end = None;
    while let Some(run) = image.next_data(at)? {
        bytes += run.end - run.start;
        runs += u64::from(end != Some(run.start));
        end = Some(run.end);
        at = run.end;
    }
    Ok((bytes, runs))
}

impl fmt::Display for InspectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comma = if self.variant.is_empty() { "" } else { ", " };
        write!(f, "format     {}{comma}{}", self.format, self.variant)?;
        match &self.compression {
            Some(compression) => writeln!(f, ", in {compression}")?,
            None => writeln!(f)?,
        }
        writeln!(f, "disk       {} bytes ({})", self.disk_len, HumanBytes(self.disk_len))?;
        if let Some(len) = self.sector_len {
            writeln!(f, "sectors    {len} bytes")?;
        }
        let allocated = HumanBytes(self.allocated_bytes);
        write!(f, "allocated  {} bytes ({allocated})", self.allocated_bytes)?;
        write!(f, " in {} runs", self.allocated_runs)?;
        for (file, word) in
            self.files.iter().zip(["file", "with"].into_iter().chain([""].into_iter().cycle()))
        {
            write!(f, "\n{word:9}  {file}")?;
        }
        if let (Some(content), Some(data)) = (self.content, self.data_bytes) {
            write!(f, "\ndata       {data} bytes ({})\ncontent    {content}", HumanBytes(data))?;
        }
        let Some(table) = self.partition_table else { return Ok(()) };
        write!(f, "\npartitions {table}")?;
        for it in &self.partitions {
            let len = HumanBytes(it.len);
            write!(f, "\n  {:>3}  at {}, {len}, type {}", it.number, it.start, it.kind)?;
            if !it.name.is_empty() {
                write!(f, ", {:?}", it.name)?;
            }
        }
        Ok(())
    }
}

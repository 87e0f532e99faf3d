//! Describes an image file and the partitions of its disk. Needs no registry and writes nothing.

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

/// An inspection to run.
pub struct Inspect {
    /// The image's path.
    pub path: PathBuf,
    /// The image's format. If `None`, the format is detected from the content.
    pub format: Option<Format>,
    /// The permissions for opening disks.
    pub access: DiskAccess,
    /// True to read the whole disk for its digest.
    pub digest: bool,
    /// The number of threads that hash.
    pub threads: usize,
    /// The receiver of progress reports.
    pub progress: Arc<dyn Progress>,
}

/// The properties of an image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectReport {
    /// The image's format.
    pub format: String,
    /// The variant of the format. Empty if the format has no variants.
    pub variant: String,
    /// The compression of the file as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// The length of a logical sector in bytes, unless 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_len: Option<u64>,
    /// The length of the disk in bytes.
    pub disk_len: u64,
    /// The total length of data according to the image's map, in bytes.
    pub allocated_bytes: u64,
    /// The number of contiguous runs of data.
    pub allocated_runs: u64,
    /// The image's files, with backing files last.
    pub files: Vec<String>,
    /// `mbr` or `gpt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_table: Option<&'static str>,
    /// The partitions.
    pub partitions: Vec<InspectedPartition>,
    /// The digest of the disk's content if requested, which equals `b3sum` of the raw disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentDigest>,
    /// The total length of blocks that are not all zeros, in bytes. `None` without a digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_bytes: Option<u64>,
}

/// A partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectedPartition {
    /// The partition's number in Linux.
    pub number: u64,
    /// The offset on the disk in bytes.
    pub start: u64,
    /// The length in bytes.
    pub len: u64,
    /// The partition's type: hexadecimal digits, or a GUID.
    #[serde(rename = "type")]
    pub kind: String,
    /// The partition's name, only in a GPT.
    pub name: String,
}

/// Inspects an image.
///
/// # Errors
/// Fails if the image cannot be read.
pub async fn inspect(order: Inspect) -> Result<InspectReport, ConvertFailure> {
    let progress = Arc::clone(&order.progress);
    let outcome = tokio::task::spawn_blocking(move || look(&order)).await;
    progress.finish();
    outcome.map_err(|_| ConvertFailure::Defect)?
}

fn look(order: &Inspect) -> Result<InspectReport, ConvertFailure> {
    let mut access = order.access.clone();
    // Partition tables may be read while a machine runs.
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

/// Returns the total length of data in bytes and the number of contiguous runs.
fn allocated(image: &dyn DiskImage) -> Result<(u64, u64), ConvertError> {
    let (mut bytes, mut runs, mut at) = (0, 0, 0);
    // The end of the previous run. Adjacent pieces count as one run.
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

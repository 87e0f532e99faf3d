//! Reads a bundle: the records of its parts as the files of a depot.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use seawall_store::pack::VerifiedPack;
use seawall_store::port::ObjectName;

use super::BundleError;
use super::format::{self, Part, ReadAt, Record};
use crate::depot::DepotError;
use crate::depot::map::MapPart;
use crate::depot::medium::Medium;
use crate::registry::RegistryError;

/// A complete bundle.
pub struct Bundle {
    parts: Arc<Vec<OpenPart>>,
    address: String,
}

struct OpenPart {
    file: File,
    path: PathBuf,
    part: Part,
}

/// A part that was checked alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckedPart {
    /// The bundle, in hexadecimal digits.
    pub bundle: String,
    /// The number of the part, from 1.
    pub number: u64,
    /// True if no part follows.
    pub is_last: bool,
    /// The number of records.
    pub record_count: u64,
    /// The length in bytes.
    pub bytes: u64,
}

impl OpenPart {
    fn open(path: &Path) -> Result<Self, BundleError> {
        let failed = |source| BundleError::io("open", path, source);
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let part = Part::read(&file, len, path)?;
        Ok(Self { file, path: path.to_owned(), part })
    }

    /// Reads a record and proves its bytes.
    fn read(&self, name: &str, record: &Record) -> Result<Bytes, BundleError> {
        let len = usize::try_from(record.len).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len];
        let read = self.file.read_at(&mut bytes, record.offset);
        read.map_err(|source| BundleError::io("read", &self.path, source))?;
        let head = format::head(name, record.len);
        let digest = blake3::Hasher::new().update(&head).update(&bytes).finalize();
        if *digest.as_bytes() == record.digest {
            return Ok(bytes.into());
        }
        let why = format!("{} does not match its digest", crate::plain::one_line(name));
        Err(BundleError::Damaged { path: self.path.clone(), why })
    }
}

/// Reads a part alone and proves every record: digests, packs with all their frames, maps.
///
/// # Errors
/// Fails if the file is no sound part of a bundle.
pub fn check(path: &Path) -> Result<CheckedPart, BundleError> {
    let open = OpenPart::open(path)?;
    let replaced = open.part.replaced.iter().map(|(name, record)| (name, record));
    let mut records: Vec<_> = open.part.records.iter().chain(replaced).collect();
    records.sort_by_key(|(_, record)| record.offset);
    for (name, record) in records {
        let bytes = open.read(name, record)?;
        let object = ObjectName::parse(name);
        let defect = match &object {
            Some(ObjectName::Pack(pack)) => {
                VerifiedPack::verify(*pack, bytes).err().map(|error| error.to_string())
            }
            Some(object) if !object.is_of(&bytes) => Some("its digest differs".to_owned()),
            None if name.starts_with("maps/") => {
                MapPart::decode(&bytes).err().map(|error| error.to_string())
            }
            _ => None,
        };
        if let Some(defect) = defect {
            let why = format!("{}: {defect}", crate::plain::one_line(name));
            return Err(BundleError::Damaged { path: path.to_owned(), why });
        }
    }
    let bytes = open.file.metadata().map_or(0, |it| it.len());
    let Part { bundle, position, is_last, records, replaced } = open.part;
    let bundle = bundle.iter().map(|byte| format!("{byte:02x}")).collect();
    let record_count = (records.len() + replaced.len()) as u64;
    Ok(CheckedPart { bundle, number: u64::from(position) + 1, is_last, record_count, bytes })
}

impl Bundle {
    /// Opens all parts of a bundle, in any order.
    ///
    /// # Errors
    /// Fails if a file is no part, or the parts are not those of one bundle.
    pub fn open(paths: &[PathBuf]) -> Result<Self, BundleError> {
        let parts = paths.iter().map(|path| OpenPart::open(path));
        let mut parts = parts.collect::<Result<Vec<_>, _>>()?;
        parts.sort_by_key(|it| it.part.position);
        for pair in parts.windows(2) {
            let (one, other) = (pair[0].path.clone(), pair[1].path.clone());
            if pair[0].part.bundle != pair[1].part.bundle {
                return Err(BundleError::Mixed { one, other });
            }
            if pair[0].part.position == pair[1].part.position {
                return Err(BundleError::Twice { one, other });
            }
        }
        for (position, it) in parts.iter().enumerate() {
            if u64::from(it.part.position) != position as u64 {
                return Err(BundleError::Missing { number: position as u64 + 1 });
            }
        }
        if !parts.last().is_some_and(|it| it.part.is_last) {
            return Err(BundleError::Missing { number: parts.len() as u64 + 1 });
        }
        let address = parts[0].path.display().to_string();
        Ok(Self { parts: Arc::new(parts), address })
    }

    /// Returns the last record of a path, with the position of its part.
    fn find(&self, path: &str) -> Option<(usize, Record)> {
        let parts = self.parts.iter().enumerate().rev();
        let mut found = parts.filter_map(|(at, it)| Some((at, *it.part.records.get(path)?)));
        found.next()
    }

    /// Reads on a thread that may block.
    async fn blocking(
        &self,
        work: impl FnOnce(&[OpenPart]) -> Result<Bytes, BundleError> + Send + 'static,
    ) -> Result<Bytes, RegistryError> {
        let parts = Arc::clone(&self.parts);
        let read = tokio::task::spawn_blocking(move || work(&parts)).await;
        let path = PathBuf::from(&self.address);
        let failed = |error| BundleError::io("read", &path, std::io::Error::other(error));
        Ok(read.map_err(failed).and_then(|read| read).map_err(DepotError::from)?)
    }
}

#[async_trait::async_trait]
impl Medium for Bundle {
    fn address(&self) -> &str {
        &self.address
    }

    async fn read(&self, path: &str, len_max: u64) -> Result<Option<Bytes>, RegistryError> {
        let Some((at, record)) = self.find(path) else { return Ok(None) };
        if record.len > len_max {
            let (address, document) = (self.address.clone(), path.to_owned());
            let why = "it is longer than it may be".to_owned();
            return Err(DepotError::Document { address, document, why }.into());
        }
        let name = path.to_owned();
        self.blocking(move |parts| parts[at].read(&name, &record)).await.map(Some)
    }

    async fn range(&self, path: &str, range: Range<u64>) -> Result<Bytes, RegistryError> {
        let (address, object) = (self.address.clone(), path.to_owned());
        let Some((at, record)) = self.find(path) else {
            return Err(DepotError::Gone { address, object }.into());
        };
        if range.start > range.end || range.end > record.len {
            let why = "it is shorter than the bundle says".to_owned();
            return Err(DepotError::Document { address, document: object, why }.into());
        }
        self.blocking(move |parts| {
            let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            let mut bytes = vec![0; len];
            let read = parts[at].file.read_at(&mut bytes, record.offset + range.start);
            read.map_err(|source| BundleError::io("read", &parts[at].path, source))?;
            Ok(bytes.into())
        })
        .await
    }
}

//! A document in two slots.

use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::depot::DepotError;
use crate::depot::medium::{Medium, Writable};
use crate::plain::one_line;
use crate::registry::RegistryError;

/// The maximum length of a document in bytes: about 40,000 releases of an application.
pub const DOCUMENT_LEN_MAX: u64 = 16 << 20;

/// The content of a document.
pub trait Document: Clone + Send + Sync + Serialize + DeserializeOwned {
    /// The name and version of the format.
    const SCHEMA: &'static str;
}

/// A document at rest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sealed<D> {
    schema: String,
    depot: String,
    /// The number of the write, from 1.
    pub sequence: u64,
    /// The time of the write, in seconds since 1970-01-01 UTC.
    pub written_at_secs: u64,
    /// The content.
    #[serde(flatten)]
    pub content: D,
}

/// The schema of any document.
#[derive(Deserialize)]
struct Header {
    schema: String,
}

/// The state of a slot.
enum Slot<D> {
    Empty,
    Complete(Box<Sealed<D>>),
    Unusable(String),
}

/// The two slots of a document.
pub struct Slots<'a, D> {
    depot: &'a str,
    stem: String,
    content: PhantomData<D>,
}

impl<'a, D: Document> Slots<'a, D> {
    /// Names the slots of a document of the depot with the id `depot`.
    pub fn new(depot: &'a str, stem: impl Into<String>) -> Self {
        Self { depot, stem: stem.into(), content: PhantomData }
    }

    /// Returns the path of the slot that takes a sequence number.
    #[must_use]
    pub fn path(&self, sequence: u64) -> String {
        format!("{}.{}", self.stem, if sequence.is_multiple_of(2) { "a" } else { "b" })
    }

    /// Returns the complete document with the highest sequence number, `None` if there is none.
    ///
    /// # Errors
    /// Fails if a slot cannot be read, no filled slot is complete, or a later version wrote one.
    pub async fn read(&self, medium: &dyn Medium) -> Result<Option<Sealed<D>>, RegistryError> {
        let slot = |number| async move {
            let path = self.path(number);
            let bytes = medium.read(&path, DOCUMENT_LEN_MAX).await?;
            Ok::<_, RegistryError>((self.parse(medium, &path, bytes)?, path))
        };
        let (a, b) = futures::future::try_join(slot(0), slot(1)).await?;
        let mut newest: Option<Box<Sealed<D>>> = None;
        let mut unusable = None;
        for (slot, path) in [a, b] {
            match slot {
                Slot::Empty => {}
                Slot::Unusable(why) => unusable = Some((path, why)),
                Slot::Complete(found) => {
                    if newest.as_ref().is_none_or(|it| it.sequence < found.sequence) {
                        newest = Some(found);
                    }
                }
            }
        }
        match (newest, unusable) {
            (Some(newest), _) => Ok(Some(*newest)),
            (None, None) => Ok(None),
            (None, Some((document, why))) => {
                let address = medium.address().to_owned();
                Err(DepotError::Document { address, document, why }.into())
            }
        }
    }

    fn parse(
        &self,
        medium: &dyn Medium,
        path: &str,
        bytes: Option<Bytes>,
    ) -> Result<Slot<D>, RegistryError> {
        let Some(bytes) = bytes else { return Ok(Slot::Empty) };
        let torn = || Slot::Unusable("it is torn: the digest at its end does not match".to_owned());
        let Some(text) = sealed(&bytes) else { return Ok(torn()) };
        let header: Header = match serde_json::from_slice(text) {
            Ok(header) => header,
            Err(error) => return Ok(Slot::Unusable(one_line(&error.to_string()))),
        };
        if header.schema != D::SCHEMA {
            let (address, document) = (medium.address().to_owned(), path.to_owned());
            let schema = one_line(&header.schema);
            return Err(DepotError::Newer { address, document, schema }.into());
        }
        Ok(match serde_json::from_slice::<Sealed<D>>(text) {
            Ok(found) if found.depot != self.depot => {
                Slot::Unusable("it is of another depot".to_owned())
            }
            Ok(found) if self.path(found.sequence) != path => {
                Slot::Unusable("it is in the other slot's place".to_owned())
            }
            Ok(found) => Slot::Complete(Box::new(found)),
            Err(error) => Slot::Unusable(one_line(&error.to_string())),
        })
    }

    /// Writes the content with the sequence number after `previous`, into the slot that does not
    /// hold `previous`.
    ///
    /// # Errors
    /// Fails if the content is too long or cannot be written.
    pub async fn write(
        &self,
        medium: &dyn Writable,
        previous: u64,
        content: D,
        now_secs: u64,
    ) -> Result<Sealed<D>, RegistryError> {
        let sequence = previous.saturating_add(1);
        let path = self.path(sequence);
        let (schema, depot) = (D::SCHEMA.to_owned(), self.depot.to_owned());
        let sealed = Sealed { schema, depot, sequence, written_at_secs: now_secs, content };
        let mut text = serde_json::to_vec(&sealed).unwrap_or_default();
        text.push(b'\n');
        let digest = blake3::hash(&text).to_hex();
        text.extend_from_slice(format!("blake3:{digest}\n").as_bytes());
        if text.len() as u64 > DOCUMENT_LEN_MAX {
            let len_max = DOCUMENT_LEN_MAX;
            return Err(DepotError::Full { document: path, len_max }.into());
        }
        medium.write(&path, text.into()).await?;
        Ok(sealed)
    }
}

/// Returns the text above the digest in the last line, if the digest matches.
fn sealed(bytes: &[u8]) -> Option<&[u8]> {
    let lines = bytes.strip_suffix(b"\n")?;
    let at = lines.iter().rposition(|byte| *byte == b'\n')? + 1;
    let digest = lines[at..].strip_prefix(b"blake3:")?;
    let text = &bytes[..at];
    (digest == blake3::hash(text).to_hex().as_bytes()).then_some(text)
}

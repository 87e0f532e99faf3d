//! A package on disk: an `.ova`, or an `.ovf` with its files beside it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use seawall_api::digest::DescriptorDigest;
use seawall_api::release::{DESCRIPTOR_LEN_MAX, Descriptor};
use seawall_store::image::{FileSlice, SlicedFile, Source};

use super::describe::describe;
use super::envelope::{Envelope, FileReference, Unmapped};
use super::manifest::{self, Hasher, Line, MANIFEST_LEN_MAX};
use super::parse::{FILES_MAX, contained, parse};
use super::tar::{self, Member};
use super::{MEDIA_TYPE, OvfError};
use crate::progress::{Progress, Stage};
use crate::spec::{Packed, ReleaseSpec};

/// Bytes hashed at once.
const STEP: usize = 1 << 20;

/// A package that can be pushed.
///
/// Proven: its descriptor describes a release, and every file that this needs is there. Whether
/// the files are what the manifest says is for [`Self::check`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Package {
    files: Files,
    descriptor: Bytes,
    manifest: Vec<Line>,
    spec: ReleaseSpec,
    unmapped: Vec<Unmapped>,
}

/// Where a package's files are.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Files {
    Archive(PathBuf, Vec<Member>),
    Folder { path: PathBuf, folder: PathBuf },
}

impl Package {
    /// Opens the package at `path`; reads its descriptor and its manifest.
    ///
    /// # Errors
    /// When it is none, breaks a rule, leads out of itself or lacks a file.
    pub fn open(path: &Path) -> Result<Self, OvfError> {
        let (files, name) = Files::open(path)?;
        let descriptor = files.read(&name, DESCRIPTOR_LEN_MAX as u64)?;
        let envelope = parse(&descriptor, path)?;
        let digest = DescriptorDigest::of(&descriptor);
        let named = Descriptor { digest, media_type: MEDIA_TYPE.to_owned() };
        let place = |position: usize| {
            let reference = envelope.files.get(position).ok_or_else(|| {
                OvfError::rule("References", format!("there is no file {position}"))
            })?;
            Ok((path.join(&reference.href), files.packed(reference)?))
        };
        let (spec, mut unmapped) = describe(&envelope, &named, &place)?;
        lengths(&envelope, &files, &mut unmapped);
        let manifest = files.manifest(&name, &envelope, &mut unmapped)?;
        Ok(Self { files, descriptor: descriptor.into(), manifest, spec, unmapped })
    }

    /// The release that it describes.
    #[must_use]
    pub fn spec(&self) -> &ReleaseSpec {
        &self.spec
    }

    /// Its descriptor, byte for byte.
    #[must_use]
    pub fn descriptor(&self) -> &Bytes {
        &self.descriptor
    }

    /// What of it the release does not carry, or carries changed.
    #[must_use]
    pub fn unmapped(&self) -> &[Unmapped] {
        &self.unmapped
    }

    /// Holds every file against the manifest; reads each to its end.
    ///
    /// # Errors
    /// The first file that is not there, or not what the manifest says.
    pub fn check(&self, progress: &dyn Progress) -> Result<(), OvfError> {
        let mut opened = Vec::with_capacity(self.manifest.len());
        let mut total = 0;
        for line in &self.manifest {
            let source = SlicedFile::open(&[self.files.find(&line.file)?])?;
            total += source.source_len();
            opened.push(source);
        }
        progress.begin(Stage::Verify, Some(total));
        for (line, source) in self.manifest.iter().zip(&opened) {
            let mut hasher = Hasher::new(line.algorithm);
            let mut offset = 0;
            let mut buf = vec![0; STEP];
            while offset < source.source_len() {
                let len = (STEP as u64).min(source.source_len() - offset);
                let bytes = &mut buf[..usize::try_from(len).unwrap_or(0)];
                let io = |source| self.files.io("read", source);
                source.read_exact_at(offset, bytes).map_err(io)?;
                hasher.update(bytes);
                progress.advance(len);
                offset += len;
            }
            let actual = hasher.finish();
            if actual != line.digest {
                return Err(OvfError::Digest {
                    file: line.file.clone(),
                    algorithm: line.algorithm.as_str(),
                    expected: line.digest.clone(),
                    actual,
                });
            }
        }
        Ok(())
    }
}

/// Reports files that are not as long as the descriptor says.
fn lengths(envelope: &Envelope, files: &Files, unmapped: &mut Vec<Unmapped>) {
    for reference in &envelope.files {
        let (Some(said), Ok(packed)) = (reference.len, files.packed(reference)) else { continue };
        let Ok(source) = SlicedFile::open(&packed.slices) else { continue };
        let found = source.source_len();
        if said != found {
            let what = format!("size {said} of `{}`", reference.href);
            unmapped.push(Unmapped::new("References", what, format!("it has {found} bytes")));
        }
    }
}

impl Files {
    /// Finds the files of a package, and the name of its descriptor.
    fn open(path: &Path) -> Result<(Self, String), OvfError> {
        let kind = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        match kind.as_deref() {
            Some("ova") => {
                let whole = FileSlice { path: path.to_owned(), range: None };
                let members = tar::members(path, &SlicedFile::open(&[whole])?)?;
                let mut descriptors = members.iter().filter(|it| has_extension(&it.name, "ovf"));
                let bad = |why: &str| OvfError::Archive {
                    path: path.to_owned(),
                    offset: 0,
                    why: why.to_owned(),
                };
                let name = descriptors.next().ok_or_else(|| bad("there is no .ovf in it"))?;
                if descriptors.next().is_some() {
                    return Err(bad("there is more than one .ovf in it"));
                }
                let name = name.name.clone();
                Ok((Self::Archive(path.to_owned(), members), name))
            }
            Some("ovf") => {
                let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default().to_owned();
                contained(&name)?;
                let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
                let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")));
                let io = |source| OvfError::Io { verb: "open", path: path.to_owned(), source };
                let folder = folder.map_err(io)?;
                Ok((Self::Folder { path: path.to_owned(), folder }, name))
            }
            _ => Err(OvfError::Unsupported {
                what: format!("a package called `{}`", path.display()),
                remedy: "give NAME.ova or NAME.ovf; a disk is given with --machine NAME=DISK"
                    .to_owned(),
            }),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Archive(path, _) | Self::Folder { path, .. } => path,
        }
    }

    fn io(&self, verb: &'static str, source: io::Error) -> OvfError {
        OvfError::Io { verb, path: self.path().to_owned(), source }
    }

    /// A file of the package; its name may be written as a URI is, with `%20` for a space.
    fn find(&self, href: &str) -> Result<FileSlice, OvfError> {
        contained(href)?;
        if let Some(found) = self.look(href)? {
            return Ok(found);
        }
        let plain = percent_decoded(href).filter(|plain| plain != href);
        if let Some(plain) = plain {
            contained(&plain)?;
            if let Some(found) = self.look(&plain)? {
                return Ok(found);
            }
        }
        Err(OvfError::Missing { path: self.path().to_owned(), href: href.to_owned() })
    }

    fn look(&self, name: &str) -> Result<Option<FileSlice>, OvfError> {
        match self {
            Self::Archive(path, members) => {
                let found = members.iter().find(|member| member.name == name);
                let slice = |member: &Member| FileSlice {
                    path: path.clone(),
                    range: Some(member.range.clone()),
                };
                Ok(found.map(slice))
            }
            Self::Folder { folder, .. } => {
                let path = match fs::canonicalize(folder.join(name)) {
                    Ok(path) => path,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(self.io("find a file of", error)),
                };
                // A link beside a descriptor is part of what may be hostile.
                if !path.starts_with(folder) {
                    let why = "it is a link to a file elsewhere";
                    return Err(OvfError::Escapes { href: name.to_owned(), why });
                }
                Ok(Some(FileSlice { path, range: None }))
            }
        }
    }

    /// The bytes of a short file.
    fn read(&self, name: &str, len_max: u64) -> Result<Vec<u8>, OvfError> {
        let source = SlicedFile::open(&[self.find(name)?])?;
        let len = source.source_len();
        if len > len_max {
            let why = format!("it has {len} bytes, the limit is {len_max}");
            return Err(OvfError::rule(format!("`{name}`"), why));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        source.read_exact_at(0, &mut bytes).map_err(|error| self.io("read", error))?;
        Ok(bytes)
    }

    /// Where a file of the descriptor lies: in one piece, or in chunks called NAME.000000000 and
    /// so on.
    fn packed(&self, reference: &FileReference) -> Result<Packed, OvfError> {
        let mut packed = Packed { is_gzip: reference.is_gzip, ..Packed::default() };
        if reference.chunk_len.is_none() {
            packed.slices.push(self.find(&reference.href)?);
            return Ok(packed);
        }
        for position in 0..FILES_MAX {
            match self.find(&chunk_name(&reference.href, position)) {
                Ok(slice) => packed.slices.push(slice),
                Err(OvfError::Missing { .. }) if position > 0 => return Ok(packed),
                Err(error) => return Err(error),
            }
        }
        let why = format!("`{}` has more than {FILES_MAX} chunks", reference.href);
        Err(OvfError::rule("References", why))
    }

    /// The manifest's lines; says what it does not cover, and that a certificate is not looked at.
    fn manifest(
        &self,
        descriptor: &str,
        envelope: &Envelope,
        unmapped: &mut Vec<Unmapped>,
    ) -> Result<Vec<Line>, OvfError> {
        if self.beside(descriptor, "cert")?.is_some() {
            let why = "it is not verified: digests are checked, signatures are not";
            unmapped.push(Unmapped::new("package", "the certificate", why));
        }
        let Some(name) = self.beside(descriptor, "mf")? else {
            let why = "there is none: no digest was checked";
            unmapped.push(Unmapped::new("package", "the manifest", why));
            return Ok(Vec::new());
        };
        let bytes = self.read(&name, MANIFEST_LEN_MAX)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| OvfError::Manifest { line: 1, why: "is not in UTF-8" })?;
        let lines = manifest::parse(&text)?;
        let listed: HashSet<_> = lines.iter().map(|line| &*line.file).collect();
        let mut names = vec![descriptor.to_owned()];
        for reference in &envelope.files {
            match reference.chunk_len {
                None => names.push(reference.href.clone()),
                Some(_) => {
                    let count = self.packed(reference).map_or(0, |packed| packed.slices.len());
                    names.extend((0..count).map(|at| chunk_name(&reference.href, at)));
                }
            }
        }
        for name in names.iter().filter(|name| !listed.contains(name.as_str())) {
            let what = format!("file `{name}`");
            unmapped.push(Unmapped::new("manifest", what, "it is not in it: it was not checked"));
        }
        Ok(lines)
    }

    /// The file that has the descriptor's name and this extension.
    fn beside(&self, descriptor: &str, extension: &str) -> Result<Option<String>, OvfError> {
        let stem = descriptor.rsplit_once('.').map_or(descriptor, |(stem, _)| stem);
        let name = format!("{stem}.{extension}");
        if self.look(&name)?.is_some() {
            return Ok(Some(name));
        }
        // In an archive that was renamed, whatever its stem is.
        Ok(match self {
            Self::Archive(_, members) => {
                let found = members.iter().find(|member| has_extension(&member.name, extension));
                found.map(|member| member.name.clone())
            }
            Self::Folder { .. } => None,
        })
    }
}

fn chunk_name(href: &str, position: usize) -> String {
    format!("{href}.{position:09}")
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// A URI's text without its escapes; `None` where one is broken.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

//! A package on disk: an OVA, or an `.ovf` with files beside it.

pub(crate) mod disk;
mod files;
pub mod manifest;
mod scratch;
mod stream;
pub(crate) mod tar;
mod zip;

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use seawall_api::digest::DescriptorDigest;
use seawall_api::release::{DESCRIPTOR_LEN_MAX, Descriptor};
use seawall_store::image::{self, DiskImage, SlicedFile};

use super::describe::describe;
use super::envelope::{Envelope, FileReference, Unmapped};
use super::read::{FILES_MAX, parse};
use super::{MEDIA_TYPE, OvfError, text};
use crate::disk::DiskSource;
use crate::progress::{Progress, Stage};
use crate::spec::{Packed, ReleaseSpec, Unpack};
use disk::{contradicted, sniff};
use files::{Files, Found};
use manifest::{Hasher, Line, MANIFEST_LEN_MAX};

/// The size of the buffer for hashing, in bytes.
const STEP: usize = 1 << 20;

/// A package to push.
///
/// Its descriptor describes a valid release, and every file of the release exists. [`Self::check`]
/// compares the files with the manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Package {
    files: Files,
    descriptor: Bytes,
    manifest: Vec<(Line, Found)>,
    spec: ReleaseSpec,
    unmapped: Vec<Unmapped>,
}

/// The disks of a package after opening.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Survey {
    /// The length of each disk in bytes and its detected source, in document order.
    pub disks: Vec<(u64, DiskSource)>,
    /// The parts of the package that a release lacks or carries changed.
    pub unmapped: Vec<Unmapped>,
}

impl Package {
    /// Opens the package at `path` and reads its descriptor and manifest.
    ///
    /// # Errors
    /// Fails if the file is not a package, violates a rule, leads out of the package or lacks a
    /// file.
    pub fn open(path: &Path) -> Result<Self, OvfError> {
        let (files, found) = Files::open(path)?;
        let descriptor = files.read(&found, DESCRIPTOR_LEN_MAX as u64)?;
        let envelope = parse(&descriptor, path)?;
        let digest = DescriptorDigest::of(&descriptor);
        let named = Descriptor { digest, media_type: MEDIA_TYPE.to_owned() };
        let place = |position: usize| {
            let reference = envelope.files.get(position).ok_or_else(|| {
                OvfError::rule("References", format!("there is no file {position}"))
            })?;
            Ok((files.shown(&reference.href), packed(&files, reference)?))
        };
        let (mut spec, mut unmapped) = describe(&envelope, &named, &place)?;
        sniff(&mut spec, &mut unmapped)?;
        differences(&envelope, &files, &mut unmapped);
        let manifest = covered(&files, &found, &envelope, &mut unmapped)?;
        Ok(Self { files, descriptor: descriptor.into(), manifest, spec, unmapped })
    }

    /// Returns the description of the release.
    #[must_use]
    pub fn spec(&self) -> &ReleaseSpec {
        &self.spec
    }

    /// Returns the descriptor, byte for byte.
    #[must_use]
    pub fn descriptor(&self) -> &Bytes {
        &self.descriptor
    }

    /// Returns the parts of the package that the release lacks or carries changed.
    #[must_use]
    pub fn unmapped(&self) -> &[Unmapped] {
        &self.unmapped
    }

    /// Returns true if a file of any name may be a package: a tar or zip archive.
    #[must_use]
    pub fn may_be(path: &Path) -> bool {
        files::is_archive(path)
    }

    /// Returns true if the package is one file.
    #[must_use]
    pub fn is_archive(&self) -> bool {
        self.files.is_archive()
    }

    /// Opens every disk like a push, except that disks may be in use.
    ///
    /// # Errors
    /// Fails if a push would fail to open a disk.
    pub fn survey(&self) -> Result<Survey, OvfError> {
        let disks = self.spec.disks().map(|(_, disk)| match &disk.packed {
            Some(packed) => packed.open(&disk.path, disk.format),
            None => Ok(image::empty(0)),
        });
        let disks: Vec<_> = disks.collect::<Result<_, _>>()?;
        let mut unmapped = self.unmapped.clone();
        unmapped.extend(contradicted(&self.spec, disks.iter().map(|disk| &**disk)));
        let told = |disk: &dyn DiskImage| (disk.disk_len(), DiskSource::of(disk, None));
        Ok(Survey { disks: disks.iter().map(|disk| told(&**disk)).collect(), unmapped })
    }

    /// Compares every file with the manifest. Reads each file completely.
    ///
    /// # Errors
    /// Fails on the first file whose digest differs from the manifest.
    pub fn check(&self, progress: &dyn Progress) -> Result<(), OvfError> {
        let total = self.manifest.iter().map(|(_, found)| found.len).sum();
        progress.begin(Stage::Verify, Some(total));
        for (line, found) in &self.manifest {
            let io = |source| {
                let path = self.files.path().to_owned();
                OvfError::Io { verb: "read", path, source }
            };
            let source = SlicedFile::open(std::slice::from_ref(&found.slice))?;
            let stream = scratch::stream(&source, &found.steps).map_err(io)?;
            let actual = digest(stream, line, progress).map_err(io)?;
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

fn digest(mut stream: impl Read, line: &Line, progress: &dyn Progress) -> io::Result<String> {
    let mut hasher = Hasher::new(line.algorithm);
    let mut buf = vec![0; STEP];
    loop {
        let count = stream.read(&mut buf)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buf[..count]);
        progress.advance(count as u64);
    }
}

/// Reports files whose length or name differs from the descriptor.
fn differences(envelope: &Envelope, files: &Files, unmapped: &mut Vec<Unmapped>) {
    let mut note = |what: String, why| unmapped.push(Unmapped::new("References", what, why));
    for reference in envelope.files.iter().filter(|it| it.chunk_len.is_none()) {
        let Ok(found) = files.find(&reference.href) else { continue };
        if found.is_guess {
            let what = format!("file `{}`", reference.href);
            note(what, format!("it is read as `{}`", found.name));
        }
        if let Some(said) = reference.len.filter(|said| *said != found.len) {
            let what = format!("size {said} of `{}`", reference.href);
            note(what, format!("it has {} bytes", found.len));
        }
    }
}

/// Locates a file of the descriptor: one file, or chunks named NAME.000000000 and so on.
fn packed(files: &Files, reference: &FileReference) -> Result<Packed, OvfError> {
    let told = reference.compression.map(Unpack::Inflate);
    if reference.chunk_len.is_none() {
        let found = files.find(&reference.href)?;
        let steps = found.steps.into_iter().chain(told).collect();
        return Ok(Packed { slices: vec![found.slice], steps, ..Packed::default() });
    }
    let mut packed = Packed { steps: told.into_iter().collect(), ..Packed::default() };
    let mut len = 0;
    for position in 0..FILES_MAX {
        let name = chunk_name(&reference.href, position);
        let found = match files.find(&name) {
            Ok(found) => found,
            // Only the stated length reveals missing chunks at the end.
            Err(OvfError::Missing { .. })
                if position > 0 && reference.len.is_none_or(|said| len >= said) =>
            {
                return Ok(packed);
            }
            Err(error) => return Err(error),
        };
        if !found.steps.is_empty() {
            return Err(OvfError::Unsupported {
                what: format!("`{name}`, a chunk of a disk in a compressed archive,"),
                remedy: "unpack the archive, and push the .ovf in it".to_owned(),
            });
        }
        len += found.len;
        packed.slices.push(found.slice);
    }
    let why = format!("`{}` has more than {FILES_MAX} chunks", reference.href);
    Err(OvfError::rule("References", why))
}

/// Returns the manifest's lines with their files.
///
/// Reports files that the manifest lacks, listed files that are missing, and an unverified
/// certificate.
fn covered(
    files: &Files,
    descriptor: &Found,
    envelope: &Envelope,
    unmapped: &mut Vec<Unmapped>,
) -> Result<Vec<(Line, Found)>, OvfError> {
    let certificate = files.beside(descriptor, "cert")?;
    if certificate.is_some() {
        let why = "it is not verified: digests are checked, signatures are not";
        unmapped.push(Unmapped::new("package", "the certificate", why));
    }
    let Some(own) = files.beside(descriptor, "mf")? else {
        let why = "there is none: no digest was checked";
        unmapped.push(Unmapped::new("package", "the manifest", why));
        return Ok(Vec::new());
    };
    let bytes = files.read(&own, MANIFEST_LEN_MAX)?;
    let mut lines = Vec::new();
    let mut listed = HashSet::new();
    for line in manifest::parse(&text::decode(&bytes).text)? {
        let mut note = |why| {
            let what = format!("file `{}`", line.file.escape_debug());
            unmapped.push(Unmapped::new("manifest", what, why));
        };
        match files.find(&line.file) {
            // `sha256sum *` lists its own output, and a later signature changes the manifest.
            Ok(found) if found.name == own.name => note("it is the manifest itself"),
            Ok(found) => {
                listed.insert(found.name.clone());
                lines.push((line, found));
            }
            Err(OvfError::Missing { .. } | OvfError::Escapes { .. }) => {
                note("it is not in the package: it was not checked");
            }
            Err(error) => return Err(error),
        }
    }
    let mut named = vec![descriptor.name.clone()];
    for reference in &envelope.files {
        match reference.chunk_len {
            None => named.push(reference.href.clone()),
            Some(_) => {
                let count = packed(files, reference).map_or(0, |packed| packed.slices.len());
                named.extend((0..count).map(|at| chunk_name(&reference.href, at)));
            }
        }
    }
    for name in named {
        let found =
            if name == descriptor.name { Ok(descriptor.clone()) } else { files.find(&name) };
        if found.is_ok_and(|found| !listed.contains(&found.name)) {
            let what = format!("file `{name}`");
            unmapped.push(Unmapped::new("manifest", what, "it is not in it: it was not checked"));
        }
    }
    Ok(lines)
}

fn chunk_name(href: &str, position: usize) -> String {
    format!("{href}.{position:09}")
}

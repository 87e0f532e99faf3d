//! Locates the files of a package in an archive or a folder.
//!
//! # Invariants
//!
//! 1. The target of a name must be within the package, whatever the spelling: a member of the
//!    archive, or a file whose real path is below the folder.
//! 2. An archive is listed, never extracted.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use seawall_store::image::{FileSlice, SlicedFile, Source, Wrapping};

use super::stream::Forward;
use super::{scratch, tar, zip};
use crate::ovf::OvfError;
use crate::ovf::names::{
    Outside, absolute, base, canonical, folder_of, has_scheme, joined, percent_decoded,
};
use crate::spec::Unpack;

/// The maximum number of a folder's entries to search.
const ENTRIES_MAX: usize = 100_000;
/// The number of bytes read to detect a file's kind.
const HEAD_LEN: usize = 512;

/// The files of a package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Files {
    path: PathBuf,
    place: Place,
    /// The descriptor's folder, relative to the package's root. Empty for the root.
    folder: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Archive { members: Vec<Member>, by_name: HashMap<String, usize> },
    Folder(PathBuf),
}

/// A file in an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Member {
    name: String,
    range: Range<u64>,
    steps: Vec<Unpack>,
    len: u64,
}

/// A file of a package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    /// The file's canonical name.
    pub(super) name: String,
    /// The location of the stored bytes.
    pub(super) slice: FileSlice,
    /// The steps that extract the file.
    pub(super) steps: Vec<Unpack>,
    /// The file's length in bytes after extraction.
    pub(super) len: u64,
    /// True if the name differs from the requested one.
    pub(super) is_guess: bool,
}

impl Files {
    /// Finds the files of the package at `path`, and its descriptor.
    ///
    /// The content decides the kind of package: some archives are named `.ovf`, or have no
    /// extension.
    pub(super) fn open(path: &Path) -> Result<(Self, Found), OvfError> {
        let io = |source| OvfError::Io { verb: "open", path: path.to_owned(), source };
        if fs::metadata(path).map_err(io)?.is_dir() {
            return Self::open(&descriptor_in(path)?);
        }
        let whole = SlicedFile::open(&[FileSlice { path: path.to_owned(), range: None }])?;
        let head = head_of(&whole, &[], 0).map_err(io)?;
        let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        let range = 0..whole.source_len();
        let members = if head.starts_with(b"PK\x03\x04") {
            zipped(path, &whole)?
        } else if let Some(wrapping) = Wrapping::of(&head) {
            streamed(path, &whole, range, vec![Unpack::Inflate(wrapping)])?
        } else if tar::is_tar(&head) || (extension.as_deref() == Some("ova") && !is_text(&head)) {
            let found = tar::members(path, &whole)?;
            found.into_iter().map(|it| Member::plain(it.name, it.range)).collect()
        } else if is_text(&head) || extension.as_deref() == Some("ovf") {
            return Self::folder(path);
        } else {
            return Err(OvfError::Unsupported {
                what: format!("{}, which is neither an OVA nor an OVF,", path.display()),
                remedy: "give NAME.ova or NAME.ovf; a disk is given with --machine NAME=DISK"
                    .to_owned(),
            });
        };
        Self::archive(path, members)
    }

    fn archive(path: &Path, members: Vec<Member>) -> Result<(Self, Found), OvfError> {
        let descriptors: Vec<_> =
            members.iter().filter(|it| has_extension(&it.name, "ovf")).collect();
        let bad = |why: String| OvfError::Archive { path: path.to_owned(), offset: 0, why };
        let descriptor = match descriptors[..] {
            [one] => one.clone(),
            [] => return Err(bad("there is no .ovf in it".to_owned())),
            [first, second, ..] => {
                let why =
                    format!("it has several descriptors, `{}` and `{}`", first.name, second.name);
                return Err(bad(why));
            }
        };
        let by_name = members.iter().enumerate().map(|(at, it)| (it.name.clone(), at)).collect();
        let folder = folder_of(&descriptor.name).to_owned();
        let place = Place::Archive { members, by_name };
        let files = Self { path: path.to_owned(), place, folder };
        let found = files.found(&descriptor);
        Ok((files, found))
    }

    fn folder(path: &Path) -> Result<(Self, Found), OvfError> {
        let io = |source| OvfError::Io { verb: "open", path: path.to_owned(), source };
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default().to_owned();
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).map_err(io)?;
        let slice = FileSlice { path: path.to_owned(), range: None };
        let len = fs::metadata(path).map_err(io)?.len();
        let found = Found { name, slice, steps: Vec::new(), len, is_guess: false };
        let place = Place::Folder(folder);
        Ok((Self { path: path.to_owned(), place, folder: String::new() }, found))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_archive(&self) -> bool {
        matches!(self.place, Place::Archive { .. })
    }

    /// Returns the path of a file for errors.
    pub(super) fn shown(&self, href: &str) -> PathBuf {
        match &self.place {
            Place::Archive { .. } => self.path.join(href),
            Place::Folder(_) => self.path.with_file_name(href),
        }
    }

    fn io(&self, verb: &'static str, source: io::Error) -> OvfError {
        OvfError::Io { verb, path: self.path.clone(), source }
    }

    fn found(&self, member: &Member) -> Found {
        let slice = FileSlice { path: self.path.clone(), range: Some(member.range.clone()) };
        let (name, steps, len) = (member.name.clone(), member.steps.clone(), member.len);
        Found { name, slice, steps, len, is_guess: false }
    }

    /// Finds a file by its name in a descriptor or a manifest.
    ///
    /// The name is relative to the descriptor's folder. If no file has exactly this name, the
    /// search decodes a URI's escapes, cuts off an absolute path, and ignores case.
    ///
    /// # Errors
    /// Fails if the name leads out of the package, or if no file matches.
    pub(super) fn find(&self, href: &str) -> Result<Found, OvfError> {
        let decoded = percent_decoded(href);
        let spelled: Vec<_> = [Some(href), decoded.as_deref()].into_iter().flatten().collect();
        let mut outside = None;
        for name in &spelled {
            match joined(&self.folder, name) {
                Ok(name) => {
                    if let Some(found) = self.look(&name)? {
                        return Ok(found);
                    }
                }
                Err(why) => outside = outside.or(Some(why)),
            }
            // Some writers resolve names from the archive's root.
            if let (false, Ok(name)) = (self.folder.is_empty(), canonical(name))
                && let Some(found) = self.look(&name)?
            {
                return Ok(found);
            }
            if let Some(found) = self.look_literally(name)? {
                return Ok(found);
            }
        }
        for name in &spelled {
            if let Some(found) = self.look_around(name)? {
                return Ok(Found { is_guess: true, ..found });
            }
        }
        if spelled.iter().any(|name| has_scheme(name) && absolute(name).is_none()) {
            let why = "it is a URI of something elsewhere; only files of the package are read";
            outside = outside.or(Some(Outside(why)));
        }
        Err(match outside {
            Some(why) => why.of(href),
            None => OvfError::Missing { path: self.path.clone(), href: href.to_owned() },
        })
    }

    /// Returns the file with a canonical name.
    pub(super) fn look(&self, name: &str) -> Result<Option<Found>, OvfError> {
        let folder = match &self.place {
            Place::Archive { members, by_name } => {
                return Ok(by_name.get(name).map(|at| self.found(&members[*at])));
            }
            Place::Folder(folder) => folder,
        };
        self.look_at(name, &folder.join(name))
    }

    /// Returns a file with a backslash in its name. On this system, a backslash is an ordinary
    /// character.
    fn look_literally(&self, name: &str) -> Result<Option<Found>, OvfError> {
        match &self.place {
            Place::Folder(folder) if name.contains('\\') && !name.contains('/') => {
                self.look_at(name, &folder.join(name))
            }
            _ => Ok(None),
        }
    }

    /// Returns the file at a path, if the path is below the folder.
    fn look_at(&self, name: &str, path: &Path) -> Result<Option<Found>, OvfError> {
        let Place::Folder(folder) = &self.place else { return Ok(None) };
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if is_no_such_file(&error) => return Ok(None),
            Err(error) => return Err(self.io("find a file of", error)),
        };
        // A symbolic link beside a descriptor may be hostile, like the descriptor.
        if !path.starts_with(folder) {
            return Err(Outside("it is a link to a file elsewhere").of(name));
        }
        let len = fs::metadata(&path).map_err(|error| self.io("find a file of", error))?.len();
        let (name, slice) = (name.to_owned(), FileSlice { path, range: None });
        Ok(Some(Found { name, slice, steps: Vec::new(), len, is_guess: false }))
    }

    /// Returns the most likely file for a name that no file has exactly.
    fn look_around(&self, name: &str) -> Result<Option<Found>, OvfError> {
        let Some(path) = absolute(name) else {
            let name = joined(&self.folder, name);
            return name.map_or(Ok(None), |name| self.look_in_any_case(&name));
        };
        // The absolute path may be inside of the package.
        if let Place::Folder(folder) = &self.place
            && let Ok(real) = fs::canonicalize(path)
            && let Ok(inside) = real.strip_prefix(folder)
            && let Some(inside) = inside.to_str()
        {
            return self.look_at(inside, &real);
        }
        // The absolute path may be from the machine that wrote the package.
        match joined(&self.folder, base(path)) {
            Ok(name) => self.look(&name),
            Err(_) => Ok(None),
        }
    }

    /// Returns the only file whose name differs at most in case.
    fn look_in_any_case(&self, name: &str) -> Result<Option<Found>, OvfError> {
        let lower = name.to_lowercase();
        let names: Vec<String> = match &self.place {
            Place::Archive { members, .. } => members.iter().map(|it| it.name.clone()).collect(),
            Place::Folder(folder) => {
                let inside = folder_of(name);
                let prefix = if inside.is_empty() { String::new() } else { format!("{inside}/") };
                let entries = fs::read_dir(folder.join(inside)).into_iter().flatten().flatten();
                let names =
                    entries.take(ENTRIES_MAX).filter_map(|it| it.file_name().into_string().ok());
                names.map(|name| format!("{prefix}{name}")).collect()
            }
        };
        let mut alike = names.iter().filter(|it| it.to_lowercase() == lower);
        match (alike.next(), alike.next()) {
            (Some(only), None) => self.look(only),
            _ => Ok(None),
        }
    }

    /// Returns the file with the descriptor's name and another extension.
    pub(super) fn beside(
        &self,
        descriptor: &Found,
        extension: &str,
    ) -> Result<Option<Found>, OvfError> {
        let stem = descriptor.name.rsplit_once('.').map_or(&*descriptor.name, |(stem, _)| stem);
        if let Some(found) = self.look(&format!("{stem}.{extension}"))? {
            return Ok(Some(found));
        }
        if let Some(found) = self.look_in_any_case(&format!("{stem}.{extension}"))? {
            return Ok(Some(found));
        }
        // The archive may have been renamed, so any stem matches.
        Ok(match &self.place {
            Place::Archive { members, .. } => {
                let found = members.iter().find(|member| has_extension(&member.name, extension));
                found.map(|member| self.found(member))
            }
            Place::Folder(_) => None,
        })
    }

    /// Reads a file of at most `len_max` bytes.
    pub(super) fn read(&self, found: &Found, len_max: u64) -> Result<Vec<u8>, OvfError> {
        let source = SlicedFile::open(std::slice::from_ref(&found.slice))?;
        let io = |error| self.io("read", error);
        let stream = scratch::stream(&source, &found.steps).map_err(io)?;
        let mut bytes = Vec::new();
        stream.take(len_max + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > len_max {
            let why = format!("it has more than {len_max} bytes");
            return Err(OvfError::rule(format!("`{}`", found.name), why));
        }
        Ok(bytes)
    }
}

impl Member {
    fn plain(name: String, range: Range<u64>) -> Self {
        let len = range.end - range.start;
        Self { name, range, steps: Vec::new(), len }
    }
}

/// Returns true if a file is an archive, and is not compressed as a whole.
pub(super) fn is_archive(path: &Path) -> bool {
    let whole = SlicedFile::open(&[FileSlice { path: path.to_owned(), range: None }]);
    let head = whole.map(|whole| head_of(&whole, &[], 0));
    matches!(head, Ok(Ok(head)) if head.starts_with(b"PK\x03\x04") || tar::is_tar(&head))
}

/// Returns the members of a zip archive, or of the single OVA in it.
fn zipped(path: &Path, whole: &SlicedFile) -> Result<Vec<Member>, OvfError> {
    let found = zip::members(path, whole)?;
    let packages = || found.iter().filter(|it| has_extension(&it.name, "ova"));
    if !found.iter().any(|it| has_extension(&it.name, "ovf"))
        && let (Some(package), None) = (packages().next(), packages().nth(1))
    {
        return streamed(path, whole, package.range.clone(), package.steps.clone());
    }
    let member = |it: zip::Member| {
        let zip::Member { name, range, steps, len } = it;
        Member { name, range, steps, len }
    };
    Ok(found.into_iter().map(member).collect())
}

/// Returns the members of a tar archive, which `steps` extract from a range of the file.
fn streamed(
    path: &Path,
    whole: &SlicedFile,
    range: Range<u64>,
    mut steps: Vec<Unpack>,
) -> Result<Vec<Member>, OvfError> {
    let io = |source| OvfError::Io { verb: "read", path: path.to_owned(), source };
    let slice = FileSlice { path: path.to_owned(), range: Some(range.clone()) };
    let source = SlicedFile::open(&[slice])?;
    // A zip archive may contain an OVA with another compression.
    steps.extend(Wrapping::of(&head_of(&source, &steps, 0).map_err(io)?).map(Unpack::Inflate));
    if !tar::is_tar(&head_of(&source, &steps, 0).map_err(io)?) {
        return Err(OvfError::Unsupported {
            what: format!("{}, in which there is no OVA,", path.display()),
            remedy: "unpack it and give the .ova or .ovf; a disk is given with --machine NAME=DISK"
                .to_owned(),
        });
    }
    debug_assert!(range.end <= whole.source_len(), "it was listed in the file");
    let stream = scratch::stream(&source, &steps).map_err(io)?;
    let found = tar::members(path, &Forward::new(stream))?;
    let member = |it: tar::Member| {
        let part = Unpack::Part(it.range.clone());
        let steps = steps.iter().cloned().chain([part]).collect();
        Member { name: it.name, range: range.clone(), steps, len: it.range.end - it.range.start }
    };
    Ok(found.into_iter().map(member).collect())
}

/// Returns the first bytes that `steps` extract from a source, after `skip` bytes.
pub(super) fn head_of(source: &SlicedFile, steps: &[Unpack], skip: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut stream = scratch::stream(source, steps)?;
    scratch::skip(&mut stream, skip)?;
    match stream.take(HEAD_LEN as u64).read_to_end(&mut head) {
        // Broken compressed data: the bytes read so far decide.
        Err(error) if !steps.is_empty() && error.kind() != io::ErrorKind::Interrupted => Ok(head),
        read => read.map(|_| head),
    }
}

/// Returns true if bytes begin like XML, in any encoding.
fn is_text(head: &[u8]) -> bool {
    let text = crate::ovf::text::decode(head).text;
    text.starts_with('<')
}

/// Returns the only descriptor in a folder.
fn descriptor_in(folder: &Path) -> Result<PathBuf, OvfError> {
    let io = |source| OvfError::Io { verb: "read", path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)?.take(ENTRIES_MAX) {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if has_extension(name, "ovf") && !tar::is_apple_double(name) {
            found.push(path);
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        count => Err(OvfError::Unsupported {
            what: format!("the folder {}, which has {count} .ovf files,", folder.display()),
            remedy: "give the path of one .ovf or .ova".to_owned(),
        }),
    }
}

fn is_no_such_file(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput)
}

pub(super) fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

//! Pull, stages 2 and 5: the destination of a release.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_api::release::Release;
use seawall_store::image::layout::ExportFormat;

use super::sink::Sink;
use super::site::{self, Site};
use super::{Pull, PullError};
use crate::directory::{self, Described, Directory, DiskLayout, DiskTimes, LockedDisk, Lockfile};
use crate::error::ErrorKind;
use crate::fetch::{Deliver, Origin, Place, SeedPlace, Seeds, Want};
use crate::folder::{Folder, FolderPath, Untouchable, mode};
use crate::host::{Holding, HostError};
use crate::patch::keep_or_discard;
use crate::room::Room;
use crate::verify;

/// The state of the destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// The destination is empty or holds only a lockfile, which the new one replaces.
    Free,
    /// The destination holds exactly the wanted disks, by its lockfile.
    Present,
}

/// Inspects the destination. Fails if other content is in the way.
pub(super) fn look(pull: &Pull, lock: &Lockfile) -> Result<Target, PullError> {
    let into = &pull.into;
    let in_the_way = || PullError::InTheWay { path: into.clone() };
    let folder = match Folder::open(into) {
        Ok(folder) => folder,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // A dangling link occupies the name as well.
            return if into.symlink_metadata().is_ok() {
                Err(in_the_way())
            } else {
                Ok(Target::Free)
            };
        }
        Err(error) if error.source.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(in_the_way());
        }
        Err(error) => return Err(error.into()),
    };
    let names = site::names(into, &folder)?;
    if names.is_empty() {
        return Ok(Target::Free);
    }
    let Some(present) = Lockfile::below(&folder)? else {
        return Err(PullError::NotEmpty { directory: into.clone() });
    };
    let is_bare = names.len() == 1;
    if present.has_disks_of(lock) {
        return Ok(if is_bare { Target::Free } else { Target::Present });
    }
    if is_bare && pull.locked.is_none() {
        return Ok(Target::Free);
    }
    let directory = into.clone();
    let is_same = present.release == lock.release;
    let present = format!("{}:{}", present.application, present.version);
    Err(match is_same {
        true => PullError::OtherDisks { directory, present },
        false => PullError::OtherRelease { directory, present },
    })
}

/// Returns the destination's absolute path as used in descriptors. The destination need not exist.
pub(super) fn place(into: &Path) -> PathBuf {
    let found = fs::canonicalize(into).or_else(|_| {
        let name = into.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
        let parent = into.parent().filter(|parent| *parent != Path::new(""));
        Ok::<_, std::io::Error>(fs::canonicalize(parent.unwrap_or(Path::new(".")))?.join(name))
    });
    found.unwrap_or_else(|_| into.to_owned())
}

/// Verifies the existing disks by hashing them.
pub(super) async fn verify(pull: &Pull, lock: &Lockfile) -> Result<(), PullError> {
    let progress = Arc::clone(&pull.progress);
    let report = verify::verify_dir(&pull.into, pull.threads, progress).await?;
    if let Some(damage) = report.damage.first() {
        return Err(PullError::PresentDamaged {
            directory: pull.into.clone(),
            disk: damage.object.clone(),
        });
    }
    if let Some(modified) = report.modified.first() {
        return Err(PullError::PresentModified {
            directory: pull.into.clone(),
            disk: modified.object.clone(),
            remedy: keep_or_discard(&pull.into, &lock.application, lock.release).into(),
        });
    }
    let place = fs::canonicalize(&pull.into).unwrap_or(pull.into.clone());
    // Every byte was verified, so the current times of the files are recorded as those of the
    // release.
    DiskTimes::note(&Folder::open(&place)?, lock)?;
    pull.state.hold(&Holding::of(&place, lock));
    Ok(())
}

/// Describes an existing directory for the requested hosts and for those described already.
pub(super) fn describe(pull: &Pull, release: &Release) -> Result<Vec<Described>, PullError> {
    if pull.descriptors.is_empty() {
        return Ok(Vec::new());
    }
    let directory = Directory::open(&pull.into)?;
    let (lock, _) = Lockfile::of_folder(directory.folder())?;
    let lock = lock.described_for(&pull.descriptors);
    let root = directory.root();
    let descriptions = directory::describe(root, release, &lock)?;
    directory.describe(root, release, &lock)?;
    Ok(Described::of(root, descriptions))
}

/// The directory in which a release is assembled.
pub(super) struct Staging {
    directory: Directory,
    site: Site,
    is_resumed: bool,
}

/// The file in a staging directory that names the release and disks being pulled.
pub(super) const MARK: &str = ".seawall/pulling";
/// The longest mark in bytes.
const MARK_LEN_MAX: u64 = 16 << 20;

impl Staging {
    /// Opens the staging directory of a pull. Removes leftovers of a pull of other disks.
    ///
    /// If others have write access to the parent folder, they may have planted the directory. A
    /// link is refused. So is a directory that belongs neither to this user nor to the owner of the
    /// parent folder: its owner could change verified disks.
    pub(super) fn open(pull: &Pull, lock: &Lockfile) -> Result<Self, PullError> {
        let site = Site::of(&pull.into)?;
        let folder = site.staging()?;
        refuse_foreign(site.parent(), &folder)?;
        let directory = Directory::of(folder)?;
        let is_resumed = resume(directory.folder(), lock)?;
        Ok(Self { directory, site, is_resumed })
    }

    /// Fails if the data of these disks does not fit, not counting the data staged already.
    pub(super) fn check_room(&self, lock: &Lockfile, data_bytes: u64) -> Result<(), PullError> {
        let root = self.directory.root();
        let blocks =
            |disk: &LockedDisk| fs::metadata(root.join(&disk.file)).map_or(0, |it| it.blocks());
        let there: u64 = lock.disks.iter().map(|disk| blocks(disk) * 512).sum();
        Ok(Room::of(root, data_bytes.saturating_sub(there)).check()?)
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Returns the destination of the directory.
    pub(super) fn place(&self) -> &Path {
        self.site.place()
    }

    /// Returns whether an earlier pull of the same disks left data in the directory.
    pub(super) fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Opens the disks' files for writing.
    pub(super) fn assembly(
        &self,
        lock: &Lockfile,
        layouts: &[DiskLayout],
        seeds: Seeds,
        format: ExportFormat,
    ) -> Result<Assembly, PullError> {
        let mut sinks = Vec::with_capacity(layouts.len());
        for (disk, layout) in lock.disks.iter().zip(layouts) {
            let (folder, runs) = (self.directory.folder(), layout.data_runs()?);
            folder.make_folder_of(&disk.file, mode::FOLDER)?;
            let place = (folder, &disk.file);
            sinks.push(Sink::create(place, format, layout.index(), runs.into_iter())?);
        }
        Ok(Assembly { sinks, seeds })
    }

    /// Makes the release durable, then visible.
    pub(super) async fn commit(
        self,
        pull: &Pull,
        release: &Release,
        lock: &Lockfile,
        assembly: &Arc<Assembly>,
    ) -> Result<PathBuf, PullError> {
        let assembly = Arc::clone(assembly);
        let sync = move || assembly.sinks.iter().try_for_each(Sink::sync);
        tokio::task::spawn_blocking(sync).await.map_err(|_| PullError::Defect)??;
        DiskTimes::note(self.directory.folder(), lock)?;
        self.directory.describe(self.site.place(), release, lock)?;
        let place = self.site.commit(&self.directory)?;
        // After the rename, so that a pull whose rename fails can be resumed.
        let mark = Folder::open(&place).and_then(|it| it.remove(&FolderPath::composed(MARK)));
        if let Err(error) = mark {
            let why = &error.source;
            pull.progress.note(&format!("warning: {error}: {why}; it is no longer needed"));
        }
        pull.state.hold(&Holding::of(&place, lock));
        Ok(place)
    }
}

/// Fails if another user owns a staging directory.
fn refuse_foreign(parent: &Folder, staging: &Folder) -> Result<(), HostError> {
    let owner = |folder: &Folder| {
        let found = rustix::fs::fstat(folder.handle());
        found.map_err(|errno| HostError::new("inspect", folder.path(), errno.into()))
    };
    let (above, found) = (owner(parent)?.st_uid, owner(staging)?.st_uid);
    if found == rustix::process::geteuid().as_raw() || found == above {
        return Ok(());
    }
    let foreign = std::io::Error::other(Untouchable::Foreign { owner: found });
    Err(HostError::new("use", staging.path(), foreign))
}

/// Returns whether a staging directory holds parts of these disks. Removes any other content.
fn resume(folder: &Folder, lock: &Lockfile) -> Result<bool, HostError> {
    let mark = FolderPath::composed(MARK);
    // The mark lists the files: a partial disk of a deselected machine must not be published.
    let files: Vec<_> = lock.disks.iter().map(|disk| disk.file.to_string()).collect();
    let wanted = format!("{}\n{}", lock.release, files.join("\n"));
    if folder.read(&mark, MARK_LEN_MAX).is_ok_and(|found| found == wanted.as_bytes()) {
        return Ok(true);
    }
    for name in folder.names(usize::MAX)? {
        folder.remove_tree(&FolderPath::composed(name))?;
    }
    folder.make_folder_of(&mark, mode::OWN_FOLDER)?;
    folder.replace(&mark, wanted.as_bytes(), mode::FILE)?;
    Ok(false)
}

/// The disks being written, and their seeds.
pub(super) struct Assembly {
    sinks: Vec<Sink>,
    seeds: Seeds,
}

impl Assembly {
    pub(super) fn seeds(&self) -> &Seeds {
        &self.seeds
    }
}

impl Deliver for Assembly {
    fn deliver(&self, want: &Want, plain: &[u8], origin: Origin<'_>) -> Result<(), HostError> {
        for place in &want.places {
            let own = SeedPlace { seed: place.disk, offset: place.offset };
            // A chunk that was verified in place is not written again.
            if !matches!(origin, Origin::Seed(seed) if seed == own) {
                let Place { disk, offset } = *place;
                self.sinks[disk].write_at(offset, plain)?;
            }
        }
        Ok(())
    }

    fn read_seed(&self, place: SeedPlace, plain: &mut [u8]) -> bool {
        match place.seed.checked_sub(self.sinks.len()) {
            Some(seed) => self.seeds.read(SeedPlace { seed, ..place }, plain),
            None => self.sinks[place.seed].read_at(place.offset, plain),
        }
    }
}

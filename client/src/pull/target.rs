//! Pull, stages 2 and 5: the place a release goes to.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_api::release::Release;
use seawall_store::image::layout::ExportFormat;

use super::seeds::Seeds;
use super::sink::Sink;
use super::{Pull, PullError};
use crate::directory::{
    self, Described, Directory, DiskLayout, DiskTimes, IndexCache, LOCKFILE, Lockfile,
};
use crate::fetch::{Deliver, Origin, Place, SeedPlace, Want};
use crate::host::{Holding, HostError, HostState};
use crate::patch::keep_or_discard;
use crate::verify;

/// What lies where the release is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// Nothing, or a lockfile alone, which the one that is pulled replaces.
    Free,
    /// The very disks that are wanted, by their lockfile.
    Present,
}

/// Looks at the place; anything but nothing or the same is refused.
pub(super) fn look(pull: &Pull, lock: &Lockfile) -> Result<Target, PullError> {
    let into = &pull.into;
    let names: Vec<_> = match fs::read_dir(into) {
        Ok(entries) => entries.take(2).flatten().map(|entry| entry.file_name()).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(HostError::new("open", into, source).into()),
    };
    if names.is_empty() {
        return Ok(Target::Free);
    }
    let path = into.join(LOCKFILE);
    if !path.exists() {
        return Err(PullError::NotEmpty { directory: into.clone() });
    }
    let present = Lockfile::read(&path)?;
    let is_bare = names.len() == 1;
    if present.has_disks_of(lock) {
        return Ok(if is_bare { Target::Free } else { Target::Present });
    }
    if is_bare && pull.locked.is_none() {
        return Ok(Target::Free);
    }
    Err(PullError::OtherRelease {
        directory: into.clone(),
        present: format!("{}:{}", present.application, present.version),
    })
}

/// The place as descriptors name it: absolute, though nothing may be there yet.
pub(super) fn place(into: &Path) -> PathBuf {
    let found = fs::canonicalize(into).or_else(|_| {
        let name = into.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
        let parent = into.parent().filter(|parent| *parent != Path::new(""));
        Ok::<_, std::io::Error>(fs::canonicalize(parent.unwrap_or(Path::new(".")))?.join(name))
    });
    found.unwrap_or_else(|_| into.to_owned())
}

/// Hashes what is there already.
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
    // Every byte was read: whatever touched the files left them as they were.
    DiskTimes::note(&place, lock)?;
    pull.state.hold(&Holding::of(&place, lock));
    Ok(())
}

/// Describes what is there for the hosts that were asked for, and for those it is described for.
pub(super) fn describe(pull: &Pull, release: &Release) -> Result<Vec<Described>, PullError> {
    if pull.descriptors.is_empty() {
        return Ok(Vec::new());
    }
    let directory = Directory::open(&pull.into)?;
    let (lock, _) = Lockfile::of_directory(directory.root())?;
    let lock = lock.described_for(&pull.descriptors);
    let root = directory.root();
    let descriptions = directory::describe(root, release, &lock)?;
    directory.describe(root, release, &lock)?;
    Ok(Described::of(root, descriptions))
}

/// A folder for a plan's indexes, removed with the value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(state: &HostState) -> Result<Self, HostError> {
        let root = state.scratch();
        fs::create_dir_all(&root).map_err(|e| HostError::new("create", &root, e))?;
        Ok(Self(root))
    }

    pub(crate) fn indexes(&self) -> IndexCache {
        IndexCache::new(self.0.clone())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The directory beside the place, in which the release is assembled.
pub(super) struct Staging {
    directory: Directory,
    /// Where it will be.
    place: PathBuf,
    is_resumed: bool,
}

/// The file in a staging directory that says what is being pulled.
const MARK: &str = "pulling";

impl Staging {
    /// Opens the staging directory of a pull; what a pull of other disks left there is removed.
    pub(super) fn open(pull: &Pull, lock: &Lockfile) -> Result<Self, PullError> {
        let name = pull.into.file_name().ok_or(PullError::NoName { into: pull.into.clone() })?;
        let mut staged = OsString::from(".");
        staged.push(name);
        staged.push(".seawall-pull");
        let root = pull.into.with_file_name(staged);
        let directory = Directory::open_or_create(&root)?;
        let mark = directory.root().join(MARK);
        // Disks of machines that are no longer wanted would be let through half done.
        let files: Vec<_> = lock.disks.iter().map(|disk| disk.file.to_string_lossy()).collect();
        let wanted = format!("{}\n{}", lock.release, files.join("\n"));
        let is_resumed = fs::read(&mark).is_ok_and(|found| found == wanted.as_bytes());
        if !is_resumed {
            for entry in fs::read_dir(directory.root()).into_iter().flatten().flatten() {
                let path = entry.path();
                let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let removed =
                    if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(|e| HostError::new("remove", &path, e))?;
            }
            fs::write(&mark, wanted).map_err(|e| HostError::new("write", &mark, e))?;
        }
        let place = directory.root().with_file_name(name);
        Ok(Self { directory, place, is_resumed })
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Where the directory will be.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// Whether an earlier pull of the same release left something here.
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
            let path = self.directory.place(&disk.file)?;
            let runs = layout.data_runs()?;
            sinks.push(Sink::create(&path, format, layout.index(), runs.into_iter())?);
        }
        Ok(Assembly { sinks, seeds })
    }

    /// Makes everything durable, then visible.
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
        DiskTimes::note(self.directory.root(), lock)?;
        self.directory.describe(&self.place, release, lock)?;
        let place = self.directory.rename_to(&pull.into)?;
        // After the rename: a pull that fails there finds its whole download again.
        let mark = place.join(MARK);
        fs::remove_file(&mark).map_err(|e| HostError::new("remove", &mark, e))?;
        pull.state.hold(&Holding::of(&place, lock));
        Ok(place)
    }
}

/// The disks being written and the seeds they may be written from.
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
            // What lies in place and was just hashed is not written again.
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

//! Depots written by real pushes and read by real pulls, over media that count, fail and lie.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use seawall_api::names::ApplicationName;
use seawall_store::backend::{Bucket, Listed};
use seawall_store::image::layout::ExportFormat;

use super::*;
use crate::depot::medium::{Medium, StoredFiles};
use crate::disk::DiskAccess;
use crate::error::{ErrorKind, Failure};
use crate::host::HostState;
use crate::progress::Silent;
use crate::pull::{Pull, PullError, pull};
use crate::push::{Push, PushError, PushReport, push};
use crate::registry::{Expect, Reading, Writing};
use crate::spec::flags;

/// The length of a test's disk in bytes.
const DISK_LEN: usize = 6 << 20;

/// Files in memory that count requests and fail from a chosen write on.
#[derive(Clone)]
struct Watched {
    files: Arc<StoredFiles>,
    requests: Arc<Mutex<Vec<String>>>,
    writes: Arc<AtomicUsize>,
    fails_from: usize,
}

impl Watched {
    fn new() -> Self {
        let files = Arc::new(StoredFiles::new(Bucket::in_memory(), "memory"));
        let (requests, writes) = <_>::default();
        Self { files, requests, writes, fails_from: usize::MAX }
    }

    fn failing_from(&self, write: usize) -> Self {
        Self { fails_from: write, writes: <_>::default(), ..self.clone() }
    }

    fn note(&self, verb: &str, path: &str) {
        self.requests.lock().unwrap().push(format!("{verb} {path}"));
    }

    fn before_write(&self) -> Result<(), RegistryError> {
        if self.writes.fetch_add(1, Ordering::SeqCst) < self.fails_from {
            return Ok(());
        }
        let why = "injected fault".to_owned();
        Err(RegistryError::Protocol { what: "write".to_owned(), why })
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    async fn paths(&self, folder: &str) -> Vec<String> {
        let listed = self.files.list(folder).await.unwrap();
        let mut paths: Vec<_> = listed.into_iter().map(|it| it.path).collect();
        paths.sort();
        paths
    }
}

#[async_trait::async_trait]
impl Medium for Watched {
    fn address(&self) -> &str {
        "memory"
    }

    async fn read(&self, path: &str, len_max: u64) -> Result<Option<Bytes>, RegistryError> {
        self.note("GET", path);
        self.files.read(path, len_max).await
    }

    async fn range(&self, path: &str, range: Range<u64>) -> Result<Bytes, RegistryError> {
        self.note("RANGE", path);
        self.files.range(path, range).await
    }
}

#[async_trait::async_trait]
impl Writable for Watched {
    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), RegistryError> {
        self.note("PUT", path);
        self.before_write()?;
        self.files.write(path, bytes).await
    }

    async fn remove(&self, path: &str) -> Result<(), RegistryError> {
        self.note("DELETE", path);
        self.before_write()?;
        self.files.remove(path).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<Listed>, RegistryError> {
        self.note("LIST", folder);
        self.files.list(folder).await
    }
}

fn now() -> u64 {
    1_800_000_000
}

fn later() -> u64 {
    now() + 90_000
}

fn owner(mirror: &str) -> Owner {
    static RUNS: AtomicUsize = AtomicUsize::new(1);
    let nonce = format!("{:032x}", RUNS.fetch_add(1, Ordering::SeqCst));
    Owner { mirror: mirror.to_owned(), nonce, channels_expire_in_secs: None }
}

async fn created(medium: &Watched) -> Arc<Depot> {
    Arc::new(Depot::create(Arc::new(medium.clone()), owner("registry"), now).await.unwrap())
}

async fn opened(medium: &Watched) -> Arc<Depot> {
    Arc::new(Depot::open(Arc::new(medium.clone()), now).await.unwrap())
}

fn application() -> ApplicationName {
    "team/web".parse().unwrap()
}

/// Returns a disk whose MiB `changed` differs by `seed`.
fn disk(seed: u8, changed: usize) -> Vec<u8> {
    let mut bytes = vec![0; DISK_LEN];
    blake3::Hasher::new().update(b"disk").finalize_xof().fill(&mut bytes[..5 << 20]);
    let part = &mut bytes[changed << 20..][..1 << 20];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(part);
    bytes
}

fn host(dir: &Path) -> HostState {
    HostState::new(dir.join("state"), || SystemTime::UNIX_EPOCH)
}

async fn pushed(depot: &Arc<Depot>, version: &str, bytes: &[u8]) -> Result<PushReport, PushError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.raw");
    std::fs::write(&path, bytes).unwrap();
    push(Push {
        registry: Arc::clone(depot) as Arc<dyn Writing>,
        spec: flags::describe(vec![format!("web={}", path.display()).parse().unwrap()]).unwrap(),
        package: None,
        application: application(),
        version: version.parse().unwrap(),
        parent: None,
        full_scan: true,
        access: DiskAccess::default(),
        state: host(dir.path()),
        progress: Arc::new(Silent),
        threads: 2,
    })
    .await
}

async fn pulled(depot: Arc<Depot>, selector: &str) -> Result<Vec<u8>, PullError> {
    let dir = tempfile::tempdir().unwrap();
    let into: PathBuf = dir.path().join("host");
    pull(Pull {
        registry: depot,
        application: application(),
        selector: selector.parse().unwrap(),
        into: into.clone(),
        format: ExportFormat::Raw,
        machines: Vec::new(),
        descriptors: Vec::new(),
        locked: None,
        state: host(dir.path()),
        progress: Arc::new(Silent),
        threads: 1,
    })
    .await?;
    Ok(std::fs::read(into.join("web/disk0.raw")).unwrap())
}

async fn promoted(depot: &Depot, version: &str, expect: Expect) -> Result<(), RegistryError> {
    let release = depot.release(&application(), &version.parse().unwrap()).await?.digest();
    let stable = "stable".parse().unwrap();
    depot.move_channel(&application(), &stable, expect, release).await.map(drop)
}

#[tokio::test]
async fn what_is_pushed_to_a_depot_is_pulled_from_it_with_few_requests() {
    let medium = Watched::new();
    let depot = created(&medium).await;
    pushed(&depot, "1.0", &disk(1, 0)).await.unwrap();
    promoted(&depot, "1.0", Expect::New).await.unwrap();
    depot.end().await.unwrap();
    let requests = medium.requests();
    assert!(requests.len() <= 20, "{requests:#?}");
    assert_eq!(medium.paths("mirror").await, [""; 0]);

    let bytes = pulled(opened(&medium).await, "stable").await.unwrap();
    assert!(bytes == disk(1, 0));
    let requests = medium.requests();
    assert!(requests.len() <= 10, "{requests:#?}");

    // Another run sends what changed.
    let depot = created(&medium).await;
    let report = pushed(&depot, "1.1", &disk(2, 3)).await.unwrap();
    promoted(&depot, "1.1", Expect::Sequence(1)).await.unwrap();
    depot.end().await.unwrap();
    assert!(report.reuse.sent_bytes < 3 << 20, "{report:?}");
    let requests = medium.requests();
    assert!(requests.len() <= 20, "{requests:#?}");
    for (selector, bytes) in [("1.0", disk(1, 0)), ("stable", disk(2, 3))] {
        assert!(pulled(opened(&medium).await, selector).await.unwrap() == bytes, "{selector}");
    }
    let depot = opened(&medium).await;
    let page = depot.releases(&application(), None).await.unwrap();
    let versions: Vec<_> = page.releases.iter().map(|it| it.version.as_str()).collect();
    assert_eq!(versions, ["1.1", "1.0"]);
    assert_eq!(page.releases[0].channels[0].as_str(), "stable");
    assert_eq!(page.releases[0].data_bytes, 5 << 20);
    assert_eq!(depot.applications(None).await.unwrap().applications[0].release_count, 2);
    let moves = depot.channel_history(&application(), &"stable".parse().unwrap()).await.unwrap();
    assert_eq!(moves.len(), 2);
}

/// Dies at each write in turn, and runs again over what is left.
#[tokio::test]
async fn a_copy_that_dies_at_any_write_shows_nothing_half_and_is_finished_by_the_next() {
    let before = disk(1, 0);
    for at in 0.. {
        let medium = Watched::new();
        let depot = created(&medium).await;
        pushed(&depot, "1.0", &before).await.unwrap();
        promoted(&depot, "1.0", Expect::New).await.unwrap();
        depot.end().await.unwrap();

        let failing = medium.failing_from(at);
        let dying = Depot::create(Arc::new(failing.clone()), owner("registry"), now).await.unwrap();
        let dying = Arc::new(dying);
        let run = async {
            pushed(&dying, "1.1", &disk(2, 3)).await.map_err(|error| error.to_string())?;
            promoted(&dying, "1.1", Expect::Sequence(1)).await.map_err(|e| e.to_string())?;
            dying.end().await.map_err(|error| error.to_string())
        };
        let outcome = run.await;
        let has_failed = failing.writes.load(Ordering::SeqCst) > at;
        assert_eq!(outcome.is_err(), has_failed, "write {at}: {outcome:?}");

        // Whoever reads sees a whole release.
        assert!(pulled(opened(&medium).await, "1.0").await.unwrap() == before, "write {at}");
        match pulled(opened(&medium).await, "1.1").await {
            Ok(bytes) => assert!(bytes == disk(2, 3), "write {at}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "write {at}: {error}"),
        }
        let stable = pulled(opened(&medium).await, "stable").await.unwrap();
        assert!(stable == before || stable == disk(2, 3), "write {at}");

        let depot = created(&medium).await;
        let report = pushed(&depot, "1.1", &disk(2, 3)).await.unwrap();
        let stable = depot.channel(&application(), &"stable".parse().unwrap()).await.unwrap();
        if stable.unwrap().sequence == 1 {
            promoted(&depot, "1.1", Expect::Sequence(1)).await.unwrap();
        }
        depot.end().await.unwrap();
        assert!(pulled(opened(&medium).await, "stable").await.unwrap() == disk(2, 3));
        assert_eq!(medium.paths("mirror").await, [""; 0], "write {at}");
        assert_eq!(medium.paths("packs").await.len(), 2, "write {at}: {report:?}");
        if !has_failed {
            assert!(at > 5, "few writes were made to fail: {at}");
            return;
        }
    }
}

#[tokio::test]
async fn a_depot_of_another_mirror_is_refused_and_so_is_a_folder_with_files() {
    let medium = Watched::new();
    let depot = created(&medium).await;
    pushed(&depot, "1.0", &disk(1, 0)).await.unwrap();
    let other = Depot::create(Arc::new(medium.clone()), owner("other"), now).await;
    let error = other.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("belongs to the mirror of registry, not of other"));

    let medium = Watched::new();
    medium.files.write("holiday.jpg", "x".into()).await.unwrap();
    let error = Depot::create(Arc::new(medium.clone()), owner("x"), now).await.err().unwrap();
    assert!(error.to_string().contains("is no depot"), "{error}");
    let error = Depot::open(Arc::new(medium), now).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn the_earlier_of_two_runs_stops_before_its_next_document() {
    let medium = Watched::new();
    let (first, second) = (created(&medium).await, created(&medium).await);
    pushed(&first, "1.0", &disk(1, 0)).await.unwrap();
    let second = {
        drop(second);
        created(&medium).await
    };
    pushed(&second, "1.1", &disk(2, 3)).await.unwrap();
    let error = pushed(&first, "1.2", &disk(3, 3)).await.unwrap_err();
    assert!(error.to_string().contains("another run of this mirror"), "{error}");
    assert!(error.remedy().unwrap().contains("run the command again"));
    assert!(pulled(opened(&medium).await, "1.1").await.unwrap() == disk(2, 3));
}

#[tokio::test]
async fn a_depot_that_lies_or_lost_objects_fails_a_pull_and_says_why() {
    let medium = Watched::new();
    let depot = created(&medium).await;
    pushed(&depot, "1.0", &disk(1, 0)).await.unwrap();
    depot.end().await.unwrap();
    let folders = [
        ("packs", ErrorKind::Damaged),
        ("maps", ErrorKind::Damaged),
        ("releases", ErrorKind::Damaged),
    ];
    for (folder, kind) in folders {
        let path = medium.paths(folder).await.remove(0);
        let good = medium.files.read(&path, 1 << 30).await.unwrap().unwrap();
        let mut bad = good.to_vec();
        let middle = bad.len() / 2;
        bad[middle] ^= 0x55;
        medium.files.write(&path, bad.into()).await.unwrap();
        let error = pulled(opened(&medium).await, "1.0").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{folder}: {error}");
        medium.files.write(&path, good.slice(..good.len() / 2)).await.unwrap();
        pulled(opened(&medium).await, "1.0").await.unwrap_err();
        medium.files.remove(&path).await.unwrap();
        let error = pulled(opened(&medium).await, "1.0").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{folder}: {error}");
        medium.files.write(&path, good).await.unwrap();
    }
    assert!(pulled(opened(&medium).await, "1.0").await.unwrap() == disk(1, 0));
}

#[tokio::test]
async fn channels_expire_and_versions_do_not() {
    let medium = Watched::new();
    let owner = Owner { channels_expire_in_secs: Some(86_400), ..owner("registry") };
    let depot = Arc::new(Depot::create(Arc::new(medium.clone()), owner, now).await.unwrap());
    pushed(&depot, "1.0", &disk(1, 0)).await.unwrap();
    promoted(&depot, "1.0", Expect::New).await.unwrap();
    assert!(pulled(opened(&medium).await, "stable").await.unwrap() == disk(1, 0));
    let late = || async { Arc::new(Depot::open(Arc::new(medium.clone()), later).await.unwrap()) };
    let error = pulled(late().await, "stable").await.unwrap_err();
    assert!(error.to_string().contains("expired 3600 s ago"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(pulled(late().await, "1.0").await.unwrap() == disk(1, 0));
}

#[tokio::test]
async fn a_prune_waits_for_readers_and_leaves_foreign_files_alone() {
    let medium = Watched::new();
    let depot = created(&medium).await;
    pushed(&depot, "1.0", &disk(1, 0)).await.unwrap();
    pushed(&depot, "1.1", &disk(2, 3)).await.unwrap();
    depot.end().await.unwrap();
    medium.files.write("packs/README", "mine".into()).await.unwrap();
    let reader = opened(&medium).await;
    let all = medium.paths("").await;

    let depot = created(&medium).await;
    depot.withdraw(&application(), &["1.1".parse().unwrap()]).await.unwrap();
    let pruned = depot.prune(86_400).await.unwrap();
    assert_eq!(pruned.deleted_count, 0);
    assert_eq!(pruned.condemned_count, 3, "a pack, a map, a document: {all:#?}");
    assert_eq!(created(&medium).await.prune(86_400).await.unwrap(), pruned, "not yet");
    assert!(pulled(reader, "1.0").await.unwrap() == disk(1, 0));

    let depot = Depot::create(Arc::new(medium.clone()), owner("registry"), later).await.unwrap();
    let deleted = depot.prune(86_400).await.unwrap();
    assert_eq!((deleted.deleted_count, deleted.condemned_count), (3, 0));
    assert!(pulled(opened(&medium).await, "1.0").await.unwrap() == disk(1, 0));
    assert_eq!(medium.paths("packs").await.len(), 2, "a pack, and the file of somebody else");
    let gone = pulled(opened(&medium).await, "1.1").await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);

    // What comes back is sent again.
    let depot = created(&medium).await;
    pushed(&depot, "1.1", &disk(2, 3)).await.unwrap();
    assert!(pulled(opened(&medium).await, "1.1").await.unwrap() == disk(2, 3));
}

#[tokio::test]
async fn an_unreadable_map_stops_a_prune() {
    let medium = Watched::new();
    let depot = created(&medium).await;
    pushed(&depot, "1.0", &disk(1, 0)).await.unwrap();
    let map = medium.paths("maps").await.remove(0);
    medium.files.write(&map, "torn".into()).await.unwrap();
    let before = medium.paths("").await;
    let error = depot.prune(0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(medium.paths("").await, before);
}

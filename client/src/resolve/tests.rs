//! Tests of the stage and of the flows that begin with it, against a hand-written registry.

use std::path::Path;
use std::time::{Duration, SystemTime};

use seawall_api::digest::ContentDigest;
use seawall_api::index::{DiskIndex, Leaf, LeafRef};
use seawall_api::units::DiskLen;
use seawall_store::content::LeafHasher;
use seawall_store::image::layout::ExportFormat;

use super::*;
use crate::directory::{IndexCache, Lockfile};
use crate::error::ErrorKind;
use crate::folder::Folder;
use crate::host::HostState;
use crate::progress::Silent;
use crate::pull::{Pull, PullError, pull};
use crate::registry::http::tests::server::{Act, Server, http, ok};
use crate::spec::{DiskContent, flags};

/// The length in bytes of the disk: a hole, whose leaf is known without a fetch.
const DISK_LEN: u64 = 4096;
/// The time that the registry takes for an index: several renewals of a lease of one second.
const SLOW: Duration = Duration::from_millis(900);

fn application() -> ApplicationName {
    "team/web".parse().unwrap()
}

fn stable() -> Selector {
    "stable".parse().unwrap()
}

fn index() -> DiskIndex {
    let mut hasher = LeafHasher::new(0, true);
    hasher.update_zeros(DISK_LEN);
    let leaf = LeafRef { digest: Leaf::hole(DISK_LEN).digest(), value: hasher.finish() };
    DiskIndex::new(DiskLen::new(DISK_LEN).unwrap(), 0, vec![leaf]).unwrap()
}

/// Returns a release with one disk of this content.
fn release(content: ContentDigest) -> Release {
    let spec = flags::describe(vec!["web=a".parse().unwrap()]).unwrap();
    let content = |_: &_, _: &_| {
        let len = DiskLen::new(DISK_LEN).unwrap();
        Ok::<_, std::convert::Infallible>(DiskContent { len, content, index: index().digest() })
    };
    Release::new(spec.into_document(application(), "1.0".parse().unwrap(), content).unwrap())
        .unwrap()
}

fn sound() -> Release {
    release(index().content())
}

/// Starts a registry that grants leases and answers every selector with `release`.
async fn registry_of(release: &Release) -> Server {
    let header = format!("seawall-release: {}\r\n", release.digest());
    let document = http("200 OK", &header, release.bytes());
    Server::answering(move |request| match request.split("/v1/").next().unwrap() {
        "DELETE " => Act::Answer(http("204 No Content", "", b"")),
        _ if request.contains(" /v1/leases") => ok(br#"{"id":"l1","ttlSecs":1}"#),
        _ if request.contains("/releases/") => Act::Answer(document.clone()),
        _ => Act::Late(SLOW, http("200 OK", "", &index().encode())),
    })
    .await
}

fn reach(server: &Server) -> Arc<dyn Reading> {
    Arc::new(server.registry())
}

async fn within<T>(
    server: &Server,
    selector: &Selector,
    work: impl AsyncFnOnce(&Resolved) -> Result<T, ResolveError>,
) -> Result<T, ResolveError> {
    held(&reach(server), &application(), selector, work).await
}

fn order(server: &Server, dir: &Path) -> Pull {
    Pull {
        registry: reach(server),
        application: application(),
        selector: stable(),
        into: dir.join("host"),
        format: ExportFormat::Raw,
        machines: Vec::new(),
        descriptors: Vec::new(),
        locked: None,
        state: HostState::new(dir.join("state"), || SystemTime::UNIX_EPOCH),
        progress: Arc::new(Silent),
        threads: 1,
    }
}

/// Returns the method and the kind of object of each request except renewals of the lease.
fn asked(server: &Server) -> Vec<String> {
    let requests = server.requests().into_iter().filter(|request| !request.starts_with("PUT "));
    let kinds = requests.map(|request| {
        let (method, path) = request.split_once(" /v1/").unwrap();
        format!("{method} {}", path.split(['/', ' ']).next().unwrap())
    });
    kinds.collect()
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn a_pull_holds_its_release_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let server = registry_of(&sound()).await;

    is_send(pull(order(&server, dir.path()))).await.unwrap();

    let exchange = ["POST leases", "GET applications", "GET indexes", "DELETE leases"];
    assert_eq!(asked(&server), exchange, "one request for each");
    let requests = server.requests();
    assert!(requests[0].contains(r#""purpose":"pull""#), "{}", requests[0]);
    let renewals = requests.iter().filter(|request| request.starts_with("PUT /v1/leases/l1"));
    assert!(renewals.count() > 1, "the lease of one second is renewed: {requests:?}");
}

#[tokio::test]
async fn a_flow_that_fails_gives_its_hold_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = registry_of(&sound()).await;
    let order = Pull { machines: vec!["db".parse().unwrap()], ..order(&server, dir.path()) };

    let error = pull(order).await.unwrap_err();

    assert!(matches!(error, PullError::NoSuchMachine { .. }), "{error:?}");
    assert_eq!(asked(&server), ["POST leases", "GET applications", "DELETE leases"]);
}

#[tokio::test]
async fn a_lockfile_resolves_without_asking_for_a_channel() {
    let dir = tempfile::tempdir().unwrap();
    let release = sound();
    let server = registry_of(&release).await;
    let path = dir.path().join("seawall.lock");
    let lock = Lockfile::of(&release, ExportFormat::Raw, |_| true);
    std::fs::write(&path, serde_json::to_vec(&lock).unwrap()).unwrap();

    pull(Pull { locked: Some(path), ..order(&server, dir.path()) }).await.unwrap();

    let named: Vec<_> =
        server.requests().into_iter().filter(|it| it.contains("/releases/")).collect();
    assert_eq!(named.len(), 1);
    let digest = release.digest().to_string();
    assert!(named[0].contains(digest.rsplit(':').next().unwrap()), "{}", named[0]);
}

#[tokio::test]
async fn a_lockfile_of_another_version_asks_nothing_of_the_registry() {
    let dir = tempfile::tempdir().unwrap();
    let server = registry_of(&sound()).await;
    let path = dir.path().join("seawall.lock");
    let order = |path: &Path| Pull {
        selector: "2.0".parse().unwrap(),
        locked: Some(path.to_owned()),
        ..order(&server, dir.path())
    };

    let error = pull(order(&path)).await.unwrap_err();
    assert!(matches!(error, PullError::Resolve(ResolveError::NoLockfile { .. })), "{error:?}");
    let lock = Lockfile::of(&sound(), ExportFormat::Raw, |_| true);
    std::fs::write(&path, serde_json::to_vec(&lock).unwrap()).unwrap();
    let error = pull(order(&path)).await.unwrap_err();
    assert!(error.to_string().ends_with("seawall.lock locks team/web:1.0"), "{error}");
    assert_eq!(asked(&server), [""; 0]);
}

#[tokio::test]
async fn a_document_that_does_not_match_its_digest_is_refused() {
    let server = registry_of(&sound()).await;
    let other = release(ContentDigest::from_bytes([7; 32])).digest();

    let digest = Selector::Digest(other);
    let work = async |_: &Resolved| -> Result<(), _> { panic!("nothing is resolved") };
    let error = within(&server, &digest, work).await.unwrap_err();

    assert!(matches!(error, ResolveError::Registry(RegistryError::WrongBytes { .. })), "{error:?}");
    assert_eq!(asked(&server), ["POST leases", "GET applications", "DELETE leases"]);
}

#[tokio::test]
async fn an_index_of_another_disk_than_the_document_names_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = registry_of(&release(ContentDigest::from_bytes([7; 32]))).await;
    let cache = IndexCache::new(Folder::open(dir.path()).unwrap());

    let load = async |resolved: &Resolved| {
        let (machine, disk) = resolved.release().disks().next().unwrap();
        resolved.layout(&machine.name, &disk.name, &cache).await
    };
    let error = within(&server, &stable(), load).await.unwrap_err();

    assert!(matches!(error, ResolveError::WrongIndex { .. }), "{error:?}");
}

#[tokio::test]
async fn a_registry_that_grants_no_lease_is_read_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let release = sound();
    let document = release.bytes().to_vec();
    let header = format!("seawall-release: {}\r\n", release.digest());
    let server = Server::answering(move |request| {
        if request.contains(" /v1/leases") {
            Act::Answer(http("405 Method Not Allowed", "", b""))
        } else if request.contains("/releases/") {
            Act::Answer(http("200 OK", &header, &document))
        } else {
            ok(&index().encode())
        }
    })
    .await;

    pull(order(&server, dir.path())).await.unwrap();

    assert_eq!(asked(&server), ["POST leases", "GET applications", "GET indexes"]);
}

#[tokio::test]
async fn a_command_that_shows_a_document_takes_no_lease() {
    let server = registry_of(&sound()).await;
    let shown = document(reach(&server).as_ref(), &application(), &stable()).await.unwrap();
    assert_eq!(shown, sound());
    assert_eq!(asked(&server), ["GET applications"]);
    let other = "other".parse().unwrap();
    let error = document(reach(&server).as_ref(), &other, &stable()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "the document is of another application");
}

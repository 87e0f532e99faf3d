//! A bucket whose service fails, lies, or is shared with others.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_tests::{
    CephBucket, Gate, Harm, MIB, Noise, Postgres, ProxyRequest, Registry, Relay, World, can_mount,
    raw, same_bytes,
};

/// The fate of each request, which a test changes on the way.
type Fate = Arc<Mutex<Box<dyn FnMut(&ProxyRequest) -> Harm + Send>>>;

/// A registry that reaches its bucket through a gate.
struct Scene {
    world: World,
    bucket: CephBucket,
    gate: Gate,
    fate: Fate,
    requests: Arc<AtomicU64>,
}

impl Scene {
    fn new() -> Self {
        let (world, bucket) = (World::new(), CephBucket::new());
        let fate: Fate = Arc::new(Mutex::new(Box::new(|_: &ProxyRequest| Harm::Nothing)));
        let requests = Arc::new(AtomicU64::new(0));
        let (decides, counts) = (Arc::clone(&fate), Arc::clone(&requests));
        let gate = Gate::start(bucket.endpoint(), move |asked| {
            counts.fetch_add(1, Relaxed);
            (decides.lock().unwrap())(asked)
        });
        for name in ["one", "two"] {
            let data = Noise::new(name).bytes(6 * MIB);
            raw(&world.path(format!("{name}.raw")), 8 * MIB, &[(MIB, data)]);
        }
        Self { world, bucket, gate, fate, requests }
    }

    fn harm(&self, fate: impl FnMut(&ProxyRequest) -> Harm + Send + 'static) {
        *self.fate.lock().unwrap() = Box::new(fate);
    }

    fn serve(&self) -> Registry {
        let run = self.world.seawall("serve --listen 127.0.0.1:0 --s3-timeout 1 data");
        Registry::start_by(self.bucket.opened_at(self.gate.url(), run), &self.world)
    }

    fn push(&self, registry: &Registry, reference: &str, name: &str) {
        let machine = format!("a=root:{name}.raw");
        registry.client(&self.world, "push").args([reference, "--machine", &machine]).succeeds();
    }

    /// Pulls a release and compares its disk.
    fn pull(&self, registry: &Registry, reference: &str, name: &str) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let into = format!("pulled-{}", COUNT.fetch_add(1, Relaxed));
        registry.client(&self.world, &format!("pull {reference} --into {into}")).succeeds();
        let pulled = self.world.path(into).join("a/root.raw");
        same_bytes(pulled, self.world.path(format!("{name}.raw")));
    }

    /// Pushes, pulls, checks and collects, all of which succeed.
    fn lives(&self, registry: &Registry) {
        self.push(registry, "shop:1", "one");
        self.push(registry, "shop:2", "two");
        self.pull(registry, "shop:1", "one");
        registry.client(&self.world, "fsck --rate 0").succeeds();
        registry.client(&self.world, "rm shop:1").succeeds();
        registry.client(&self.world, "gc").succeeds();
        self.pull(registry, "shop:2", "two");
        registry.client(&self.world, "fsck --rate 0").succeeds();
    }

    /// Rebuilds the catalog from the bucket alone, so that no release is lost.
    fn is_complete(&self, registry: Registry, reference: &str, name: &str) {
        drop(registry);
        self.harm(|_| Harm::Nothing);
        fs::remove_dir_all(self.world.path("data")).unwrap();
        self.bucket.opened(self.world.seawall("recover data")).succeeds();
        self.pull(&self.serve(), reference, name);
    }
}

/// The service says of each new object that it is there already, and stores nothing.
#[test]
fn a_lie_that_an_object_exists_loses_nothing() {
    let scene = Scene::new();
    scene.harm(|asked| match asked.headers.contains_key("if-none-match") {
        true => Harm::Refuse(412, "PreconditionFailed"),
        false => Harm::Nothing,
    });
    let registry = scene.serve();
    scene.lives(&registry);
    scene.is_complete(registry, "shop:2", "two");
}

/// The service says that it created each object, although it was there and stayed.
#[test]
fn a_lie_that_an_object_was_created_loses_nothing() {
    let scene = Scene::new();
    scene.harm(|_| Harm::Bless);
    let registry = scene.serve();
    scene.lives(&registry);
    // The same content again, whose objects are there.
    scene.push(&registry, "shop:3", "two");
    scene.is_complete(registry, "shop:3", "two");
}

/// As after a retry of which both attempts arrive.
#[test]
fn requests_that_arrive_twice_do_no_harm() {
    let scene = Scene::new();
    scene.harm(|_| Harm::Repeat);
    let registry = scene.serve();
    scene.lives(&registry);
    scene.is_complete(registry, "shop:2", "two");
}

/// Every seventh request finds the credentials expired. They are read anew, and no client notices.
#[test]
fn credentials_that_expire_on_the_way_are_read_anew() {
    let scene = Scene::new();
    let mut count = 0;
    scene.harm(move |_| {
        count += 1;
        match count % 7 == 0 {
            true => Harm::Refuse(403, "ExpiredToken"),
            false => Harm::Nothing,
        }
    });
    let registry = scene.serve();
    scene.lives(&registry);
}

/// A refusal names the object and the next step; once its cause is gone, all is as it was.
#[test]
fn a_forbidden_request_names_its_object_and_the_next_step() {
    let scene = Scene::new();
    let registry = scene.serve();
    scene.push(&registry, "shop:1", "one");
    drop(registry);
    // A new process knows no length of a pack.
    let registry = scene.serve();
    let commands = [
        ("PUT", "push shop:2 --machine a=root:two.raw", "packs/"),
        ("GET", "pull shop:1 --into x", ""),
    ];
    for (method, command, object) in commands {
        scene.harm(move |asked| match asked.method == method && !asked.target.contains("/probe") {
            true => Harm::Refuse(403, "AccessDenied"),
            false => Harm::Nothing,
        });
        let failed = registry.client(&scene.world, command).ends();
        assert!(!failed.status.success(), "{failed}");
        failed.explains().says("AccessDenied").says(object);
    }
    let answer = reqwest::blocking::get(pack_of(&scene, &registry)).unwrap().text().unwrap();
    assert!(answer.contains("packs/") && answer.contains("permit s3:GetObject"), "{answer}");
    scene.harm(|asked| match asked.method == "DELETE" {
        true => Harm::Refuse(403, "AccessDenied"),
        false => Harm::Nothing,
    });
    registry.client(&scene.world, "rm shop:1").succeeds();
    let failed = registry.client(&scene.world, "gc").ends();
    assert!(!failed.status.success(), "{failed}");
    failed.explains().says("AccessDenied").says("packs/");
    scene.harm(|_| Harm::Nothing);
    registry.client(&scene.world, "gc").succeeds();
    scene.push(&registry, "shop:3", "one");
    scene.pull(&registry, "shop:3", "one");
    registry.client(&scene.world, "fsck --rate 0").succeeds();
}

/// Returns the address of a pack of the bucket.
fn pack_of(scene: &Scene, registry: &Registry) -> String {
    let key = scene.bucket.keys("packs/").remove(0);
    registry.at(&format!("/v1/packs/blake3:{}", key.rsplit('/').next().unwrap()))
}

#[test]
fn a_throttled_bucket_makes_clients_wait_longer() {
    let scene = Scene::new();
    let registry = scene.serve();
    scene.push(&registry, "shop:1", "one");
    let address = pack_of(&scene, &registry);
    for (status, code, secs) in [(503, "SlowDown", "10"), (500, "InternalError", "1")] {
        scene.harm(move |_| Harm::Refuse(status, code));
        let answer = reqwest::blocking::get(&address).unwrap();
        assert_eq!(answer.status(), 503, "{code}");
        assert_eq!(answer.headers()["retry-after"], secs, "{code}");
        let text = answer.text().unwrap();
        assert!(text.contains("packs/") && text.contains(code), "{text}");
    }
    scene.harm(|_| Harm::Nothing);
    scene.pull(&registry, "shop:1", "one");
}

/// Two hundred clients ask while nothing works: the bucket sees each of them once, and the retries
/// that the budget permits.
#[test]
fn an_outage_does_not_multiply_the_load_of_the_bucket() {
    const CLIENTS: u64 = 200;
    let scene = Scene::new();
    let registry = scene.serve();
    scene.push(&registry, "shop:1", "one");
    let address = pack_of(&scene, &registry);
    scene.harm(|_| Harm::Refuse(503, "SlowDown"));
    scene.requests.store(0, Relaxed);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let address = address.clone();
            // One piece, so that nothing is read ahead.
            std::thread::spawn(move || {
                let client = reqwest::blocking::Client::new();
                client.get(address).header("range", "bytes=0-99").send().unwrap().status()
            })
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), 503);
    }
    let sent = scene.requests.load(Relaxed);
    // A budget of 500, of which a retry takes 5; a probe or two may be among them.
    assert!((CLIENTS..=CLIENTS + 100 + 9).contains(&sent), "{sent} requests");
    scene.harm(|_| Harm::Nothing);
    scene.pull(&registry, "shop:1", "one");
}

/// Objects that are not the registry's are neither counted, nor read, nor removed.
#[test]
fn the_objects_of_others_in_a_bucket_are_left_alone() {
    let scene = Scene::new();
    fs::write(scene.world.path("other"), "not of a registry").unwrap();
    let others = ["photos/cat.jpg", "packs/README", "packs/ab/notes.txt", "indexes/leaves/zz/x"];
    for key in others {
        scene.bucket.put(key, &scene.world.path("other"));
    }
    let registry = scene.serve();
    scene.lives(&registry);
    for key in others {
        assert_eq!(scene.bucket.keys(key), [key]);
    }
}

/// The disk of the scratch space is full. What needs it is refused with a reason, everything else
/// goes on, and nothing is lost.
#[test]
fn a_full_scratch_disk_refuses_slow_uploads_and_backups_alone() {
    let Some(postgres) = Postgres::start().filter(|_| can_mount()) else { return };
    let scene = Scene::new();
    let data = scene.world.path("data");
    fs::create_dir(&data).unwrap();
    let run = scene.world.seawall("serve --listen 127.0.0.1:0 data").on_volume(&data, 8);
    let run = run.env("SEAWALL_CATALOG", postgres.address("postgres", ""));
    let registry = Registry::start_by(scene.bucket.opened(run), &scene.world);
    scene.push(&registry, "shop:1", "one");
    // The volume as the registry sees it.
    let seen = PathBuf::from(format!("/proc/{}/root", registry.pid()));
    let filler = seen.join(data.join("filler").strip_prefix("/").unwrap());
    let full = fs::write(&filler, vec![1; 9 << 20]).unwrap_err();
    assert_eq!(full.raw_os_error(), Some(28), "{full}");

    let address = registry.url().strip_prefix("http://").unwrap().parse().unwrap();
    // Slower than a body may arrive in memory.
    let slow = Relay::paced(address, Duration::from_millis(60));
    let url = format!("http://{}", slow.address());
    let push_slowly = || {
        scene.world.seawall("push shop:2 --machine a=root:two.raw").env("SEAWALL_REGISTRY", &url)
    };
    let refused = push_slowly().exits_with(8).explains();
    refused.says("the spool file of a slow body");
    registry.client(&scene.world, "backup copy.sqlite").exits_with(8).explains();
    assert_eq!(registry.status("/readyz"), Some(200), "other requests succeed");
    scene.pull(&registry, "shop:1", "one");
    scene.push(&registry, "shop:3", "two");
    scene.pull(&registry, "shop:3", "two");

    fs::remove_file(&filler).unwrap();
    registry.client(&scene.world, "rm shop:3").succeeds();
    registry.client(&scene.world, "gc").succeeds();
    push_slowly().succeeds();
    registry.client(&scene.world, "backup copy.sqlite").succeeds();
    scene.pull(&registry, "shop:2", "two");
    registry.client(&scene.world, "fsck --rate 0").succeeds();
}

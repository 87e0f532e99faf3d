//! Registries whose objects are in a bucket of a Ceph object gateway.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use seawall_tests::{
    CephBucket, Gate, Harm, MIB, Noise, ProxyRequest, Registry, World, raw, same_bytes,
};

/// Starts a registry with its catalog in `data` and its objects in the bucket.
fn serve(world: &World, bucket: &CephBucket) -> Registry {
    Registry::start_by(bucket.opened(world.seawall("serve --listen 127.0.0.1:0 data")), world)
}

/// Makes a disk of 64 MiB with 40 MiB of data, so that it takes several packs.
fn disk(world: &World, name: &str) {
    let data = Noise::new(name).bytes(40 * MIB);
    raw(&world.path(format!("{name}.raw")), 64 * MIB, &[(4 * MIB, data)]);
}

fn push(registry: &Registry, world: &World, reference: &str, name: &str) {
    let machine = format!("a=root:{name}.raw");
    registry.client(world, "push").args([reference, "--machine", &machine]).succeeds();
}

/// Clients are sent to the bucket for the bytes of packs, and get nothing of the registry's there.
#[test]
fn packs_are_read_from_the_bucket_itself_where_that_is_wanted() {
    let (world, bucket) = (World::new(), CephBucket::new());
    disk(&world, "one");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let gate = Gate::start(bucket.endpoint(), move |asked| {
        seen.lock().unwrap().push(asked.clone());
        Harm::Nothing
    });
    fs::write(world.path("tokens"), "ci publisher 0123456789abcdef0123456789abcdef\n").unwrap();
    fs::write(world.path("token"), "0123456789abcdef0123456789abcdef").unwrap();
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(world.path("tokens"), private).unwrap();
    let run = world.seawall("serve --listen 127.0.0.1:0 --redirect --token-file tokens data");
    let run = bucket.opened_at(gate.url(), run).env("SEAWALL_STORE", bucket.store() + "/team");
    let registry = Registry::start_by(run, &world);
    let client =
        |args: &str| registry.client(&world, args).env("SEAWALL_TOKEN_FILE", world.path("token"));
    client("push shop:1 --machine a=root:one.raw").succeeds();
    asked.lock().unwrap().clear();
    client("pull shop:1 --into pulled").succeeds();
    same_bytes(world.path("pulled/a/root.raw"), world.path("one.raw"));
    let asked = asked.lock().unwrap();
    let packs: Vec<_> = asked.iter().filter(|it| it.target.contains("/packs/")).collect();
    assert!(packs.len() >= 10, "{} requests for packs", packs.len());
    for request in packs {
        assert!(request.target.contains("X-Amz-Signature="), "signed by the registry: {request:?}");
        assert!(!request.headers.contains_key("authorization"), "a token left: {request:?}");
    }
}

/// Pulls a release on a host that knows nothing, and compares its disk.
fn pull(registry: &Registry, world: &World, reference: &str, name: &str) {
    let into = format!("{name}-pulled-by-{}", registry.pid());
    registry.client(world, &format!("pull {reference} --into {into}")).succeeds();
    let pulled = world.path(into).join("a/root.raw");
    same_bytes(pulled, world.path(format!("{name}.raw")));
}

#[test]
fn a_bucket_gives_back_every_byte_to_any_registry_over_the_same_catalog() {
    let (world, bucket) = (World::new(), CephBucket::new());
    disk(&world, "one");
    let registry = serve(&world, &bucket);
    push(&registry, &world, "shop:1", "one");
    pull(&registry, &world, "shop:1", "one");
    registry.kill();
    let registry = serve(&world, &bucket);
    pull(&registry, &world, "shop:1", "one");

    let names = fs::read_dir(world.path("data")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name == "store"), "no object is on the disk: {names:?}");
    assert!(bucket.keys("packs/").len() >= 3, "{:?}", bucket.keys(""));
    assert_eq!(bucket.keys("probe/"), [""; 0], "the probe of conditions is removed");
}

#[test]
fn what_is_deleted_leaves_the_bucket_and_the_rest_is_sound() {
    let (world, bucket) = (World::new(), CephBucket::new());
    disk(&world, "one");
    disk(&world, "two");
    let registry = serve(&world, &bucket);
    push(&registry, &world, "shop:1", "one");
    let of_one = bucket.keys("packs/").len();
    push(&registry, &world, "shop:2", "two");
    registry.client(&world, "rm shop:1").succeeds();
    registry.client(&world, "gc").succeeds();
    assert_eq!(bucket.keys("packs/").len(), of_one, "two is as long as one was");
    registry.client(&world, "fsck --rate 0").succeeds();
    pull(&registry, &world, "shop:2", "two");
}

/// Starts a registry that reaches its bucket through a proxy, and gives up on a silent one fast.
fn serve_through(world: &World, bucket: &CephBucket, gate: &Gate) -> Registry {
    let run = world.seawall("serve --listen 127.0.0.1:0 --s3-timeout 1 data");
    Registry::start_by(bucket.opened_at(gate.url(), run), world)
}

/// Returns the folder of the object that a request is about.
fn folder_of(asked: &ProxyRequest) -> String {
    let key = asked.target.split('?').next().unwrap_or_default();
    key.split('/').nth(2).unwrap_or_default().to_owned()
}

/// Harms the first request of each method on each kind of object. Whatever happens to it, the
/// registry repeats it, and every byte arrives.
#[test]
fn each_request_may_fail_once() {
    for harm in
        [Harm::Refuse(503, "SlowDown"), Harm::Close, Harm::Lose, Harm::Deny, Harm::Cut, Harm::Hang]
    {
        let (world, bucket) = (World::new(), CephBucket::new());
        let seen = Mutex::new(BTreeSet::new());
        let gate = Gate::start(bucket.endpoint(), move |asked| {
            // A cut answer to a write is one that is lost.
            let is_first = seen.lock().unwrap().insert((asked.method.clone(), folder_of(asked)));
            if is_first { harm } else { Harm::Nothing }
        });
        raw(&world.path("one.raw"), 8 * MIB, &[(MIB, Noise::new("one").bytes(6 * MIB))]);
        let registry = serve_through(&world, &bucket, &gate);
        push(&registry, &world, "shop:1", "one");
        pull(&registry, &world, "shop:1", "one");
        registry.client(&world, "fsck --rate 0").succeeds();
        registry.client(&world, "rm shop:1").succeeds();
        registry.client(&world, "gc").succeeds();
        assert_eq!(bucket.keys("packs/"), [""; 0], "{harm:?}");
    }
}

/// Two registries over one bucket would collect each other's objects.
#[test]
fn a_bucket_belongs_to_one_registry() {
    let (world, bucket) = (World::new(), CephBucket::new());
    disk(&world, "one");
    let registry = serve(&world, &bucket);
    push(&registry, &world, "shop:1", "one");
    drop(registry);
    assert_eq!(bucket.keys("registry.json"), ["registry.json"]);

    let run = |data: &str| world.seawall("serve --listen 127.0.0.1:0").arg(world.path(data));
    let refused = bucket.opened(run("other")).exits_with(4);
    refused.explains().says("belongs to registry").says("seawall recover DATA --store s3://");
    assert!(!world.path("other/catalog.sqlite").exists(), "nothing is left behind");
    let alone = run("data").exits_with(4);
    alone.explains().says("are in s3://").says("--store s3://");

    bucket.delete("registry.json");
    bucket.opened(run("data")).exits_with(4).explains().says("is not the store of registry");
}

#[test]
fn a_lost_catalog_is_rebuilt_from_the_bucket() {
    let (world, bucket) = (World::new(), CephBucket::new());
    disk(&world, "one");
    let registry = serve(&world, &bucket);
    push(&registry, &world, "shop:1", "one");
    drop(registry);
    bucket.opened(world.seawall("drill data")).succeeds().prints("1 release");
    fs::remove_dir_all(world.path("data")).unwrap();
    bucket.opened(world.seawall("recover data")).succeeds();
    let registry = serve(&world, &bucket);
    pull(&registry, &world, "shop:1", "one");
    registry.client(&world, "fsck --rate 0").succeeds();
}

#[test]
fn an_unusable_bucket_is_refused_with_the_next_step() {
    let (world, bucket) = (World::new(), CephBucket::new());
    let run = || bucket.opened(world.seawall("serve --listen 127.0.0.1:0 data"));
    let no_bucket = run().env("SEAWALL_STORE", "s3://not-there").exits_with(6);
    no_bucket.explains().says("NoSuchBucket").says("create the bucket");
    if bucket.checks_signatures() {
        let wrong = run().env("AWS_SECRET_ACCESS_KEY", "not-it").exits_with(7).explains();
        let wrong = wrong.says("check AWS_ACCESS_KEY_ID");
        assert!(!wrong.stderr.contains("not-it"), "a secret is shown by {wrong}");
    }
    let in_the_clear = run().env("SEAWALL_S3_ALLOW_HTTP", "0").exits_with(2);
    in_the_clear.explains().says("--s3-allow-http");
    run().env("SEAWALL_STORE", "gs://x").exits_with(2).explains().says("s3://BUCKET");
}

/// Credentials that expire in the middle of a push, and are renewed.
#[test]
fn a_push_ends_well_once_credentials_are_renewed() {
    let (world, bucket) = (World::new(), CephBucket::new());
    disk(&world, "one");
    let expires = Arc::new(AtomicU64::new(2));
    let left = Arc::clone(&expires);
    let gate = Gate::start(bucket.endpoint(), move |asked| {
        if asked.method != "PUT" || folder_of(asked) != "packs" {
            return Harm::Nothing;
        }
        match left.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)) {
            Ok(_) => Harm::Nothing,
            Err(_) => Harm::Refuse(400, "ExpiredToken"),
        }
    });
    let registry = serve_through(&world, &bucket, &gate);
    let failed = registry.client(&world, "push shop:1 --machine a=root:one.raw").ends();
    assert!(!failed.status.success(), "{failed}");
    failed.explains();
    expires.store(1000, Relaxed);
    push(&registry, &world, "shop:1", "one");
    pull(&registry, &world, "shop:1", "one");
}

/// The keys of a credentials file, which are replaced on the way.
struct Rotation {
    file: PathBuf,
    keys: Vec<(String, String)>,
    /// The number of the keys that the service accepts.
    valid: usize,
    /// The number of requests for packs until these keys end; they stay valid without one.
    left: Option<u32>,
}

impl Rotation {
    /// Writes the valid keys into the file.
    fn write(&self) {
        let (access_key, secret_key) = &self.keys[self.valid];
        let text = format!(
            "[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n"
        );
        let new = self.file.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    fn harm(&mut self, asked: &ProxyRequest) -> Harm {
        if folder_of(asked) == "packs" {
            self.left = self.left.and_then(|left| left.checked_sub(1));
            if self.left == Some(0) {
                (self.valid, self.left) = (self.valid + 1, None);
                self.write();
            }
        }
        let signed_with = format!("Credential={}/", self.keys[self.valid].0);
        match asked.headers.get("authorization").is_some_and(|it| it.contains(&signed_with)) {
            true => Harm::Nothing,
            false => Harm::Refuse(400, "ExpiredToken"),
        }
    }
}

/// The keys end in the middle of a push and of a pull, at the moment at which new ones are there.
#[test]
fn new_keys_in_the_middle_of_a_transfer_are_taken_at_once() {
    let (world, bucket) = (World::new(), CephBucket::new());
    disk(&world, "one");
    let keys: Option<Vec<_>> = (0..3).map(|_| bucket.another_key()).collect();
    let Some(keys) = keys else { return };
    let file = world.path("credentials");
    let rotation = Rotation { file: file.clone(), keys, valid: 0, left: None };
    rotation.write();
    let rotation = Arc::new(Mutex::new(rotation));
    let decides = Arc::clone(&rotation);
    let gate = Gate::start(bucket.endpoint(), move |asked| decides.lock().unwrap().harm(asked));
    let run = world.seawall("serve --listen 127.0.0.1:0 data");
    let run = run.env("AWS_SHARED_CREDENTIALS_FILE", &file);
    let variables = bucket.variables(gate.url()).into_iter();
    let of_seawall = variables.filter(|(name, _)| name.starts_with("SEAWALL_"));
    let run = of_seawall.fold(run, |run, (name, value)| run.env(name, value));
    let registry = Registry::start_by(run, &world);
    let ends_after = |left| rotation.lock().unwrap().left = Some(left);
    ends_after(4);
    push(&registry, &world, "shop:1", "one");
    assert_eq!(rotation.lock().unwrap().valid, 1, "the first keys ended in the middle");
    ends_after(3);
    pull(&registry, &world, "shop:1", "one");
    assert_eq!(rotation.lock().unwrap().valid, 2, "and the second ones");
}

/// `kill -9` of the registry after any number of packs.
#[test]
fn what_a_killed_registry_left_in_the_bucket_is_collected() {
    let (world, bucket) = (World::new(), CephBucket::new());
    disk(&world, "one");
    disk(&world, "two");
    let serve = || {
        // A collection waits for the lease of the push that died with the registry.
        let run = world.seawall("serve --listen 127.0.0.1:0 --lease-ttl 10 data");
        Registry::start_by(bucket.opened(run), &world)
    };
    let registry = serve();
    push(&registry, &world, "shop:1", "one");
    let sound = bucket.keys("packs/").len();
    let pushing = registry.client(&world, "push shop:2 --machine a=root:two.raw").start();
    while bucket.keys("packs/").len() == sound {
        std::thread::yield_now();
    }
    registry.kill();
    pushing.kill();
    let registry = serve();
    registry.client(&world, "fsck --rate 0").succeeds();
    push(&registry, &world, "shop:2", "two");
    pull(&registry, &world, "shop:2", "two");
    registry.client(&world, "rm shop:2").succeeds();
    registry.client(&world, "gc --force").succeeds();
    assert_eq!(bucket.keys("packs/").len(), sound);
    pull(&registry, &world, "shop:1", "one");
}

//! {delete, truncate, flip a bit, swap} × {pack, list, leaf, release document, catalog}: a read
//! returns the right bytes, or fails and names the object; `verify` lists the damage.

use std::fs;
use std::path::{Path, PathBuf};

use seawall_tests::{MIB, Noise, World, flip_bit, holds_bytes, object_files, raw, tool, truncate};

/// A world whose registry has two releases without common data.
struct Stock {
    world: World,
    /// The objects of the first release.
    first: Vec<PathBuf>,
}

const KINDS: [&str; 4] = ["packs", "indexes/lists", "indexes/leaves", "releases"];

/// A way to damage a file. `other` is another object of the same kind.
type Damage = fn(file: &Path, other: &Path);

const DAMAGES: [(&str, Damage); 6] = [
    ("delete", |file, _| fs::remove_file(file).unwrap()),
    ("truncate", |file, _| truncate(file, len(file) / 2)),
    ("empty", |file, _| truncate(file, 0)),
    ("flip a bit", |file, _| flip_bit(file, len(file) / 3)),
    ("flip a bit at the end", |file, _| flip_bit(file, len(file) - 1)),
    ("swap", |file, other| assert!(fs::copy(other, file).is_ok())),
];

fn len(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len()
}

/// Returns the digest in an object's path.
fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

impl Stock {
    fn new() -> Self {
        let world = World::new();
        // Two leaves and several packs.
        let pieces = |seed: &str| {
            let mut noise = Noise::new(seed);
            vec![
                (0, noise.bytes(9 * MIB)),
                (100 * MIB, noise.text(4 * MIB)),
                (299 * MIB, noise.bytes(MIB)),
            ]
        };
        raw(&world.path("1.raw"), 300 * MIB, &pieces("one"));
        raw(&world.path("2.raw"), 300 * MIB, &pieces("two"));
        world.push("stock:1", &["a=root:1.raw"]);
        let registry = world.path("registry");
        let first = KINDS.iter().flat_map(|kind| object_files(&registry, kind)).collect();
        world.push("stock:2", &["a=root:2.raw"]);
        fs::rename(registry, world.path("intact")).unwrap();
        Self { world, first }
    }

    /// Copies the registry, and creates a host without state or pulled data, not even from a failed
    /// pull.
    fn reset(&self) {
        for dir in ["registry", "home", "host", ".host.seawall-pull"] {
            let _ = fs::remove_dir_all(self.world.path(dir));
        }
        let (from, to) = (self.world.path("intact"), self.world.path("registry"));
        tool("cp", ["-a".as_ref(), from.as_os_str(), to.as_os_str()]);
    }

    /// Returns the objects of a kind that `stock:1` needs, and one that it does not need.
    fn objects(&self, kind: &str) -> (Vec<PathBuf>, PathBuf) {
        let all = object_files(&self.world.path("registry"), kind);
        let (own, other): (Vec<_>, Vec<_>) = all.into_iter().partition(|f| self.first.contains(f));
        assert!(!own.is_empty(), "{kind}");
        (own, other.into_iter().next().expect("the second release has an object of its own"))
    }

    /// Pulls `stock:1`. Asserts that the bytes are right or the pull fails. Returns whether it
    /// failed, and its message.
    fn pull(&self, what: &str) -> Option<String> {
        let done = self.world.local("pull stock:1 --into host").ends();
        let made = self.world.path("host/a/root.raw");
        if done.status.success() {
            assert!(holds_bytes(&made, self.world.path("1.raw")), "{what}: wrong bytes");
            return None;
        }
        assert!(!self.world.path("host").exists(), "{what}: a failed pull leaves a directory");
        let code = done.status.code();
        assert!(matches!(code, Some(3 | 5 | 6)), "{what}: exit status of damage\n{done}");
        Some(done.explains().stderr)
    }

    /// Verifies `stock:1` in the registry. Returns whether the release is intact, and the output.
    fn verify(&self) -> (bool, String) {
        let done = self.world.local("verify stock:1").ends();
        let said = format!("{}{}", done.stdout, done.stderr);
        assert!(!said.contains("panicked"), "{done}");
        (done.status.success(), said)
    }
}

/// Applies every kind of damage to every object of a kind that the release needs.
fn matrix(kind: &str) {
    let stock = Stock::new();
    let mut loud = 0;
    for (damage, apply) in DAMAGES {
        stock.reset();
        let (own, other) = stock.objects(kind);
        for file in &own {
            stock.reset();
            let what = format!("{damage} of {}", file.display());
            apply(file, &other);

            let (is_whole, listed) = stock.verify();
            let Some(said) = stock.pull(&what) else {
                // No read meets the flipped bit, so nothing that the release needs is damaged.
                assert!(is_whole, "{what}: it was pulled, and verify says\n{listed}");
                continue;
            };
            loud += 1;
            assert!(said.contains(name(file)), "{what}: pull does not name it:\n{said}");
            assert!(!is_whole, "{what}: verify sees nothing, and pull says\n{said}");
            assert!(listed.contains(name(file)), "{what}: verify does not list it:\n{listed}");
            // Undamaged data is still served.
            if damage != "swap" {
                stock.world.local("verify stock:2").succeeds();
            }
        }
    }
    // A pull does not read a pack's footer, and a pack may hold chunks of another release.
    assert!(loud >= DAMAGES.len() - 1, "only {loud} damages were met");
}

#[test]
fn a_damaged_pack_is_never_read_in_silence() {
    matrix("packs");
}

#[test]
fn a_damaged_list_of_leaves_is_never_read_in_silence() {
    matrix("indexes/lists");
}

#[test]
fn a_damaged_leaf_is_never_read_in_silence() {
    matrix("indexes/leaves");
}

#[test]
fn a_damaged_release_document_is_never_read_in_silence() {
    matrix("releases");
}

type CatalogDamage<'a> = Box<dyn Fn(&Stock) + 'a>;

#[test]
fn a_damaged_catalog_gives_the_right_bytes_or_a_loud_error() {
    let stock = Stock::new();
    stock.reset();
    let catalog = stock.world.path("registry/catalog.sqlite");
    // The catalog of another registry, whose releases have the same names.
    let swapped = |stock: &Stock| {
        let run = stock.world.seawall("push stock:1 --machine a=root:2.raw");
        run.env("SEAWALL_REGISTRY", stock.world.path("foreign")).succeeds();
        fs::copy(stock.world.path("foreign/catalog.sqlite"), &catalog).unwrap();
    };
    let whole = len(&catalog);
    let bytes = fs::read(&catalog).unwrap();
    let mut loud = 0;
    let mut damages: Vec<(String, CatalogDamage<'_>)> = vec![
        ("delete".to_owned(), Box::new(|_| fs::remove_file(&catalog).unwrap())),
        ("truncate".to_owned(), Box::new(|_| truncate(&catalog, whole / 2))),
        ("swap".to_owned(), Box::new(swapped)),
    ];
    for i in 0..24 {
        // Most of a small catalog is unused, where a flipped bit has no effect.
        let mut noise = Noise::new(format!("catalog {i}"));
        let at = std::iter::repeat_with(|| noise.below(whole))
            .find(|at| bytes[usize::try_from(*at).unwrap()] != 0)
            .unwrap();
        let file = catalog.clone();
        damages.push((format!("flip at {at}"), Box::new(move |_| flip_bit(&file, at))));
    }
    for (what, apply) in damages {
        stock.reset();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(stock.world.path(format!("registry/catalog.sqlite{suffix}")));
        }
        apply(&stock);
        let (is_whole, listed) = stock.verify();
        match stock.pull(&what) {
            None if what == "swap" => panic!("the other registry's release is not stock:1's"),
            None => {}
            Some(said) => {
                loud += 1;
                assert!(!is_whole, "{what}: verify sees nothing: {listed}\n{said}");
            }
        }
    }
    assert!(loud >= 3, "only {loud} damages were met");
}

#[test]
fn verify_of_a_directory_lists_every_damaged_disk() {
    let stock = Stock::new();
    stock.reset();
    let world = &stock.world;
    world.local("push pair:1 --machine a=root:1.raw --machine b=root:2.raw,data:1.raw").succeeds();
    world.pull("pair:1", "pair");
    world.local("verify pair").succeeds();

    flip_bit(world.path("pair/a/root.raw"), 5 * MIB);
    truncate(world.path("pair/b/root.raw"), MIB);
    fs::remove_file(world.path("pair/b/data.raw")).unwrap();

    let done = world.local("verify pair --json").exits_with(5).explains();
    let report = done.json();
    let listed: Vec<_> = report["damage"].as_array().unwrap().iter().collect();
    assert_eq!(listed.len(), 2, "a disk that a guest wrote to is none: {report}");
    for file in ["b/root.raw", "b/data.raw"] {
        let named = |entry: &&&serde_json::Value| {
            entry["object"].as_str().is_some_and(|object| object.contains(file))
        };
        assert_eq!(listed.iter().filter(named).count(), 1, "{file} in {report}");
    }
    let states = report["disks"].as_array().unwrap().iter().map(|disk| disk["state"].clone());
    assert_eq!(states.collect::<Vec<_>>(), ["modified", "damaged", "damaged"], "{report}");
    assert!(report["modified"][0]["object"].as_str().unwrap().ends_with("a/root.raw"), "{report}");
}

#[test]
fn a_disk_that_a_guest_wrote_to_is_modified_and_one_that_decayed_is_damaged() {
    let stock = Stock::new();
    stock.reset();
    let world = &stock.world;
    world.local("push pair:1 --machine a=root:1.raw").succeeds();
    world.pull("pair:1", "pair");
    let disk = world.path("pair/a/root.raw");
    let status = || {
        let told = world.local("status pair --json").succeeds().json();
        told["directories"][0].clone()
    };
    assert_eq!(status()["state"], "unmodified");
    let before = fs::metadata(&disk).unwrap().modified().unwrap();

    flip_bit(&disk, 5 * MIB);

    let told = world.local("verify pair --json").exits_with(4).explains().json();
    assert_eq!(told["disks"][0]["state"], "modified", "{told}");
    assert!(told["damage"].as_array().unwrap().is_empty(), "{told}");
    assert_eq!(status()["state"], "modified");
    assert_eq!(status()["modified"], serde_json::json!(["a/root"]));
    let shown = world.local("status pair").succeeds().stdout;
    assert!(shown.contains("modified: a/root") && !shown.contains("DAMAGED"), "{shown}");
    world.local("pull pair:1 --into pair").exits_with(4).explains().says("is modified");

    // The same change without a write, as by a failing medium.
    let file = fs::File::options().write(true).open(&disk).unwrap();
    file.set_times(fs::FileTimes::new().set_modified(before)).unwrap();
    world.local("verify pair").exits_with(5).explains().says("is damaged: 1 object ");
}

/// A push of the same disk reports or restores every missing or truncated object, and never reports
/// success while an object is missing. Flipped bits inside packs are found by `verify`.
#[test]
fn a_push_restores_lost_objects_that_it_relies_on() {
    let stock = Stock::new();
    let deletions = DAMAGES.iter().take(3);
    let flips = DAMAGES.iter().skip(3);
    for kind in KINDS {
        let damages: Vec<_> = match kind {
            "packs" => deletions.clone().collect(),
            _ => deletions.clone().chain(flips.clone()).collect(),
        };
        for (damage, apply) in damages {
            stock.reset();
            let (own, other) = stock.objects(kind);
            let file = own.last().unwrap();
            let what = format!("{damage} of {}", file.display());
            apply(file, &other);

            // Under a new version, then under the existing one.
            for version in ["3", "1"] {
                let push = format!("push stock:{version} --machine a=root:1.raw");
                let done = stock.world.local(&push).ends();
                assert!(done.status.success(), "{what}\n{done}");
                let verified = stock.world.local(&format!("verify stock:{version}")).ends();
                assert!(verified.status.success(), "{what}, stock:{version}\n{done}\n{verified}");
            }
            assert!(stock.pull(&what).is_none(), "{what}: it was healed");
        }
    }
}

/// `verify` finds damage inside a pack, and changes nothing in the registry.
#[test]
fn a_pack_that_was_cut_is_noticed_when_it_is_read() {
    let stock = Stock::new();
    stock.reset();
    let (packs, _) = stock.objects("packs");
    truncate(&packs[0], len(&packs[0]) - 1);
    assert!(stock.pull("a byte less").is_some());
    let done = stock.world.local("push stock:1 --machine a=root:1.raw --json").succeeds();
    let sent = &done.json()["reuse"]["sentChunks"];
    assert!(sent.as_u64().is_some_and(|sent| sent > 0), "only what was lost is sent: {done}");
    assert!(stock.pull("healed").is_none());
}

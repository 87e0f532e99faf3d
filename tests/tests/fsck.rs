//! {delete, truncate, flip a bit, swap} × {pack, leaf, index list, release document, descriptor,
//! name record}: fsck finds and names each damaged object, releases that need it are marked, and
//! after a repair from another registry, from pulled disks or by a push, fsck finds no damage.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seawall_tests::{
    KIB, MIB, Noise, World, b3sum, flip_bit, object_files, raw, same_bytes, tool, truncate,
};
use serde_json::Value;

/// A world whose registry `intact` holds `shop:1`, pushed as a package with its descriptor, and
/// `shop:2`. The channel `stable` moved from the first to the second.
struct Stock {
    world: World,
    /// The objects of `shop:1`, by kind.
    first: BTreeMap<&'static str, Vec<PathBuf>>,
}

const OVF: &str = r#"<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
 <References><File ovf:id="f1" ovf:href="root.vmdk"/></References>
 <DiskSection><Info>disks</Info>
  <Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="@LEN@"
   ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
 </DiskSection>
 <VirtualSystem ovf:id="web"><Info>a machine</Info><Name>web</Name>
  <VirtualHardwareSection><Info>hardware</Info>
   <Item><rasd:ElementName>1 CPU</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID>
    <rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
   <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
    <rasd:ElementName>memory</rasd:ElementName><rasd:InstanceID>2</rasd:InstanceID>
    <rasd:ResourceType>4</rasd:ResourceType>
    <rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
   <Item><rasd:Address>0</rasd:Address><rasd:ElementName>SCSI</rasd:ElementName>
    <rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>lsilogic</rasd:ResourceSubType>
    <rasd:ResourceType>6</rasd:ResourceType></Item>
   <Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:ElementName>disk</rasd:ElementName>
    <rasd:HostResource>ovf:/disk/d1</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID>
    <rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
  </VirtualHardwareSection></VirtualSystem>
</Envelope>"#;

const KINDS: [(&str, &str); 6] = [
    ("packs", "pack"),
    ("indexes/leaves", "leaf"),
    ("indexes/lists", "index"),
    ("releases", "release"),
    ("descriptors", "descriptor"),
    ("names", "name"),
];

/// A way to damage a file. `other` is another object of the same kind.
type Damage = fn(file: &Path, other: &Path);

const DAMAGES: [(&str, Damage); 4] = [
    ("delete", |file, _| fs::remove_file(file).unwrap()),
    ("truncate", |file, _| truncate(file, len(file) / 2)),
    ("flip a bit", |file, _| flip_bit(file, len(file) / 3)),
    ("swap", |file, other| assert!(fs::copy(other, file).is_ok())),
];

fn len(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len()
}

/// Returns every file below a folder, by relative path.
fn files(root: &Path) -> Vec<PathBuf> {
    let listed = tool("find", [root.as_os_str(), "-type".as_ref(), "f".as_ref()]);
    let mut files: Vec<_> = listed.lines().map(PathBuf::from).collect();
    files.sort();
    files
}

impl Stock {
    fn new() -> Self {
        let world = World::new();
        for (seed, len) in [("1", 3 * MIB), ("2", 3 * MIB)] {
            let mut noise = Noise::new(seed);
            // Two leaves, one of them small.
            let pieces = [(0, noise.bytes(len)), (260 * MIB, noise.text(300 * KIB))];
            raw(&world.path(format!("{seed}.raw")), 261 * MIB, &pieces);
        }
        let package = |name: &str, disk: &str| {
            let folder = world.path(name);
            fs::create_dir(&folder).unwrap();
            let (from, to) = (world.path(disk), folder.join("root.vmdk"));
            let options = ["convert", "-O", "vmdk", "-o", "subformat=streamOptimized"];
            let paths = [from.to_str().unwrap(), to.to_str().unwrap()];
            tool("qemu-img", options.into_iter().chain(paths));
            let text = OVF.replace("@LEN@", &(261 * MIB).to_string()).replace("512", name);
            fs::write(folder.join("web.ovf"), text).unwrap();
        };
        // Different memory sizes give different descriptors.
        package("1024", "1.raw");
        package("2048", "2.raw");
        world.local("push shop:1 1024/web.ovf").succeeds();
        let registry = world.path("registry");
        let own = |kind| {
            object_files(&registry, kind)
                .into_iter()
                .map(|file: PathBuf| file.strip_prefix(&registry).unwrap().to_owned())
                .collect()
        };
        let first = KINDS.iter().map(|(kind, _)| (*kind, own(kind))).collect();
        world.local("promote shop:1 stable").succeeds();
        world.local("push shop:2 2048/web.ovf").succeeds();
        world.local("promote shop:2 stable").succeeds();
        fs::rename(world.path("registry"), world.path("intact")).unwrap();
        Self { world, first }
    }

    fn reset(&self) {
        for dir in ["registry", "home", "host"] {
            let _ = fs::remove_dir_all(self.world.path(dir));
        }
        let (from, to) = (self.world.path("intact"), self.world.path("registry"));
        tool("cp", ["-a".as_ref(), from.as_os_str(), to.as_os_str()]);
    }

    /// Returns an object of a kind that `shop:1` needs, and one that it does not need.
    fn objects(&self, kind: &str) -> (PathBuf, PathBuf) {
        let registry = self.world.path("registry");
        if kind == "names" {
            let names = registry.join("store/names/shop");
            return (names.join("@channels/stable/1"), names.join("@channels/stable/2"));
        }
        let own = self.own_objects(kind);
        let all = object_files(&registry, kind);
        let other = all.iter().find(|file| !own.contains(file)).expect("one of the second");
        (own.first().expect("one of the first").clone(), other.clone())
    }

    /// Returns the objects of a kind that existed before `shop:2`.
    fn own_objects(&self, kind: &str) -> Vec<PathBuf> {
        let registry = self.world.path("registry");
        self.first[kind].iter().map(|file| registry.join(file)).collect()
    }

    fn fsck(&self, code: i32) -> Value {
        self.world.local("fsck --json --rate 0").exits_with(code).json()
    }

    /// Asserts that fsck finds no damage after a repair, and that pulled disks have the right
    /// bytes.
    fn is_whole(&self, what: &str) {
        let report = self.fsck(0);
        assert_eq!(report["damageCount"], 0, "{what}: {report}");
        assert_eq!(report["state"], "complete", "{what}: {report}");
        let listed = self.world.local("list shop").succeeds().stdout;
        assert!(!listed.contains("DAMAGED"), "{what}: {listed}");
        let _ = fs::remove_dir_all(self.world.path("host"));
        self.world.local("pull shop:1 --into host").succeeds();
        let disk = self.first_disk();
        same_bytes(self.world.path("host").join(disk), self.world.path("1.raw"));
    }

    fn first_disk(&self) -> PathBuf {
        let names = self.world.disks("shop:1");
        PathBuf::from(format!("{}.raw", names[0].0))
    }
}

/// Returns the findings of damage: object → (kind, class).
fn damage(report: &Value) -> BTreeMap<String, (String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["class"] != "reclaimable")
        .map(|f| (word(&f["object"]), (word(&f["kind"]), word(&f["class"]))))
        .collect()
}

#[test]
fn a_sound_registry_has_no_damage_and_nothing_to_reclaim() {
    let stock = Stock::new();
    stock.reset();
    let report = stock.fsck(0);
    assert_eq!(report["damageCount"], 0, "{report}");
    assert_eq!(report["reclaimableCount"], 0, "{report}");
    assert!(report["readBytes"].as_u64().unwrap() > 6 * MIB, "{report}");
    assert_eq!(report["completedAtSecs"], report["lastCompleteAtSecs"]);
    assert_eq!(stock.fsck(0)["run"], 2, "a check that ended is followed by a new one");
}

/// Each damaged object is found and named. The release that needs it is marked, or the record is
/// mended.
#[test]
fn every_damage_is_found_named_and_marked() {
    let stock = Stock::new();
    for (folder, kind) in KINDS {
        for (damaging, apply) in DAMAGES {
            stock.reset();
            let (file, other) = stock.objects(folder);
            let what = format!("{damaging} of {}", file.display());
            apply(&file, &other);

            // The record is mended from the catalog, so no damage is left.
            let report = stock.fsck(if kind == "name" { 0 } else { 5 });

            let path = file.strip_prefix(stock.world.path("registry/store")).unwrap();
            let found = damage(&report);
            let named = found.get(path.to_str().unwrap());
            let (found_kind, class) = named.unwrap_or_else(|| panic!("{what}: {report}"));
            assert_eq!(found_kind, kind, "{what}");
            if kind == "name" {
                assert_eq!(class, "mended", "{what}: {report}");
                stock.is_whole(&what);
                same_bytes(&file, stock.world.path("intact").join("store").join(path));
                continue;
            }
            assert_eq!(class, "damage", "{what}");
            assert_eq!(found.len(), 1, "{what}: nothing else is damaged: {report}");
            let listed = stock.world.local("list shop --json").succeeds().json();
            for release in listed["releases"].as_array().unwrap() {
                let lost = release["lost"].as_array().map_or(&[][..], Vec::as_slice);
                let is_first = release["version"] == "1";
                assert_eq!(lost.iter().any(|l| l == path.to_str().unwrap()), is_first, "{what}");
            }
            if kind != "release" {
                let shown = stock.world.local("show shop:1").succeeds().stdout;
                assert!(shown.contains("DAMAGED") && shown.contains(path.to_str().unwrap()));
            }
            // A second check has the same result.
            assert_eq!(damage(&stock.fsck(5)).keys().count(), 1, "{what}");
        }
    }
}

#[test]
fn a_repair_from_another_registry_heals_every_damage() {
    let stock = Stock::new();
    for (folder, kind) in KINDS {
        for (damaging, apply) in DAMAGES {
            if kind == "name" {
                continue; // fsck itself mends those
            }
            stock.reset();
            let (file, other) = stock.objects(folder);
            let what = format!("{damaging} of {}", file.display());
            apply(&file, &other);
            stock.fsck(5);

            let repair = stock.world.local("repair --json --from ./intact").succeeds().json();

            let releases = repair["releases"].as_array().unwrap();
            assert_eq!(releases.len(), 1, "{what}: {repair}");
            assert_eq!(releases[0]["isWhole"], true, "{what}: {repair}");
            stock.is_whole(&what);
        }
    }
}

/// All objects of a release except its descriptor are restored from a directory that it was pulled
/// into.
#[test]
fn pulled_disks_heal_a_release_in_any_format() {
    let stock = Stock::new();
    for format in ["raw", "qcow2"] {
        for keeps_indexes in [true, false] {
            stock.reset();
            let what = format!("{format}, with indexes: {keeps_indexes}");
            let _ = fs::remove_dir_all(stock.world.path("pulled"));
            let pull = format!("pull shop:1 --into pulled --format {format}");
            stock.world.local(&pull).succeeds();
            if !keeps_indexes {
                fs::remove_dir_all(stock.world.path("pulled/.seawall")).unwrap();
            }
            for kind in ["packs", "indexes/leaves", "indexes/lists", "releases"] {
                for file in stock.own_objects(kind) {
                    // The other release may have the same leaves of holes.
                    if file.exists() {
                        fs::remove_file(file).unwrap();
                    }
                }
            }
            stock.fsck(5);

            let repair = stock.world.local("repair shop:1 --json --from pulled").succeeds();

            let repair = repair.json();
            assert_eq!(repair["documents"], 1, "{what}: {repair}");
            assert!(repair["chunks"].as_u64().unwrap() > 20, "{what}: {repair}");
            stock.is_whole(&what);
        }
    }
}

#[test]
fn chunks_without_a_source_are_reported_and_the_rest_is_repaired() {
    let stock = Stock::new();
    stock.reset();
    stock.world.local("pull shop:1 --into pulled").succeeds();
    // The host's guest has modified a part of the disk since.
    let disk = stock.world.path("pulled").join(stock.first_disk());
    flip_bit(&disk, MIB);
    for file in stock.own_objects("packs") {
        fs::remove_file(&file).unwrap();
    }
    stock.fsck(5);

    let repair = stock.world.local("repair --json --from pulled").exits_with(5).explains().json();

    let release = &repair["releases"][0];
    assert_eq!(release["missing"].as_array().unwrap().len(), 1, "{repair}");
    assert_eq!(release["isWhole"], false, "{repair}");
    assert!(repair["chunks"].as_u64().unwrap() > 20, "{repair}");
    // Another source has the remaining chunk, and only this chunk is sent.
    let repair = stock.world.local("repair --json --from pulled --from ./intact").succeeds().json();
    assert_eq!(repair["chunks"], 1, "{repair}");
    stock.is_whole("two sources");
}

#[test]
fn the_next_push_heals_what_fsck_found() {
    let stock = Stock::new();
    for (folder, kind) in KINDS {
        for (damaging, apply) in DAMAGES {
            if kind == "name" {
                continue;
            }
            stock.reset();
            let (file, other) = stock.objects(folder);
            let what = format!("{damaging} of {}", file.display());
            apply(&file, &other);
            stock.fsck(5);
            let done = stock.world.local("push shop:1 1024/web.ovf").ends();
            assert!(done.status.success(), "{what}\n{done}");
            stock.is_whole(&what);
        }
    }
}

/// A check of some 6 MiB at 1 MiB a second is killed, and the next one resumes.
#[test]
fn a_check_that_was_killed_goes_on_where_it_was() {
    let stock = Stock::new();
    stock.reset();
    let (file, _) = stock.objects("indexes/lists");
    flip_bit(&file, len(&file) / 2);
    let world = &stock.world;
    let registry = world.serve();
    let slow = registry.client(world, "fsck --rate 1 --quiet").start();
    let begun = Instant::now();
    let progress = loop {
        let fsck: Value = serde_json::from_str(&registry.text("/v1/fsck")).unwrap();
        if fsck["phase"] == "packs" && fsck["bytes"].as_u64().unwrap() > MIB {
            break fsck;
        }
        assert_ne!(fsck["state"], "complete", "it is too fast to be killed: {fsck}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{fsck}");
        std::thread::sleep(Duration::from_millis(20));
    };
    registry.kill();
    drop(slow.kill());

    let registry = world.serve();
    let interrupted: Value = serde_json::from_str(&registry.text("/v1/fsck")).unwrap();
    assert_ne!(interrupted["state"], "complete");
    let done = registry.client(world, "fsck --rate 0 --json").exits_with(5).json();

    assert_eq!(done["run"], progress["run"], "it is the same check");
    assert_eq!(done["state"], "complete");
    assert_eq!(damage(&done).len(), 1, "what was found before the kill is kept: {done}");
    let (before, all) = (&progress["bytes"], &done["readBytes"]);
    assert!(all.as_u64() > before.as_u64(), "{done}");
    let counted = registry.text("/metrics");
    let read = counted.lines().find_map(|l| l.strip_prefix("seawall_fsck_read_bytes_total "));
    let read: u64 = read.unwrap().parse().unwrap();
    assert!(read < all.as_u64().unwrap(), "not all of it was read again: {read}, {done}");
    for metric in ["seawall_fsck_damage{kind=\"index\"} 1", "seawall_damaged_releases 1"] {
        assert!(counted.contains(metric), "{metric} in {counted}");
    }
    assert!(!counted.contains("seawall_fsck_last_complete_timestamp_seconds 0"));
}

#[test]
fn a_check_is_stopped_and_goes_on_and_pushes_go_on_beside_it() {
    let stock = Stock::new();
    stock.reset();
    let world = &stock.world;
    let registry = world.serve();
    // Half a minute of reading, so the check is still running during the next steps.
    raw(&world.path("long.raw"), 32 * MIB, &[(0, Noise::new("long").bytes(32 * MIB))]);
    registry.client(world, "push long:1 --machine a=root:long.raw").succeeds();
    let slow = registry.client(world, "fsck --rate 1 --quiet").start();
    let begun = std::time::Instant::now();
    while !registry.text("/v1/fsck").contains("\"running\"") {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    registry.client(world, "push side:1 --machine a=root:1.raw").succeeds();
    registry.client(world, "pull side:1 --into side").succeeds();
    registry.client(world, "fsck --stop").succeeds();
    let done = slow.ends();
    assert!(done.stdout.contains("was stopped"), "{done}");
    assert_eq!(done.status.code(), Some(6), "it is not what was asked for: {done}");
    registry.client(world, "fsck --status").succeeds();
    let report = registry.client(world, "fsck --json --rate 0").succeeds().json();
    assert_eq!(report["run"], 1, "{report}");
    assert_eq!(report["damageCount"], 0, "{report}");
}

/// Returns the catalog's content, as the command line prints it.
fn told(world: &World) -> Vec<Value> {
    let ask = |args: &str| world.local(args).succeeds().json();
    let asked = ["list", "list shop", "show shop:1", "channels shop", "channels shop stable"];
    asked.iter().map(|args| ask(&format!("{args} --json"))).collect()
}

#[test]
fn a_recovered_catalog_says_what_the_old_one_said() {
    let stock = Stock::new();
    stock.reset();
    let world = &stock.world;
    let before = told(world);
    let recovered = world.seawall("recover registry --json").succeeds().json();
    let found = &recovered["found"];
    assert_eq!((&found["releases"], &found["channels"]), (&2.into(), &1.into()), "{recovered}");
    assert!(Path::new(recovered["oldCatalog"].as_str().unwrap()).ends_with("catalog.sqlite.old-1"));
    assert!(world.path("registry/catalog.sqlite.old-1").exists());
    assert_eq!(told(world), before);
    // Without any catalog, too.
    fs::remove_file(world.path("registry/catalog.sqlite")).unwrap();
    let recovered = world.seawall("recover registry --json").succeeds().json();
    assert!(recovered.get("oldCatalog").is_none(), "{recovered}");
    assert_eq!(told(world), before);
    stock.is_whole("recovered");
}

#[test]
fn a_recovery_says_what_is_damaged_and_marks_the_release() {
    let stock = Stock::new();
    for folder in ["indexes/lists", "indexes/leaves", "releases", "descriptors", "packs"] {
        stock.reset();
        let (file, _) = stock.objects(folder);
        fs::remove_file(&file).unwrap();
        let done = stock.world.seawall("recover registry --json").exits_with(5).explains();
        assert!(!done.json()["found"]["damage"].as_array().unwrap().is_empty(), "{folder}");
        let listed = stock.world.local("list shop").succeeds().stdout;
        assert!(listed.contains("shop:1 is DAMAGED"), "{folder}: {listed}");
        stock.fsck(5);
        stock.world.local("repair --from ./intact").succeeds();
        stock.is_whole(folder);
    }
}

#[test]
fn a_registry_that_runs_is_not_recovered_under_its_feet() {
    let stock = Stock::new();
    stock.reset();
    let registry = stock.world.serve();
    let refused = stock.world.seawall("recover registry").exits_with(6).explains();
    drop(refused.says("a registry in this directory is running"));
    assert!(!stock.world.path("registry/catalog.sqlite.old-1").exists());
    assert_eq!(registry.status("/readyz"), Some(200));
    drop(registry);
    stock.world.seawall("recover nothing").exits_with(3).explains();
}

/// Returns files with their bytes and times.
fn fingerprint(root: &Path) -> Vec<(PathBuf, String, std::time::SystemTime)> {
    let one = |file: PathBuf| {
        let (digest, time) = (b3sum(&file), fs::metadata(&file).unwrap().modified().unwrap());
        (file, digest, time)
    };
    files(root).into_iter().map(one).collect()
}

#[test]
fn a_drill_proves_releases_and_leaves_the_data_alone() {
    let stock = Stock::new();
    stock.reset();
    let world = &stock.world;
    let before = fingerprint(&world.path("registry"));
    let drill = world.seawall("drill registry --releases 1 --json").succeeds().json();
    assert_eq!(drill["found"]["releases"], 2, "{drill}");
    let verified = drill["verified"].as_array().unwrap();
    assert_eq!(verified.len(), 1, "{drill}");
    assert_eq!((&verified[0]["version"], &verified[0]["isIntact"]), (&"2".into(), &true.into()));
    assert!(verified[0]["hashedBytes"].as_u64().unwrap() > 3 * MIB, "{drill}");
    assert_eq!(fingerprint(&world.path("registry")), before);

    // A drill and a recovery both report the damage.
    let (file, _) = stock.objects("packs");
    flip_bit(&file, len(&file) / 3);
    let before = fingerprint(&world.path("registry"));
    let drill = world.seawall("drill registry --into scratch --json").exits_with(5).explains();
    let drill = drill.json();
    let intact: Vec<_> = drill["verified"].as_array().unwrap().iter().collect();
    assert_eq!(intact.iter().filter(|release| release["isIntact"] == true).count(), 1, "{drill}");
    assert!(world.path("scratch/catalog.sqlite").exists());
    assert_eq!(fingerprint(&world.path("registry")), before);
    world.seawall("drill registry --into registry/here").exits_with(2).explains();
}

#[test]
fn a_backup_that_is_restored_serves_the_same() {
    let stock = Stock::new();
    stock.reset();
    let world = &stock.world;
    let before = told(world);
    // Backups of a directory, and of a running registry during writes.
    world.seawall("backup registry cold.sqlite").succeeds();
    let registry = world.serve();
    registry.client(world, "backup hot.sqlite").succeeds();
    registry.client(world, "backup hot.sqlite").exits_with(4).explains();
    drop(registry);
    for copy in ["cold.sqlite", "hot.sqlite"] {
        for file in files(&world.path("registry")) {
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(!name.ends_with(".copy"), "{name} was left");
            if name.starts_with("catalog.sqlite") {
                fs::remove_file(file).unwrap();
            }
        }
        fs::copy(world.path(copy), world.path("registry/catalog.sqlite")).unwrap();
        assert_eq!(told(world), before, "{copy}");
        stock.is_whole(copy);
    }
}

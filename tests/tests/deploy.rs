//! Host descriptors: the hosts' own tools read them, and a machine boots from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use seawall_tests::{MIB, Noise, World, raw, tool};
use serde_json::Value;

const TARGETS: [&str; 5] = ["libvirt", "xen", "hyperv", "qemu", "proxmox"];

/// How long a machine takes to start where nothing but QEMU's own translation runs it.
const BOOT_MAX: Duration = Duration::from_secs(120);

/// A boot sector that writes a text to the first serial line and halts.
fn boot_sector(text: &str) -> Vec<u8> {
    let code = [
        0x31, 0xc0, 0x8e, 0xd8, // ds = 0
        0xba, 0xf8, 0x03, // dx = COM1
        0xbe, 0x15, 0x7c, // si = the text, behind this code
        0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8, // write until a zero
        0xf4, 0xeb, 0xfd, // halt
    ];
    let mut sector = [&code[..], text.as_bytes(), &[0]].concat();
    assert!(sector.len() <= 510);
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector
}

fn disk(world: &World, file: &str, says: &str) {
    let pieces = [(0, boot_sector(says)), (MIB, Noise::new(file).bytes(MIB))];
    raw(&world.path(file), 4 * MIB, &pieces);
}

/// Two machines that say who they are; `db` starts first.
fn shop(world: &World) {
    disk(world, "web.raw", "web of 1 is up");
    disk(world, "web-2.raw", "web of 2 is up");
    disk(world, "db.raw", "db is up");
    disk(world, "data.raw", "not booted");
    let spec = |web: &str, more: &str| {
        format!(
            "[networks.backend]\n\
             [networks.public]\n\
             [parameters.key]\nrequired = true\n\
             [machines.web]\narchitecture = \"x86_64\"\nmemory = 64\nstart-order = 2\n\
             disks = [\n  {{ name = \"root\", path = \"{web}\", bus = \"sata\" }},\n  \
             {{ name = \"data\", path = \"data.raw\", bus = \"nvme\" }},\n]\n\
             network-cards = [\n  {{ network = \"backend\" }},\n  \
             {{ network = \"public\", model = \"e1000\" }},\n]\n\
             [machines.web.annotations]\nnote = \"'; reboot; ' <&\\\"\"\n\
             {more}"
        )
    };
    let db = "[machines.db]\narchitecture = \"x86_64\"\nmemory = 64\nstart-order = 1\n\
              disks = [{ name = \"root\", path = \"db.raw\", bus = \"ide\" }]\n\
              network-cards = [{ network = \"backend\" }]\n";
    fs::write(world.path("one.toml"), spec("web.raw", db)).unwrap();
    fs::write(world.path("two.toml"), spec("web-2.raw", "")).unwrap();
    world.local("push team/shop:1 --file one.toml").succeeds();
    world.local("push team/shop:2 --file two.toml").succeeds();
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn with_ending(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = files_below(folder);
    files.retain(|path| path.extension().is_some_and(|found| found == ending));
    files
}

#[test]
fn the_hosts_own_tools_read_what_is_written() {
    let world = World::new();
    shop(&world);
    for target in TARGETS {
        world.local(&format!("pull team/shop:1 --into {target}s --as {target}")).succeeds();
        world.seawall(&format!("verify {target}s")).succeeds();
    }
    let domains = with_ending(&world.path("libvirts/libvirt"), "xml");
    assert_eq!(domains.len(), 4, "two machines, two networks");
    for domain in domains {
        tool("virt-xml-validate", [domain]);
    }
    let scripts: Vec<_> = TARGETS
        .iter()
        .flat_map(|target| with_ending(&world.path(format!("{target}s/{target}")), "sh"))
        .collect();
    assert_eq!(scripts.len(), 6);
    for script in &scripts {
        tool("sh", [Path::new("-n"), script]);
    }
    tool("shellcheck", &scripts);
}

#[test]
fn pulled_machines_boot_by_their_scripts_and_leave_the_disks_alone() {
    let world = World::new();
    shop(&world);
    // A comma and a quote, which QEMU and the shell read in their own ways.
    world.local("pull team/shop:1 --as qemu --into").arg("it's, here").succeeds();
    let folder = world.path("it's, here/qemu");
    let _machines = Machines(folder.clone());

    // The same machine everywhere: not every host that shows KVM can run it.
    tool(folder.join("start-all.sh").to_str().unwrap(), ["--tcg"]);

    says(&folder, "db", "db is up");
    says(&folder, "web", "web of 1 is up");
    world.seawall("verify").arg(world.path("it's, here")).succeeds();
}

/// Ends what the scripts started.
struct Machines(PathBuf);

impl Drop for Machines {
    fn drop(&mut self) {
        for path in files_below(&self.0).iter().filter(|path| path.ends_with("pid")) {
            let pid = fs::read_to_string(path).unwrap_or_default();
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        }
    }
}

#[track_caller]
fn says(folder: &Path, machine: &str, text: &str) {
    let begun = Instant::now();
    let log = |path: &PathBuf| path.ends_with(format!("{machine}/serial.log"));
    loop {
        let logs: Vec<_> = files_below(folder).into_iter().filter(|path| log(path)).collect();
        let said = logs.first().map(|path| fs::read_to_string(path).unwrap_or_default());
        if said.as_ref().is_some_and(|said| said.contains(text)) {
            return;
        }
        assert!(begun.elapsed() < BOOT_MAX, "{machine} says {said:?} in {logs:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_host_cannot_be_told_is_printed_and_in_json() {
    let world = World::new();
    shop(&world);
    // A plan says it before anything is there.
    let plan = "pull team/shop:1 --into host --as libvirt --dry-run";
    let planned = world.local(&format!("{plan} --json")).succeeds().json();
    let text = world.local(plan).succeeds().stdout.clone();
    assert!(text.contains("\n    web: disk data on nvme: "), "{text}");
    assert!(!world.path("host").exists());
    let report = world.local("pull team/shop:1 --into host --as libvirt --json").succeeds().json();
    assert_eq!(planned["descriptors"], report["descriptors"]);
    let described = &report["descriptors"][0];
    assert_eq!(described["target"], "libvirt");
    let losses = described["losses"].as_array().unwrap();
    let nvme = losses.iter().find(|loss| loss["what"] == "disk data on nvme").unwrap();
    assert_eq!((&nvme["machine"], &nvme["instead"]), (&"web".into(), &"sata".into()));
    assert!(losses.iter().any(|loss| loss.get("machine").is_none()), "the parameter");
    for file in described["files"].as_array().unwrap() {
        assert!(Path::new(file.as_str().unwrap()).is_file(), "{file}");
    }
    // qcow2 is what libvirt takes best; --format says otherwise.
    assert!(world.path("host/web/root.qcow2").exists());
    world.local("pull team/shop:1 --into raw --as libvirt --format raw").succeeds();
    assert!(world.path("raw/web/root.raw").exists());
    let text = world.seawall("describe raw --as xen").succeeds().stdout.clone();
    assert!(text.contains("\n    web: disk data on nvme: "), "{text}");
}

#[test]
fn a_patch_describes_the_machines_anew_and_removes_those_that_are_gone() {
    let world = World::new();
    shop(&world);
    world.local("pull team/shop:1 --into host --as qemu --as xen --format raw").succeeds();
    assert!(world.path("host/qemu/run-db.sh").exists() && world.path("host/xen/db.cfg").exists());
    fs::write(world.path("host/qemu/mine.txt"), "mine").unwrap();

    let report = world.local("patch host --to team/shop:2 --json").succeeds().json();

    assert_eq!(report["descriptors"].as_array().unwrap().len(), 2);
    assert!(!world.path("host/qemu/run-db.sh").exists() && !world.path("host/xen/db.cfg").exists());
    let script = fs::read_to_string(world.path("host/qemu/run-web.sh")).unwrap();
    assert!(script.contains("team/shop 2, ") && !script.contains("team/shop 1, "), "{script}");
    assert!(world.path("host/qemu/mine.txt").exists(), "what is not Seawall's stays");
    world.seawall("verify host").succeeds();
    world.holds("host", "team/shop:2");
    // A patched directory is what a pull makes.
    world.local("pull team/shop:2 --into new --as qemu --as xen --format raw").succeeds();
    let here = fs::canonicalize(world.path("")).unwrap();
    for file in
        files_below(&world.path("new/xen")).iter().chain(&files_below(&world.path("new/qemu")))
    {
        let patched = world.path("host").join(file.strip_prefix(world.path("new")).unwrap());
        let text = |path: &Path| fs::read_to_string(path).unwrap();
        let place = |name: &str| here.join(name).to_str().unwrap().to_owned() + "/";
        assert_eq!(text(file).replace(&place("new"), &place("host")), text(&patched));
    }
}

#[test]
fn a_directory_that_is_there_is_described_without_a_pull() {
    let world = World::new();
    shop(&world);
    world.pull("team/shop:1", "host");
    let lock = || -> Value {
        serde_json::from_slice(&fs::read(world.path("host/seawall.lock")).unwrap()).unwrap()
    };
    assert!(lock().get("descriptors").is_none());

    world.seawall("describe host --as proxmox").succeeds();
    // A pull of what is there adds to it, too.
    world.local("pull team/shop:1 --into host --format raw --as xen").succeeds();

    assert_eq!(lock()["descriptors"], serde_json::json!(["xen", "proxmox"]));
    assert!(
        world.path("host/proxmox/create.sh").exists() && world.path("host/xen/web.cfg").exists()
    );
    let mode = fs::metadata(world.path("host/proxmox/create.sh")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o111, 0o111, "it is to be run");
    world.seawall("verify host").succeeds();
    world.local("pull team/shop:1 --into host --locked").succeeds();
    world.seawall("describe nowhere --as xen").exits_with(3).explains();
    world.seawall("describe registry --as xen").exits_with(3).explains().says("no pulled release");
}

#[test]
fn a_path_that_a_descriptor_cannot_name_is_refused_before_anything_is_fetched() {
    let world = World::new();
    shop(&world);
    let run = world.local("pull team/shop:1 --as libvirt --into").arg("two\nlines");
    run.exits_with(2).explains().says("cannot describe");
    assert!(!world.path("two\nlines").exists());
    world.local("pull team/shop:1 --as qemu --into").arg("two\nlines").succeeds();
}

//! Host descriptors: the hosts' tools accept them, and a machine boots from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use seawall_tests::{MIB, Noise, World, raw, tool};
use serde_json::Value;

const TARGETS: [&str; 5] = ["libvirt", "xen", "hyperv", "qemu", "proxmox"];

/// The time limit for a machine's start with QEMU's emulation (TCG).
const BOOT_MAX: Duration = Duration::from_secs(120);

/// Returns a boot sector that writes a text to the first serial line and halts.
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

/// Creates a release of two machines that print their names; `db` starts first.
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
    assert_eq!(domains.len(), 6, "two machines, on overlays and not, and two networks");
    for domain in domains {
        tool("virt-xml-validate", [domain]);
    }
    let scripts: Vec<_> = TARGETS
        .iter()
        .flat_map(|target| with_ending(&world.path(format!("{target}s/{target}")), "sh"))
        .collect();
    assert_eq!(scripts.len(), 8);
    for script in &scripts {
        tool("sh", [Path::new("-n"), script]);
    }
    tool("shellcheck", &scripts);
}

#[test]
fn pulled_machines_boot_by_their_scripts_and_leave_the_disks_alone() {
    let world = World::new();
    shop(&world);
    // A comma and a quote, which are special in QEMU and in the shell.
    world.local("pull team/shop:1 --as qemu --into").arg("it's, here").succeeds();
    let folder = world.path("it's, here/qemu");
    let machines = Machines(folder.clone());

    // Always TCG: not every host with KVM can run the machine.
    tool(folder.join("start-all.sh").to_str().unwrap(), ["--tcg"]);

    says(&folder, "db", "db is up");
    says(&folder, "web", "web of 1 is up");
    world.seawall("verify").arg(world.path("it's, here")).succeeds();
    drop(machines);

    // Overlays on the first release are kept, and are never used on the second release.
    let report = world.local("patch --json --to team/shop:2").arg("it's, here").succeeds().json();
    let aside = PathBuf::from(report["overlays"][0].as_str().unwrap());
    assert!(aside.join("web/root.qcow2").exists(), "{report}");
    tool(folder.join("run-web.sh").to_str().unwrap(), ["--tcg", "--background"]);
    let machines = Machines(folder.clone());
    says_in(&folder, "web", "web of 2 is up");
    drop(machines);
    world.seawall("verify").arg(world.path("it's, here")).succeeds();
    world.local("patch --to team/shop:1").arg("it's, here").succeeds();
    tool(folder.join("run-web.sh").to_str().unwrap(), ["--tcg", "--background"]);
    let _machines = Machines(folder.clone());
    says_in(&folder, "web", "web of 1 is up");
    assert!(!aside.exists(), "the first release's overlays are taken up again");
}

/// The machines started by the scripts, ended when dropped.
struct Machines(PathBuf);

impl Drop for Machines {
    fn drop(&mut self) {
        for path in files_below(&self.0).iter().filter(|path| path.ends_with("pid")) {
            let pid = fs::read_to_string(path).unwrap_or_default();
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
            // Its locks end with it.
            let stat = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
            let begun = Instant::now();
            while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
                assert!(begun.elapsed() < BOOT_MAX, "{} does not end", stat.display());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// As [`says`], for the running machine only: overlays that were set aside have logs, too.
#[track_caller]
fn says_in(folder: &Path, machine: &str, text: &str) {
    let states = fs::read_dir(folder.join("state")).unwrap().flatten().map(|entry| entry.path());
    let current = states.filter(|path| path.extension().is_none()).last().unwrap();
    says(&current, machine, text);
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
fn settings_that_a_target_cannot_express_are_printed_and_in_json() {
    let world = World::new();
    shop(&world);
    // A plan reports the losses before any file exists.
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
    // libvirt's default is qcow2; --format overrides it.
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
    // A patched directory equals a pulled one.
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
    // A pull of the release already present also adds descriptors.
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

/// A folder with mock programs that record their arguments, and runs of scripts with them.
struct Fakes(PathBuf);

impl Fakes {
    /// Creates the programs. The mock `virsh` keeps a list of started domains and networks.
    fn new(world: &World) -> Self {
        let fakes = Self(world.path("fakes"));
        fs::create_dir_all(&fakes.0).unwrap();
        fakes.add(
            "virsh",
            "echo \"virsh $*\" >>\"$FAKES/log\"\n\
             case $1 in\n\
             define | net-define) cat >\"$FAKES/$1.$(wc -l <\"$FAKES/log\").xml\" ;;\n\
             net-info | dominfo) false ;;\n\
             list) cat \"$FAKES/running\" 2>/dev/null || : ;;\n\
             start) echo \"$2\" >>\"$FAKES/running\" ;;\n\
             destroy) : >\"$FAKES/running\" ;;\n\
             esac\n",
        );
        fakes.add("xl", "echo \"xl $*\" >>\"$FAKES/log\"\n[ \"$1\" != domid ]\n");
        fakes.add("ip", "echo \"ip $*\" >>\"$FAKES/log\"\n");
        fakes
    }

    fn add(&self, name: &str, body: &str) {
        let path = self.0.join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(path, mode).unwrap();
    }

    /// Returns the recorded arguments and the defined XML, in order.
    #[track_caller]
    fn runs(&self, script: &Path, args: &[&str]) -> (String, Vec<String>) {
        for file in files_below(&self.0).iter().filter(|path| path.extension().is_some()) {
            fs::remove_file(file).unwrap();
        }
        let _ = fs::remove_file(self.0.join("log"));
        let path = format!("{}:{}", self.0.display(), std::env::var("PATH").unwrap());
        let done = Command::new(script).args(args).env("PATH", path).env("FAKES", &self.0).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{script:?}: {}", String::from_utf8_lossy(&done.stderr));
        let xml = with_ending(&self.0, "xml");
        xml.iter().for_each(|path| drop(tool("virt-xml-validate", [path])));
        let texts = xml.iter().map(|path| fs::read_to_string(path).unwrap());
        (fs::read_to_string(self.0.join("log")).unwrap_or_default(), texts.collect())
    }
}

/// Returns the backing file of an overlay, according to `qemu-img`.
fn backing(overlay: &Path) -> PathBuf {
    let said = tool("qemu-img", ["info", "--output=json", overlay.to_str().unwrap()]);
    let info: Value = serde_json::from_str(&said).unwrap();
    PathBuf::from(info["full-backing-filename"].as_str().unwrap())
}

#[test]
fn machines_of_libvirt_run_on_overlays_so_that_a_patch_finds_the_disks_unmodified() {
    let world = World::new();
    shop(&world);
    let fakes = Fakes::new(&world);
    world.local("pull team/shop:1 --into host --as libvirt").succeeds();
    let script = world.path("host/libvirt/start.sh");
    let (asked, defined) = fakes.runs(&script, &["--tcg"]);

    assert!(asked.contains("virsh start team-shop-web"), "{asked}");
    let state = || {
        let states = fs::read_dir(world.path("host/libvirt/state")).unwrap().flatten();
        states.map(|entry| entry.path()).find(|path| path.extension().is_none()).unwrap()
    };
    let first = state();
    let overlay = first.join("web/root.qcow2");
    let base = fs::canonicalize(world.path("host/web/root.qcow2")).unwrap();
    assert_eq!(fs::canonicalize(backing(&overlay)).unwrap(), base);
    let web = defined.iter().find(|xml| xml.contains("<name>team-shop-web</name>")).unwrap();
    assert!(web.contains(fs::canonicalize(&overlay).unwrap().to_str().unwrap()), "{web}");
    assert!(!web.contains(base.to_str().unwrap()) && web.contains("type=\"qemu\""), "{web}");
    assert!(web.contains("<cpu mode=\"maximum\"/>"), "{web}");

    // The guest writes to its overlay, so the pulled disk is unchanged and can be patched.
    tool("qemu-io", ["-c", "write -P 7 0 64k", overlay.to_str().unwrap()]);
    world.seawall("verify host").succeeds();
    let told = world.local("patch host --to team/shop:2").succeeds();
    assert!(told.stdout.contains("the overlays on 1 are kept in"), "{told}");
    assert!(!overlay.exists(), "no machine starts on an overlay of another release");
    fakes.runs(&script, &["--define"]);
    let second = state();
    assert_ne!(first, second);
    let is_guests = |overlay: &Path| {
        let mut command = Command::new("qemu-io");
        command.args(["-r", "-c", "read -P 7 0 64k"]).arg(overlay);
        let said = command.output().unwrap();
        said.status.success() && !String::from_utf8_lossy(&said.stdout).contains("failed")
    };
    assert!(!is_guests(&second.join("web/root.qcow2")), "a fresh overlay shows the new release");
    world.local("patch host --to team/shop:1").succeeds();
    fakes.runs(&script, &[]);
    assert!(is_guests(&overlay), "what the guest wrote is there again");

    // Directly on the disks with `--direct`, and with the named processor model.
    let (asked, defined) = fakes.runs(&script, &["--direct", "--cpu", "Nehalem"]);
    let web = defined.iter().find(|xml| xml.contains("<name>team-shop-web</name>")).unwrap();
    assert!(web.contains(base.to_str().unwrap()), "{asked}{web}");
    assert!(web.contains("<model>Nehalem</model>"), "{web}");
}

#[test]
fn networks_go_where_the_operator_says() {
    let world = World::new();
    shop(&world);
    let fakes = Fakes::new(&world);
    world.local("pull team/shop:1 --into host --as libvirt --as xen --format raw").succeeds();
    let start = world.path("host/libvirt/start.sh");
    let (_, defined) = fakes.runs(&start, &["--define"]);
    assert!(defined.iter().all(|xml| !xml.contains("<forward")), "isolated by default");
    let nets = ["--define", "--net", "public=nat", "--net", "backend=bridge:br0"];
    let (_, defined) = fakes.runs(&start, &nets);
    let of = |name: &str| {
        let name = format!("<name>team-shop-{name}</name>");
        defined.iter().find(|xml| xml.contains("<network>") && xml.contains(&name)).unwrap()
    };
    assert!(of("public").contains("<forward mode=\"nat\"/>"), "{}", of("public"));
    assert!(of("public").contains("<dhcp>") && of("backend").contains("<bridge name=\"br0\"/>"));
    // Stopped in reverse order, and undefined.
    fs::write(fakes.0.join("running"), "team-shop-web\nteam-shop-db\n").unwrap();
    let (asked, _) = fakes.runs(&world.path("host/libvirt/stop.sh"), &["--force"]);
    assert!(asked.contains("virsh destroy team-shop-web"), "{asked}");
    fakes.runs(&world.path("host/libvirt/undefine.sh"), &["--purge"]);
    assert!(!world.path("host/libvirt/state").exists());
    // Xen's network cards are on bridges.
    let (asked, _) = fakes.runs(&world.path("host/xen/start.sh"), &["--net", "public=br7"]);
    let cfg = fs::read_to_string(asked.lines().find_map(|l| l.strip_prefix("xl create ")).unwrap());
    let all: String = files_below(&world.path("host/xen/state"))
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "cfg"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(all.contains("bridge=br7,") && cfg.is_ok(), "{all}");
    assert!(all.contains("format=qcow2") && !all.contains("/web/root.raw"), "{all}");
    assert!(asked.lines().filter(|line| line.starts_with("ip link show")).count() == 1, "{asked}");
    let unknown = Command::new(&start).args(["--net", "nosuch=nat"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("it has: backend public"));
}

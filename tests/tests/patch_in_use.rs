//! A machine runs while its disks are patched: the patch refuses, or the machine cannot start. No
//! write is lost silently, and no mixture of releases counts as intact.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use seawall_tests::{
    Answer, Done, MIB, Noise, Proxy, ProxyRequest, Registry, Run, Signal, World, b3sum, raw,
    same_bytes, tool,
};

/// Offsets where both releases have the same bytes, where they differ, and where both have holes.
const SHARED_AT: u64 = MIB;
const DIFFERENT_AT: u64 = 5 * MIB;
const HOLE_AT: u64 = 30 * MIB;
/// An offset where both releases have the same bytes, which the second has elsewhere, too.
const COPIED_AT: u64 = 4096;

/// A registry with `shop:1`, `shop:2` and `shop:3`, which adds a machine `b` to the second; and
/// `host`, which holds the first.
struct Host {
    world: World,
    registry: Registry,
}

impl Host {
    fn new() -> Self {
        Self::with(2 * MIB)
    }

    /// Creates the world. `own_len` bytes differ between the releases.
    fn with(own_len: u64) -> Self {
        let world = World::new();
        let shared = Noise::new("shared").bytes(2 * MIB);
        for version in [1, 2] {
            let own = Noise::new([version]).bytes(own_len);
            let mut pieces = vec![(0, shared.clone()), (4 * MIB, own)];
            if version == 2 {
                pieces.push((50 * MIB, shared[..shared.len() / 4].to_vec()));
            }
            raw(&world.path(format!("{version}.raw")), 64 * MIB, &pieces);
        }
        let registry = world.serve();
        raw(&world.path("b.raw"), 64 * MIB, &[(MIB, Noise::new("b").bytes(own_len))]);
        for (version, machines) in
            [(1, "a=root:1.raw"), (2, "a=root:2.raw"), (3, "a=root:2.raw --machine b=root:b.raw")]
        {
            let push = format!("push shop:{version} --machine {machines}");
            registry.client(&world, &push).succeeds();
        }
        registry.client(&world, "pull shop:1 --into host").succeeds();
        Self { world, registry }
    }

    fn disk(&self) -> PathBuf {
        self.world.path("host/a/root.raw")
    }

    /// Returns the disk that only `shop:3` has.
    fn new_disk(&self) -> PathBuf {
        self.world.path("host/b/root.raw")
    }

    fn journal(&self) -> PathBuf {
        self.world.path("host/.seawall/patch/journal")
    }

    fn patch_to(&self, version: u8) -> Run {
        self.registry.client(&self.world, &format!("patch host --to shop:{version}"))
    }

    /// Kills a patch just after its commit. The rest of a patch is quick, so the signal may come
    /// too late: then retries from the first release.
    fn patch_killed_past_its_commit(&self, version: u8) {
        let is_met = (0..20).any(|_| {
            let mut run = self.patch_to(version).start();
            let mut is_running = true;
            while is_running && !self.journal().exists() {
                is_running = run.is_running();
            }
            let _ = run.kill();
            let is_met = self.journal().exists();
            if !is_met {
                self.patch_to(1).succeeds();
            }
            is_met
        });
        assert!(is_met, "twenty patches were done before they could be killed");
    }

    /// Patches, and runs `meanwhile` between the plan and the first fetch.
    fn patch(&self, meanwhile: impl Fn() + Send + Sync + 'static) -> Done {
        self.meanwhile("patch host --to shop:2", ("GET", "/v1/packs/"), meanwhile)
    }

    /// Runs a command, and runs `meanwhile` at its first request of this kind.
    fn meanwhile(
        &self,
        command: &str,
        (method, path): (&'static str, &'static str),
        meanwhile: impl Fn() + Send + Sync + 'static,
    ) -> Done {
        let happened = AtomicBool::new(false);
        let meanwhile = move |asked: &ProxyRequest, answer: Answer| {
            if asked.is(method, path) && !happened.swap(true, Ordering::SeqCst) {
                meanwhile();
            }
            answer
        };
        let proxy = Proxy::start(&self.registry, meanwhile);
        self.world.seawall(command).env("SEAWALL_REGISTRY", proxy.url()).ends()
    }

    fn is(&self, version: u8) {
        same_bytes(self.disk(), self.world.path(format!("{version}.raw")));
        self.registry.client(&self.world, "verify host").succeeds();
    }
}

fn write(disk: &Path, offset: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(disk).unwrap().write_all_at(bytes, offset).unwrap();
}

fn read(disk: &Path, offset: u64) -> [u8; 512] {
    let mut bytes = [0; 512];
    fs::File::open(disk).unwrap().read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

/// A writer without locks, between the survey and the commit.
#[test]
fn a_write_after_the_plan_is_noticed_wherever_it_lands_and_is_not_lost() {
    let host = Host::new();
    let disk = host.disk();
    for offset in [SHARED_AT, DIFFERENT_AT, HOLE_AT] {
        let before = read(&disk, offset);
        // Otherwise the staged data of the last patch would be reused, without a fetch during which
        // to write.
        let _ = fs::remove_dir_all(host.world.path("host/.seawall/patch"));
        let target = disk.clone();
        let done = host.patch(move || write(&target, offset, &[7; 512]));

        assert_eq!(done.status.code(), Some(4), "at {offset}: {done}");
        done.explains().says("root.raw was written to").says("nothing was changed: stop the");
        assert_eq!(read(&disk, offset), [7; 512], "the write at {offset} is not ours to lose");
        host.registry.client(&host.world, "verify host").exits_with(4);
        // Except for the write, the disk is unchanged.
        write(&disk, offset, &before);
        host.is(1);
    }
    assert!(host.patch(|| {}).status.success());
    host.is(2);
}

/// A writer that never stops: whatever the patch does, `verify` is not deceived.
#[test]
fn a_disk_that_is_written_to_all_the_time_is_never_a_mixture_that_is_called_good() {
    let host = Host::new();
    let (disk, is_over) = (host.disk(), Arc::new(AtomicBool::new(false)));
    let over = Arc::clone(&is_over);
    let writer = std::thread::spawn(move || {
        let mut noise = Noise::new("writer");
        while !over.load(Ordering::SeqCst) {
            write(&disk, noise.below(60) * MIB, &noise.bytes(512));
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    let done = host.patch(|| {});
    is_over.store(true, Ordering::SeqCst);
    writer.join().unwrap();

    assert_eq!(done.status.code(), Some(4), "{done}");
    done.explains().says("root.raw was changed since");
    host.registry.client(&host.world, "verify host").exits_with(4);
}

/// A process of QEMU with an open image, ended when dropped.
struct Qemu(Child);

impl Qemu {
    fn open(image: &Path, args: &[&str]) -> Self {
        let mut command = Command::new("qemu-io");
        command.args(args).arg(image).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"length\n").unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("64 MiB"), "{said}");
        Self(child)
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn a_disk_that_qemu_has_open_is_refused_untouched() {
    let host = Host::new();
    let (disk, overlay) = (host.disk(), host.world.path("overlay.qcow2"));
    let [below, above] = [&disk, &overlay].map(|path| path.to_str().unwrap());
    tool("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", below, above]);
    let ways: [(&Path, &[&str]); 3] =
        [(&disk, &["-f", "raw"]), (&disk, &["-r", "-f", "raw"]), (&overlay, &["-f", "qcow2"])];
    for (image, args) in ways {
        let qemu = Qemu::open(image, args);
        let done = host.patch_to(2).exits_with(4).explains();
        done.says("root.raw is in use").says("stop the machine");
        // A plan changes nothing, and reports the obstacle.
        host.patch_to(2).arg("--dry-run").succeeds().prints("a/root.raw is in use");
        let plan = host.patch_to(2).args(["--dry-run", "--json"]).succeeds().json();
        assert_eq!(plan["inUse"].as_array().unwrap().len(), 1, "{plan}");
        drop(qemu);
        let plan = host.patch_to(2).args(["--dry-run", "--json"]).succeeds().json();
        assert_eq!(plan["inUse"].as_array().unwrap().len(), 0, "{plan}");
        host.is(1);
    }
    host.patch_to(2).succeeds();
    host.is(2);
}

/// A signal leaves the disks intact or between two releases, and the message says which.
#[test]
fn an_interrupted_patch_says_whether_the_disks_are_half_done() {
    let moments = [
        ("journal.part", "interrupted: nothing is half done"),
        ("journal", "the disks in host are between two releases; run `seawall patch` again"),
    ];
    for (file, said) in moments {
        let host = Host::with(25 * MIB);
        let file = host.journal().with_file_name(file);
        // The signal may come too late: then retry from the first release.
        let is_met = (0..20).any(|_| {
            let mut run = host.patch_to(2).start();
            let mut is_running = true;
            while is_running && !file.exists() {
                is_running = run.is_running();
            }
            if is_running {
                run.signal(Signal::INT);
            }
            let done = run.ends();
            if done.status.code() == Some(130) && file.exists() {
                done.says(said);
                return true;
            }
            host.patch_to(1).succeeds();
            false
        });
        assert!(is_met, "twenty signals came too late");
        host.patch_to(2).succeeds();
        host.is(2);
    }
}

/// A plan of a large disk reads for minutes, during which its machine may start.
#[test]
fn qemu_can_open_a_disk_while_a_patch_of_it_is_planned() {
    let host = Host::new();
    let (disk, opened) = (host.disk(), Arc::new(AtomicBool::new(false)));
    let is_open = Arc::clone(&opened);
    let located = ("POST", "/v1/chunks/locate");
    let done = host.meanwhile("patch host --to shop:2 --dry-run", located, move || {
        drop(Qemu::open(&disk, &["-f", "raw"]));
        is_open.store(true, Ordering::SeqCst);
    });

    assert!(done.status.success(), "{done}");
    assert!(opened.load(Ordering::SeqCst), "{done}");
}

/// The next patch completes a patch that died after its commit, but not while a machine runs on the
/// disks between the releases.
#[test]
fn a_half_patched_disk_that_qemu_has_open_waits_for_it() {
    let host = Host::with(25 * MIB);
    host.patch_killed_past_its_commit(2);

    let qemu = Qemu::open(&host.disk(), &["-f", "raw"]);
    host.patch_to(2).exits_with(4).explains().says("a/root.raw is in use");
    assert!(host.journal().exists());
    drop(qemu);
    host.patch_to(2).succeeds();
    host.is(2);
}

/// A guest has written to the half-patched disk, so neither release can be restored from it.
#[test]
fn a_half_patched_disk_that_was_written_to_is_named_and_left() {
    let host = Host::with(25 * MIB);
    host.patch_killed_past_its_commit(2);
    let guest = [7; 512];
    write(&host.disk(), COPIED_AT, &guest);

    let done = host.patch_to(2).exits_with(4).explains();
    done.says("a/root.raw was written to while it was between two releases").says("into another");
    assert!(host.journal().exists());
    assert_eq!(read(&host.disk(), COPIED_AT), guest, "the write is not ours to lose");
    // The way out.
    host.registry.client(&host.world, "pull shop:2 --into other").succeeds();
    same_bytes(host.world.path("other/a/root.raw"), host.world.path("2.raw"));
    host.registry.client(&host.world, "verify other").succeeds();
}

/// The same, with a machine on a disk that the old release lacks.
#[test]
fn a_half_patched_directory_waits_for_a_machine_on_its_new_disk() {
    let host = Host::with(25 * MIB);
    let (journal, disk) = (host.journal(), host.new_disk());
    host.patch_killed_past_its_commit(3);
    // Simulates a slightly later crash, after the complete files were renamed.
    if !disk.exists() {
        let files = fs::read_dir(journal.parent().unwrap()).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        let staged = paths.find(|path| path.extension().is_some_and(|name| name == "raw"));
        fs::create_dir_all(disk.parent().unwrap()).unwrap();
        fs::rename(staged.unwrap(), &disk).unwrap();
    }
    same_bytes(&disk, host.world.path("b.raw"));

    let qemu = Qemu::open(&disk, &["-f", "raw"]);
    host.patch_to(3).exits_with(4).explains().says("b/root.raw is in use");
    assert!(journal.exists());
    drop(qemu);
    host.patch_to(3).succeeds();
    host.is(2);
    same_bytes(&disk, host.world.path("b.raw"));
}

/// A process that waits for a new disk finds it complete or locked. Its later writes are kept.
#[test]
fn a_disk_that_only_the_new_release_has_is_not_there_before_it_is_whole() {
    let host = Host::with(25 * MIB);
    let (disk, whole) = (host.new_disk(), host.world.path("b.raw"));
    let mut run = host.patch_to(3).start();
    let mut was_running = true;
    while !disk.exists() {
        assert!(was_running, "the patch ended without the disk");
        was_running = run.is_running();
    }
    same_bytes(&disk, &whole);
    let mut qemu = Command::new("qemu-io");
    let wrote = qemu.args(["-f", "raw", "-c", "write -P 7 30M 512"]).arg(&disk).output().unwrap();
    let done = run.ends();

    assert!(done.status.success(), "{done}");
    if wrote.status.success() {
        assert_eq!(read(&disk, 30 * MIB), [7; 512], "the write is not ours to lose");
    } else {
        let said = String::from_utf8_lossy(&wrote.stderr);
        assert!(said.contains("lock"), "qemu-io said `{said}`");
        host.is(2);
        same_bytes(&disk, &whole);
    }
}

#[test]
fn qemu_cannot_open_a_disk_while_it_is_patched() {
    let host = Host::new();
    let (disk, said) = (host.disk(), Arc::new(Mutex::new(String::new())));
    let (image, output) = (disk.clone(), Arc::clone(&said));
    let done = host.patch(move || {
        let mut command = Command::new("qemu-io");
        command.args(["-f", "raw", "-c", "write -P 7 1M 512"]).arg(&image);
        let done = command.output().unwrap();
        *output.lock().unwrap() = String::from_utf8_lossy(&done.stderr).into_owned();
    });

    assert!(done.status.success(), "{done}");
    let said = said.lock().unwrap();
    assert!(said.contains("lock"), "qemu-io said `{said}`");
    host.is(2);
    assert_eq!(b3sum(&disk), b3sum(host.world.path("2.raw")));
    // After the patch, the machine may run.
    drop(Qemu::open(&disk, &["-f", "raw"]));
}

//! `kill -9` at staggered moments, and full disks: no partial result is ever visible, and a second
//! attempt succeeds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seawall_tests::{MIB, Noise, Registry, Tree, World, gpt, holds_bytes, raw, same_bytes, tool};

/// Returns the number of moments at which a process is killed: `CRASH_MOMENTS`, or a small default.
fn moment_count() -> u32 {
    std::env::var("CRASH_MOMENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(14)
}

fn two_disks(world: &World) {
    let tree = Tree::system("base").with("srv/web", Noise::new("web").bytes(8 * MIB));
    gpt(&world.path("1.raw"), 96 * MIB, &tree);
    gpt(&world.path("2.raw"), 96 * MIB, &tree.upgraded("v2"));
}

/// Copies a directory as it is, sparse.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    tool("cp", ["-a".as_ref(), "--sparse=always".as_ref(), from.as_os_str(), to.as_os_str()]);
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// Measures the duration of an undisturbed run. The first run also fills caches.
fn fastest(run: impl Fn() -> Duration) -> Duration {
    (0..3).map(|_| run()).min().unwrap_or_default()
}

/// Returns moments spread over a run of duration `whole`. Some lie after its end, because durations
/// vary.
fn moments(whole: Duration) -> impl Iterator<Item = Duration> {
    let count = moment_count();
    (0..count).map(move |i| whole * i / (count - 2))
}

#[test]
fn a_push_killed_at_any_moment_publishes_all_or_nothing() {
    let world = World::new();
    two_disks(&world);
    let push = |world: &World| {
        world.local("push shop:1 --machine web=root:1.raw --machine twin=root:2.raw")
    };
    let whole = timed(|| drop(push(&world).succeeds()));
    let mut killed = 0;
    for moment in moments(whole) {
        for dir in ["registry", "home"] {
            fs::remove_dir_all(world.path(dir)).unwrap();
        }
        let run = push(&world).start();
        std::thread::sleep(moment);
        killed += u32::from(run.kill().was_killed());

        // Either the directory does not exist yet, or it is a registry.
        let versions =
            if world.path("registry").exists() { world.versions("shop") } else { vec![] };
        match versions.as_slice() {
            [] => {}
            [one] if one == "1" => drop(world.local("verify shop:1").succeeds()),
            other => panic!("after {moment:?} there is {other:?}"),
        }
        push(&world).succeeds();
        world.local("verify shop:1").succeeds();
    }
    assert!(killed >= moment_count() / 3, "only {killed} pushes were under way");
    world.pull("shop:1", "host");
    same_bytes(world.path("host/web/root.raw"), world.path("1.raw"));
    same_bytes(world.path("host/twin/root.raw"), world.path("2.raw"));
}

#[test]
fn a_registry_killed_at_any_moment_of_a_push_loses_nothing_it_answered() {
    let world = World::new();
    two_disks(&world);
    let push = |registry: &Registry, version: u32, disk: u32| {
        let machine = format!("web=root:{disk}.raw");
        let push = format!("push shop:{version} --full-scan --machine {machine}");
        registry.client(&world, &push)
    };
    let registry = world.serve();
    let whole = timed(|| drop(push(&registry, 1, 1).succeeds()));
    push(&registry, 2, 2).succeeds();
    drop(registry);
    let mut interrupted = 0;
    for (round, moment) in moments(whole).enumerate().filter(|(round, _)| round % 2 == 0) {
        fs::remove_dir_all(world.path("registry")).unwrap();
        let registry = world.serve();
        push(&registry, 2, 2).succeeds();
        let run = push(&registry, 1, 1).start();
        std::thread::sleep(moment);
        registry.kill();
        // The run is abandoned, because its outcome belongs to another test.
        let answered = run.kill();

        let registry = world.serve();
        let listed = registry.client(&world, "list shop --json").succeeds().json();
        let releases = listed["releases"].as_array().unwrap();
        assert!(releases.len() <= 2 && !releases.is_empty(), "round {round}: {listed}");
        if answered.status.success() {
            assert_eq!(releases.len(), 2, "a push that succeeded is there: {listed}");
        } else {
            interrupted += 1;
        }
        for release in releases {
            let version = release["version"].as_str().unwrap();
            registry.client(&world, &format!("verify shop:{version}")).succeeds();
        }
        push(&registry, 1, 1).succeeds();
        registry.client(&world, "verify shop:1").succeeds();
    }
    assert!(interrupted >= 2, "only {interrupted} pushes were under way");
}

#[test]
fn a_client_outlives_a_registry_that_restarts() {
    let world = World::new();
    two_disks(&world);
    let registry = world.serve();
    let address = registry.url().strip_prefix("http://").unwrap().to_owned();
    let push = registry.client(&world, "push shop:1 --machine web=root:1.raw").start();
    std::thread::sleep(Duration::from_millis(250));
    registry.kill();
    let again = world.seawall(&format!("serve --listen {address}")).arg(world.path("registry"));
    let registry = Registry::start_by(again, &world);

    let done = push.ends();

    // The catalog keeps the lease, so the push resumes.
    assert!(done.status.success(), "{done}");
    registry.client(&world, "verify shop:1").succeeds();
}

#[test]
fn a_pull_killed_at_any_moment_leaves_nothing_and_the_next_goes_on() {
    let world = World::new();
    two_disks(&world);
    world.push("shop:1", &["web=root:1.raw", "twin=root:2.raw"]);
    fs::create_dir(world.path("hosts")).unwrap();
    let pull = |json: &str| world.local(&format!("pull shop:1 --into hosts/a {json}"));
    let whole = timed(|| drop(pull("").succeeds()));
    let (mut killed, mut resumed) = (0, 0);
    for moment in moments(whole) {
        for dir in ["hosts", "home"] {
            fs::remove_dir_all(world.path(dir)).unwrap();
            fs::create_dir(world.path(dir)).unwrap();
        }
        let run = pull("").start();
        std::thread::sleep(moment);
        let was_killed = run.kill().was_killed();
        killed += u32::from(was_killed);
        if world.path("hosts/a").exists() {
            world.holds("hosts/a", "shop:1");
        }

        let report = pull("--json").succeeds().json();

        world.holds("hosts/a", "shop:1");
        let fetched = report["transfer"]["fetchedPlainBytes"].as_u64().unwrap();
        let data = report["dataBytes"].as_u64().unwrap();
        resumed += u32::from(was_killed && fetched < data / 2);
        let names: Vec<_> = fs::read_dir(world.path("hosts")).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "nothing is left beside the directory: {names:?}");
    }
    assert!(killed >= moment_count() / 3, "only {killed} pulls were under way");
    assert!(resumed > 0, "no pull went on where the one before it was killed");
}

#[test]
fn a_pull_of_one_machine_after_a_killed_pull_of_all_brings_that_machine_alone() {
    let world = World::new();
    two_disks(&world);
    world.push("shop:1", &["web=root:1.raw", "db=root:2.raw"]);
    let staged = world.path(".host.seawall-pull/web/root.raw");
    let run = world.local("pull shop:1 --into host").start();
    while !staged.exists() && !world.path("host").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = run.kill();
    assert!(staged.exists(), "the pull was killed while it was under way");

    world.local("pull shop:1 --into host --machine db").succeeds();

    same_bytes(world.path("host/db/root.raw"), world.path("2.raw"));
    assert!(!world.path("host/web").exists(), "half a disk was let through");
}

#[test]
fn a_patch_killed_at_any_moment_leaves_the_old_or_goes_on_to_the_new() {
    killed_patch("raw", "1.raw", "2.raw");
}

#[test]
fn a_patch_of_qcow2_killed_at_any_moment_leaves_the_old_or_goes_on_to_the_new() {
    killed_patch("qcow2", "1.raw", "2.raw");
}

fn killed_patch(format: &str, old: &str, new: &str) {
    let world = World::new();
    two_disks(&world);
    world.push("shop:1", &[&format!("a=root:{old}"), &format!("b=root:{new}")]);
    // The machines swap their disks, and a third machine has a copy of the first disk.
    let [a, b, c] = [("a", new), ("b", old), ("c", new)]
        .map(|(machine, disk)| format!("{machine}=root:{disk}"));
    world.push("shop:2", &[&a, &b, &c]);
    for (version, dir) in [(1, "old"), (2, "new")] {
        let pull = format!("pull shop:{version} --into {dir} --format {format}");
        world.local(&pull).succeeds();
    }
    let file = |dir: &str, machine: &str| world.path(format!("{dir}/{machine}/root.{format}"));
    let patch = || world.local("patch host --to shop:2");
    // Returns whether the disks were between the releases.
    let goes_on = || {
        let is_between = world.path("host/.seawall/patch/journal").exists();
        if is_between {
            // After the commit, the disks must not count as complete.
            world.local("verify host").exits_with(4).explains();
        } else {
            let is = |dir, machines: &[&str]| {
                machines.iter().all(|m| holds_bytes(file("host", m), file(dir, m)))
            };
            let is_old = is("old", &["a", "b"]) && !file("host", "c").exists();
            let is_new = || is("new", &["a", "b", "c"]);
            assert!(is_old || is_new(), "the disks are neither");
            world.local("verify host").succeeds();
        }
        patch().succeeds();
        for machine in ["a", "b", "c"] {
            same_bytes(file("host", machine), file("new", machine));
        }
        world.local("verify host").succeeds();
        assert!(!world.path("host/.seawall/patch").exists(), "the journal is gone");
        is_between
    };
    let whole = fastest(|| {
        copy(&world.path("old"), &world.path("host"));
        timed(|| drop(patch().succeeds()))
    });
    let mut killed = 0;
    for moment in moments(whole) {
        println!("{format}: killed after {moment:?} of {whole:?}");
        copy(&world.path("old"), &world.path("host"));
        let run = patch().start();
        std::thread::sleep(moment);
        killed += u32::from(run.kill().was_killed());
        goes_on();
    }
    assert!(killed >= moment_count() / 3, "only {killed} patches were under way");
    killed_past_its_commit(&world, "old");
    assert!(goes_on(), "a committed patch is between the releases");
}

/// Leftovers of a patch to one release are never used for a patch to another.
#[test]
fn a_killed_patch_may_go_to_another_release_instead() {
    for format in ["raw", "qcow2"] {
        let world = World::new();
        two_disks(&world);
        world.push("shop:1", &["a=root:1.raw"]);
        world.push("shop:2", &["a=root:2.raw"]);
        raw(&world.path("3.raw"), 64 * MIB, &[(3 * MIB, Noise::new("three").bytes(12 * MIB))]);
        world.push("shop:3", &["a=root:3.raw"]);
        for version in [1, 2, 3] {
            let pull = format!("pull shop:{version} --into is-{version} --format {format}");
            world.local(&pull).succeeds();
        }
        let patch = |version: u32| world.local(&format!("patch host --to shop:{version}"));
        let whole = fastest(|| {
            copy(&world.path("is-1"), &world.path("host"));
            timed(|| drop(patch(2).succeeds()))
        });
        let goes_to_the_third = || {
            patch(3).succeeds();
            let file = format!("a/root.{format}");
            same_bytes(world.path("host").join(&file), world.path("is-3").join(&file));
            world.local("verify host").succeeds();
        };
        let mut redirected = 0;
        for moment in moments(whole) {
            copy(&world.path("is-1"), &world.path("host"));
            let run = patch(2).start();
            std::thread::sleep(moment);
            redirected += u32::from(run.kill().was_killed());
            goes_to_the_third();
        }
        assert!(redirected >= moment_count() / 3, "only {redirected} patches were under way");
        killed_past_its_commit(&world, "is-1");
        // Simulates a crash between the release document and the lockfile.
        fs::copy(world.path("is-2/release.json"), world.path("host/release.json")).unwrap();
        for command in ["report host --host rack4", "repair --from host"] {
            let done = world.local(command).exits_with(4).explains();
            done.says("run `seawall patch` again");
        }
        goes_to_the_third();
    }
}

/// Leaves `host` in the state of a patch from `old` to the second release that was killed after its
/// commit. Retries, because the signal may miss this short interval.
fn killed_past_its_commit(world: &World, old: &str) {
    let journal = world.path("host/.seawall/patch/journal");
    let is_met = (0..100).any(|_| {
        copy(&world.path(old), &world.path("host"));
        let mut run = world.local("patch host --to shop:2").start();
        let mut is_running = true;
        while is_running && !journal.exists() {
            is_running = run.is_running();
        }
        let _ = run.kill();
        journal.exists()
    });
    assert!(is_met, "no signal came between a patch's commit and its end");
}

/// A file system of a few MiB, to be filled.
struct Small(PathBuf);

impl Small {
    /// Returns `None` if this user cannot mount.
    fn mount(world: &World, mib: u32) -> Option<Self> {
        let path = world.path("small");
        fs::create_dir(&path).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(&path);
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        if !is_mounted {
            println!("not tested: only root can mount a small file system");
        }
        is_mounted.then_some(Self(path))
    }

    fn grow(&self, mib: u32) {
        let size = format!("remount,size={mib}m");
        tool("mount", ["-o".as_ref(), size.as_ref(), self.0.as_os_str()]);
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        tool("umount", ["-l".as_ref(), self.0.as_os_str()]);
    }
}

#[test]
fn a_full_disk_ends_a_pull_with_a_clear_error_and_the_next_goes_on() {
    let world = World::new();
    raw(&world.path("1.raw"), 64 * MIB, &[(0, Noise::new("full").bytes(24 * MIB))]);
    world.push("shop:1", &["a=root:1.raw"]);
    let Some(small) = Small::mount(&world, 12) else { return };

    world.local("pull shop:1 --into small/a").exits_with(8).explains().says("space");
    assert!(!world.path("small/a").exists());

    small.grow(64);
    world.pull("shop:1", "small/a");
    world.holds("small/a", "shop:1");
}

#[test]
fn a_full_disk_ends_a_patch_with_a_clear_error_and_the_old_release_stays() {
    let world = World::new();
    raw(&world.path("1.raw"), 64 * MIB, &[(0, Noise::new("one").bytes(8 * MIB))]);
    raw(&world.path("2.raw"), 64 * MIB, &[(8 * MIB, Noise::new("two").bytes(8 * MIB))]);
    world.push("shop:1", &["a=root:1.raw"]);
    world.push("shop:2", &["a=root:2.raw"]);
    let Some(small) = Small::mount(&world, 14) else { return };
    world.pull("shop:1", "small/a");

    world.local("patch small/a --to shop:2").exits_with(8).explains().says("space");
    let journal = world.path("small/a/.seawall/patch/journal");
    if !journal.exists() {
        world.holds("small/a", "shop:1");
        world.local("verify small/a").succeeds();
    }

    small.grow(64);
    world.local("patch small/a --to shop:2").succeeds();
    world.holds("small/a", "shop:2");
    world.local("verify small/a").succeeds();
}

#[test]
fn a_full_registry_refuses_a_push_and_keeps_what_it_has() {
    let world = World::new();
    raw(&world.path("1.raw"), 64 * MIB, &[(0, Noise::new("one").bytes(6 * MIB))]);
    raw(&world.path("2.raw"), 64 * MIB, &[(0, Noise::new("two").bytes(30 * MIB))]);
    let Some(small) = Small::mount(&world, 24) else { return };
    let registry = |args: &str| world.seawall(args).env("SEAWALL_REGISTRY", world.path("small"));
    registry("push shop:1 --machine a=root:1.raw").succeeds();

    registry("push shop:2 --machine a=root:2.raw").exits_with(8).explains();

    let listed = registry("list shop --json").succeeds().json();
    assert_eq!(listed["releases"].as_array().unwrap().len(), 1, "{listed}");
    registry("verify shop:1").succeeds();
    registry("pull shop:1 --into host").succeeds();
    same_bytes(world.path("host/a/root.raw"), world.path("1.raw"));

    small.grow(96);
    registry("push shop:2 --machine a=root:2.raw").succeeds();
    registry("verify shop:2").succeeds();
}

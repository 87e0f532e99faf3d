//! SIGINT, SIGTERM and SIGHUP at any moment of any long command: the command ends at once with a
//! message, does not panic, and leaves no output that only a finished command may leave.
//!
//! A moment is a number of bytes that the process has read and written, by the kernel's count.

use std::path::Path;

use seawall_tests::{MIB, Noise, Run, Signal, World, raw};

/// The moments, in bytes of input and output. A run that ends before a moment ends the row.
const MOMENTS: [u64; 9] =
    [0, MIB / 4, MIB, 4 * MIB, 10 * MIB, 17 * MIB, 24 * MIB, 36 * MIB, 60 * MIB];

/// The signals, with their exit statuses and messages.
const SIGNALS: [(Signal, i32, &str); 3] = [
    (Signal::INT, 130, "interrupted"),
    (Signal::TERM, 143, "terminated"),
    (Signal::HUP, 129, "hung up"),
];

/// Returns the paths below `dir` with names of unfinished files.
fn unfinished(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // A pull resumes in its staging folder, and a patch rewrites the journal in its folder.
        if name.ends_with(".seawall-pull") || name == "journal.part" {
            continue;
        }
        let in_scratch = entry.path().parent().is_some_and(|above| above.ends_with("scratch"));
        if name.contains(".part") || name.starts_with("seawall-drill-") || in_scratch {
            found.push(entry.path().display().to_string());
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unfinished(&entry.path(), found);
        }
    }
}

/// The number of attempts per row. On a busy machine, a fast command can end before its watcher is
/// scheduled, at every moment of a row.
const ROWS_MAX: usize = 10;

/// Interrupts a command at every moment. `reset` removes the output of a run that ended before its
/// moment.
fn at_every_moment(world: &World, command: &dyn Fn() -> Run, reset: &dyn Fn()) {
    let is_met = (0..ROWS_MAX).any(|_| at_each_moment(world, command, reset) > 0);
    assert!(is_met, "no signal came in time");
}

/// Runs one row of moments. Returns the number of interrupted runs.
fn at_each_moment(world: &World, command: &dyn Fn() -> Run, reset: &dyn Fn()) -> usize {
    let mut interrupted = 0;
    for (turn, moment) in MOMENTS.into_iter().enumerate() {
        let (signal, code, said) = SIGNALS[turn % SIGNALS.len()];
        let mut run = command().start();
        let is_met = run.moves(moment);
        if is_met {
            run.signal(signal);
        }
        let done = run.ends();
        assert!(!done.stderr.contains("panicked"), "{done}");
        let mut found = Vec::new();
        unfinished(&world.path("."), &mut found);
        assert!(found.is_empty(), "{found:?} is left at {moment} bytes by\n{done}");
        match done.status.code() {
            Some(status) if status == code => {
                assert!(done.stderr.contains(said), "{done}");
                interrupted += 1;
            }
            Some(0) => {}
            // Before the process listens for signals, there is nothing to clean up.
            None if moment == 0 => {}
            other => panic!("{other:?} at {moment} bytes: {done}"),
        }
        reset();
        if !is_met {
            break;
        }
    }
    interrupted
}

fn world() -> World {
    let world = World::new();
    let shared = Noise::new("shared").bytes(12 * MIB);
    for version in ["1.0.0", "2.0.0"] {
        let own = Noise::new(version).bytes(12 * MIB);
        let pieces = [(0, own), (12 * MIB, shared.clone())];
        raw(&world.path(format!("{version}.raw")), 24 * MIB, &pieces);
    }
    world.push("shop:1.0.0", &["a=1.0.0.raw"]);
    world
}

fn remove(world: &World, name: &str) {
    let path = world.path(name);
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir_all(&path);
}

#[test]
fn a_signal_leaves_no_half_made_file() {
    let world = world();
    let rows = [
        ("convert 1.0.0.raw out.qcow2", "out.qcow2"),
        ("convert 1.0.0.raw out.vmdk --format vmdk-stream", "out.vmdk"),
        ("export shop:1.0.0/a/disk0 -o out.raw", "out.raw"),
        ("export shop:1.0.0/a/disk0 --format vhdx -o out.vhdx", "out.vhdx"),
        ("pull shop:1.0.0 --as ova --into package", "package"),
        ("pull shop:1.0.0 --as ovf --into package", "package"),
    ];
    for (command, made) in rows {
        at_every_moment(&world, &|| world.local(command), &|| {
            if command.contains("ovf") {
                let names = std::fs::read_dir(world.path(made)).map_or(0, Iterator::count);
                assert!([0, 3].contains(&names), "a package is there whole or not at all");
            }
            remove(&world, made);
        });
    }
}

#[test]
fn a_signal_ends_what_only_reads() {
    let world = world();
    world.pull("shop:1.0.0", "host");
    let data = world.path("registry").display().to_string();
    let drill = format!("drill {data}");
    let rows = ["verify shop:1.0.0", "verify host", "inspect --digest 1.0.0.raw", &drill];
    for command in rows {
        at_every_moment(&world, &|| world.local(command), &|| {});
    }
}

#[test]
fn interrupted_commands_resume() {
    let world = world();
    at_every_moment(
        &world,
        &|| world.local("push shop:2.0.0 --machine a=2.0.0.raw --full-scan"),
        &|| {},
    );
    world.local("push shop:2.0.0 --machine a=2.0.0.raw").succeeds();
    at_every_moment(&world, &|| world.local("pull shop:1.0.0 --into host"), &|| {});
    world.local("pull shop:1.0.0 --into host").succeeds();
    at_every_moment(&world, &|| world.local("patch host --to shop:2.0.0"), &|| {});
    world.local("patch host --to shop:2.0.0").succeeds();
    world.holds("host", "shop:2.0.0");
}

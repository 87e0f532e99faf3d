//! The view on a terminal: output is replayed through a terminal emulator.

use seawall_tests::{Drawn, MIB, Noise, World, raw};

/// The words that occur only in a progress bar.
const VERBS: [&str; 5] = ["scanning ", "uploading ", "fetching ", "writing ", "verifying "];

fn is_bar(line: &str) -> bool {
    VERBS.iter().any(|verb| line.trim_start().starts_with(verb))
}

/// Creates a world with two disks whose transfer takes long enough to show progress.
fn world() -> World {
    let world = World::new();
    for version in 1..=2u64 {
        let bytes = Noise::new(version.to_le_bytes()).bytes(48 * MIB);
        raw(&world.path(format!("{version}.raw")), 64 * MIB, &[(0, bytes)]);
    }
    world
}

/// Asserts that bars were drawn, that none wrapped, and that none is left.
#[track_caller]
fn leaves_no_debris(drawn: &Drawn, at: &str) {
    assert_eq!(drawn.code, Some(0), "{at}\n{}", drawn.raw());
    let bars: Vec<_> = drawn.lines_ever().into_iter().filter(|(line, _)| is_bar(line)).collect();
    assert!(!bars.is_empty(), "{at}: no bar was drawn\n{}", drawn.raw());
    for (bar, wrapped) in &bars {
        assert!(!wrapped, "{at}: a bar wrapped: {bar}");
    }
    let screen = drawn.screen();
    let left: Vec<_> = screen.iter().filter(|line| is_bar(line)).collect();
    assert!(left.is_empty(), "{at}: left on the screen: {left:?}\n{screen:#?}");
}

#[test]
fn progress_leaves_nothing_behind_and_never_wraps() {
    for columns in [100, 80, 40, 20] {
        let world = world();
        for line in [
            "push shop:1 --machine a=root:1.raw",
            "push shop:2 --machine a=root:2.raw",
            "pull shop:1 --into host",
            "patch host --to shop:2 --dry-run",
            "patch host --to shop:2",
            "verify host",
            "export shop:1/a/root -o disk.qcow2 --format qcow2",
            "inspect --digest 1.raw",
        ] {
            let drawn = world.local(line).on_terminal(columns);
            leaves_no_debris(&drawn, &format!("{line} at {columns} columns"));
        }
    }
}

#[test]
fn quiet_draws_no_bar() {
    let world = world();
    let drawn = world.local("push shop:1 --machine a=root:1.raw --quiet").on_terminal(80);
    assert_eq!(drawn.code, Some(0), "{}", drawn.raw());
    assert!(!drawn.lines_ever().iter().any(|(line, _)| is_bar(line)), "{}", drawn.raw());
}

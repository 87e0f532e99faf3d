//! The binary in a shell: exit codes, streams, signals. The registry is a directory.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used)] // test code; the lint exempts only functions with `#[test]`

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        // Data, a hole and data; small, because every test cuts it again.
        let mut disk: Vec<u8> = (0..1_500_000_u32).flat_map(u32::to_le_bytes).collect();
        disk[1 << 20..3 << 20].fill(0);
        std::fs::write(world.path().join("disk.raw"), disk).unwrap();
        world
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
        command.args(line.split_whitespace()).current_dir(self.path()).env_clear();
        command.env("SEAWALL_REGISTRY", "./repo").env("SEAWALL_STATE", self.path().join("state"));
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Returns the standard output of a command, which must succeed.
    fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{line}\n{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, line: &str, code: i32, says: &str) {
        let output = self.run(line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}\n{errors}");
        assert!(errors.contains(says), "{line}\n{errors}");
        assert!(errors.contains("help: ") || errors.contains("--help"), "no next step\n{errors}");
        assert!(output.stdout.is_empty(), "{line} wrote to standard output");
    }
}

#[test]
fn a_release_is_pushed_shown_promoted_and_compared() {
    let world = World::new();
    let pushed = world.ok("push team/web:1.0 --machine web=disk.raw");
    assert!(pushed.contains("team/web:1.0 is published"), "{pushed}");
    let again = world.ok("push team/web:1.0 --machine web=disk.raw");
    assert!(again.contains("was there already"), "{again}");

    let disk = std::fs::read(world.path().join("disk.raw")).unwrap();
    let digest = blake3::hash(&disk).to_hex();
    assert!(world.ok("show team/web:1.0").contains(digest.as_str()), "as b3sum prints it");

    let mut changed = disk;
    changed[5_000_000] ^= 1;
    std::fs::write(world.path().join("changed.raw"), changed).unwrap();
    world.fails("push team/web:1.0 --machine web=changed.raw", 4, "with other content");
    world.ok("push team/web:1.1 --machine web=changed.raw");

    assert!(world.ok("promote team/web:1.0 stable --expect new").contains("sequence 1"));
    assert!(world.ok("promote team/web:1.1 stable").contains("sequence 2"));
    assert!(world.ok("promote team/web:1.1 stable").contains("already points"));
    world.fails("promote team/web:1.0 stable --expect 1", 4, "sequence 2");
    world.fails("promote team/web:1.0 stable --expect new", 4, "stable");

    assert!(world.ok("diff team/web:1.0 team/web:stable").contains("1 extent differs"));
    for line in ["list", "list team/web", "channels team/web", "channels team/web stable"] {
        let text = world.ok(line);
        assert!(text.lines().count() >= 2, "{line}\n{text}");
        let json = world.ok(&format!("{line} --json"));
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
    }
}

#[test]
fn failures_have_an_exit_code_and_a_next_step() {
    let world = World::new();
    world.fails("list", 3, "there is no registry in ./repo");
    assert!(!world.path().join("repo").exists(), "reading makes nothing");
    world.ok("push web:1.0 --machine web=disk.raw");
    world.fails("show web:2.0", 3, "web:2.0");
    world.fails("show other:1.0", 3, "other");
    world.fails("show web", 2, "names an application");
    world.fails("push web:stable --machine web=disk.raw", 2, "does not name a version");
    world.fails("push web:2.0 --file nothing.toml", 3, "cannot read nothing.toml");
    world.fails("list --registry http://127.0.0.1:1", 6, "http://127.0.0.1:1");
    world.fails("list --registry ftp://host", 2, "begin with http:// or https://");
    world.fails("frobnicate", 2, "unrecognized subcommand");
    std::fs::write(world.path().join("bad.toml"), "[machines.web]\ncpu = 2").unwrap();
    world.fails("push web:2.0 --file bad.toml", 2, "line 2");
}

#[test]
fn help_and_version_succeed_on_standard_output() {
    let world = World::new();
    assert!(world.ok("--help").contains("Exit status"));
    assert!(world.ok("push --help").contains("--machine"));
    assert!(world.ok("--version").starts_with("seawall "));
    assert!(world.ok("completions bash").contains("seawall"));
    assert!(world.ok("man").contains(".TH seawall"));
}

#[test]
fn a_reader_that_goes_away_is_not_an_error() {
    let world = World::new();
    let mut child = world.command("man").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_signal_ends_a_command_with_the_shells_code_and_a_server_with_success() {
    let world = World::new();
    // Nobody answers at this address, so the command waits until it is signalled.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut child = world.command("list");
    let child = child.args(["--registry", &url]).stderr(Stdio::piped());
    let mut waiting = child.spawn().unwrap();
    let _connection = silent.accept().unwrap();
    signal(&waiting, rustix::process::Signal::INT);
    assert_eq!(ends(&mut waiting), Some(130));

    let mut serve = world.command("serve ./repo --listen 127.0.0.1:0");
    let mut serve = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = [0; 64];
    let len = serve.stdout.as_mut().unwrap().read(&mut line).unwrap();
    let line = String::from_utf8_lossy(&line[..len]);
    let url = line.trim().strip_prefix("listening on ").unwrap();
    assert!(world.ok(&format!("list --registry {url}")).contains("APPLICATION"));
    signal(&serve, rustix::process::Signal::TERM);
    assert_eq!(ends(&mut serve), Some(0));
}

#[test]
fn a_server_asks_for_a_token_where_it_was_given_any() {
    use std::os::unix::fs::OpenOptionsExt;
    let world = World::new();
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600);
    let mut file = file.open(world.path().join("tokens")).unwrap();
    file.write_all(b"ci publisher 0123456789abcdef0123\n").unwrap();
    std::fs::write(world.path().join("token"), "0123456789abcdef0123\n").unwrap();

    world.fails("serve ./repo --listen 0.0.0.0:0", 2, "without authentication");
    let mut serve = world.command("serve ./repo --listen 127.0.0.1:0 --token-file tokens");
    let mut serve = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = [0; 64];
    let len = serve.stdout.as_mut().unwrap().read(&mut line).unwrap();
    let line = String::from_utf8_lossy(&line[..len]);
    let url = line.trim().strip_prefix("listening on ").unwrap();
    world.fails(&format!("list --registry {url}"), 7, "--token-file");
    world.ok(&format!("list --registry {url} --token-file token"));
    world.ok(&format!("push web:1.0 --machine web=disk.raw --registry {url} --token-file token"));
    serve.kill().unwrap();
    serve.wait().unwrap();
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Waits for a process to end, and returns its exit code.
fn ends(child: &mut Child) -> Option<i32> {
    let patience = Instant::now() + Duration::from_secs(20);
    while Instant::now() < patience {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("it did not end");
}

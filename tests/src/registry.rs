//! A registry in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::run::Run;
use crate::world::World;

/// The time in which a registry has to start.
const READY_TIME_MAX: Duration = Duration::from_secs(30);

/// A running registry, killed when dropped.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    url: String,
    home: PathBuf,
}

impl Registry {
    /// Starts `seawall serve` over a data directory, on a free port, and waits until it is ready.
    pub fn start(world: &World, data: &Path) -> Self {
        Self::start_by(world.seawall("serve --listen 127.0.0.1:0").arg(data), world)
    }

    /// Starts a registry by a prepared run.
    #[must_use]
    pub fn start_by(run: Run, world: &World) -> Self {
        let mut command = run.into_command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The log is read so that the registry never blocks on a full pipe, and shown if the start
        // fails.
        let mut log = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = log.read_to_string(&mut text);
            text
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            let _ = child.kill();
            panic!("{command:?} does not listen: {line}\n{}", log.join().unwrap());
        };
        let registry = Self { child, url: url.to_owned(), home: world.path("") };
        registry.wait_until_ready();
        registry
    }

    fn wait_until_ready(&self) {
        let begun = Instant::now();
        while self.status("/readyz") != Some(200) {
            assert!(begun.elapsed() < READY_TIME_MAX, "the registry at {} is not ready", self.url);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the registry's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the address of a path.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Returns the HTTP status of a path, if the registry responds.
    #[must_use]
    pub fn status(&self, path: &str) -> Option<u16> {
        let answer = reqwest::blocking::get(self.at(path)).ok()?;
        Some(answer.status().as_u16())
    }

    /// Returns the body of a path's response.
    #[must_use]
    pub fn text(&self, path: &str) -> String {
        reqwest::blocking::get(self.at(path)).unwrap().text().unwrap()
    }

    /// Returns a run of `seawall` in `world` against this registry.
    #[must_use]
    pub fn client(&self, world: &World, args: &str) -> Run {
        assert_eq!(self.home, world.path(""), "a registry is used in its own world");
        world.seawall(args).env("SEAWALL_REGISTRY", &self.url)
    }

    /// Returns the id of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills the registry with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and returns the outcome.
    pub fn terminate(mut self) -> ExitStatus {
        crate::tool::tool("kill", ["-s", "TERM", &self.child.id().to_string()]);
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < READY_TIME_MAX, "SIGTERM does not end the registry");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the files of one kind of object in a registry's store (`packs`, `indexes/leaves`,
/// `indexes/lists`, `releases`), ordered by name.
#[must_use]
pub fn object_files(registry: &Path, kind: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for shard in fs::read_dir(registry.join("store").join(kind)).into_iter().flatten().flatten() {
        files.extend(fs::read_dir(shard.path()).into_iter().flatten().flatten().map(|e| e.path()));
    }
    files.sort();
    files
}

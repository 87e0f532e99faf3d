//! An isolated environment for a test: directory, home, configuration, state, registry.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::binary;
use crate::bytes::b3sum;
use crate::registry::Registry;
use crate::run::{Done, Run};

/// A place of its own for a test.
#[derive(Debug)]
pub struct World {
    dir: TempDir,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Creates an empty world.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("seawall-world-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        Self { dir }
    }

    /// Returns a path in the world.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns a run of `seawall` confined to this world. Arguments are split at spaces.
    #[must_use]
    pub fn seawall(&self, args: &str) -> Run {
        self.on_host("home", args)
    }

    /// As [`Self::seawall`], on another host with its own state.
    #[must_use]
    pub fn on_host(&self, host: &str, args: &str) -> Run {
        let home = self.path(host);
        let mut command = Command::new(binary());
        command.args(args.split_whitespace()).current_dir(self.dir.path());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", &home).env("TMPDIR", self.dir.path());
        for kind in ["CACHE", "STATE", "CONFIG", "DATA"] {
            command.env(format!("XDG_{kind}_HOME"), home.join(kind.to_lowercase()));
        }
        Run::new(command)
    }

    /// As [`Self::seawall`], with the registry in the directory `registry`.
    #[must_use]
    pub fn local(&self, args: &str) -> Run {
        self.seawall(args).env("SEAWALL_REGISTRY", self.path("registry"))
    }

    /// Starts a registry over the world's directory `registry`.
    #[must_use]
    pub fn serve(&self) -> Registry {
        Registry::start(self, &self.path("registry"))
    }

    /// Pushes disks to the directory registry: each is `MACHINE=DISK:FILE`.
    #[track_caller]
    pub fn push(&self, reference: &str, machines: &[&str]) -> Value {
        let run = self.local("push --json").arg(reference);
        run.args(machines.iter().flat_map(|machine| ["--machine", machine])).succeeds().json()
    }

    /// Pulls from the directory registry into the world's directory `into`.
    #[track_caller]
    pub fn pull(&self, reference: &str, into: &str) -> Value {
        self.local(&format!("pull {reference} --into {into} --json")).succeeds().json()
    }

    /// Returns the disks of a release as listed by `show`: (machine/disk, content digest).
    #[track_caller]
    pub fn disks(&self, reference: &str) -> Vec<(String, String)> {
        let shown = self.local(&format!("show {reference} --json")).succeeds().json();
        let mut disks = Vec::new();
        for machine in shown["release"]["machines"].as_array().unwrap() {
            for disk in machine["disks"].as_array().unwrap() {
                let word = |value: &Value| value.as_str().unwrap().to_owned();
                let name = format!("{}/{}", word(&machine["name"]), word(&disk["name"]));
                disks.push((name, word(&disk["content"])));
            }
        }
        disks
    }

    /// Asserts that the directory `dir` holds every raw disk of a release, by `b3sum`.
    #[track_caller]
    pub fn holds(&self, dir: &str, reference: &str) {
        for (name, content) in self.disks(reference) {
            let path = self.path(dir).join(format!("{name}.raw"));
            assert_eq!(b3sum(&path), content, "{dir}/{name} is not that of {reference}");
        }
    }

    /// Returns the versions of an application in the directory registry; empty for an unknown
    /// application.
    #[track_caller]
    pub fn versions(&self, application: &str) -> Vec<String> {
        let done: Done = self.local(&format!("list {application} --json")).ends();
        if done.status.code() == Some(3) {
            return Vec::new();
        }
        assert!(done.status.success(), "{done}");
        let listed = done.json();
        let releases = listed["releases"].as_array().unwrap();
        releases.iter().map(|release| release["version"].as_str().unwrap().to_owned()).collect()
    }
}

//! Faults of the operating system: failing system calls, and file systems with little space.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::run::Run;

/// Returns whether this machine lets a user mount a private file system.
#[must_use]
pub fn can_mount() -> bool {
    let mount = ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"];
    let probe = Command::new("unshare").args(mount).output();
    probe.is_ok_and(|probe| probe.status.success())
}

impl Run {
    /// Makes the system calls `calls` (such as `linkat,link`) fail with `error` (such as `EPERM`):
    /// those that name one of `paths`, or all of them if `paths` is empty.
    #[must_use]
    pub fn with_fault<P: AsRef<OsStr>>(
        self,
        calls: &str,
        error: &str,
        paths: impl IntoIterator<Item = P>,
    ) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qqq", "--seccomp-bpf", "-o", "/dev/null"]);
        strace.arg(format!("-etrace={calls}")).arg(format!("-einject={calls}:error={error}"));
        for path in paths {
            strace.arg("-P").arg(path);
        }
        self.within(strace)
    }

    /// Mounts an empty file system of `mib` MiB on the folder `at`, for this run only, and prints
    /// its contents at the end.
    #[must_use]
    pub fn with_volume(self, at: &Path, mib: u64) -> Self {
        const SCRIPT: &str = "at=$1; mount -t tmpfs -o size=\"$2m\" none \"$at\" || exit 77; \
                              shift 2; \"$@\"; code=$?; ls -A \"$at\"; exit $code";
        let mut unshare = Command::new("unshare");
        unshare.args(["-rm", "sh", "-c", SCRIPT, "sh"]).arg(at).arg(mib.to_string());
        self.within(unshare)
    }

    /// Mounts an empty file system of `mib` MiB on the folder `at`, for this run only. The program
    /// takes the place of the shell, so that it can be killed.
    #[must_use]
    pub fn on_volume(self, at: &Path, mib: u64) -> Self {
        const SCRIPT: &str = "mount -t tmpfs -o size=\"$2m\" none \"$1\" && shift 2 && exec \"$@\"";
        let mut unshare = Command::new("unshare");
        unshare.args(["-rm", "sh", "-c", SCRIPT, "sh"]).arg(at).arg(mib.to_string());
        self.within(unshare)
    }

    /// Runs the program again with the arguments of `line`, if it succeeded.
    #[must_use]
    pub fn then(self, line: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("\"$@\" && exec \"$1\" {line}")).arg("sh");
        self.within(shell)
    }

    /// Returns the same command, run by another program.
    fn within(self, mut outer: Command) -> Self {
        let inner = self.into_command();
        outer.arg(inner.get_program()).args(inner.get_args()).env_clear();
        for (key, value) in inner.get_envs() {
            if let Some(value) = value {
                outer.env(key, value);
            }
        }
        if let Some(dir) = inner.get_current_dir() {
            outer.current_dir(dir);
        }
        Self::new(outer)
    }
}

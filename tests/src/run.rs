//! One run of `seawall`, and its outcome.

use std::ffi::OsStr;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The time after which a run counts as hung.
const TIME_MAX: Duration = Duration::from_secs(240);

/// A run to be started.
#[derive(Debug)]
pub struct Run {
    command: Command,
}

impl Run {
    pub(crate) fn new(command: Command) -> Self {
        Self { command }
    }

    /// Returns the command, to be run by other means.
    #[must_use]
    pub fn into_command(self) -> Command {
        self.command
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Sets the working directory, by default the world's.
    #[must_use]
    pub fn inside(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sets the umask, such as `000`.
    #[must_use]
    pub fn with_umask(self, umask: &str) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("umask {umask}; exec \"$@\"")).arg("sh");
        command.arg(self.command.get_program()).args(self.command.get_args());
        command.env_clear();
        for (key, value) in self.command.get_envs() {
            if let Some(value) = value {
                command.env(key, value);
            }
        }
        if let Some(dir) = self.command.get_current_dir() {
            command.current_dir(dir);
        }
        Self { command }
    }

    /// Starts it.
    pub fn start(mut self) -> Started {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let line = format!("{:?}", self.command);
        let mut child = self.command.spawn().unwrap();
        let stdout = drain(child.stdout.take().unwrap());
        let stderr = drain(child.stderr.take().unwrap());
        Started { line, child, output: Some((stdout, stderr)) }
    }

    /// Runs the command to its end, successful or not.
    pub fn ends(self) -> Done {
        self.start().ends()
    }

    /// Runs the command and asserts success.
    #[track_caller]
    pub fn succeeds(self) -> Done {
        self.exits_with(0)
    }

    /// Runs the command and asserts this exit status.
    #[track_caller]
    pub fn exits_with(self, code: i32) -> Done {
        let done = self.ends();
        assert_eq!(done.status.code(), Some(code), "{done}");
        done
    }
}

/// A thread that reads a pipe to its end, so that the process never blocks on a full pipe.
type Pipe = JoinHandle<Vec<u8>>;

fn drain(mut pipe: impl Read + Send + 'static) -> Pipe {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

/// Returns the peak memory use of a process so far, in KiB; `None` after its end.
#[must_use]
pub fn peak_memory_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A running command, killed when dropped.
#[derive(Debug)]
pub struct Started {
    line: String,
    child: Child,
    output: Option<(Pipe, Pipe)>,
}

impl Started {
    /// Waits for its end.
    pub fn ends(mut self) -> Done {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < TIME_MAX, "{} does not end", self.line);
            std::thread::sleep(Duration::from_millis(3));
        }
        self.collect()
    }

    /// Waits for the end. Also returns the observed peak memory use, in KiB.
    pub fn ends_with_peak_kib(mut self) -> (Done, u64) {
        let begun = Instant::now();
        let mut peak = 0;
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < TIME_MAX, "{} does not end", self.line);
            peak = peak_memory_kib(self.child.id()).unwrap_or(peak);
            std::thread::sleep(Duration::from_millis(2));
        }
        (self.collect(), peak)
    }

    /// Sends SIGKILL and returns the outcome; the process may have ended before the signal.
    pub fn kill(mut self) -> Done {
        let _ = self.child.kill();
        self.collect()
    }

    /// Sends a signal by name.
    pub fn signal(&self, signal: Signal) {
        // By the system call, because the program `kill` starts too slowly for the intended moment.
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the process has read and written this many bytes, by the kernel's count. Returns
    /// false if the process ends first.
    pub fn moves(&mut self, bytes: u64) -> bool {
        loop {
            let path = format!("/proc/{}/io", self.child.id());
            let io = std::fs::read_to_string(path).unwrap_or_default();
            let count = |name: &str| {
                let line = io.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0)
            };
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if count("rchar:") + count("wchar:") >= bytes {
                return true;
            }
            std::thread::yield_now();
        }
    }

    /// Returns whether the process is running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn collect(&mut self) -> Done {
        let status = self.child.wait().unwrap();
        let (stdout, stderr) = self.output.take().expect("a run is collected once");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (stdout, stderr) = (text(stdout.join().unwrap()), text(stderr.join().unwrap()));
        Done { line: self.line.clone(), status, stdout, stderr }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.output.is_some() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A run that ended.
#[derive(Debug)]
pub struct Done {
    line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

impl Done {
    /// Returns standard output as JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("standard output is no JSON: {error}\n{self}"))
    }

    /// Asserts that standard error contains a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not said by\n{self}");
        self
    }

    /// Asserts that standard output contains a text.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "`{text}` is not printed by\n{self}");
        self
    }

    /// Asserts that an error is reported properly: a message, a next step (`help:`), and no panic.
    #[track_caller]
    pub fn explains(self) -> Self {
        // With `--json`, the error is an object on a separate line.
        let last = self.stderr.lines().last().and_then(|line| serde_json::from_str(line).ok());
        let is_json = last.is_some_and(|error: Value| error["schema"] == "seawall.error/1");
        assert!(is_json || self.stderr.contains("error: "), "no error is shown by\n{self}");
        assert!(!self.stderr.contains("panicked"), "a panic in\n{self}");
        assert!(!self.stderr.contains("defect"), "a defect in\n{self}");
        self
    }

    /// Returns whether a signal ended the process.
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.status.code().is_none()
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.line, self.status)?;
        write!(f, "--- standard output\n{}--- standard error\n{}", self.stdout, self.stderr)
    }
}

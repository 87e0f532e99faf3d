//! A PostgreSQL server of a test's own, in a folder of its own, reached by a socket there.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The time that a server may take to start on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// The port in the name of a server's socket.
const PORT: u16 = 5432;

/// A running server; stopped when dropped.
#[derive(Debug)]
pub struct Postgres {
    dir: tempfile::TempDir,
    path: OsString,
    ids: Option<(u32, u32)>,
    port: u16,
    process: Option<Child>,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the user and the group that a server runs as: root may not run one.
fn server_ids() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("postgres:"))?;
    let mut ids = line.split(':').skip(2).map(|id| id.parse().unwrap());
    Some((ids.next()?, ids.next()?))
}

fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let newest = versions.map(|entry| entry.unwrap()).max_by_key(|entry| entry.file_name())?;
    Some(newest.path().join("bin"))
}

impl Postgres {
    /// Starts a server; `None` where none is installed.
    #[must_use]
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            println!("NOT TESTED: no PostgreSQL is installed: apt-get install postgresql");
            return None;
        };
        let mut path = programs.into_os_string();
        path.push(":/usr/bin:/bin");
        let (dir, ids) = (tempfile::tempdir().unwrap(), server_ids());
        if let Some((user, group)) = ids {
            chown(dir.path(), Some(user), Some(group)).unwrap();
        }
        let mut server = Self { dir, path, ids, port: PORT, process: None };
        let mut init = server.command("initdb");
        init.args(["--pgdata=data", "--username=postgres", "--no-sync", "--no-instructions"]);
        init.args(["--encoding=UTF8", "--locale=C", "--auth=trust"]);
        assert!(init.status().unwrap().success(), "initdb");
        server.go();
        Some(server)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", &self.path).current_dir(self.dir.path());
        if let Some((user, group)) = self.ids {
            command.uid(user).gid(group);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Starts the server after [`Self::stop`], and waits until it answers.
    pub fn go(&mut self) {
        let mut server = self.command("postgres");
        server.args(["-D", "data", "-c", "listen_addresses=", "-c", "fsync=off"]);
        server.args(["-c", "max_connections=200", "-k"]).arg(self.dir.path());
        if self.port != PORT {
            server.args(["-c", "listen_addresses=127.0.0.1", "-p", &self.port.to_string()]);
        }
        let mut process = server.spawn().unwrap();
        let deadline = Instant::now() + START_TIME_MAX;
        while let Err(why) = self.try_sql("postgres", "SELECT 1") {
            assert!(Instant::now() < deadline, "{why}");
            std::thread::sleep(Duration::from_millis(20));
            // After a kill, it waits for nobody: the last processes of the killed one may live.
            if process.try_wait().unwrap().is_some() {
                process = server.spawn().unwrap();
            }
        }
        self.process = Some(process);
    }

    /// Starts the server after [`Self::stop`], also at a port of this machine.
    pub fn go_at(&mut self, port: u16) {
        self.port = port;
        self.go();
    }

    /// Writes a file that only the server reads.
    pub fn give(&self, bytes: &[u8], name: &str) {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = self.ids {
            chown(&path, Some(user), Some(group)).unwrap();
        }
    }

    /// Makes a standby of this server, and waits until it answers.
    #[must_use]
    pub fn standby(&self) -> Self {
        let (dir, ids) = (tempfile::tempdir().unwrap(), self.ids);
        if let Some((user, group)) = ids {
            chown(dir.path(), Some(user), Some(group)).unwrap();
        }
        let mut copy = self.command("pg_basebackup");
        copy.args(["-R", "-c", "fast", "--no-sync", "-U", "postgres", "-h"]).arg(self.dir.path());
        assert!(copy.arg("-D").arg(dir.path().join("data")).status().unwrap().success());
        let mut standby = Self { dir, path: self.path.clone(), ids, port: PORT, process: None };
        standby.go();
        standby
    }

    /// Makes the server ask a user for a password.
    pub fn ask_passwords_of(&mut self, user: &str) {
        let rules = self.dir.path().join("data/pg_hba.conf");
        let text = fs::read_to_string(&rules).unwrap();
        fs::write(&rules, format!("local all {user} scram-sha-256\n{text}")).unwrap();
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Returns the folder of the server's socket.
    #[must_use]
    pub fn host(&self) -> String {
        self.dir.path().to_str().unwrap().to_owned()
    }

    /// Ends the server and its connections at once.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let pid = Pid::from_raw(process.id().try_into().unwrap()).unwrap();
        // SIGQUIT: an immediate shutdown, which leaves no child behind.
        kill_process(pid, Signal::QUIT).unwrap();
        process.wait().unwrap();
    }

    /// Kills the server's main process, at which its others end by themselves.
    ///
    /// # Panics
    ///
    /// Panics if the server is stopped.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Runs SQL in a database. Returns its output.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).unwrap()
    }

    /// Runs SQL in a database. Returns its output, or the errors.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = Command::new("psql");
        psql.env("PATH", &self.path).args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["-U", "postgres", "-d", database, "-p", &self.port.to_string()]);
        psql.args(["-f", "-", "-h"]).arg(self.dir.path());
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut psql = psql.spawn().unwrap();
        // A script that fails is not read to its end.
        let _ = psql.stdin.take().unwrap().write_all(sql.as_bytes());
        let said = psql.wait_with_output().unwrap();
        match said.status.success() {
            true => Ok(String::from_utf8(said.stdout).unwrap().trim_end().to_owned()),
            false => Err(String::from_utf8_lossy(&said.stderr).into_owned()),
        }
    }

    /// Makes an empty database.
    pub fn database(&self, name: &str) {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
    }

    /// Returns the address of a database, with further parameters.
    #[must_use]
    pub fn address(&self, database: &str, parameters: &str) -> String {
        let dir = self.dir.path().display();
        format!("postgres://postgres@/{database}?host={dir}{parameters}")
    }

    /// Returns the process id of the server.
    ///
    /// # Panics
    ///
    /// Panics if the server is stopped.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }
}

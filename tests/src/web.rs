//! nginx before a folder: a web server that knows nothing of Seawall.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::port::free_ports;

const START_TIME_MAX: Duration = Duration::from_secs(30);

/// A running nginx; killed when dropped.
#[derive(Debug)]
pub struct WebServer {
    child: Child,
    url: String,
    dir: TempDir,
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl WebServer {
    /// Serves the files of `folder`. `with` is added to the configuration of the server.
    #[must_use]
    pub fn of(folder: &Path, with: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [port] = free_ports();
        let (own, root) = (dir.path().display(), folder.display());
        // Without a master process, nginx keeps the user that started it.
        let config = format!(
            "daemon off; master_process off; pid {own}/pid; error_log {own}/error.log;
            events {{}}
            http {{
              client_body_temp_path {own}/body; proxy_temp_path {own}/proxy;
              fastcgi_temp_path {own}/fastcgi; uwsgi_temp_path {own}/uwsgi;
              scgi_temp_path {own}/scgi;
              log_format requests '$request_method $uri $status $body_bytes_sent';
              access_log {own}/access.log requests;
              server {{ listen 127.0.0.1:{port}; root {root}; {with} }}
            }}"
        );
        let path = dir.path().join("nginx.conf");
        fs::write(&path, config).unwrap();
        let mut command = Command::new("nginx");
        let paths = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{paths}:/usr/sbin:/sbin"));
        command.arg("-c").arg(&path).arg("-p").arg(dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let server = Self { child, url: format!("http://127.0.0.1:{port}"), dir };
        let begun = Instant::now();
        while reqwest::blocking::get(&server.url).is_err() {
            assert!(begun.elapsed() < START_TIME_MAX, "nginx does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = server.requests();
        server
    }

    /// Returns the address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the requests since the last call: method, path, status and length of the answer.
    #[must_use = "and forgets them"]
    pub fn requests(&self) -> Vec<String> {
        let log: PathBuf = self.dir.path().join("access.log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        // nginx appends to the open file, whose end this moves.
        fs::File::options().write(true).open(&log).map(|file| file.set_len(0)).ok();
        text.lines().map(str::to_owned).collect()
    }
}

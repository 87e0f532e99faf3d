//! A bucket in a Ceph object gateway: the real thing, small enough for a test. Or in another
//! service, if `./dev referees` says so.
//!
//! One monitor, one storage daemon that keeps its objects in memory, and one gateway, on loopback.
//! The tests that run at one time share a cluster; each test has a bucket of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::port::free_ports;
use crate::referee::{Referee, daemon};
use crate::run::Run;
use crate::tool::tool;

/// A cluster that does not answer by then never will.
const READY_TIME_MAX: Duration = Duration::from_secs(60);

/// A bucket of its own for a test.
#[derive(Debug)]
pub struct CephBucket {
    name: String,
    cluster: Arc<Cluster>,
}

impl Default for CephBucket {
    fn default() -> Self {
        Self::new()
    }
}

impl CephBucket {
    /// Makes an empty bucket, in a cluster that is started if need be.
    #[must_use]
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("seawall-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let bucket = Self { name, cluster: Cluster::shared() };
        if !bucket.cluster.referee.makes_bucket(bucket.cluster.dir.path(), &bucket.name) {
            bucket.request("PUT", "", &[]);
        }
        bucket
    }

    /// The address of the store.
    #[must_use]
    pub fn store(&self) -> String {
        format!("s3://{}", self.name)
    }

    /// The address of the gateway.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.cluster.endpoint
    }

    /// A run that has the keys of the bucket, and reaches it at another address than its own.
    #[must_use]
    pub fn opened_at(&self, endpoint: &str, run: Run) -> Run {
        let variables = self.variables(endpoint);
        variables.into_iter().fold(run, |run, (name, value)| run.env(name, value))
    }

    /// The variables that lead a registry to the bucket through an address.
    #[must_use]
    pub fn variables(&self, endpoint: &str) -> [(&'static str, String); 5] {
        let (access_key, secret_key) = self.cluster.referee.keys();
        [
            ("AWS_ACCESS_KEY_ID", access_key.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret_key.to_owned()),
            ("SEAWALL_STORE", self.store()),
            ("SEAWALL_S3_ENDPOINT", endpoint.to_owned()),
            ("SEAWALL_S3_ALLOW_HTTP", "1".to_owned()),
        ]
    }

    /// A run that has the keys of every bucket.
    #[must_use]
    pub fn with_keys(run: Run) -> Run {
        let (access_key, secret_key) = Referee::of_environment().keys();
        run.env("AWS_ACCESS_KEY_ID", access_key).env("AWS_SECRET_ACCESS_KEY", secret_key)
    }

    /// A run that has the keys and the address of the bucket.
    #[must_use]
    pub fn opened(&self, run: Run) -> Run {
        self.opened_at(self.endpoint(), run)
    }

    /// Tells if the service checks signatures; one that is made for tests does not.
    #[must_use]
    pub fn checks_signatures(&self) -> bool {
        !matches!(self.cluster.referee, Referee::MiniStack { .. })
    }

    /// The keys of all objects below a prefix.
    #[must_use]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        // In the encoding that is signed; curl does not encode.
        let prefix = prefix.replace('/', "%2F");
        let text = self.request("GET", &format!("?list-type=2&prefix={prefix}"), &[]);
        let keys = text.split("<Key>").skip(1);
        keys.map(|rest| rest.split('<').next().unwrap_or_default().to_owned()).collect()
    }

    /// The bytes of an object.
    pub fn get(&self, key: &str, into: &Path) {
        self.request("GET", &path_of(key), &["-o", into.to_str().unwrap()]);
    }

    /// Writes an object.
    pub fn put(&self, key: &str, from: &Path) {
        self.request("PUT", &path_of(key), &["-T", from.to_str().unwrap()]);
    }

    /// Removes an object.
    pub fn delete(&self, key: &str) {
        self.request("DELETE", &path_of(key), &[]);
    }

    /// Returns another access key and its secret, which the service accepts from now on, too.
    /// `None` unless the service is Ceph.
    #[must_use]
    pub fn another_key(&self) -> Option<(String, String)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let ceph = self.cluster.ceph.as_ref()?;
        let access_key = format!("AKANOTHER{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let keys = ["--access-key", &access_key, "--secret-key", "another"];
        let create = ["key", "create", "--uid=seawall", "--key-type=s3"];
        tool("radosgw-admin", ceph.with_config(&[&create[..], &keys].concat()));
        Some((access_key, "another".to_owned()))
    }

    /// Kills the gateway with SIGKILL, and starts another one at its address.
    pub fn restart_gateway(&self) {
        self.cluster.restart_gateway();
    }

    /// A signed request by another program than ours.
    fn request(&self, method: &str, rest: &str, more: &[&str]) -> String {
        let url = format!("{}/{}{rest}", self.endpoint(), self.name);
        let (access_key, secret_key) = self.cluster.referee.keys();
        let keys = format!("{access_key}:{secret_key}");
        let unsigned = "x-amz-content-sha256: UNSIGNED-PAYLOAD";
        let mut args = vec!["-sS", "--fail", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user"];
        args.extend([&keys, "-H", unsigned, "-X", method, &url]);
        args.extend(more);
        tool("curl", args)
    }
}

/// Returns the path of an object in the encoding that is signed; curl does not encode.
fn path_of(key: &str) -> String {
    format!("/{}", key.replace('@', "%40"))
}

/// A running cluster; killed when dropped.
#[derive(Debug)]
struct Cluster {
    referee: Referee,
    endpoint: String,
    /// The parts of Ceph; `None` for another service.
    ceph: Option<Layout>,
    /// The one that answers requests is the last.
    daemons: Mutex<Vec<Child>>,
    dir: TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let daemons = self.daemons.get_mut().unwrap_or_else(PoisonError::into_inner);
        daemons.iter_mut().rev().for_each(end);
    }
}

impl Cluster {
    /// Returns the cluster that other tests use now, or a new one.
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::start());
            *shared = Arc::downgrade(&cluster);
            cluster
        })
    }

    fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("seawall-s3-").tempdir().unwrap();
        let referee = Referee::of_environment();
        if referee == Referee::Ceph {
            return Self::start_ceph(dir);
        }
        let (endpoint, daemons) = referee.start(dir.path());
        wait_for(&endpoint);
        Self { referee, endpoint, ceph: None, daemons: Mutex::new(daemons), dir }
    }

    fn start_ceph(dir: TempDir) -> Self {
        let at = Layout::new(dir.path());
        at.write();
        tool("monmaptool", at.monmap());
        tool("ceph-mon", at.with_config(&["-i", "a", "--mkfs", "--monmap", &at.path("monmap")]));
        let monitor = at.daemon(Command::new("ceph-mon"), &["-i", "a"]);
        let osd = uuid();
        tool("ceph", at.with_config(&["osd", "new", &osd, "0"]));
        tool("ceph-osd", at.with_config(&["-i", "0", "--mkfs", "--osd-uuid", &osd]));
        let storage = at.daemon(Command::new("ceph-osd"), &["-i", "0"]);
        let endpoint = format!("http://127.0.0.1:{}", at.gateway_port);
        let gateway = at.gateway(&endpoint);
        let (access_key, secret_key) = Referee::Ceph.keys();
        let keys = ["--access-key", access_key, "--secret-key", secret_key];
        let user = ["user", "create", "--uid=seawall", "--display-name=Seawall"];
        tool("radosgw-admin", at.with_config(&[&user[..], &keys].concat()));
        let daemons = Mutex::new(vec![monitor, storage, gateway]);
        Self { referee: Referee::Ceph, endpoint, ceph: Some(at), daemons, dir }
    }

    fn restart_gateway(&self) {
        let ceph = self.ceph.as_ref().expect("only Ceph has a gateway");
        let mut daemons = self.daemons.lock().unwrap_or_else(PoisonError::into_inner);
        let gateway = daemons.last_mut().unwrap();
        end(gateway);
        *gateway = ceph.gateway(&self.endpoint);
    }
}

/// Waits until a service answers.
fn wait_for(endpoint: &str) {
    let begun = Instant::now();
    while reqwest::blocking::get(endpoint).is_err() {
        assert!(begun.elapsed() < READY_TIME_MAX, "nothing answers at {endpoint}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn end(daemon: &mut Child) {
    let _ = daemon.kill();
    let _ = daemon.wait();
}

/// The files and ports of a cluster.
#[derive(Debug)]
struct Layout {
    dir: PathBuf,
    cluster_id: String,
    monitor_port: u16,
    gateway_port: u16,
}

impl Layout {
    fn new(dir: &Path) -> Self {
        let [monitor_port, gateway_port] = free_ports();
        Self { dir: dir.to_owned(), cluster_id: uuid(), monitor_port, gateway_port }
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    fn with_config(&self, args: &[&str]) -> Vec<String> {
        let config = ["-c".to_owned(), self.path("ceph.conf")];
        config.into_iter().chain(args.iter().map(|arg| (*arg).to_owned())).collect()
    }

    fn monmap(&self) -> Vec<String> {
        let address = format!("[v2:127.0.0.1:{}]", self.monitor_port);
        let id = &self.cluster_id;
        let monmap = self.path("monmap");
        ["--create", "--fsid", id, "--addv", "a", &address, &monmap].map(str::to_owned).to_vec()
    }

    /// Writes the configuration and the keys.
    fn write(&self) {
        let Self { cluster_id, monitor_port, gateway_port, .. } = self;
        for folder in ["mon", "osd", "rgw", "run", "log"] {
            fs::create_dir(self.dir.join(folder)).unwrap();
        }
        let dir = self.dir.display();
        // The intervals of the monitor decide how long the pools of the gateway take to make.
        // Without `tcp_nodelay` each small answer waits 40 ms.
        let config = format!(
            "[global]\nfsid = {cluster_id}\nmon host = v2:127.0.0.1:{monitor_port}\n\
             public addr = 127.0.0.1\ncluster addr = 127.0.0.1\nkeyring = {dir}/keyring\n\
             run dir = {dir}/run\nadmin socket = {dir}/run/$name.$pid.asok\n\
             log file = {dir}/log/$name.log\npid file = {dir}/run/$name.pid\n\
             osd pool default size = 1\nosd pool default min size = 1\n\
             mon allow pool size one = true\nosd pool default pg num = 8\n\
             osd pool default pgp num = 8\nosd pool default pg autoscale mode = off\n\
             mon max pg per osd = 1000\nosd crush chooseleaf type = 0\n\
             mon data avail crit = 1\nmon data avail warn = 2\nosd objectstore = memstore\n\
             osd data = {dir}/osd\nmon data = {dir}/mon\nmemstore device bytes = 4294967296\n\
             osd op num shards = 2\nosd op num threads per shard = 2\n\
             osd class dir = /usr/lib/x86_64-linux-gnu/rados-classes\nrgw data = {dir}/rgw\n\
             rgw frontends = beast endpoint=127.0.0.1:{gateway_port} tcp_nodelay=1\n\
             rgw enable lc threads = false\npaxos propose interval = 0.05\n\
             paxos min wait = 0.01\nosd mon report interval = 1\nmon tick interval = 1\n\
             mon osd min up ratio = 0\nosd heartbeat interval = 1\n"
        );
        fs::write(self.dir.join("ceph.conf"), config).unwrap();
        let keyring = self.path("keyring");
        tool("ceph-authtool", ["--create-keyring", &keyring]);
        for (name, caps) in [
            ("mon.", &["mon", "allow *"][..]),
            ("client.admin", &["mon", "allow *", "osd", "allow *"]),
            ("osd.0", &["mon", "allow profile osd", "osd", "allow *"]),
            ("client.rgw", &["mon", "allow *", "osd", "allow *"]),
        ] {
            let mut args = vec![keyring.as_str(), "--gen-key", "-n", name];
            for cap in caps.chunks(2) {
                args.extend(["--cap", cap[0], cap[1]]);
            }
            tool("ceph-authtool", args);
        }
    }

    /// Starts a daemon in the foreground.
    fn daemon(&self, mut command: Command, args: &[&str]) -> Child {
        command.args(self.with_config(args)).arg("-f");
        daemon(command, &self.dir)
    }

    /// Starts a gateway, and waits until it answers.
    fn gateway(&self, endpoint: &str) -> Child {
        let gateway = self.daemon(Command::new("radosgw"), &["-n", "client.rgw"]);
        wait_for(endpoint);
        gateway
    }
}

fn uuid() -> String {
    fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().to_owned()
}

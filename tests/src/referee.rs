//! Other S3 services than the Ceph gateway, for `./dev referees`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::port::free_ports;

/// The service on which the tests of buckets run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Referee {
    /// Debian's Ceph object gateway, by default.
    Ceph,
    /// MiniStack, which honours every condition and checks no signature in a header.
    MiniStack { program: PathBuf },
    /// Garage, which ignores conditions.
    Garage { program: PathBuf },
}

/// The keys that Garage accepts; it is particular about their form.
const GARAGE_KEYS: (&str, &str) = (
    "GK000000000000000000000001",
    "0000000000000000000000000000000000000000000000000000000000000001",
);
const KEYS: (&str, &str) = ("AKSEAWALL", "sksecret");

impl Referee {
    /// Returns the service that the environment names.
    pub(crate) fn of_environment() -> Self {
        let program = || std::env::var_os("SEAWALL_S3_REFEREE_PROGRAM").unwrap().into();
        match std::env::var("SEAWALL_S3_REFEREE").as_deref() {
            Ok("ministack") => Self::MiniStack { program: program() },
            Ok("garage") => Self::Garage { program: program() },
            Ok(other) if !other.is_empty() => panic!("there is no referee `{other}`"),
            _ => Self::Ceph,
        }
    }

    /// Returns the access key and the secret key.
    pub(crate) fn keys(&self) -> (&'static str, &'static str) {
        match self {
            Self::Garage { .. } => GARAGE_KEYS,
            Self::Ceph | Self::MiniStack { .. } => KEYS,
        }
    }

    /// Starts the service in a folder. Returns its address and its processes.
    pub(crate) fn start(&self, dir: &Path) -> (String, Vec<Child>) {
        let [port, rpc_port] = free_ports();
        let command = match self {
            Self::Ceph => unreachable!("started with its cluster"),
            Self::MiniStack { program } => {
                let mut command = Command::new(program);
                // The default is every address of the machine.
                command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
                // It checks the signatures in addresses, and no others.
                command.env("AWS_ACCESS_KEY_ID", KEYS.0).env("AWS_SECRET_ACCESS_KEY", KEYS.1);
                command
            }
            Self::Garage { program } => {
                let config = dir.join("garage.toml");
                fs::write(&config, garage_config(dir, port, rpc_port)).unwrap();
                let mut command = Command::new(program);
                command.arg("-c").arg(config).args(["server", "--single-node"]);
                command.args(["--default-access-key", "--default-bucket"]);
                command.env("GARAGE_DEFAULT_ACCESS_KEY", GARAGE_KEYS.0);
                command.env("GARAGE_DEFAULT_SECRET_KEY", GARAGE_KEYS.1);
                command.env("GARAGE_DEFAULT_BUCKET", "seawall");
                command
            }
        };
        (format!("http://127.0.0.1:{port}"), vec![daemon(command, dir)])
    }

    /// Makes a bucket where a request of S3 cannot. Returns whether that was so.
    pub(crate) fn makes_bucket(&self, dir: &Path, name: &str) -> bool {
        let Self::Garage { program } = self else { return false };
        let allow = ["bucket", "allow", "--read", "--write", "--owner", name, "--key"];
        let allow = [&allow[..], &[GARAGE_KEYS.0]].concat();
        for args in [&["bucket", "create", name][..], &allow] {
            let mut command = Command::new(program);
            command.arg("-c").arg(dir.join("garage.toml")).args(args);
            let done = command.output().unwrap();
            assert!(done.status.success(), "{command:?}: {done:?}");
        }
        true
    }
}

fn garage_config(dir: &Path, port: u16, rpc_port: u16) -> String {
    let (dir, secret) = (dir.display(), "1".repeat(64));
    format!(
        "metadata_dir = \"{dir}/meta\"\ndata_dir = \"{dir}/data\"\ndb_engine = \"sqlite\"\n\
         replication_factor = 1\nrpc_bind_addr = \"127.0.0.1:{rpc_port}\"\n\
         rpc_public_addr = \"127.0.0.1:{rpc_port}\"\nrpc_secret = \"{secret}\"\n\
         [s3_api]\ns3_region = \"us-east-1\"\napi_bind_addr = \"127.0.0.1:{port}\"\n"
    )
}

/// Starts a program that runs until it is killed.
pub(crate) fn daemon(mut command: Command, dir: &Path) -> Child {
    command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

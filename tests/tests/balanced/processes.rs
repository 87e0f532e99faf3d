//! The stage of processes on ports of this machine.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use seawall_tests::{
    Balancer, CephBucket, InRotation, Postgres, Registry, Relay, Signal, World, free_ports,
    in_rotation,
};

use super::{A, B, LEASE_TTL_SECS, Stage};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Two registries, HAProxy, PostgreSQL and Ceph's object gateway. Registries reach the database
/// and the gateway through relays, which can be cut.
pub(super) struct Processes {
    world: World,
    bucket: CephBucket,
    postgres: Postgres,
    catalog: [Relay; 2],
    store: Relay,
    addresses: [SocketAddr; 2],
    registries: [Option<Registry>; 2],
    balancer: Balancer,
}

impl Processes {
    /// Starts all processes. Returns `None` if no PostgreSQL is installed.
    pub(super) fn start() -> Option<Self> {
        let mut postgres = Postgres::start()?;
        let [port] = free_ports();
        postgres.stop();
        postgres.go_at(port);
        let database = SocketAddr::from(([127, 0, 0, 1], port));
        let (world, bucket) = (World::new(), CephBucket::new());
        fs::write(world.path("tokens"), format!("ci publisher {TOKEN}\n")).unwrap();
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(world.path("tokens"), private).unwrap();
        let gateway = bucket.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
        let addresses = free_ports().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut stage = Self {
            catalog: [(); 2].map(|()| Relay::start(database)),
            store: Relay::start(gateway),
            balancer: Balancer::start(addresses),
            registries: [None, None],
            world,
            bucket,
            postgres,
            addresses,
        };
        for registry in [A, B] {
            stage.start(registry);
        }
        Some(stage)
    }

    fn registry(&self, registry: usize) -> &Registry {
        self.registries[registry].as_ref().expect("the registry runs")
    }

    fn signal(&self, registry: usize, signal: Signal) {
        self.registry(registry).signal(signal);
    }
}

impl Stage for Processes {
    fn world(&self) -> &World {
        &self.world
    }

    fn entrance(&self) -> (String, String) {
        (self.balancer.url().to_owned(), TOKEN.to_owned())
    }

    fn in_rotation(&self) -> Option<InRotation> {
        in_rotation(self.balancer.metrics())
    }

    fn metrics(&self, registry: usize) -> Option<String> {
        let url = format!("http://{}/metrics", self.addresses[registry]);
        let request = reqwest::blocking::Client::new().get(url).bearer_auth(TOKEN);
        request.send().ok()?.text().ok()
    }

    fn kill(&mut self, registry: usize) {
        self.registries[registry].take().expect("the registry runs").kill();
    }

    fn tell_to_stop(&mut self, registry: usize) {
        self.signal(registry, Signal::TERM);
    }

    fn wait_for_end(&mut self, registry: usize) {
        let ended = self.registries[registry].take().expect("the registry runs").terminate();
        assert_eq!(ended.code(), Some(0), "{ended}");
    }

    fn start(&mut self, registry: usize) {
        let place = format!("postgres://postgres@{}/postgres", self.catalog[registry].address());
        let listen = self.addresses[registry].to_string();
        let line = format!("serve --drain-time 5 --lease-ttl {LEASE_TTL_SECS} --token-file tokens");
        let run = self.world.seawall(&line).args(["--listen", &listen, "--catalog", &place]);
        let run = run.arg(self.world.path(format!("data-{registry}")));
        let run = self.bucket.opened_at(&format!("http://{}", self.store.address()), run);
        self.registries[registry] = Some(Registry::start_by(run, &self.world));
    }

    fn freeze(&mut self, registry: usize) {
        self.signal(registry, Signal::STOP);
    }

    fn thaw(&mut self, registry: usize) {
        self.signal(registry, Signal::CONT);
    }

    fn cut_off(&mut self, registry: usize) {
        self.catalog[registry].cut();
    }

    fn reconnect(&mut self, registry: usize) {
        self.catalog[registry].mend();
    }

    fn restart_catalog(&mut self) {
        self.postgres.stop();
        self.postgres.go();
    }

    fn query(&self, sql: &str) {
        self.postgres.sql("postgres", sql);
    }

    fn stop_store(&mut self) {
        self.store.cut();
    }

    fn start_store(&mut self) {
        self.store.mend();
    }
}

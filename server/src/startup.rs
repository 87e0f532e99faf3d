//! Starting and stopping: the only file that names concrete adapters.
//!
//! # Concurrency
//!
//! Any number of registries, in one process or several, may serve one directory: the store's
//! objects never change, and the catalog's transactions exclude each other. If several registries
//! find no catalog, one rebuilds it from the store and the others wait. No registry starts while
//! another one runs whose catalog was moved away, because there would be two sources of truth.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_http::{HttpService, Protocol};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};
use rustix::net::sockopt::set_tcp_user_timeout;
use socket2::SockRef;
use tokio::sync::oneshot;

use crate::app::access::LOCAL_NAME;
use crate::app::mirrors::{Carrier, Means};
use crate::app::room::Room;
use crate::app::{Completed, Registry, Settings};
use crate::catalog::{Barrier, Catalog};
use crate::config::{Access, Config};
use crate::courier::http::HttpCourier;
use crate::courier::{Courier, Reach};
use crate::host::Host;
use crate::http::{self, Edge, Timed, limits};
use crate::jobs::{self, deliver::deliver, mirrors::run as run_mirrors};
use crate::tokens::{Authentication, Grants, TokenBook, Tokens};
use claim::Bond;
use host::{Clocked, Disk, Machine};

mod catalog;
mod claim;
mod edge;
mod error;
mod files;
mod folder;
mod host;
mod recover;
mod relocate;
mod store;

pub use catalog::CatalogAt;
pub use error::StartError;
pub(crate) use folder::make_private;
pub use recover::{Recovered, drill, recover};
pub use relocate::{
    Home, Relocate, Relocated, RelocationPlan, abort_relocation, plan_relocation, relocate,
};
pub use store::StoreAt;

/// The folder of the store in the data directory.
const STORE_FOLDER: &str = "store";
/// The file of the catalog in the data directory.
const CATALOG_FILE: &str = "catalog.sqlite";

/// A running registry.
///
/// Dropping this value stops the registry at once. [`Running::stop`] stops it gracefully.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    token: Option<String>,
    edge: web::Data<Edge>,
    handle: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
    ended: Option<oneshot::Receiver<()>>,
    drain_time: Duration,
}

impl Running {
    /// Returns the listening address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the access token of a registry with [`Access::Ephemeral`].
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Stops the registry gracefully: reports not ready, then refuses new connections, then stops
    /// once the requests in progress are answered.
    ///
    /// # Errors
    /// If serving had failed.
    pub async fn stop(self) -> io::Result<()> {
        drain(&self.edge, self.drain_time).await;
        // The command is sent at once. The returned future only waits.
        drop(self.handle.stop(true));
        self.wait().await
    }

    /// Waits until the registry has stopped, for instance by a signal.
    ///
    /// # Errors
    /// If serving failed.
    pub async fn wait(mut self) -> io::Result<()> {
        if let Some(ended) = self.ended.take() {
            // An error means that the thread ended without a message. Joining the thread tells the
            // cause.
            let _ = ended.await;
        }
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the serving thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() {
            drop(self.handle.stop(false));
        }
    }
}

/// Opens the data directory and serves it on separate threads, so that callers may await this in
/// any runtime or none.
///
/// # Errors
/// If the registry cannot serve. See [`StartError::remedy`].
pub async fn start(config: Config) -> Result<Running, StartError> {
    start_with(config, None).await
}

/// Starts as [`start`] does, and runs mirrors if a carrier is given.
///
/// # Errors
/// If the registry cannot serve. See [`StartError::remedy`].
pub async fn start_with(
    config: Config,
    carrier: Option<Arc<dyn Carrier>>,
) -> Result<Running, StartError> {
    // An edge leaves access to its upstream.
    let is_exposed = config.access == Access::Open && config.upstream.is_none();
    if is_exposed && !config.listen.ip().is_loopback() {
        return Err(StartError::Exposed(config.listen));
    }
    if let Some(at) = config.upstream.clone() {
        return edge::start(config, &at).await;
    }
    // Before anything is opened: a refused start leaves nothing behind.
    drop(file_tokens(&config.access)?);
    let (data_dir, settings, absent) = (config.data_dir.clone(), settings(&config), config.absent);
    let (store_at, catalog_at) = (config.store.clone(), config.catalog.clone());
    let adopts_store = config.adopts_store;
    let registry = on_a_thread(move || {
        folder::prepare(&data_dir, absent, &store_at)?;
        open(&data_dir, (&store_at, &catalog_at), adopts_store, settings)
    });
    let registry = registry.await?;
    serve_on(registry, config, carrier).await
}

/// Returns the settings of the registry.
fn settings(config: &Config) -> Settings {
    Settings {
        lease_ttl_secs: config.lease_ttl.as_secs(),
        reach: reach(config),
        // The space in a bucket is unknown; the bucket's quota takes the place of a reserve.
        room: config
            .store
            .disk(&config.data_dir)
            .map(|disk| Room::new(Arc::new(Disk(disk)), config.min_free)),
        ..Settings::new(config.workers)
    }
}

/// Returns the addresses permitted for webhooks.
fn reach(config: &Config) -> Reach {
    match config.access {
        Access::TokenFile(_) | Access::Tokens(_) if !config.private_webhooks => Reach::PublicOnly,
        _ => Reach::Everywhere,
    }
}

/// Serves a registry on separate threads.
async fn serve_on(
    registry: Registry,
    config: Config,
    carrier: Option<Arc<dyn Carrier>>,
) -> Result<Running, StartError> {
    let (file, token) = file_tokens(&config.access)?;
    let authentication = (config.access != Access::Open).then(|| Authentication {
        file,
        catalog: matches!(config.access, Access::Tokens(_)).then(|| Arc::clone(&registry.tokens)),
    });
    let prefix = request_prefix()?;
    if config.access == Access::Tokens(None)
        && registry.tokens.list(None, 1).await.is_ok_and(|page| page.items.is_empty())
    {
        tracing::warn!(
            "the registry keeps no token yet: `seawall token create --registry DATA` makes one"
        );
    }
    let grants = Arc::new(Grants::new(Arc::new(Machine)));
    let edge = web::Data::new(
        Edge::new(authentication, Arc::clone(&grants), prefix, config.rates, &http::Problems)
            .with_spool(&config.data_dir),
    );
    let (listener, addr) = listen(&config)?;
    // A command may host a directory for a moment. Its events are delivered by the directory's
    // regular registry, which alone knows the operator's limits on addresses.
    let courier = (config.access != Access::Ephemeral
        && registry.barrier() != Some(Barrier::Denied))
    .then(|| Arc::new(HttpCourier::new(reach(&config))) as Arc<dyn Courier>);
    let means = carrier.map(|carrier| Means { carrier, own_url: own_url(addr), grants });
    let registry = web::Data::new(registry);
    let site = Site { registry, edge: edge.clone(), courier, means, listener };
    let drain_time = config.drain_time;
    let (send_handle, handle) = oneshot::channel();
    let (send_end, ended) = oneshot::channel();
    let serve = move || {
        let result = actix_web::rt::System::new().block_on(serve(site, config, send_handle));
        // The receiver is gone if the registry was dropped.
        let _ = send_end.send(());
        result
    };
    let thread = std::thread::Builder::new().name("seawall-registry".to_owned()).spawn(serve);
    let thread = thread.map_err(|_| StartError::Machine("cannot create a thread"))?;
    let handle = handle.await.map_err(|_| StartError::Machine("the server did not start"))?;
    tracing::info!(%addr, "serving");
    Ok(Running { addr, token, edge, handle, thread: Some(thread), ended: Some(ended), drain_time })
}

/// Listens on the configured address.
fn listen(config: &Config) -> Result<(TcpListener, SocketAddr), StartError> {
    let listen = |source| StartError::Listen { listen: config.listen, source };
    let listener = TcpListener::bind(config.listen).map_err(listen)?;
    let addr = listener.local_addr().map_err(listen)?;
    // Accepted connections inherit both options.
    set_tcp_user_timeout(&listener, millis(config.stall_time_max))
        .map_err(|error| listen(error.into()))?;
    SockRef::from(&listener).set_tcp_notsent_lowat(limits::UNSENT_LEN_MAX).map_err(listen)?;
    Ok((listener, addr))
}

/// Returns a prefix of request ids that no other process has.
fn request_prefix() -> Result<u64, StartError> {
    let prefix =
        Machine.random().ok_or(StartError::Machine("the system provides no random bytes"))?;
    Ok(u64::from_le_bytes(*prefix.first_chunk().unwrap_or(&[0; 8])))
}

/// Returns the address at which this process reaches itself.
fn own_url(addr: SocketAddr) -> String {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, addr.port()))
}

/// Returns the tokens of a file, or the token for the process that hosts the registry and its
/// secret.
fn file_tokens(access: &Access) -> Result<(Option<TokenBook>, Option<String>), StartError> {
    match access {
        Access::Open | Access::Tokens(None) => Ok((None, None)),
        Access::TokenFile(path) | Access::Tokens(Some(path)) => {
            Ok((Some(TokenBook::open(path)?), None))
        }
        Access::Ephemeral => {
            let secret = Machine
                .random()
                .ok_or(StartError::Machine("the system provides no random bytes"))?;
            let secret = hex::encode(secret);
            let tokens = TokenBook::fixed(Tokens::single(LOCAL_NAME, &secret));
            Ok((Some(tokens), Some(secret)))
        }
    }
}

/// Runs `open` on a separate thread. It reads and locks files, and may have to wait for another
/// process or read the whole store.
async fn on_a_thread<T: Send + 'static>(
    open: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let (send, done) = oneshot::channel();
    let work = move || {
        // The receiver is gone if the start was given up. The opened resource is then closed again.
        let _ = send.send(open());
    };
    std::thread::Builder::new()
        .name("seawall-open".to_owned())
        .spawn(work)
        .map_err(|_| StartError::Machine("cannot create a thread"))?;
    done.await.map_err(|_| StartError::Machine("the registry could not be opened"))?
}

fn open(
    data_dir: &Path,
    (store_at, catalog_at): (&StoreAt, &CatalogAt),
    adopts_store: bool,
    settings: Settings,
) -> Result<Registry, StartError> {
    let store = store::open(data_dir, store_at)?;
    let place = (data_dir, catalog_at);
    let fill = |catalog: &Catalog| {
        store::block_on(relocate::check_new(&store, store_at))??;
        if !adopts_store {
            store::block_on(claim::check_unclaimed(&store, store_at))??;
        }
        recover::fill(store.port(), catalog)?;
        if adopts_store {
            let bond = Bond { catalog, place, store: &store, at: store_at };
            store::block_on(bond.adopt())??;
        }
        Ok(())
    };
    let catalog = catalog::open(data_dir, catalog_at, fill)?;
    relocate::check(&catalog, &store, store_at)?;
    let bond = Bond { catalog: &catalog, place, store: &store, at: store_at };
    let confirmed = store::block_on(bond.confirm())?;
    if let Err(StartError::StoreElsewhere { .. }) = confirmed {
        // Made by this start. If it holds anything, it stays.
        let _ = std::fs::remove_dir(data_dir.join(STORE_FOLDER));
    }
    confirmed?;
    let port = store.port();
    if catalog.barrier().is_none() {
        store.prepare()?;
    }
    let host = Arc::new(Clocked(catalog.clone()));
    let settings = Settings { cache: store_at.cache()?, bucket: store.state(), ..settings };
    Ok(Registry::new(port, catalog, host, settings))
}

/// The parts of a server.
struct Site {
    registry: web::Data<Registry>,
    edge: web::Data<Edge>,
    /// The courier of webhook messages. `None` if another registry delivers them.
    courier: Option<Arc<dyn Courier>>,
    /// The means to run mirrors. `None` if another registry runs them.
    means: Option<Means>,
    listener: TcpListener,
}

async fn serve(
    site: Site,
    config: Config,
    send_handle: oneshot::Sender<ServerHandle>,
) -> io::Result<()> {
    let edge = site.edge.clone();
    let (registry, watched) = (site.registry.clone(), site.registry.clone());
    let outbox = site.courier.clone().map(|courier| {
        deliver(registry.clone().into_inner(), courier, edge.metrics.health.clone())
    });
    let mirrors = site.means.clone().map(|means| run_mirrors(registry.clone().into_inner(), means));
    let for_jobs = registry.clone().into_inner();
    let Site { registry: served, listener, .. } = site;
    let routes = move |cfg: &mut web::ServiceConfig| {
        cfg.app_data(served.clone());
        http::routes(cfg);
    };
    let server = server((listener, edge.clone()), &config, routes)?;
    // The outbox ends with this runtime. Messages in progress at that time are sent again.
    if let Some(outbox) = outbox {
        actix_web::rt::spawn(outbox);
    }
    if let Some(mirrors) = mirrors {
        actix_web::rt::spawn(mirrors);
    }
    actix_web::rt::spawn(async move {
        if registry.barrier().is_some() {
            return;
        }
        match registry.records.complete().await {
            Ok(Completed { written, unknown }) => {
                if written > 0 {
                    tracing::info!(written, "wrote records that were missing after a crash");
                }
                if let Some(error) = unknown {
                    let remedy = error.remedy();
                    tracing::error!(%error, remedy, "the store has records that the catalog lacks");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot compare the store with the catalog"),
        }
    });
    let tokens = Arc::clone(&for_jobs.tokens);
    actix_web::rt::spawn(jobs::rates::exchange(tokens, edge.clone().into_inner()));
    jobs::spawn(for_jobs, (config.collect_every, config.retention_every));
    let handle = server.handle();
    let moved_to = Arc::new(OnceLock::new());
    {
        let (handle, edge, moved_to) = (handle.clone(), edge.clone(), Arc::clone(&moved_to));
        actix_web::rt::spawn(async move {
            let to = relocate::moved(&watched).await;
            tracing::error!(%to, "the registry was moved: stopping");
            let _ = moved_to.set(to);
            drain(&edge, config.drain_time).await;
            handle.stop(true).await;
        });
    }
    if config.handle_signals {
        actix_web::rt::spawn(stop_on_signal(handle.clone(), edge, config.drain_time));
    }
    // The receiver is gone if the caller of `start` was dropped.
    let _ = send_handle.send(handle);
    let ended = server.await;
    match moved_to.get() {
        Some(to) => Err(io::Error::other(format!("it was moved to {to}"))),
        None => ended,
    }
}

/// Stops the server once the process is told to.
async fn stop_on_signal(handle: ServerHandle, edge: web::Data<Edge>, drain_time: Duration) {
    if stop_signal().await.is_ok() {
        tracing::info!("stopping: waiting for requests in flight");
        drain(&edge, drain_time).await;
        handle.stop(true).await;
    }
}

fn server(
    (listener, edge): (TcpListener, web::Data<Edge>),
    config: &Config,
    routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    let connections = files::connections_per_worker(files::raise_limit(), config.workers);
    let server = Server::build()
        .workers(config.workers)
        .disable_signals()
        .shutdown_timeout(config.shutdown_time_max.as_secs())
        .max_concurrent_connections(connections)
        .backlog(limits::BACKLOG);
    let stopping = server.graceful_shutdown_signal();
    // Like actix's own `HttpServer`, except for the socket, which enforces limits per connection.
    let service = move || {
        let app =
            App::new().app_data(edge.clone()).wrap(from_fn(http::edge)).configure(routes.clone());
        let stopping = stopping.clone();
        let service = HttpService::build()
            .keep_alive(limits::IDLE_TIME_MAX)
            .client_request_timeout(limits::HEAD_TIME_MAX)
            .client_disconnect_timeout(limits::CLOSE_TIME_MAX)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|socket: &Timed<TcpStream>, data| {
                data.insert(socket.connection());
            })
            .finish(map_config(app, |()| AppConfig::default()));
        fn_service(move |socket: TcpStream| async move {
            let peer = socket.peer_addr().ok();
            // Answers are written as a whole, so waiting for more data gains nothing.
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "cannot disable Nagle's algorithm");
            }
            Ok((Timed::new(socket, connections), Protocol::Http1, peer))
        })
        .and_then(service)
    };
    Ok(server.listen("registry", listener, service)?.run())
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

async fn drain(edge: &Edge, time: Duration) {
    edge.draining.store(true, Ordering::Relaxed);
    if time.is_zero() {
        return;
    }
    // A thread's sleep: the caller may have no runtime with timers.
    let (send, slept) = oneshot::channel();
    std::thread::spawn(move || {
        std::thread::sleep(time);
        let _ = send.send(());
    });
    let _ = slept.await;
}

/// Waits for SIGTERM or SIGINT.
async fn stop_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

//! The running server: listeners, workers, and how they stop.
//!
//! Pingora's `Server` is not used. Its drain is a fixed sleep after which streams are torn, and it ends the
//! process itself; here its services run on our runtime, and we know when the last request has gone.

use std::{
    io,
    net::SocketAddr,
    os::fd::IntoRawFd as _,
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use mcp_core::{access::Edition, config::BackendConfig, server::Service};
use pingora::{
    apps::HttpServerOptions,
    listeners::ListenerConfig,
    protocols::{http::v2::server::H2Options, l4::stream::L4BufferSettings},
    proxy::HttpProxy,
    server::{Fds, configuration::ServerConf},
    services::{Service as _, listening},
};
use tokio::{net::TcpSocket, sync::watch, task::JoinHandle};

use crate::{
    access_log::{AccessLog, AccessLogError},
    admin::{Admin, AdminState, HasRoom, Phase, Readiness},
    config::{Config, HttpLimits},
    edge::{Bodies, Edge},
    listener::{Bounded, Connections},
    live::{Current, Live, LiveError},
    metrics::{Metrics, MetricsError, Subjects, labels::Limit},
    request_id::RequestIds,
    workers::Workers,
};

/// Connections that the admin listener holds: scrapers and probes are few.
const ADMIN_CONNECTIONS_MAX: usize = 100;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// How long answers say `Connection: close` before the listeners close, so that clients with idle
/// connections hear of it on their next answer and not by a broken one.
const FAREWELL: Duration = Duration::from_millis(200);
/// How long connections may take to close once their last request is over.
const CLOSING: Duration = Duration::from_secs(1);
/// How often draining looks whether the last request has gone.
const DRAIN_LOOK: Duration = Duration::from_millis(10);
/// How long the keys of issuers may take to arrive before requests are served without them.
const KEYS_PATIENCE: Duration = Duration::from_secs(3);
/// How long the access log may take to write what waits.
const LOG_FLUSH: Duration = Duration::from_secs(5);
/// Streams that one HTTP/2 connection may have open.
const H2_STREAMS_MAX: u32 = 100;
/// Largest header block of an HTTP/2 request, in bytes.
const H2_HEADER_BYTES_MAX: u32 = 64 << 10;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}, the address in `{key}`; {}", remedy(source))]
    Listen {
        /// The key that holds it.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The access log cannot be opened.
    #[error(transparent)]
    AccessLog(#[from] AccessLogError),
    /// The metrics are not well formed.
    #[error("cannot set up the metrics")]
    Metrics(#[from] MetricsError),
    /// The settings of who is let in cannot be put to work.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// No randomness.
    #[error("the operating system gave no randomness")]
    Randomness(#[from] getrandom::Error),
}

/// A server that serves.
#[derive(Debug)]
pub struct Running {
    /// Address of the MCP listener.
    pub address: SocketAddr,
    /// Address of the admin listener.
    pub admin: Option<SocketAddr>,
    /// The settings that a reload replaces.
    pub live: Current,
    access_log: AccessLog,
    readiness: Readiness,
    drain: watch::Sender<bool>,
    close_mcp: watch::Sender<bool>,
    /// The admin listener tells of the draining, so it closes last.
    close_admin: watch::Sender<bool>,
    in_flight: Arc<AtomicUsize>,
    connections: Arc<Connections>,
    drain_timeout: Duration,
    tasks: Vec<JoinHandle<()>>,
}

/// How a server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every request in service was served to its end.
    Drained,
    /// So many requests were still in service when the time was over.
    Cut(usize),
}

/// Makes the metrics for a configuration.
///
/// # Errors
/// [`StartError::Metrics`] when they are not well formed.
pub fn metrics(config: &Config, tools: &[&'static str]) -> Result<Arc<Metrics>, StartError> {
    let backends: Vec<_> =
        config.backends.iter().map(|BackendConfig { name, .. }| name.clone()).collect();
    let workers = config.server.workers.map_or(0, |workers| workers.get().into());
    Ok(Arc::new(Metrics::new(Subjects { tools, backends: &backends, workers })?))
}

/// Starts to serve. Must be called inside a multi-threaded tokio runtime.
///
/// `edition` is what the service's handler offers now.
///
/// Waits a little for the keys of the issuers, so that the first callers find them; an issuer that is down keeps
/// nothing from being served but its own tokens.
///
/// # Errors
/// [`StartError`] when an address is taken, or the access log cannot be opened.
pub async fn start(
    config: &Config,
    (service, edition): (&Arc<Service>, Edition),
    metrics: &Arc<Metrics>,
) -> Result<Running, StartError> {
    let (listener, address) = listen(config.server.http.listen, "server.transport.http.host")?;
    let listen_admin = |address| listen(address, "server.admin.host");
    let admin_listener = config.server.admin.map(listen_admin).transpose()?;
    let live = Live::new(config, edition, None, metrics)?;
    live.loaded(None, KEYS_PATIENCE).await;
    let live: Current = Arc::new(ArcSwap::from_pointee(live));
    let for_keys = Arc::clone(&live);
    metrics.read_keys_from(Box::new(move || for_keys.load().key_figures()));
    let access_log = AccessLog::start(&config.access_log, metrics.access_log())?;
    let workers = Arc::new(Workers::new(
        config.server.workers.map_or(0, std::num::NonZeroU16::get),
        service,
        config.worker_limits,
    ));
    let (for_scrapes, for_readiness) = (Arc::clone(&workers), Arc::clone(&workers));
    metrics.read_workers_from(Box::new(move || for_scrapes.figures()));

    let (drain, draining) = watch::channel(false);
    let (close_mcp, mcp_closing) = watch::channel(false);
    let (close_admin, admin_closing) = watch::channel(false);
    let in_flight = Arc::new(AtomicUsize::new(0));
    let readiness = Readiness::default();
    let edge = Edge {
        limits: config.server.http.limits,
        live: Arc::clone(&live),
        workers: Arc::clone(&workers),
        metrics: Arc::clone(metrics),
        access_log: access_log.clone(),
        request_ids: RequestIds::new()?,
        bodies: Bodies::new(config.server.http.limits.bodies_bytes_max),
        in_flight: Arc::clone(&in_flight),
        drain: draining,
    };
    let (endpoint, connections) = mcp_endpoint(edge, address, config.server.http.h2c);
    let mut tasks = vec![
        run(endpoint, listener, address, mcp_closing),
        tokio::spawn(sweep(workers, Arc::clone(metrics), admin_closing.clone())),
    ];
    let mut admin = None;
    if let Some((listener, address)) = admin_listener {
        let has_room = HasRoom(Arc::new(move || for_readiness.has_room()));
        let metrics = Arc::clone(metrics);
        let state = AdminState { metrics, readiness: readiness.clone(), has_room };
        tasks.push(run(
            admin_endpoint(state, address, config.server.http.limits),
            listener,
            address,
            admin_closing,
        ));
        admin = Some(address);
    }
    readiness.advance(Phase::Ready);
    let drain_timeout = config.server.drain_timeout;
    Ok(Running {
        address,
        admin,
        live,
        access_log,
        readiness,
        drain,
        close_mcp,
        close_admin,
        in_flight,
        connections,
        drain_timeout,
        tasks,
    })
}

impl Running {
    /// Opens the access log's file anew, after something else has moved it.
    pub fn reopen_access_log(&self) {
        self.access_log.reopen();
    }

    /// Stops: nothing new is taken, streams that only wait end, calls in flight may finish.
    pub async fn stop(self) -> Stopped {
        let began = Instant::now();
        self.readiness.advance(Phase::Draining);
        self.drain.send_replace(true);
        tokio::time::sleep(FAREWELL.min(self.drain_timeout)).await;
        self.close_mcp.send_replace(true);
        let in_flight = || self.in_flight.load(std::sync::atomic::Ordering::Relaxed);
        while in_flight() > 0 && began.elapsed() < self.drain_timeout {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        // HTTP/2 answers are written by their connection after the request is over.
        let closing = Instant::now();
        while self.connections.count() > 0
            && closing.elapsed() < CLOSING
            && began.elapsed() < self.drain_timeout
        {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        let left = in_flight();
        self.close_admin.send_replace(true);
        for task in &self.tasks {
            task.abort();
        }
        if let Err(error) = self.access_log.flush_and_stop(LOG_FLUSH) {
            tracing::warn!(error = %crate::telemetry::Chain(&error), "the access log could not be written to its end");
        }
        if left == 0 { Stopped::Drained } else { Stopped::Cut(left) }
    }
}

fn mcp_endpoint(
    edge: Edge,
    address: SocketAddr,
    h2c: bool,
) -> (listening::Service<Bounded<HttpProxy<Edge>>>, Arc<Connections>) {
    let (limits, metrics) = (edge.limits, Arc::clone(&edge.metrics));
    let app = Bounded::new(proxy(edge, h2c), metrics, &limits);
    let connections = app.connections();
    let mut endpoint = listening::Service::new("mcp".to_owned(), app);
    // Pingora's buffers live as long as the connection; the guard's own are there while needed.
    let buffers = L4BufferSettings::unbuffered();
    endpoint.add_listener(ListenerConfig::tcp(address.to_string()).l4_buffer(buffers));
    (endpoint, connections)
}

fn admin_endpoint(
    state: AdminState,
    address: SocketAddr,
    limits: HttpLimits,
) -> listening::Service<Bounded<Admin>> {
    let limits = HttpLimits {
        connections_max: limits.connections_max.min(ADMIN_CONNECTIONS_MAX),
        connections_per_address_max: ADMIN_CONNECTIONS_MAX,
        ..limits
    };
    let metrics = Arc::clone(&state.metrics);
    let app = Bounded::new(Admin(state), metrics, &limits);
    let mut endpoint = listening::Service::new("admin".to_owned(), app);
    endpoint.add_tcp(&address.to_string());
    endpoint
}

async fn sweep(workers: Arc<Workers>, metrics: Arc<Metrics>, stop: watch::Receiver<bool>) {
    let count = |overdue| (0..overdue).for_each(|_| metrics.limit_reached(Limit::CallTime));
    workers.sweep(count, stop).await;
}

fn proxy(edge: Edge, h2c: bool) -> HttpProxy<Edge> {
    let limits = edge.limits;
    // Pingora loads trusted authorities for connections that it might make, and panics where the
    // platform has none. We make none, so it gets an empty list.
    let conf = ServerConf { ca_file: Some("/dev/null".to_owned()), ..ServerConf::default() };
    let mut proxy = HttpProxy::new(edge, Arc::new(conf));
    let mut options = HttpServerOptions::default();
    options.h2c = h2c;
    options.h2_idle_timeout = Some(limits.idle_timeout);
    proxy.server_options = Some(options);
    let mut h2 = H2Options::new();
    h2.max_concurrent_streams(H2_STREAMS_MAX).max_header_list_size(H2_HEADER_BYTES_MAX);
    proxy.h2_options = Some(h2);
    proxy.handle_init_modules();
    proxy
}

fn listen(
    address: SocketAddr,
    key: &'static str,
) -> Result<(std::net::TcpListener, SocketAddr), StartError> {
    let bind = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?.into_std()?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind().map_err(|source| StartError::Listen { key, address, source })
}

/// How to mend what keeps an address from being listened on.
fn remedy(error: &io::Error) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "few of the many kinds can happen")]
    match error.kind() {
        io::ErrorKind::AddrInUse => "end the program that has it, or write another port there",
        io::ErrorKind::AddrNotAvailable => "write an address of this machine there",
        io::ErrorKind::PermissionDenied => "write a port from 1024 on there",
        _ => "write another address there",
    }
}

/// Hands an open listener to a Pingora service and runs it on this runtime.
fn run<A>(
    mut service: listening::Service<A>,
    listener: std::net::TcpListener,
    address: SocketAddr,
    shutdown: watch::Receiver<bool>,
) -> JoinHandle<()>
where
    A: pingora::apps::ServerApp + Send + Sync + 'static,
{
    let mut fds = Fds::new();
    fds.add(address.to_string(), listener.into_raw_fd());
    let fds = Arc::new(parking_lot::Mutex::new(fds));
    tokio::spawn(async move { service.start_service(Some(fds), shutdown, 1).await })
}

//! The running server: listeners, workers, and how they stop.
//!
//! Pingora's `Server` is not used. Its drain is a fixed sleep after which streams are torn, and it ends the
//! process itself; here its services run on our runtime, and we know when the last request has gone.

mod endpoints;
mod parts;
mod shown;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use mcp_core::{access::Edition, config::BackendConfig, server::Service, session::WeakKey};
use tokio::{sync::watch, task::JoinHandle};

pub use self::parts::signing_secrets;
use self::{
    endpoints::{EdgeParts, mcp_endpoint, run},
    parts::sessions,
    shown::{show, show_process},
};
use crate::{
    access_log::{AccessLog, AccessLogError},
    admin::{Phase, Readiness},
    cluster::{CertificateError, Cluster, ClusterError},
    config::Config,
    edge::{Bodies, Side},
    listener::Connections,
    live::{Current, Live, LiveError},
    metrics::{Bounds, Metrics, MetricsError, Subjects, labels::Limit},
    otlp::Resource,
    sessions::{Sessions, SessionsError},
    sockets::{CannotListen, Sockets},
    store::StoreError,
    trace::{Tracer, TracerError},
    upgrade::{Inherited, Message, News, Successor, UpgradeError},
};

/// How long answers say `Connection: close` before the listeners close, so that clients with idle
/// connections hear of it on their next answer and not by a broken one.
const FAREWELL: Duration = Duration::from_millis(200);
/// How long connections may take to close once their last request is over.
const CLOSING: Duration = Duration::from_secs(1);
/// How often draining looks whether the last request has gone.
const DRAIN_LOOK: Duration = Duration::from_millis(10);
/// How long the keys of issuers may take to arrive before requests are served without them.
const KEYS_PATIENCE: Duration = Duration::from_secs(3);
/// How long the other replicas may take to answer before requests are served without them.
const RING_PATIENCE: Duration = Duration::from_secs(10);
/// How long the access log may take to write what waits.
const LOG_FLUSH: Duration = Duration::from_secs(5);
/// How long the last spans may take to be sent.
const TRACE_FLUSH: Duration = Duration::from_secs(5);

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] CannotListen),
    /// The access log cannot be opened.
    #[error(transparent)]
    AccessLog(#[from] AccessLogError),
    /// The metrics are not well formed.
    #[error("cannot set up the metrics")]
    Metrics(#[from] MetricsError),
    /// What the process before hands over cannot be taken.
    #[error("cannot take over from the process that serves")]
    Upgrade(#[from] UpgradeError),
    /// Session ids cannot be signed.
    #[error(transparent)]
    Sessions(#[from] SessionsError),
    /// The session store cannot be set up.
    #[error("cannot set up the session store")]
    Store(#[from] StoreError),
    /// The certificates of replicas cannot be used.
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    /// A key of the replicas is too short.
    #[error("a key of the replicas cannot be used")]
    Key(#[from] WeakKey),
    /// The replicas cannot be joined.
    #[error("cannot join the other replicas")]
    Cluster(#[from] ClusterError),
    /// Traces cannot be made.
    #[error("cannot trace requests")]
    Tracer(#[from] TracerError),
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
    /// Workers, replicas, and who owns which session.
    pub sessions: Arc<Sessions>,
    access_log: AccessLog,
    tracer: Arc<Tracer>,
    readiness: Readiness,
    switches: Switches,
    in_flight: Arc<AtomicUsize>,
    /// Those of clients, and those of replicas.
    connections: Vec<Arc<Connections>>,
    /// Kept for a process that comes after us; dropped when we stop.
    sockets: Sockets,
    upgrade_socket: Option<PathBuf>,
    drain_timeout: Duration,
    tasks: Vec<JoinHandle<()>>,
}

/// What stops, each when it is turned on.
#[derive(Debug, Default)]
struct Switches {
    /// Streams that only wait, and connections after their next answer.
    drain: watch::Sender<bool>,
    /// The listener of clients.
    close_mcp: watch::Sender<bool>,
    /// The listener of replicas: what they have passed on may finish.
    close_peers: watch::Sender<bool>,
    /// The admin listener, which tells of the draining and so closes last.
    close_admin: watch::Sender<bool>,
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
    let metrics = Metrics::new(Subjects { tools, backends: &backends, workers })?;
    metrics.bound(&Bounds {
        bodies_bytes_max: config.server.http.limits.bodies_bytes_max,
        sessions_max: config.worker_limits.sessions_max,
        calls_max: config.worker_limits.calls_max,
    });
    Ok(Arc::new(metrics))
}

/// Starts to serve. Must be called inside a multi-threaded tokio runtime. What is `inherited` comes from a process that
/// served before: its sockets are taken, and its sessions before the first request.
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
    inherited: Option<Inherited>,
) -> Result<Running, StartError> {
    let (sockets, news) = Sockets::open(config, inherited)?;
    let live = Live::new(config, edition, None, metrics)?;
    live.loaded(None, KEYS_PATIENCE).await;
    let live: Current = Arc::new(ArcSwap::from_pointee(live));
    let instance = instance(config, sockets.mcp.address);
    let resource = Resource { service: &config.server.name, instance: &instance };
    let access_log = AccessLog::start(&config.access_log, resource, metrics)?;
    let settings = config.telemetry.traces.as_ref();
    let tracer = Tracer::start(settings, resource, metrics.traces())?;
    let sessions = Arc::new(sessions(config, service, metrics)?);
    show(metrics, config, &live, &sessions);
    let switches = Switches::default();
    let parts = EdgeParts {
        limits: config.server.http.limits,
        live: Arc::clone(&live),
        sessions: Arc::clone(&sessions),
        metrics: Arc::clone(metrics),
        access_log: access_log.clone(),
        tracer: Arc::clone(&tracer),
        bodies: Bodies::new(config.server.http.limits.bodies_bytes_max),
        in_flight: Arc::new(AtomicUsize::new(0)),
        drain: switches.drain.subscribe(),
    };
    let readiness = Readiness::default();
    show_process(metrics, &parts.bodies, &readiness, &sessions);
    if let Some(news) = news {
        take_over(news, &sessions).await?;
        // Whoever served before was ready, and nobody is to hear otherwise in between.
        readiness.advance(Phase::Ready);
    }
    let stop = switches.close_admin.subscribe();
    let mut tasks = vec![tokio::spawn(keep(Arc::clone(&sessions), Arc::clone(metrics), stop))];
    let replicas = parts.serve_replicas(&sockets, &switches)?;
    let (peers, mut connections): (Vec<_>, Vec<_>) = replicas.into_iter().unzip();
    tasks.extend(peers);
    tasks.extend(parts.serve_admin((config, &sockets), &readiness, &switches)?);
    // Clients come last: what they open is placed by the ring, and that should not be a ring of ourselves alone.
    settle(&sessions, RING_PATIENCE).await;
    let address = sockets.mcp.address;
    let edge = parts.edge(Side::Clients)?;
    let (endpoint, of_clients) = mcp_endpoint(edge, address, config.server.http.h2c);
    connections.push(of_clients);
    tasks.push(run(endpoint, sockets.mcp.opened()?, address, switches.close_mcp.subscribe()));
    readiness.advance(Phase::Ready);
    Ok(Running {
        address,
        admin: sockets.admin.as_ref().map(|socket| socket.address),
        live,
        sessions,
        access_log,
        tracer,
        readiness,
        switches,
        in_flight: parts.in_flight,
        connections,
        sockets,
        upgrade_socket: config.server.upgrade_socket.clone(),
        drain_timeout: config.server.drain_timeout,
        tasks,
    })
}

/// What a replica is called where it tells of itself: the address at which others reach it, and where it is alone that at
/// which clients do.
fn instance(config: &Config, address: SocketAddr) -> String {
    config.cluster.as_ref().map_or_else(|| address.to_string(), |cluster| cluster.advertise.clone())
}

async fn settle(sessions: &Sessions, patience: Duration) {
    if !sessions.cluster.settled(patience).await {
        tracing::warn!(
            "not every replica has answered yet; requests are served by the ring of those that have"
        );
    }
}

/// Takes the sessions of the process before, and goes on to hear of those that it still opens and ends.
async fn take_over(mut news: News, sessions: &Arc<Sessions>) -> Result<(), UpgradeError> {
    while let Some(message) = news.next().await? {
        let is_all = matches!(message, Message::Ready);
        sessions.heard_from_before(message);
        news.took().await?;
        if is_all {
            break;
        }
    }
    // Briefly: the process before waits for us with each session that it opens.
    settle(sessions, RING_PATIENCE / 5).await;
    let sessions = Arc::clone(sessions);
    news.serving().await?;
    drop(tokio::spawn(async move {
        while let Ok(Some(message)) = news.next().await {
            sessions.heard_from_before(message);
            if news.took().await.is_err() {
                return;
            }
        }
    }));
    Ok(())
}

impl Running {
    /// Opens the access log's file anew, after something else has moved it.
    pub fn reopen_access_log(&self) {
        self.access_log.reopen();
    }

    /// Hands sockets and sessions to the process that waits for them. From then on new connections are its own; what is
    /// left here is to be stopped.
    ///
    /// # Errors
    /// [`UpgradeError`]; everything is as before then.
    pub async fn hand_on(&self) -> Result<(), UpgradeError> {
        let socket = self.upgrade_socket.as_ref().ok_or(UpgradeError::NoSocket)?;
        let successor = Arc::new(Successor::connect(socket, &self.sockets.all()).await?);
        self.sessions.hand_on(&successor).await?;
        Ok(())
    }

    /// Stops: nothing new is taken, streams that only wait end, calls in flight may finish.
    pub async fn stop(self) -> Stopped {
        let began = Instant::now();
        if self.sessions.are_handed_on() {
            // The other process answers for us, to other replicas and to whoever asks how we are.
            self.switches.close_admin.send_replace(true);
            self.switches.close_peers.send_replace(true);
        } else {
            self.readiness.advance(Phase::Draining);
            // The others hear of it before our clients do, so that whoever comes back elsewhere finds its session.
            let leaving = self.sessions.leave();
            tokio::time::timeout(self.drain_timeout, leaving).await.unwrap_or_default();
        }
        drop(self.sockets);
        self.switches.drain.send_replace(true);
        tokio::time::sleep(FAREWELL.min(self.drain_timeout)).await;
        self.switches.close_mcp.send_replace(true);
        let time_left = self.drain_timeout.saturating_sub(began.elapsed());
        drained(&self.in_flight, &self.sessions.cluster, time_left).await;
        // HTTP/2 answers are written by their connection after the request is over.
        self.switches.close_peers.send_replace(true);
        let closing = Instant::now();
        while self.connections.iter().any(|connections| connections.count() > 0)
            && closing.elapsed() < CLOSING
            && began.elapsed() < self.drain_timeout
        {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        let told = self.sessions.handed_on_to_the_end();
        tokio::time::timeout(CLOSING, told).await.unwrap_or_default();
        self.switches.close_admin.send_replace(true);
        for task in &self.tasks {
            task.abort();
        }
        self.tracer.stop(TRACE_FLUSH).await;
        let left = self.in_flight.load(Ordering::Relaxed);
        if let Err(error) = self.access_log.cut_and_stop(left, LOG_FLUSH) {
            tracing::warn!(error = %crate::telemetry::Chain(&error), "the access log could not be written to its end");
        }
        if left == 0 { Stopped::Drained } else { Stopped::Cut(left) }
    }
}

/// Waits until the last request has gone, at most for `patience`.
async fn drained(in_flight: &AtomicUsize, cluster: &Cluster, patience: Duration) {
    let last_gone = async {
        while in_flight.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    };
    tokio::select! {
        biased;
        () = last_gone => {}
        () = tokio::time::sleep(patience) => {}
        // Streams of sessions that others own run through us, and only they can end them as they should end.
        () = cluster.end_streams_passed_on() => {}
    }
}

async fn keep(sessions: Arc<Sessions>, metrics: Arc<Metrics>, stop: watch::Receiver<bool>) {
    let count = |overdue| (0..overdue).for_each(|_| metrics.limit_reached(Limit::CallTime));
    sessions.keep(count, stop).await;
}

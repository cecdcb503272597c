//! What listens, each with its edge or application.

use std::{
    net::SocketAddr,
    os::fd::IntoRawFd as _,
    sync::{Arc, atomic::AtomicUsize},
};

use pingora::{
    apps::HttpServerOptions,
    listeners::{ListenerConfig, tls::TlsSettings},
    protocols::{http::v2::server::H2Options, l4::stream::L4BufferSettings},
    proxy::HttpProxy,
    server::{Fds, configuration::ServerConf},
    services::{Service as _, listening},
};
use tokio::{sync::watch, task::JoinHandle};

use super::{StartError, Switches};
use crate::{
    access_log::AccessLog,
    admin::{Admin, AdminState, Readiness},
    config::{Config, HttpLimits},
    edge::{Bodies, Edge, Side},
    listener::{Bounded, Connections},
    live::Current,
    metrics::{Metrics, labels::Listener},
    request_id::RequestIds,
    sessions::Sessions,
    sockets::Sockets,
    trace::Tracer,
};

/// Connections that the admin listener holds: scrapers and probes are few.
const ADMIN_CONNECTIONS_MAX: usize = 100;
/// Connections that the listener of the replicas holds.
const PEER_CONNECTIONS_MAX: usize = 4096;
/// Streams that one HTTP/2 connection may have open.
const H2_STREAMS_MAX: u32 = 100;
/// Streams that one connection of another replica may have open: each carries one request of a client.
const PEER_STREAMS_MAX: u32 = 1000;
/// Largest header block of an HTTP/2 request, in bytes.
const H2_HEADER_BYTES_MAX: u32 = 64 << 10;

/// A listener that serves, with the connections that it holds.
type Served = (JoinHandle<()>, Arc<Connections>);

/// What an edge needs, for each of the sides that it serves.
pub(super) struct EdgeParts {
    pub(super) limits: HttpLimits,
    pub(super) live: Current,
    pub(super) sessions: Arc<Sessions>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) access_log: AccessLog,
    pub(super) tracer: Arc<Tracer>,
    pub(super) bodies: Arc<Bodies>,
    pub(super) in_flight: Arc<AtomicUsize>,
    pub(super) drain: watch::Receiver<bool>,
}

impl EdgeParts {
    pub(super) fn serve_replicas(
        &self,
        sockets: &Sockets,
        switches: &Switches,
    ) -> Result<Option<Served>, StartError> {
        let (Some(socket), Some(checker)) = (&sockets.replicas, self.sessions.cluster.checker())
        else {
            return Ok(None);
        };
        let edge = self.edge(Side::Replicas(Box::new(checker)))?;
        let tls = self.sessions.cluster.listener_tls()?;
        let (endpoint, connections) = peer_endpoint(edge, socket.address, tls);
        let close = switches.close_peers.subscribe();
        Ok(Some((run(endpoint, socket.opened()?, socket.address, close), connections)))
    }

    pub(super) fn serve_admin(
        &self,
        (config, sockets): (&Config, &Sockets),
        readiness: &Readiness,
        switches: &Switches,
    ) -> Result<Option<JoinHandle<()>>, StartError> {
        let Some(socket) = &sockets.admin else { return Ok(None) };
        let state = AdminState {
            metrics: Arc::clone(&self.metrics),
            readiness: readiness.clone(),
            sessions: Arc::clone(&self.sessions),
            token: config.server.admin_token.clone(),
        };
        let endpoint = admin_endpoint(state, socket.address, self.limits);
        let close = switches.close_admin.subscribe();
        Ok(Some(run(endpoint, socket.opened()?, socket.address, close)))
    }

    pub(super) fn edge(&self, side: Side) -> Result<Edge, StartError> {
        Ok(Edge {
            limits: self.limits,
            live: Arc::clone(&self.live),
            sessions: Arc::clone(&self.sessions),
            side,
            metrics: Arc::clone(&self.metrics),
            access_log: self.access_log.clone(),
            tracer: Arc::clone(&self.tracer),
            request_ids: RequestIds::new()?,
            bodies: Arc::clone(&self.bodies),
            in_flight: Arc::clone(&self.in_flight),
            drain: self.drain.clone(),
        })
    }
}

pub(super) fn mcp_endpoint(
    edge: Edge,
    address: SocketAddr,
    h2c: bool,
) -> (listening::Service<Bounded<HttpProxy<Edge>>>, Arc<Connections>) {
    let (limits, metrics) = (edge.limits, Arc::clone(&edge.metrics));
    let app = Bounded::new(proxy(edge, h2c), metrics, (Listener::Clients, &limits));
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
    let app = Bounded::new(Admin(state), metrics, (Listener::Admin, &limits));
    let mut endpoint = listening::Service::new("admin".to_owned(), app);
    endpoint.add_tcp(&address.to_string());
    endpoint
}

/// The port of the replicas. They are few, and each has few connections.
fn peer_endpoint(
    edge: Edge,
    address: SocketAddr,
    tls: Option<TlsSettings>,
) -> (listening::Service<Bounded<HttpProxy<Edge>>>, Arc<Connections>) {
    let limits = HttpLimits {
        connections_max: edge.limits.connections_max.min(PEER_CONNECTIONS_MAX),
        connections_per_address_max: PEER_CONNECTIONS_MAX,
        ..edge.limits
    };
    let metrics = Arc::clone(&edge.metrics);
    // HTTP/2 in both cases: with TLS too it is told by its first bytes.
    let app = Bounded::new(proxy(edge, true), metrics, (Listener::Replicas, &limits));
    let connections = app.connections();
    let mut endpoint = listening::Service::new("replicas".to_owned(), app);
    match tls {
        Some(tls) => endpoint.add_tls_with_settings(&address.to_string(), None, tls),
        None => endpoint.add_tcp(&address.to_string()),
    }
    (endpoint, connections)
}

fn proxy(edge: Edge, h2c: bool) -> HttpProxy<Edge> {
    let limits = edge.limits;
    let streams_max = match edge.side {
        Side::Clients => H2_STREAMS_MAX,
        Side::Replicas(_) => PEER_STREAMS_MAX,
    };
    // Pingora loads trusted authorities for connections that it might make, and panics where the
    // platform has none. We make none, so it gets an empty list.
    let conf = ServerConf { ca_file: Some("/dev/null".to_owned()), ..ServerConf::default() };
    let mut proxy = HttpProxy::new(edge, Arc::new(conf));
    let mut options = HttpServerOptions::default();
    options.h2c = h2c;
    options.h2_idle_timeout = Some(limits.idle_timeout);
    proxy.server_options = Some(options);
    let mut h2 = H2Options::new();
    h2.max_concurrent_streams(streams_max).max_header_list_size(H2_HEADER_BYTES_MAX);
    proxy.h2_options = Some(h2);
    proxy.handle_init_modules();
    proxy
}

/// Hands an open listener to a Pingora service and runs it on this runtime.
pub(super) fn run<A>(
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

//! Connections: how many, and for how long.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::{apps::ServerApp, protocols::Stream, proxy::HttpProxy, server::ShutdownWatch};

use crate::{
    config::HttpLimits,
    edge::Edge,
    guard::Guarded,
    metrics::{Held, Metrics, labels::Limit},
};

/// Stands between the listening socket and Pingora's proxy: counts connections, and puts a
/// [`Guarded`] around each.
///
/// TLS would be terminated before this point, in the listener's own settings, so that a guarded stream is
/// what comes out of it.
pub struct EdgeApp {
    proxy: Arc<HttpProxy<Edge>>,
    metrics: Arc<Metrics>,
    connections: Arc<Connections>,
    header_timeout: Duration,
}

impl fmt::Debug for EdgeApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeApp").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// Open connections, in all and by address.
#[derive(Debug)]
struct Connections {
    max: usize,
    per_address_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place among the open connections.
struct Place {
    connections: Arc<Connections>,
    address: Option<IpAddr>,
    _counted: Held,
}

impl EdgeApp {
    /// Serves connections with `proxy`.
    #[must_use]
    pub fn new(proxy: HttpProxy<Edge>, metrics: Arc<Metrics>, limits: &HttpLimits) -> Self {
        let connections = Connections {
            max: limits.connections_max,
            per_address_max: limits.connections_per_address_max,
            open: Mutex::default(),
        };
        let header_timeout = limits.header_timeout;
        Self { proxy: Arc::new(proxy), metrics, connections: Arc::new(connections), header_timeout }
    }

    fn place(&self, stream: &Stream) -> Option<Place> {
        let address = stream
            .get_socket_digest()
            .and_then(|socket| socket.peer_addr().and_then(|peer| peer.as_inet().copied()))
            .map(|peer: SocketAddr| peer.ip());
        match self.connections.enter(address) {
            Ok(()) => Some(Place {
                connections: Arc::clone(&self.connections),
                address,
                _counted: self.metrics.connection_opened(),
            }),
            Err(limit) => {
                self.metrics.connection_refused();
                self.metrics.limit_reached(limit);
                None
            }
        }
    }
}

impl Connections {
    fn enter(&self, address: Option<IpAddr>) -> Result<(), Limit> {
        let mut open = self.open.lock();
        if open.all >= self.max {
            return Err(Limit::Connections);
        }
        if let Some(address) = address {
            let of_address = open.by_address.entry(address).or_default();
            if *of_address >= self.per_address_max {
                return Err(Limit::ConnectionsPerAddress);
            }
            *of_address += 1;
        }
        open.all += 1;
        Ok(())
    }

    fn leave(&self, address: Option<IpAddr>) {
        let mut open = self.open.lock();
        open.all -= 1;
        if let Some(address) = address
            && let Some(of_address) = open.by_address.get_mut(&address)
        {
            *of_address -= 1;
            if *of_address == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.leave(self.address);
    }
}

#[async_trait]
impl ServerApp for EdgeApp {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        // A refused connection is dropped unread, which costs a flood more than an answer would.
        let _place = self.place(&stream)?;
        let guarded: Stream = Box::new(Guarded::new(stream, self.header_timeout));
        self.proxy.process_new(guarded, shutdown).await
    }

    async fn cleanup(&self) {
        ServerApp::cleanup(&*self.proxy).await;
    }
}

//! Connections: how many, and for how long.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::{
    apps::{HttpServerApp, ServerApp},
    protocols::{Stream, http::ServerSession},
    server::ShutdownWatch,
};

use crate::{
    client_address::holder,
    config::HttpLimits,
    guard::{Guarded, Terms},
    metrics::{
        Held, Metrics,
        labels::{Limit, Listener},
    },
};

/// Stands between a listening socket and an application of Pingora's: bounds the connections, and puts
/// a [`Guarded`] around each.
///
/// TLS would be terminated before this point, in the listener's own settings, so that a guarded stream is
/// what comes out of it.
pub struct Bounded<A> {
    app: Arc<A>,
    metrics: Arc<Metrics>,
    listener: Listener,
    connections: Arc<Connections>,
    terms: Terms,
}

impl<A> fmt::Debug for Bounded<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// Open connections, in all and by address.
#[derive(Debug)]
pub(crate) struct Connections {
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

impl<A> Bounded<A> {
    /// Serves connections of `listener` with `app`, within `limits`.
    #[must_use]
    pub fn new(app: A, metrics: Arc<Metrics>, (listener, limits): (Listener, &HttpLimits)) -> Self {
        metrics.connections_bounded(listener, limits.connections_max);
        let connections = Connections {
            max: limits.connections_max,
            per_address_max: limits.connections_per_address_max,
            open: Mutex::default(),
        };
        let terms = Terms {
            header_timeout: limits.header_timeout,
            write_timeout: limits.write_timeout,
            metrics: Arc::clone(&metrics),
        };
        Self { app: Arc::new(app), metrics, listener, connections: Arc::new(connections), terms }
    }

    /// The connections that are open.
    pub(crate) fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }

    fn place(&self, stream: &Stream) -> Option<Place> {
        let address = stream
            .get_socket_digest()
            .and_then(|socket| socket.peer_addr().and_then(|peer| peer.as_inet().copied()))
            .map(|peer: SocketAddr| holder(peer.ip()));
        match self.connections.enter(address) {
            Ok(()) => Some(Place {
                connections: Arc::clone(&self.connections),
                address,
                _counted: self.metrics.connection_opened(self.listener),
            }),
            Err(limit) => {
                self.metrics.connection_refused(self.listener);
                self.metrics.limit_reached(limit);
                None
            }
        }
    }
}

impl Connections {
    /// Number of open connections.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().all
    }

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
impl<A: HttpServerApp + Send + Sync + 'static> ServerApp for Bounded<A> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        // A refused connection is dropped unread, which costs a flood more than an answer would.
        let _place = self.place(&stream)?;
        let h2c = self.app.server_options().is_some_and(|options| options.h2c);
        let mut guarded = Guarded::new(stream, self.terms.clone());
        // A client that says nothing, or leaves, is not waited for.
        if h2c && guarded.speaks_h2().await.ok()? {
            return ServerApp::process_new(&self.app, Box::new(guarded), shutdown).await;
        }
        let mut session = ServerSession::new_http1(Box::new(guarded));
        // For the first byte; the application says how long to wait for the next request.
        session.set_keepalive(Some(self.terms.header_timeout.as_secs().max(1)));
        serve_http1(&self.app, session, shutdown).await;
        None
    }

    async fn cleanup(&self) {
        self.app.http_cleanup().await;
    }
}

/// Serves one request after the other.
///
/// Pingora's own loop is the same, inside a future that also holds what HTTP/2 needs: 4 kB for as long as
/// a connection lives.
async fn serve_http1<A: HttpServerApp>(
    app: &Arc<A>,
    mut session: ServerSession,
    shutdown: &ShutdownWatch,
) {
    loop {
        if *shutdown.borrow() {
            session.set_keepalive(None);
        }
        let Some(reused) = app.process_new_http(session, shutdown).await else { return };
        let (stream, settings) = reused.consume();
        session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(max: usize, per_address_max: usize) -> Connections {
        Connections { max, per_address_max, open: Mutex::default() }
    }

    fn of(address: &str) -> IpAddr {
        holder(address.parse().unwrap())
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_counted_together() {
        let connections = connections(100, 2);
        assert_eq!(connections.enter(Some(of("2001:db8:1:2::1"))), Ok(()));
        assert_eq!(connections.enter(Some(of("2001:db8:1:2:ffff:ffff:ffff:ffff"))), Ok(()));
        let full = Err(Limit::ConnectionsPerAddress);
        assert_eq!(connections.enter(Some(of("2001:db8:1:2:3::9"))), full);
        assert_eq!(connections.enter(Some(of("2001:db8:1:3::1"))), Ok(()), "another network");
        connections.leave(Some(of("2001:db8:1:2::7")));
        assert_eq!(connections.enter(Some(of("2001:db8:1:2:3::9"))), Ok(()));
    }

    #[test]
    fn addresses_of_ipv4_are_counted_each_however_they_are_written() {
        let connections = connections(100, 1);
        assert_eq!(connections.enter(Some(of("192.0.2.1"))), Ok(()));
        assert_eq!(connections.enter(Some(of("192.0.2.2"))), Ok(()));
        let full = Err(Limit::ConnectionsPerAddress);
        assert_eq!(connections.enter(Some(of("::ffff:192.0.2.1"))), full);
        assert_eq!(connections.enter(Some(of("::ffff:192.0.2.3"))), Ok(()));
    }

    #[test]
    fn a_refused_connection_takes_no_place_and_who_has_left_is_forgotten() {
        let connections = connections(2, 1);
        assert_eq!(connections.enter(Some(of("192.0.2.1"))), Ok(()));
        assert_eq!(connections.enter(Some(of("192.0.2.1"))), Err(Limit::ConnectionsPerAddress));
        assert_eq!(connections.enter(None), Ok(()));
        assert_eq!(connections.enter(Some(of("192.0.2.2"))), Err(Limit::Connections));
        connections.leave(Some(of("192.0.2.1")));
        connections.leave(None);
        let open = connections.open.lock();
        assert_eq!((open.all, open.by_address.len()), (0, 0));
    }
}

//! The configuration that the demo's edge runs on.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use url::Url;

use super::error::DemoError;

/// Ports that the demo takes when they are free, the same that an own config begins with.
pub(super) const MCP_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9091;

/// Where the MCP endpoint is at its listener.
const MCP_PATH: &str = "/mcp";

/// The access log's name in the demo's folder.
pub(super) const ACCESS_LOG: &str = "access.log";

/// The demo's two listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listeners {
    /// Where MCP clients connect.
    pub(super) mcp: SocketAddr,
    /// Where `/metrics` and the health checks are.
    pub(super) admin: SocketAddr,
    // The usual ports that were busy.
    busy: [Option<u16>; 2],
}

impl Listeners {
    /// Takes the usual ports of loopback, or free ones where those are busy. Nothing holds them
    /// until the edge listens.
    ///
    /// # Errors
    /// [`DemoError::Port`] when no loopback port can be had.
    pub fn choose() -> Result<Self, DemoError> {
        let mcp = free_or_other(MCP_PORT).map_err(DemoError::Port)?;
        let admin = free_or_other(ADMIN_PORT).map_err(DemoError::Port)?;
        let moved = |usual, now: SocketAddr| (now.port() != usual).then_some(usual);
        Ok(Self { mcp, admin, busy: [moved(MCP_PORT, mcp), moved(ADMIN_PORT, admin)] })
    }

    /// The usual ports that were busy, so that others were taken.
    pub(super) fn busy(&self) -> impl Iterator<Item = u16> {
        self.busy.into_iter().flatten()
    }

    /// The MCP endpoint's address.
    pub(super) fn endpoint(&self) -> Url {
        endpoint(self.mcp)
    }
}

/// The MCP endpoint of a listener.
#[expect(clippy::expect_used, reason = "an address and a constant path always make a URL")]
pub(super) fn endpoint(listener: SocketAddr) -> Url {
    Url::parse(&format!("http://{listener}{MCP_PATH}")).expect("a URL by its form")
}

/// Listens at the port if it is free on loopback, else at one that the system picks.
pub(super) fn listen(port: u16) -> io::Result<TcpListener> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match bind(port) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bind(0),
        other => other,
    }
}

fn free_or_other(port: u16) -> io::Result<SocketAddr> {
    listen(port)?.local_addr()
}

/// The configuration of an edge at `listeners` before the Prometheus at `backend`.
///
/// It is a file like any other, so it gets the defaults that all get, and `promgate stdio` can be
/// started on it too. The access log lies beside it, since the terminal shows the demo's own text.
pub(super) fn config_text(backend: &Url, listeners: Listeners) -> String {
    let Listeners { mcp, admin, .. } = listeners;
    format!(
        "# A running `promgate demo`; gone when that ends.\n\
         server:\n  \
           transport: {{http: {{host: \"{mcp}\", path: {MCP_PATH}}}}}\n  \
           admin: {{host: \"{admin}\"}}\n  \
           drain_timeout: 10s\n\
         middleware:\n  \
           access_logs: {{output: ./{ACCESS_LOG}}}\n  \
           jwt: {{enabled: false}}\n\
         backends:\n  \
           prometheus: {{url: \"{backend}\"}}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, HostRule, OriginRule, ProcessEnvironment, parse};

    fn at(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    fn config(listeners: Listeners) -> Config {
        let url = Url::parse("http://127.0.0.1:9").unwrap();
        let text = config_text(&url, listeners);
        parse(Path::new("demo.yaml"), &text, &ProcessEnvironment).unwrap()
    }

    #[test]
    fn a_busy_port_is_replaced_by_a_free_one() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let busy = held.local_addr().unwrap().port();
        let other = free_or_other(busy).unwrap();
        assert!(other.port() != busy && other.port() != 0);
        drop(held);
        assert_eq!(free_or_other(busy).unwrap().port(), busy);
    }

    #[test]
    fn the_demo_serves_this_machine_and_nobody_else() {
        let listeners = Listeners { mcp: at(1), admin: at(2), busy: [None; 2] };
        let config = config(listeners);
        assert_eq!(config.server.http.listen, listeners.mcp);
        assert_eq!(config.server.admin, Some(listeners.admin));
        assert_eq!(listeners.endpoint().path(), config.server.http.path);
        assert!(!config.server.http.allowed_hosts.contains(&HostRule::Any));
        assert!(!config.server.http.allowed_origins.contains(&OriginRule::Any));
    }
}

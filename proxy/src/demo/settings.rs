//! The configuration that the demo's edge runs on.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use url::Url;

use super::error::DemoError;

/// Ports that the demo takes when they are free, the same that an own config begins with.
const MCP_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9091;

/// Where the MCP endpoint is at its listener.
const MCP_PATH: &str = "/mcp";

/// The demo's two listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listeners {
    /// Where MCP clients connect.
    pub mcp: SocketAddr,
    /// Where `/metrics` and the health checks are.
    pub admin: SocketAddr,
    // The usual ports that were busy.
    busy: [Option<u16>; 2],
}

impl Listeners {
    /// Takes the address asked for, else the usual port of loopback or a free one if that is busy;
    /// for the admin listener always the latter. Nothing holds them until the edge listens.
    ///
    /// # Errors
    /// [`DemoError`] when the address asked for, or every loopback port, is busy.
    pub fn choose(listen: Option<SocketAddr>) -> Result<Self, DemoError> {
        let mcp = match listen {
            Some(address) => TcpListener::bind(address)
                .and_then(|listener| listener.local_addr())
                .map_err(|source| DemoError::Listen { address, source })?,
            None => free_or_other(MCP_PORT).map_err(DemoError::Port)?,
        };
        let admin = free_or_other(ADMIN_PORT).map_err(DemoError::Port)?;
        let moved = |usual, now: SocketAddr| (now.port() != usual).then_some(usual);
        let busy =
            [listen.map_or_else(|| moved(MCP_PORT, mcp), |_| None), moved(ADMIN_PORT, admin)];
        Ok(Self { mcp, admin, busy })
    }

    /// The usual ports that were busy, so that others were taken.
    pub(super) fn busy(&self) -> impl Iterator<Item = u16> {
        self.busy.into_iter().flatten()
    }

    /// The MCP endpoint, as a client on this machine reaches it.
    #[expect(clippy::expect_used, reason = "an address and a constant path always make a URL")]
    pub(super) fn endpoint(self) -> Url {
        let mut reached = self.mcp;
        match self.mcp.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => reached.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => reached.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        Url::parse(&format!("http://{reached}{MCP_PATH}")).expect("a URL by its form")
    }
}

/// The port if it is free on loopback, else one that the system picks.
fn free_or_other(port: u16) -> io::Result<SocketAddr> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match bind(port) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bind(0)?.local_addr(),
        other => other?.local_addr(),
    }
}

/// The configuration of an edge at `listeners` before the Prometheus at `backend`.
///
/// It is a file like any other, so it gets the defaults that all get, and `promgate stdio` can be
/// started on it too. The access log shows on the terminal what a client asks as it asks.
pub(super) fn config_text(backend: &Url, listeners: Listeners) -> String {
    let Listeners { mcp, admin, .. } = listeners;
    format!(
        "# A running `promgate demo`; gone when that ends.\n\
         server:\n  \
           transport: {{http: {{host: \"{mcp}\", path: {MCP_PATH}}}}}\n  \
           admin: {{host: \"{admin}\"}}\n  \
           drain_timeout: 10s\n\
         middleware:\n  \
           access_logs: {{output: stdout}}\n\
         backends:\n  \
           prometheus: {{url: \"{backend}\"}}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, HostRule, OriginRule, ProcessEnvironment, parse};

    const fn at(port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
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
    fn an_address_that_was_asked_for_is_taken_or_refused_but_never_replaced() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let busy = held.local_addr().unwrap();
        let error = Listeners::choose(Some(busy)).unwrap_err();
        assert!(error.to_string().contains(&busy.to_string()), "{error}");
        drop(held);
        let listeners = Listeners::choose(Some(busy)).unwrap();
        assert_eq!(listeners.mcp, busy);
        assert!(listeners.busy().all(|port| port != MCP_PORT), "it was not moved");
    }

    #[test]
    fn a_listener_of_all_addresses_is_reached_through_loopback() {
        for (listen, url) in [
            ("0.0.0.0:9000", "http://127.0.0.1:9000/mcp"),
            ("[::]:9000", "http://[::1]:9000/mcp"),
            ("192.0.2.1:9000", "http://192.0.2.1:9000/mcp"),
        ] {
            let listeners =
                Listeners { mcp: listen.parse().unwrap(), admin: at(1), busy: [None; 2] };
            assert_eq!(listeners.endpoint().as_str(), url);
        }
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

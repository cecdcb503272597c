//! The configuration that the demo's edge runs on.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    num::NonZeroU16,
    thread,
    time::Duration,
};

use http::{HeaderMap, header};
use mcp_core::config::{BackendAuth, BackendConfig, BackendName, ToolLimits, WorkerLimits};
use url::Url;

use super::error::DemoError;
use crate::config::{
    AccessLog, AccessLogOutput, Config, HostRule, Http, HttpLimits, OriginRule, Server, Transport,
};

/// Ports that the demo takes when they are free, the same that an own config begins with.
const MCP_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9091;

/// Where the MCP endpoint is at its listener.
const MCP_PATH: &str = "/mcp";

/// Names by which this machine calls itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The demo's two listeners, on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listeners {
    /// Where MCP clients connect.
    pub mcp: SocketAddr,
    /// Where `/metrics` and the health checks are.
    pub admin: SocketAddr,
}

impl Listeners {
    /// Takes the usual ports, or free ones where those are busy.
    ///
    /// # Errors
    /// [`DemoError::Port`] when no loopback port can be had.
    pub fn choose() -> Result<Self, DemoError> {
        let choose =
            || Ok(Self { mcp: free_or_other(MCP_PORT)?, admin: free_or_other(ADMIN_PORT)? });
        choose().map_err(DemoError::Port)
    }

    /// The MCP endpoint's address.
    #[expect(clippy::expect_used, reason = "an address and a constant path always make a URL")]
    pub(super) fn endpoint(self) -> Url {
        Url::parse(&format!("http://{}{MCP_PATH}", self.mcp)).expect("a URL by its form")
    }

    /// Says which usual port was busy, one sentence each.
    pub(super) fn remarks(self) -> Vec<String> {
        let taken = [("MCP", MCP_PORT, self.mcp), ("admin", ADMIN_PORT, self.admin)];
        let busy = taken.iter().filter(|(_, usual, address)| address.port() != *usual);
        busy.map(|(name, usual, address)| {
            format!("port {usual} is busy, so the {name} listener is at {address}")
        })
        .collect()
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
#[must_use]
pub fn config(backend: &Url, listeners: Listeners) -> Config {
    let allowed_hosts = LOOPBACK.map(|host| HostRule::Exact { host: host.to_owned(), port: None });
    // Browser tools that run on this machine; a page from elsewhere is not served.
    let allowed_origins = LOOPBACK.map(|host| OriginRule::Exact {
        scheme: "http".to_owned(),
        host: host.to_owned(),
        port: None,
    });
    Config {
        server: Server {
            name: "promgate".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            transport: Transport::Http,
            http: Http {
                listen: listeners.mcp,
                path: MCP_PATH.to_owned(),
                h2c: true,
                allowed_hosts: allowed_hosts.into(),
                allowed_origins: allowed_origins.into(),
                limits: limits(),
            },
            admin: Some(listeners.admin),
            workers: thread::available_parallelism()
                .ok()
                .and_then(|cores| NonZeroU16::try_from(cores).ok())
                .unwrap_or(NonZeroU16::MIN),
            drain_timeout: Duration::from_secs(10),
        },
        access_log: access_log(),
        worker_limits: WorkerLimits::default(),
        tools: ToolLimits::default(),
        backends: vec![backend_config(backend)],
    }
}

fn limits() -> HttpLimits {
    HttpLimits {
        body_bytes_max: 1 << 20,
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_mins(2),
        write_timeout: Duration::from_secs(30),
        connections_max: 1000,
        connections_per_address_max: 1000,
    }
}

/// One line a request on the terminal: what a client asks is seen as it asks.
fn access_log() -> AccessLog {
    AccessLog {
        output: AccessLogOutput::Stdout,
        included_headers: Vec::new(),
        excluded_headers: vec![header::COOKIE],
        redacted_headers: vec![header::AUTHORIZATION],
        queue_bytes_max: 1 << 20,
    }
}

#[expect(clippy::expect_used, reason = "the name is a constant that keeps the rule")]
fn backend_config(url: &Url) -> BackendConfig {
    BackendConfig {
        name: BackendName::parse("prometheus").expect("letters only"),
        url: url.clone(),
        org_id: None,
        available_orgs: Vec::new(),
        auth: BackendAuth::None,
        headers: HeaderMap::new(),
        ca_pem: None,
        timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(5),
        response_bytes_max: 32 << 20,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn only_a_port_that_is_not_the_usual_one_is_remarked_upon() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listeners = Listeners { mcp: at(50_123), admin: at(ADMIN_PORT) };
        let remarks = listeners.remarks();
        assert_eq!(remarks, ["port 8080 is busy, so the MCP listener is at 127.0.0.1:50123"]);
    }

    #[test]
    fn the_demo_serves_this_machine_and_nobody_else() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let url = Url::parse("http://127.0.0.1:9").unwrap();
        let config = config(&url, Listeners { mcp: at(1), admin: at(2) });
        assert!(config.server.http.listen.ip().is_loopback());
        assert!(config.server.admin.unwrap().ip().is_loopback());
        assert!(!config.server.http.allowed_hosts.contains(&HostRule::Any));
        assert!(!config.server.http.allowed_origins.contains(&OriginRule::Any));
    }
}

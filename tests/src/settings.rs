//! The settings of the fixture server, and how its command line carries them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    time::Duration,
};

use mcp_core::config::{ToolLimits, WorkerLimits};
use promgate::config::{
    AccessLog, Authentication, Authorization, Config, HostRule, Http, HttpLimits, OriginRule,
    RateLimits, Server, SessionStore, Sessions, Target, Telemetry, Transport,
};
use serde::{Deserialize, Serialize};

/// What a test wants to be different; times in milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Settings {
    /// Number of workers; 0 for none.
    pub workers: u16,
    /// Sessions in each worker.
    pub sessions_max: usize,
    /// Calls in flight in each session.
    pub session_calls_max: usize,
    /// Idle time after which a session ends.
    pub session_idle_ms: u64,
    /// Limit of one call.
    pub call_timeout_ms: u64,
    /// Silence after which a call is answered as a stream.
    pub stream_after_ms: u64,
    /// Interval of keep-alive comments.
    pub keep_alive_ms: u64,
    /// Limit of a request's header.
    pub header_timeout_ms: u64,
    /// Limit of a request's body.
    pub body_timeout_ms: u64,
    /// How long a connection may stay open without a request.
    pub connection_idle_ms: u64,
    /// How long a write may wait for its reader.
    pub write_timeout_ms: u64,
    /// How long calls may go on after SIGTERM.
    pub drain_timeout_ms: u64,
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
    /// Largest sum of bodies that are arriving, in bytes.
    pub bodies_bytes_max: usize,
    /// Connections open at once.
    pub connections_max: usize,
}

/// Names of this machine itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 2,
            sessions_max: 10_000,
            session_calls_max: 64,
            session_idle_ms: 3_600_000,
            call_timeout_ms: 60_000,
            stream_after_ms: 5_000,
            keep_alive_ms: 15_000,
            header_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            connection_idle_ms: 60_000,
            write_timeout_ms: 30_000,
            drain_timeout_ms: 10_000,
            body_bytes_max: 1 << 20,
            bodies_bytes_max: 64 << 20,
            connections_max: 10_000,
        }
    }
}

impl Settings {
    /// The configuration of a server on free ports of the loopback interface.
    ///
    /// # Panics
    /// Never: the names of this machine are well formed.
    #[must_use]
    pub fn config(&self) -> Config {
        let millis = Duration::from_millis;
        let host = |host: &str| HostRule::Exact { host: host.to_owned(), port: None };
        let origin = |host: &str| OriginRule::Exact {
            scheme: "http".to_owned(),
            host: host.to_owned(),
            port: None,
        };
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Config {
            server: Server {
                name: "fixture".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                transport: Transport::Http,
                http: Http {
                    listen: free,
                    path: "/mcp".to_owned(),
                    h2c: true,
                    allowed_hosts: LOOPBACK.map(host).to_vec(),
                    allowed_origins: LOOPBACK.map(origin).to_vec(),
                    trusted_proxies: Vec::new(),
                    limits: HttpLimits {
                        body_bytes_max: self.body_bytes_max,
                        bodies_bytes_max: self.bodies_bytes_max,
                        header_timeout: millis(self.header_timeout_ms),
                        body_timeout: millis(self.body_timeout_ms),
                        idle_timeout: millis(self.connection_idle_ms),
                        write_timeout: millis(self.write_timeout_ms),
                        connections_max: self.connections_max,
                        connections_per_address_max: self.connections_max,
                    },
                },
                admin: Some(free),
                admin_token: None,
                workers: NonZeroU16::new(self.workers),
                upgrade_socket: None,
                drain_timeout: millis(self.drain_timeout_ms),
                reload_interval: None,
            },
            access_log: AccessLog::to(Target::Stdout, 1 << 20),
            telemetry: Telemetry::default(),
            authentication: Authentication::None,
            authorization: Authorization::default(),
            rate_limits: RateLimits {
                address_requests: None,
                address_failures: None,
                principal_requests: None,
                principal_in_flight_max: None,
                tools: Vec::new(),
                entries_max: 10_000,
            },
            protected_resource: None,
            authorization_server: None,
            sessions: Sessions {
                keys: Vec::new(),
                age_max: Duration::from_hours(24),
                store: SessionStore::Memory,
            },
            cluster: None,
            worker_limits: self.worker_limits(),
            tools: ToolLimits::default(),
            backends: Vec::new(),
            sources: Vec::new(),
        }
    }

    fn worker_limits(&self) -> WorkerLimits {
        WorkerLimits {
            principal_sessions_max: self.sessions_max,
            sessions_max: self.sessions_max,
            session_calls_max: self.session_calls_max,
            idle_timeout: Duration::from_millis(self.session_idle_ms),
            call_timeout: Duration::from_millis(self.call_timeout_ms),
            stream_after: Duration::from_millis(self.stream_after_ms),
            keep_alive: Duration::from_millis(self.keep_alive_ms),
            ..WorkerLimits::default()
        }
    }
}

//! The real edge and real workers, with the stub for a handler.

use std::{
    net::SocketAddr,
    num::{NonZeroU8, NonZeroU16, NonZeroU32},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use e2e::minter::AUDIENCE;
use http::HeaderMap;
use jsonwebtoken_jwks::source::{Source, Terms};

use mcp_core::{
    access::Edition,
    config::{ToolLimits, WorkerLimits},
    secret::Secret,
    server::{Changes, Service},
};
use promgate::{
    config::{
        AccessLog, Authentication, Authorization, Cluster, Config, HostRule, Http, HttpLimits,
        Issuer, KeySource, LogFile, OriginRule, Otlp, OtlpProtocol, Peers, Probe, Propagate,
        ProtectedResource, Rate, RateLimits, Server, SessionStore, Sessions, Share, SinkTls,
        Target, Telemetry, Traces, Transport, Verification,
    },
    server::{self, Running},
};

use crate::{
    failure::Failure,
    serve::Replicas,
    stub::{Stub, TOOL_NAMES},
    tokens,
};

/// More than any run opens.
const CONNECTIONS_MAX: usize = 100_000;
/// As above; each worker has as many.
const SESSIONS_MAX: usize = 1_000_000;
/// Signs the session ids of both replicas.
const SESSION_KEY: &str = "the session key of two replicas on the loopback";
/// Seals records.
const AUDIT_KEY: &str = "the audit key of a benchmark on the loopback";
/// Signs what they tell each other.
const CLUSTER_KEY: &str = "the cluster key of two replicas on the loopback";

/// What distinguishes one serving edge from another.
#[derive(Debug)]
pub(super) enum Kind {
    /// Everybody may do everything.
    Open,
    /// Tokens are asked for, of an issuer with this key set.
    Guarded(Arc<str>),
    /// Sessions are shared with another replica.
    Replica(Replicas),
    /// Everybody may do everything, and nothing is recorded.
    Silent,
    /// The same, and all of each request is recorded and sealed.
    Audited,
    /// Nothing is recorded, and each request traced to this receiver.
    Traced(SocketAddr),
}

/// Starts to serve on a free port. Must be called inside a runtime.
pub(super) async fn start(access_log: PathBuf, kind: Kind) -> Result<Running, Failure> {
    let config = config(access_log);
    let config = match kind {
        Kind::Open => config,
        Kind::Guarded(jwks) => guarded(config, jwks)?,
        Kind::Replica(replicas) => replica(config, replicas),
        Kind::Silent => Config { access_log: AccessLog::off(), ..config },
        Kind::Audited => audited(config),
        Kind::Traced(receiver) => traced(config, receiver)?,
    };
    let stub = Stub::new().map_err(Failure::Stub)?;
    let service = Arc::new(Service::new(stub, Changes::default()));
    let metrics = server::metrics(&config, &TOOL_NAMES)?;
    Ok(server::start(&config, (&service, Edition::default()), &metrics, None).await?)
}

/// What a file with nothing in it gives, but for the bounds on sessions and connections.
fn config(access_log: PathBuf) -> Config {
    let workers = thread::available_parallelism().ok().and_then(|count| count.try_into().ok());
    Config {
        server: Server {
            name: "bench".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            transport: Transport::Http,
            http: http(),
            admin: None,
            admin_token: None,
            workers: Some(workers.unwrap_or(NonZeroU16::MIN)),
            upgrade_socket: None,
            drain_timeout: Duration::from_secs(1),
            reload_interval: None,
        },
        access_log: AccessLog::to(Target::File(LogFile::at(access_log)), 8 << 20),
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
        worker_limits: WorkerLimits { sessions_max: SESSIONS_MAX, ..WorkerLimits::default() },
        tools: ToolLimits::default(),
        backends: Vec::new(),
        sources: Vec::new(),
    }
}

/// The listener of clients.
fn http() -> Http {
    let seconds = Duration::from_secs;
    let loopback = ["localhost", "127.0.0.1", "::1"];
    let host = |host: &str| HostRule::Exact { host: host.to_owned(), port: None };
    let origin = |host: &str| OriginRule::Exact {
        scheme: "http".to_owned(),
        host: host.to_owned(),
        port: None,
    };
    Http {
        listen: ([127, 0, 0, 1], 0).into(),
        path: "/mcp".to_owned(),
        h2c: true,
        allowed_hosts: loopback.map(host).to_vec(),
        allowed_origins: loopback.map(origin).to_vec(),
        trusted_proxies: Vec::new(),
        limits: HttpLimits {
            bodies_bytes_max: 256 << 20,
            body_bytes_max: 1 << 20,
            header_timeout: seconds(10),
            body_timeout: seconds(30),
            idle_timeout: seconds(300),
            write_timeout: seconds(30),
            connections_max: CONNECTIONS_MAX,
            connections_per_address_max: CONNECTIONS_MAX,
        },
    }
}

/// The same beside another replica, found at its address and probed as a file with nothing else in it says.
/// Hops are signed, not encrypted.
fn replica(config: Config, Replicas { own, other }: Replicas) -> Config {
    let times = |count: u8| NonZeroU8::MIN.saturating_add(count - 1);
    Config {
        sessions: Sessions { keys: vec![Secret::new(SESSION_KEY)], ..config.sessions },
        cluster: Some(Cluster {
            listen: own,
            advertise: own.to_string(),
            keys: vec![Secret::new(CLUSTER_KEY)],
            tls: None,
            peers: Peers::Static(vec![other.to_string()]),
            probe: Probe {
                interval: Duration::from_secs(1),
                timeout: Duration::from_millis(500),
                down_after: times(3),
                up_after: times(2),
            },
            hops_max: times(3),
            clock_skew: Duration::from_secs(10),
        }),
        ..config
    }
}

/// The same with its one sink sealed. The record is the whole one, as nothing is left out of it by itself.
fn audited(mut config: Config) -> Config {
    config.access_log.audit.keys = vec![Secret::new(AUDIT_KEY)];
    for sink in &mut config.access_log.sinks {
        sink.chain = true;
    }
    config
}

/// The same without records. Every request is traced; there is room for the spans of a whole round, since one that is
/// dropped would be a cost not paid.
fn traced(config: Config, receiver: SocketAddr) -> Result<Config, Failure> {
    let endpoint = format!("http://{receiver}/v1/traces").parse().map_err(Failure::Address)?;
    let receiver = Otlp {
        endpoint,
        protocol: OtlpProtocol::HttpProtobuf,
        headers: HeaderMap::new(),
        tls: SinkTls::default(),
        timeout: Duration::from_secs(10),
    };
    let traces = Traces {
        receiver,
        sample_ratio: Share::ALL,
        trust_parent: false,
        trusted_per_second_max: 0,
        propagate: Propagate::Traceparent,
        queue_max: 1 << 20,
    };
    let telemetry = Telemetry { traces: Some(traces), ..config.telemetry };
    Ok(Config { access_log: AccessLog::off(), telemetry, ..config })
}

/// The same for tokens of one issuer, with the limits of a file that has nothing in it, but so high that no
/// load reaches them.
fn guarded(config: Config, jwks: Arc<str>) -> Result<Config, Failure> {
    let issuer = Issuer {
        policy: tokens::policy(),
        keys: Some(KeySource { source: Source::Inline(jwks), terms: Terms::default() }),
        scopes_required: Vec::new(),
        allow_conditions: Vec::new(),
    };
    let most = NonZeroU32::MIN.saturating_add(1_000_000);
    let most = Rate { count: most, per: Duration::from_secs(1), burst: most };
    Ok(Config {
        authentication: Authentication::Local(Verification {
            issuers: vec![issuer],
            cache_entries_max: 10_000,
        }),
        rate_limits: RateLimits {
            address_failures: Some(most),
            principal_requests: Some(most),
            principal_in_flight_max: Some(NonZeroU32::MAX),
            ..config.rate_limits
        },
        protected_resource: Some(ProtectedResource {
            resource: AUDIENCE.parse().map_err(Failure::Address)?,
            resource_text: AUDIENCE.into(),
            url_suffix: String::new(),
            scopes_supported: vec!["metrics:read".to_owned()],
            document: vec![("resource", AUDIENCE.into())],
        }),
        ..config
    })
}

//! Sessions and replicas: the settings, in checked form.

use std::{net::SocketAddr, num::NonZeroU8, path::PathBuf, sync::Arc, time::Duration};

use mcp_core::secret::Secret;

/// Sessions, beyond the bounds that each worker keeps.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// What signs session ids: the first signs, all verify. Empty: a random one of this process.
    pub keys: Vec<Secret>,
    /// A session ends at this age, however busy it is.
    pub age_max: Duration,
    /// Where sessions are kept beside their worker.
    pub store: SessionStore,
}

/// Where sessions are kept beside their worker.
#[derive(Debug, Clone)]
pub enum SessionStore {
    /// Nowhere: a session ends with the process that holds it.
    Memory,
    /// In Redis or what speaks its protocol.
    Redis(RedisStore),
}

/// A Redis in which sessions are kept.
#[derive(Debug, Clone)]
pub struct RedisStore {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Number of the database.
    pub database: u16,
    /// Who we are there.
    pub username: Option<String>,
    /// With this password.
    pub password: Option<Secret>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Certificate authorities to trust instead of the public ones, PEM.
    pub ca_pem: Option<Arc<[u8]>>,
    /// Begins every key that we write.
    pub key_prefix: String,
    /// Limit of one question, connecting included.
    pub timeout: Duration,
    /// What happens to new sessions while it cannot be written.
    pub when_down: WhenDown,
}

/// What happens to new sessions while the store cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenDown {
    /// They are refused with 503.
    Refuse,
    /// They are opened, and kept in their worker's memory alone until the store is back.
    Memory,
}

/// Replicas that share sessions.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Where other replicas reach us.
    pub listen: SocketAddr,
    /// Our name among the replicas, and where they find us: `host:port`.
    pub advertise: String,
    /// Sign what replicas tell one another: the first signs, all verify. Empty only with TLS, where the keys of the
    /// sessions take their place.
    pub keys: Vec<Secret>,
    /// Mutual TLS between replicas.
    pub tls: Option<ClusterTls>,
    /// Where the others are found.
    pub peers: Peers,
    /// How it is found out which of them live.
    pub probe: Probe,
    /// Most replicas that one request may pass through after the first.
    pub hops_max: NonZeroU8,
    /// How far clocks of replicas may differ.
    pub clock_skew: Duration,
}

/// Certificates of the connections between replicas, PEM.
#[derive(Debug, Clone)]
pub struct ClusterTls {
    /// Our certificate and those between it and the authority.
    pub cert_pem: Arc<[u8]>,
    /// Its key.
    pub key_pem: Secret,
    /// The only authorities whose certificates are taken, of servers and of clients.
    pub ca_pem: Arc<[u8]>,
    /// Name in the certificates of all replicas; none: the host under which each is found.
    pub server_name: Option<String>,
}

/// Where other replicas are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// At these addresses, each `host:port`; our own may be among them.
    Static(Vec<String>),
    /// At all addresses (A, AAAA) of a name.
    Dns {
        /// The name.
        name: String,
        /// The port of all of them.
        port: u16,
        /// How often it is looked up.
        interval: Duration,
        /// Who is asked; nobody: whom this machine asks.
        servers: Vec<SocketAddr>,
    },
    /// At all targets of an SRV name.
    Srv {
        /// The name, such as `_peer._tcp.promgate.example.com`.
        name: String,
        /// How often it is looked up.
        interval: Duration,
        /// Who is asked, for the addresses of the targets too; nobody: whom this machine asks.
        servers: Vec<SocketAddr>,
    },
    /// At the addresses in a file, one `host:port` on each line; `#` begins a comment.
    File {
        /// The file.
        path: PathBuf,
        /// How often it is looked at.
        interval: Duration,
    },
}

impl Peers {
    /// The name servers that are asked; none: those of this machine.
    #[must_use]
    pub fn name_servers(&self) -> &[SocketAddr] {
        match self {
            Self::Dns { servers, .. } | Self::Srv { servers, .. } => servers,
            Self::Static(_) | Self::File { .. } => &[],
        }
    }
}

/// How it is found out which replicas live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// How often each is asked.
    pub interval: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// So many unanswered questions in a row, and it counts as gone.
    pub down_after: NonZeroU8,
    /// So many answers in a row, and it counts as there.
    pub up_after: NonZeroU8,
}

//! Keys of replicas that share sessions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OneOrMore, SecretText, Span, span};

/// Replicas that share sessions. Without this section there are no others.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["listen", "advertise", "peers"]))]
pub(crate) struct Cluster {
    /// Address and port to listen on for other replicas. `:8081` is port 8081 of every IPv4 address, `[::]:8081` of
    /// every address.
    pub(crate) listen: Option<String>,
    /// Where other replicas find this one, which is also its name among them: host and port, as in `10.0.0.1:8081`.
    pub(crate) advertise: Option<String>,
    /// What signs requests that one replica passes to another: secrets of at least 32 bytes, the same for all replicas.
    /// The first signs, all verify. With `tls` they may be absent.
    pub(crate) keys: Vec<SecretText>,
    /// Files that hold further keys, which follow those in `keys`; read again when they change.
    pub(crate) key_files: Vec<String>,
    /// Mutual TLS between replicas.
    pub(crate) tls: Option<ClusterTls>,
    /// Where other replicas are found: exactly one of `static`, `dns`, `srv` and `file`.
    pub(crate) peers: Peers,
    /// How it is found out which replicas live.
    pub(crate) probe: Probe,
    /// Most replicas that one request may pass through after the first.
    pub(crate) hops_max: u64,
    /// How far the clocks of replicas may be apart.
    pub(crate) clock_skew: Span,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            listen: None,
            advertise: None,
            keys: Vec::new(),
            key_files: Vec::new(),
            tls: None,
            peers: Peers::default(),
            probe: Probe::default(),
            hops_max: 3,
            clock_skew: span("10s"),
        }
    }
}

/// Mutual TLS between replicas.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["cert_file", "key_file", "ca_file"]))]
pub(crate) struct ClusterTls {
    /// This replica's certificate, for servers and clients, and those between it and the authority: a PEM file.
    pub(crate) cert_file: Option<String>,
    /// The certificate's private key: a PEM file.
    pub(crate) key_file: Option<String>,
    /// Certificate authorities of all replicas, the only ones that are trusted: a PEM file.
    pub(crate) ca_file: Option<String>,
    /// Name in the certificates of all replicas. When absent, the host under which each is found.
    pub(crate) server_name: Option<String>,
}

/// Where other replicas are found.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Peers {
    /// At these addresses, each host and port; several in one text stand between commas. This replica's own may be
    /// among them.
    #[serde(rename = "static")]
    pub(crate) fixed: Option<OneOrMore>,
    /// At all addresses (A, AAAA) of a name.
    pub(crate) dns: Option<DnsPeers>,
    /// At all targets of an SRV name.
    pub(crate) srv: Option<SrvPeers>,
    /// At the addresses in a file.
    pub(crate) file: Option<FilePeers>,
}

/// Replicas at all addresses (A, AAAA) of a name.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "port"]))]
pub(crate) struct DnsPeers {
    /// The name.
    pub(crate) name: Option<String>,
    /// The port of all of them.
    pub(crate) port: Option<u64>,
    /// How often it is looked up.
    pub(crate) interval: Span,
    /// Name servers to ask, each address and port, such as `127.0.0.1:8600`; several in one text stand between commas.
    /// When absent, those that this machine asks.
    pub(crate) servers: Option<OneOrMore>,
}

impl Default for DnsPeers {
    fn default() -> Self {
        Self { name: None, port: None, interval: span("5s"), servers: None }
    }
}

/// Replicas at all targets of an SRV name.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub(crate) struct SrvPeers {
    /// The name, such as `_peer._tcp.promgate.example.com`.
    pub(crate) name: Option<String>,
    /// How often it is looked up.
    pub(crate) interval: Span,
    /// Name servers to ask, each address and port, such as `127.0.0.1:8600`; several in one text stand between commas.
    /// When absent, those that this machine asks.
    pub(crate) servers: Option<OneOrMore>,
}

impl Default for SrvPeers {
    fn default() -> Self {
        Self { name: None, interval: span("5s"), servers: None }
    }
}

/// Replicas at the addresses in a file.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["path"]))]
pub(crate) struct FilePeers {
    /// The file: one host and port on each line; `#` begins a comment.
    pub(crate) path: Option<String>,
    /// How often it is looked at.
    pub(crate) interval: Span,
}

impl Default for FilePeers {
    fn default() -> Self {
        Self { path: None, interval: span("2s") }
    }
}

/// How it is found out which replicas live.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Probe {
    /// How often each is asked.
    pub(crate) interval: Span,
    /// How long it may take to answer; at most `interval`.
    pub(crate) timeout: Span,
    /// So many unanswered questions in a row, and it counts as gone.
    pub(crate) down_after: u64,
    /// So many answers in a row, and it counts as there.
    pub(crate) up_after: u64,
}

impl Default for Probe {
    fn default() -> Self {
        Self { interval: span("1s"), timeout: span("500ms"), down_after: 3, up_after: 2 }
    }
}

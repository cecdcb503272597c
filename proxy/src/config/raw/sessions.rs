//! Keys of sessions and of where they are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretText, Span, span};

/// Sessions of clients that speak MCP up to revision 2025-11-25.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sessions {
    /// A session in which nothing happened for this long ends. A running call or an open stream
    /// keeps it.
    pub(crate) idle_timeout: Span,
    /// A session ends at this age, however busy it is. When absent, a day, or `idle_timeout` where that is longer.
    pub(crate) max_age: Option<Span>,
    /// Most sessions open at once in each worker; one more is answered with 503.
    pub(crate) per_worker_max: u64,
    /// Most sessions that one principal has open at once, with a store in all replicas, without one in each; one more
    /// is answered with 429. Callers without a token are not counted.
    pub(crate) per_principal_max: u64,
    /// Most calls in flight at once in one session; one more is answered with 429.
    pub(crate) calls_per_session_max: u64,
    /// What signs session ids and seals what is stored: secrets of at least 32 bytes. The first signs, all verify.
    /// When there is none, and no cluster and no store, a random one for as long as the process runs.
    pub(crate) keys: Vec<SecretText>,
    /// Files that hold further keys, which follow those in `keys`; read again when they change.
    pub(crate) key_files: Vec<String>,
    /// Where sessions are kept beside their worker: `memory`, which is nowhere else, or `redis`. `memory` when absent.
    pub(crate) store: Option<StoreKind>,
    /// The Redis, for `store: redis`.
    pub(crate) redis: Redis,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            idle_timeout: span("1h"),
            max_age: None,
            per_worker_max: 100_000,
            per_principal_max: 100,
            calls_per_session_max: 64,
            keys: Vec::new(),
            key_files: Vec::new(),
            store: None,
            redis: Redis::default(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreKind {
    Memory,
    Redis,
}

/// A Redis, or what speaks its protocol, that all replicas reach.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Redis {
    /// Its address: `redis://host:6379/0`, or `rediss://host:6379/0` with TLS. The number is that of the database.
    pub(crate) url: Option<String>,
    /// User name, where it has users.
    pub(crate) username: Option<String>,
    /// Password.
    pub(crate) password: Option<SecretText>,
    /// File that holds the password.
    pub(crate) password_file: Option<String>,
    /// Certificate authorities to trust instead of the public ones: a PEM file.
    pub(crate) ca_file: Option<String>,
    /// Begins every key that Promgate writes there.
    pub(crate) key_prefix: String,
    /// Longest time of one question, connecting included.
    pub(crate) timeout: Span,
    /// What happens to new sessions while it cannot be written: `refuse` answers them with 503, `memory` opens them in
    /// their worker alone.
    pub(crate) when_down: WhenDown,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: None,
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            key_prefix: "promgate".to_owned(),
            timeout: span("500ms"),
            when_down: WhenDown::default(),
        }
    }
}

#[derive(Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WhenDown {
    #[default]
    Refuse,
    Memory,
}

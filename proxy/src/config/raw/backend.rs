//! The metrics backends.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretText, Size, Span, size, span};

/// One metrics backend that speaks the Prometheus HTTP API.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["url"]))]
pub(crate) struct Backend {
    /// Base address, such as `http://prometheus:9090`; `/api/v1/…` is appended to its path.
    pub(crate) url: Option<String>,
    /// Tenant of a call that names none, sent as `X-Scope-OrgID`.
    pub(crate) org_id: Option<String>,
    /// Tenants that a call may name. When empty, only `org_id`.
    pub(crate) available_orgs: Vec<String>,
    /// How Promgate proves itself to the backend.
    pub(crate) auth: Auth,
    /// Further headers of every request, by name.
    pub(crate) headers: BTreeMap<String, SecretText>,
    /// Files that hold the value of a further header, by the header's name.
    pub(crate) header_files: BTreeMap<String, String>,
    /// TLS towards the backend.
    pub(crate) tls: BackendTls,
    /// Longest time of one request, from connecting to the last byte.
    pub(crate) timeout: Span,
    /// Longest time of connecting.
    pub(crate) connect_timeout: Span,
    /// Largest answer read, after decompression.
    pub(crate) response_bytes_max: Size,
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            url: None,
            org_id: None,
            available_orgs: Vec::new(),
            auth: Auth::default(),
            headers: BTreeMap::new(),
            header_files: BTreeMap::new(),
            tls: BackendTls::default(),
            timeout: span("30s"),
            connect_timeout: span("5s"),
            response_bytes_max: size("32MiB"),
        }
    }
}

/// How Promgate proves itself to a backend.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Auth {
    /// `none`, `basic` (a user name and a password) or `token` (a bearer token).
    #[serde(rename = "type")]
    pub(crate) kind: AuthKind,
    /// User name, for `basic`.
    pub(crate) username: Option<String>,
    /// Password, for `basic`.
    pub(crate) password: Option<SecretText>,
    /// File that holds the password.
    pub(crate) password_file: Option<String>,
    /// Bearer token, for `token`, without the word `Bearer`.
    pub(crate) token: Option<SecretText>,
    /// File that holds the token.
    pub(crate) token_file: Option<String>,
}

#[derive(Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuthKind {
    #[default]
    None,
    Basic,
    Token,
}

/// TLS towards a backend.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BackendTls {
    /// Certificate authorities to trust instead of the public ones: a PEM file.
    pub(crate) ca_file: Option<String>,
}

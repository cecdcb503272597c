//! Keys of OAuth metadata, as freepik's prometheus-mcp and mcp-forge have them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, span};

/// OAuth authorization server metadata (RFC 8414), fetched from the issuer and served here too, for clients
/// that look for it here.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AuthorizationServer {
    /// Whether it is served.
    pub(crate) enabled: bool,
    /// The issuer, exactly as its metadata names it.
    pub(crate) issuer_uri: Option<String>,
    /// Appended to the document's path.
    pub(crate) url_suffix: Option<String>,
    /// Fetch it over http from other machines too.
    pub(crate) allow_http: bool,
    /// Certificate authorities to trust instead of the public ones: a PEM file.
    pub(crate) ca_file: Option<String>,
    /// How long fetched metadata is used where the answer does not say it.
    pub(crate) cache_interval: Span,
    /// Longest time of one fetch.
    pub(crate) fetch_timeout: Span,
}

impl Default for AuthorizationServer {
    fn default() -> Self {
        Self {
            enabled: false,
            issuer_uri: None,
            url_suffix: None,
            allow_http: false,
            ca_file: None,
            cache_interval: span("5m"),
            fetch_timeout: span("5s"),
        }
    }
}

/// OAuth protected resource metadata (RFC 9728): tells clients where to get a token for this server.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProtectedResource {
    /// Whether it is served.
    pub(crate) enabled: bool,
    /// Public address of this server. Its host is an allowed `Host` unless
    /// `server.transport.http.allowed_hosts` says otherwise; it is the audience of tokens unless an issuer's
    /// `audiences` say otherwise.
    pub(crate) resource: Option<String>,
    /// Issuers of the authorization servers, told as `authorization_servers`.
    pub(crate) auth_servers: Vec<String>,
    /// Address of the resource's own keys. Tokens are not verified with these.
    pub(crate) jwks_uri: Option<String>,
    /// Scopes that clients may ask for.
    pub(crate) scopes_supported: Vec<String>,
    /// Ways to send a token; `header` is the only one.
    pub(crate) bearer_methods_supported: Vec<String>,
    /// Algorithms of signed answers.
    pub(crate) resource_signing_alg_values_supported: Vec<String>,
    /// Name shown to people.
    pub(crate) resource_name: Option<String>,
    /// Address of the documentation.
    pub(crate) resource_documentation: Option<String>,
    /// Address of the policy.
    pub(crate) resource_policy_uri: Option<String>,
    /// Address of the terms of service.
    pub(crate) resource_tos_uri: Option<String>,
    /// Whether tokens are bound to TLS client certificates. `true` only where a proxy in front checks it
    /// (`strategy: external`).
    pub(crate) tls_client_certificate_bound_access_tokens: bool,
    /// Types of authorization details.
    pub(crate) authorization_details_types_supported: Vec<String>,
    /// Algorithms of `DPoP` proofs.
    pub(crate) dpop_signing_alg_values_supported: Vec<String>,
    /// Whether tokens must be bound by `DPoP`. `true` only where a proxy in front checks it
    /// (`strategy: external`).
    pub(crate) dpop_bound_access_tokens_required: bool,
    /// Appended to the document's path.
    pub(crate) url_suffix: Option<String>,
}

//! Keys of token verification and OAuth metadata, as freepik's prometheus-mcp has them.
//!
//! This version serves neither; the keys are here so that a file which holds them switched off
//! loads, with its form checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// Verification of bearer tokens. Not served by this version: `enabled` must be `false`.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Jwt {
    /// Must be `false` in this version.
    pub(crate) enabled: bool,
    /// How tokens are verified.
    pub(crate) validation: JwtValidation,
}

/// How tokens are verified.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct JwtValidation {
    /// `local` to verify here, `external` if a proxy in front has verified the token.
    pub(crate) strategy: Option<Strategy>,
    /// Header in which the verified token travels.
    pub(crate) forwarded_header: Option<String>,
    /// Verification here.
    pub(crate) local: JwtLocal,
}

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Strategy {
    Local,
    External,
}

/// Verification here.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct JwtLocal {
    /// Address of the signing keys.
    pub(crate) jwks_uri: Option<String>,
    /// How long fetched keys are used.
    pub(crate) cache_interval: Option<Span>,
    /// Conditions that must all hold.
    pub(crate) allow_conditions: Vec<Condition>,
}

/// A condition on a token's claims.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Condition {
    /// A CEL expression over `payload`.
    pub(crate) expression: Option<String>,
}

/// OAuth authorization server metadata (RFC 8414). Not served by this version.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AuthorizationServer {
    /// Must be `false` in this version.
    pub(crate) enabled: bool,
    /// Address of the issuer.
    pub(crate) issuer_uri: Option<String>,
    /// Appended to the document's path.
    pub(crate) url_suffix: Option<String>,
}

/// OAuth protected resource metadata (RFC 9728). Not served by this version.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProtectedResource {
    /// Must be `false` in this version.
    pub(crate) enabled: bool,
    /// Public address of this server. Its host is an allowed `Host` unless
    /// `server.transport.http.allowed_hosts` says otherwise.
    pub(crate) resource: Option<String>,
    /// Addresses of the authorization servers.
    pub(crate) auth_servers: Vec<String>,
    /// Address of the resource's own keys.
    pub(crate) jwks_uri: Option<String>,
    /// Scopes that clients may ask for.
    pub(crate) scopes_supported: Vec<String>,
    /// Ways to send a token.
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
    /// Whether tokens are bound to TLS client certificates.
    pub(crate) tls_client_certificate_bound_access_tokens: bool,
    /// Types of authorization details.
    pub(crate) authorization_details_types_supported: Vec<String>,
    /// Algorithms of `DPoP` proofs.
    pub(crate) dpop_signing_alg_values_supported: Vec<String>,
    /// Whether tokens must be bound by `DPoP`.
    pub(crate) dpop_bound_access_tokens_required: bool,
    /// Appended to the document's path.
    pub(crate) url_suffix: Option<String>,
}

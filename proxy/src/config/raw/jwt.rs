//! Keys of token verification: those of freepik's prometheus-mcp, and more.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, span};

/// Who is let in: verification of bearer tokens.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Jwt {
    /// Whether a token is asked for. Over HTTP it must be written: `false` serves everyone who reaches the
    /// listener.
    pub(crate) enabled: Option<bool>,
    /// With `enabled: false`, serve beyond this machine all the same.
    pub(crate) insecure: bool,
    /// How tokens are verified.
    pub(crate) validation: JwtValidation,
}

/// How tokens are verified.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct JwtValidation {
    /// `local` to verify tokens here; `external` if a proxy in front verifies their signatures and puts them
    /// into `forwarded_header`.
    pub(crate) strategy: Option<Strategy>,
    /// For `external`: the header that holds the verified token, taken from `trusted_proxies` only. For
    /// `local` it is never believed.
    pub(crate) forwarded_header: Option<String>,
    /// What tokens must say and, for the strategy `local`, the keys that sign them.
    pub(crate) local: JwtLocal,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Strategy {
    Local,
    External,
}

/// What tokens must say and, for the strategy `local`, the keys that sign them. The keys of an issuer that
/// stand directly here describe one issuer; `issuers` holds further ones.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub(crate) struct JwtLocal {
    #[serde(flatten)]
    pub(crate) issuer: Issuer,
    /// Further issuers. Of several, each must have its `issuer`.
    pub(crate) issuers: Vec<Issuer>,
    /// Most verified tokens remembered, so that their signatures need not be checked again.
    pub(crate) cache_entries_max: u64,
}

impl Default for JwtLocal {
    fn default() -> Self {
        Self { issuer: Issuer::default(), issuers: Vec::new(), cache_entries_max: 10_000 }
    }
}

/// An issuer of tokens.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the file's key is `issuer`")]
pub(crate) struct Issuer {
    /// Exact text of a token's `iss`.
    pub(crate) issuer: Option<String>,
    /// Names of this server, one of which `aud` must hold, exactly. When empty:
    /// `oauth_protected_resource.resource`, if that section is enabled.
    pub(crate) audiences: Vec<String>,
    /// Address of the signing keys (JWKS).
    pub(crate) jwks_uri: Option<String>,
    /// Find the address of the signing keys in the metadata of `issuer`.
    pub(crate) discovery: bool,
    /// File that holds the signing keys (JWKS); read again when it changes.
    pub(crate) jwks_file: Option<String>,
    /// The signing keys (JWKS) as JSON text.
    pub(crate) jwks: Option<String>,
    /// Fetch keys over http from other machines too, where anybody on the way could change them.
    pub(crate) allow_http: bool,
    /// Certificate authorities to trust when keys are fetched, instead of the public ones: a PEM file.
    pub(crate) ca_file: Option<String>,
    /// How long fetched keys are used where the answer does not say it. What an answer says counts from a
    /// tenth of this to ten times this.
    pub(crate) cache_interval: Span,
    /// How long keys may be used after the last good fetch; then the issuer's tokens are answered with 503.
    /// When absent, an hour, or `cache_interval` where that is longer.
    pub(crate) stale_max: Option<Span>,
    /// Longest time of one fetch.
    pub(crate) fetch_timeout: Span,
    /// Signature algorithms allowed, of those that the key itself allows.
    pub(crate) algorithms: Vec<String>,
    /// How far the issuer's clock and ours may be apart.
    pub(crate) leeway: Span,
    /// Longest time for which a token may be valid.
    pub(crate) lifetime_max: Span,
    /// Claims that a token need not hold, of `exp`, `iss`, `aud` and `sub`. One that it holds is checked all
    /// the same.
    pub(crate) optional_claims: Vec<String>,
    /// Further claims, by path such as `token_use`, and the text, or one of several texts, that each must hold.
    pub(crate) required_claims: BTreeMap<String, OneOrMore>,
    /// Where groups are: a path such as `realm_access.roles`, or several.
    pub(crate) groups_claim: OneOrMore,
    /// Scopes that every token must hold.
    pub(crate) scopes_required: Vec<String>,
    /// Conditions that must all hold.
    pub(crate) allow_conditions: Vec<Condition>,
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            issuer: None,
            audiences: Vec::new(),
            jwks_uri: None,
            discovery: false,
            jwks_file: None,
            jwks: None,
            allow_http: false,
            ca_file: None,
            cache_interval: span("5m"),
            stale_max: None,
            fetch_timeout: span("5s"),
            algorithms: ["RS256", "PS256", "ES256", "ES384", "EdDSA"].map(str::to_owned).into(),
            leeway: span("30s"),
            lifetime_max: span("1d"),
            optional_claims: Vec::new(),
            required_claims: BTreeMap::new(),
            groups_claim: OneOrMore(vec!["groups".to_owned()]),
            scopes_required: Vec::new(),
            allow_conditions: Vec::new(),
        }
    }
}

/// One text, or a list of several.
#[derive(Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(title = "text, or a list of texts,", extend("type" = ["string", "array"]))]
pub(crate) struct OneOrMore(pub(crate) Vec<String>);

/// A condition on a token's claims.
#[derive(Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Condition {
    /// A CEL expression over `payload`, such as `payload.groups.exists(g, g == "sre")`.
    pub(crate) expression: Option<String>,
}

//! Who is let in, to what, and how often: the settings, in checked form.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use http::HeaderName;
use jsonwebtoken_jwks::{
    policy::Policy,
    source::{Source, Terms},
};
use url::Url;

use crate::expression::Expression;

/// How callers prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// Not at all: said in words, with `enabled: false`.
    None,
    /// By a bearer token that is verified here.
    Local(Verification),
    /// By a token that a trusted proxy in front has verified and puts into a header. Its signature is not
    /// checked; its claims are.
    External {
        /// The header, read from peers in [`super::Http::trusted_proxies`] only.
        header: HeaderName,
        /// What tokens must say.
        verification: Verification,
    },
}

impl Authentication {
    /// What tokens must say; none where nobody is asked for one.
    #[must_use]
    pub const fn verification(&self) -> Option<&Verification> {
        match self {
            Self::None => None,
            Self::Local(verification) | Self::External { verification, .. } => Some(verification),
        }
    }
}

/// What tokens must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The issuers; at least one, each `iss` once.
    pub issuers: Vec<Issuer>,
    /// Most verified tokens remembered.
    pub cache_entries_max: usize,
}

/// An issuer of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// What its tokens must say.
    pub policy: Policy,
    /// Where its keys come from; none where somebody else checks signatures.
    pub keys: Option<KeySource>,
    /// Scopes that every token must hold; else 403 `insufficient_scope`.
    pub scopes_required: Vec<String>,
    /// CEL expressions over `payload` that must all be true; else 403.
    pub allow_conditions: Vec<Expression>,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySource {
    /// The place.
    pub source: Source,
    /// How they are fetched and how long they are used.
    pub terms: Terms,
}

/// Who may use which tools on which backends. Without rules, everyone who is let in may use all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authorization {
    /// The rules; what none of them allows is denied.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name in logs.
    pub name: Arc<str>,
    /// Whom it is about.
    pub who: Who,
    /// Globs of tools.
    pub tools: Vec<String>,
    /// Globs of backends.
    pub backends: Vec<String>,
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Everyone, with a token or without one.
    Anyone,
    /// Whoever has a token for which all of these hold.
    Principal {
        /// One of these issuers; empty: any.
        issuers: Vec<String>,
        /// One of these subjects; empty: any.
        subjects: Vec<String>,
        /// A member of one of these groups; empty: any.
        groups: Vec<String>,
        /// Holder of all of these scopes.
        scopes: Vec<String>,
        /// A CEL expression over `payload` that is true.
        condition: Option<Expression>,
    },
}

/// How often something may happen: so many in this time, evenly, with a burst. GCRA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many…
    pub count: NonZeroU32,
    /// …in this time.
    pub per: Duration,
    /// Most at once.
    pub burst: NonZeroU32,
}

/// How much each address and each principal may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests of one client address (IPv6: one network of 64 bits).
    pub address_requests: Option<Rate>,
    /// Requests of one client address whose token was refused at or before its signature.
    pub address_failures: Option<Rate>,
    /// Requests of one principal; where nobody is asked for a token, of one client address.
    pub principal_requests: Option<Rate>,
    /// Requests of one principal that are being served; open streams that only wait do not count.
    pub principal_in_flight_max: Option<NonZeroU32>,
    /// Calls of one principal, by glob of tools; the first that fits a tool counts.
    pub tools: Vec<(String, Rate)>,
    /// Most addresses, and most principals, remembered; the one not seen for longest is forgotten.
    pub entries_max: usize,
}

/// OAuth protected resource metadata. Spec: RFC 9728 §2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedResource {
    /// Public address of this server, as clients and tokens write it.
    pub resource: Url,
    /// `resource` exactly as it was written: documents and tokens compare it byte by byte.
    pub resource_text: Arc<str>,
    /// Appended to the document's path at the root, as mcp-forge does.
    pub url_suffix: String,
    /// Scopes named in challenges.
    pub scopes_supported: Vec<String>,
    /// The document, in the order of freepik's: members that are empty or false are left out.
    pub document: Vec<(&'static str, serde_json::Value)>,
}

/// An authorization server whose metadata is served here too. Spec: RFC 8414 §3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// Its issuer, which its metadata must name exactly.
    pub issuer: String,
    /// Appended to the documents' paths at the root.
    pub url_suffix: String,
    /// How the metadata is fetched and how long it is used.
    pub terms: Terms,
}

//! The settings that a reload replaces, as one snapshot that requests work on.
//!
//! A request takes the snapshot once and keeps it to its end, so that it never sees half of one
//! configuration and half of another.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use ipnet::IpNet;
use jsonwebtoken_jwks::{
    discovery::WellKnown,
    jwks::{Jwks, StartError},
    metadata::{Metadata, MetadataError},
};
use mcp_core::access::Edition;

use crate::{
    config::{
        Authentication, Authorization, AuthorizationServer, Config, HostRule, Issuer, KeySource,
        OriginRule, ProtectedResource, RateLimits,
    },
    gate::Gate,
    limits::{BadGlob, Limits},
    metrics::{AdmissionFigures, KeyFigures, Metrics},
    policy::Fault,
    telemetry::Chain,
    well_known::Documents,
};

/// The settings that a reload replaces.
#[derive(Debug)]
pub struct Live {
    /// Path of the MCP endpoint: starts with `/`, does not end with it.
    pub path: String,
    /// `Host` values served.
    pub allowed_hosts: Vec<HostRule>,
    /// `Origin` values served.
    pub allowed_origins: Vec<OriginRule>,
    /// Networks of proxies whose word is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Who is let in.
    pub gate: Arc<Gate>,
    /// What the tools offer.
    pub edition: Edition,
    /// What is served under `/.well-known`.
    pub documents: Documents,
    keys: Vec<(KeySource, Arc<Jwks>)>,
    /// The keys again, by the name of their issuer.
    issuers: Vec<(String, Arc<Jwks>)>,
    mirrored: Option<(AuthorizationServer, Arc<Metadata>)>,
    limits: (RateLimits, Arc<Limits>),
    judged_by: Terms,
}

/// What the gate was made from: as long as these are the same it stays, with all that it remembers.
type Terms = (Authentication, Authorization, Option<ProtectedResource>, Vec<IpNet>);

/// Where requests find the snapshot of the moment.
pub type Current = Arc<ArcSwap<Live>>;

/// Why settings cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A source of keys cannot be set up.
    #[error("cannot set up the keys of an issuer")]
    Keys(#[from] StartError),
    /// The authorization server's metadata cannot be mirrored.
    #[error("cannot mirror the authorization server's metadata")]
    Metadata(#[from] MetadataError),
    /// Rules or conditions are not well formed.
    #[error("{}", .0.iter().map(|fault| Chain(fault).to_string()).collect::<Vec<_>>().join("\n"))]
    Policy(Vec<Fault>),
    /// A limit names tools by something that is no glob.
    #[error("cannot set up the limits")]
    Limits(#[from] BadGlob),
}

impl Live {
    /// Puts a configuration to work. What it has in common with `previous` is kept: keys that were fetched,
    /// and who has used up how much.
    ///
    /// # Errors
    /// [`LiveError`]; nothing has changed then.
    pub fn new(
        config: &Config,
        edition: Edition,
        previous: Option<&Self>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, LiveError> {
        let (keys, of_issuers) = keys(&config.authentication, previous)?;
        let issuers = issuers(&config.authentication).iter().zip(&of_issuers);
        let issuers = issuers
            .filter_map(|(issuer, jwks)| {
                Some((issuer.policy.issuer.clone(), Arc::clone(jwks.as_ref()?)))
            })
            .collect();
        let limits = match previous {
            Some(live) if live.limits.0 == config.rate_limits => Arc::clone(&live.limits.1),
            _ => Arc::new(Limits::new(&config.rate_limits)?),
        };
        let mirrored = config
            .authorization_server
            .as_ref()
            .map(|server| mirror(server, previous).map(|metadata| (server.clone(), metadata)))
            .transpose()?;
        let documents = Documents::new(
            config.protected_resource.as_ref(),
            mirrored
                .as_ref()
                .map(|(server, metadata)| (server.url_suffix.as_str(), Arc::clone(metadata))),
        );
        let judged_by = (
            config.authentication.clone(),
            config.authorization.clone(),
            config.protected_resource.clone(),
            config.server.http.trusted_proxies.clone(),
        );
        let kept = previous
            .filter(|live| live.judged_by == judged_by && Arc::ptr_eq(&live.limits.1, &limits));
        let gate = match kept {
            Some(live) => Arc::clone(&live.gate),
            None => Gate::new(config, of_issuers, Arc::clone(&limits), Arc::clone(metrics))
                .map(Arc::new)
                .map_err(LiveError::Policy)?,
        };
        let http = &config.server.http;
        Ok(Self {
            path: http.path.clone(),
            allowed_hosts: http.allowed_hosts.clone(),
            allowed_origins: http.allowed_origins.clone(),
            trusted_proxies: http.trusted_proxies.clone(),
            gate,
            edition,
            documents,
            keys,
            issuers,
            mirrored,
            limits: (config.rate_limits.clone(), limits),
            judged_by,
        })
    }

    /// Waits until the keys of every issuer, and the mirrored metadata, have been fetched that `previous` did not
    /// have, but not longer than `patience`. What has not arrived by then is logged.
    pub async fn loaded(&self, previous: Option<&Self>, patience: Duration) {
        let old = |jwks: &Arc<Jwks>| {
            previous.is_some_and(|live| live.keys.iter().any(|(_, old)| Arc::ptr_eq(old, jwks)))
        };
        let new = self.issuers.iter().filter(|(_, jwks)| !old(jwks));
        let keys = join_all(new.map(|(issuer, jwks)| async move {
            if !jwks.loaded(patience).await {
                tracing::warn!(%issuer, "the issuer's keys are not there yet; its tokens are answered with 503");
            }
        }));
        tokio::join!(keys, self.metadata_loaded(previous, patience));
    }

    async fn metadata_loaded(&self, previous: Option<&Self>, patience: Duration) {
        let Some((server, metadata)) = &self.mirrored else { return };
        let old = previous.and_then(|live| live.mirrored.as_ref());
        if old.is_some_and(|(_, old)| Arc::ptr_eq(old, metadata)) {
            return;
        }
        let (oauth, openid) = tokio::join!(
            metadata.loaded(WellKnown::OAuth, patience),
            metadata.loaded(WellKnown::OpenId, patience),
        );
        if !(oauth && openid) {
            let issuer = &server.issuer;
            tracing::warn!(%issuer, "the authorization server's metadata is not there yet");
        }
    }

    /// The issuers' keys and the tokens that are remembered, for a scrape.
    #[must_use]
    pub fn admission_figures(&self) -> AdmissionFigures {
        let figures = |(issuer, jwks): &(String, Arc<Jwks>)| {
            let status = jwks.status();
            KeyFigures {
                issuer: issuer.clone(),
                usable: if status.usable { status.keys.values().sum() } else { 0 },
                rejected: status.rejected.len(),
                read: status.last_success,
                loaded: status.successes,
                failed: status.failures,
            }
        };
        let (tokens, tokens_max) = self.gate.remembered();
        AdmissionFigures { keys: self.issuers.iter().map(figures).collect(), tokens, tokens_max }
    }
}

/// The keys of each source.
type Keys = Vec<(KeySource, Arc<Jwks>)>;
/// The keys of each issuer; none where somebody else checks signatures.
type OfIssuers = Vec<Option<Arc<Jwks>>>;

/// The keys of each source once, and those of each issuer in order.
fn keys(
    authentication: &Authentication,
    previous: Option<&Live>,
) -> Result<(Keys, OfIssuers), StartError> {
    let mut keys = Keys::new();
    let mut of_issuers = Vec::new();
    for issuer in issuers(authentication) {
        let Some(source) = &issuer.keys else {
            of_issuers.push(None);
            continue;
        };
        let mut known = keys.iter().chain(previous.into_iter().flat_map(|live| &live.keys));
        let jwks = match known.find(|(other, _)| other == source) {
            Some((_, jwks)) => Arc::clone(jwks),
            None => Jwks::start(source.source.clone(), source.terms.clone())?,
        };
        if !keys.iter().any(|(other, _)| other == source) {
            keys.push((source.clone(), Arc::clone(&jwks)));
        }
        of_issuers.push(Some(jwks));
    }
    Ok((keys, of_issuers))
}

fn issuers(authentication: &Authentication) -> &[Issuer] {
    match authentication {
        Authentication::None => &[],
        Authentication::Local(verification) | Authentication::External { verification, .. } => {
            &verification.issuers
        }
    }
}

fn mirror(
    server: &AuthorizationServer,
    previous: Option<&Live>,
) -> Result<Arc<Metadata>, MetadataError> {
    match previous.and_then(|live| live.mirrored.as_ref()) {
        Some((known, metadata)) if known == server => Ok(Arc::clone(metadata)),
        _ => Metadata::start(&server.issuer, &server.terms),
    }
}

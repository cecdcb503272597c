//! Names, looked up where this machine looks up its own.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hickory_resolver::{
    Resolver, TokioResolver,
    config::{LookupIpStrategy, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::RData,
};
use tokio::task::{JoinError, spawn_blocking};

/// Somebody to be found: `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Target {
    /// A name, or an address without brackets.
    pub(super) host: Arc<str>,
    pub(super) port: u16,
}

/// A name could not be looked up.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("the name cannot be looked up")]
    Answer(#[from] NetError),
    #[error("the settings of this machine's names cannot be read")]
    Settings(#[from] JoinError),
    #[error("no answer within {} s", super::discovery::LOOKUP_TIMEOUT.as_secs())]
    Slow,
}

/// Who knows names.
pub(super) trait Names: Send + Sync {
    /// All addresses of a name.
    fn addresses(
        &self,
        host: &str,
    ) -> impl Future<Output = Result<Vec<IpAddr>, LookupError>> + Send;

    /// All targets of a service (SRV).
    fn services(&self, name: &str)
    -> impl Future<Output = Result<Vec<Target>, LookupError>> + Send;
}

/// The name servers and the hosts file of this machine.
///
/// The standard library's lookup knows no SRV. Both are read anew for each look, since a machine gets other name
/// servers while we run, and nothing is remembered between looks: the look's own interval says how fresh an answer
/// has to be.
#[derive(Debug)]
pub(super) struct SystemNames;

impl Target {
    /// Reads `host:port`; IPv6 addresses in brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|host| host.parse::<IpAddr>().is_ok())?,
            None => host,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_host = host.parse::<IpAddr>().is_ok() || host.chars().all(is_name);
        let fits = !host.is_empty() && host.len() <= 253;
        (is_host && fits).then(|| Self { host: host.into(), port })
    }

    /// The target, if no name has to be looked up for it.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse().ok()?, self.port))
    }
}

impl Names for SystemNames {
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let found = resolver().await?.lookup_ip(host).await?;
        Ok(found.iter().collect())
    }

    async fn services(&self, name: &str) -> Result<Vec<Target>, LookupError> {
        let found = resolver().await?.srv_lookup(name).await?;
        let targets = found.answers().iter().filter_map(|record| {
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "one of the many kinds was asked for"
            )]
            match &record.data {
                // A root target says that the service is not there (RFC 2782).
                RData::SRV(service) if !service.target.is_root() => {
                    let host = service.target.to_utf8();
                    Some(Target { host: host.trim_end_matches('.').into(), port: service.port })
                }
                _ => None,
            }
        });
        Ok(targets.collect())
    }
}

async fn resolver() -> Result<TokioResolver, LookupError> {
    // It reads files.
    let made = spawn_blocking(|| {
        let system = TokioResolver::builder_tokio();
        // Without name servers there is still the hosts file.
        let mut builder = system.unwrap_or_else(|_| {
            Resolver::builder_with_config(
                ResolverConfig::default(),
                TokioRuntimeProvider::default(),
            )
        });
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.cache_size = 0;
        builder.build()
    });
    Ok(made.await??)
}

//! Names, looked up where this machine looks up its own, or at name servers of the configuration's choice.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::RData,
};
use tokio::task::{JoinError, spawn_blocking};

/// How long one question to a name server of the configuration's may take, by UDP and TCP together. It is asked up to
/// three times within [`LOOKUP_TIMEOUT`](super::discovery::LOOKUP_TIMEOUT).
const QUESTION_TIMEOUT: Duration = Duration::from_secs(1);

/// How often such a question is repeated.
const REPEATS: usize = 2;

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

/// One of the two kinds of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

/// Who knows names. Nothing found is an answer, and no error: whoever was asked knows that there is nothing.
pub(super) trait Names: Send + Sync {
    /// All addresses of a name that are of this kind.
    fn addresses(
        &self,
        host: &str,
        family: Family,
    ) -> impl Future<Output = Result<Vec<IpAddr>, LookupError>> + Send;

    /// All targets of a service (SRV).
    fn services(&self, name: &str)
    -> impl Future<Output = Result<Vec<Target>, LookupError>> + Send;
}

/// Name servers: those of this machine, with its hosts file, or others.
///
/// The standard library's lookup knows no SRV. The machine's settings are read anew for each look, since it gets other
/// name servers while we run, and nothing is remembered between looks: the look's own interval says how fresh an answer
/// has to be.
#[derive(Debug)]
pub(super) struct NameServers {
    /// Empty: the machine's.
    chosen: Box<[SocketAddr]>,
}

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

impl Names for NameServers {
    async fn addresses(&self, host: &str, family: Family) -> Result<Vec<IpAddr>, LookupError> {
        let found = self.ask(|resolver| async move {
            match family {
                Family::V4 => resolver.ipv4_lookup(host).await,
                Family::V6 => resolver.ipv6_lookup(host).await,
            }
        });
        let found = found.await?;
        let records = found.iter().flat_map(Lookup::answers);
        Ok(records.filter_map(|record| record.data.ip_addr()).collect())
    }

    async fn services(&self, name: &str) -> Result<Vec<Target>, LookupError> {
        let found = self.ask(|resolver| async move { resolver.srv_lookup(name).await }).await?;
        let targets = found.iter().flat_map(Lookup::answers).filter_map(|record| {
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

impl NameServers {
    /// These, or the machine's if there are none.
    pub(super) fn new(chosen: &[SocketAddr]) -> Self {
        Self { chosen: chosen.into() }
    }

    /// Asks all at once, and takes the first answer; a server that fails is passed over. None: there is nothing of the
    /// kind, as who answered knows.
    async fn ask<F>(
        &self,
        question: impl Fn(TokioResolver) -> F,
    ) -> Result<Option<Lookup>, LookupError>
    where
        F: Future<Output = Result<Lookup, NetError>>,
    {
        let resolvers = self.resolvers().await?;
        let mut asked: FuturesUnordered<F> = resolvers.into_iter().map(question).collect();
        let mut failed = None;
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(found) => return Ok(Some(found)),
                Err(error) if error.is_no_records_found() => return Ok(None),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or(NetError::NoConnections).into())
    }

    async fn resolvers(&self) -> Result<Vec<TokioResolver>, LookupError> {
        if self.chosen.is_empty() {
            // It reads files.
            return Ok(vec![spawn_blocking(of_machine).await??]);
        }
        Ok(self.chosen.iter().map(|server| at(*server)).collect::<Result<_, _>>()?)
    }
}

/// Asks whom this machine asks.
fn of_machine() -> Result<TokioResolver, NetError> {
    let system = TokioResolver::builder_tokio();
    // Without name servers there is still the hosts file.
    let mut builder = system.unwrap_or_else(|_| {
        Resolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default())
    });
    builder.options_mut().cache_size = 0;
    builder.build()
}

/// Asks one name server, by UDP, and by TCP what does not fit into a datagram.
fn at(server: SocketAddr) -> Result<TokioResolver, NetError> {
    let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = server.port();
    }
    let server = NameServerConfig::new(server.ip(), true, connections.into());
    // No domains to search: who names servers names things in full.
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    let mut options = ResolverOpts::default();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = QUESTION_TIMEOUT;
    options.attempts = REPEATS;
    *builder.options_mut() = options;
    builder.build()
}

//! Names, looked up where this machine looks up its own, or at name servers of the configuration's choice.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    StreamExt as _,
    stream::{FuturesOrdered, FuturesUnordered},
};
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{IntoName as _, Name, RData, Record, RecordType},
};
use tokio::{
    task::{JoinError, spawn_blocking},
    time::timeout,
};

use super::machine::{Files, Settings};

/// How long a question to a name server of the configuration's may take by TCP. This and what UDP takes after it stay
/// below [`LOOKUP_TIMEOUT`](super::discovery::LOOKUP_TIMEOUT), so that one silent server does not hide what others say.
const TCP_TIMEOUT: Duration = Duration::from_secs(1);

/// How long it may take by UDP, each of the two times that it is sent.
const UDP_TIMEOUT: Duration = Duration::from_millis(700);

/// How long a question to the machine's name servers may take for each full name that a name may stand for. They are asked
/// for all of them at once, so that one that nobody answers for does not hide the others.
const FULL_NAME_TIMEOUT: Duration = Duration::from_secs(2);

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
/// The standard library's lookup knows no SRV, and no difference between a name that has no addresses and a name server
/// that fails. Nothing is remembered between looks: the look's own interval says how fresh an answer has to be.
#[derive(Debug)]
pub(super) struct NameServers(Whom);

/// Who is asked.
#[derive(Debug)]
enum Whom {
    /// Those that these files name.
    Machine(Files),
    Chosen(Box<[SocketAddr]>),
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
        let name = host.into_name().map_err(NetError::from)?;
        let kind = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        let records = match &self.0 {
            Whom::Machine(files) => {
                let settings = read(files).await?;
                if let Some(known) = settings.known(&name, kind) {
                    return Ok(known);
                }
                ask_machine(settings, &name, kind).await?
            }
            Whom::Chosen(servers) => ask_all(servers, name, kind).await?,
        };
        Ok(records.iter().filter_map(|record| record.data.ip_addr()).collect())
    }

    async fn services(&self, name: &str) -> Result<Vec<Target>, LookupError> {
        let name = name.into_name().map_err(NetError::from)?;
        let records = match &self.0 {
            Whom::Machine(files) => ask_machine(read(files).await?, &name, RecordType::SRV).await?,
            Whom::Chosen(servers) => ask_all(servers, name, RecordType::SRV).await?,
        };
        let targets = records.iter().filter_map(|record| {
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "one of the many kinds was asked for"
            )]
            match &record.data {
                // A root target says that the service is not there (RFC 2782). Others are full names, and keep the dot
                // that says so.
                RData::SRV(service) if !service.target.is_root() => {
                    Some(Target { host: service.target.to_utf8().into(), port: service.port })
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
        if chosen.is_empty() {
            return Self(Whom::Machine(Files::of_machine()));
        }
        Self(Whom::Chosen(chosen.into()))
    }
}

async fn read(files: &Files) -> Result<Settings, JoinError> {
    let files = files.clone();
    spawn_blocking(move || files.read()).await
}

/// Asks whom this machine asks for each name that `name` may stand for, and takes the first of them that is there. That
/// there is nothing is believed only if it was said of each: a server that fails for one and not for the others knows
/// nothing of it.
async fn ask_machine(
    settings: Settings,
    name: &Name,
    kind: RecordType,
) -> Result<Vec<Record>, LookupError> {
    let names = settings.full_names(name);
    let resolver = settings.resolver()?;
    let asked = names.iter().map(|name| timeout(FULL_NAME_TIMEOUT, ask(&resolver, name, kind)));
    let mut asked: FuturesOrdered<_> = asked.collect();
    let mut failed = None;
    while let Some(answer) = asked.next().await {
        match answer.unwrap_or(Err(NetError::Timeout)) {
            Ok(found) if !found.is_empty() => return Ok(found),
            Ok(_nothing) => {}
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(Vec::new()), |error| Err(error.into()))
}

/// Asks all at once for a name as it stands, and takes the first answer that names anything: of servers that know
/// different things, such as one that has just started, those count that know something. One that fails is passed over.
async fn ask_all(
    servers: &[SocketAddr],
    mut name: Name,
    kind: RecordType,
) -> Result<Vec<Record>, LookupError> {
    // No domains to search: who names servers names things in full.
    name.set_fqdn(true);
    let mut asked: FuturesUnordered<_> =
        servers.iter().map(|server| ask_one(*server, &name, kind)).collect();
    let (mut is_nothing, mut failed) = (false, None);
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(found) if !found.is_empty() => return Ok(found),
            Ok(_nothing) => is_nothing = true,
            Err(error) => failed = Some(error),
        }
    }
    if is_nothing {
        return Ok(Vec::new());
    }
    Err(failed.unwrap_or(NetError::NoConnections).into())
}

/// Asks one server, by TCP: what comes that way is whole, and hard to forge for who does not see the question. By UDP
/// only where TCP brings no answer at all.
async fn ask_one(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
) -> Result<Vec<Record>, NetError> {
    let by_tcp = at(server, vec![ConnectionConfig::tcp()], (TCP_TIMEOUT, 0))?;
    let answer = timeout(TCP_TIMEOUT, ask(&by_tcp, name, kind)).await;
    match answer.unwrap_or(Err(NetError::Timeout)) {
        Err(error) if !matches!(error, NetError::Dns(_)) => {
            let both = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            let by_udp = at(server, both, (UDP_TIMEOUT, 1))?;
            let answer = timeout(UDP_TIMEOUT * 2, ask(&by_udp, name, kind)).await;
            answer.unwrap_or(Err(NetError::Timeout))
        }
        answered => answered,
    }
}

/// Records of this kind under a full name; none is an answer.
async fn ask(
    resolver: &TokioResolver,
    name: &Name,
    kind: RecordType,
) -> Result<Vec<Record>, NetError> {
    match resolver.lookup(name.clone(), kind).await {
        Ok(found) => {
            let records = found.answers().iter();
            Ok(records.filter(|record| record.record_type() == kind).cloned().collect())
        }
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Asks one name server in these ways, so long each time and so often again.
fn at(
    server: SocketAddr,
    mut connections: Vec<ConnectionConfig>,
    (patience, repeats): (Duration, usize),
) -> Result<TokioResolver, NetError> {
    for connection in &mut connections {
        connection.port = server.port();
    }
    let server = NameServerConfig::new(server.ip(), true, connections);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    let mut options = ResolverOpts::default();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = patience;
    options.attempts = repeats;
    *builder.options_mut() = options;
    builder.build()
}

#[cfg(test)]
mod tests;

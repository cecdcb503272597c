//! Where other replicas may be: lists, names, and what is done when they cannot be read.
//!
//! What is found here are addresses that are worth asking, no more: who answers there, and whether it is one of
//! us, only a probe can tell. So a list that cannot be read is no reason to give up peers that answer: the last
//! good one stays.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io::{self, Read as _},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::{task::spawn_blocking, time::timeout};

use super::names::{LookupError, Names, Target};
use crate::{config::Peers, telemetry::Chain};

/// Most addresses that are asked. Each is asked every second or so, by each of the others.
pub(super) const PEERS_MAX: usize = 256;

/// How long one name may take. The others of the list wait for it.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// Names that are looked up at the same time.
const LOOKUPS_AT_ONCE: usize = 16;

/// How often the names in a fixed list are looked up.
const STATIC_INTERVAL: Duration = Duration::from_secs(5);

/// Largest list in a file: as many of the longest names as there may be peers, with a comment for each.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// An address at which a replica may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Found {
    pub(super) address: SocketAddr,
    /// The name under which it was found, or the address without brackets.
    pub(super) host: Arc<str>,
}

/// Looks where replicas may be.
pub(super) struct Discovery<N> {
    names: N,
    peers: Peers,
    /// The last good list.
    targets: Vec<Target>,
    /// The last good addresses of each target.
    addresses: BTreeMap<Target, Vec<SocketAddr>>,
    told: Told,
}

/// What was said in the log, so that it is said once.
#[derive(Debug, Default)]
struct Told {
    no_list: bool,
    too_many: bool,
    unknown: HashSet<Target>,
}

/// A list of peers cannot be used.
#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("the file cannot be read")]
    Unreadable(#[from] io::Error),
    #[error("the file is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("line {0} is not `host:port`")]
    Line(usize),
    #[error("reading the file failed")]
    Read(#[from] tokio::task::JoinError),
}

impl<N: Names> Discovery<N> {
    pub(super) fn new(peers: Peers, names: N) -> Self {
        let (targets, addresses) = (Vec::new(), BTreeMap::new());
        Self { names, peers, targets, addresses, told: Told::default() }
    }

    /// How long to wait between looks.
    pub(super) fn interval(&self) -> Duration {
        match &self.peers {
            Peers::Static(_) => STATIC_INTERVAL,
            Peers::Dns { interval, .. }
            | Peers::Srv { interval, .. }
            | Peers::File { interval, .. } => *interval,
        }
    }

    /// Looks once. Each address is named once, in the same order each time.
    pub(super) async fn look(&mut self) -> Vec<Found> {
        match self.list().await {
            Ok(targets) => {
                self.told.list_is_good();
                self.targets = targets;
            }
            Err(error) => self.told.list_is_bad(&error),
        }
        self.look_up().await;
        let mut found = BTreeMap::new();
        for target in &self.targets {
            let addresses = self.addresses.get(target).into_iter().flatten();
            for address in addresses.map(|address| without_mapping(*address)) {
                found.entry(address).or_insert_with(|| Arc::clone(&target.host));
            }
        }
        self.told.count(found.len());
        let found = found.into_iter().take(PEERS_MAX);
        found.map(|(address, host)| Found { address, host }).collect()
    }

    async fn list(&self) -> Result<Vec<Target>, ListError> {
        let mut targets = match &self.peers {
            Peers::Static(listed) => listed.iter().filter_map(|text| Target::parse(text)).collect(),
            Peers::Dns { name, port, .. } => {
                vec![Target { host: name.trim_end_matches('.').into(), port: *port }]
            }
            Peers::Srv { name, .. } => within_time(self.names.services(name)).await?,
            Peers::File { path, .. } => {
                let path = path.clone();
                spawn_blocking(move || read_list(&path)).await??
            }
        };
        targets.sort_unstable();
        targets.dedup();
        // More would only be looked up to be cut afterwards.
        targets.truncate(PEERS_MAX + 1);
        Ok(targets)
    }

    /// Finds the addresses of all targets. Those of a target that cannot be looked up stay as they were.
    async fn look_up(&mut self) {
        let names = &self.names;
        let lookups = self.targets.clone().into_iter().map(|target| async move {
            let looked_up = match target.literal() {
                Some(address) => Ok(vec![address]),
                None => within_time(names.addresses(&target.host)).await.map(|addresses| {
                    let address = |address| SocketAddr::new(address, target.port);
                    addresses.into_iter().map(address).collect()
                }),
            };
            (target, looked_up)
        });
        let looked_up: Vec<_> =
            stream::iter(lookups).buffer_unordered(LOOKUPS_AT_ONCE).collect().await;
        let mut before = std::mem::take(&mut self.addresses);
        for (target, addresses) in looked_up {
            let addresses = match addresses {
                Ok(addresses) => {
                    self.told.known(&target);
                    addresses
                }
                Err(error) => {
                    self.told.unknown(&target, &error);
                    before.remove(&target).unwrap_or_default()
                }
            };
            self.addresses.insert(target, addresses);
        }
        let targets: BTreeSet<&Target> = self.targets.iter().collect();
        self.told.unknown.retain(|target| targets.contains(target));
    }
}

impl Told {
    fn list_is_good(&mut self) {
        if std::mem::take(&mut self.no_list) {
            tracing::info!("the list of replicas can be read again");
        }
    }

    fn list_is_bad(&mut self, error: &ListError) {
        if !std::mem::replace(&mut self.no_list, true) {
            tracing::warn!(error = %Chain(error), "the list of replicas cannot be read; the last good one stays");
        }
    }

    fn known(&mut self, target: &Target) {
        if self.unknown.remove(target) {
            tracing::info!(peer.host = %target.host, "the name of a replica is known again");
        }
    }

    fn unknown(&mut self, target: &Target, error: &LookupError) {
        if self.unknown.insert(target.clone()) {
            let host = &target.host;
            tracing::warn!(peer.host = %host, error = %Chain(error), "the name of a replica cannot be looked up");
        }
    }

    fn count(&mut self, found: usize) {
        let too_many = found > PEERS_MAX;
        if too_many && !self.too_many {
            tracing::error!(
                found,
                max = PEERS_MAX,
                "there are too many replicas; the rest is left out"
            );
        }
        self.too_many = too_many;
    }
}

/// An IPv4 address in IPv6 form is the same place as the address itself.
fn without_mapping(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

async fn within_time<T>(
    lookup: impl Future<Output = Result<T, LookupError>>,
) -> Result<T, LookupError> {
    timeout(LOOKUP_TIMEOUT, lookup).await.unwrap_or(Err(LookupError::Slow))
}

fn read_list(path: &Path) -> Result<Vec<Target>, ListError> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(ListError::TooLarge);
    }
    parse_list(&text)
}

/// One `host:port` on each line; `#` begins a comment.
fn parse_list(text: &str) -> Result<Vec<Target>, ListError> {
    let mut targets = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if !entry.is_empty() {
            targets.push(Target::parse(entry).ok_or(ListError::Line(index + 1))?);
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests;

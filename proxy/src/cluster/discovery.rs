//! Where other replicas may be: lists, names, and what is done when they cannot be read.
//!
//! What is found here are addresses that are worth asking, no more: who answers there, and whether it is one of
//! us, only a probe can tell. So a list that cannot be read is no reason to give up peers that answer: the last
//! good one stays. A name server that says that there is nothing has answered, and is believed when it goes on saying
//! so: one that has just started may not know its names yet.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, Read as _},
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::{task::spawn_blocking, time::timeout};

use super::names::{Family, LookupError, Names, Target};
use crate::{config::Peers, telemetry::Chain};

/// Most addresses that are asked. Each is asked every second or so, by each of the others.
pub(super) const PEERS_MAX: usize = 256;

/// How long one name may take. The others of the list wait for it.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// Names that are looked up at the same time.
const LOOKUPS_AT_ONCE: usize = 16;

/// So many answers in a row that there is nothing under a name, and it is believed.
const NOTHING_BELIEVED: u8 = 3;

/// How often the names in a fixed list are looked up.
const STATIC_INTERVAL: Duration = Duration::from_secs(5);

/// How soon a look follows one that was not answered, until the first that was: who starts waits for it.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

/// Largest list in a file: as many of the longest names as there may be peers, with a comment for each.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// What came of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) found: Vec<Found>,
    /// Whether all that was asked was answered, so that this is what there is; nothing counts as an answer once it is
    /// believed.
    pub(super) is_answered: bool,
}

/// An address at which a replica may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Found {
    pub(super) address: SocketAddr,
    /// The name under which it was found, without a dot at its end, or the address without brackets.
    pub(super) host: Arc<str>,
}

/// Looks where replicas may be.
pub(super) struct Discovery<N> {
    names: N,
    peers: Peers,
    /// The last good list.
    targets: Vec<Target>,
    /// Answers of name servers in a row that there is no target at all.
    nothing: u8,
    /// What is known of each target.
    known: BTreeMap<Target, Known>,
    /// Whether a look was answered since the start.
    is_answered: bool,
    told: Told,
}

/// What is known of a name.
#[derive(Debug, Default)]
struct Known {
    /// The last good addresses, A and AAAA: one of the two may fail while the other does not.
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    /// Answers in a row, without a failure between them, that there are none of either.
    nothing: u8,
}

/// What was said in the log, so that it is said once.
#[derive(Debug, Default)]
struct Told {
    list: Option<Trouble>,
    too_many: bool,
    names: HashMap<Target, Trouble>,
}

/// Why it is not known what is under a name, or what is in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Failure,
    /// Whoever was asked says that there is nothing.
    Nothing,
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
        let (targets, known) = (Vec::new(), BTreeMap::new());
        let told = Told::default();
        Self { names, peers, targets, nothing: 0, known, is_answered: false, told }
    }

    /// How long to wait between looks.
    pub(super) fn interval(&self) -> Duration {
        let interval = match &self.peers {
            Peers::Static(_) => STATIC_INTERVAL,
            Peers::Dns { interval, .. }
            | Peers::Srv { interval, .. }
            | Peers::File { interval, .. } => *interval,
        };
        if self.is_answered { interval } else { interval.min(FIRST_INTERVAL) }
    }

    /// Looks once. Each address is named once, in the same order each time.
    pub(super) async fn look(&mut self) -> Look {
        let is_listed = match self.list().await {
            Ok(targets) => self.take(targets),
            Err(error) => {
                self.nothing = 0;
                self.told.list_is_bad(&error);
                false
            }
        };
        let is_answered = self.look_up().await && is_listed;
        self.is_answered |= is_answered;
        let mut found = BTreeMap::new();
        for target in &self.targets {
            let host: Arc<str> = match target.host.strip_suffix('.') {
                Some(host) => host.into(),
                None => Arc::clone(&target.host),
            };
            for address in self.addresses(target) {
                found.entry(address).or_insert_with(|| Arc::clone(&host));
            }
        }
        self.told.count(found.len());
        let found = found.into_iter().take(PEERS_MAX);
        let found = found.map(|(address, host)| Found { address, host }).collect();
        Look { found, is_answered }
    }

    /// Takes a list; an empty one of a name server's not at once. Says whether it was taken.
    fn take(&mut self, targets: Vec<Target>) -> bool {
        let is_nothing = targets.is_empty() && matches!(self.peers, Peers::Srv { .. });
        if !is_nothing {
            self.nothing = 0;
            self.told.list_is_good();
            self.targets = targets;
            return true;
        }
        self.nothing = self.nothing.saturating_add(1);
        self.told.list_is_nothing();
        let is_believed = self.nothing >= NOTHING_BELIEVED;
        if is_believed {
            self.targets = targets;
        }
        is_believed
    }

    fn addresses(&self, target: &Target) -> impl Iterator<Item = SocketAddr> {
        let port = target.port;
        let known = self.known.get(target);
        let looked_up = known.into_iter().flat_map(|known| known.v4.iter().chain(&known.v6));
        let literal = target.literal().map(|literal| literal.ip());
        // An IPv4 address in IPv6 form is the same place as the address itself.
        literal
            .into_iter()
            .chain(looked_up.copied())
            .map(move |address| SocketAddr::new(address.to_canonical(), port))
    }

    async fn list(&self) -> Result<Vec<Target>, ListError> {
        let mut targets = match &self.peers {
            Peers::Static(listed) => listed.iter().filter_map(|text| Target::parse(text)).collect(),
            Peers::Dns { name, port, .. } => {
                vec![Target { host: name.as_str().into(), port: *port }]
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

    /// Finds the addresses of all targets. Those of a target that cannot be looked up stay as they were. Says whether all
    /// could be.
    async fn look_up(&mut self) -> bool {
        let names = &self.names;
        let mut targets = self.targets.clone();
        targets.retain(|target| target.literal().is_none());
        let lookups = targets.into_iter().map(|target| async move {
            let host = &target.host;
            let (v4, v6) = tokio::join!(
                within_time(names.addresses(host, Family::V4)),
                within_time(names.addresses(host, Family::V6)),
            );
            (target, v4, v6)
        });
        let looked_up: Vec<_> =
            stream::iter(lookups).buffer_unordered(LOOKUPS_AT_ONCE).collect().await;
        let mut before = std::mem::take(&mut self.known);
        let mut is_answered = true;
        for (target, v4, v6) in looked_up {
            let mut known = before.remove(&target).unwrap_or_default();
            match known.hear(v4, v6) {
                Heard::Addresses => self.told.known(&target),
                Heard::Nothing => self.told.nothing(&target),
                Heard::Failure(error) => {
                    is_answered = false;
                    self.told.unknown(&target, &error);
                }
            }
            is_answered &= known.nothing == 0 || known.nothing >= NOTHING_BELIEVED;
            self.known.insert(target, known);
        }
        let targets: BTreeSet<&Target> = self.targets.iter().collect();
        self.told.names.retain(|target, _| targets.contains(target));
        is_answered
    }
}

/// What came of looking a name up.
enum Heard {
    Addresses,
    /// It has none.
    Nothing,
    Failure(LookupError),
}

impl Known {
    /// Takes what was answered of both kinds of addresses. One that was not answered stays as it was.
    fn hear(
        &mut self,
        v4: Result<Vec<IpAddr>, LookupError>,
        v6: Result<Vec<IpAddr>, LookupError>,
    ) -> Heard {
        match (v4, v6) {
            (Ok(v4), Ok(v6)) if v4.is_empty() && v6.is_empty() => {
                self.nothing = self.nothing.saturating_add(1);
                if self.nothing >= NOTHING_BELIEVED {
                    (self.v4, self.v6) = (v4, v6);
                }
                Heard::Nothing
            }
            (Ok(v4), Ok(v6)) => {
                *self = Self { v4, v6, nothing: 0 };
                Heard::Addresses
            }
            (Ok(v4), Err(_)) if !v4.is_empty() => {
                (self.v4, self.nothing) = (v4, 0);
                Heard::Addresses
            }
            (Err(_), Ok(v6)) if !v6.is_empty() => {
                (self.v6, self.nothing) = (v6, 0);
                Heard::Addresses
            }
            (Err(error), _) | (_, Err(error)) => {
                self.nothing = 0;
                Heard::Failure(error)
            }
        }
    }
}

impl Told {
    fn list_is_good(&mut self) {
        match self.list.take() {
            None => {}
            Some(Trouble::Failure) => tracing::info!("the list of replicas can be read again"),
            Some(Trouble::Nothing) => tracing::info!("the replicas' name has targets again"),
        }
    }

    fn list_is_bad(&mut self, error: &ListError) {
        if self.list.replace(Trouble::Failure) != Some(Trouble::Failure) {
            tracing::warn!(error = %Chain(error), "the list of replicas cannot be read; the last good one stays");
        }
    }

    fn list_is_nothing(&mut self) {
        if self.list.replace(Trouble::Nothing) != Some(Trouble::Nothing) {
            tracing::warn!("no name server knows a target of the replicas' name");
        }
    }

    fn known(&mut self, target: &Target) {
        if self.names.remove(target).is_some() {
            tracing::info!(peer.host = %target.host, "the name of a replica is known again");
        }
    }

    fn unknown(&mut self, target: &Target, error: &LookupError) {
        let before = self.names.insert(target.clone(), Trouble::Failure);
        if before != Some(Trouble::Failure) {
            let host = &target.host;
            tracing::warn!(peer.host = %host, error = %Chain(error), "the name of a replica cannot be looked up");
        }
    }

    fn nothing(&mut self, target: &Target) {
        if self.names.insert(target.clone(), Trouble::Nothing) != Some(Trouble::Nothing) {
            tracing::warn!(peer.host = %target.host, "no name server knows an address of a replica's name");
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

//! Who is on the ring: of all that was found and answers, each replica once.

use std::{cmp::Reverse, collections::BTreeMap, net::SocketAddr, sync::Arc};

use pingora::upstreams::peer::HttpPeer;

use super::{
    discovery::Found,
    health::Standing,
    link::Link,
    status::{Instance, Status},
};
use crate::ring::{NodeName, Owner, Ring, WorkerIndex};

/// This replica.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) name: NodeName,
    pub(super) instance: Instance,
    pub(super) started_ms: u64,
    pub(super) workers: u16,
}

/// What is known of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) found: Found,
    pub(super) standing: Standing,
    pub(super) flaps: u64,
    /// The last answer.
    pub(super) status: Option<Status>,
}

/// Who is who.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The candidate that is each name, by its place.
    pub(super) peers: BTreeMap<NodeName, usize>,
    /// Whether we are on the ring ourselves.
    pub(super) own: bool,
    /// Names that several replicas have.
    pub(super) clashes: Vec<NodeName>,
}

/// The replicas at one moment, and the ring of them.
#[derive(Debug, Clone)]
pub struct Membership {
    /// Which replica and worker owns a session.
    pub ring: Arc<Ring>,
    /// All replicas that are known, ourselves first.
    pub nodes: Vec<Node>,
    pub(super) me: NodeName,
    pub(super) own: bool,
    /// The ways to the other replicas on the ring.
    pub(super) links: BTreeMap<NodeName, Arc<Link>>,
    /// The ways to all others that answer, those that are about to end included.
    pub(super) hearers: Vec<(NodeName, Arc<Link>)>,
}

/// A replica, for those who look at us.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name; none while it has never answered.
    pub name: Option<NodeName>,
    /// Where it was found; none for ourselves.
    pub address: Option<SocketAddr>,
    /// What it counts as.
    pub state: NodeState,
    /// Number of its workers, as it says.
    pub workers: u16,
    /// The part of all sessions that it owns, from 0 to 1.
    pub share: f64,
    /// Version of the ring that it has, as it says; the ring in use for ourselves.
    pub ring: Option<u64>,
    /// How often it fell without saying so.
    pub flaps: u64,
    /// Version of its program, as it says.
    pub version: Option<String>,
}

/// The way to the other replica that owns a session.
#[derive(Debug)]
pub struct Way {
    /// The replica.
    pub node: NodeName,
    /// Which of its workers.
    pub worker: WorkerIndex,
    /// How Pingora connects to it.
    pub peer: HttpPeer,
}

/// What a replica counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It is the one that says this.
    Own,
    /// On the ring.
    Up,
    /// It does not answer, or not long enough yet.
    Down,
    /// It is about to end, and owns nothing new.
    Draining,
    /// It answers, but another replica of the same name was started later.
    Displaced,
}

impl NodeState {
    /// Its word in metrics and answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Up => "up",
            Self::Down => "down",
            Self::Draining => "draining",
            Self::Displaced => "displaced",
        }
    }
}

impl Membership {
    /// Only ourselves, and nobody to tell.
    pub(super) fn alone(me: NodeName, workers: u16) -> Self {
        let ring = Ring::new([(me.clone(), workers)]);
        let share = ring.share(&me);
        let own = Node {
            name: Some(me.clone()),
            address: None,
            state: NodeState::Own,
            workers,
            share,
            ring: Some(ring.version()),
            flaps: 0,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        };
        Self {
            ring: Arc::new(ring),
            nodes: vec![own],
            me,
            own: true,
            links: BTreeMap::new(),
            hearers: Vec::new(),
        }
    }

    /// Where a replica on the ring is reached; `None` for ourselves and for those that are not there.
    #[must_use]
    pub fn address(&self, node: &NodeName) -> Option<SocketAddr> {
        self.links.get(node)?.address()
    }

    /// The way to the other replica that owns what falls on the seat; `None` when we do, or nobody does. Who is on the
    /// ring can be reached, so it is there for every other owner.
    #[must_use]
    pub fn way(&self, seat: &str) -> Option<Way> {
        let Owner { node, worker } = self.ring.owner(seat)?;
        let peer = self.links.get(node)?.peer().clone();
        Some(Way { node: node.clone(), worker, peer })
    }

    /// Whether the name on the ring is ourselves.
    ///
    /// Not when a replica of our name was started later: everybody else sends our sessions there, so we do too.
    #[must_use]
    pub fn is_me(&self, node: &NodeName) -> bool {
        self.own && *node == self.me
    }

    /// Our own name.
    #[must_use]
    pub fn me(&self) -> &NodeName {
        &self.me
    }

    /// Whether nothing would change with the other in its place. The rings are compared by who compares them.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        type Way<'a> = (&'a NodeName, &'a Arc<Link>);
        let same = |(a, b): (Way<'_>, Way<'_>)| a.0 == b.0 && Arc::ptr_eq(a.1, b.1);
        let hearers = self.hearers.iter().map(|(name, link)| (name, link));
        self.own == other.own
            && self.nodes == other.nodes
            && self.links.len() == other.links.len()
            && self.links.iter().zip(&other.links).all(same)
            && self.hearers.len() == other.hearers.len()
            && hearers.zip(other.hearers.iter().map(|(name, link)| (name, link))).all(same)
    }
}

impl Own {
    fn seniority(&self) -> (u64, Instance) {
        (self.started_ms, self.instance)
    }
}

/// Decides who is who. Whoever is given the same candidates decides the same.
pub(super) fn choose(own: &Own, left: bool, candidates: &[Candidate]) -> Chosen {
    let mut peers: BTreeMap<NodeName, (usize, &Candidate, &Status)> = BTreeMap::new();
    let mut clashes = Vec::new();
    for (place, candidate) in candidates.iter().enumerate() {
        let Some(status) = &candidate.status else { continue };
        if candidate.standing != Standing::Up || status.instance == own.instance {
            continue;
        }
        match peers.get_mut(&status.node) {
            None => {
                peers.insert(status.node.clone(), (place, candidate, status));
            }
            Some(before) => {
                if before.2.instance != status.instance {
                    clashes.push(status.node.clone());
                }
                if rank(candidate, status) > rank(before.1, before.2) {
                    *before = (place, candidate, status);
                }
            }
        }
    }
    let mut is_own = true;
    if let Some((_, _, status)) = peers.get(&own.name) {
        clashes.push(own.name.clone());
        if status.seniority() > own.seniority() {
            is_own = false;
        } else {
            peers.remove(&own.name);
        }
    }
    // Whoever leaves when nobody can take over keeps what it has to the end.
    if left && peers.values().any(|(_, _, status)| status.workers > 0) {
        is_own = false;
    }
    clashes.sort_unstable();
    clashes.dedup();
    let peers = peers.into_iter().map(|(name, (place, ..))| (name, place)).collect();
    Chosen { peers, own: is_own, clashes }
}

/// Of several candidates of a name the greatest is taken: of two replicas the one that was started later, of two
/// addresses of one replica the one that it says itself, or else the first.
fn rank(candidate: &Candidate, status: &Status) -> (u64, Instance, bool, Reverse<SocketAddr>) {
    let Found { address, host } = &candidate.found;
    let name = status.node.as_str();
    let found_as = |host: &str| name == format!("{host}:{}", address.port());
    let is_advertised = name == address.to_string() || found_as(host);
    (status.started_ms, status.instance, is_advertised, Reverse(*address))
}

/// What is shown of all that is known. A replica with several addresses is shown once.
pub(super) fn nodes(
    own: &Own,
    chosen: &Chosen,
    candidates: &[Candidate],
    ring: &Ring,
) -> Vec<Node> {
    let mut nodes = vec![Node {
        name: Some(own.name.clone()),
        address: None,
        state: NodeState::Own,
        workers: own.workers,
        share: if chosen.own { ring.share(&own.name) } else { 0.0 },
        ring: Some(ring.version()),
        flaps: 0,
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    }];
    let instance = |candidate: &Candidate| candidate.status.as_ref().map(|status| status.instance);
    let chosen: Vec<usize> = chosen.peers.values().copied().collect();
    let mut shown: Vec<Instance> = vec![own.instance];
    shown.extend(chosen.iter().filter_map(|place| instance(candidates.get(*place)?)));
    for (place, candidate) in candidates.iter().enumerate() {
        let is_chosen = chosen.contains(&place);
        if let Some(instance) = instance(candidate).filter(|_| !is_chosen) {
            if shown.contains(&instance) {
                continue;
            }
            shown.push(instance);
        }
        nodes.push(node(candidate, is_chosen, ring));
    }
    nodes
}

fn node(candidate: &Candidate, is_chosen: bool, ring: &Ring) -> Node {
    let status = candidate.status.as_ref();
    let share = status.filter(|_| is_chosen).map_or(0.0, |status| ring.share(&status.node));
    let state = match candidate.standing {
        Standing::Up if is_chosen => NodeState::Up,
        Standing::Up => NodeState::Displaced,
        Standing::Down => NodeState::Down,
        Standing::Draining => NodeState::Draining,
    };
    Node {
        name: status.map(|status| status.node.clone()),
        address: Some(candidate.found.address),
        state,
        workers: status.map_or(0, |status| status.workers),
        share,
        ring: status.map(|status| status.ring),
        flaps: candidate.flaps,
        version: status.map(|status| status.version.clone()),
    }
}

#[cfg(test)]
mod tests;

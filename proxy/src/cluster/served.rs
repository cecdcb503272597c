//! What the edge and the admin listener need of a cluster.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::HeaderValue;
use mcp_core::{secret::Secret, session::WeakKey};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Cluster, Membership, Node, NodeState};
use crate::{
    hop::{CannotSign, Hop, HopChecker},
    metrics::{ReplicaFigures, labels},
    ring::{NodeName, Ring},
};

/// How long a request waits for the ring to change that found a replica's port shut.
const RING_PATIENCE: Duration = Duration::from_millis(300);

/// The replicas, for those who look at us.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct View {
    /// Version of the ring, hexadecimal: equal on all replicas that see the same members.
    pub version: String,
    /// The replica that says this.
    pub node: NodeName,
    /// All that are known.
    pub nodes: Vec<NodeView>,
}

/// A replica, for those who look at us.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name; the address where it was found while it has never answered.
    pub name: NodeName,
    /// Number of its workers.
    pub workers: u16,
    /// `up`, `down`, `draining` or `displaced`.
    pub state: String,
    /// Part of all sessions that falls to it, from 0 to 1.
    pub share: f64,
    /// How often it fell without saying so.
    pub flaps: u64,
    /// Version of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it is the one that says this.
    #[serde(rename = "self", default)]
    pub is_self: bool,
}

/// Tells when a replica that passes a stream on is about to end: it is no longer on the ring, or the process that passes
/// the stream on says so, as one does in whose place another goes on under the same name.
#[derive(Debug)]
pub struct Departure {
    ends: Arc<CancellationToken>,
    changed: watch::Receiver<u64>,
    cluster: Arc<Cluster>,
    node: NodeName,
    was_there: bool,
}

impl Cluster {
    /// Our name among the replicas.
    #[must_use]
    pub const fn me(&self) -> &NodeName {
        &self.me
    }

    /// Most replicas that a request may pass through after the first.
    #[must_use]
    pub fn hops_max(&self) -> u8 {
        self.others.as_ref().map_or(0, |others| others.hops_max)
    }

    /// Signs what is passed on to another replica; none where there are none.
    ///
    /// # Errors
    /// [`CannotSign`].
    #[must_use]
    pub fn sign(
        &self,
        hop: &Hop,
        method: &str,
        path: &str,
    ) -> Option<Result<HeaderValue, CannotSign>> {
        let others = self.others.as_ref()?;
        Some(others.shared.letters.pass_on(hop, method, path))
    }

    /// Checks what other replicas pass on to us; none where there are none.
    #[must_use]
    pub fn checker(&self) -> Option<HopChecker> {
        let others = self.others.as_ref()?;
        let keys = Arc::clone(&others.keys);
        let checker = HopChecker::new(keys, self.me().clone(), others.clock_skew, others.started);
        Some(checker.after(others.shared.letters.first_answers()))
    }

    /// Signs with other keys from now on.
    ///
    /// # Errors
    /// [`WeakKey`]; nothing has changed then.
    pub fn rekey(&self, secrets: &[Secret]) -> Result<(), WeakKey> {
        self.others.as_ref().map_or(Ok(()), |others| others.keys.replace(secrets))
    }

    /// Whether we have begun to say goodbye to the others.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        let others = self.others.as_ref();
        others.is_some_and(|others| others.shared.leaving.load(Ordering::Relaxed))
    }

    /// Waits a little for the ring to change, after a replica's port was found shut.
    pub async fn ring_to_change(&self, from: u64) {
        let mut changed = self.changed();
        // Whatever comes of it, the ring is asked again.
        drop(timeout(RING_PATIENCE, changed.wait_for(|version| *version != from)).await);
    }

    /// Tells when whoever passed on a request is about to end.
    #[must_use]
    pub fn departure(self: &Arc<Self>, hop: &Hop) -> Departure {
        let node = hop.from.clone();
        let (cluster, was_there) = (Arc::clone(self), self.membership().has(&node));
        let ends = self.passed.through(hop.signer);
        Departure { ends, changed: self.changed(), cluster, node, was_there }
    }

    /// The replicas, for those who look at us.
    #[must_use]
    pub fn view(&self) -> View {
        let membership = self.membership();
        let nodes = membership.nodes.iter().filter_map(NodeView::of).collect();
        View { nodes, ..View::empty(&membership.ring, membership.me().clone()) }
    }

    /// Replicas that are known, and cannot be told anything: they do not answer, and may serve all the same.
    #[must_use]
    pub fn out_of_reach(&self) -> u64 {
        let is_out = |node: &&Node| node.state == NodeState::Down && node.name.is_some();
        let count = self.membership().nodes.iter().filter(is_out).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// What is counted of replicas.
    #[must_use]
    pub fn figures(&self) -> ReplicaFigures {
        let membership = self.membership();
        let count =
            |wanted: NodeState| membership.nodes.iter().filter(|node| node.state == wanted).count();
        let own = membership.nodes.iter().find(|node| node.state == NodeState::Own);
        ReplicaFigures {
            name: membership.me().as_str().to_owned(),
            ring_version: membership.ring.version(),
            nodes: vec![
                (labels::NodeState::Up, count(NodeState::Up)),
                (labels::NodeState::Down, count(NodeState::Down) + count(NodeState::Displaced)),
                (labels::NodeState::Draining, count(NodeState::Draining)),
            ],
            owned_share: own.map_or(0.0, |own| own.share),
            ..ReplicaFigures::default()
        }
    }
}

impl Departure {
    /// Waits for it.
    ///
    /// Of one that was not on the ring when this was made, only its own word tells.
    pub async fn come(&mut self) {
        let gone = async {
            if !self.was_there {
                return std::future::pending().await;
            }
            while self.cluster.membership().has(&self.node) {
                if self.changed.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = self.ends.cancelled() => {}
            () = gone => {}
        }
    }
}

impl Membership {
    /// Whether the ring is without us: we are about to stop, or only route.
    #[must_use]
    pub fn is_without_me(&self) -> bool {
        !self.own
    }

    /// Whether the replica is one that takes requests: ourselves, or one on the ring.
    #[must_use]
    pub fn has(&self, node: &NodeName) -> bool {
        *node == self.me || self.links.contains_key(node)
    }
}

impl View {
    /// The view of a ring whose replicas are all up.
    #[must_use]
    pub fn of(ring: &Ring) -> Self {
        let node = |(name, workers): &(NodeName, u16)| NodeView {
            name: name.clone(),
            workers: *workers,
            state: NodeState::Up.word().to_owned(),
            share: ring.share(name),
            flaps: 0,
            version: None,
            is_self: false,
        };
        let nodes = ring.nodes().iter().map(node).collect();
        Self { nodes, ..Self::empty(ring, NodeName::local()) }
    }

    fn empty(ring: &Ring, node: NodeName) -> Self {
        Self { version: format!("{:012x}", ring.version()), node, nodes: Vec::new() }
    }
}

impl NodeView {
    fn of(node: &Node) -> Option<Self> {
        let found = || node.address.and_then(|address| NodeName::parse(&address.to_string()).ok());
        let is_self = node.state == NodeState::Own;
        Some(Self {
            name: node.name.clone().or_else(found)?,
            workers: node.workers,
            state: if is_self { NodeState::Up.word() } else { node.state.word() }.to_owned(),
            share: node.share,
            flaps: node.flaps,
            version: node.version.clone(),
            is_self,
        })
    }

    /// Whether sessions fall to it.
    #[must_use]
    pub fn owns(&self) -> bool {
        self.state == NodeState::Up.word() && self.share > 0.0
    }
}

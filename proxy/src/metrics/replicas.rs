//! The series of sessions over many replicas: the ring, the hops, and the store.

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge};

use super::{
    family::{Family, Maker},
    labels::{Hop, NodeState},
    series::raise,
};

/// What is known of replicas and stored sessions at the moment of a scrape.
#[derive(Debug, Clone, Default)]
pub struct ReplicaFigures {
    /// Version of the ring: equal on all replicas that see the same members.
    pub ring_version: u64,
    /// Other replicas by what they are.
    pub nodes: Vec<(NodeState, usize)>,
    /// Part of all sessions that falls to this replica.
    pub owned_share: f64,
    /// Sessions whose id was good and of which nothing was left.
    pub lost: u64,
    /// Operations of the store and how they ended, both words of ours.
    pub store: Vec<(&'static str, &'static str, u64)>,
    /// How often the store came back without what was written.
    pub store_losses: u64,
    /// Whether the store answers; none where there is none.
    pub store_is_up: Option<bool>,
}

#[derive(Debug)]
pub(super) struct Replicas {
    pub(super) hops: Family<Hop, IntCounter>,
    ring_version: IntGauge,
    nodes: Family<NodeState, IntGauge>,
    owned_share: Gauge,
    lost: IntCounter,
    store: IntCounterVec,
    store_losses: IntCounter,
    store_is_up: IntGauge,
}

impl Replicas {
    pub(super) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            hops: make.counter_family(
                "hops_total",
                "Requests passed on to another replica, or taken from one.",
                "outcome",
            )?,
            ring_version: make.gauge(
                "ring_version",
                "Version of the ring; replicas that see the same members have the same.",
            )?,
            nodes: make.gauge_family("ring_nodes", "Other replicas.", "state")?,
            owned_share: make
                .share("ring_owned_share", "Part of all sessions that falls to this replica.")?,
            lost: make.counter(
                "sessions_lost_total",
                "Requests for sessions whose id was good and of which nothing was left.",
            )?,
            store: make.counters(
                "store_operations_total",
                "Operations of the session store.",
                &["operation", "outcome"],
            )?,
            store_losses: make.counter(
                "store_losses_total",
                "Times that the session store came back and may have lacked what was written.",
            )?,
            store_is_up: make.gauge(
                "store_up",
                "Whether the session store answers; 1 where sessions are kept in memory alone.",
            )?,
        })
    }

    /// Brings the series up to date.
    pub(super) fn show(&self, figures: &ReplicaFigures) {
        self.ring_version.set(i64::try_from(figures.ring_version).unwrap_or(i64::MAX));
        for (state, count) in &figures.nodes {
            if let Some(gauge) = self.nodes.of(*state) {
                gauge.set(i64::try_from(*count).unwrap_or(i64::MAX));
            }
        }
        self.owned_share.set(figures.owned_share);
        raise(&self.lost, figures.lost);
        for (operation, outcome, count) in &figures.store {
            if let Ok(counter) = self.store.get_metric_with_label_values(&[operation, outcome]) {
                raise(&counter, *count);
            }
        }
        raise(&self.store_losses, figures.store_losses);
        self.store_is_up.set(i64::from(figures.store_is_up.unwrap_or(true)));
    }
}

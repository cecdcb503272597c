//! The series of sessions over many replicas: the ring, the hops, and the store.

use std::{sync::Arc, time::Duration};

use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{
    catalogue::Key,
    family::{Family, Maker},
    labels::{Hop, Label as _, NodeState, StoreOperation, StoreOutcome},
    series::{gauge_value, raise},
};

/// What is known of replicas and stored sessions at the moment of a scrape.
#[derive(Debug, Clone, Default)]
pub struct ReplicaFigures {
    /// The name of this one among the replicas.
    pub name: String,
    /// Version of the ring: equal on all replicas that see the same members.
    pub ring_version: u64,
    /// Other replicas by what they are.
    pub nodes: Vec<(NodeState, usize)>,
    /// Part of all sessions that falls to this replica.
    pub owned_share: f64,
    /// Sessions whose id was good and of which nothing was left.
    pub lost: u64,
    /// Operations of the store and how often they ended how.
    pub store: Vec<StoreCount>,
    /// How often the store came back without what was written.
    pub store_losses: u64,
    /// Whether the store answers; none where there is none.
    pub store_is_up: Option<bool>,
}

/// How often an operation of the store ended so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreCount {
    /// What was asked.
    pub operation: StoreOperation,
    /// How it ended.
    pub outcome: StoreOutcome,
    /// How often.
    pub count: u64,
}

/// How long operations of the store take; clones count together.
#[derive(Debug, Clone)]
pub struct StoreTimes(Arc<Family<StoreOperation, Histogram>>);

#[derive(Debug)]
pub(super) struct Replicas {
    pub(super) hops: Family<Hop, IntCounter>,
    pub(super) hop_seconds: Histogram,
    info: IntGaugeVec,
    ring_version: IntGauge,
    nodes: Family<NodeState, IntGauge>,
    owned_share: Gauge,
    lost: IntCounter,
    store: IntCounterVec,
    pub(super) store_times: StoreTimes,
    store_losses: IntCounter,
    store_is_up: IntGauge,
}

impl StoreTimes {
    /// An operation took this long.
    pub fn observe(&self, operation: StoreOperation, took: Duration) {
        if let Some(seconds) = self.0.of(operation) {
            seconds.observe(took.as_secs_f64());
        }
    }
}

impl Replicas {
    pub(super) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            hops: make.counter_family(
                "hops_total",
                "Requests passed on to another replica, or taken from one.",
                "outcome",
            )?,
            hop_seconds: make.duration(
                "hop_duration_seconds",
                "Time from the moment at which a request was passed on whole to the header of the other replica's answer.",
            )?,
            info: make.gauges(
                "replica_info",
                "Who this process is to other replicas; always 1.",
                &[Key::named("replica", "its name, as `cluster.advertise` has it; `local` where it is alone")],
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
                &[Key::of::<StoreOperation>("operation"), Key::of::<StoreOutcome>("outcome")],
            )?,
            store_times: StoreTimes(Arc::new(make.seconds_family(
                "store_operation_duration_seconds",
                "Duration of operations of the session store, however they ended.",
                "operation",
            )?)),
            store_losses: make.counter(
                "store_losses_total",
                "Times that the session store came back and may have lacked what was written.",
            )?,
            store_is_up: make.switch(
                "store_up",
                "Whether the session store answers; 1 where sessions are kept in memory alone.",
            )?,
        })
    }

    /// Brings the series up to date.
    pub(super) fn show(&self, figures: &ReplicaFigures) {
        self.info.with_label_values(&[&figures.name]).set(1);
        self.ring_version.set(gauge_value(figures.ring_version));
        for (state, count) in &figures.nodes {
            if let Some(gauge) = self.nodes.of(*state) {
                gauge.set(i64::try_from(*count).unwrap_or(i64::MAX));
            }
        }
        self.owned_share.set(figures.owned_share);
        raise(&self.lost, figures.lost);
        for StoreCount { operation, outcome, count } in &figures.store {
            let labels = [operation.label(), outcome.label()];
            if let Ok(counter) = self.store.get_metric_with_label_values(&labels) {
                raise(&counter, *count);
            }
        }
        raise(&self.store_losses, figures.store_losses);
        self.store_is_up.set(i64::from(figures.store_is_up.unwrap_or(true)));
    }
}

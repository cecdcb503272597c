//! Metrics that carry a label from a closed set, resolved once so that counting is one atomic add.

use std::marker::PhantomData;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
    core::{Collector, MetricVec, MetricVecBuilder},
};

use super::labels::Label;

/// Bounds of the duration buckets, in seconds.
///
/// From a `ping` (well under a millisecond) to the longest call that a default configuration lets
/// run (120 s). Streams last longer and are counted in the last, open bucket.
const SECONDS: [f64; 17] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 120.0,
];

/// Metrics of one name that differ in one label, one for each value of `L`.
#[derive(Debug)]
pub(super) struct Family<L, M> {
    each: Box<[M]>,
    label: PhantomData<fn(L)>,
}

impl<L: Label, M> Family<L, M> {
    /// The metric for `value`.
    ///
    /// Always there, since the family is filled from `L::ALL`; an `Option` rather than a panic, for
    /// the sake of the request that counts.
    pub(super) fn of(&self, value: L) -> Option<&M> {
        self.each.get(value.index())
    }

    /// Makes the metric of each value of `L`.
    pub(super) fn fill<E>(make: impl Fn(L) -> Result<M, E>) -> Result<Self, E> {
        let each = L::ALL.iter().map(|value| make(*value)).collect::<Result<_, E>>()?;
        Ok(Self { each, label: PhantomData })
    }

    /// Resolves the metrics of `vec` whose first labels are `before` and whose last is of `L`.
    pub(super) fn resolve<B>(vec: &MetricVec<B>, before: &[&str]) -> prometheus::Result<Self>
    where
        B: MetricVecBuilder<M = M>,
        M: prometheus::core::Metric,
    {
        Self::fill(|value: L| {
            let labels: Vec<&str> = before.iter().copied().chain([value.label()]).collect();
            vec.get_metric_with_label_values(&labels)
        })
    }
}

impl<L: Label> Family<L, IntCounter> {
    /// Adds one to the counter for `value`.
    pub(super) fn inc(&self, value: L) {
        if let Some(counter) = self.of(value) {
            counter.inc();
        }
    }
}

/// Makes metrics and puts them into a registry.
#[derive(Debug)]
pub(super) struct Maker<'a>(pub(super) &'a Registry);

impl Maker<'_> {
    pub(super) fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.registered(IntCounter::with_opts(opts(name, help))?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.registered(IntGauge::with_opts(opts(name, help))?)
    }

    pub(super) fn share(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.registered(Gauge::with_opts(opts(name, help))?)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.registered(IntCounterVec::new(opts(name, help), labels)?)
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntGaugeVec> {
        self.registered(IntGaugeVec::new(opts(name, help), labels)?)
    }

    /// Gauges of times: moments or lengths, in seconds with their fraction.
    pub(super) fn moments(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<GaugeVec> {
        self.registered(GaugeVec::new(opts(name, help), labels)?)
    }

    pub(super) fn seconds(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::from(opts(name, help)).buckets(SECONDS.to_vec());
        self.registered(HistogramVec::new(opts, &[label])?)
    }

    /// A family of counters with the one label `label`.
    pub(super) fn counter_family<L: Label>(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> prometheus::Result<Family<L, IntCounter>> {
        Family::resolve(&self.counters(name, help, &[label])?, &[])
    }

    /// A family of gauges with the one label `label`.
    pub(super) fn gauge_family<L: Label>(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> prometheus::Result<Family<L, IntGauge>> {
        Family::resolve(&self.gauges(name, help, &[label])?, &[])
    }

    /// A family of durations with the one label `label`.
    pub(super) fn seconds_family<L: Label>(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> prometheus::Result<Family<L, Histogram>> {
        Family::resolve(&self.seconds(name, help, label)?, &[])
    }

    fn registered<C: Collector + Clone + 'static>(&self, metric: C) -> prometheus::Result<C> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("promgate")
}

//! Metrics that carry a label from a closed set, resolved once so that counting is one atomic add.

use std::{cell::RefCell, marker::PhantomData};

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
    core::{Collector, MetricVec, MetricVecBuilder},
    process_collector::ProcessCollector,
};

use super::{
    catalogue::{Catalogue, Described, Key, Kind, Unit},
    labels::Label,
};

/// What the name of each metric of ours begins with.
const NAMESPACE: &str = "promgate";

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

/// Makes metrics, puts them into a registry, and keeps what each of them is.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    registry: &'a Registry,
    described: RefCell<Vec<Described>>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(registry: &'a Registry) -> Self {
        Self { registry, described: RefCell::default() }
    }

    /// What was made.
    pub(super) fn catalogue(self) -> Catalogue {
        Catalogue::new(self.described.into_inner())
    }

    /// What another library counts of this process, under names of its own.
    pub(super) fn process(&self, collector: ProcessCollector) -> prometheus::Result<()> {
        for metric in collector.desc() {
            let is_counter = metric.fq_name.ends_with("_total");
            let kind = if is_counter { Kind::Counter } else { Kind::Gauge };
            let name = metric.fq_name.clone();
            let unit = Unit::of(&name);
            self.describe(Described {
                name,
                kind,
                unit,
                keys: Vec::new(),
                help: metric.help.clone(),
            });
        }
        self.registry.register(Box::new(collector))
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.note((name, help), Kind::Counter, &[]);
        self.registered(IntCounter::with_opts(opts(name, help))?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.note((name, help), Kind::Gauge, &[]);
        self.registered(IntGauge::with_opts(opts(name, help))?)
    }

    /// A gauge that is 1 for yes and 0 for no.
    pub(super) fn switch(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.note_as((name, help), (Kind::Gauge, Unit::Switch), &[]);
        self.registered(IntGauge::with_opts(opts(name, help))?)
    }

    /// A gauge from 0 to 1.
    pub(super) fn share(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.note_as((name, help), (Kind::Gauge, Unit::Share), &[]);
        self.registered(Gauge::with_opts(opts(name, help))?)
    }

    /// One series of durations.
    pub(super) fn duration(&self, name: &str, help: &str) -> prometheus::Result<Histogram> {
        self.note((name, help), Kind::Histogram, &[]);
        let opts = HistogramOpts::from(opts(name, help)).buckets(SECONDS.to_vec());
        self.registered(Histogram::with_opts(opts)?)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        keys: &[Key],
    ) -> prometheus::Result<IntCounterVec> {
        self.note((name, help), Kind::Counter, keys);
        self.registered(IntCounterVec::new(opts(name, help), &names(keys))?)
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        keys: &[Key],
    ) -> prometheus::Result<IntGaugeVec> {
        self.note((name, help), Kind::Gauge, keys);
        self.registered(IntGaugeVec::new(opts(name, help), &names(keys))?)
    }

    /// Gauges of times: moments or lengths, in seconds with their fraction.
    pub(super) fn moments(
        &self,
        name: &str,
        help: &str,
        keys: &[Key],
    ) -> prometheus::Result<GaugeVec> {
        self.note((name, help), Kind::Gauge, keys);
        self.registered(GaugeVec::new(opts(name, help), &names(keys))?)
    }

    pub(super) fn seconds(
        &self,
        name: &str,
        help: &str,
        key: Key,
    ) -> prometheus::Result<HistogramVec> {
        self.note((name, help), Kind::Histogram, &[key]);
        let opts = HistogramOpts::from(opts(name, help)).buckets(SECONDS.to_vec());
        self.registered(HistogramVec::new(opts, &[key.name])?)
    }

    /// A family of counters with the one label `label`.
    pub(super) fn counter_family<L: Label>(
        &self,
        name: &str,
        help: &str,
        label: &'static str,
    ) -> prometheus::Result<Family<L, IntCounter>> {
        Family::resolve(&self.counters(name, help, &[Key::of::<L>(label)])?, &[])
    }

    /// A family of gauges with the one label `label`.
    pub(super) fn gauge_family<L: Label>(
        &self,
        name: &str,
        help: &str,
        label: &'static str,
    ) -> prometheus::Result<Family<L, IntGauge>> {
        Family::resolve(&self.gauges(name, help, &[Key::of::<L>(label)])?, &[])
    }

    /// A family of durations with the one label `label`.
    pub(super) fn seconds_family<L: Label>(
        &self,
        name: &str,
        help: &str,
        label: &'static str,
    ) -> prometheus::Result<Family<L, Histogram>> {
        Family::resolve(&self.seconds(name, help, Key::of::<L>(label))?, &[])
    }

    fn note(&self, about: (&str, &str), kind: Kind, keys: &[Key]) {
        self.note_as(about, (kind, Unit::of(about.0)), keys);
    }

    fn note_as(&self, (name, help): (&str, &str), (kind, unit): (Kind, Unit), keys: &[Key]) {
        let name = format!("{NAMESPACE}_{name}");
        let (keys, help) = (keys.to_vec(), help.to_owned());
        self.describe(Described { name, kind, unit, keys, help });
    }

    fn describe(&self, metric: Described) {
        self.described.borrow_mut().push(metric);
    }

    fn registered<C: Collector + Clone + 'static>(&self, metric: C) -> prometheus::Result<C> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn names(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(NAMESPACE)
}

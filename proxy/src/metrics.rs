//! What is counted, for `/metrics`.
//!
//! Every series is made when the process starts, or for a backend when a reload names it first: label values
//! come from closed sets ([`labels`]), from our own tool names and from the configured backend names. What a client sends
//! never becomes a label. A [`Catalogue`] describes every
//! metric; `docs/metrics.md` is the same as a page, and a test keeps it so.

pub mod labels;

pub mod catalogue;

mod family;

mod series;

mod admission;
mod process;

mod replicas;

mod sinks;

mod traces;

use std::{fmt, time::Duration};

use jsonwebtoken_jwks::refused::Reason;
use mcp_core::{
    config::BackendName,
    observe::{BackendOutcome, Observer, ToolOutcome},
    server::Figures,
};
use parking_lot::Mutex;
use prometheus::{
    IntCounter, IntGauge, Registry, TextEncoder, process_collector::ProcessCollector,
};

use self::{
    admission::Admission,
    catalogue::{Catalogue, Key},
    family::Maker,
    labels::{Hop, Limit, Listener, Rejection, ReloadOutcome, RpcMethod, StreamKind, TokenOutcome},
    process::Process,
    replicas::Replicas,
    series::{Backends, Edge, Tool, Worker, wide},
    sinks::Sinks,
};
pub use self::{
    admission::{AdmissionFigures, KeyFigures},
    process::{Bounds, ProcessFigures},
    replicas::{ReplicaFigures, StoreCount, StoreTimes},
    series::Finished,
    sinks::{SinkCounters, SinkFigures, SinkSource},
    traces::TraceCounters,
};

use crate::config::CertificateEnd;

/// Media type of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics of this process, in a registry of their own.
pub struct Metrics {
    registry: Registry,
    edge: Edge,
    tools: Vec<Tool>,
    other_tool: Tool,
    backends: Backends,
    workers: Vec<Worker>,
    sinks: Sinks,
    sink_source: Mutex<Option<SinkSource>>,
    traces: TraceCounters,
    panics: IntCounter,
    /// Held for the length of a scrape, so that two scrapes do not both add the same growth.
    source: Mutex<Option<WorkerSource>>,
    admission: Admission,
    admission_source: Mutex<Option<AdmissionSource>>,
    replicas: Replicas,
    replica_source: Mutex<Option<ReplicaSource>>,
    process: Process,
    process_source: Mutex<Option<ProcessSource>>,
}

/// The metrics could not be set up or written. Only a mistake in this module can cause it.
#[derive(Debug, thiserror::Error)]
#[error("the metrics are not well formed")]
pub struct MetricsError(#[from] prometheus::Error);

/// What the metrics are about.
#[derive(Debug, Clone, Copy)]
pub struct Subjects<'a> {
    /// Names of our tools.
    pub tools: &'a [&'static str],
    /// Names of the configured backends.
    pub backends: &'a [BackendName],
    /// Number of workers.
    pub workers: usize,
}

/// Gives the figures of every worker, in the order of their numbers.
pub type WorkerSource = Box<dyn Fn() -> Vec<Figures> + Send + Sync>;

/// Gives what is known of tokens and of every issuer's keys.
pub type AdmissionSource = Box<dyn Fn() -> AdmissionFigures + Send + Sync>;

/// Gives what is known of replicas and stored sessions.
pub type ReplicaSource = Box<dyn Fn() -> ReplicaFigures + Send + Sync>;

/// Gives what is known of the process as a whole.
pub type ProcessSource = Box<dyn Fn() -> ProcessFigures + Send + Sync>;

/// Something that is counted as long as it exists.
#[derive(Debug)]
#[must_use = "it counts only while it is held"]
pub struct Held(Option<IntGauge>);

impl Metrics {
    /// Makes every series that there will be, but for those of backends that are learnt of later.
    ///
    /// # Errors
    /// [`MetricsError`] when two metrics have one name, which is a mistake in this module.
    pub fn new(subjects: Subjects<'_>) -> Result<Self, MetricsError> {
        Ok(Self::described(subjects)?.0)
    }

    /// Describes every metric that there is.
    ///
    /// # Errors
    /// [`MetricsError`] as with [`Metrics::new`].
    pub fn catalogue() -> Result<Catalogue, MetricsError> {
        let subjects = Subjects { tools: &[], backends: &[], workers: 0 };
        Ok(Self::described(subjects)?.1)
    }

    fn described(subjects: Subjects<'_>) -> Result<(Self, Catalogue), MetricsError> {
        let registry = Registry::new();
        let make = Maker::new(&registry);
        make.process(ProcessCollector::for_self())?;
        let version = Key::named("version", "of the program");
        make.gauges("build_info", "The version that runs; always 1.", &[version])?
            .get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?
            .set(1);
        let edge = Edge::new(&make)?;
        let (tools, other_tool) = Tool::all(&make, subjects.tools)?;
        let backends = Backends::new(&make, subjects.backends)?;
        let workers = Worker::all(&make, subjects.workers)?;
        let sinks = Sinks::new(&make)?;
        let traces = TraceCounters::new(&make)?;
        let panics = make.counter("panics_total", "Panics caught; each is a fault of ours.")?;
        let source = Mutex::new(None);
        let admission = Admission::new(&make)?;
        let replicas = Replicas::new(&make)?;
        let process = Process::new(&make)?;
        admission.started(true);
        let catalogue = make.catalogue();
        let metrics = Self {
            registry,
            edge,
            tools,
            other_tool,
            backends,
            workers,
            sinks,
            sink_source: Mutex::new(None),
            traces,
            panics,
            source,
            admission,
            admission_source: Mutex::new(None),
            replicas,
            replica_source: Mutex::new(None),
            process,
            process_source: Mutex::new(None),
        };
        Ok((metrics, catalogue))
    }

    /// Makes the series of backends that a reload brought. Series of those that are gone stay; past 256
    /// backends, those that come are counted together under `other`.
    ///
    /// # Errors
    /// [`MetricsError`] when a series cannot be made, which is a mistake in this module.
    pub fn learn_backends(&self, names: &[BackendName]) -> Result<(), MetricsError> {
        Ok(self.backends.learn(names)?)
    }

    /// Counts a request as in flight while the answer is held.
    pub fn request_started(&self) -> Held {
        Held::take(&self.edge.in_flight)
    }

    /// A client's request ended.
    pub fn request_finished(&self, finished: &Finished) {
        self.edge.finished(finished);
    }

    /// A listener takes at most so many connections at once.
    pub fn connections_bounded(&self, listener: Listener, max: usize) {
        if let Some(gauge) = self.edge.connections_max.of(listener) {
            gauge.set(wide(max));
        }
    }

    /// Counts a connection as open while the answer is held.
    pub fn connection_opened(&self, listener: Listener) -> Held {
        self.edge.connections.of(listener).map_or(Held(None), Held::take)
    }

    /// A connection was refused before a byte of it was read.
    pub fn connection_refused(&self, listener: Listener) {
        self.edge.connections_refused.inc(listener);
    }

    /// The edge refused a request.
    pub fn rejected(&self, reason: Rejection) {
        self.edge.rejections.inc(reason);
    }

    /// A JSON-RPC message arrived.
    pub fn rpc_called(&self, method: RpcMethod) {
        self.edge.rpc_calls.inc(method);
    }

    /// Counts a stream as open while the answer is held.
    pub fn stream_opened(&self, kind: StreamKind) -> Held {
        self.edge.streams.of(kind).map_or(Held(None), Held::take)
    }

    /// Something ran into a configured bound.
    pub fn limit_reached(&self, limit: Limit) {
        self.edge.limits.inc(limit);
    }

    /// A panic was caught.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// A token was looked at.
    pub fn token(&self, outcome: TokenOutcome) {
        self.admission.tokens.inc(outcome);
    }

    /// A token was refused.
    pub fn token_refused(&self, reason: Reason) {
        self.admission.refused.inc(reason);
    }

    /// The configuration was read again.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.admission.loaded(outcome);
    }

    /// Says where the figures of tokens and keys come from. Asked once for each scrape.
    pub fn read_admission_from(&self, source: AdmissionSource) {
        *self.admission_source.lock() = Some(source);
    }

    /// Says when certificates end.
    pub fn certify(&self, certificates: &[CertificateEnd]) {
        self.process.certify(certificates);
    }

    /// What the session store counts of its time.
    #[must_use]
    pub fn store_times(&self) -> StoreTimes {
        self.replicas.store_times.clone()
    }

    /// A request was passed on to another replica, or taken from one.
    pub fn hop(&self, hop: Hop) {
        self.replicas.hops.inc(hop);
    }

    /// What was passed on was answered after this time.
    pub fn hop_took(&self, took: Duration) {
        self.replicas.hop_seconds.observe(took.as_secs_f64());
    }

    /// Says what the bounds are.
    pub fn bound(&self, bounds: &Bounds) {
        self.process.bound(bounds);
        for worker in &self.workers {
            worker.sessions_max.set(wide(bounds.sessions_max));
            worker.calls_max.set(wide(bounds.calls_max));
        }
    }

    /// Says where the figures of the process come from. Asked once for each scrape.
    pub fn read_process_from(&self, source: ProcessSource) {
        *self.process_source.lock() = Some(source);
    }

    /// Says where the figures of replicas come from. Asked once for each scrape.
    pub fn read_replicas_from(&self, source: ReplicaSource) {
        *self.replica_source.lock() = Some(source);
    }

    /// What a sink of access records counts.
    ///
    /// # Errors
    /// [`MetricsError`] when a series cannot be made, which is a mistake in this module.
    pub fn sink(&self, name: &str) -> Result<SinkCounters, MetricsError> {
        Ok(self.sinks.of(name)?)
    }

    /// Says where the figures of the sinks come from. Asked once for each scrape.
    pub fn read_sinks_from(&self, source: SinkSource) {
        *self.sink_source.lock() = Some(source);
    }

    /// The counters that tracing keeps.
    #[must_use]
    pub fn traces(&self) -> TraceCounters {
        self.traces.clone()
    }

    /// Says where the workers' figures come from. Asked once for each scrape.
    pub fn read_workers_from(&self, source: WorkerSource) {
        *self.source.lock() = Some(source);
    }

    /// Everything counted so far, in the text format of Prometheus.
    ///
    /// # Errors
    /// [`MetricsError`] when a metric cannot be written as text.
    pub fn render(&self) -> Result<Vec<u8>, MetricsError> {
        let source = self.source.lock();
        if let Some(source) = source.as_ref() {
            for (worker, figures) in self.workers.iter().zip(source()) {
                worker.catch_up(&figures);
            }
        }
        let admission = self.admission_source.lock();
        if let Some(admission) = admission.as_ref() {
            self.admission.show(&admission());
        }
        let replicas = self.replica_source.lock();
        if let Some(replicas) = replicas.as_ref() {
            self.replicas.show(&replicas());
        }
        let process = self.process_source.lock();
        if let Some(process) = process.as_ref() {
            self.process.show(&process());
        }
        let sinks = self.sink_source.lock();
        if let Some(sinks) = sinks.as_ref() {
            self.sinks.show(&sinks());
        }
        self.process.show_log();
        let mut text = String::new();
        TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text)?;
        drop((source, admission, replicas, process, sinks));
        Ok(text.into_bytes())
    }
}

impl Observer for Metrics {
    fn tool_called(&self, name: &'static str, outcome: ToolOutcome, took: Duration) {
        let named = self.tools.iter().find(|known| known.name == name);
        let series = named.unwrap_or(&self.other_tool);
        series.calls.inc(outcome);
        series.seconds.observe(took.as_secs_f64());
    }

    fn backend_called(&self, name: &BackendName, outcome: BackendOutcome, took: Duration) {
        self.backends.called(name, outcome, took);
    }

    fn backend_asked(&self, name: &BackendName) {
        self.backends.asked(name);
    }

    fn backend_left(&self, name: &BackendName) {
        self.backends.left(name);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Held {
    fn take(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(Some(gauge.clone()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(gauge) = &self.0 {
            gauge.dec();
        }
    }
}

#[cfg(test)]
mod tests;

//! The series of each subject: the edge, a tool, a backend, a worker.

use std::{collections::HashMap, time::Duration};

use mcp_core::{
    config::BackendName,
    observe::{BackendOutcome, ToolOutcome},
    server::Figures,
};
use parking_lot::RwLock;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};

use super::{
    family::{Family, Maker},
    labels::{
        HttpMethod, Label, Limit, Outcome, Rejection, RpcMethod, SessionEnd, StatusCode, StreamKind,
    },
};

/// Most backends with series of their own. Those that a reload removed keep theirs, as a counter that vanishes
/// and comes back looks like a restart; so reloads with ever new names must end somewhere.
const BACKENDS_MAX: usize = 256;
/// Label of a tool or backend that is not known, or of backends beyond [`BACKENDS_MAX`].
const OTHER: &str = "other";

#[derive(Debug)]
pub(super) struct Edge {
    pub(super) requests: Family<HttpMethod, Family<StatusCode, IntCounter>>,
    pub(super) seconds: Family<HttpMethod, Histogram>,
    pub(super) outcomes: Family<Outcome, IntCounter>,
    pub(super) in_flight: IntGauge,
    pub(super) connections: IntGauge,
    pub(super) connections_refused: IntCounter,
    pub(super) rejections: Family<Rejection, IntCounter>,
    pub(super) rpc_calls: Family<RpcMethod, IntCounter>,
    pub(super) streams: Family<StreamKind, IntGauge>,
    pub(super) limits: Family<Limit, IntCounter>,
}

#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) calls: Family<ToolOutcome, IntCounter>,
    pub(super) seconds: Histogram,
}

/// The series of all backends.
#[derive(Debug)]
pub(super) struct Backends {
    requests: IntCounterVec,
    seconds: HistogramVec,
    known: RwLock<HashMap<BackendName, Backend>>,
    other: Backend,
}

#[derive(Debug)]
struct Backend {
    requests: Family<BackendOutcome, IntCounter>,
    seconds: Histogram,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) sessions: IntGauge,
    pub(super) calls: IntGauge,
    pub(super) opened: IntCounter,
    pub(super) restored: IntCounter,
    pub(super) refused: IntCounter,
    pub(super) ended: Family<SessionEnd, IntCounter>,
}

impl Edge {
    pub(super) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        let requests =
            make.counters("requests_total", "Requests answered.", &["method", "code"])?;
        Ok(Self {
            requests: Family::fill(|method: HttpMethod| {
                Family::resolve(&requests, &[method.label()])
            })?,
            seconds: make.seconds_family(
                "request_duration_seconds",
                "Time from a request's header to the last byte of its answer.",
                "method",
            )?,
            outcomes: make.counter_family(
                "request_outcomes_total",
                "Requests by how they ended.",
                "outcome",
            )?,
            in_flight: make.gauge("requests_in_flight", "Requests being served.")?,
            connections: make.gauge("connections_open", "Client connections open.")?,
            connections_refused: make
                .counter("connections_refused_total", "Client connections refused.")?,
            rejections: make.counter_family(
                "rejected_total",
                "Requests that the edge refused.",
                "reason",
            )?,
            rpc_calls: make.counter_family(
                "rpc_messages_total",
                "JSON-RPC messages received.",
                "rpc_method",
            )?,
            streams: make.gauge_family("streams_open", "Event streams open.", "kind")?,
            limits: make.counter_family(
                "limit_reached_total",
                "Times that a configured bound was reached.",
                "limit",
            )?,
        })
    }
}

impl Tool {
    /// One for each of `names`, and one for the rest.
    pub(super) fn all(
        make: &Maker<'_>,
        names: &[&'static str],
    ) -> prometheus::Result<(Vec<Self>, Self)> {
        let calls = make.counters("tool_calls_total", "Tool calls.", &["tool", "outcome"])?;
        let seconds =
            make.seconds("tool_call_duration_seconds", "Duration of tool calls.", "tool")?;
        let one = |name: &'static str| {
            Ok(Self {
                name,
                calls: Family::resolve(&calls, &[name])?,
                seconds: seconds.get_metric_with_label_values(&[name])?,
            })
        };
        let known = names.iter().map(|name| one(name)).collect::<prometheus::Result<_>>()?;
        Ok((known, one(OTHER)?))
    }
}

impl Backends {
    /// One for each of `names`, and one for the rest.
    pub(super) fn new(make: &Maker<'_>, names: &[BackendName]) -> prometheus::Result<Self> {
        let requests = make.counters(
            "backend_requests_total",
            "Requests to metrics backends.",
            &["backend", "outcome"],
        )?;
        let seconds = make.seconds(
            "backend_request_duration_seconds",
            "Duration of requests to metrics backends.",
            "backend",
        )?;
        let other = Backend::new(&requests, &seconds, OTHER)?;
        let backends = Self { requests, seconds, known: RwLock::default(), other };
        backends.learn(names)?;
        Ok(backends)
    }

    /// Makes the series of those that have none yet.
    pub(super) fn learn(&self, names: &[BackendName]) -> prometheus::Result<()> {
        let mut known = self.known.write();
        for name in names {
            if known.len() < BACKENDS_MAX && !known.contains_key(name) {
                let backend = Backend::new(&self.requests, &self.seconds, name.as_str())?;
                known.insert(name.clone(), backend);
            }
        }
        Ok(())
    }

    /// Counts a request to the backend.
    pub(super) fn called(&self, name: &BackendName, outcome: BackendOutcome, took: Duration) {
        let known = self.known.read();
        let backend = known.get(name).unwrap_or(&self.other);
        backend.requests.inc(outcome);
        backend.seconds.observe(took.as_secs_f64());
    }
}

impl Backend {
    fn new(
        requests: &IntCounterVec,
        seconds: &HistogramVec,
        name: &str,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            requests: Family::resolve(requests, &[name])?,
            seconds: seconds.get_metric_with_label_values(&[name])?,
        })
    }
}

impl Worker {
    pub(super) fn all(make: &Maker<'_>, count: usize) -> prometheus::Result<Vec<Self>> {
        let by_worker = ["worker"];
        let sessions = make.gauges("sessions_open", "MCP sessions open.", &by_worker)?;
        let calls = make.gauges("calls_in_flight", "Calls being served.", &by_worker)?;
        let opened = make.counters("sessions_opened_total", "MCP sessions opened.", &by_worker)?;
        let restored = make.counters(
            "sessions_restored_total",
            "MCP sessions that began with another worker and went on with this one.",
            &by_worker,
        )?;
        let refused = make.counters(
            "sessions_refused_total",
            "MCP sessions refused because there were too many.",
            &by_worker,
        )?;
        let ended =
            make.counters("sessions_ended_total", "MCP sessions ended.", &["worker", "reason"])?;
        let one = |number: usize| {
            let number = number.to_string();
            let label = [number.as_str()];
            Ok(Self {
                sessions: sessions.get_metric_with_label_values(&label)?,
                calls: calls.get_metric_with_label_values(&label)?,
                opened: opened.get_metric_with_label_values(&label)?,
                restored: restored.get_metric_with_label_values(&label)?,
                refused: refused.get_metric_with_label_values(&label)?,
                ended: Family::resolve(&ended, &label)?,
            })
        };
        (0..count).map(one).collect()
    }

    /// Brings the series up to what the worker counted.
    pub(super) fn catch_up(&self, figures: &Figures) {
        self.sessions.set(gauge_value(figures.sessions));
        self.calls.set(gauge_value(figures.calls));
        raise(&self.opened, figures.sessions_opened);
        raise(&self.restored, figures.sessions_restored);
        raise(&self.refused, figures.sessions_refused);
        for (reason, count) in [
            (SessionEnd::Deleted, figures.sessions_deleted),
            (SessionEnd::Idle, figures.sessions_idle),
            (SessionEnd::Expired, figures.sessions_expired),
            (SessionEnd::Released, figures.sessions_released),
            (SessionEnd::Revoked, figures.sessions_revoked),
        ] {
            if let Some(counter) = self.ended.of(reason) {
                raise(counter, count);
            }
        }
    }
}

fn gauge_value(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Raises `counter` to `count`. A counter never falls, so a smaller `count` changes nothing.
pub(super) fn raise(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

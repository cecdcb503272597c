//! The series of each subject: the edge, a tool, a backend, a worker.

use std::{collections::HashMap, time::Duration};

use mcp_core::{
    config::BackendName,
    observe::{BackendOutcome, ToolOutcome},
    server::Figures,
};
use parking_lot::RwLock;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{
    catalogue::Key,
    family::{Family, Maker},
    labels::{
        HttpMethod, Label, Limit, Listener, Outcome, Rejection, RpcMethod, SessionEnd, StatusCode,
        StreamKind,
    },
};

/// Most backends with series of their own. Those that a reload removed keep theirs, as a counter that vanishes
/// and comes back looks like a restart; so reloads with ever new names must end somewhere.
const BACKENDS_MAX: usize = 256;
/// Label of a tool or backend that is not known, or of backends beyond [`BACKENDS_MAX`].
const OTHER: &str = "other";

/// A client's request that is over.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// Its method.
    pub method: HttpMethod,
    /// The status of its answer; none when no answer was begun.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// The method of the message in it, if it was read so far.
    pub rpc: Option<RpcMethod>,
    /// Time from its header to the last byte of its answer.
    pub took: Duration,
    /// Size of its body, as far as it was read.
    pub bytes_in: u64,
    /// Size of the answer's body, as far as it was sent.
    pub bytes_out: u64,
}

#[derive(Debug)]
pub(super) struct Edge {
    pub(super) requests: Family<HttpMethod, Family<StatusCode, IntCounter>>,
    pub(super) seconds: Family<HttpMethod, Histogram>,
    pub(super) outcomes: Family<Outcome, IntCounter>,
    pub(super) rpc_seconds: Family<RpcMethod, Histogram>,
    pub(super) received_bytes: IntCounter,
    pub(super) sent_bytes: IntCounter,
    pub(super) in_flight: IntGauge,
    pub(super) connections: Family<Listener, IntGauge>,
    pub(super) connections_max: Family<Listener, IntGauge>,
    pub(super) connections_refused: Family<Listener, IntCounter>,
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
    in_flight: IntGaugeVec,
    known: RwLock<HashMap<BackendName, Backend>>,
    other: Backend,
}

#[derive(Debug)]
struct Backend {
    requests: Family<BackendOutcome, IntCounter>,
    seconds: Histogram,
    in_flight: IntGauge,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) sessions: IntGauge,
    pub(super) calls: IntGauge,
    pub(super) sessions_max: IntGauge,
    pub(super) calls_max: IntGauge,
    pub(super) opened: IntCounter,
    pub(super) restored: IntCounter,
    pub(super) refused: IntCounter,
    pub(super) ended: Family<SessionEnd, IntCounter>,
}

impl Edge {
    pub(super) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        let keys = [Key::of::<HttpMethod>("method"), Key::of::<StatusCode>("code")];
        let requests = make.counters("requests_total", "Requests answered.", &keys)?;
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
            rpc_seconds: make.seconds_family(
                "rpc_duration_seconds",
                "Time from a request's header to the last byte of its answer, by the message in it. Refusals are left out, as they are fast and tell nothing of how long what is let in takes. A `subscriptions/listen` takes as long as its client listens.",
                "rpc_method",
            )?,
            received_bytes: make
                .counter("received_bytes_total", "Size of the bodies that clients sent.")?,
            sent_bytes: make
                .counter("sent_bytes_total", "Size of the bodies that clients were sent.")?,
            in_flight: make.gauge("requests_in_flight", "Requests being served.")?,
            connections: make.gauge_family("connections_open", "Connections open.", "listener")?,
            connections_max: make.gauge_family(
                "connections_max",
                "Most connections that may be open at once.",
                "listener",
            )?,
            connections_refused: make.counter_family(
                "connections_refused_total",
                "Connections that were closed unread, since there were too many.",
                "listener",
            )?,
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

impl Edge {
    /// Counts a client's request.
    pub(super) fn finished(&self, finished: &Finished) {
        let Finished { method, status, outcome, rpc, took, bytes_in, bytes_out } = *finished;
        if let Some(codes) = self.requests.of(method) {
            codes.inc(StatusCode::of(status.unwrap_or(0)));
        }
        if let Some(seconds) = self.seconds.of(method) {
            seconds.observe(took.as_secs_f64());
        }
        let served = rpc.filter(|_| was_served(outcome));
        if let Some(seconds) = served.and_then(|rpc| self.rpc_seconds.of(rpc)) {
            seconds.observe(took.as_secs_f64());
        }
        self.outcomes.inc(outcome);
        self.received_bytes.inc_by(bytes_in);
        self.sent_bytes.inc_by(bytes_out);
    }
}

/// Whether a request that ended so was let in and worked on. One whose client left was: clients leave what is slow.
const fn was_served(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Ok
        | Outcome::CallerError
        | Outcome::BackendError
        | Outcome::Timeout
        | Outcome::ClientGone
        | Outcome::Internal => true,
        Outcome::Rejected
        | Outcome::NotFound
        | Outcome::Unauthenticated
        | Outcome::Forbidden
        | Outcome::RateLimited
        | Outcome::UnknownSession
        | Outcome::TooLarge
        | Outcome::Overloaded
        | Outcome::SlowClient
        | Outcome::Unavailable => false,
    }
}

impl Tool {
    /// One for each of `names`, and one for the rest.
    pub(super) fn all(
        make: &Maker<'_>,
        names: &[&'static str],
    ) -> prometheus::Result<(Vec<Self>, Self)> {
        let tool = Key::named("tool", "a tool of ours, or `other`");
        let keys = [tool, Key::of::<ToolOutcome>("outcome")];
        let calls = make.counters("tool_calls_total", "Tool calls.", &keys)?;
        let seconds =
            make.seconds("tool_call_duration_seconds", "Duration of tool calls.", tool)?;
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
        let backend = Key::named("backend", "a configured backend, or `other` beyond 256 of them");
        let requests = make.counters(
            "backend_requests_total",
            "Requests to metrics backends.",
            &[backend, Key::of::<BackendOutcome>("outcome")],
        )?;
        let seconds = make.seconds(
            "backend_request_duration_seconds",
            "Duration of requests to metrics backends.",
            backend,
        )?;
        let in_flight = make.gauges(
            "backend_requests_in_flight",
            "Requests to metrics backends that wait for their answers.",
            &[backend],
        )?;
        let other = Backend::new(&requests, &seconds, &in_flight, OTHER)?;
        let backends = Self { requests, seconds, in_flight, known: RwLock::default(), other };
        backends.learn(names)?;
        Ok(backends)
    }

    /// Makes the series of those that have none yet.
    pub(super) fn learn(&self, names: &[BackendName]) -> prometheus::Result<()> {
        let mut known = self.known.write();
        for name in names {
            if known.len() < BACKENDS_MAX && !known.contains_key(name) {
                let (seconds, in_flight) = (&self.seconds, &self.in_flight);
                let backend = Backend::new(&self.requests, seconds, in_flight, name.as_str())?;
                known.insert(name.clone(), backend);
            }
        }
        Ok(())
    }

    /// Counts a request to the backend.
    pub(super) fn called(&self, name: &BackendName, outcome: BackendOutcome, took: Duration) {
        self.of(name, |backend| {
            backend.requests.inc(outcome);
            backend.seconds.observe(took.as_secs_f64());
        });
    }

    /// Counts a request as in flight.
    pub(super) fn asked(&self, name: &BackendName) {
        self.of(name, |backend| backend.in_flight.inc());
    }

    /// Counts it as in flight no longer.
    pub(super) fn left(&self, name: &BackendName) {
        self.of(name, |backend| backend.in_flight.dec());
    }

    fn of(&self, name: &BackendName, count: impl FnOnce(&Backend)) {
        count(self.known.read().get(name).unwrap_or(&self.other));
    }
}

impl Backend {
    fn new(
        requests: &IntCounterVec,
        seconds: &HistogramVec,
        in_flight: &IntGaugeVec,
        name: &str,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            requests: Family::resolve(requests, &[name])?,
            seconds: seconds.get_metric_with_label_values(&[name])?,
            in_flight: in_flight.get_metric_with_label_values(&[name])?,
        })
    }
}

impl Worker {
    pub(super) fn all(make: &Maker<'_>, count: usize) -> prometheus::Result<Vec<Self>> {
        let by_worker = [Key::named("worker", "the number of a worker, from 0")];
        let sessions = make.gauges("sessions_open", "MCP sessions open.", &by_worker)?;
        let calls = make.gauges("calls_in_flight", "Calls being served.", &by_worker)?;
        let sessions_max = make.gauges(
            "sessions_max",
            "Most MCP sessions that may be open in a worker.",
            &by_worker,
        )?;
        let calls_max =
            make.gauges("calls_max", "Most calls that a worker serves at once.", &by_worker)?;
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
        let [worker] = by_worker;
        let keys = [worker, Key::of::<SessionEnd>("reason")];
        let ended = make.counters("sessions_ended_total", "MCP sessions ended.", &keys)?;
        let one = |number: usize| {
            let number = number.to_string();
            let label = [number.as_str()];
            Ok(Self {
                sessions: sessions.get_metric_with_label_values(&label)?,
                calls: calls.get_metric_with_label_values(&label)?,
                sessions_max: sessions_max.get_metric_with_label_values(&label)?,
                calls_max: calls_max.get_metric_with_label_values(&label)?,
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

/// A count as a gauge holds it.
pub(super) fn gauge_value(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A number of things, or a size, as a gauge holds it.
pub(super) fn wide(count: usize) -> i64 {
    gauge_value(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Raises `counter` to `count`. A counter never falls, so a smaller `count` changes nothing.
pub(super) fn raise(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

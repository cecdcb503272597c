//! Traces of requests, for OpenTelemetry.
//!
//! A request belongs to the trace that its message names, or else its header, or else one that is made for it. Whether it
//! is *sampled*, so that its spans are kept and sent, is decided once, where the client reaches us. The spans are written
//! when the request is over ([`span`]), wait in a bounded queue, and a task of their own sends them: a receiver that is
//! slow or down costs spans, which are counted, and nothing else.
//!
//! A span says what happened and how long it took, never who asked or for what: its attributes are a closed list
//! ([`attribute`]), and no text of a client gets into one.
//!
//! Modules, in order: `attribute`, `span`, `sample`, `queue`, `export`.

pub mod attribute;

pub mod span;

mod sample;

mod queue;

mod export;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderName};
use mcp_core::trace::{Parent, SpanId, Told, Trace, TraceId, TraceState};
use serde::{Deserialize, Serialize};

use self::{
    export::Exporter,
    queue::{Queue, SPAN_BYTES_MAX},
    sample::Sampler,
};
use crate::{
    config::{Propagate, Traces},
    metrics::{TraceCounters, labels::TraceFlag},
    otlp::{ClientError, Resource},
};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What is derived from the span of a request: one number for all is drawn for each request, whatever it needs.
const WORKER: u64 = 1;
const HOP: u64 = 2;
const TRACE_HIGH: u64 = 3;
const TRACE_LOW: u64 = 4;
const DRAW: u64 = 5;

/// Traces requests, or only finds out which trace they belong to.
#[derive(Debug)]
pub struct Tracer {
    ids: Ids,
    /// None: spans are neither made nor sent.
    on: Option<On>,
}

#[derive(Debug)]
struct On {
    sampler: Sampler,
    propagate: Propagate,
    queue: Arc<Queue>,
    exporter: Exporter,
    counters: TraceCounters,
}

/// Tracing cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TracerError {
    /// The system gives no randomness for ids.
    #[error("cannot make ids of traces")]
    Random(#[from] getrandom::Error),
    /// The receiver's client cannot be made.
    #[error("cannot send traces")]
    Client(#[from] ClientError),
}

/// The trace of one request, and the place of the request in it.
#[derive(Debug, Clone)]
pub struct Traced {
    trace: TraceId,
    /// The request itself.
    span: SpanId,
    parent: Option<SpanId>,
    sampled: bool,
    state: Option<TraceState>,
    /// Another trace that led to this request.
    link: Option<Parent>,
    origin: Origin,
}

/// Where a trace came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It was made here.
    Made,
    /// The client named it, and whether it is sampled.
    Client { sampled: bool },
    /// Another replica found out. `decided` says that a header's flag was looked at.
    Replica { decided: bool },
}

/// What one replica tells another of a request's trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceHop {
    /// As in the header `traceparent`: the trace, the span that passes the request on, and whether it is sampled.
    parent: String,
    /// `tracestate`, to be passed on to backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Whether a header's flag was looked at; that of a message that names the same trace does not matter then.
    #[serde(default)]
    decided: bool,
}

/// The spans of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The request at this replica.
    Edge,
    /// Its message in a worker.
    Worker,
    /// Passing it on to another replica.
    Hop,
}

impl Tracer {
    /// Begins to trace as configured; without a configuration only the traces that clients name are found. Must be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// [`TracerError`] when ids or the receiver's client cannot be made.
    pub fn start(
        config: Option<&Traces>,
        resource: Resource<'_>,
        counters: TraceCounters,
    ) -> Result<Arc<Self>, TracerError> {
        let on = match config {
            Some(config) => {
                let queue = Arc::new(Queue::new(config.queue_max, counters.clone()));
                let exporter = Exporter::start(config, resource, &queue, counters.clone())?;
                let sampler = Sampler::new(config);
                Some(On { sampler, propagate: config.propagate, queue, exporter, counters })
            }
            None => None,
        };
        Ok(Arc::new(Self { ids: Ids::new()?, on }))
    }

    /// The trace of a client's request, as far as its header tells. None when it names none and none are made.
    #[must_use]
    pub fn begin(&self, headers: &HeaderMap) -> Option<Traced> {
        let parent = single(headers, &TRACEPARENT).and_then(Parent::parse);
        let Some(On { sampler, .. }) = &self.on else {
            return parent.map(|parent| self.of_client(parent, None, false));
        };
        let span = self.ids.span();
        let sampled = sampler.draws(Ids::draw_of(span));
        let state = || TraceState::parse_all(headers.get_all(TRACESTATE).iter());
        Some(match parent {
            Some(parent) => Traced { span, ..self.of_client(parent, state(), sampled) },
            None => Traced {
                trace: Ids::trace_of(span),
                span,
                parent: None,
                sampled,
                state: None,
                link: None,
                origin: Origin::Made,
            },
        })
    }

    /// The trace of a request that another replica passed on.
    #[must_use]
    pub fn arrived(&self, hop: &TraceHop) -> Option<Traced> {
        let parent = Parent::parse(hop.parent.as_bytes())?;
        let state = hop.state.as_deref().and_then(|state| TraceState::parse(state.as_bytes()));
        let traced = self.of_client(parent, state, parent.sampled && self.on.is_some());
        Some(Traced { origin: Origin::Replica { decided: hop.decided }, ..traced })
    }

    /// The client has been let in: where a client's flag is trusted, it decides now.
    pub fn let_in(&self, traced: &mut Traced) {
        if let (Some(on), Origin::Client { sampled }) = (&self.on, traced.origin) {
            on.trust(traced, sampled);
        }
    }

    /// The message names a trace of its own. It is the nearer one: the header may be of something in between.
    ///
    /// Spec: semantic conventions for MCP, "Context propagation".
    pub fn named(&self, traced: &mut Option<Traced>, parent: &str, state: Option<&str>) {
        let Some(named) = Parent::parse(parent.as_bytes()) else { return };
        let state = state.and_then(|state| TraceState::parse(state.as_bytes()));
        let Some(known) = traced else {
            *traced = Some(self.of_client(named, state, false));
            return;
        };
        let is_first = match known.origin {
            Origin::Made => true,
            Origin::Client { .. } => false,
            Origin::Replica { decided } => !decided,
        };
        let is_other = known.trace != named.trace;
        if is_other {
            let before = known.parent.filter(|_| matches!(known.origin, Origin::Client { .. }));
            known.link = before.map(|span| Parent { trace: known.trace, span, sampled: false });
            known.trace = named.trace;
            known.state = state;
            // What another replica passed on stands below its span; it has named the same trace by now.
            if !matches!(known.origin, Origin::Replica { .. }) {
                known.parent = Some(named.span);
            }
        }
        if known.origin == Origin::Made {
            known.parent = Some(named.span);
            known.origin = Origin::Client { sampled: named.sampled };
        }
        match &self.on {
            Some(on) if is_first => on.trust(known, named.sampled),
            Some(on) if is_other => on.trust_instead(known, named.sampled),
            Some(_) | None => {}
        }
    }

    /// What a call is told of its trace, below the span of its worker; `None` when it concerns nobody.
    #[must_use]
    pub fn call(&self, traced: &Traced) -> Option<Arc<Trace>> {
        let on = self.on.as_ref()?;
        let told = match on.propagate {
            Propagate::Off if !traced.sampled => return None,
            Propagate::Off => Told::Nothing,
            Propagate::Traceparent => Told::Parent(None),
            Propagate::Tracestate => Told::Parent(traced.state.clone()),
        };
        Some(Arc::new(Trace::new(traced.at(Place::Worker), told)))
    }

    /// What another replica is told of the trace.
    #[must_use]
    pub fn told_on(&self, traced: &Traced) -> TraceHop {
        let parent = traced.at(Place::Hop).text();
        TraceHop {
            parent: String::from_utf8_lossy(&parent).into_owned(),
            state: traced.state.as_ref().map(|state| state.as_str().to_owned()),
            decided: match traced.origin {
                Origin::Made => false,
                Origin::Client { .. } => true,
                Origin::Replica { decided } => decided,
            },
        }
    }

    /// Has spans sent, which `write` appends. What does not fit into the queue is counted.
    pub fn send(&self, write: impl FnOnce(&mut span::Spans<'_>)) {
        let Some(on) = &self.on else { return };
        let mut bytes = Vec::with_capacity(SPAN_BYTES_MAX);
        let mut spans = span::Spans::new(&mut bytes);
        write(&mut spans);
        let count = spans.count();
        on.counters.sampled();
        on.queue.push(&bytes, count);
    }

    /// Sends what waits, for as long as `limit` at most.
    pub async fn stop(&self, limit: Duration) {
        if let Some(on) = &self.on {
            on.exporter.stop(&on.queue, limit).await;
        }
    }

    fn of_client(&self, parent: Parent, state: Option<TraceState>, sampled: bool) -> Traced {
        let Parent { trace, span, sampled: flag } = parent;
        Traced {
            trace,
            span: self.ids.span(),
            parent: Some(span),
            sampled,
            state,
            link: None,
            origin: Origin::Client { sampled: flag },
        }
    }
}

impl On {
    /// Whoever is let in decides by its flag, if it is trusted and not too many do.
    fn trust(&self, traced: &mut Traced, flag: bool) {
        if !self.sampler.is_trusting() {
            return;
        }
        let followed = self.sampler.follows(flag);
        if followed {
            traced.sampled = flag;
        }
        self.counters.flag(if followed { TraceFlag::Followed } else { TraceFlag::Ignored });
    }

    /// The flag of a nearer trace decides in the place of the header's, for which the request was counted already.
    fn trust_instead(&self, traced: &mut Traced, flag: bool) {
        if flag != traced.sampled && self.sampler.follows(flag) {
            traced.sampled = flag;
        }
    }
}

impl Traced {
    /// The trace's id.
    #[must_use]
    pub const fn trace(&self) -> TraceId {
        self.trace
    }

    /// Whether its spans are kept.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// One of its spans here.
    #[must_use]
    pub const fn at(&self, place: Place) -> Parent {
        let span = match place {
            Place::Edge => self.span,
            Place::Worker => self.span.derived(WORKER),
            Place::Hop => self.span.derived(HOP),
        };
        Parent { trace: self.trace, span, sampled: self.sampled }
    }

    /// The span of somebody else below which the request stands.
    #[must_use]
    pub const fn parent(&self) -> Option<SpanId> {
        self.parent
    }

    /// Another trace that led to this request: the header's, where the message names one of its own.
    #[must_use]
    pub const fn link(&self) -> Option<Parent> {
        self.link
    }
}

/// The header's value, if it is there once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    Some(value.as_bytes())
}

/// Makes numbers that are unlike one another and unlike those of every other process, but for chance. They name spans and
/// guard nothing, so that a counter, mixed, is as good as more randomness.
#[derive(Debug)]
struct Ids {
    process: SpanId,
    next: AtomicU64,
}

impl Ids {
    fn new() -> Result<Self, getrandom::Error> {
        let process = loop {
            if let Some(process) = SpanId::new(getrandom::u64()?) {
                break process;
            }
        };
        Ok(Self { process, next: AtomicU64::new(1) })
    }

    fn span(&self) -> SpanId {
        self.process.derived(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The trace of a request without one, of which this is the span.
    fn trace_of(span: SpanId) -> TraceId {
        let half = |number| u128::from(u64::from_be_bytes(span.derived(number).bytes()));
        // Never zero, as both halves are of spans, which are not; but a type cannot say so.
        TraceId::new(half(TRACE_HIGH) << 64 | half(TRACE_LOW)).unwrap_or_else(TraceId::last)
    }

    /// A number that decides whether the request of this span is sampled.
    fn draw_of(span: SpanId) -> u32 {
        let [a, b, c, d, ..] = span.derived(DRAW).bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

#[cfg(test)]
mod tests;

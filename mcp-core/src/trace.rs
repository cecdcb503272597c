//! The trace that a call belongs to, as far as this crate takes part in it.
//!
//! Whoever serves a request makes a [`Trace`] for it. The tool and each question to a backend leave a [`Span`] in it,
//! and backends are told of it in a header. What becomes of the spans is not known here; neither are names or attributes
//! of OpenTelemetry. A span holds nothing that a caller or a backend wrote: only our own names, numbers and times.

mod context;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use http::HeaderValue;
use parking_lot::Mutex;

use crate::{
    config::BackendName,
    observe::{BackendOutcome, ToolOutcome},
};

pub use self::context::{Parent, SpanId, TraceId, TraceState};

/// Most spans that one call leaves; a tool asks one question, and each question is asked four times at most.
const SPANS_MAX: usize = 8;

/// What a call is told of the trace that it belongs to, and the spans that it leaves.
#[derive(Debug)]
pub struct Trace {
    /// The span below which the call happens.
    parent: Parent,
    /// The tool's span.
    tool: SpanId,
    told: Told,
    questions: AtomicU32,
    spans: Mutex<Vec<Span>>,
}

/// What backends are told of a trace.
#[derive(Debug, Clone, Default)]
pub enum Told {
    /// Nothing.
    #[default]
    Nothing,
    /// `traceparent`, and `tracestate` if there is one.
    Parent(Option<TraceState>),
}

/// Something that took time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its id.
    pub id: SpanId,
    /// The span in which it happened.
    pub parent: SpanId,
    /// When it began.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
    /// What happened.
    pub work: Work,
}

/// What happened in a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A tool ran.
    Tool {
        /// Its name, one of our own.
        name: &'static str,
        /// How it ended; `None` when it was given up.
        outcome: Option<ToolOutcome>,
    },
    /// A backend was asked.
    Backend {
        /// Which one.
        peer: Arc<Peer>,
        /// The HTTP method.
        method: http::Method,
        /// What was asked for, below the path of the backend's base address.
        path: &'static str,
        /// How often it was asked before in this call.
        resent: u32,
        /// How it answered.
        answer: Answer,
    },
}

/// A backend, as it is named in a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its configured name.
    pub backend: BackendName,
    /// Host of its address.
    pub host: Box<str>,
    /// Port of its address.
    pub port: u16,
}

/// How a backend answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// With this HTTP status, and a whole body.
    Whole(u16),
    /// With this HTTP status, if any, and then something failed.
    Failed(Option<u16>, BackendOutcome),
    /// Nobody waited for it any longer.
    GivenUp,
}

/// A span that has begun. What is dropped before it is ended was given up.
#[derive(Debug)]
#[must_use = "a span lasts as long as it is held"]
pub struct Open<'a> {
    trace: &'a Trace,
    /// None once it has ended.
    span: Option<Span>,
}

impl Trace {
    /// A trace in which a call happens below the span that `parent` names, and of which backends are told as `told`
    /// says. Only where `parent` is sampled are spans kept.
    #[must_use]
    pub const fn new(parent: Parent, told: Told) -> Self {
        let tool = parent.span.derived(1);
        Self { parent, tool, told, questions: AtomicU32::new(0), spans: Mutex::new(Vec::new()) }
    }

    /// A tool begins.
    pub fn tool(&self, name: &'static str) -> Open<'_> {
        let work = Work::Tool { name, outcome: None };
        self.open(self.tool, self.parent.span, work)
    }

    /// A question to a backend begins: one exchange over HTTP.
    pub fn backend(&self, peer: &Arc<Peer>, method: http::Method, path: &'static str) -> Open<'_> {
        let resent = self.questions.fetch_add(1, Ordering::Relaxed);
        let id = self.tool.derived(u64::from(resent) + 1);
        let peer = Arc::clone(peer);
        let work = Work::Backend { peer, method, path, resent, answer: Answer::GivenUp };
        self.open(id, self.tool, work)
    }

    /// Takes the spans that have ended so far, in the order in which they did.
    #[must_use]
    pub fn take(&self) -> Vec<Span> {
        std::mem::take(&mut self.spans.lock())
    }

    fn open(&self, id: SpanId, parent: SpanId, work: Work) -> Open<'_> {
        let started = Instant::now();
        Open { trace: self, span: Some(Span { id, parent, started, ended: started, work }) }
    }

    fn keep(&self, span: Span) {
        if !self.parent.sampled {
            return;
        }
        let mut spans = self.spans.lock();
        if spans.len() < SPANS_MAX {
            spans.push(Span { ended: Instant::now(), ..span });
        }
    }
}

impl Open<'_> {
    /// The headers `traceparent` and `tracestate` for whoever is asked in this span.
    #[must_use]
    pub fn headers(&self) -> Option<(HeaderValue, Option<HeaderValue>)> {
        let Told::Parent(state) = &self.trace.told else { return None };
        let Parent { trace, sampled, .. } = self.trace.parent;
        let span = self.span.as_ref()?.id;
        let state = state.as_ref().map(TraceState::header);
        Some((Parent { trace, span, sampled }.header(), state))
    }

    /// The tool has ended so.
    pub fn tool_ended(mut self, ended: ToolOutcome) {
        if let Some(Span { work: Work::Tool { outcome, .. }, .. }) = &mut self.span {
            *outcome = Some(ended);
        }
    }

    /// The backend has answered so.
    pub fn answered(mut self, answered: Answer) {
        if let Some(Span { work: Work::Backend { answer, .. }, .. }) = &mut self.span {
            *answer = answered;
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            self.trace.keep(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn backend() -> Arc<Peer> {
        let backend = BackendName::parse("main").unwrap();
        Arc::new(Peer { backend, host: "h".into(), port: 1 })
    }

    #[test]
    fn a_question_stands_below_its_tool_and_that_below_the_call() {
        let parent = Parent::parse(PARENT).unwrap();
        let trace = Trace::new(parent, Told::Nothing);
        let tool = trace.tool("t");
        trace.backend(&backend(), http::Method::POST, "/q").answered(Answer::Whole(405));
        trace.backend(&backend(), http::Method::GET, "/q").answered(Answer::Whole(200));
        tool.tool_ended(ToolOutcome::Ok);
        let spans = trace.take();
        let [first, second, tool] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(tool.parent, parent.span);
        assert_eq!((first.parent, second.parent), (tool.id, tool.id));
        assert_ne!(first.id, second.id);
        assert!(matches!(second.work, Work::Backend { resent: 1, answer: Answer::Whole(200), .. }));
        assert!(tool.started <= first.started && first.ended <= tool.ended);
        assert_eq!(trace.take(), []);
    }

    #[test]
    fn what_is_dropped_was_given_up() {
        let trace = Trace::new(Parent::parse(PARENT).unwrap(), Told::Nothing);
        drop(trace.tool("t"));
        drop(trace.backend(&backend(), http::Method::GET, "/q"));
        let works: Vec<_> = trace.take().into_iter().map(|span| span.work).collect();
        assert!(matches!(works[0], Work::Tool { outcome: None, .. }));
        assert!(matches!(works[1], Work::Backend { answer: Answer::GivenUp, .. }));
    }

    #[test]
    fn an_unsampled_trace_keeps_nothing_and_is_told_all_the_same() {
        let parent = Parent { sampled: false, ..Parent::parse(PARENT).unwrap() };
        let state = TraceState::parse(b"a=1");
        let trace = Trace::new(parent, Told::Parent(state));
        let asked = trace.backend(&backend(), http::Method::GET, "/q");
        let (header, state) = asked.headers().unwrap();
        let told = Parent::parse(header.as_bytes()).unwrap();
        assert_eq!((told.trace, told.sampled), (parent.trace, false));
        assert_ne!(told.span, parent.span);
        assert_eq!(state.unwrap(), "a=1");
        drop(asked);
        assert_eq!(trace.take(), []);
        let silent = Trace::new(parent, Told::Nothing);
        assert!(silent.tool("t").headers().is_none());
    }

    #[test]
    fn a_call_leaves_a_bounded_number_of_spans() {
        let trace = Trace::new(Parent::parse(PARENT).unwrap(), Told::Nothing);
        for _ in 0..100 {
            drop(trace.tool("t"));
        }
        assert_eq!(trace.take().len(), SPANS_MAX);
    }
}

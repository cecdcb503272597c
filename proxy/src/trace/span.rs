//! Spans, written as a receiver takes them.
//!
//! Spec: OTLP 1.10, `opentelemetry/proto/trace/v1/trace.proto`; semantic conventions for HTTP, RPC, generative AI and MCP.

use std::{
    io::Write as _,
    net::IpAddr,
    time::{Instant, SystemTime},
};

use mcp_core::trace::{self, Answer, Parent, Peer, SpanId, TraceId, Work};

use super::attribute::{self, Attribute};
use crate::{
    metrics::labels::{Label as _, Outcome},
    otlp::{
        ENTRY,
        protobuf::{Message, Value},
    },
};

/// Longest text of an attribute, in bytes; what is longer is cut. All texts are our own or the operator's.
const TEXT_BYTES_MAX: usize = 256;

/// Writes the spans of one request.
#[derive(Debug)]
pub struct Spans<'a> {
    out: &'a mut Vec<u8>,
    count: usize,
    clock: Clock,
}

/// What every span has.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Its trace and its id.
    pub at: Parent,
    /// The span in which it happened.
    pub parent: Option<SpanId>,
    /// Whether that is somebody else's.
    pub is_remote: bool,
    /// Its name: these, with a space between them.
    pub name: [&'a str; 2],
    /// Its part in the conversation.
    pub kind: Kind,
    /// When it began.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
    /// Another trace that led to it.
    pub link: Option<Parent>,
    /// Whether it failed.
    pub failed: bool,
}

/// The part of a span in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nobody else is told of it.
    Internal,
    /// It answers.
    Server,
    /// It asks.
    Client,
}

/// Writes the attributes of one span.
#[derive(Debug)]
pub struct Attributes<'m, 'o>(&'m mut Message<'o>);

impl<'a> Spans<'a> {
    /// Appends spans to `out`.
    #[must_use]
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, count: 0, clock: Clock::now() }
    }

    /// Number of spans written.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Writes one span.
    pub fn add(&mut self, head: &Head<'_>, attributes: impl FnOnce(&mut Attributes<'_, '_>)) {
        let clock = self.clock;
        Message(self.out).nested(ENTRY, |span| {
            span.bytes(1, &head.at.trace.bytes());
            span.bytes(2, &head.at.span.bytes());
            if let Some(parent) = head.parent {
                span.bytes(4, &parent.bytes());
            }
            span.nested(5, |name| head.write_name(name.0));
            span.uint(6, head.kind.number());
            span.fixed64(7, clock.unix_ns(head.started));
            span.fixed64(8, clock.unix_ns(head.ended));
            attributes(&mut Attributes(span));
            if let Some(link) = head.link {
                span.nested(13, |to| {
                    to.bytes(1, &link.trace.bytes());
                    to.bytes(2, &link.span.bytes());
                });
            }
            if head.failed {
                const ERROR: u64 = 2;
                span.nested(15, |status| status.uint(3, ERROR));
            }
            span.fixed32(16, flags(head.is_remote));
        });
        self.count += 1;
    }

    /// Writes the spans that a call left.
    pub fn of_call(&mut self, trace: TraceId, spans: &[trace::Span]) {
        for span in spans {
            let head = |name, kind, failed| Head {
                at: Parent { trace, span: span.id, sampled: true },
                parent: Some(span.parent),
                is_remote: false,
                name,
                kind,
                started: span.started,
                ended: span.ended,
                link: None,
                failed,
            };
            match &span.work {
                Work::Tool { name, outcome } => {
                    let outcome = outcome.map_or(Outcome::ClientGone, Outcome::from);
                    let failed = outcome != Outcome::Ok;
                    let head = head(["execute_tool", name], Kind::Internal, failed);
                    self.add(&head, |to| to.tool(name, outcome));
                }
                Work::Backend { peer, method, path, resent, answer } => {
                    let (status, error) = answered(*answer);
                    let head = head([method.as_str(), path], Kind::Client, error.is_some());
                    self.add(&head, |to| {
                        to.text(&attribute::HTTP_METHOD, method.as_str());
                        to.backend(peer, path, *resent);
                        to.http_end(status, error);
                    });
                }
            }
        }
    }
}

/// The status, and why it failed; an empty word stands for the status itself.
fn answered(answer: Answer) -> (Option<u16>, Option<&'static str>) {
    match answer {
        Answer::Whole(status) => (Some(status), (status >= 400).then_some("")),
        Answer::Failed(status, outcome) => (status, Some(outcome.label())),
        Answer::GivenUp => (None, Some("given_up")),
    }
}

impl Attributes<'_, '_> {
    /// A text.
    pub fn text(&mut self, attribute: &Attribute, value: &str) {
        let end = value.floor_char_boundary(TEXT_BYTES_MAX);
        self.put(attribute, Value::Text(value.get(..end).unwrap_or_default()));
    }

    /// An address.
    pub fn address(&mut self, attribute: &Attribute, address: IpAddr) {
        // As long as the longest of version 6, with a version 4 inside.
        let mut text = [0; 45];
        let mut rest = text.as_mut_slice();
        let is_written = write!(rest, "{address}").is_ok();
        let left = rest.len();
        let written = text.get(..text.len() - left).filter(|_| is_written);
        if let Some(text) = written.and_then(|written| std::str::from_utf8(written).ok()) {
            self.text(attribute, text);
        }
    }

    /// A whole number.
    pub fn int(&mut self, attribute: &Attribute, value: impl Into<i64>) {
        self.put(attribute, Value::Int(value.into()));
    }

    /// How an exchange over HTTP ended: its status, and why it failed. An empty word stands for the status.
    pub fn http_end(&mut self, status: Option<u16>, error: Option<&str>) {
        if let Some(status) = status {
            self.int(&attribute::HTTP_STATUS, status);
        }
        match (error, status) {
            (Some(""), Some(status)) => {
                let digits = [status / 100 % 10, status / 10 % 10, status % 10];
                let digits = digits.map(|digit| u8::try_from(digit).unwrap_or_default() + b'0');
                let text = std::str::from_utf8(&digits).unwrap_or_default();
                self.text(&attribute::ERROR_TYPE, text);
            }
            (Some(word), _) => self.text(&attribute::ERROR_TYPE, word),
            (None, _) => {}
        }
    }

    fn tool(&mut self, name: &str, outcome: Outcome) {
        // The operation stands at the worker's span: who counts it counts each call once.
        self.text(&attribute::GEN_AI_TOOL, name);
        self.text(&attribute::OUTCOME, outcome.label());
        if outcome != Outcome::Ok {
            self.text(&attribute::ERROR_TYPE, outcome.label());
        }
    }

    fn backend(&mut self, peer: &Peer, path: &str, resent: u32) {
        self.text(&attribute::URL_TEMPLATE, path);
        self.text(&attribute::SERVER_ADDRESS, &peer.host);
        self.int(&attribute::SERVER_PORT, peer.port);
        self.text(&attribute::BACKEND, peer.backend.as_str());
        if resent > 0 {
            self.int(&attribute::HTTP_RESEND, resent);
        }
    }

    fn put(&mut self, attribute: &Attribute, value: Value<'_>) {
        self.0.attribute(9, attribute.name, value);
    }
}

impl Head<'_> {
    fn write_name(&self, out: &mut Vec<u8>) {
        let [first, second] = self.name;
        out.extend_from_slice(first.as_bytes());
        if !second.is_empty() {
            out.push(b' ');
            out.extend_from_slice(second.as_bytes());
        }
    }
}

impl Kind {
    const fn number(self) -> u64 {
        match self {
            Self::Internal => 1,
            Self::Server => 2,
            Self::Client => 3,
        }
    }
}

/// W3C flags, then whether the parent is known to be remote, then whether it is.
const fn flags(is_remote: bool) -> u32 {
    const SAMPLED: u32 = 1;
    const HAS_IS_REMOTE: u32 = 0x100;
    const IS_REMOTE: u32 = 0x200;
    SAMPLED | HAS_IS_REMOTE | if is_remote { IS_REMOTE } else { 0 }
}

/// Tells the wall's time of what the other clock measured, so that spans of one request fit together even while somebody
/// sets the wall clock.
#[derive(Debug, Clone, Copy)]
struct Clock {
    instant: Instant,
    unix_ns: u64,
}

impl Clock {
    fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let unix_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        Self { instant: Instant::now(), unix_ns }
    }

    fn unix_ns(self, at: Instant) -> u64 {
        let ago = self.instant.saturating_duration_since(at);
        self.unix_ns.saturating_sub(u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX))
    }
}

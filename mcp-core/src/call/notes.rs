//! What a call tells whoever keeps the record.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    config::{BackendName, OrgId},
    observe::ToolOutcome,
    promql::{Form, Reading, Shape},
};

/// What calls keep of the PromQL that they ask, for the record. Whoever keeps no record of queries pays nothing
/// for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueryNotes {
    /// Nothing.
    #[default]
    Off,
    /// Fingerprint and shape.
    Shape,
    /// These, and the query without its values.
    Masked,
    /// These, and the query as it came.
    Clear,
}

/// Why an answer does not hold all that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truncation {
    /// An answer may not be larger.
    Size,
    /// The call asked for no more series.
    Limit,
    /// The names that follow are on another page.
    Page,
}

impl Truncation {
    /// The reason in one word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Limit => "limit",
            Self::Page => "page",
        }
    }
}

/// How much of what there is was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Series or names answered; a scalar or string is one.
    pub rows: usize,
    /// Series or names that there are.
    pub rows_total: usize,
    /// Why something is missing; `None` when nothing is.
    pub truncation: Option<Truncation>,
}

/// What is known of a call for its record. What is `None` is not known, or does not apply.
///
/// Nothing in it comes from a backend but numbers. Names of metrics, labels and functions, and [`Noted::query`],
/// are the caller's text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noted<'a> {
    /// Configured name of the backend that was asked.
    pub backend: Option<&'a str>,
    /// Tenant that was asked about: one that the configuration names.
    pub tenant: Option<&'a str>,
    /// How the tool ended.
    pub outcome: Option<ToolOutcome>,
    /// HTTP status of the backend's last answer; `None` when it gave none.
    pub upstream_status: Option<u16>,
    /// Time spent waiting for the backend, all tries together, also of a call that was given up.
    pub upstream_time: Option<Duration>,
    /// Tries after the first: connecting anew, and GET after a refused POST.
    pub retries: Option<u32>,
    /// What queries have in common that differ in values only: 16 hexadecimal digits.
    pub fingerprint: Option<&'a str>,
    /// How the query was read for fingerprint and shape.
    pub query_form: Option<Form>,
    /// What the query is made of.
    pub shape: Option<&'a Shape>,
    /// The query as [`QueryNotes`] says: masked or as it came. A query that cannot be parsed is never shown masked.
    pub query: Option<&'a str>,
    /// Length of the range of time that was asked for.
    pub range: Option<Duration>,
    /// Time between the points of a range query.
    pub step: Option<Duration>,
    /// Series or names answered; a scalar or string is one.
    pub rows: Option<u64>,
    /// Series or names that there are.
    pub rows_total: Option<u64>,
    /// Bytes of the tool's answer as JSON, without the JSON-RPC message around it.
    pub bytes: Option<u64>,
    /// Why the answer does not hold all that there is.
    pub truncation: Option<Truncation>,
}

/// What a call has noted so far.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) backend: OnceLock<BackendName>,
    pub(super) outcome: OnceLock<ToolOutcome>,
    pub(super) upstream: Upstream,
    tenant: OnceLock<OrgId>,
    query: OnceLock<Query>,
    times: OnceLock<(Duration, Option<Duration>)>,
    answered: OnceLock<Answered>,
    bytes: OnceLock<usize>,
}

/// A query, read when somebody asks for what it is, which is after the answer.
struct Query {
    text: Box<str>,
    notes: QueryNotes,
    reading: OnceLock<Reading>,
}

impl Notes {
    pub(super) fn note_target(&self, backend: &BackendName, tenant: Option<&OrgId>) {
        let _first_stays = self.backend.set(backend.clone());
        if let Some(tenant) = tenant {
            let _first_stays = self.tenant.set(tenant.clone());
        }
    }

    pub(super) fn note_query(&self, query: &str, notes: QueryNotes) {
        if notes != QueryNotes::Off {
            let query = Query { text: query.into(), notes, reading: OnceLock::new() };
            let _first_stays = self.query.set(query);
        }
    }

    pub(super) fn note_times(&self, range: Duration, step: Option<Duration>) {
        let _first_stays = self.times.set((range, step));
    }

    pub(super) fn note_answered(&self, answered: Answered) {
        let _first_stays = self.answered.set(answered);
    }

    pub(super) fn note_bytes(&self, bytes: usize) {
        let _first_stays = self.bytes.set(bytes);
    }

    pub(super) fn all(&self) -> Noted<'_> {
        let (times, answered) = (self.times.get(), self.answered.get());
        let (query, asked) = (self.query.get(), self.upstream.was_asked());
        let reading = query.map(Query::reading);
        Noted {
            backend: self.backend.get().map(BackendName::as_str),
            tenant: self.tenant.get().map(OrgId::as_str),
            outcome: self.outcome.get().copied(),
            upstream_status: self.upstream.status(),
            upstream_time: asked.then(|| self.upstream.time()),
            retries: asked.then(|| self.upstream.retries.load(Ordering::Relaxed)),
            fingerprint: reading.map(|reading| reading.fingerprint.as_str()),
            query_form: reading.map(|reading| reading.form),
            shape: reading.and_then(|reading| reading.shape.as_ref()),
            query: query.and_then(Query::shown),
            range: times.map(|(range, _)| *range),
            step: times.and_then(|(_, step)| *step),
            rows: answered.map(|answered| wide(answered.rows)),
            rows_total: answered.map(|answered| wide(answered.rows_total)),
            bytes: self.bytes.get().map(|bytes| wide(*bytes)),
            truncation: answered.and_then(|answered| answered.truncation),
        }
    }
}

/// Without the query, which may hold anything.
impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut notes = f.debug_struct("Notes");
        notes.field("backend", &self.backend.get()).field("outcome", &self.outcome.get());
        notes.finish_non_exhaustive()
    }
}

impl Query {
    fn reading(&self) -> &Reading {
        let masks = self.notes == QueryNotes::Masked;
        self.reading.get_or_init(|| Reading::of(&self.text, masks))
    }

    fn shown(&self) -> Option<&str> {
        match self.notes {
            QueryNotes::Off | QueryNotes::Shape => None,
            QueryNotes::Masked => self.reading().masked.as_deref(),
            QueryNotes::Clear => Some(&self.text),
        }
    }
}

/// What asking a backend came to, all questions of one call together.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    questions: AtomicU32,
    /// Zero: no answer.
    status: AtomicU16,
    retries: AtomicU32,
    time_us: AtomicU64,
}

/// A question that is being asked. Its time counts when it is dropped, so that a question counts that is given up.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    upstream: &'a Upstream,
    since: Instant,
}

impl Upstream {
    /// A question begins.
    pub(crate) fn ask(&self) -> Asking<'_> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        Asking { upstream: self, since: Instant::now() }
    }

    /// The backend answered with this status.
    pub(crate) fn note_status(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// The question is asked once more.
    pub(crate) fn note_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    fn was_asked(&self) -> bool {
        self.questions.load(Ordering::Relaxed) > 0
    }

    fn status(&self) -> Option<u16> {
        Some(self.status.load(Ordering::Relaxed)).filter(|status| *status > 0)
    }

    fn time(&self) -> Duration {
        Duration::from_micros(self.time_us.load(Ordering::Relaxed))
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let took = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.upstream.time_us.fetch_add(took, Ordering::Relaxed);
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

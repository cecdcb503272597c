//! The access log: one record for each request, in each of the places that are configured.
//!
//! A [`Record`] is a list of named facts; there is no way from a header map, a URL or a body into a record but through a
//! field of it or a header rule. A request pays for writing its record into a buffer, once for each format in use, and
//! for a copy into the queue of each sink that takes it. Each sink has a thread of its own, which seals and writes.
//!
//! What happens when a sink cannot take more is said by its `when_full`: records are dropped and counted, or requests
//! wait, or are refused, before anything of them is served. A record may stay in memory for a few hundredths of a
//! second, so a process that is killed outright loses what was not yet written.

pub mod chain;

mod short;

mod json;
mod plain;

pub mod pseudonym;

pub mod identity;

mod detect;

mod redact;
mod value;

mod record;

mod runs;

mod ecs;
mod line;
mod otlp;

mod facts;

mod output;
mod queue;

mod admission;

mod draw;

mod writer;

mod sink;

mod error;

mod open;

#[cfg(test)]
mod trial;

use std::{
    cell::RefCell,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderValue;

pub use self::{
    admission::{Admission, Unrecordable},
    error::AccessLogError,
    record::{Call, Event, Outline, Record, Tell, Tls},
    redact::{Arguments, RuledHeaders, Rules},
    value::{Format, Value},
};
use self::{
    admission::{Entry, Gates},
    draw::Draw,
    pseudonym::Pseudonyms,
    queue::Queue,
};
pub use crate::field::{Field, Kind};
use crate::{
    config::{self, Detectors, Share},
    expression::Filter,
    metrics::{Metrics, SinkFigures, labels::Outcome},
    otlp::Resource,
};

/// How long a log that is dropped without an end may try to write what is left.
const DROPPED: Duration = Duration::from_millis(200);

/// A handle to the access log; cheap to clone. The log ends when the last one is dropped.
#[derive(Clone)]
pub struct AccessLog(Option<Arc<Open>>);

struct Open {
    rules: Rules,
    sinks: Box<[Sink]>,
    /// Sinks that do not lose records; none where there is no such.
    gates: Option<Gates>,
    /// Chooses what is left out by a share.
    draw: Draw,
    /// Whether a filter looks at records.
    filtered: bool,
}

/// One place to which records go, as requests see it.
struct Sink {
    name: String,
    queue: Arc<Queue>,
    format: Format,
    filter: Option<Filter>,
    sample: Share,
}

thread_local! {
    /// Where a thread writes its records before they enter the queues, one buffer for each format, so that a queue's
    /// lock is held for a copy only. Bounded, since every text in a record is.
    static RECORDS: RefCell<[Vec<u8>; Format::ALL.len()]> =
        const { RefCell::new([const { Vec::new() }; Format::ALL.len()]) };
}

impl AccessLog {
    /// Opens all sinks and starts their threads. `resource` is who sends, for those that are told.
    ///
    /// # Errors
    /// [`AccessLogError`] when one cannot be opened or its thread not be started.
    pub fn start(
        config: &config::AccessLog,
        resource: Resource<'_>,
        metrics: &Metrics,
    ) -> Result<Self, AccessLogError> {
        if config.sinks.is_empty() {
            return Ok(Self(None));
        }
        let told = (resource, metrics);
        let sinks = config.sinks.iter().map(|sink| open::sink(sink, &config.audit, told));
        let open = Arc::new(Open::new(config, sinks.collect::<Result<_, _>>()?));
        let shown = Arc::downgrade(&open);
        metrics.read_sinks_from(Box::new(move || {
            shown.upgrade().map(|open| open.figures()).unwrap_or_default()
        }));
        Ok(Self(Some(open)))
    }

    /// Whether records go anywhere. When not, none need be built.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The rules of its records; none when it is off.
    #[must_use]
    pub fn rules(&self) -> Option<&Rules> {
        self.0.as_ref().map(|open| &open.rules)
    }

    /// Lets a request in whose record can be written, as every sink wants it: it may have to wait.
    ///
    /// # Errors
    /// [`Unrecordable`] when a sink that refuses cannot take another record.
    pub async fn admit(&self) -> Result<Admission, Unrecordable> {
        match self.0.as_ref().and_then(|open| open.gates.as_ref()) {
            Some(gates) => gates.admit().await,
            None => Ok(Admission::default()),
        }
    }

    /// Hands one record to the sinks that take it. Never waits: what there is no room for is dropped and counted, unless
    /// its request was let in with room for it.
    pub fn write(&self, told: &impl Tell, admission: &mut Admission) {
        let Some(open) = &self.0 else { return };
        let facts = open.filtered.then(|| facts::of(told));
        let spared = is_spared(told.outline());
        let number = if spared { 0 } else { open.number(told.request_id()) };
        RECORDS.with_borrow_mut(|records| {
            let mut written = [false; Format::ALL.len()];
            for (place, sink) in open.sinks.iter().enumerate() {
                let filter = sink.filter.as_ref().zip(facts.as_ref());
                if filter.is_some_and(|(filter, facts)| !filter.takes(facts))
                    || !(spared || sink.sample.holds(number))
                {
                    continue;
                }
                let format = sink.format.index();
                let (Some(bytes), Some(is_written)) =
                    (records.get_mut(format), written.get_mut(format))
                else {
                    continue;
                };
                if !*is_written {
                    bytes.clear();
                    told.write(sink.format, &open.rules, bytes);
                    *is_written = true;
                }
                sink.take(bytes, admission.entry(place));
            }
        });
        admission.use_up();
    }

    /// Opens files anew before the next write, for whoever moved the old ones away.
    ///
    /// When that fails a sink stays with its old file and says so.
    pub fn reopen(&self) {
        for sink in self.0.iter().flat_map(|open| &open.sinks) {
            sink.queue.reopen();
        }
    }

    /// Takes no more records and waits until everything taken is written, at most for `limit`.
    ///
    /// Blocks the thread; call it when no request is left.
    ///
    /// # Errors
    /// [`AccessLogError::NotFlushed`] when the sinks did not take it all within `limit`.
    pub fn flush_and_stop(&self, limit: Duration) -> Result<(), AccessLogError> {
        self.cut_and_stop(0, limit)
    }

    /// The same while so many `requests` are in service, which are cut off: their records count as lost.
    ///
    /// # Errors
    /// As [`AccessLog::flush_and_stop`].
    pub fn cut_and_stop(&self, requests: usize, limit: Duration) -> Result<(), AccessLogError> {
        let Some(open) = &self.0 else { return Ok(()) };
        if requests > 0 {
            tracing::warn!(
                requests,
                "requests are cut off at the end of the drain; their records count as dropped"
            );
        }
        let until = Instant::now() + limit;
        for sink in &open.sinks {
            // Those that cannot write give up a little earlier, so that they can say what they lost.
            sink.queue.stop(
                until.checked_sub(limit / 10).unwrap_or(until),
                u64::try_from(requests).unwrap_or(u64::MAX),
            );
        }
        let left = |sink: &Sink| sink.queue.wait_for_end(until);
        match open.sinks.iter().map(left).sum() {
            0 => Ok(()),
            bytes => Err(AccessLogError::NotFlushed { bytes }),
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("is_on", &self.is_on()).finish()
    }
}

impl Open {
    fn new(config: &config::AccessLog, sinks: Box<[Sink]>) -> Self {
        Self {
            rules: Rules::new(config, Pseudonyms::of_log(config).map(Arc::new)),
            gates: open::gates(config, &sinks),
            draw: Draw::of_log(config),
            filtered: sinks.iter().any(|sink| sink.filter.is_some()),
            sinks,
        }
    }

    /// Where a request falls among all, the same for all its records. Seldom more than a look at the shares, so it is kept
    /// out of the way of each record.
    #[inline(never)]
    fn number(&self, request_id: &[u8]) -> u32 {
        if self.sinks.iter().all(|sink| sink.sample.is_all()) {
            return 0;
        }
        self.draw.number(request_id)
    }

    fn figures(&self) -> Vec<SinkFigures> {
        self.sinks.iter().map(|sink| sink.queue.figures(&sink.name)).collect()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        for sink in &self.sinks {
            sink.queue.stop(Instant::now() + DROPPED, 0);
        }
    }
}

impl Sink {
    fn take(&self, bytes: &[u8], entry: Entry) {
        match entry {
            Entry::IfRoom => self.queue.push(bytes),
            Entry::Spare => {
                // Counted as a request that was refused.
                self.queue.push_spare(bytes);
            }
            Entry::LetIn(permit) => self.queue.push_let_in(bytes, permit),
        }
    }
}

/// The id of a request as the log of the process may show it: a client's own may be a secret that it took for one.
#[must_use]
pub fn shown_id(id: &HeaderValue) -> HeaderValue {
    let text = id.as_bytes();
    let harmless = detect::is_id(text)
        || detect::Findings::in_text(text, text.len(), Detectors::ALL).is_none();
    if harmless { id.clone() } else { HeaderValue::from_static("***") }
}

/// Whether a record is written whatever the share: what went wrong, what was refused, and streams.
fn is_spared(Outline { event, status, outcome, reason }: Outline) -> bool {
    event != Event::Request
        || outcome != Outcome::Ok
        || reason.is_some()
        || status.is_none_or(|status| status >= 400)
}

#[cfg(test)]
mod tests;

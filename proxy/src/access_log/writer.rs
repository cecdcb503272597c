//! The queue of lines, measured in bytes, and the thread that empties it.
//!
//! There are two buffers. Requests append to one under a short lock; the thread swaps it for the
//! other and writes it out whole. The thread waits a little before it takes a small batch: under
//! load that makes one system call and one wake-up for hundreds of records instead of one for each.

use std::{
    io, mem,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::{Condvar, Mutex};

use super::{AccessLogError, line};
use crate::{metrics::LogCounters, telemetry::Chain};

/// Bytes that are written at once rather than waited with.
const BATCH_BYTES: usize = 64 << 10;

/// Largest buffer kept for the next batch; one that grew further in a burst is given back.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// How long a small batch waits for company. Short for whoever watches the log, long for a CPU.
const LINGER: Duration = Duration::from_millis(20);

/// Pause before writing again to an output that would block.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// Shortest time between two warnings about the output.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Where lines go.
pub(super) trait Sink: Send {
    /// Writes some of `bytes` and says how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Opens the place anew, or stays with the old one.
    fn reopen(&mut self) -> Result<(), AccessLogError>;
}

/// Lines that wait for the thread.
pub(super) struct Queue {
    state: Mutex<State>,
    /// The thread waits here for work.
    work: Condvar,
    /// Whoever stops the log waits here for its end.
    end: Condvar,
    bytes_max: usize,
    /// With so many bytes waiting, the thread lingers no longer.
    batch_bytes: usize,
    counters: LogCounters,
}

struct State {
    waiting: Vec<u8>,
    /// Records in `waiting`.
    records: u64,
    /// Bytes that the thread has taken and not finished; they count against the bound too.
    writing: usize,
    /// Records dropped that the log itself does not show yet.
    dropped: u64,
    thread: Thread,
    reopen: bool,
    stop: bool,
}

/// What the thread does, so that nobody wakes it needlessly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    Idle,
    Lingering,
    Busy,
    Ended,
}

/// What the thread took from the queue.
struct Batch {
    lines: Vec<u8>,
    records: u64,
    dropped: u64,
    reopen: bool,
    last: bool,
}

struct Writer {
    sink: Box<dyn Sink>,
    counters: LogCounters,
    /// Records lost that no line has told of yet.
    untold: u64,
    /// The output ends within a line.
    torn: bool,
    warned: Option<Instant>,
}

/// Starts the thread.
pub(super) fn start(
    sink: Box<dyn Sink>,
    bytes_max: usize,
    counters: LogCounters,
) -> io::Result<Arc<Queue>> {
    let batch_bytes = BATCH_BYTES.min(bytes_max / 2);
    let queue = Arc::new(Queue {
        state: Mutex::new(State {
            waiting: Vec::with_capacity(batch_bytes),
            records: 0,
            writing: 0,
            dropped: 0,
            thread: Thread::Busy,
            reopen: false,
            stop: false,
        }),
        work: Condvar::new(),
        end: Condvar::new(),
        bytes_max,
        batch_bytes,
        counters: counters.clone(),
    });
    let mut writer = Writer { sink, counters, untold: 0, torn: false, warned: None };
    let theirs = Arc::clone(&queue);
    thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run(&theirs))?;
    Ok(queue)
}

impl Queue {
    /// Takes one line, or drops it when there is no room or the log has stopped.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.state.lock();
        let taken = state.waiting.len().saturating_add(state.writing);
        if state.stop || line.len() > self.bytes_max.saturating_sub(taken) {
            state.dropped += 1;
            drop(state);
            self.counters.dropped.inc();
            return;
        }
        state.make_room(line.len(), self.bytes_max);
        state.waiting.extend_from_slice(line);
        state.records += 1;
        let wake = match state.thread {
            Thread::Idle => true,
            Thread::Lingering => state.waiting.len() >= self.batch_bytes,
            Thread::Busy | Thread::Ended => false,
        };
        if wake {
            state.thread = Thread::Busy;
        }
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    /// Has the output opened anew before the next write.
    pub(super) fn reopen(&self) {
        self.state.lock().reopen = true;
        self.work.notify_one();
    }

    /// Takes no more lines. The thread writes what there is and ends.
    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.work.notify_one();
    }

    /// Stops and waits for the thread's end; returns the bytes left unwritten at `limit`.
    pub(super) fn stop_and_wait(&self, limit: Duration) -> usize {
        self.stop();
        let mut state = self.state.lock();
        let running = |state: &mut State| state.thread != Thread::Ended;
        self.end.wait_while_for(&mut state, running, limit);
        if state.thread == Thread::Ended {
            return 0;
        }
        state.waiting.len() + state.writing
    }

    /// Waits for work and takes it; `spare` becomes the buffer that fills next.
    fn take(&self, spare: Vec<u8>) -> Batch {
        let mut state = self.state.lock();
        state.writing = 0;
        while state.is_settled() {
            state.thread = Thread::Idle;
            self.work.wait(&mut state);
        }
        if state.waiting.len() < self.batch_bytes && !state.reopen && !state.stop {
            state.thread = Thread::Lingering;
            self.work.wait_for(&mut state, LINGER);
        }
        state.thread = Thread::Busy;
        let lines = mem::replace(&mut state.waiting, spare);
        state.writing = lines.len();
        Batch {
            lines,
            records: mem::take(&mut state.records),
            dropped: mem::take(&mut state.dropped),
            reopen: mem::take(&mut state.reopen),
            last: state.stop,
        }
    }

    fn ended(&self) {
        let mut state = self.state.lock();
        state.writing = 0;
        state.thread = Thread::Ended;
        drop(state);
        self.end.notify_all();
    }
}

impl State {
    /// Whether there is nothing for the thread to do.
    fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.dropped == 0 && !self.reopen && !self.stop
    }

    /// Grows the buffer by doubling, but never beyond the bound, as `Vec` itself would.
    fn make_room(&mut self, more: usize, bytes_max: usize) {
        let needed = self.waiting.len() + more;
        if needed > self.waiting.capacity() {
            let wanted = needed.saturating_mul(2).min(bytes_max).max(needed);
            self.waiting.reserve_exact(wanted - self.waiting.len());
        }
    }
}

impl Writer {
    fn run(&mut self, queue: &Queue) {
        let mut spare = Vec::with_capacity(queue.batch_bytes);
        loop {
            let mut batch = queue.take(spare);
            if batch.reopen {
                self.reopen();
            }
            self.write_batch(&mut batch);
            if batch.last {
                break;
            }
            spare = batch.lines;
            spare.clear();
            if spare.capacity() > KEPT_BYTES_MAX {
                spare = Vec::with_capacity(queue.batch_bytes);
            }
        }
        queue.ended();
    }

    fn reopen(&mut self) {
        match self.sink.reopen() {
            Ok(()) => self.torn = false,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "access log not reopened; the old file stays");
            }
        }
    }

    /// Writes the lines and, when records were lost, one that tells how many.
    fn write_batch(&mut self, batch: &mut Batch) {
        self.untold += batch.dropped;
        if self.untold > 0 {
            line::write_dropped(&mut batch.lines, SystemTime::now(), self.untold);
        }
        if batch.lines.is_empty() {
            return;
        }
        let (written, result) = self.write_all(&batch.lines);
        let Err(error) = result else {
            self.untold = 0;
            self.counters.written.inc_by(batch.records);
            return;
        };
        let done = batch.lines.get(..written).unwrap_or_default();
        let whole = done.split(|byte| *byte == b'\n').count().saturating_sub(1);
        let whole = u64::try_from(whole).unwrap_or(u64::MAX).min(batch.records);
        let lost = batch.records - whole;
        self.untold += lost;
        self.counters.written.inc_by(whole);
        self.counters.dropped.inc_by(lost);
        self.counters.write_errors.inc();
        self.warn(&error);
    }

    /// Writes until all of `lines` is out or the output fails; says how much of it is out.
    fn write_all(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        if self.torn
            && let (_, Err(error)) = self.write_bytes(b"\n")
        {
            return (0, Err(error));
        }
        let (written, result) = self.write_bytes(lines);
        match written.checked_sub(1).and_then(|last| lines.get(last)) {
            Some(last) => self.torn = *last != b'\n',
            // The line feed that ended the torn line may be all that went out.
            None => self.torn = false,
        }
        (written, result)
    }

    fn write_bytes(&mut self, mut bytes: &[u8]) -> (usize, io::Result<()>) {
        let whole = bytes.len();
        let result = loop {
            if bytes.is_empty() {
                break Ok(());
            }
            match self.sink.write(bytes) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Somebody else made our standard output non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::park_timeout(FULL_PAUSE);
                }
                Err(error) => break Err(error),
            }
        };
        (whole - bytes.len(), result)
    }

    fn warn(&mut self, error: &io::Error) {
        if self.warned.is_some_and(|at| at.elapsed() < WARNING_INTERVAL) {
            return;
        }
        self.warned = Some(Instant::now());
        tracing::warn!(
            error = %Chain(error),
            records_lost = self.untold,
            "access records not written"
        );
    }
}

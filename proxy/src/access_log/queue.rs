//! The queue of one sink, measured in bytes: requests put records in, the sink's thread takes them out.
//!
//! There are two buffers. Requests append to one under a short lock; the thread swaps it for the other and writes it
//! out whole. The thread waits a little before it takes a small batch, and for the first record of the next: under load
//! that makes one system call and one wake-up for hundreds of records instead of one for each.

mod waiting;

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    config::WhenFull,
    metrics::{SinkCounters, SinkFigures},
};

/// Bytes that are written at once rather than waited with.
const BATCH_BYTES: usize = 256 << 10;

/// How long a small batch waits for company. Short for whoever watches the log, long for a CPU.
const LINGER: Duration = Duration::from_millis(20);

/// Records that wait for the thread.
pub(super) struct Queue {
    state: Mutex<State>,
    /// The thread waits here for work, and between two tries.
    work: Condvar,
    /// Whoever stops the log waits here for its end.
    end: Condvar,
    bytes_max: usize,
    /// With so many bytes waiting, the thread lingers no longer.
    pub(super) batch_bytes: usize,
    /// Where requests wait or are refused: a permit for each byte that is free.
    room: Option<Arc<Semaphore>>,
    pub(super) counters: SinkCounters,
}

struct State {
    waiting: Vec<u8>,
    /// Records in `waiting`.
    records: u64,
    /// Permits that come back when those are written.
    owed: usize,
    /// Bytes that the thread has taken and not finished; they count against the bound too.
    writing: usize,
    /// Records that it took last.
    taken: u64,
    /// Records dropped that the log itself does not show yet.
    dropped: u64,
    /// Requests that were cut off and may still hand in records, which are counted as dropped already.
    cut: u64,
    /// Requests refused that it does not show yet.
    refused: u64,
    thread: Thread,
    /// Since when the thread has had something that it could not write.
    stalled: Option<Instant>,
    reopen: bool,
    stop: bool,
    /// Until then the thread tries to write what is left.
    give_up_at: Option<Instant>,
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
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) records: u64,
    pub(super) dropped: u64,
    pub(super) refused: u64,
    pub(super) reopen: bool,
    pub(super) last: bool,
    /// Permits that are still owed.
    owed: usize,
}

/// What ended a pause between two tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// It was over.
    None,
    /// The output is to be opened anew.
    Reopen,
    /// The log ends, and has no more time.
    Stop,
}

/// Room that a record of a request in flight will take.
pub(super) type Permit = OwnedSemaphorePermit;

impl Queue {
    pub(super) fn new(bytes_max: usize, when_full: WhenFull, counters: SinkCounters) -> Self {
        let gated = when_full != WhenFull::Drop;
        // What waits for company takes room from requests that are not let in without.
        let share = if gated { 8 } else { 2 };
        let batch_bytes = BATCH_BYTES.min(bytes_max / share);
        Self {
            state: Mutex::new(State {
                waiting: Vec::with_capacity(batch_bytes),
                records: 0,
                owed: 0,
                writing: 0,
                taken: 0,
                dropped: 0,
                cut: 0,
                refused: 0,
                thread: Thread::Busy,
                stalled: None,
                reopen: false,
                stop: false,
                give_up_at: None,
            }),
            work: Condvar::new(),
            end: Condvar::new(),
            bytes_max,
            batch_bytes,
            room: gated.then(|| Arc::new(Semaphore::new(bytes_max))),
            counters,
        }
    }

    /// The permits that requests need, where they are not let in without.
    pub(super) const fn room(&self) -> Option<&Arc<Semaphore>> {
        self.room.as_ref()
    }

    /// Takes one record, or drops it when there is no room or the log has stopped.
    pub(super) fn push(&self, record: &[u8]) {
        if self.room.is_some() {
            if !self.push_spare(record) {
                self.lost(self.state.lock());
            }
            return;
        }
        let state = self.state.lock();
        let taken = state.waiting.len().saturating_add(state.writing);
        if state.stop || record.len() > self.bytes_max.saturating_sub(taken) {
            return self.lost(state);
        }
        self.append(state, record, 0);
    }

    /// Takes a record if there is room that nobody else has been promised. Says whether.
    pub(super) fn push_spare(&self, record: &[u8]) -> bool {
        let Some(room) = &self.room else {
            self.push(record);
            return true;
        };
        let bytes = u32::try_from(record.len()).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(room).try_acquire_many_owned(bytes) else { return false };
        self.push_let_in(record, Some(permit));
        true
    }

    /// Takes the record of a request that was let in, whatever there is. The permit is kept as far as the record
    /// needs it; a record that is longer, or has none, goes over the bound.
    pub(super) fn push_let_in(&self, record: &[u8], permit: Option<Permit>) {
        let mut owed = 0;
        if let Some(mut permit) = permit {
            owed = permit.num_permits().min(record.len());
            if let Some(kept) = permit.split(owed) {
                kept.forget();
            }
        }
        let state = self.state.lock();
        if state.stop {
            return self.lost(state);
        }
        self.append(state, record, owed);
    }

    /// Notes that a request was refused for want of room.
    pub(super) fn refused(&self) {
        self.counters.refused.inc();
        // Told of with what is written next: the thread need not be woken for it.
        self.state.lock().refused += 1;
    }

    /// Counts a record that is not taken, unless that was done when its request was cut off.
    fn lost(&self, mut state: MutexGuard<'_, State>) {
        if let Some(left) = state.cut.checked_sub(1) {
            state.cut = left;
            return;
        }
        state.dropped += 1;
        drop(state);
        self.counters.dropped.inc();
    }

    fn append(&self, mut state: MutexGuard<'_, State>, record: &[u8], owed: usize) {
        state.make_room(record.len(), self.bytes_max);
        state.waiting.extend_from_slice(record);
        state.records += 1;
        state.owed += owed;
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

    /// Takes no more records, also not those of the requests that are `cut` off. The thread writes what there is, trying
    /// until `give_up_at`, and ends.
    pub(super) fn stop(&self, give_up_at: Instant, cut: u64) {
        self.counters.dropped.inc_by(cut);
        let mut state = self.state.lock();
        state.stop = true;
        state.dropped += cut;
        state.cut += cut;
        state.give_up_at.get_or_insert(give_up_at);
        drop(state);
        self.work.notify_one();
    }

    /// Whether the log ends.
    pub(super) fn stops(&self) -> bool {
        self.state.lock().stop
    }

    /// Waits for the thread's end after [`Queue::stop`]; returns the bytes left unwritten at `until`.
    pub(super) fn wait_for_end(&self, until: Instant) -> usize {
        let mut state = self.state.lock();
        let running = |state: &mut State| state.thread != Thread::Ended;
        self.end.wait_while_until(&mut state, running, until);
        state.waiting.len() + state.writing
    }

    /// What is known of it now, of the sink of this name.
    pub(super) fn figures(&self, name: &str) -> SinkFigures {
        let state = self.state.lock();
        let stalled = state.stalled.map(|since| since.elapsed()).unwrap_or_default();
        let queue_bytes = state.waiting.len() + state.writing;
        drop(state);
        let promised = self.room.as_ref().map(|room| room.available_permits());
        SinkFigures {
            name: name.to_owned(),
            queue_bytes,
            taken_bytes: promised.map_or(queue_bytes, |free| self.bytes_max.saturating_sub(free)),
            queue_bytes_max: self.bytes_max,
            stalled,
        }
    }

    /// The thread could write something.
    pub(super) fn progressed(&self) {
        self.state.lock().stalled = Some(Instant::now());
    }

    /// So many bytes of the batch are written, or lost: there is room for as many.
    pub(super) fn done(&self, batch: &mut Batch, bytes: usize) {
        let mut state = self.state.lock();
        state.writing = state.writing.saturating_sub(bytes);
        state.stalled = Some(Instant::now());
        drop(state);
        if let Some(room) = &self.room {
            let freed = batch.owed.min(bytes);
            batch.owed -= freed;
            room.add_permits(freed);
        }
    }

    /// The thread is gone before its time: what waits is lost, and nobody is let in any more.
    pub(super) fn broken(&self) {
        if let Some(room) = &self.room {
            room.close();
        }
        let mut state = self.state.lock();
        state.stop = true;
        state.stalled = Some(Instant::now());
        state.thread = Thread::Ended;
        // How many it still wrote of those that it took is not known.
        let lost = mem::take(&mut state.records) + mem::take(&mut state.taken);
        drop(state);
        self.counters.dropped.inc_by(lost);
        self.end.notify_all();
    }

    pub(super) fn ended(&self) {
        let mut state = self.state.lock();
        state.writing = 0;
        state.stalled = None;
        state.thread = Thread::Ended;
        drop(state);
        self.end.notify_all();
    }
}

impl State {
    /// Whether there is nothing for the thread to do.
    fn is_settled(&self) -> bool {
        self.waiting.is_empty()
            && self.dropped == 0
            && self.refused == 0
            && !self.reopen
            && !self.stop
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

#[cfg(test)]
mod tests;

//! How the thread of a sink waits: for work, and between two tries.

use std::{
    mem,
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;

use super::{Batch, Interrupt, LINGER, Queue, State, Thread};

impl Queue {
    /// Waits for work, at most until `until`, and takes it; `spare` becomes the buffer that fills next.
    pub(in crate::access_log) fn take(&self, spare: Vec<u8>, until: Option<Instant>) -> Batch {
        let mut state = self.state.lock();
        state.writing = 0;
        state.stalled = None;
        // Under load the next record comes at once: nobody has to wake the thread for it.
        self.linger(&mut state, until);
        if state.is_settled() {
            self.idle(&mut state, until);
            if !state.is_settled() {
                self.linger(&mut state, until);
            }
        }
        state.thread = Thread::Busy;
        let bytes = mem::replace(&mut state.waiting, spare);
        state.writing = bytes.len();
        state.taken = state.records;
        state.stalled = Some(Instant::now());
        Batch {
            bytes,
            records: mem::take(&mut state.records),
            dropped: mem::take(&mut state.dropped),
            refused: mem::take(&mut state.refused),
            reopen: mem::take(&mut state.reopen),
            last: state.stop,
            owed: mem::take(&mut state.owed),
        }
    }

    /// Waits for a large batch, at most until `until`.
    fn linger(&self, state: &mut MutexGuard<'_, State>, until: Option<Instant>) {
        if state.waiting.len() >= self.batch_bytes || state.reopen || state.stop {
            return;
        }
        state.thread = Thread::Lingering;
        let end = Instant::now() + LINGER;
        self.work.wait_until(state, until.map_or(end, |until| until.min(end)));
    }

    /// Waits for work, at most until `until`.
    fn idle(&self, state: &mut MutexGuard<'_, State>, until: Option<Instant>) {
        while state.is_settled() {
            state.thread = Thread::Idle;
            match until {
                None => self.work.wait(state),
                Some(until) => {
                    if self.work.wait_until(state, until).timed_out() {
                        break;
                    }
                }
            }
        }
    }

    /// Waits before the next try. Ends early when the output is to be opened anew, or the log ends and has no more
    /// time.
    pub(in crate::access_log) fn pause(&self, length: Duration) -> Interrupt {
        let until = Instant::now() + length;
        let mut state = self.state.lock();
        while !state.reopen {
            let until = state.give_up_at.map_or(until, |at| at.min(until));
            if Instant::now() >= until || self.work.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        // Whoever sees it acts on it.
        if mem::take(&mut state.reopen) {
            Interrupt::Reopen
        } else if state.give_up_at.is_some_and(|at| Instant::now() >= at) {
            Interrupt::Stop
        } else {
            Interrupt::None
        }
    }
}

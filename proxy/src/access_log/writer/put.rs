//! Writing until it is written.

use std::{
    error::Error,
    io,
    time::{Duration, Instant, SystemTime},
};

use super::Work;
use crate::{
    access_log::{output::Entered, queue::Interrupt},
    telemetry::Chain,
};

/// Pauses between two tries: the first, and the longest.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Shortest time between two warnings about an output.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// What became of bytes that had to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// They are written, but for so many records that are not wanted there.
    All(u64),
    /// So many are written, and the rest has to go to another file.
    Elsewhere(usize),
    /// So many are written, and the log ends.
    Ended(usize),
}

/// Now, in seconds since 1970.
pub(super) fn since_1970() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

impl Work {
    /// Writes all of `bytes`, however often that takes.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Put {
        let (mut written, mut rejected) = (0, 0);
        let mut pause = PAUSE;
        while written < bytes.len() {
            let rest = bytes.get(written..).unwrap_or_default();
            match self.output.write(rest) {
                Ok(done) => {
                    written += done.bytes;
                    rejected += done.rejected;
                    pause = PAUSE;
                    self.progress(done.bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed(&error);
                    let before = written.checked_sub(1).and_then(|last| bytes.get(last));
                    let within_line = before.is_some_and(|byte| *byte != b'\n');
                    if let Some(end) = self.again(&mut pause, written, within_line) {
                        return end;
                    }
                }
            }
        }
        Put::All(rejected)
    }

    /// Waits until a write can be tried again. Between two lines others may write meanwhile.
    fn again(&mut self, pause: &mut Duration, written: usize, within_line: bool) -> Option<Put> {
        if self.output.is_gone() && self.queue.stops() {
            return Some(Put::Ended(written));
        }
        if !within_line {
            self.leave();
        }
        match self.wait(pause) {
            Interrupt::Stop => return Some(Put::Ended(written)),
            Interrupt::Reopen => match self.output.reopen() {
                Ok(()) => {
                    self.entered = self.output.enter().is_ok();
                    return Some(Put::Elsewhere(written));
                }
                Err(error) => self.warn(&error),
            },
            Interrupt::None => {}
        }
        if self.entered {
            return None;
        }
        match self.output.enter() {
            Ok(entered) => {
                self.entered = true;
                (entered == Entered::Other && self.sealer.is_some())
                    .then_some(Put::Elsewhere(written))
            }
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    /// Makes the output ours alone, and goes on where somebody else left off.
    pub(super) fn enter(&mut self) {
        let mut pause = PAUSE;
        while !self.entered {
            match self.output.enter() {
                Ok(entered) => {
                    self.entered = true;
                    if entered == Entered::Other {
                        self.follow(None);
                    }
                }
                Err(error) => {
                    self.failed(&error);
                    match self.wait(&mut pause) {
                        Interrupt::Stop => return,
                        Interrupt::Reopen => {
                            if let Err(error) = self.output.reopen() {
                                self.warn(&error);
                            }
                        }
                        Interrupt::None => {}
                    }
                }
            }
        }
    }

    pub(super) fn leave(&mut self) {
        self.output.leave();
        self.entered = false;
    }

    fn wait(&self, pause: &mut Duration) -> Interrupt {
        let interrupt = self.queue.pause(*pause);
        *pause = (*pause * 2).min(PAUSE_MAX);
        interrupt
    }

    fn progress(&self, bytes: usize) {
        let counters = &self.queue.counters;
        counters.bytes.inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
        counters.last_write.set(since_1970());
        if let Some(sealer) = &self.sealer {
            counters.sequence.set(i64::try_from(sealer.state().seq).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn sync(&mut self, end: bool) {
        if let Err(error) = self.output.sync(end) {
            self.failed(&error);
        }
    }

    /// Counts a try that failed.
    pub(super) fn failed(&mut self, error: &io::Error) {
        // Somebody else made our standard output non-blocking, or holds the file for a moment: nothing is wrong.
        if error.kind() == io::ErrorKind::WouldBlock {
            return;
        }
        self.queue.counters.write_errors.inc();
        self.warn(error);
    }

    pub(super) fn warn(&mut self, error: &(dyn Error + 'static)) {
        if self.warned.is_some_and(|at| at.elapsed() < WARNING_INTERVAL) {
            return;
        }
        self.warned = Some(Instant::now());
        tracing::warn!(
            sink = self.name,
            error = %Chain(error),
            "the access log cannot be written; it is tried again"
        );
    }
}

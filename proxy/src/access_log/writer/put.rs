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
    /// Writes all of `bytes`, however often that takes, and only while the output is ours alone.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Put {
        let (mut written, mut rejected) = (0, 0);
        let mut pause = PAUSE;
        while written < bytes.len() {
            if self.over || !self.entered {
                return Put::Ended(written);
            }
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
        let mut elsewhere = false;
        loop {
            match self.wait(pause) {
                Interrupt::Stop => return Some(Put::Ended(written)),
                Interrupt::Reopen => elsewhere |= self.reopened(),
                Interrupt::None => {}
            }
            if !self.entered {
                match self.output.enter() {
                    Ok(entered) => {
                        self.entered = true;
                        elsewhere |= entered == Entered::Other && self.sealer.is_some();
                    }
                    Err(error) => {
                        self.failed(&error);
                        continue;
                    }
                }
            }
            return elsewhere.then_some(Put::Elsewhere(written));
        }
    }

    /// Opens the output anew, where that can be. Says whether it is another one now, which is not ours yet.
    pub(super) fn reopened(&mut self) -> bool {
        match self.output.reopen() {
            Ok(Entered::Same) => false,
            Ok(Entered::Other) => {
                self.entered = false;
                true
            }
            Err(error) => {
                tracing::warn!(
                    sink = self.name,
                    error = %Chain(&error),
                    "access log not reopened; the old one stays"
                );
                false
            }
        }
    }

    /// Makes the output ours alone, and goes on where somebody else left off. Without having it comes back only when the
    /// log ends.
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
                            self.reopened();
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
        self.queue.progressed();
        let counters = &self.queue.counters;
        counters.bytes.inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
        counters.last_write.set(since_1970());
        if let Some(sealer) = &self.sealer {
            counters.sequence.set(i64::try_from(sealer.state().seq).unwrap_or(i64::MAX));
        }
    }

    /// Forces what was written onto the disk, where that is asked for, however often that takes. Says whether it is there:
    /// not when the log ends, or has to go on in another file, before the disk takes it.
    pub(super) fn sync(&mut self, end: bool) -> bool {
        let mut pause = PAUSE;
        loop {
            let Err(error) = self.output.sync(end) else { return true };
            self.failed(&error);
            match self.wait(&mut pause) {
                Interrupt::Stop => return false,
                Interrupt::Reopen if self.reopened() => {
                    self.enter();
                    return false;
                }
                Interrupt::Reopen | Interrupt::None => {}
            }
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

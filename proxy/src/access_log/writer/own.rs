//! The lines that are the log's own: where a chain goes on, checkpoints, and what was lost.

use std::time::{Duration, Instant, SystemTime};

use super::{
    Work,
    lines::start_of_line,
    put::{Put, since_1970},
};
use crate::{
    access_log::{
        chain::{CheckpointReason, Event, Found, Notice, Sealed, Sealer, State, Torn},
        otlp,
        value::Format,
    },
    telemetry::Chain,
};

/// How long after a rotation that failed the next one is tried.
const ROTATION_PAUSE: Duration = Duration::from_mins(1);

impl Work {
    /// Finds out where the chain goes on, or begins one, and says so in the log.
    pub(super) fn resume(&mut self) {
        let Some(sealing) = self.sealing.clone() else {
            while self.output.is_torn() && !self.end_line() {}
            return;
        };
        let found = self.output.find(&sealing.keys).unwrap_or_else(|error| {
            tracing::error!(sink = self.name, error = %Chain(&error), "the end of a sealed log cannot be read");
            Found { notice: Some(Notice::Unreadable), ..Found::default() }
        });
        let Found { state, claimed: _, unsealed, mut torn, unended, notice } = found;
        if let Some(notice) = notice {
            tracing::error!(
                sink = self.name,
                found = notice.word(),
                "a sealed log is not as it was left; `promgate audit verify` says where"
            );
        }
        let mut unended = unended || torn.is_some();
        if unsealed {
            match self.output.put_aside() {
                Ok(()) => (torn, unended) = (None, false),
                Err(error) => self.warn(&error),
            }
        }
        if unended {
            self.end_line();
        }
        let (key, format) = (sealing.key, self.format.into());
        self.sealer = Some(match state {
            Some(state) => Sealer::resume(key, format, state),
            None => Sealer::begin(key, format, sealing.chain),
        });
        self.segment(torn, notice);
        if state.is_none() {
            // From its first line on the chain has a head.
            self.checkpoint(CheckpointReason::Interval);
        } else {
            // A process that was killed left lines behind its last checkpoint, and what the new start says of them is one more.
            self.unsigned = true;
        }
    }

    /// Goes on after a file was put in the place of ours, or somebody else has written to it. `torn` is the piece of a
    /// line that was left elsewhere.
    pub(super) fn follow(&mut self, torn: Option<Torn>) {
        if self.sealing.is_some() && self.sealer.is_none() {
            // It was not looked at yet.
            return;
        }
        let (torn, notice) = self.catch_up(torn);
        self.segment(torn, notice);
    }

    /// Goes to the end of what is there, which somebody else may have written, and says what a new start has to tell of.
    fn catch_up(&mut self, mut torn: Option<Torn>) -> (Option<Torn>, Option<Notice>) {
        let mut notice = None;
        loop {
            let mut unended = self.output.is_torn();
            if let (Some(sealing), Some(sealer)) = (&self.sealing, &mut self.sealer)
                && let Ok(found) = self.output.find(&sealing.keys)
                && let Some(state) = found.claimed.or(found.state)
                && state.chain == sealer.state().chain
            {
                let ours = sealer.state();
                if state.seq > ours.seq {
                    sealer.set_state(state);
                    notice = found.notice;
                    torn = found.torn;
                    unended = unended || found.unended;
                } else if state == ours {
                    torn = found.torn.or(torn);
                }
            }
            if !unended || self.end_line() {
                return (torn, notice);
            }
        }
    }

    /// Ends a line that lacks its end. Says whether that was possible here, and not elsewhere.
    fn end_line(&mut self) -> bool {
        match self.put(b"\n") {
            Put::All(_) => true,
            Put::Ended(_) => {
                self.over = true;
                true
            }
            Put::Elsewhere(_) => false,
        }
    }

    /// The rest of `bytes` has to go to another file. Says how many lines the old one holds whole.
    pub(super) fn elsewhere(
        &mut self,
        bytes: &[u8],
        written: usize,
        before: Option<Sealer>,
    ) -> u64 {
        let (whole, torn) = self.back(bytes, written, before);
        self.follow(torn);
        whole
    }

    /// The log ends before the rest of `bytes`. Says how many lines it holds whole.
    pub(super) fn ended(&mut self, bytes: &[u8], written: usize, before: Option<Sealer>) -> u64 {
        let last = written.checked_sub(1).and_then(|last| bytes.get(last));
        self.over |= last.is_some_and(|byte| *byte != b'\n') && self.format != Format::Otlp;
        self.back(bytes, written, before).0
    }

    /// The chain goes back to the last line of `bytes` that is written whole. Says how many those are, and what piece of one
    /// follows them.
    fn back(
        &mut self,
        bytes: &[u8],
        written: usize,
        before: Option<Sealer>,
    ) -> (u64, Option<Torn>) {
        let mut written = bytes.get(..written).unwrap_or_default();
        // All but its line feed is a line: whoever reads takes it for one.
        if !written.is_empty() && bytes.get(written.len()) == Some(&b'\n') {
            written = bytes.get(..=written.len()).unwrap_or(written);
        }
        let whole = self.whole(written);
        if self.format == Format::Otlp {
            // It has no lines, and so no chain.
            return (whole, None);
        }
        let (last, piece) =
            written.split_at_checked(start_of_line(written, whole)).unwrap_or((written, &[]));
        if let (Some(sealer), Some(before)) = (&mut self.sealer, before)
            && last.len() < bytes.len()
        {
            let last = last.strip_suffix(b"\n").unwrap_or(last);
            let last = last.rsplit(|byte| *byte == b'\n').next().and_then(Sealed::of);
            *sealer = before;
            if let Some(Sealed { seq, mac, .. }) = last {
                sealer.sealed(whole, State { seq, mac, ..sealer.state() });
            }
        }
        (whole, (!piece.is_empty()).then(|| Torn::of(piece)))
    }

    /// Says that the chain goes on here, where there is one.
    fn segment(&mut self, mut torn: Option<Torn>, mut notice: Option<Notice>) {
        while let Some(sealer) = &mut self.sealer {
            let before = Some(sealer.clone());
            let mut out = Vec::new();
            sealer.start((torn, notice), SystemTime::now(), &mut out);
            match self.put(&out) {
                Put::All(_) => return,
                Put::Ended(written) => {
                    self.ended(&out, written, before);
                    return;
                }
                Put::Elsewhere(written) => {
                    let (whole, piece) = self.back(&out, written, before);
                    let untold = if whole > 0 { (None, None) } else { (torn, notice) };
                    let found = self.catch_up(piece.or(untold.0));
                    (torn, notice) = (found.0, found.1.or(untold.1));
                }
            }
        }
    }

    /// Writes one line of the log's own, and gives it back if it was taken.
    fn own(&mut self, write: impl Fn(Option<&mut Sealer>, &mut Vec<u8>)) -> Option<Vec<u8>> {
        loop {
            let before = self.sealer.clone();
            let mut out = Vec::new();
            write(self.sealer.as_mut(), &mut out);
            match self.put(&out) {
                Put::All(rejected) => return (rejected == 0).then_some(out),
                Put::Ended(written) => {
                    return (self.ended(&out, written, before) > 0).then_some(out);
                }
                Put::Elsewhere(written) => {
                    if self.elsewhere(&out, written, before) > 0 {
                        return Some(out);
                    }
                }
            }
        }
    }

    /// Tells of what was lost and of whom was refused.
    pub(super) fn tell(&mut self) {
        let (records, requests) = self.untold;
        if records > 0 && self.told(&Event::RecordsDropped(records)) {
            self.untold.0 = 0;
        }
        if requests > 0 && self.told(&Event::RequestsRefused(requests)) {
            self.untold.1 = 0;
        }
    }

    fn told(&mut self, event: &Event) -> bool {
        let format = self.format;
        let told = self.own(|sealer, out| {
            let now = SystemTime::now();
            match sealer {
                Some(sealer) => sealer.event(event, now, out),
                None if format == Format::Otlp => otlp::write_event(event, now, out),
                None => {
                    event.write_to(out, format.into(), now);
                    out.extend_from_slice(b"}\n");
                }
            }
        });
        if told.is_some() {
            self.output.recorded();
            self.unsigned = true;
        }
        told.is_some()
    }

    /// Writes a checkpoint, where there is a chain, and keeps it beside the log.
    pub(super) fn checkpoint(&mut self, reason: CheckpointReason) {
        let Some(sealing) = self.sealing.as_ref().filter(|_| self.sealer.is_some()) else { return };
        self.checkpoint_at = Instant::now() + sealing.interval;
        let line = self.own(|sealer, out| {
            if let Some(sealer) = sealer {
                sealer.checkpoint(reason, SystemTime::now(), out);
            }
        });
        let Some(line) = line else { return };
        self.unsigned = true;
        // It has to be in the log before it is in the head: after a crash of the machine the log would look cut short.
        if !self.sync(true) {
            return;
        }
        match self.output.save_head(&line) {
            Ok(()) => {
                self.unsigned = false;
                self.queue.counters.checkpoint.set(since_1970());
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Puts aside what is full, and begins anew.
    pub(super) fn rotate(&mut self) {
        if self.rotates_later() {
            return;
        }
        self.checkpoint(CheckpointReason::Rotation);
        // Somebody may have put another file in its place meanwhile.
        if !self.sync(true) || !self.output.is_full() {
            return;
        }
        match self.output.rotate() {
            Ok(()) => {
                self.rotate_after = None;
                self.queue.counters.rotations.inc();
                self.segment(None, None);
            }
            Err(error) => {
                self.rotate_after = Some(Instant::now() + ROTATION_PAUSE);
                self.queue.counters.write_errors.inc();
                self.warn(&error);
            }
        }
    }

    /// A rotation failed a moment ago.
    pub(super) fn rotates_later(&self) -> bool {
        self.rotate_after.is_some_and(|after| Instant::now() < after)
    }
}

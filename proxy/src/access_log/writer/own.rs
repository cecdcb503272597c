//! The lines that are the log's own: where a chain goes on, checkpoints, and what was lost.

use std::time::{Duration, Instant, SystemTime};

use super::{
    Work,
    lines::{lines, start_of_line},
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
            if self.output.is_torn() {
                self.put(b"\n");
            }
            return;
        };
        let found = self.output.find(&sealing.keys).unwrap_or_else(|error| {
            tracing::error!(sink = self.name, error = %Chain(&error), "the end of a sealed log cannot be read");
            Found { notice: Some(Notice::Unreadable), ..Found::default() }
        });
        let Found { state, unsealed, mut torn, unended, notice } = found;
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
            self.put(b"\n");
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
        }
    }

    /// Goes on after a file was put in the place of ours, or somebody else has written to it. `torn` is the piece of a
    /// line that was left elsewhere.
    pub(super) fn follow(&mut self, mut torn: Option<Torn>) {
        if self.sealing.is_some() && self.sealer.is_none() {
            // It was not looked at yet.
            return;
        }
        let mut notice = None;
        let mut unended = self.output.is_torn();
        if let (Some(sealing), Some(sealer)) = (&self.sealing, &mut self.sealer)
            && let Ok(found) = self.output.find(&sealing.keys)
            && let Some(state) = found.state
            && state.chain == sealer.state().chain
            && state.seq > sealer.state().seq
        {
            sealer.set_state(state);
            notice = found.notice;
            torn = found.torn;
            unended = unended || found.unended;
        }
        if unended {
            self.put(b"\n");
        }
        self.segment(torn, notice);
    }

    /// The rest of `bytes` has to go to another file: the chain goes back to the last line that the old one holds
    /// whole. Says how many those are.
    pub(super) fn elsewhere(&mut self, bytes: &[u8], written: usize, before: Option<State>) -> u64 {
        let mut written = bytes.get(..written).unwrap_or_default();
        // All but its line feed is a line: whoever reads takes it for one.
        if !written.is_empty() && bytes.get(written.len()) == Some(&b'\n') {
            written = bytes.get(..=written.len()).unwrap_or(written);
        }
        let whole = lines(written);
        let (last, piece) =
            written.split_at_checked(start_of_line(written, whole)).unwrap_or((written, &[]));
        if let (Some(sealer), Some(before)) = (&mut self.sealer, before) {
            let last = last.strip_suffix(b"\n").unwrap_or(last);
            let last = last.rsplit(|byte| *byte == b'\n').next().and_then(Sealed::of);
            sealer.set_state(match last {
                Some(Sealed { seq, mac, .. }) => State { seq, mac, ..before },
                None => before,
            });
        }
        self.follow((!piece.is_empty()).then(|| Torn::of(piece)));
        whole
    }

    /// Says that the chain goes on here, where there is one.
    fn segment(&mut self, mut torn: Option<Torn>, notice: Option<Notice>) {
        while let Some(sealer) = &mut self.sealer {
            let before = sealer.state();
            let mut out = Vec::new();
            sealer.start((torn, notice), SystemTime::now(), &mut out);
            let Put::Elsewhere(written) = self.put(&out) else { return };
            if let Some(sealer) = &mut self.sealer {
                sealer.set_state(before);
            }
            let piece = out.get(..written).unwrap_or_default();
            torn = (!piece.is_empty()).then(|| Torn::of(piece));
        }
    }

    /// Writes one line of the log's own, and gives it back.
    fn own(&mut self, write: impl Fn(Option<&mut Sealer>, &mut Vec<u8>)) -> Option<Vec<u8>> {
        loop {
            let before = self.sealer.as_ref().map(Sealer::state);
            let mut out = Vec::new();
            write(self.sealer.as_mut(), &mut out);
            match self.put(&out) {
                Put::All(_) => return Some(out),
                Put::Ended(_) => return None,
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
        // It has to be in the log before it is in the head: after a crash of the machine the log would look cut short.
        self.sync(true);
        match self.output.save_head(&line) {
            Ok(()) => self.queue.counters.checkpoint.set(since_1970()),
            Err(error) => self.failed(&error),
        }
    }

    /// Puts aside what is full, and begins anew.
    pub(super) fn rotate(&mut self) {
        if self.rotates_later() {
            return;
        }
        self.checkpoint(CheckpointReason::Rotation);
        self.sync(true);
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

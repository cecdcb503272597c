//! Line by line along a chain: does each follow from the one before, and if not, what happened?
//!
//! A seal is made over the seal before it. So when a line does not follow from the last good one, the line after it
//! tells what happened: if that one follows from the last good line, this one was put in; if it follows from this one,
//! then this one has a true seal, and was changed or stands behind a gap.

use std::ops::RangeInclusive;

use super::{
    AuditKey, ChainId, ChainStart, Checkpoint, CheckpointReason, Event, Fault, Mac, Sealed, State,
    Trust, keys::Signed,
};

/// Gaps and misplaced lines that are remembered, in case that what they lack or hold turns up. There are as many in a
/// log that was shuffled rather than changed in some places.
const KEPT_MAX: usize = 1024;

/// Numbers that are missing, and the seal from which the first of them follows.
#[derive(Debug)]
struct Gap {
    from: u64,
    to: u64,
    before: Mac,
}

/// A line that stands before lines which it should follow.
#[derive(Debug)]
struct Stray {
    covered: Vec<u8>,
    seq: u64,
    mac: Mac,
}

/// Where a walk stands.
#[derive(Debug)]
pub(super) struct Walk {
    trust: Trust,
    /// What seals the lines here; none under a key that we do not have.
    key: Option<AuditKey>,
    chain: Option<ChainId>,
    /// The last line that is part of the chain.
    good: Option<(u64, Mac)>,
    /// What the last line says of itself, where it could not be checked.
    claimed: Option<(u64, Mac)>,
    gaps: Vec<Gap>,
    strays: Vec<Stray>,
    /// The process ended properly here.
    closed: bool,
    /// Number of the line before the first.
    pub(super) begins_after: u64,
    /// Lines whose seals could not be checked.
    pub(super) unchecked: u64,
    /// The last checkpoint.
    pub(super) checkpoint: Option<u64>,
}

/// What a line is to a walk.
pub(super) struct Step<'l> {
    pub(super) line: Sealed<'l>,
    pub(super) event: Option<&'l Event>,
    /// The line after it.
    pub(super) next: Option<Sealed<'l>>,
}

impl Walk {
    pub(super) const fn new(trust: Trust) -> Self {
        Self {
            trust,
            key: None,
            chain: None,
            good: None,
            claimed: None,
            gaps: Vec::new(),
            strays: Vec::new(),
            closed: false,
            begins_after: 0,
            unchecked: 0,
            checkpoint: None,
        }
    }

    pub(super) const fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Where the chain stands. Its name is not known where nothing that names it is left.
    pub(super) fn state(&self) -> Option<State> {
        let (seq, mac) = self.good?;
        Some(State { chain: self.chain.unwrap_or(ChainId::UNKNOWN), seq, mac })
    }

    /// The numbers that did not turn up.
    pub(super) fn missing(&self) -> Vec<RangeInclusive<u64>> {
        self.gaps.iter().map(|gap| gap.from..=gap.to).collect()
    }

    /// One line further.
    pub(super) fn step(&mut self, step: &Step<'_>) -> Option<Fault> {
        if let Some(Event::ChainStart(start)) = step.event {
            return self.start(&step.line, start);
        }
        let fault = self.follow(step);
        if matches!(fault, None | Some(Fault::Unlinked)) {
            self.closed = false;
            if let Some(Event::Checkpoint(checkpoint)) = step.event {
                // One that nobody signed is the worse of the two.
                return self.check(&step.line, checkpoint).or(fault);
            }
        }
        fault
    }

    fn start(&mut self, line: &Sealed<'_>, start: &ChainStart) -> Option<Fault> {
        let previous = start.resumes.map_or(Mac::NONE, |(_, mac)| mac);
        let resumed = start.resumes.map_or(0, |(seq, _)| seq);
        let follows = resumed.checked_add(1) == Some(line.seq);
        if self.trust.checks_seals() {
            let Some(key) = self.trust.keys().named(start.key) else {
                self.key = None;
                self.claimed = Some((line.seq, line.mac));
                return Some(Fault::ForeignKey(start.key));
            };
            if key.seal(&previous, line.covered) != line.mac || !follows {
                return Some(self.unfit(Fault::Changed));
            }
            self.key = Some(key.clone());
        } else if !follows {
            return Some(Fault::Changed);
        }
        let fault = self.join(start, (resumed, previous));
        if matches!(fault, Some(Fault::Replayed)) {
            return fault;
        }
        if self.good.is_none() {
            self.begins_after = resumed;
        }
        self.chain = Some(start.chain);
        self.advance(line);
        self.closed = false;
        fault
    }

    /// Whether a segment that follows from this line joins what came before.
    fn join(&mut self, start: &ChainStart, (resumed, previous): (u64, Mac)) -> Option<Fault> {
        let (seq, mac) = self.good?;
        if start.resumes.is_none() || self.chain.is_some_and(|chain| chain != start.chain) {
            return Some(Fault::NewChain);
        }
        if (resumed, previous) == (seq, mac) || self.claimed == Some((resumed, previous)) {
            return None;
        }
        if resumed == seq {
            return Some(Fault::Unlinked);
        }
        if resumed > seq {
            let from = self.expected();
            if from > resumed {
                // The lines between were changed, and that was said.
                return None;
            }
            self.gap(from, resumed, mac);
            return Some(Fault::Missing(from..=resumed));
        }
        Some(Fault::Replayed)
    }

    fn follow(&mut self, step: &Step<'_>) -> Option<Fault> {
        let line = &step.line;
        let Some((seq, mac)) = self.good else { return Some(self.unbegun(step)) };
        if self.key.is_none() && self.trust.checks_seals() {
            self.unchecked += 1;
            self.claimed = Some((line.seq, line.mac));
            return None;
        }
        let before = [Some((seq, mac)), self.claimed];
        if let Some((_, before)) =
            before.into_iter().flatten().find(|before| self.links(*before, line))
        {
            self.advance(line);
            // Without keys a seal is taken as it stands, but here and there a line repeats the one before it.
            let stated = step.event.and_then(Event::previous);
            return stated.is_some_and(|stated| stated != before).then_some(Fault::Unlinked);
        }
        if self.found(line) {
            return Some(Fault::Moved);
        }
        let next_is_good = step.next.as_ref().is_some_and(|next| self.links((seq, mac), next));
        let next_is_ours =
            step.next.as_ref().is_some_and(|next| self.links((line.seq, line.mac), next));
        if line.seq <= seq {
            return Some(Fault::Replayed);
        }
        if next_is_good {
            if line.seq == seq + 1 {
                return Some(self.unfit(Fault::Inserted));
            }
            self.stray(line);
            return Some(self.unfit(Fault::Moved));
        }
        let expected = self.expected();
        let fault = if line.seq > expected {
            self.gap(expected, line.seq - 1, mac);
            Fault::Missing(expected..=line.seq - 1)
        } else if self.claimed.is_some() && line.seq == expected {
            Fault::Unfounded
        } else {
            Fault::Changed
        };
        if next_is_ours {
            // Only the key makes a seal from which another follows: this one is true, whatever became of its line.
            self.good = Some((line.seq, line.mac));
            self.claimed = None;
        } else {
            self.claimed = Some((line.seq, line.mac));
        }
        self.unchecked += 1;
        Some(self.unfit(fault))
    }

    /// A log begins with a start. Where that is gone the chain is taken up from the first line that another follows from
    /// by one of our keys.
    fn unbegun(&mut self, step: &Step<'_>) -> Fault {
        let line = &step.line;
        self.unchecked += 1;
        let follows = |key: &&AuditKey| {
            step.next.as_ref().is_some_and(|next| {
                next.seq == line.seq + 1 && key.seal(&line.mac, next.covered) == next.mac
            })
        };
        self.key = self.trust.keys().all().iter().find(follows).cloned();
        if self.key.is_none() && self.trust.checks_seals() {
            return Fault::Unfounded;
        }
        self.good = Some((line.seq, line.mac));
        if line.seq == 1 {
            return Fault::Changed;
        }
        self.gap(1, line.seq - 1, Mac::NONE);
        Fault::Missing(1..=line.seq - 1)
    }

    /// After its end, a log goes on with a new start and nothing else.
    fn unfit(&self, fault: Fault) -> Fault {
        if self.closed { Fault::Appended } else { fault }
    }

    /// The number that the next line should have.
    fn expected(&self) -> u64 {
        let good = self.good.map_or(0, |(seq, _)| seq);
        self.claimed.map_or(0, |(seq, _)| seq).max(good) + 1
    }

    fn links(&self, (seq, mac): (u64, Mac), line: &Sealed<'_>) -> bool {
        line.seq == seq + 1 && self.seals(mac, line.covered, line.mac)
    }

    /// Without keys a seal is taken as it stands.
    fn seals(&self, previous: Mac, covered: &[u8], mac: Mac) -> bool {
        self.key.as_ref().is_none_or(|key| key.seal(&previous, covered) == mac)
    }

    fn advance(&mut self, line: &Sealed<'_>) {
        self.good = Some((line.seq, line.mac));
        self.claimed = None;
        // Lines that came too early have their place now.
        while let Some((seq, mac)) = self.good {
            let fits =
                |stray: &Stray| stray.seq == seq + 1 && self.seals(mac, &stray.covered, stray.mac);
            let Some(place) = self.strays.iter().position(fits) else { break };
            let stray = self.strays.swap_remove(place);
            self.good = Some((stray.seq, stray.mac));
        }
        let seq = self.good.map_or(0, |(seq, _)| seq);
        self.strays.retain(|stray| stray.seq > seq);
    }

    fn stray(&mut self, line: &Sealed<'_>) {
        if self.strays.len() < KEPT_MAX {
            let covered = line.covered.to_vec();
            self.strays.push(Stray { covered, seq: line.seq, mac: line.mac });
        }
    }

    fn gap(&mut self, from: u64, to: u64, before: Mac) {
        if self.gaps.len() < KEPT_MAX {
            self.gaps.push(Gap { from, to, before });
        } else if let Some(last) = self.gaps.last_mut() {
            // Said at its place; here only the extent is kept.
            last.to = to;
        }
    }

    /// Whether the line is the first of those that a gap lacks.
    fn found(&mut self, line: &Sealed<'_>) -> bool {
        let fits =
            |gap: &Gap| gap.from == line.seq && self.seals(gap.before, line.covered, line.mac);
        let Some(place) = self.gaps.iter().position(fits) else { return false };
        if let Some(gap) = self.gaps.get_mut(place) {
            gap.from += 1;
            gap.before = line.mac;
            if gap.from > gap.to {
                self.gaps.remove(place);
            }
        }
        true
    }

    fn check(&mut self, line: &Sealed<'_>, checkpoint: &Checkpoint) -> Option<Fault> {
        let signed =
            Signed { chain: checkpoint.chain, seq: line.seq, previous: checkpoint.previous };
        self.closed = checkpoint.reason == CheckpointReason::Shutdown;
        if !self.trust.signed(&signed, &checkpoint.signature) {
            return Some(Fault::Unsigned);
        }
        self.checkpoint = Some(line.seq);
        self.chain.get_or_insert(checkpoint.chain);
        None
    }
}

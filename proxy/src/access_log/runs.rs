//! Facts that stand beside each other and are the same in record after record, such as what a client says of itself:
//! written once, then copied.
//!
//! To compare the texts of a run and copy the line's part is cheaper than to look for what must not be shown, find the
//! names and write them. Only what is shown as it is gets remembered, so that nothing is kept that is not in the log.

use std::cell::RefCell;

use mcp_core::recent::Recent;

use super::{
    record::{Run, Said},
    redact::RulesId,
    short,
};

/// Runs of a kind that a thread remembers.
const REMEMBERED: usize = 8;

/// Longest texts of a run that are remembered, in bytes, all of them together.
const BYTES_MAX: usize = 512;

thread_local! {
    static REMEMBERED_RUNS: RefCell<[Recent<Written>; Run::ALL.len()]> =
        const { RefCell::new([const { Recent::new(REMEMBERED) }; Run::ALL.len()]) };
}

/// A run as it was written. Small, and in one piece: when a request ends, little of this is in the CPU's first cache.
struct Written {
    rules: RulesId,
    /// Length of each text, or [`NOTHING`].
    lengths: [u16; Run::FACTS_MAX],
    /// Where in `bytes` the line begins.
    line: u16,
    /// The texts, and the part of the line that they came to.
    bytes: Vec<u8>,
}

/// In the place of a length: there is no text.
const NOTHING: u16 = u16::MAX;

impl Written {
    /// Whether it is that of these facts.
    fn is_of(&self, rules: RulesId, facts: &[Said<'_>]) -> bool {
        if self.rules != rules {
            return false;
        }
        let mut rest = self.bytes.as_slice();
        for (said, length) in facts.iter().zip(self.lengths) {
            let Some(text) = said.bytes() else {
                if length == NOTHING {
                    continue;
                }
                return false;
            };
            let Some((first, after)) = rest.split_at_checked(usize::from(length)) else {
                return false;
            };
            if !short::same(first, text) {
                return false;
            }
            rest = after;
        }
        true
    }

    /// What these facts have come to; none where there is too much of them.
    fn of(rules: RulesId, facts: &[Said<'_>], written: &[u8]) -> Option<Self> {
        let texts = || facts.iter().filter_map(|said| said.bytes());
        let long: usize = texts().map(<[u8]>::len).sum();
        if long > BYTES_MAX {
            return None;
        }
        let mut lengths = [NOTHING; Run::FACTS_MAX];
        for (said, length) in facts.iter().zip(&mut lengths) {
            if let Some(text) = said.bytes() {
                *length = u16::try_from(text.len()).ok()?;
            }
        }
        let mut bytes = Vec::with_capacity(long + written.len());
        texts().for_each(|text| bytes.extend_from_slice(text));
        bytes.extend_from_slice(written);
        Some(Self { rules, lengths, line: u16::try_from(long).ok()?, bytes })
    }

    fn line(&self) -> &[u8] {
        self.bytes.get(usize::from(self.line)..).unwrap_or_default()
    }
}

/// Appends a run if this thread remembers it. Says whether.
pub(super) fn append(out: &mut Vec<u8>, (rules, run): (RulesId, Run), facts: &[Said<'_>]) -> bool {
    REMEMBERED_RUNS.with_borrow_mut(|runs| {
        let known = runs
            .get_mut(run.index())
            .and_then(|runs| runs.find(|written| written.is_of(rules, facts)));
        if let Some(known) = known {
            out.extend_from_slice(known.line());
        }
        known.is_some()
    })
}

/// Remembers a run: `written` is what these facts, each of which is shown as it is, have come to.
pub(super) fn remember((rules, run): (RulesId, Run), facts: &[Said<'_>], written: &[u8]) {
    let Some(written) = Written::of(rules, facts, written) else { return };
    REMEMBERED_RUNS.with_borrow_mut(|runs| {
        if let Some(runs) = runs.get_mut(run.index()) {
            runs.add(written);
        }
    });
}

#[cfg(test)]
mod tests;

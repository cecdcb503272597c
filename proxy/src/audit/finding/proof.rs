//! What a verification proves, and what it leaves open.

use super::Verdict;
use crate::access_log::chain::Head;

/// Sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proof {
    /// What is proved.
    pub(super) proved: Vec<String>,
    /// What is not.
    pub(super) open: Vec<String>,
}

impl Proof {
    pub(super) fn of(verdict: &Verdict) -> Self {
        let mut proof = Self { proved: Vec::new(), open: Vec::new() };
        proof.lines(verdict);
        proof.end(verdict);
        proof.gaps(verdict);
        proof
    }

    fn lines(&mut self, verdict: &Verdict) {
        let ending = &verdict.ending;
        let Some(last) = ending.last else {
            return self
                .open
                .push("Anything: no line here is part of a chain that is known.".to_owned());
        };
        let (first, last) = (ending.begins_after + 1, last.seq);
        match (verdict.is_sealed, verdict.faults) {
            (true, 0) => self.proved.push(format!(
                "Lines {first} to {last} are as they were sealed: none was changed, removed, moved, repeated or added."
            )),
            (true, _) => {
                self.proved.push(
                    "Lines that are not named as faulty or unchecked are as they were sealed, in the order of their numbers."
                        .to_owned(),
                );
                if ending.unchecked > 0 {
                    let unchecked = ending.unchecked;
                    self.open.push(format!("What lines say whose seals could not be checked: {unchecked} of them."));
                }
            }
            (false, faults) => {
                if faults == 0 {
                    self.proved.push(format!(
                        "Numbers run from {first} to {last} without a gap, and {} checkpoints are signed by this key and follow from the line before them.",
                        verdict.checkpoints
                    ));
                }
                self.open.push(
                    "What records say: that takes the audit key; a public key checks numbers, and the checkpoints with the seal before each."
                        .to_owned(),
                );
            }
        }
    }

    fn end(&mut self, verdict: &Verdict) {
        let last = verdict.ending.last.map_or(0, |last| last.seq);
        if let Some(kept) = verdict.kept {
            self.proved.push(format!(
                "Nothing up to line {kept} was cut off: the checkpoint kept elsewhere is there."
            ));
            if last > kept {
                self.open.push(format!("That nothing was cut off behind line {last}, by somebody who could change the head file too."));
            }
            return;
        }
        match verdict.ending.head {
            Head::Reached(head) => {
                self.proved.push(format!(
                    "The log reaches the checkpoint {head} that its head file holds."
                ));
                self.open.push(
                    "That nothing was cut off the end by somebody who could change the head file too: `--checkpoint` holds the log against a checkpoint kept elsewhere."
                        .to_owned(),
                );
            }
            Head::Absent
            | Head::Forged
            | Head::OtherChain
            | Head::Contradicted(_)
            | Head::CutShort { .. } => {
                self.open.push(format!(
                    "That nothing was cut off behind line {last}: there is no head file that says how far the log reached."
                ));
            }
        }
    }

    fn gaps(&mut self, verdict: &Verdict) {
        let before = verdict.ending.begins_after;
        if before > 0 {
            self.open.push(format!("What lines 1 to {before} said: their files are not here."));
        }
        let (_, dropped) = verdict.dropped;
        if dropped > 0 {
            self.open.push(format!(
                "What {dropped} dropped records would have said; the log itself tells of them."
            ));
        }
        self.open.push("Anything against somebody who has the audit key.".to_owned());
    }
}

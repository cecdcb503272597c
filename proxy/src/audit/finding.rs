//! What a verification found, and what it proves.

mod proof;
mod text;

use std::{
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use self::proof::Proof;
use super::Log;
use crate::access_log::chain::{Ending, Fault, Head, KeyId, Notice};

/// Something that is not as it was written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Line of the file, from 1; none where it is about the file as a whole.
    pub line: Option<u64>,
    /// Number in the chain, where the line has one.
    pub seq: Option<u64>,
    /// What is wrong.
    pub what: What,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// With a line.
    Line(Fault),
    /// The log itself told of it when it was opened.
    Told(Notice),
    /// The head file is not as it should be.
    Head(Head),
    /// A checkpoint that was kept elsewhere is not signed by any key.
    KeptUnsigned,
    /// It is of another chain.
    KeptOfOther,
    /// The log ends before it.
    KeptBeyond {
        /// The last number in the log.
        last: u64,
    },
    /// The log holds another line under its number, or none.
    KeptContradicted,
}

impl What {
    /// It in one word, for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Line(fault) => match fault {
                Fault::Malformed => "malformed",
                Fault::Changed => "changed",
                Fault::Inserted => "inserted",
                Fault::Missing(_) => "missing",
                Fault::Moved => "moved",
                Fault::Replayed => "replayed",
                Fault::Appended => "appended",
                Fault::ForeignKey(_) => "foreign_key",
                Fault::NewChain => "new_chain",
                Fault::Unlinked => "unlinked",
                Fault::Unfounded => "unfounded",
                Fault::Unsigned => "unsigned",
                Fault::Torn => "torn",
                Fault::Unreadable(_) => "unreadable",
            },
            Self::Told(notice) => notice.word(),
            Self::Head(head) => match head {
                Head::Absent => "head_absent",
                Head::Forged => "head_forged",
                Head::OtherChain => "head_of_other_chain",
                Head::Reached(_) => "head_reached",
                Head::Contradicted(_) => "head_contradicted",
                Head::CutShort { .. } => "cut_short",
            },
            Self::KeptUnsigned => "checkpoint_unsigned",
            Self::KeptOfOther => "checkpoint_of_other_chain",
            Self::KeptBeyond { .. } => "cut_short",
            Self::KeptContradicted => "checkpoint_contradicted",
        }
    }

    /// Numbers that are missing.
    fn missing(&self) -> Option<RangeInclusive<u64>> {
        match self {
            Self::Line(Fault::Missing(range)) => Some(range.clone()),
            Self::Line(_)
            | Self::Told(_)
            | Self::Head(_)
            | Self::KeptUnsigned
            | Self::KeptOfOther
            | Self::KeptBeyond { .. }
            | Self::KeptContradicted => None,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(fault @ Fault::Unlinked) => write!(
                f,
                "{fault}: that was replaced, or the log was continued from another copy of that line"
            ),
            Self::Line(fault) => fault.fmt(f),
            Self::Told(Notice::HeadMissing) => f.write_str(
                "when the log was opened here, its head file was gone: lines before may have been cut off",
            ),
            Self::Told(Notice::HeadForged) => f.write_str(
                "when the log was opened here, its head file was not ours: lines before may have been cut off",
            ),
            Self::Told(Notice::CutShort) => {
                f.write_str("when the log was opened here, lines before had been cut off")
            }
            Self::Told(Notice::EndForged) => {
                f.write_str("when the log was opened here, the last lines before were not ours")
            }
            Self::Told(Notice::Unreadable) => {
                f.write_str("when the log was opened here, nothing before could be read")
            }
            Self::Head(Head::CutShort { last, head }) => {
                write!(f, "cut short: it ends with {last}, and the head file knows of {head}")
            }
            Self::Head(Head::Forged) => f.write_str("not signed by any key that is known"),
            Self::Head(Head::OtherChain) => f.write_str("of another chain"),
            Self::Head(Head::Contradicted(seq)) => {
                write!(f, "the log does not hold its checkpoint under number {seq}")
            }
            Self::Head(Head::Absent) => f.write_str(
                "there is none, or an empty one, so the end of the log cannot be shown to be whole: put a copy of it back, or say `--no-head` of a log that may lack it, best with `--checkpoint` and one that was kept",
            ),
            Self::Head(Head::Reached(_)) => Ok(()),
            Self::KeptUnsigned => f.write_str("a kept checkpoint that no known key has signed"),
            Self::KeptOfOther => f.write_str("a kept checkpoint of another chain"),
            Self::KeptBeyond { last } => {
                write!(f, "cut short: the log ends with {last}, before this kept checkpoint")
            }
            Self::KeptContradicted => {
                f.write_str("the log does not hold this kept checkpoint under its number")
            }
        }
    }
}

/// A line, as the place where something begins or ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number in the chain.
    pub(super) seq: Option<u64>,
    /// Its time, as it stands there.
    pub(super) time: Option<String>,
}

/// What a verification found.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Files of the log, oldest first.
    pub(super) files: Vec<PathBuf>,
    /// How the log was named.
    pub(super) name: PathBuf,
    /// The seals were checked, not only numbers and signatures.
    pub(super) is_sealed: bool,
    /// The first that was found, up to a bound.
    pub(super) findings: Vec<Finding>,
    /// How many were found.
    pub(super) faults: u64,
    /// First and last line.
    pub(super) ends: (Place, Place),
    /// Checkpoints whose signatures hold.
    pub(super) checkpoints: u64,
    /// Lines with which files and runs begin.
    pub(super) starts: u64,
    /// Keys that they name, at most [`Verdict::KEYS_MAX`].
    pub(super) keys: Vec<KeyId>,
    /// Places at which the log tells of lost records, and how many.
    pub(super) dropped: (u64, u64),
    /// Requests that were refused because their records could not have been written.
    pub(super) refused: u64,
    /// Pieces of lines that a killed process left, for which the log accounts.
    pub(super) pieces: u64,
    /// How it ends.
    pub(super) ending: Ending,
    /// The last checkpoint kept elsewhere that the log holds.
    pub(super) kept: Option<u64>,
}

impl Verdict {
    /// Most keys that are named.
    pub(super) const KEYS_MAX: usize = 64;

    /// A log of which nothing is known yet.
    pub(super) fn of(log: &Log, is_sealed: bool) -> Self {
        let (files, name) = (log.files.clone(), log.name.clone());
        Self { files, name, is_sealed, ..Self::default() }
    }

    /// One more fault.
    pub(super) fn add(&mut self, finding: Finding) {
        self.faults += 1;
        self.findings.push(finding);
    }

    /// How many faults there are.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.faults
    }

    /// The first faults.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What is proved, and what not.
    fn proof(&self) -> Proof {
        Proof::of(self)
    }

    /// It for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let finding = |finding: &Finding| {
            let missing = finding.what.missing().map(|range| [*range.start(), *range.end()]);
            json!({
                "file": path(&finding.file),
                "line": finding.line,
                "seq": finding.seq,
                "kind": finding.what.word(),
                "text": finding.what.to_string(),
                "missing": missing,
            })
        };
        let place = |place: &Place| json!({ "seq": place.seq, "time": place.time });
        let Ending { lines, records, unchecked, begins_after, checkpoint, closed, .. } =
            self.ending;
        let Proof { proved, open } = self.proof();
        json!({
            "log": path(&self.name),
            "files": self.files.iter().map(|file| path(file)).collect::<Vec<_>>(),
            "good": self.faults == 0,
            "faults": self.faults,
            "found": self.findings.iter().map(finding).collect::<Vec<_>>(),
            "seals_checked": self.is_sealed,
            "lines": lines,
            "records": records,
            "unchecked": unchecked,
            "begins_after": begins_after,
            "first": place(&self.ends.0),
            "last": place(&self.ends.1),
            "chain": self.ending.last.map(|last| last.chain.to_string()),
            "keys": self.keys.iter().map(KeyId::to_string).collect::<Vec<_>>(),
            "starts": self.starts,
            "closed": closed,
            "checkpoints": { "checked": self.checkpoints, "last": checkpoint },
            "kept_checkpoint": self.kept,
            "dropped": { "places": self.dropped.0, "records": self.dropped.1 },
            "refused": self.refused,
            "torn": { "accounted": self.pieces, "at_end_bytes": self.ending.torn.map(|torn| torn.bytes) },
            "head": What::Head(self.ending.head).word(),
            "proved": proved,
            "not_proved": open,
        })
    }
}

//! `promgate audit verify`: is this what was written?

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    AuditError, Finding, Log, Verdict,
    finding::{Place, What},
    logs::may_end,
    when,
};
use crate::access_log::chain::{
    ChainId, Ending, Entry, Event, Fault, Head, Mac, Reader, Sealed, State, Trust, signed_state,
};

/// Most checkpoints that are read from a file, which takes some 100 MB. One a minute for a year are fewer.
const KEPT_MAX: usize = 1_000_000;

/// Checkpoints that somebody kept away from the log.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    path: PathBuf,
    /// Each line, and what it says if it is signed by somebody who is believed.
    lines: Vec<(u64, Option<State>)>,
}

/// Reads checkpoints that were kept: lines of the log, such as copies of its head file. Other lines are passed over.
///
/// # Errors
/// When the file cannot be read, holds none, or more than are read.
pub fn kept(path: &Path, trust: &Trust) -> Result<Kept, AuditError> {
    let mut lines = Vec::new();
    let mut reader = Reader::over(vec![path.to_owned()], None, Trust::default())?;
    while let Some(entry) = reader.read() {
        if let Some(Fault::Unreadable(kind)) = entry.fault {
            return Err(AuditError::Checkpoints { path: path.to_owned(), source: kind.into() });
        }
        let Some((Event::Checkpoint(_), seq)) = entry.event.zip(entry.seq) else { continue };
        if lines.len() >= KEPT_MAX {
            return Err(AuditError::ManyCheckpoints { path: path.to_owned(), most: KEPT_MAX });
        }
        lines.push((seq, signed_state(entry.text, trust)));
    }
    if lines.is_empty() {
        return Err(AuditError::NoCheckpoint { path: path.to_owned() });
    }
    Ok(Kept { path: path.to_owned(), lines })
}

/// Reads a log from its first line to its last and says what is wrong with it, showing at most so many faults.
///
/// # Errors
/// When it cannot be read at all.
pub fn verify(
    log: &Log,
    trust: &Trust,
    kept: &Kept,
    findings_max: usize,
) -> Result<Verdict, AuditError> {
    let mut reader = log.reader(trust.clone())?;
    let mut reading = Reading {
        verdict: Verdict::of(log, trust.checks_seals()),
        findings_max,
        last: Vec::new(),
        told: 0,
        ended: false,
        met: kept.lines.iter().map(|(seq, _)| (*seq, None)).collect(),
    };
    while let Some(entry) = reader.read() {
        reading.take(&entry);
    }
    let Reading { mut verdict, last, told, ended, met, .. } = reading;
    verdict.ends.1.time = when::time_of(&last).map(str::to_owned);
    verdict.ending = reader.end();
    let (held, other) = held_against_kept(&verdict.ending, kept, &met);
    verdict.kept = held;
    // It proves as much as a head file would.
    let reaches_end = held.is_some_and(|held| held >= told) && verdict.ending.torn.is_none();
    if let Some(head) = &log.head
        && log.is_faulted_by(verdict.ending.head, ended)
        && !(verdict.ending.head == Head::Absent && reaches_end)
    {
        held_against_head(&mut verdict, head);
    }
    if let Some((seq, what)) = other {
        verdict.add(Finding { file: kept.path.clone(), line: None, seq: Some(seq), what });
    }
    Ok(verdict)
}

/// Tells of what is wrong with the head file.
fn held_against_head(verdict: &mut Verdict, path: &Path) {
    let seq = match verdict.ending.head {
        Head::Absent | Head::Forged | Head::OtherChain => None,
        Head::Reached(seq) | Head::Contradicted(seq) | Head::CutShort { head: seq, .. } => {
            Some(seq)
        }
    };
    let what = What::Head(verdict.ending.head);
    verdict.add(Finding { file: path.to_owned(), line: None, seq, what });
}

/// The last that the log holds, and the first that it does not, which is told of; those after it say the same.
fn held_against_kept(
    ending: &Ending,
    kept: &Kept,
    met: &BTreeMap<u64, Option<Mac>>,
) -> (Option<u64>, Option<(u64, What)>) {
    let mut last = None;
    for (seq, state) in &kept.lines {
        let met = met.get(seq).copied().flatten();
        match judged(ending, *state, met) {
            Ok(held) => last = last.max(held),
            Err(what) => return (last, Some((*seq, what))),
        }
    }
    (last, None)
}

/// Whether the log holds a kept checkpoint; none when it lies in files that are gone.
fn judged(ending: &Ending, kept: Option<State>, met: Option<Mac>) -> Result<Option<u64>, What> {
    let kept = kept.ok_or(What::KeptUnsigned)?;
    if met == Some(kept.mac) {
        return Ok(Some(kept.seq));
    }
    let Some(last) = ending.last else { return Err(What::KeptBeyond { last: 0 }) };
    if last.chain != kept.chain && last.chain != ChainId::UNKNOWN {
        return Err(What::KeptOfOther);
    }
    match met {
        None if kept.seq <= ending.begins_after => Ok(None),
        None if kept.seq > last.seq => Err(What::KeptBeyond { last: last.seq }),
        Some(_) | None => Err(What::KeptContradicted),
    }
}

/// A log that is being read.
struct Reading {
    verdict: Verdict,
    findings_max: usize,
    /// The beginning of the last line.
    last: Vec<u8>,
    /// Number of the last line that says more than that files and runs begin and end.
    told: u64,
    /// The last line may be the last of a file.
    ended: bool,
    /// The seals that the log has under the numbers of kept checkpoints.
    met: BTreeMap<u64, Option<Mac>>,
}

impl Reading {
    fn take(&mut self, entry: &Entry<'_>) {
        let verdict = &mut self.verdict;
        if verdict.ending.lines == 0 {
            verdict.ends.0 =
                Place { seq: entry.seq, time: when::time_of(entry.text).map(str::to_owned) };
        }
        verdict.ending.lines += 1;
        self.ended = may_end(entry);
        if !matches!(entry.event, Some(Event::ChainStart(_) | Event::Checkpoint(_))) {
            self.told = self.told.max(entry.seq.unwrap_or(0));
        }
        verdict.ends.1.seq = entry.seq.or(verdict.ends.1.seq);
        if entry.seq.is_some() {
            self.last.clear();
            let beginning = entry.text.len().min(when::BEGINNING_BYTES);
            self.last.extend_from_slice(entry.text.get(..beginning).unwrap_or_default());
        }
        if let Some(met) = entry.seq.and_then(|seq| self.met.get_mut(&seq)) {
            *met = met.or(Sealed::of(entry.text).map(|line| line.mac));
        }
        if let Some(fault) = &entry.fault {
            self.find(entry, What::Line(fault.clone()));
            // What such a line says of itself counts for nothing, unless it is only out of its place, or what stands before it is.
            let counts = matches!(
                fault,
                Fault::Missing(_) | Fault::Moved | Fault::NewChain | Fault::Unlinked
            );
            if !counts {
                return;
            }
        }
        self.event(entry);
    }

    fn find(&mut self, entry: &Entry<'_>, what: What) {
        if self.verdict.findings.len() < self.findings_max {
            let file = entry.file.to_owned();
            self.verdict.add(Finding { file, line: Some(entry.line), seq: entry.seq, what });
        } else {
            self.verdict.faults += 1;
        }
    }

    fn event(&mut self, entry: &Entry<'_>) {
        let verdict = &mut self.verdict;
        match &entry.event {
            Some(Event::ChainStart(start)) => {
                verdict.starts += 1;
                verdict.pieces += u64::from(start.torn.is_some());
                if !verdict.keys.contains(&start.key) && verdict.keys.len() < Verdict::KEYS_MAX {
                    verdict.keys.push(start.key);
                }
                if let Some(notice) = start.notice {
                    self.find(entry, What::Told(notice));
                }
            }
            Some(Event::Checkpoint(_)) => {
                // Where a line is missing before it, or it stands elsewhere, its signature is not looked at.
                let is_checked = matches!(entry.fault, None | Some(Fault::Unlinked));
                verdict.checkpoints += u64::from(is_checked);
            }
            Some(Event::RecordsDropped(records)) => {
                verdict.dropped.0 += 1;
                verdict.dropped.1 = verdict.dropped.1.saturating_add(*records);
            }
            Some(Event::RequestsRefused(requests)) => {
                verdict.refused = verdict.refused.saturating_add(*requests);
            }
            None => {}
        }
    }
}

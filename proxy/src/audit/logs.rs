//! From what was named to the files of each log, oldest first.

use std::path::{Path, PathBuf};

use super::AuditError;
use crate::access_log::chain::{
    ChainId, Event, Head, ReadError, Reader, Trust, head_path, log_files, may_be_written,
};

/// Lines at the beginning of a file that are looked at to find out to which chain it belongs. The first says so, unless
/// somebody changed it.
const PEEKED_LINES: usize = 64;

/// What stands for standard input.
const STANDARD_INPUT: &str = "-";

/// The files of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How it was named.
    pub name: PathBuf,
    /// Its files, oldest first.
    pub files: Vec<PathBuf>,
    /// Where its head file should be; none where nobody expects one: of standard input, and of files that were put aside.
    pub head: Option<PathBuf>,
    /// It may be written while it is read, and its files be renamed.
    pub is_live: bool,
}

impl Log {
    /// Reads it.
    ///
    /// # Errors
    /// [`ReadError`] when its head file cannot be read.
    pub fn reader(&self, trust: Trust) -> Result<Reader, ReadError> {
        if self.is_live {
            Reader::open(&self.name, trust)
        } else {
            Reader::over(self.files.clone(), self.head.as_deref(), trust)
        }
    }

    /// It under the name that a sink has: whatever that looks like, a head file belongs to it.
    #[must_use]
    pub fn as_written(self) -> Self {
        let head = if self.is_live { Some(head_path(&self.name)) } else { self.head };
        Self { head, ..self }
    }

    /// It as a copy or a part of a log, which may have no head file. One that is there counts all the same.
    #[must_use]
    pub fn as_copy(self) -> Self {
        Self { head: self.head.filter(|head| head.exists()), ..self }
    }

    /// Whether something is wrong where its head file says this.
    pub(super) const fn is_faulted_by(&self, head: Head) -> bool {
        match head {
            // Whoever cuts lines off the end would take away what tells of them.
            Head::Absent => self.head.is_some(),
            Head::Reached(_) => false,
            Head::Forged | Head::OtherChain | Head::Contradicted(_) | Head::CutShort { .. } => true,
        }
    }

    /// Whether its first lines have numbers. Standard input cannot be read twice to find out.
    #[must_use]
    pub fn looks_sealed(&self) -> bool {
        let first = self.files.first().filter(|file| file.as_os_str() != STANDARD_INPUT);
        first.is_some_and(|file| beginning(file).1.is_some())
    }
}

/// The logs that these paths name.
///
/// A path stands for the log that is written there, with the full files beside it, or for a single file. Several that
/// hold pieces of one chain are one log, in the order of the chain, so that `audit.log*` can be given and so can files
/// that were copied under other names.
///
/// # Errors
/// [`AuditError`] when there is no such file, or standard input is named among files.
pub fn logs(named: &[PathBuf]) -> Result<Vec<Log>, AuditError> {
    if named.iter().any(|path| path.as_os_str() == STANDARD_INPUT) {
        return match named {
            [path] => {
                let (name, files) = (path.clone(), vec![path.clone()]);
                Ok(vec![Log { name, files, head: None, is_live: false }])
            }
            _ => Err(AuditError::InputAmongFiles),
        };
    }
    let mut found: Vec<Log> = Vec::new();
    for name in named {
        let listed = log_files(name);
        let files = listed.map_err(|source| ReadError::Io { path: name.clone(), source })?;
        if files.is_empty() {
            return Err(ReadError::Nothing { path: name.clone() }.into());
        }
        let head = Some(head_path(name)).filter(|head| may_be_written(name) || head.exists());
        found.push(Log { name: name.clone(), files, head, is_live: true });
    }
    let known = |log: &Log| {
        let others = named.iter().filter(|other| **other != log.name);
        let of_others = found.iter().filter(|other| other.name != log.name);
        let is_head = others.into_iter().any(|other| head_path(other) == log.name);
        is_head || of_others.into_iter().any(|other| other.files.contains(&log.name))
    };
    let mut logs: Vec<Log> = found.iter().filter(|log| !known(log)).cloned().collect();
    logs.dedup_by(|one, other| one.name == other.name);
    if logs.len() < 2 {
        return Ok(logs);
    }
    Ok(joined(logs))
}

/// Puts those together that are of one chain.
fn joined(logs: Vec<Log>) -> Vec<Log> {
    struct Piece {
        chain: Option<ChainId>,
        parts: Vec<(u64, Log)>,
    }
    let mut pieces: Vec<Piece> = Vec::new();
    for log in logs {
        let (chain, seq) = log.files.first().map(|file| beginning(file)).unwrap_or_default();
        let same = |piece: &&mut Piece| chain.is_some() && piece.chain == chain;
        let place = match pieces.iter_mut().find(same) {
            Some(piece) => Some(piece),
            // A file whose beginning was changed belongs to those before it.
            None if chain.is_none() => pieces.last_mut(),
            None => None,
        };
        match place {
            Some(piece) => {
                let before = piece.parts.last().map_or(0, |(seq, _)| *seq);
                piece.parts.push((seq.unwrap_or(before), log));
            }
            None => pieces.push(Piece { chain, parts: vec![(seq.unwrap_or(0), log)] }),
        }
    }
    let whole = |mut piece: Piece| {
        piece.parts.sort_by_key(|(seq, _)| *seq);
        let mut parts = piece.parts.into_iter().map(|(_, log)| log);
        let first = parts.next()?;
        Some(parts.fold(first, |mut whole, part| {
            whole.files.extend(part.files);
            whole.is_live = false;
            // That of the last part knows the most. None need be beside those before it.
            whole.head = part.head.or(whole.head.filter(|head| head.exists()));
            whole
        }))
    };
    pieces.into_iter().filter_map(whole).collect()
}

/// The chain of a file and its first number, as far as its first lines tell.
fn beginning(file: &Path) -> (Option<ChainId>, Option<u64>) {
    let Ok(mut reader) = Reader::over(vec![file.to_owned()], None, Trust::default()) else {
        return (None, None);
    };
    let (mut chain, mut seq) = (None, None);
    for _ in 0..PEEKED_LINES {
        let Some(entry) = reader.read() else { break };
        seq = seq.or(entry.seq);
        chain = match entry.event {
            Some(Event::ChainStart(start)) => Some(start.chain),
            Some(Event::Checkpoint(checkpoint)) => Some(checkpoint.chain),
            Some(Event::RecordsDropped(_) | Event::RequestsRefused(_)) | None => None,
        };
        if chain.is_some() {
            break;
        }
    }
    (chain, seq)
}

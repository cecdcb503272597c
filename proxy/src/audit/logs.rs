//! From what was named to the files of each log, oldest first.

use std::path::{Path, PathBuf};

use super::AuditError;
use crate::access_log::chain::{
    ChainId, CheckpointReason, Entry, Event, Head, ReadError, Reader, Trust, head_path, log_files,
    may_be_written,
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
    /// Where its head file should be; none where nobody expects one: of standard input, and of files that others follow.
    pub head: Option<PathBuf>,
    /// Only files that were put aside were named: the log may have gone elsewhere at the end of the last, without a head.
    pub is_aside: bool,
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

    /// That which a sink writes at this path: whatever its name looks like, a head file belongs to it.
    ///
    /// # Errors
    /// [`AuditError`] when there is none.
    pub fn written(path: &Path) -> Result<Self, AuditError> {
        Ok(Self { head: Some(head_path(path)), ..Self::at(path)? })
    }

    /// What lies at a path, with the full files beside it.
    fn at(path: &Path) -> Result<Self, ReadError> {
        let (name, listed) = (path.to_owned(), log_files(path));
        let files = listed.map_err(|source| ReadError::Io { path: name.clone(), source })?;
        if files.is_empty() {
            return Err(ReadError::Nothing { path: name });
        }
        Ok(Self { name, files, head: None, is_aside: false, is_live: true })
    }

    /// It as a copy or a part of a log, which may have no head file. One that is there counts all the same.
    #[must_use]
    pub fn as_copy(self) -> Self {
        Self { head: self.head.filter(|head| head.exists()), ..self }
    }

    /// Whether something is wrong where its head file says this. A log that ends as [`may_end`] has it may have been put
    /// aside as a whole.
    pub(super) const fn is_faulted_by(&self, head: Head, ended: bool) -> bool {
        match head {
            // Whoever cuts lines off the end would take away what tells of them.
            Head::Absent => self.head.is_some() && !(self.is_aside && ended),
            Head::Reached(_) => false,
            Head::Forged | Head::OtherChain | Head::Contradicted(_) | Head::CutShort { .. } => true,
        }
    }

    fn holds(&self, path: &Path) -> bool {
        self.files.iter().any(|file| is_same(file, path))
    }

    /// Whether there is nothing in it.
    fn is_blank(&self) -> bool {
        self.files.iter().all(|file| file.metadata().is_ok_and(|about| about.len() == 0))
    }

    /// Whether its first lines have numbers. Standard input cannot be read twice to find out.
    #[must_use]
    pub fn looks_sealed(&self) -> bool {
        let first = self.files.first().filter(|file| file.as_os_str() != STANDARD_INPUT);
        first.is_some_and(|file| beginning(file).1.is_some())
    }
}

/// Whether a file may end with this line: a full one does, and one whose process ended properly.
pub(super) fn may_end(entry: &Entry<'_>) -> bool {
    let Some(Event::Checkpoint(checkpoint)) = &entry.event else { return false };
    entry.fault.is_none() && checkpoint.reason != CheckpointReason::Interval
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
                Ok(vec![Log { name, files, head: None, is_aside: false, is_live: false }])
            }
            _ => Err(AuditError::InputAmongFiles),
        };
    }
    let found = named.iter().map(|name| Log::at(name)).collect::<Result<Vec<_>, _>>()?;
    let bases: Vec<PathBuf> = named.iter().map(|name| base(name)).collect();
    let mut logs: Vec<Log> = Vec::new();
    for log in &found {
        let is_of = |other: &Log| !is_same(&other.name, &log.name) && other.holds(&log.name);
        let is_known = found.iter().any(is_of) || logs.iter().any(|other| other.holds(&log.name));
        if !is_known && !is_stray(log, &bases) {
            logs.push(log.clone());
        }
    }
    Ok(joined(&logs))
}

/// The log to which a file belongs by its name: the one that it was put aside from, or itself.
fn base(name: &Path) -> PathBuf {
    let text = name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let before = |(place, _)| text.get(..place).filter(|before| !before.is_empty());
    let mut logs = text.rmatch_indices(['.', '-']).filter_map(before);
    let log = logs.find(|log| may_be_written(Path::new(log)));
    log.filter(|_| !may_be_written(name))
        .map_or_else(|| name.to_owned(), |log| name.with_file_name(log))
}

/// What a name has behind that of a log in the same folder, where it has more.
fn behind<'n>(name: &'n Path, log: &Path) -> Option<&'n str> {
    let rest = name.file_name()?.to_str()?.strip_prefix(log.file_name()?.to_str()?)?;
    let is_beside = plain(name).parent() == plain(log).parent();
    (is_beside && rest.starts_with(|c: char| !c.is_alphanumeric())).then_some(rest)
}

/// Whether it only lies beside a log: its head file or a copy of that, the file that was to follow, or one without a line.
fn is_stray(log: &Log, bases: &[PathBuf]) -> bool {
    let is_stray = |rest: &str| {
        let is_head =
            rest.strip_prefix(".head").is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        is_head || rest == ".next" || may_be_written(&log.name) && log.is_blank()
    };
    bases.iter().filter_map(|base| behind(&log.name, base)).any(is_stray)
}

fn is_same(one: &Path, other: &Path) -> bool {
    plain(one) == plain(other)
}

/// A path as it is told apart from others.
fn plain(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

/// Files of one chain, with the first number of each.
struct Piece {
    chain: Option<ChainId>,
    parts: Vec<(u64, Log)>,
}

impl Piece {
    /// Whether the names of its parts say that they are of the same log.
    fn is_beside(&self, log: &Log) -> bool {
        let one = base(&log.name);
        self.parts.iter().map(|(_, part)| base(&part.name)).any(|other| {
            is_same(&one, &other)
                || behind(&one, &other).is_some()
                || behind(&other, &one).is_some()
        })
    }

    /// The log that its parts are, of all that were given.
    fn whole(mut self, given: &[Log]) -> Option<Log> {
        self.parts.sort_by_key(|(seq, _)| *seq);
        let parts: Vec<Log> = self.parts.into_iter().map(|(_, log)| log).collect();
        let (head, is_aside) = head_of(&parts, given).unzip();
        let is_aside = is_aside.unwrap_or(false);
        let is_live = parts.len() == 1 && !is_aside;
        let name = parts.first()?.name.clone();
        let files = parts.into_iter().flat_map(|log| log.files).collect();
        Some(Log { name, files, head, is_aside, is_live })
    }
}

/// Puts those together that are of one chain.
fn joined(logs: &[Log]) -> Vec<Log> {
    let mut pieces: Vec<Piece> = Vec::new();
    for log in logs.iter().cloned() {
        let (chain, seq) = log.files.first().map(|file| beginning(file)).unwrap_or_default();
        let same = |piece: &Piece| chain.is_some() && piece.chain == chain;
        let beside =
            |piece: &Piece| (chain.is_none() || piece.chain.is_none()) && piece.is_beside(&log);
        let place = pieces.iter().position(same).or_else(|| pieces.iter().position(beside));
        let place = match place {
            // A file whose beginning was changed belongs to those before it.
            None if chain.is_none() && !log.is_blank() => pieces.len().checked_sub(1),
            place => place,
        };
        match place.and_then(|place| pieces.get_mut(place)) {
            Some(piece) => {
                let before = piece.parts.last().map_or(0, |(seq, _)| *seq);
                piece.chain = piece.chain.or(chain);
                piece.parts.push((seq.unwrap_or(before), log));
            }
            None => pieces.push(Piece { chain, parts: vec![(seq.unwrap_or(0), log)] }),
        }
    }
    pieces.into_iter().filter_map(|piece| piece.whole(logs)).collect()
}

/// The head file that belongs to these parts of a log, oldest first, and whether they were only put aside from it. One that
/// is there comes before one that is not, and that of a later part, which knows more, before others.
fn head_of(parts: &[Log], given: &[Log]) -> Option<(PathBuf, bool)> {
    let bases: Vec<PathBuf> = parts.iter().map(|part| base(&part.name)).collect();
    let mut due = None;
    for (part, base) in parts.iter().zip(&bases).rev() {
        // The one whose name the others extend.
        let roots = bases.iter().filter(|other| behind(base, other).is_some());
        let root = roots.min_by_key(|other| other.as_os_str().len()).unwrap_or(base);
        let found = if parts.iter().any(|part| is_same(&part.name, root)) {
            Some((head_path(root), false))
        } else {
            head_aside(root, part, given)
        };
        if let Some((head, _)) = &found
            && head.exists()
        {
            return found;
        }
        due = due.or(found);
    }
    due
}

/// The head file of a part that was put aside from this log: that of the log, if the newest of its files was given, so that
/// nothing follows.
fn head_aside(root: &Path, part: &Log, given: &[Log]) -> Option<(PathBuf, bool)> {
    let own = head_path(&part.name);
    if own.exists() {
        return Some((own, false));
    }
    if given.iter().any(|log| is_same(&log.name, root)) {
        // The head of a log tells nothing of another chain.
        return Some((own, true));
    }
    let newest = log_files(root).ok().and_then(|mut files| files.pop());
    let has_newest = newest.is_none_or(|newest| given.iter().any(|log| log.holds(&newest)));
    has_newest.then(|| (head_path(root), true))
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

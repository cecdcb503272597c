//! Reading a chain, or a log without one, line by line.

use std::{
    fmt, io, mem,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use super::{
    ChainId, Event, KeyId, Mac, Sealed, State, Torn, Trust,
    files::{self, Lines, RawLine},
    state,
    walk::{Step, Walk},
};

/// Reads a log over all its files, compressed or not, and holds each line against the chain.
///
/// Memory does not grow with the log.
pub struct Reader {
    lines: Lines,
    walk: Walk,
    line: RawLine,
    ahead: RawLine,
    has_ahead: bool,
    head: HeadLine,
    ending: Ending,
}

/// One line of a log.
#[derive(Debug)]
pub struct Entry<'r> {
    /// Its file.
    pub file: &'r Path,
    /// Its number in the file, from 1.
    pub line: u64,
    /// Its number in the chain, where it has one.
    pub seq: Option<u64>,
    /// It, without its line feed.
    pub text: &'r [u8],
    /// What the log says of itself in it; none for a record of a request.
    pub event: Option<Event>,
    /// What is wrong with it.
    pub fault: Option<Fault>,
}

/// What is wrong at a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It does not end as a sealed line does: changed, or not ours.
    Malformed,
    /// Its seal does not fit: it was changed.
    Changed,
    /// It was put in: the chain goes on behind it as if it were not there.
    Inserted,
    /// Lines of these numbers are missing before it. It cannot be checked itself.
    Missing(RangeInclusive<u64>),
    /// It stands in another place than it was written in.
    Moved,
    /// Its number has been there before.
    Replayed,
    /// It follows the end of a run, where only a new beginning may stand.
    Appended,
    /// Sealed from here on by a key that we do not have.
    ForeignKey(KeyId),
    /// Another chain begins: whatever came between this line and the one before is not accounted for.
    NewChain,
    /// It repeats another seal for the line before it than that line shows: the line before, or its seal, is not what was
    /// written. It tells who has no key.
    Unlinked,
    /// It cannot be checked, since the line before it was changed or is not there.
    Unfounded,
    /// A checkpoint whose signature does not hold.
    Unsigned,
    /// A piece of a line, for which no later line accounts.
    Torn,
    /// The file cannot be read from here on.
    Unreadable(io::ErrorKind),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not a sealed record"),
            Self::Changed => f.write_str("changed: its seal does not fit"),
            Self::Inserted => f.write_str("put in: the chain goes on without it"),
            Self::Missing(range) if range.start() == range.end() => {
                write!(f, "record {} is missing before it", range.start())
            }
            Self::Missing(range) => {
                write!(f, "records {} to {} are missing before it", range.start(), range.end())
            }
            Self::Moved => f.write_str("moved: it was written in another place"),
            Self::Replayed => f.write_str("repeated: a record of this number stands before it"),
            Self::Appended => f.write_str("added after the end of a run"),
            Self::ForeignKey(key) => write!(f, "sealed by another key, {key}"),
            Self::NewChain => f.write_str("another chain begins here"),
            Self::Unlinked => f.write_str(
                "does not follow from the line before it, whose seal is another than it repeats",
            ),
            Self::Unfounded => {
                f.write_str("cannot be checked: the record before it is not there or changed")
            }
            Self::Unsigned => f.write_str("a checkpoint whose signature does not hold"),
            Self::Torn => f.write_str("a piece of a record, for which nothing accounts"),
            Self::Unreadable(kind) => write!(f, "the file cannot be read on: {kind}"),
        }
    }
}

/// How a log ends.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// Lines read, events and faulty ones included.
    pub lines: u64,
    /// Records of requests among them, those with a fault too. A piece of one is none, nor is what was never sealed, unless
    /// seals are not looked at.
    pub records: u64,
    /// Lines with a fault.
    pub faults: u64,
    /// Lines whose seals could not be checked.
    pub unchecked: u64,
    /// Number before that of the first line: the lines up to there are in files that are gone.
    pub begins_after: u64,
    /// The last line of the chain.
    pub last: Option<State>,
    /// Number of the last checkpoint.
    pub checkpoint: Option<u64>,
    /// Whether the last line says that the process ended.
    pub closed: bool,
    /// A piece of a line at the end, as a killed process leaves it.
    pub torn: Option<Torn>,
    /// Numbers that are missing.
    pub missing: Vec<RangeInclusive<u64>>,
    /// What the head file says.
    pub head: Head,
}

/// What the head file says of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Head {
    /// There is none.
    #[default]
    Absent,
    /// It is not ours.
    Forged,
    /// It is that of another chain.
    OtherChain,
    /// The log holds its checkpoint.
    Reached(u64),
    /// The log holds another line under its number.
    Contradicted(u64),
    /// The log ends before it: lines were cut off.
    CutShort {
        /// The last number in the log.
        last: u64,
        /// The number that the head file knows.
        head: u64,
    },
}

enum HeadLine {
    Absent,
    Forged,
    Known { state: State, found: Option<Mac> },
}

/// A log that cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its folder or its head file cannot be read.
    #[error("cannot read '{}'", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no file.
    #[error("there is no log '{}'", path.display())]
    Nothing {
        /// Its path.
        path: PathBuf,
    },
}

impl Reader {
    /// A log, by the path that its sink has: with it are read the full files beside it, oldest first.
    ///
    /// # Errors
    /// [`ReadError`] when there is none, or its folder cannot be read.
    pub fn open(log: &Path, trust: Trust) -> Result<Self, ReadError> {
        // The head comes first: what is written meanwhile lies behind it.
        let head = head_line(&files::head_path(log), &trust)?;
        let lines = Lines::of_log(log);
        let lines = lines.map_err(|source| ReadError::Io { path: log.to_owned(), source })?;
        if lines.files.is_empty() {
            return Err(ReadError::Nothing { path: log.to_owned() });
        }
        Ok(Self::new(lines, head, trust))
    }

    /// These files, in this order, and the head file if there is one.
    ///
    /// # Errors
    /// [`ReadError`] when there is no file, or the head file cannot be read.
    pub fn over(files: Vec<PathBuf>, head: Option<&Path>, trust: Trust) -> Result<Self, ReadError> {
        if files.is_empty() {
            return Err(ReadError::Nothing { path: PathBuf::new() });
        }
        let head = head.map_or(Ok(HeadLine::Absent), |path| head_line(path, &trust))?;
        Ok(Self::new(Lines::over(files), head, trust))
    }

    fn new(mut lines: Lines, head: HeadLine, trust: Trust) -> Self {
        let mut ahead = RawLine::default();
        let has_ahead = lines.read(&mut ahead);
        Self {
            lines,
            walk: Walk::new(trust),
            line: RawLine::default(),
            ahead,
            has_ahead,
            head,
            ending: Ending::default(),
        }
    }

    /// The next line; none at the end.
    pub fn read(&mut self) -> Option<Entry<'_>> {
        if !self.has_ahead {
            return None;
        }
        mem::swap(&mut self.line, &mut self.ahead);
        self.has_ahead = self.lines.read(&mut self.ahead);
        self.ending.lines += 1;
        let text = mem::take(&mut self.line.text);
        let event = Event::of(&text);
        let sealed = Sealed::of(&text);
        let seq = sealed.map(|sealed| sealed.seq);
        let fault = self.fault(&text, sealed, event.as_ref());
        self.line.text = text;
        let is_whole = if self.walk.trust().is_nobody() {
            self.line.ended && self.line.failed.is_none()
        } else {
            seq.is_some()
        };
        self.ending.records += u64::from(event.is_none() && is_whole);
        self.ending.faults += u64::from(fault.is_some());
        let file = self.lines.files.get(self.line.file).map(PathBuf::as_path);
        Some(Entry {
            file: file.unwrap_or(Path::new("")),
            line: self.line.number,
            seq,
            text: &self.line.text,
            event,
            fault,
        })
    }

    /// How the log ends, once every line was read.
    #[must_use]
    pub fn end(mut self) -> Ending {
        while self.read().is_some() {}
        let last = self.walk.state();
        let head = match (&self.head, last) {
            (HeadLine::Absent, _) => Head::Absent,
            (HeadLine::Forged, _) => Head::Forged,
            (HeadLine::Known { state, .. }, Some(last))
                if state.chain != last.chain && last.chain != ChainId::UNKNOWN =>
            {
                Head::OtherChain
            }
            (HeadLine::Known { state, found }, last) => match found {
                Some(mac) if *mac == state.mac => Head::Reached(state.seq),
                Some(_) => Head::Contradicted(state.seq),
                None => {
                    let last = last.map_or(0, |last| last.seq);
                    // It may lie in files that are gone.
                    if last >= state.seq && state.seq <= self.walk.begins_after {
                        Head::Reached(state.seq)
                    } else if last >= state.seq {
                        Head::Contradicted(state.seq)
                    } else {
                        Head::CutShort { last, head: state.seq }
                    }
                }
            },
        };
        Ending {
            unchecked: self.walk.unchecked,
            begins_after: self.walk.begins_after,
            last,
            checkpoint: self.walk.checkpoint,
            closed: self.walk.is_closed(),
            missing: self.walk.missing(),
            head,
            ..self.ending
        }
    }

    fn fault(
        &mut self,
        text: &[u8],
        sealed: Option<Sealed<'_>>,
        event: Option<&Event>,
    ) -> Option<Fault> {
        if let Some(error) = &self.line.failed {
            return Some(Fault::Unreadable(error.kind()));
        }
        if self.walk.trust().is_nobody() {
            return None;
        }
        let Some(line) = sealed else { return self.unsealed(text) };
        if let HeadLine::Known { state, found } = &mut self.head
            && state.seq == line.seq
        {
            *found = Some(line.mac);
        }
        let next = if self.has_ahead { Sealed::of(&self.ahead.text) } else { None };
        self.walk.step(&Step { line, event, next })
    }

    /// A line that is not sealed may be a piece of one, as a crash leaves it. The next line says so then, or there is
    /// none.
    fn unsealed(&mut self, text: &[u8]) -> Option<Fault> {
        if !self.has_ahead && !self.line.ended {
            self.ending.torn = Some(Torn::of(text));
            return None;
        }
        let next = self.has_ahead.then(|| Event::of(&self.ahead.text)).flatten();
        if let Some(Event::ChainStart(start)) = next
            && start.torn.is_some_and(|torn| torn == Torn::of(text))
        {
            return None;
        }
        Some(if !self.line.ended {
            Fault::Torn
        } else if self.walk.is_closed() {
            Fault::Appended
        } else {
            Fault::Malformed
        })
    }
}

fn head_line(path: &Path, trust: &Trust) -> Result<HeadLine, ReadError> {
    match state::read_head(path) {
        // As a crash of the machine may leave it.
        Ok(line) if line.is_empty() => Ok(HeadLine::Absent),
        Ok(line) => Ok(match state::head_state(&line, trust) {
            Some(state) => HeadLine::Known { state, found: None },
            None => HeadLine::Forged,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HeadLine::Absent),
        Err(source) => Err(ReadError::Io { path: path.to_owned(), source }),
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("files", &self.lines.files).finish_non_exhaustive()
    }
}

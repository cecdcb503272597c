//! The files of a log, and their lines.

use std::{
    fs::{self, File, Metadata},
    io::{self, BufRead, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

pub(in crate::access_log) use super::source::beside;
use super::{
    Event, LINE_BYTES_MAX,
    source::{self, Source},
};

/// What stands between the name of a log and the time at which it was put aside, since nothing had sealed it.
pub(in crate::access_log) const UNSEALED: &str = ".unsealed-";

/// Fewest digits of a date or a time in the name of a file that was put aside. Numbers by which files are counted have less.
const DATE_DIGITS: usize = 6;

/// The file beside a log that holds its last checkpoint.
#[must_use]
pub fn head_path(log: &Path) -> PathBuf {
    beside(log, ".head")
}

/// The files of a log, oldest first: those that are full, compressed or not, and the one that is written.
///
/// Full files are named after it, with a time or, by other programs, with a number or a date.
///
/// # Errors
/// When its folder cannot be read.
pub fn log_files(log: &Path) -> io::Result<Vec<PathBuf>> {
    let mut full = full_files(log)?;
    full.sort_by(|one, other| one.rank.cmp(&other.rank));
    let mut files: Vec<PathBuf> = full.into_iter().map(|file| file.path).collect();
    if log.metadata().is_ok() {
        files.push(log.to_owned());
    }
    Ok(files)
}

/// A file of a log that is full.
#[derive(Debug)]
pub(in crate::access_log) struct Full {
    pub(in crate::access_log) path: PathBuf,
    /// What stands behind the log's name, without what says that it is compressed.
    pub(in crate::access_log) stamp: String,
    pub(in crate::access_log) compressed: bool,
    rank: Rank,
}

/// The order of full files. Numbers count backwards: 1 is the youngest.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Number(std::cmp::Reverse<u64>),
    Time(String),
}

/// The full files of a log, in no order. One that is there both compressed and not, since the work was cut off, counts
/// as not compressed.
pub(in crate::access_log) fn full_files(log: &Path) -> io::Result<Vec<Full>> {
    let (Some(name), folder) = (log.file_name().and_then(|name| name.to_str()), folder(log)) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(full) =
            path.file_name().and_then(|file| file.to_str()).and_then(|file| full(name, file))
        else {
            continue;
        };
        let (stamp, compressed) = full;
        let rank = match stamp.parse() {
            Ok(number) if stamp.len() < DATE_DIGITS => Rank::Number(std::cmp::Reverse(number)),
            Ok(_) | Err(_) => Rank::Time(stamp.to_owned()),
        };
        let stamp = stamp.to_owned();
        found.push(Full { path, stamp, compressed, rank });
    }
    let plain: Vec<String> =
        found.iter().filter(|file| !file.compressed).map(|file| file.stamp.clone()).collect();
    found.retain(|file| !file.compressed || !plain.contains(&file.stamp));
    Ok(found)
}

/// Whether a file holds more than the lines with which files and runs of a log begin and end.
pub(in crate::access_log) fn holds_records(path: &Path) -> io::Result<bool> {
    let mut lines = Lines::over(vec![path.to_owned()]);
    let mut line = RawLine::default();
    while lines.read(&mut line) {
        if let Some(error) = line.failed.take() {
            return Err(error);
        }
        if !matches!(Event::of(&line.text), Some(Event::ChainStart(_) | Event::Checkpoint(_))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a log may be written under this name: it is not that of a file that was put aside, by us or by other programs.
#[must_use]
pub fn may_be_written(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return true };
    let is_full = |(place, mark): (usize, &str)| {
        let Some(log) = name.get(..place).filter(|log| !log.is_empty()) else { return false };
        full(log, name).is_some_and(|(stamp, _)| is_set_apart(log, mark, stamp))
    };
    path.extension().is_none_or(|end| end != "gz")
        && !name.contains(UNSEALED)
        && !name.match_indices(['.', '-']).any(is_full)
}

/// Whether what stands behind a log's name looks like a time or a date, or like a number behind the name's extension. The 2
/// of `audit.2` and of `promgate-2` may as well be a part of the log's own name.
fn is_set_apart(log: &str, mark: &str, stamp: &str) -> bool {
    let is_date = stamp.bytes().filter(u8::is_ascii_digit).count() >= DATE_DIGITS;
    is_date || mark == "." && Path::new(log).extension().is_some()
}

/// The folder of a file.
pub(in crate::access_log) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What a file's name has behind that of the log, and whether it is compressed.
fn full<'f>(log: &str, file: &'f str) -> Option<(&'f str, bool)> {
    let stamp = file.strip_prefix(log)?.strip_prefix(['.', '-'])?;
    let (stamp, compressed) =
        stamp.strip_suffix(".gz").map_or((stamp, false), |stamp| (stamp, true));
    let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'T' | b'Z' | b'.' | b'-');
    (stamp.bytes().all(plain) && stamp.starts_with(|c: char| c.is_ascii_digit()))
        .then_some((stamp, compressed))
}

/// One line as it stands in its file.
#[derive(Debug, Default)]
pub(super) struct RawLine {
    /// Place of its file among the files of the log.
    pub(super) file: usize,
    /// Its number in the file, from 1.
    pub(super) number: u64,
    /// It, without its line feed; no more than [`LINE_BYTES_MAX`] of it.
    pub(super) text: Vec<u8>,
    /// Whether a line feed ends it.
    pub(super) ended: bool,
    /// The file could not be read on here.
    pub(super) failed: Option<io::Error>,
}

/// The lines of all files, one after the other.
pub(super) struct Lines {
    pub(super) files: Vec<PathBuf>,
    /// Place of the next file.
    next: usize,
    /// The last file, opened before the others were listed.
    last: Option<File>,
    open: Option<Source>,
    number: u64,
}

impl Lines {
    pub(super) const fn over(files: Vec<PathBuf>) -> Self {
        Self { files, next: 0, last: None, open: None, number: 0 }
    }

    /// Those of a log that may be written meanwhile. The file that is written is opened first: if it is put aside
    /// before the others are listed it is among them, and left out there.
    pub(super) fn of_log(log: &Path) -> io::Result<Self> {
        let last = match File::open(log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            file => Some(file?),
        };
        let mut files = log_files(log)?;
        let Some(last) = last else { return Ok(Self::over(files)) };
        let about = last.metadata()?;
        let is_last = |about: &Metadata, path: &Path| {
            path.metadata()
                .is_ok_and(|found| (found.dev(), found.ino()) == (about.dev(), about.ino()))
        };
        files.retain(|path| path != log && !is_last(&about, path));
        files.push(log.to_owned());
        Ok(Self { last: Some(last), ..Self::over(files) })
    }

    /// Reads the next line; false at the end of the last file. A file that cannot be read gives one line that says so.
    pub(super) fn read(&mut self, line: &mut RawLine) -> bool {
        loop {
            line.text.clear();
            line.failed = None;
            let open = match &mut self.open {
                Some(open) => open,
                empty => {
                    let Some(path) = self.files.get(self.next) else { return false };
                    self.next += 1;
                    self.number = 0;
                    let is_last = self.next == self.files.len();
                    let last = if is_last { self.last.take() } else { None };
                    match last.map_or_else(|| source::open(path), |file| source::over(file, path)) {
                        Ok(file) => empty.insert(file),
                        Err(error) => {
                            self.fail(line, error);
                            return true;
                        }
                    }
                }
            };
            match one(open, line) {
                Ok(true) => {
                    self.number += 1;
                    line.number = self.number;
                    line.file = self.next.saturating_sub(1);
                    return true;
                }
                Ok(false) => self.open = None,
                Err(error) => {
                    self.open = None;
                    self.fail(line, error);
                    return true;
                }
            }
        }
    }

    fn fail(&self, line: &mut RawLine, error: io::Error) {
        line.file = self.next.saturating_sub(1);
        line.number = self.number + 1;
        line.ended = false;
        line.failed = Some(error);
    }
}

/// Reads one line; false at the end of the file.
fn one(file: &mut Source, line: &mut RawLine) -> io::Result<bool> {
    let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let taken = file.by_ref().take(most + 1).read_until(b'\n', &mut line.text)?;
    line.ended = line.text.last() == Some(&b'\n');
    if line.ended {
        line.text.pop();
    } else if taken > LINE_BYTES_MAX {
        // Not ours; its rest is skipped, so that the next line is one.
        line.ended = file.skip_until(b'\n')? > 0;
    }
    Ok(taken > 0)
}

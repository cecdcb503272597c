//! Full files: their names, how they are compressed, and which of them are kept.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::{
    access_log::chain::{Full, beside, full_files},
    config::{Fsync, LogFile},
    telemetry::Chain,
};

/// The time in a full file's name.
const STAMP: &str = "%Y%m%dT%H%M%S.%3fZ";

/// Ends the name of a file that is being compressed.
const UNFINISHED: &str = ".gz.tmp";

/// Compresses and removes full files, on a thread of its own: a large file takes seconds, in which records have to be
/// written.
pub(super) struct Keeper {
    config: LogFile,
    wanted: bool,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// For the files of this log. Those that a process before left undone are looked at too.
    pub(super) fn new(config: &LogFile) -> Self {
        Self { config: config.clone(), wanted: true, thread: None }
    }

    /// There is another full file.
    pub(super) const fn wanted(&mut self) {
        self.wanted = true;
    }

    /// Begins what is wanted, unless the work before is not done.
    pub(super) fn work(&mut self) {
        let LogFile { compress, keep_files, keep_age, .. } = &self.config;
        let anything = *compress || keep_files.is_some() || keep_age.is_some();
        let busy = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        if !self.wanted || busy || !anything {
            return;
        }
        self.wanted = false;
        let config = self.config.clone();
        let work = move || {
            if let Err(error) = tidy(&config) {
                tracing::warn!(error = %Chain(&error), "full files of the access log are not kept as configured");
            }
        };
        match thread::Builder::new().name("log-keeper".to_owned()).spawn(work) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "full files of the access log are not kept as configured");
            }
        }
    }
}

/// A time for the name of a full file: now, and later than that of every other.
pub(super) fn stamp(log: &Path) -> io::Result<String> {
    let last = full_files(log)?.iter().filter_map(|file| time_of(&file.stamp)).max();
    let now = Timestamp::now();
    let after = last.map(|last| last + Duration::from_millis(1));
    let time = after.map_or(now, |after| after.max(now));
    Ok(time.strftime(STAMP).to_string())
}

/// The time in the name of a full file of ours.
fn time_of(stamp: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%Y%m%dT%H%M%S%.fZ", stamp).ok()?;
    Some(TimeZone::UTC.to_zoned(time).ok()?.timestamp())
}

/// Compresses full files and removes those that are not to be kept.
fn tidy(config: &LogFile) -> io::Result<()> {
    // Those of ours alone: what other programs put aside is theirs.
    let mut full = full_files(&config.path)?;
    full.retain(|file| time_of(&file.stamp).is_some());
    full.sort_by(|one, other| other.stamp.cmp(&one.stamp));
    let mut kept = Vec::new();
    for (place, file) in full.into_iter().enumerate() {
        let many = config.keep_files.is_some_and(|most| place >= most);
        if many || config.keep_age.is_some_and(|age| is_older(&file, age)) {
            remove(&file)?;
        } else {
            kept.push(file);
        }
    }
    if config.compress {
        for file in kept.iter().rev().filter(|file| !file.compressed) {
            compress(&file.path, config.fsync)?;
        }
    }
    Ok(())
}

fn is_older(file: &Full, age: Duration) -> bool {
    let made = time_of(&file.stamp).map(SystemTime::from);
    made.and_then(|made| SystemTime::now().duration_since(made).ok()).is_some_and(|old| old > age)
}

/// Removes a full file, and what an interrupted compression has left of it.
fn remove(file: &Full) -> io::Result<()> {
    fs::remove_file(&file.path)?;
    for rest in [".gz", UNFINISHED] {
        let rest = beside(&file.path, rest);
        if !file.compressed && rest.metadata().is_ok() {
            fs::remove_file(rest)?;
        }
    }
    Ok(())
}

/// Compresses a file: at any time one of the two is whole.
fn compress(path: &Path, fsync: Fsync) -> io::Result<()> {
    let unfinished = beside(path, UNFINISHED);
    let mut from = BufReader::with_capacity(128 << 10, File::open(path)?);
    let to =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    let mut to = GzEncoder::new(to, Compression::default());
    io::copy(&mut from, &mut to)?;
    let to = to.finish()?;
    if fsync != Fsync::Never {
        to.sync_all()?;
    }
    fs::rename(&unfinished, beside(path, ".gz"))?;
    fs::remove_file(path)
}

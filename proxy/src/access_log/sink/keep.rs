//! Full files: their names, how they are compressed, and which of them are kept.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, BufReader, Seek as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::{
    access_log::chain::{Full, beside, full_files},
    config::{Fsync, LogFile},
    telemetry::Chain,
};

/// The time in a full file's name.
const STAMP: &str = "%Y%m%dT%H%M%S.%3fZ";

/// Ends the name of a file that is being compressed.
const UNFINISHED: &str = ".gz.tmp";

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 128 << 10;

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
    let after = last.and_then(|last| last.checked_add(Duration::from_millis(1)).ok());
    let time = after.map_or(now, |after| after.max(now));
    Ok(time.strftime(STAMP).to_string())
}

/// The time in the name of a full file of ours.
fn time_of(stamp: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%Y%m%dT%H%M%S%.fZ", stamp).ok()?;
    Some(TimeZone::UTC.to_zoned(time).ok()?.timestamp())
}

/// Compresses full files and removes those that are not to be kept. What fails with one keeps nothing from the others; the
/// first such failure is told of.
fn tidy(config: &LogFile) -> io::Result<()> {
    // Those of ours alone: what other programs put aside is theirs.
    let mut full = full_files(&config.path)?;
    full.retain(|file| time_of(&file.stamp).is_some());
    full.sort_by(|one, other| other.stamp.cmp(&one.stamp));
    let mut kept = Vec::new();
    let mut result = Ok(());
    // Another process that writes to this log may be at the same work.
    let mut done = |one: io::Result<()>| match one {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            if result.is_ok() {
                result = Err(error);
            }
        }
        Ok(()) | Err(_) => {}
    };
    for (place, file) in full.into_iter().enumerate() {
        let many = config.keep_files.is_some_and(|most| place >= most);
        if many || config.keep_age.is_some_and(|age| is_older(&file, age)) {
            done(remove(&file));
        } else {
            kept.push(file);
        }
    }
    if config.compress {
        for file in kept.iter().rev().filter(|file| !file.compressed) {
            done(compress(&file.path, config.fsync));
        }
    }
    result
}

fn is_older(file: &Full, age: Duration) -> bool {
    let made = time_of(&file.stamp).map(SystemTime::from);
    made.and_then(|made| SystemTime::now().duration_since(made).ok()).is_some_and(|old| old > age)
}

/// Removes a full file, and what an interrupted compression has left of it.
fn remove(file: &Full) -> io::Result<()> {
    fs::remove_file(&file.path)?;
    let rests = if file.compressed { &[][..] } else { &[".gz", UNFINISHED] };
    for rest in rests {
        match fs::remove_file(beside(&file.path, rest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Whether these are of one file.
pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Compresses a file: at any time one of the two is whole. A file that another process compresses is left to it.
fn compress(path: &Path, fsync: Fsync) -> io::Result<()> {
    let from = File::open(path)?;
    let unfinished = beside(path, UNFINISHED);
    let to = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&unfinished)?;
    // Where files cannot be locked, there is no lock.
    if flock(&to, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        return Ok(());
    }
    // Whoever had the lock before may have finished and given the file its name.
    if !is_same(&unfinished.metadata()?, &to.metadata()?) {
        return Ok(());
    }
    let compressed = path.metadata().and_then(|_still_there| compress_into(&to, from, fsync));
    if let Err(error) = compressed {
        fs::remove_file(&unfinished)?;
        return Err(error);
    }
    fs::rename(&unfinished, beside(path, ".gz"))?;
    fs::remove_file(path)
}

/// Compresses `from` into `to`, and reads it back: what it was made of is removed afterwards.
fn compress_into(mut to: &File, from: File, fsync: Fsync) -> io::Result<()> {
    to.set_len(0)?;
    let mut from = BufReader::with_capacity(BUFFER_BYTES, from);
    let mut packer = GzEncoder::new(to, Compression::default());
    let taken = io::copy(&mut from, &mut packer)?;
    packer.finish()?;
    if fsync != Fsync::Never {
        to.sync_all()?;
    }
    to.rewind()?;
    let mut unpacked = GzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, to));
    // The decoder holds what it gives against the checksum that was made of what was taken.
    if io::copy(&mut unpacked, &mut io::sink())? != taken {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(())
}

/// Puts `next` in the place of `path`, which goes to `aside`; where that fails, `path` is what it was.
pub(super) fn swap(path: &Path, aside: &Path, next: &Path) -> io::Result<()> {
    // With two names for a moment there is always a file at the path. Where a file can have one name only, a process
    // that starts in between finds none and makes one, which is replaced; its writer sees that.
    let linked = fs::hard_link(path, aside).is_ok();
    if !linked {
        fs::rename(path, aside)?;
    }
    fs::rename(next, path).inspect_err(|_failed| {
        let undone = if linked { fs::remove_file(aside) } else { fs::rename(aside, path) };
        if let Err(error) = undone {
            tracing::error!(file = %aside.display(), %error, "a log that was to be put aside is left there");
        }
    })
}

#[cfg(test)]
mod tests;

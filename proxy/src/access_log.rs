//! The access log: one JSON line for each request.
//!
//! A [`Record`] is a list of named facts; there is no way from a header map, a URL or a body into a
//! line but through a field of it or a header rule. A request pays for writing its line into a
//! buffer; a thread of the log's own writes the buffer out. When the output cannot keep up, records
//! are dropped and counted, requests never wait. A line may stay in memory for a few hundredths of a
//! second, so a process that is killed outright loses what was not yet written.

mod json;
mod plain;

pub mod pseudonym;

pub mod identity;

mod detect;

mod redact;
mod value;

mod record;

mod ecs;
mod line;
mod otlp;

mod writer;

use std::{
    cell::RefCell,
    fmt,
    fs::{File, OpenOptions},
    io,
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use self::{
    pseudonym::Pseudonyms,
    writer::{Queue, Sink},
};
pub use self::{
    record::{Event, Record, Tls},
    redact::{Arguments, RuledHeaders, Rules},
    value::{Format, Value},
};
pub use crate::field::{Field, Kind};
use crate::{
    config::{self, AccessLogOutput},
    metrics::LogCounters,
};

/// A handle to the access log; cheap to clone. The log ends when the last one is dropped.
#[derive(Clone)]
pub struct AccessLog(Option<Arc<Open>>);

/// The access log could not be started or ended.
#[derive(Debug, thiserror::Error)]
pub enum AccessLogError {
    /// The file cannot be opened.
    #[error(
        "cannot open the access log '{}'; let this user write to it, or change \
         `middleware.access_logs.output`",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The path names a pipe, a socket or a disk.
    #[error(
        "the access log '{}' is not a file; name a file, `stdout` or `off` in \
         `middleware.access_logs.output`",
        path.display()
    )]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Standard output is closed.
    #[error(
        "cannot use standard output for the access log; open it, or change \
         `middleware.access_logs.output`"
    )]
    Stdout(#[source] io::Error),
    /// The thread that writes did not start.
    #[error("cannot start the thread of the access log")]
    Thread(#[source] io::Error),
    /// The output did not take everything in time.
    #[error("{bytes} bytes of access records were not written in time")]
    NotFlushed {
        /// What was left.
        bytes: usize,
    },
}

struct Open {
    queue: Arc<Queue>,
    rules: Rules,
}

struct StdoutSink(File);

struct FileSink {
    path: PathBuf,
    file: File,
}

thread_local! {
    /// Where a thread writes its lines before they enter the queue, so that the queue's lock is held
    /// for a copy only. Bounded, since every text in a record is.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl AccessLog {
    /// Opens the output and starts the thread that writes to it.
    ///
    /// # Errors
    /// [`AccessLogError`] when the output cannot be opened or the thread not be started.
    pub fn start(
        config: &config::AccessLog,
        counters: LogCounters,
    ) -> Result<Self, AccessLogError> {
        let sink: Box<dyn Sink> = match &config.output {
            AccessLogOutput::Off => return Ok(Self(None)),
            AccessLogOutput::Stdout => Box::new(StdoutSink::open()?),
            AccessLogOutput::File(path) => {
                Box::new(FileSink { path: path.clone(), file: open(path)? })
            }
        };
        Self::onto(sink, config, counters)
    }

    fn onto(
        sink: Box<dyn Sink>,
        config: &config::AccessLog,
        counters: LogCounters,
    ) -> Result<Self, AccessLogError> {
        let rules = Rules::new(config, Pseudonyms::of_log(config).map(Arc::new));
        let queue = writer::start(sink, config.queue_bytes_max, counters)
            .map_err(AccessLogError::Thread)?;
        Ok(Self(Some(Arc::new(Open { queue, rules: rules }))))
    }

    /// Whether records go anywhere. When not, none need be built.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The rules of its records; none when it is off.
    #[must_use]
    pub fn rules(&self) -> Option<&Rules> {
        self.0.as_ref().map(|open| &open.rules)
    }

    /// Hands one record to the writer. Never waits: without room the record is dropped and counted.
    pub fn write(&self, record: &Record<'_>) {
        let Some(open) = &self.0 else { return };
        LINE.with_borrow_mut(|line| {
            line.clear();
            record.write(Format::Json, &open.rules, line);
            open.queue.push(line);
        });
    }

    /// Opens a log file anew before the next write, for whoever moved the old one away.
    ///
    /// When that fails the log stays with the old file and says so.
    pub fn reopen(&self) {
        if let Some(open) = &self.0 {
            open.queue.reopen();
        }
    }

    /// Takes no more records and waits until everything taken is written, at most for `limit`.
    ///
    /// Blocks the thread; call it when no request is left.
    ///
    /// # Errors
    /// [`AccessLogError::NotFlushed`] when the output did not take it all within `limit`.
    pub fn flush_and_stop(&self, limit: Duration) -> Result<(), AccessLogError> {
        let Some(open) = &self.0 else { return Ok(()) };
        match open.queue.stop_and_wait(limit) {
            0 => Ok(()),
            bytes => Err(AccessLogError::NotFlushed { bytes }),
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("is_on", &self.is_on()).finish()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.queue.stop();
    }
}

impl StdoutSink {
    /// A descriptor of its own: the standard library's handle buffers lines and hides `EBADF`.
    fn open() -> Result<Self, AccessLogError> {
        let descriptor =
            io::stdout().as_fd().try_clone_to_owned().map_err(AccessLogError::Stdout)?;
        Ok(Self(File::from(descriptor)))
    }
}

impl Sink for StdoutSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut self.0, bytes)
    }

    fn reopen(&mut self) -> Result<(), AccessLogError> {
        Ok(())
    }
}

impl Sink for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut self.file, bytes)
    }

    fn reopen(&mut self) -> Result<(), AccessLogError> {
        self.file = open(&self.path)?;
        Ok(())
    }
}

/// Opens a log file: created for its owner alone, appended to.
fn open(path: &Path) -> Result<File, AccessLogError> {
    if path.metadata().is_ok_and(|found| !AccessLogOutput::may_be(found.file_type())) {
        return Err(AccessLogError::NotAFile { path: path.to_owned() });
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| AccessLogError::Open { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;

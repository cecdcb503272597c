use std::{
    io::{PipeReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    time::{Instant, SystemTime},
};

use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use super::*;
use crate::metrics::{Metrics, Subjects};

const PATIENCE: Duration = Duration::from_secs(20);

fn config(path: &Path) -> config::AccessLog {
    config::AccessLog::to(Target::File(LogFile::at(path.to_owned())), 1 << 20)
}

fn counters() -> LogCounters {
    Metrics::new(Subjects { tools: &[], backends: &[], workers: 0 }).unwrap().access_log()
}

fn record(request_id: &str) -> Record<'_> {
    Record {
        time: SystemTime::now(),
        request_id,
        method: "POST",
        path: b"/mcp",
        http_version: http::Version::HTTP_2,
        status: Some(200),
        duration: Duration::from_millis(1),
        bytes_in: 1,
        bytes_out: 2,
        rpc_method: Some("ping"),
        ..Record::default()
    }
}

/// Each line of a log as JSON; a line that is none fails the test.
fn lines(log: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(log).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.get("request_id")?.as_str()).collect()
}

fn told(lines: &[Value]) -> u64 {
    lines
        .iter()
        .filter(|line| line.get("event").is_some_and(|event| event == "records_dropped"))
        .map(|line| line["records"].as_u64().unwrap())
        .sum()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// An output that a test can stop and break.
#[derive(Clone, Default)]
struct Trial(Arc<(Mutex<TrialState>, Condvar)>);

#[derive(Default)]
struct TrialState {
    written: Vec<u8>,
    stopped: bool,
    waiting: bool,
    /// Bytes taken before every write fails; `None`: never.
    room: Option<usize>,
}

impl Trial {
    fn set(&self, change: impl FnOnce(&mut TrialState)) {
        change(&mut self.0.0.lock());
        self.0.1.notify_all();
    }

    fn written(&self) -> Vec<u8> {
        self.0.0.lock().written.clone()
    }
}

impl Sink for Trial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.0.lock();
        state.waiting = true;
        self.0.1.wait_while(&mut state, |state| state.stopped);
        state.waiting = false;
        let taken = state.room.unwrap_or(bytes.len()).min(bytes.len());
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.room = state.room.map(|room| room - taken);
        state.written.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn reopen(&mut self) -> Result<(), AccessLogError> {
        Ok(())
    }
}

fn onto(trial: &Trial, queue_bytes_max: usize) -> (AccessLog, LogCounters) {
    let counters = counters();
    let config = config::AccessLog::off();
    let log = AccessLog::onto(Box::new(trial.clone()), &config, queue_bytes_max, counters.clone());
    (log.unwrap(), counters)
}

#[test]
fn every_record_of_every_thread_is_written_once_and_in_its_threads_order() {
    let trial = Trial::default();
    let (log, counters) = onto(&trial, 16 << 20);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..2500 {
                    log.write(&record(&format!("{thread}-{number:04}")));
                }
            });
        }
    });
    log.flush_and_stop(PATIENCE).unwrap();
    let lines = lines(&trial.written());
    assert_eq!(lines.len(), 10_000);
    for thread in ["0-", "1-", "2-", "3-"] {
        let of_thread: Vec<&str> =
            ids(&lines).into_iter().filter(|id| id.starts_with(thread)).collect();
        assert_eq!(of_thread.len(), 2500);
        assert!(of_thread.is_sorted(), "in order");
    }
    assert_eq!((counters.written.get(), counters.dropped.get()), (10_000, 0));
}

#[test]
fn a_quiet_log_writes_without_being_flushed() {
    let trial = Trial::default();
    let (log, _) = onto(&trial, 1 << 20);
    for id in ["a", "b"] {
        log.write(&record(id));
        until("the record is written", || ids(&lines(&trial.written())).contains(&id));
    }
}

#[test]
fn a_stalled_output_costs_records_not_time_or_memory() {
    let trial = Trial::default();
    let (log, counters) = onto(&trial, 4096);
    trial.set(|state| state.stopped = true);
    log.write(&record("first"));
    until("the thread is in a write", || trial.0.0.lock().waiting);
    let start = Instant::now();
    for _ in 0..1000 {
        log.write(&record("flood"));
    }
    assert!(start.elapsed() < Duration::from_secs(5), "writing waited for the output");
    let dropped = counters.dropped.get();
    assert!(dropped > 900, "4 kB hold few of 1000 records, yet only {dropped} were dropped");
    trial.set(|state| state.stopped = false);
    until("the loss is told", || told(&lines(&trial.written())) == dropped);
    log.write(&record("after"));
    log.flush_and_stop(PATIENCE).unwrap();
    let written = trial.written();
    let lines = lines(&written);
    assert_eq!(ids(&lines).last(), Some(&"after"));
    assert_eq!(
        u64::try_from(ids(&lines).len()).unwrap(),
        1002 - dropped,
        "each is written or told"
    );
    assert_eq!(counters.written.get(), 1002 - dropped);
    assert_eq!(told(&lines), dropped, "told once");
}

#[test]
fn a_loss_is_told_even_when_no_record_follows() {
    let trial = Trial::default();
    let (log, _counters) = onto(&trial, 300);
    trial.set(|state| state.stopped = true);
    log.write(&record("first"));
    until("the thread is in a write", || trial.0.0.lock().waiting);
    log.write(&record("does not fit"));
    trial.set(|state| state.stopped = false);
    until("the loss is told", || told(&lines(&trial.written())) == 1);
}

#[test]
fn what_a_full_disk_lost_is_counted_and_told_when_there_is_room() {
    let trial = Trial::default();
    let (log, counters) = onto(&trial, 1 << 20);
    // Room for one record and a part of the next.
    trial.set(|state| state.room = Some(250));
    for id in ["a", "b", "c"] {
        log.write(&record(id));
        until("the thread took it", || {
            let done = counters.written.get() + counters.dropped.get();
            done == match id {
                "a" => 1,
                "b" => 2,
                _ => 3,
            }
        });
    }
    assert_eq!((counters.written.get(), counters.dropped.get()), (1, 2));
    assert_eq!(counters.write_errors.get(), 2);
    trial.set(|state| state.room = None);
    log.write(&record("d"));
    log.flush_and_stop(PATIENCE).unwrap();
    let written = String::from_utf8(trial.written()).unwrap();
    let (whole, torn): (Vec<&str>, Vec<&str>) =
        written.lines().partition(|line| serde_json::from_str::<Value>(line).is_ok());
    assert_eq!(torn.len(), 1, "only the line that the disk cut is torn: {written}");
    let whole: Vec<Value> = whole.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(ids(&whole), ["a", "d"]);
    assert_eq!(told(&whole), 2);
}

#[test]
fn a_closed_pipe_harms_nobody() {
    let (reader, writer): (PipeReader, _) = io::pipe().unwrap();
    drop(reader);
    let sink = StdoutSink(File::from(std::os::fd::OwnedFd::from(writer)));
    let counters = counters();
    let config = config::AccessLog::off();
    let log = AccessLog::onto(Box::new(sink), &config, 1 << 20, counters.clone()).unwrap();
    log.write(&record("a"));
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(counters.write_errors.get(), 1);
    assert_eq!((counters.written.get(), counters.dropped.get()), (0, 1));
}

#[test]
fn a_pipe_gets_every_byte_in_pieces() {
    let (mut reader, writer) = io::pipe().unwrap();
    let sink = StdoutSink(File::from(std::os::fd::OwnedFd::from(writer)));
    let config = config::AccessLog::off();
    let log = AccessLog::onto(Box::new(sink), &config, 1 << 20, counters()).unwrap();
    // More than a pipe holds, so that writes are partial.
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        all
    });
    for number in 0..2000 {
        log.write(&record(&number.to_string()));
    }
    log.flush_and_stop(PATIENCE).unwrap();
    drop(log);
    assert_eq!(lines(&reading.join().unwrap()).len(), 2000);
}

#[test]
fn stopping_gives_up_on_an_output_that_takes_nothing() {
    let trial = Trial::default();
    let (log, counters) = onto(&trial, 1 << 20);
    trial.set(|state| state.stopped = true);
    log.write(&record("a"));
    let left = log.flush_and_stop(Duration::from_millis(100));
    assert!(matches!(left, Err(AccessLogError::NotFlushed { bytes: 100.. })), "{left:?}");
    log.write(&record("too late"));
    assert_eq!(counters.dropped.get(), 1, "a stopped log takes nothing");
    trial.set(|state| state.stopped = false);
}

#[test]
fn a_file_is_made_for_its_owner_and_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    for id in ["a", "b"] {
        let log = AccessLog::start(&config(&path), counters()).unwrap();
        assert!(log.is_on());
        log.write(&record(id));
        log.flush_and_stop(PATIENCE).unwrap();
    }
    assert_eq!(ids(&lines(&std::fs::read(&path).unwrap())), ["a", "b"]);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_moved_file_is_left_and_made_anew_on_reopen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let moved = directory.path().join("access.log.1");
    let log = AccessLog::start(&config(&path), counters()).unwrap();
    log.write(&record("a"));
    until("a is written", || !std::fs::read(&path).unwrap().is_empty());
    std::fs::rename(&path, &moved).unwrap();
    log.reopen();
    until("the file is back", || path.exists());
    log.write(&record("b"));
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(ids(&lines(&std::fs::read(&moved).unwrap())), ["a"]);
    assert_eq!(ids(&lines(&std::fs::read(&path).unwrap())), ["b"]);
}

#[test]
fn a_reopen_that_fails_keeps_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let moved = directory.path().join("access.log.1");
    let log = AccessLog::start(&config(&path), counters()).unwrap();
    std::fs::rename(&path, &moved).unwrap();
    std::fs::create_dir(&path).unwrap();
    log.reopen();
    log.write(&record("a"));
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(ids(&lines(&std::fs::read(&moved).unwrap())), ["a"]);
}

#[test]
fn an_output_that_cannot_be_opened_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let start = |path: PathBuf| AccessLog::start(&config(&path), counters()).unwrap_err();
    let missing = start(directory.path().join("no/such/access.log"));
    assert!(matches!(missing, AccessLogError::Open { .. }), "{missing}");
    assert!(missing.to_string().contains("no/such/access.log"), "{missing}");
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(start(socket), AccessLogError::NotAFile { .. }));
}

#[test]
fn an_access_log_that_is_off_takes_nothing() {
    let counters = counters();
    let log = AccessLog::start(&config::AccessLog::off(), counters.clone()).unwrap();
    assert!(!log.is_on());
    log.write(&record("a"));
    log.reopen();
    log.flush_and_stop(Duration::ZERO).unwrap();
    assert_eq!((counters.written.get(), counters.dropped.get()), (0, 0));
}

use std::{
    fs::File,
    io::{self, PipeReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use parking_lot::{Condvar, Mutex};
use serde_json::Value as Json;

use super::{output::Output, sink::stdout::Stream, *};
use crate::{
    config::{LogFile, SinkName, Target, WhenFull},
    metrics::{SinkCounters, Subjects},
};

mod admission;
mod broken;
mod chained;
mod choice;
mod otlp;
mod rotation;
mod syslog;
mod trial_output;

use self::trial_output::Trial;

const PATIENCE: Duration = Duration::from_secs(20);

const RESOURCE: Resource<'static> = Resource { service: "promgate", instance: "a" };

fn metrics() -> Metrics {
    Metrics::new(Subjects { tools: &[], backends: &[], workers: 0 }).unwrap()
}

fn counters() -> SinkCounters {
    metrics().sink("test").unwrap()
}

/// A sink of JSON lines and of nothing else.
fn plain(queue_bytes_max: usize) -> config::Sink {
    config::Sink::plain(SinkName::of_output(), Target::Stdout, queue_bytes_max)
}

fn to_file(path: &Path) -> AccessLog {
    let config = config::AccessLog::to(Target::File(LogFile::at(path.to_owned())), 1 << 20);
    AccessLog::start(&config, RESOURCE, &metrics()).unwrap()
}

/// A log of one sink that writes to this output.
fn log_onto(output: impl Output + 'static, sink: config::Sink) -> (AccessLog, SinkCounters) {
    let counters = counters();
    let config = config::AccessLog { sinks: vec![sink], ..config::AccessLog::off() };
    let sink = open::onto(Box::new(output), &config.sinks[0], &config.audit, counters.clone());
    (AccessLog(Some(Arc::new(Open::new(&config, Box::new([sink.unwrap()]))))), counters)
}

fn write(log: &AccessLog, id: &str) {
    log.write(&record(id), &mut Admission::default());
}

fn record(request_id: &str) -> Record<'_> {
    Record {
        time: SystemTime::now(),
        request_id: request_id.as_bytes(),
        method: "POST",
        path: b"/mcp",
        http_version: http::Version::HTTP_2,
        status: Some(200),
        duration: Duration::from_millis(1),
        rpc_method: Some("ping"),
        ..Record::default()
    }
}

/// Each line of a log as JSON; a line that is none fails the test.
fn lines(log: &[u8]) -> Vec<Json> {
    let text = std::str::from_utf8(log).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(lines: &[Json]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.get("request_id")?.as_str()).collect()
}

fn told(lines: &[Json]) -> u64 {
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

fn onto(trial: &Trial, queue_bytes_max: usize) -> (AccessLog, SinkCounters) {
    log_onto(trial.clone(), plain(queue_bytes_max))
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
                    write(log, &format!("{thread}-{number:04}"));
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
        write(&log, id);
        until("the record is written", || ids(&lines(&trial.written())).contains(&id));
    }
}

#[test]
fn a_stalled_output_costs_records_not_time_or_memory() {
    let trial = Trial::default();
    let (log, counters) = onto(&trial, 4096);
    trial.set(|state| state.stopped = true);
    write(&log, "first");
    until("the thread is in a write", || trial.0.0.lock().waiting);
    let start = Instant::now();
    for _ in 0..1000 {
        write(&log, "flood");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "writing waited for the output");
    let dropped = counters.dropped.get();
    assert!(dropped > 900, "4 kB hold few of 1000 records, yet only {dropped} were dropped");
    trial.set(|state| state.stopped = false);
    until("the loss is told", || told(&lines(&trial.written())) == dropped);
    write(&log, "after");
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
    write(&log, "first");
    until("the thread is in a write", || trial.0.0.lock().waiting);
    write(&log, "does not fit");
    trial.set(|state| state.stopped = false);
    until("the loss is told", || told(&lines(&trial.written())) == 1);
}

#[test]
fn a_full_disk_delays_records_and_loses_none_while_there_is_room_in_the_queue() {
    let trial = Trial::default();
    let (log, counters) = onto(&trial, 1 << 20);
    // Room for one record and a part of the next.
    trial.set(|state| state.room = Some(250));
    for id in ["a", "b", "c"] {
        write(&log, id);
    }
    until("the disk is full", || counters.write_errors.get() > 1);
    trial.set(|state| state.room = None);
    write(&log, "d");
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(ids(&lines(&trial.written())), ["a", "b", "c", "d"], "no line is torn");
    assert_eq!((counters.written.get(), counters.dropped.get()), (4, 0));
}

#[test]
fn what_a_full_disk_cost_is_counted_and_told_when_there_is_room() {
    let trial = Trial::default();
    let (log, counters) = onto(&trial, 1000);
    trial.set(|state| state.room = Some(50));
    for number in 0..100 {
        write(&log, &number.to_string());
    }
    until("the disk is full", || counters.write_errors.get() > 1);
    let dropped = counters.dropped.get();
    assert!(dropped > 90, "1000 bytes hold few of 100 records: {dropped}");
    trial.set(|state| state.room = None);
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(told(&lines(&trial.written())), dropped);
    assert_eq!(counters.written.get() + dropped, 100, "each is written or counted");
    assert_eq!(u64::try_from(ids(&lines(&trial.written())).len()).unwrap(), counters.written.get());
}

#[test]
fn what_a_disk_that_stays_full_costs_at_the_end_is_counted() {
    let trial = Trial::default();
    let (log, counters) = onto(&trial, 1 << 20);
    trial.set(|state| state.room = Some(250));
    for id in ["a", "b", "c"] {
        write(&log, id);
    }
    log.flush_and_stop(Duration::from_secs(1)).unwrap();
    let written = String::from_utf8(trial.written()).unwrap();
    let whole = u64::try_from(written.matches('\n').count()).unwrap();
    assert!(whole >= 1);
    assert_eq!((counters.written.get(), counters.dropped.get()), (whole, 3 - whole));
}

#[test]
fn a_device_that_is_always_full_harms_nobody() {
    let config = config::AccessLog::to(Target::File(LogFile::at("/dev/full".into())), 1 << 16);
    let metrics = metrics();
    let log = AccessLog::start(&config, RESOURCE, &metrics).unwrap();
    for number in 0..1000 {
        write(&log, &number.to_string());
    }
    log.flush_and_stop(Duration::from_millis(500)).unwrap();
    let counters = metrics.sink("access").unwrap();
    assert_eq!((counters.written.get(), counters.dropped.get()), (0, 1000));
}

#[test]
fn a_closed_pipe_harms_nobody() {
    let (reader, writer): (PipeReader, _) = io::pipe().unwrap();
    drop(reader);
    let output = Stream::to(File::from(std::os::fd::OwnedFd::from(writer)));
    let (log, counters) = log_onto(output, plain(1 << 20));
    write(&log, "a");
    let start = Instant::now();
    log.flush_and_stop(PATIENCE).unwrap();
    assert!(start.elapsed() < PATIENCE / 2, "nobody waits for a reader that cannot come");
    assert!(counters.write_errors.get() >= 1);
    assert_eq!((counters.written.get(), counters.dropped.get()), (0, 1));
}

#[test]
fn a_slow_pipe_gets_every_byte_in_pieces() {
    let (mut reader, writer) = io::pipe().unwrap();
    let output = Stream::to(File::from(std::os::fd::OwnedFd::from(writer)));
    let (log, counters) = log_onto(output, plain(1 << 20));
    // More than a pipe holds, so that writes are partial.
    let reading = std::thread::spawn(move || {
        let (mut all, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            match reader.read(&mut piece).unwrap() {
                0 => return all,
                count => all.extend_from_slice(&piece[..count]),
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
    });
    for number in 0..2000 {
        write(&log, &number.to_string());
    }
    log.flush_and_stop(PATIENCE).unwrap();
    drop(log);
    assert_eq!(lines(&reading.join().unwrap()).len(), 2000);
    assert_eq!(counters.written.get(), 2000);
}

#[test]
fn stopping_gives_up_on_an_output_that_takes_nothing() {
    let trial = Trial::default();
    let (log, counters) = onto(&trial, 1 << 20);
    trial.set(|state| state.stopped = true);
    write(&log, "a");
    let left = log.flush_and_stop(Duration::from_millis(100));
    assert!(matches!(left, Err(AccessLogError::NotFlushed { bytes: 100.. })), "{left:?}");
    write(&log, "too late");
    assert_eq!(counters.dropped.get(), 1, "a stopped log takes nothing");
    trial.set(|state| state.stopped = false);
}

#[test]
fn a_file_is_made_for_its_owner_and_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    for id in ["a", "b"] {
        let log = to_file(&path);
        assert!(log.is_on());
        write(&log, id);
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
    let log = to_file(&path);
    write(&log, "a");
    until("a is written", || !std::fs::read(&path).unwrap().is_empty());
    std::fs::rename(&path, &moved).unwrap();
    log.reopen();
    until("the file is back", || path.exists());
    write(&log, "b");
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(ids(&lines(&std::fs::read(&moved).unwrap())), ["a"]);
    assert_eq!(ids(&lines(&std::fs::read(&path).unwrap())), ["b"]);
}

#[test]
fn a_reopen_that_fails_keeps_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let moved = directory.path().join("access.log.1");
    let log = to_file(&path);
    std::fs::rename(&path, &moved).unwrap();
    std::fs::create_dir(&path).unwrap();
    log.reopen();
    write(&log, "a");
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(ids(&lines(&std::fs::read(&moved).unwrap())), ["a"]);
}

#[test]
fn an_output_that_cannot_be_opened_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let start = |path: PathBuf| {
        let config = config::AccessLog::to(Target::File(LogFile::at(path)), 1 << 20);
        AccessLog::start(&config, RESOURCE, &metrics()).unwrap_err()
    };
    let missing = start(directory.path().join("no/such/access.log"));
    assert!(matches!(missing, AccessLogError::Open { .. }), "{missing}");
    assert!(missing.to_string().contains("no/such/access.log"), "{missing}");
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(start(socket), AccessLogError::NotAFile { .. }));
}

#[test]
fn an_access_log_that_is_off_takes_nothing() {
    let log = AccessLog::start(&config::AccessLog::off(), RESOURCE, &metrics()).unwrap();
    assert!(!log.is_on());
    write(&log, "a");
    log.reopen();
    log.flush_and_stop(Duration::ZERO).unwrap();
}

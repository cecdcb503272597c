//! Sealed sinks: what they write is what readers verify.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
};

use mcp_core::secret::Secret;

use super::*;
use crate::{
    access_log::chain::{AuditKeys, Ending, Fault, Head, Reader, Trust},
    config::{Audit, Fsync},
};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn secrets(keys: &[&str]) -> Vec<Secret> {
    keys.iter().map(|key| Secret::new(*key)).collect()
}

pub(super) fn config(path: &Path, change: impl FnOnce(&mut LogFile)) -> config::AccessLog {
    let mut file = LogFile::at(path.to_owned());
    change(&mut file);
    let mut config = config::AccessLog::to(Target::File(file), 8 << 20);
    config.sinks[0].chain = true;
    config.audit = Audit { keys: secrets(&[KEY]), ..Audit::default() };
    config
}

fn start(path: &Path) -> AccessLog {
    AccessLog::start(&config(path, |_| ()), RESOURCE, &metrics()).unwrap()
}

pub(super) fn verify(path: &Path) -> (Vec<(u64, Fault)>, Ending) {
    verify_with(path, &[KEY])
}

fn verify_with(path: &Path, keys: &[&str]) -> (Vec<(u64, Fault)>, Ending) {
    let trust = Trust::of_keys(AuditKeys::new(&secrets(keys)).unwrap());
    let mut reader = Reader::open(path, trust).unwrap();
    let mut faults = Vec::new();
    while let Some(entry) = reader.read() {
        faults.extend(entry.fault.map(|fault| (entry.line, fault)));
    }
    (faults, reader.end())
}

pub(super) fn flush(log: &AccessLog) {
    log.flush_and_stop(PATIENCE).unwrap();
}

#[test]
fn a_sealed_log_verifies_to_its_end_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    for run in 1..=3 {
        let log = start(&path);
        for number in 0..100 {
            write(&log, &number.to_string());
        }
        flush(&log);
        let (faults, end) = verify(&path);
        assert_eq!(faults, []);
        assert_eq!((end.records, end.closed), (run * 100, true));
        assert_eq!(end.head, Head::Reached(end.last.unwrap().seq));
    }
    for file in [path.clone(), chain::head_path(&path)] {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_log_that_was_not_ended_goes_on_and_a_torn_line_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = start(&path);
    write(&log, "a");
    flush(&log);
    let whole = fs::read(&path).unwrap();
    for cut in [1, 2, 40, 150] {
        // As a machine that lost power leaves it: without the checkpoint, and a record cut.
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').take(3).collect();
        let lines = lines.concat();
        fs::write(&path, &lines[..lines.len() - cut]).unwrap();
        let log = start(&path);
        write(&log, "b");
        flush(&log);
        let (faults, end) = verify(&path);
        // The head knows of the end that we cut off; what matters is that nothing else is amiss.
        let missing = matches!(faults[..], [(_, Fault::Missing(_))]);
        assert!(missing, "{cut}: {faults:?}");
        assert!(end.closed, "{cut}");
    }
}

#[test]
fn the_first_line_of_a_log_may_be_cut_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    fs::write(&path, "{\"v\":1,\"event\":\"chain_st").unwrap();
    let log = start(&path);
    write(&log, "a");
    flush(&log);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records), (Vec::new(), 1));
}

#[test]
fn a_log_without_seals_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    fs::write(&path, "{\"v\":1}\n{\"v\":1}\n").unwrap();
    let log = start(&path);
    write(&log, "a");
    flush(&log);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records), (Vec::new(), 1));
    let aside = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<PathBuf> =
        aside.filter(|path| path.to_str().unwrap().contains("unsealed")).collect();
    assert_eq!(fs::read(&aside[0]).unwrap(), b"{\"v\":1}\n{\"v\":1}\n");
}

#[test]
fn a_log_that_was_cut_while_nobody_looked_shows_the_gap_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = start(&path);
    for id in ["a", "b", "c", "d"] {
        write(&log, id);
    }
    flush(&log);
    let lines = fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = lines.lines().take(4).collect();
    fs::write(&path, kept.join("\n") + "\n").unwrap();
    let log = start(&path);
    write(&log, "e");
    flush(&log);
    let (faults, end) = verify(&path);
    assert_eq!(faults, [(5, Fault::Missing(5..=7))]);
    assert_eq!(end.missing, [5..=7]);
    assert!(fs::read_to_string(&path).unwrap().contains("\"notice\":\"cut_short\""));
}

#[test]
fn lines_added_while_nobody_looked_stay_marked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = start(&path);
    write(&log, "a");
    flush(&log);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"v\":1,\"request_id\":\"forged\",\"seq\":5,\"mac\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}\n")
        .unwrap();
    let log = start(&path);
    write(&log, "b");
    flush(&log);
    let (faults, end) = verify(&path);
    assert_eq!(faults, [(5, Fault::Appended)]);
    assert!(end.closed);
}

#[test]
fn a_forged_number_is_not_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let junk = |seq: u64| {
        format!("{{\"v\":1,\"seq\":{seq},\"mac\":\"{}\"}}\n", "A".repeat(43)).repeat(300)
    };
    let append = |text: &str| {
        OpenOptions::new().append(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
    };
    let log = start(&path);
    write(&log, "a");
    flush(&log);
    append(&junk(u64::MAX >> 1));
    let log = start(&path);
    write(&log, "b");
    flush(&log);
    let (_, end) = verify(&path);
    assert!(end.last.unwrap().seq < 20, "it goes on from the head: {:?}", end.last);
    assert!(fs::read_to_string(&path).unwrap().contains("\"notice\":\"end_forged\""));
    // Without a head the numbers go on from what is claimed, where that can be.
    append(&junk(1000));
    fs::remove_file(chain::head_path(&path)).unwrap();
    let log = start(&path);
    write(&log, "c");
    flush(&log);
    let last = verify(&path).1.last.unwrap().seq;
    assert!((1002..1010).contains(&last), "{last}");
    append(&junk(u64::MAX >> 1));
    fs::remove_file(chain::head_path(&path)).unwrap();
    let log = start(&path);
    write(&log, "d");
    flush(&log);
    assert!(fs::read_to_string(&path).unwrap().lines().count() > 900, "nothing is put aside");
    assert!(verify(&path).1.last.unwrap().seq < 1100);
}

#[test]
fn keys_are_changed_without_a_break() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let new = "fedcba9876543210fedcba9876543210";
    for keys in [&[KEY][..], &[new, KEY], &[new]] {
        let mut config = config(&path, |_| ());
        config.audit.keys = secrets(keys);
        let log = AccessLog::start(&config, RESOURCE, &metrics()).unwrap();
        write(&log, "a");
        flush(&log);
    }
    let (faults, end) = verify_with(&path, &[new, KEY]);
    assert_eq!((faults, end.records), (Vec::new(), 3));
    let (faults, _) = verify_with(&path, &[new]);
    assert!(matches!(faults[0], (1, Fault::ForeignKey(_))), "{faults:?}");
}

#[test]
fn two_processes_write_to_one_log_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let config = config(&path, |file| file.rotate_bytes = Some(64 << 10));
    let logs = [0; 2].map(|_| AccessLog::start(&config, RESOURCE, &metrics()).unwrap());
    std::thread::scope(|scope| {
        for log in &logs {
            scope.spawn(move || {
                for number in 0..50 {
                    for _ in 0..20 {
                        write(log, &number.to_string());
                    }
                    std::thread::park_timeout(Duration::from_millis(3));
                }
            });
        }
    });
    logs.iter().for_each(flush);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records), (Vec::new(), 2000));
    assert_eq!(end.head, Head::Reached(end.last.unwrap().seq));
}

#[test]
fn checkpoints_come_after_so_many_records_and_after_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let mut config = config(&path, |_| ());
    config.audit.checkpoint_records = 10;
    config.audit.checkpoint_interval = Duration::from_millis(100);
    let log = AccessLog::start(&config, RESOURCE, &metrics()).unwrap();
    let checkpoints =
        || fs::read_to_string(&path).unwrap_or_default().matches("\"reason\":\"interval\"").count();
    until("the first", || checkpoints() == 1);
    write(&log, "a");
    until("after a time", || checkpoints() == 2);
    for number in 0..50 {
        write(&log, &number.to_string());
    }
    until("after so many", || checkpoints() >= 3);
    flush(&log);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records), (Vec::new(), 51));
}

#[test]
fn what_is_forced_onto_the_disk_is_written_all_the_same() {
    for fsync in [Fsync::Always, Fsync::Every(Duration::from_millis(20))] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log = AccessLog::start(&config(&path, |file| file.fsync = fsync), RESOURCE, &metrics())
            .unwrap();
        for number in 0..100 {
            write(&log, &number.to_string());
        }
        flush(&log);
        let (faults, end) = verify(&path);
        assert_eq!((faults, end.records), (Vec::new(), 100));
    }
}

#[test]
fn a_full_disk_tears_no_line_of_a_chain() {
    let trial = Trial::default();
    let sink = config::Sink { chain: true, ..plain(1 << 20) };
    let counters = counters();
    let audit = Audit { keys: secrets(&[KEY]), ..Audit::default() };
    trial.set(|state| state.room = Some(700));
    let sink = open::onto(Box::new(trial.clone()), &sink, &audit, counters.clone()).unwrap();
    let log = AccessLog(Some(Arc::new(Open::new(&config::AccessLog::off(), Box::new([sink])))));
    for number in 0..50 {
        write(&log, &number.to_string());
    }
    until("the disk is full", || counters.write_errors.get() > 2);
    trial.set(|state| state.room = None);
    flush(&log);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    fs::write(&path, trial.written()).unwrap();
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records, end.closed), (Vec::new(), 50, true));
}

#[test]
fn so_many_records_bring_a_checkpoint_before_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let mut config = config(&path, |_| ());
    config.audit.checkpoint_records = 3;
    let log = AccessLog::start(&config, RESOURCE, &metrics()).unwrap();
    let last = || fs::read_to_string(&path).unwrap_or_default().lines().last().map(str::to_owned);
    let ends_with = |what: &str| last().is_some_and(|line| line.contains(what));
    until("the first", || ends_with("\"event\":\"checkpoint\""));
    for number in ["\"seq\":3", "\"seq\":4"] {
        write(&log, "a");
        until("a record", || ends_with(number));
    }
    write(&log, "a");
    until("another", || ends_with("\"event\":\"checkpoint\"") && ends_with("\"records\":3"));
    flush(&log);
}

/// A sealed log onto an output, in which a record takes more than half of the queue.
fn onto_narrow(trial: &Trial) -> (AccessLog, SinkCounters) {
    let sink = config::Sink { chain: true, ..plain(300) };
    let interval = Duration::from_millis(100);
    let audit = Audit { keys: secrets(&[KEY]), checkpoint_interval: interval, ..Audit::default() };
    let counters = counters();
    let sink = open::onto(Box::new(trial.clone()), &sink, &audit, counters.clone()).unwrap();
    let log = Open::new(&config::AccessLog::off(), Box::new([sink]));
    (AccessLog(Some(Arc::new(log))), counters)
}

#[test]
fn a_loss_that_is_told_of_alone_gets_a_checkpoint() {
    let trial = Trial::default();
    let (log, counters) = onto_narrow(&trial);
    until("the first", || trial.get(|state| state.heads) == 1);
    trial.set(|state| state.stopped = true);
    write(&log, "a");
    until("the thread is held up", || trial.get(|state| state.waiting));
    write(&log, "b");
    assert_eq!(counters.dropped.get(), 1);
    // The checkpoint of the first comes before the loss is told of.
    std::thread::park_timeout(Duration::from_millis(150));
    trial.set(|state| state.stopped = false);
    until("a checkpoint behind it", || {
        let written = String::from_utf8(trial.written()).unwrap();
        let lost = written.lines().position(|line| line.contains("\"event\":\"records_dropped\""));
        lost.is_some_and(|lost| {
            written.lines().skip(lost).any(|line| line.contains("\"event\":\"checkpoint\""))
        })
    });
    flush(&log);
}

#[test]
fn a_head_that_could_not_be_kept_is_tried_again() {
    let trial = Trial::default();
    trial.set(|state| state.head_fails = true);
    let (log, counters) = onto_narrow(&trial);
    write(&log, "a");
    until("both fail", || counters.write_errors.get() >= 2);
    trial.set(|state| state.head_fails = false);
    until("one is kept", || trial.get(|state| state.heads) >= 1);
    flush(&log);
}

#[test]
fn what_a_killed_process_left_gets_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let mut config = config(&path, |_| ());
    config.audit.checkpoint_interval = Duration::from_millis(100);
    let start = || AccessLog::start(&config, RESOURCE, &metrics()).unwrap();
    let log = start();
    write(&log, "a");
    flush(&log);
    // As if it had been killed before its last checkpoint.
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let (last, kept) = lines.split_last().unwrap();
    assert!(last.contains("\"reason\":\"shutdown\""), "{last}");
    fs::write(&path, kept.concat()).unwrap();
    let log = start();
    until("a checkpoint behind the new start", || {
        let text = fs::read_to_string(&path).unwrap();
        let mut behind = text.lines().skip(kept.len());
        behind.any(|line| line.contains("\"event\":\"chain_start\""))
            && behind.any(|line| line.contains("\"event\":\"checkpoint\""))
    });
    flush(&log);
}

//! Outputs that break, and what a log makes of it.

use tokio::runtime::Builder;

use super::{
    chained::{config as sealed_config, flush, verify},
    *,
};
use crate::{
    access_log::{chain::Head, sink::sync::Unsynced},
    config::Fsync,
};

/// A sealed log onto a trial.
fn sealed(trial: &Trial) -> (AccessLog, SinkCounters) {
    let mut config = sealed_config(Path::new("nowhere"), |_| ());
    config.sinks[0].target = Target::Stdout;
    let counters = counters();
    let sink =
        open::onto(Box::new(trial.clone()), &config.sinks[0], &config.audit, counters.clone());
    (AccessLog(Some(Arc::new(Open::new(&config, Box::new([sink.unwrap()]))))), counters)
}

/// What a trial holds, in a file.
fn held(trial: &Trial) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    std::fs::write(&path, trial.written()).unwrap();
    (folder, path)
}

fn synced(fsync: Fsync) -> Trial {
    let trial = Trial::default();
    trial.set(|state| state.unsynced = Some(Unsynced::new(fsync)));
    trial
}

#[test]
fn nothing_is_written_while_somebody_else_has_the_output() {
    let trial = Trial::default();
    trial.set(|state| state.room = Some(0));
    let (log, counters) = sealed(&trial);
    write(&log, "a");
    until("a write fails", || counters.write_errors.get() > 0);
    trial.set(|state| (state.closed, state.room) = (true, None));
    until("it is asked for", || trial.get(|state| state.turned_away) > 4);
    assert_eq!(trial.written(), b"");
    trial.set(|state| state.closed = false);
    flush(&log);
    assert!(!trial.get(|state| state.trespassed));
    let (_folder, path) = held(&trial);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records, end.closed), (Vec::new(), 1, true));
}

#[test]
fn a_log_that_ends_without_having_its_output_writes_nothing() {
    let trial = Trial::default();
    trial.set(|state| state.closed = true);
    let (log, counters) = sealed(&trial);
    write(&log, "a");
    log.flush_and_stop(Duration::from_millis(100)).unwrap_or_default();
    until("it is lost", || counters.dropped.get() == 1);
    drop(log);
    assert_eq!((trial.written(), trial.get(|state| state.trespassed)), (Vec::new(), false));
}

/// Stops a log whose output is in a write, and then lets it write.
fn end(log: &AccessLog, trial: &Trial) {
    std::thread::scope(|scope| {
        scope.spawn(|| flush(log));
        until("it stops", || log.0.as_ref().unwrap().sinks[0].queue.stops());
        trial.set(|state| state.stopped = false);
    });
}

#[test]
fn nothing_follows_a_piece_of_a_line_when_the_log_ends() {
    let trial = Trial::default();
    let (log, counters) = sealed(&trial);
    write(&log, "a");
    until("it is written", || counters.written.get() == 1);
    trial.set(|state| {
        (state.stopped, state.room, state.fails_once, state.gone) = (true, Some(100), true, true);
    });
    write(&log, "b");
    end(&log, &trial);
    assert_eq!((counters.written.get(), counters.dropped.get()), (1, 1));
    let (_folder, path) = held(&trial);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.torn.unwrap().bytes), (Vec::new(), 100));
    // Whoever goes on accounts for it.
    let log = AccessLog::start(&sealed_config(&path, |_| ()), RESOURCE, &metrics()).unwrap();
    write(&log, "c");
    flush(&log);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.torn), (Vec::new(), None));
}

#[test]
fn numbers_that_were_never_written_leave_no_gap_when_the_log_ends() {
    let trial = Trial::default();
    let (log, counters) = sealed(&trial);
    write(&log, "first");
    until("it is written", || counters.written.get() == 1);
    trial.set(|state| {
        (state.stopped, state.fails_once, state.gone) = (true, true, true);
        (state.room, state.whole_lines) = (Some(600), true);
    });
    for id in ["a", "b", "c", "d"] {
        write(&log, id);
    }
    end(&log, &trial);
    let (_folder, path) = held(&trial);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records, end.closed), (Vec::new(), counters.written.get(), true));
    assert!(counters.dropped.get() > 0);
    assert_eq!(told(&lines(&trial.written())), counters.dropped.get());
}

#[test]
fn what_one_output_does_not_take_goes_to_the_next_one_and_nothing_goes_twice() {
    for (taken, chained) in [(0, false), (1, false), (3, false), (0, true), (1, true), (3, true)] {
        let trial = Trial::default();
        let (log, counters) = if chained { sealed(&trial) } else { onto(&trial, 1 << 20) };
        write(&log, "record-0");
        until("it is written", || counters.written.get() == 1);
        let line = trial.get(|state| {
            state.written.split_inclusive(|byte| *byte == b'\n').next_back().unwrap().len()
        });
        trial.set(|state| {
            (state.room, state.whole_lines, state.moves) = (Some(taken * line), true, true);
        });
        let wanted: Vec<_> = (0..6).map(|number| format!("record-{number}")).collect();
        wanted.iter().skip(1).for_each(|id| write(&log, id));
        until("one is not taken", || counters.write_errors.get() > 0);
        log.reopen();
        flush(&log);
        let (before, after) = trial.get(|state| (lines(&state.moved), lines(&state.written)));
        assert_eq!(ids(&before), wanted[..=taken], "{taken} {chained}");
        assert_eq!(ids(&after), wanted[taken + 1..], "{taken} {chained}");
        assert_eq!((counters.written.get(), counters.dropped.get()), (6, 0));
    }
}

#[test]
fn a_line_is_not_torn_by_a_reopening_where_there_is_nothing_to_reopen() {
    let trial = Trial::default();
    let (log, counters) = onto(&trial, 1 << 20);
    trial.set(|state| state.room = Some(100));
    write(&log, "a");
    until("a write fails", || counters.write_errors.get() > 0);
    log.reopen();
    let errors = counters.write_errors.get();
    until("it was tried again", || counters.write_errors.get() > errors + 1);
    trial.set(|state| state.room = None);
    flush(&log);
    assert_eq!(ids(&lines(&trial.written())), ["a"]);
}

#[test]
fn a_loss_of_which_the_other_end_wants_no_word_is_told_of_again() {
    let trial = Trial::default();
    let (log, counters) = onto(&trial, 4096);
    trial.set(|state| state.stopped = true);
    write(&log, "first");
    until("the thread is in a write", || trial.get(|state| state.waiting));
    for _ in 0..100 {
        write(&log, "flood");
    }
    trial.set(|state| (state.stopped, state.rejects) = (false, true));
    until("nobody wants to know", || {
        trial.get(|state| state.rejected.windows(15).any(|piece| piece == b"records_dropped"))
    });
    trial.set(|state| state.rejects = false);
    write(&log, "after");
    flush(&log);
    assert_eq!(told(&lines(&trial.written())), counters.dropped.get());
}

#[test]
fn what_is_forced_onto_the_disk_and_when() {
    let trial = synced(Fsync::Never);
    let (log, _) = sealed(&trial);
    write(&log, "a");
    flush(&log);
    assert_eq!(trial.get(|state| state.syncs), 0);

    let trial = synced(Fsync::Always);
    let (log, counters) = onto(&trial, 1 << 20);
    write(&log, "a");
    until("it counts", || counters.written.get() == 1);
    assert_eq!(trial.get(|state| state.syncs), 1);
    flush(&log);

    let trial = synced(Fsync::Every(Duration::from_millis(20)));
    let (log, _) = onto(&trial, 1 << 20);
    write(&log, "a");
    until("its time comes", || trial.get(|state| state.syncs) == 1);
    flush(&log);

    let trial = synced(Fsync::Every(Duration::from_hours(1)));
    let (log, counters) = onto(&trial, 1 << 20);
    write(&log, "a");
    until("it counts", || counters.written.get() == 1);
    assert_eq!(trial.get(|state| state.syncs), 0);
    flush(&log);
    assert_eq!(trial.get(|state| state.syncs), 1, "at the end");
}

#[test]
fn what_the_disk_does_not_take_does_not_count_as_written() {
    let trial = synced(Fsync::Always);
    let sink = config::Sink { when_full: WhenFull::Refuse, ..plain(64 << 10) };
    let (log, counters) = log_onto(trial.clone(), sink);
    trial.set(|state| state.sync_fails = true);
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let mut admission = runtime.block_on(log.admit()).unwrap();
    log.write(&record("a"), &mut admission);
    until("it is tried again", || trial.get(|state| state.syncs) > 3);
    let free = || log.0.as_ref().unwrap().sinks[0].queue.room().unwrap().available_permits();
    assert!(free() < 64 << 10, "its room is not given back");
    assert_eq!((counters.written.get(), counters.dropped.get()), (0, 0));
    trial.set(|state| state.sync_fails = false);
    until("it counts", || counters.written.get() == 1);
    until("its room is back", || free() == 64 << 10);
    assert_eq!(ids(&lines(&trial.written())), ["a"], "it is not written twice");
    flush(&log);
}

#[test]
fn what_the_disk_has_not_taken_when_the_log_ends_is_lost() {
    let trial = synced(Fsync::Always);
    let (log, counters) = onto(&trial, 1 << 20);
    trial.set(|state| state.sync_fails = true);
    write(&log, "a");
    log.flush_and_stop(Duration::from_millis(100)).unwrap_or_default();
    until("it is given up", || counters.dropped.get() == 1);
    assert_eq!(counters.written.get(), 0);
}

#[test]
fn a_head_is_kept_only_of_what_is_on_the_disk() {
    let trial = synced(Fsync::Every(Duration::from_hours(1)));
    let (log, counters) = sealed(&trial);
    write(&log, "a");
    until("it is written", || counters.written.get() == 1);
    let heads = trial.get(|state| state.heads);
    assert_eq!(heads, 1, "that of the beginning");
    trial.set(|state| state.sync_fails = true);
    log.flush_and_stop(Duration::from_millis(100)).unwrap_or_default();
    until("the end is written", || {
        String::from_utf8(trial.written()).unwrap().contains("\"reason\":\"shutdown\"")
    });
    drop(log);
    until("it has given up", || trial.get(|state| !state.entered));
    assert_eq!(trial.get(|state| state.heads), heads);
}

#[test]
fn an_empty_head_file_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let start = || AccessLog::start(&sealed_config(&path, |_| ()), RESOURCE, &metrics()).unwrap();
    let log = start();
    write(&log, "a");
    flush(&log);
    std::fs::write(chain::head_path(&path), "").unwrap();
    assert_eq!(verify(&path).1.head, Head::Absent);
    let log = start();
    write(&log, "b");
    flush(&log);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("head_missing") && !text.contains("head_forged"), "{text}");
}

#[test]
fn a_panic_of_a_sinks_thread_lets_nobody_wait_for_it() {
    for when_full in [WhenFull::Refuse, WhenFull::Block(PATIENCE), WhenFull::Drop] {
        let trial = Trial::default();
        let sink = config::Sink { when_full, ..plain(64 << 10) };
        let (log, counters) = log_onto(trial.clone(), sink);
        trial.set(|state| state.panics = true);
        write(&log, "a");
        until("it counts as lost", || counters.dropped.get() == 1);
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let admitted = runtime.block_on(log.admit());
        assert_eq!(admitted.is_ok(), when_full == WhenFull::Drop);
        write(&log, "b");
        assert_eq!(counters.dropped.get(), 2);
        log.flush_and_stop(Duration::from_hours(1)).unwrap_err();
    }
}

#[test]
fn requests_that_are_cut_off_count_as_lost_once() {
    let trial = Trial::default();
    let (log, counters) = sealed(&trial);
    write(&log, "a");
    log.cut_and_stop(2, PATIENCE).unwrap();
    assert_eq!(counters.dropped.get(), 2);
    assert_eq!(told(&lines(&trial.written())), 2, "before the log ends");
    let (_folder, path) = held(&trial);
    assert!(verify(&path).1.closed);
    // They end all the same.
    write(&log, "b");
    write(&log, "c");
    assert_eq!(counters.dropped.get(), 2);
    write(&log, "d");
    assert_eq!(counters.dropped.get(), 3);
}

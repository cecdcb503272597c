//! Who is let in while a sink cannot take more.

use tokio::runtime::Builder;

use super::*;

fn gated(when_full: WhenFull, queue_bytes_max: usize) -> (AccessLog, SinkCounters, Trial) {
    let trial = Trial::default();
    let sink = config::Sink { when_full, ..plain(queue_bytes_max) };
    let (log, counters) = log_onto(trial.clone(), sink);
    (log, counters, trial)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

/// Bytes for which a request needs room.
fn record_bytes(log: &AccessLog) -> usize {
    let gates = log.0.as_ref().unwrap().gates.as_ref().unwrap();
    usize::try_from(gates.record_bytes).unwrap()
}

#[test]
fn a_record_is_within_what_is_reckoned_with() {
    let (log, ..) = gated(WhenFull::Refuse, 1 << 20);
    let rules = log.rules().unwrap();
    let mut bytes = Vec::new();
    for format in Format::ALL {
        bytes.clear();
        trial::record().write(format, rules, &mut bytes);
        assert!(bytes.len() + 200 < record_bytes(&log), "{format:?}: {}", bytes.len());
    }
}

#[test]
fn a_log_that_refuses_lets_in_only_those_whose_records_it_can_take() {
    let places = 8;
    let (log, counters, trial) =
        gated(WhenFull::Refuse, record_bytes(&gated(WhenFull::Refuse, 1 << 20).0) * places);
    trial.set(|state| state.stopped = true);
    let mut let_in: Vec<Admission> =
        (0..places).map(|_| run(log.admit()).expect("there is room")).collect();
    assert_eq!(run(log.admit()).unwrap_err(), Unrecordable);
    // A request that ends without a record gives its room back, one with a record what it did not need.
    drop(let_in.pop());
    let mut admission = run(log.admit()).expect("room was given back");
    log.write(&record("a"), &mut admission);
    assert_eq!(run(log.admit()).unwrap_err(), Unrecordable, "the record takes some of it");
    for (number, mut admission) in let_in.into_iter().enumerate() {
        log.write(&record(&number.to_string()), &mut admission);
    }
    assert_eq!(counters.refused.get(), 2);
    trial.set(|state| state.stopped = false);
    until("all is written", || counters.written.get() == u64::try_from(places).unwrap());
    run(log.admit()).expect("there is room again");
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(counters.dropped.get(), 0);
    let lines = lines(&trial.written());
    let refused: u64 = lines.iter().filter_map(|line| line["requests"].as_u64()).sum();
    assert_eq!(refused, 2, "the log itself tells of them");
}

#[test]
fn the_record_of_a_request_that_was_refused_is_taken_where_there_is_room() {
    let (log, counters, trial) = gated(WhenFull::Refuse, 64 << 10);
    log.write(&record("fits"), &mut Admission::refused());
    let held: Vec<Admission> = std::iter::from_fn(|| run(log.admit()).ok()).collect();
    let spare = (64 << 10) - held.len() * record_bytes(&log);
    for number in 0..spare {
        log.write(&record(&number.to_string()), &mut Admission::refused());
    }
    drop(held);
    log.flush_and_stop(PATIENCE).unwrap();
    assert!(ids(&lines(&trial.written())).len() < spare);
    assert_eq!(counters.dropped.get(), 0, "it was counted as refused");
}

#[test]
fn a_log_that_blocks_lets_requests_wait_in_turn() {
    let (log, counters, trial) = gated(WhenFull::Block(PATIENCE), 64 << 10);
    trial.set(|state| state.stopped = true);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for number in 0..500 {
        let log = log.clone();
        runtime.spawn(async move {
            let mut admission = log.admit().await.unwrap();
            log.write(&record(&number.to_string()), &mut admission);
        });
    }
    until("requests wait", || counters.waited.get() > 100);
    assert_eq!(counters.written.get(), 0);
    trial.set(|state| state.stopped = false);
    until("all are served", || counters.written.get() == 500);
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(ids(&lines(&trial.written())).len(), 500);
    assert_eq!((counters.dropped.get(), counters.refused.get()), (0, 0));
}

#[test]
fn a_request_that_has_waited_long_enough_is_refused() {
    let (log, counters, trial) = gated(WhenFull::Block(Duration::from_millis(50)), 64 << 10);
    trial.set(|state| state.stopped = true);
    let held: Vec<Admission> = std::iter::from_fn(|| run(log.admit()).ok()).collect();
    assert!(!held.is_empty());
    assert_eq!((counters.waited.get(), counters.refused.get()), (1, 1));
    drop(held);
    run(log.admit()).expect("there is room again");
    trial.set(|state| state.stopped = false);
    log.flush_and_stop(PATIENCE).unwrap();
    let lines = lines(&trial.written());
    let refused: u64 = lines.iter().filter_map(|line| line["requests"].as_u64()).sum();
    assert_eq!(refused, 1, "the log itself tells of it");
}

#[test]
fn a_stream_gives_its_room_back_when_it_opens_and_its_end_is_taken_all_the_same() {
    let (log, counters, trial) = gated(WhenFull::Refuse, 64 << 10);
    trial.set(|state| state.stopped = true);
    let mut streams: Vec<Admission> = std::iter::from_fn(|| {
        let mut admission = run(log.admit()).ok()?;
        log.write(&Record { event: Event::StreamOpen, ..record("s") }, &mut admission);
        Some(admission)
    })
    .collect();
    let few = (64 << 10) / record_bytes(&log);
    assert!(streams.len() > few * 5, "an open stream holds no room but its record's");
    for admission in &mut streams {
        log.write(&Record { event: Event::StreamEnd, ..record("s") }, admission);
    }
    trial.set(|state| state.stopped = false);
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(ids(&lines(&trial.written())).len(), streams.len() * 2);
    assert_eq!(counters.dropped.get(), 0);
}

#[test]
fn room_comes_back_to_the_last_byte() {
    let (log, counters, _trial) = gated(WhenFull::Refuse, 64 << 10);
    for number in 0..500_u64 {
        until("there is room", || {
            let Ok(mut admission) = run(log.admit()) else { return false };
            log.write(&record(&number.to_string()), &mut admission);
            true
        });
    }
    until("all is written", || counters.written.get() == 500);
    let queue = &log.0.as_ref().unwrap().sinks[0].queue;
    until("all room is back", || queue.room().unwrap().available_permits() == 64 << 10);
}

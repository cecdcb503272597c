use std::thread;

use super::*;
use crate::metrics::{Metrics, Subjects};

const PATIENCE: Duration = Duration::from_secs(20);

fn queue(bytes_max: usize, when_full: WhenFull) -> Arc<Queue> {
    let metrics = Metrics::new(Subjects { tools: &[], backends: &[], workers: 0 }).unwrap();
    Arc::new(Queue::new(bytes_max, when_full, metrics.sink("test").unwrap()))
}

/// What `act` does while the thread waits, in this state, and what the thread takes then.
fn taken(queue: &Arc<Queue>, state: Thread, until: Option<Instant>, act: impl Fn()) -> Batch {
    let of_thread = Arc::clone(queue);
    let taker = thread::spawn(move || of_thread.take(Vec::new(), until));
    let began = Instant::now();
    while queue.state.lock().thread != state && !taker.is_finished() {
        assert!(began.elapsed() < PATIENCE, "the thread does not wait");
        thread::yield_now();
    }
    act();
    taker.join().unwrap()
}

#[test]
fn a_record_is_taken_whether_the_thread_lingers_or_sleeps() {
    for state in [Thread::Lingering, Thread::Idle] {
        let queue = queue(1 << 20, WhenFull::Drop);
        let batch = taken(&queue, state, None, || queue.push(b"record\n"));
        assert_eq!((batch.bytes.as_slice(), batch.records), (&b"record\n"[..], 1));
    }
}

#[test]
fn whoever_stops_or_opens_anew_is_heard_whether_the_thread_lingers_or_sleeps() {
    for state in [Thread::Lingering, Thread::Idle] {
        let one = queue(1 << 20, WhenFull::Drop);
        assert!(taken(&one, state, None, || one.reopen()).reopen);
        let one = queue(1 << 20, WhenFull::Drop);
        assert!(taken(&one, state, None, || one.stop(Instant::now() + PATIENCE, 0)).last);
    }
}

#[test]
fn what_is_due_ends_the_waiting() {
    let queue = queue(1 << 20, WhenFull::Drop);
    let batch = taken(&queue, Thread::Idle, Some(Instant::now()), || {});
    assert!(batch.bytes.is_empty() && !batch.last && !batch.reopen);
}

#[test]
fn nobody_wakes_a_thread_that_lingers_before_there_is_a_batch() {
    let queue = queue(1 << 20, WhenFull::Drop);
    let record = vec![b'x'; queue.batch_bytes / 2];
    queue.state.lock().thread = Thread::Lingering;
    queue.push(&record);
    assert!(queue.state.lock().thread == Thread::Lingering, "it was woken for half a batch");
    queue.push(&record);
    assert!(queue.state.lock().thread == Thread::Busy, "it was not woken for a whole one");
}

#[test]
fn what_waits_for_company_leaves_room_for_requests_that_need_it() {
    assert_eq!(queue(1 << 20, WhenFull::Refuse).batch_bytes, (1 << 20) / 8);
    assert_eq!(queue(1 << 20, WhenFull::Drop).batch_bytes, BATCH_BYTES);
    assert_eq!(queue(1 << 30, WhenFull::Block(PATIENCE)).batch_bytes, BATCH_BYTES);
    assert_eq!(queue(1 << 10, WhenFull::Drop).batch_bytes, 512);
}

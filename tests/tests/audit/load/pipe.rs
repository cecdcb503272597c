//! Standard output whose reader is slow, or does not read at all.

use std::{
    io::Read as _,
    process::ChildStdout,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use e2e::{
    process::{PATIENCE, pause, until},
    server::Server,
};
use serde_json::json;

use super::asked::{Asked, Lines, Policy, of_sink, recording};

const REQUESTS: usize = 3200;

fn start(policy: Policy) -> (Server, ChildStdout) {
    let sink = json!({ "name": "stdout", "type": "stdout", "when_full": policy.name() });
    Server::promgate_by(&[], &recording(json!({ "sinks": [sink] })))
}

/// Reads to the end, a little at a time while `slow` is so.
fn read(mut from: ChildStdout, slow: &AtomicBool) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 16 << 10]);
    while let count @ 1.. = from.read(&mut piece).unwrap() {
        all.extend_from_slice(&piece[..count]);
        if slow.load(Ordering::Relaxed) {
            pause();
        }
    }
    String::from_utf8(all).unwrap()
}

#[test]
fn requests_wait_for_a_slow_reader_and_each_is_recorded() {
    let (server, stdout) = start(Policy::Block);
    let slow = AtomicBool::new(true);
    let (answers, text) = thread::scope(|scope| {
        let (answers, reader) = Asked::during(server.mcp, REQUESTS, |asked| {
            until("a standstill", || {
                let before = asked.count();
                (0..25).for_each(|_| pause());
                asked.count() == before
            });
            assert!(asked.count() < REQUESTS, "nobody reads, so they wait");
            assert!(of_sink(&server, "blocked_requests_total") > 0);
            scope.spawn(|| read(stdout, &slow))
        });
        slow.store(false, Ordering::Relaxed);
        server.terminate();
        (answers, reader.join().unwrap())
    });
    assert!(server.exit(PATIENCE).success());
    assert_eq!(answers[&200].len(), REQUESTS, "all are served");
    Policy::Block.assert_kept(&answers, &Lines::of(&text));
}

#[test]
fn what_nobody_reads_is_dropped_and_counted_to_the_last() {
    let (server, stdout) = start(Policy::Drop);
    let (answers, ()) = Asked::during(server.mcp, REQUESTS, |_| ());
    assert_eq!(answers[&200].len(), REQUESTS, "nobody waits");
    assert!(of_sink(&server, "records_dropped_total") > 0);
    let (lines, dropped) = thread::scope(|scope| {
        let reader = scope.spawn(|| read(stdout, &AtomicBool::new(false)));
        until("an empty queue", || of_sink(&server, "queue_bytes") == 0);
        let (written, dropped) =
            (of_sink(&server, "records_total"), of_sink(&server, "records_dropped_total"));
        assert_eq!(written + dropped, REQUESTS, "{written} written, {dropped} dropped");
        server.terminate();
        (Lines::of(&reader.join().unwrap()), dropped)
    });
    assert!(server.exit(PATIENCE).success());
    Policy::Drop.assert_kept(&answers, &lines);
    assert_eq!(lines.dropped, dropped, "the log itself says how many are missing");
}

#[test]
fn who_cannot_be_recorded_is_refused_and_the_others_each_have_a_record() {
    let (server, stdout) = start(Policy::Refuse);
    let (answers, text) = thread::scope(|scope| {
        let (answers, reader) = Asked::during(server.mcp, REQUESTS, |asked| {
            until("refusals", || of_sink(&server, "refused_requests_total") > 0);
            let _some_are_refused = asked.count();
            scope.spawn(|| read(stdout, &AtomicBool::new(true)))
        });
        server.terminate();
        (answers, reader.join().unwrap())
    });
    assert!(server.exit(PATIENCE).success());
    Policy::Refuse.assert_kept(&answers, &Lines::of(&text));
}

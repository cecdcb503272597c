//! Standard output that is closed while requests are recorded: its reader is gone, and no other comes.

use std::{
    io::{BufRead as _, BufReader},
    process::ChildStdout,
};

use e2e::{
    http,
    process::{PATIENCE, pause, until},
    server::Server,
};
use rustix::process::Signal;
use serde_json::json;

use super::asked::{Answers, Asked, CLIENTS, Lines, Policy, of_sink, recording};

/// Bytes that wait for a sink of [`recording`].
const QUEUE_BYTES: usize = 256 << 10;

/// Records that are read before the end.
const READ: usize = 300;

/// A server whose records nobody reads any more.
struct Unread {
    policy: Policy,
    server: Server,
    /// What was read of it.
    lines: Lines,
    /// Length of the shortest record.
    shortest: usize,
}

impl Unread {
    /// Asks while some records are read and the reader goes, and while something is done after that.
    fn ask(policy: Policy, act: impl FnOnce(&Self, &Asked)) -> (Self, Answers) {
        let sink = json!({ "name": "stdout", "type": "stdout", "when_full": policy.name() });
        let mut config = recording(json!({ "sinks": [sink] }));
        config["server"]["drain_timeout"] = json!("1s");
        let (server, stdout) = Server::promgate_by(&[], &config);
        let (answers, unread) = Asked::throughout(server.mcp, |asked| {
            let text = read_some(stdout);
            let shortest = text.lines().map(str::len).min().unwrap();
            let unread = Self { policy, lines: Lines::of(&text), shortest, server };
            until("the policy acts", || policy.acted(&unread.server) > 0);
            act(&unread, asked);
            unread
        });
        (unread, answers)
    }

    /// Asserts that what is not written waits, and is no more than can, but for `counted` records.
    fn assert_room_for_all(&self, served: usize, counted: usize) {
        let written = of_sink(&self.server, "records_total");
        let waiting = served.checked_sub(written + counted).expect("no record counts twice");
        // Each client may be answered before its record waits.
        let most = QUEUE_BYTES / self.shortest + CLIENTS;
        assert!(waiting <= most, "{waiting} of {served} are nowhere");
    }

    /// Asserts that it ends when it is asked to.
    fn assert_ends(&self) {
        self.server.process().signal(Signal::TERM);
        assert!(self.server.exit(PATIENCE).success(), "{:?} ends", self.policy);
        let said = self.server.process().stderr().whole().join("\n");
        assert!(said.contains("the access log cannot be written"), "{said}");
    }
}

/// The first records, and then no more: the reader ends.
fn read_some(from: ChildStdout) -> String {
    let lines = BufReader::new(from).lines().take(READ);
    lines.map(|line| line.unwrap() + "\n").collect()
}

#[test]
fn nobody_waits_for_a_reader_that_is_gone_and_what_is_lost_is_counted() {
    let (unread, answers) = Unread::ask(Policy::Drop, |unread, asked| {
        let before = (asked.count(), Policy::Drop.acted(&unread.server));
        until("requests go on", || asked.count() > before.0 + 500);
        until("records are lost", || Policy::Drop.acted(&unread.server) > before.1 + 500);
    });
    let served = &answers[&200];
    assert_eq!(answers.len(), 1, "{:?}", answers.keys());
    unread.lines.assert_among(served);
    assert_eq!(unread.lines.ids.len(), READ);
    unread.assert_room_for_all(served.len(), Policy::Drop.acted(&unread.server));
    unread.assert_ends();
}

#[test]
fn requests_wait_for_a_reader_that_is_gone_and_the_process_ends_all_the_same() {
    let (unread, answers) = Unread::ask(Policy::Block, |unread, asked| {
        until("a standstill", || {
            let before = asked.count();
            (0..25).for_each(|_| pause());
            asked.count() == before
        });
        unread.assert_room_for_all(asked.count(), 0);
        // With requests that wait.
        unread.assert_ends();
    });
    assert_eq!(answers.len(), 1, "{:?}", answers.keys());
    unread.lines.assert_among(&answers[&200]);
}

#[test]
fn requests_are_refused_when_the_reader_is_gone() {
    let (unread, answers) = Unread::ask(Policy::Refuse, |unread, asked| {
        let before = asked.count();
        until("requests are refused", || asked.count() > before + 500);
        assert_eq!(http::get(unread.server.admin, "/healthz").head.status, 200);
        assert_eq!(of_sink(&unread.server, "records_dropped_total"), 0);
    });
    let (served, refused) = (&answers[&200], &answers[&503]);
    assert_eq!(answers.len(), 2, "{:?}", answers.keys());
    assert!(refused.len() > 300, "{} are refused", refused.len());
    unread.lines.without(refused).assert_among(served);
    assert_eq!(Policy::Refuse.acted(&unread.server), refused.len());
    unread.assert_room_for_all(served.len(), 0);
    unread.assert_ends();
}

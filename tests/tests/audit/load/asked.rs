//! Clients that ask on and on, and the records of what they asked.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use e2e::{
    http::Connection,
    mcp::Client,
    process::until,
    server::{Server, config},
};
use serde_json::{Value, json};

/// Clients at once.
pub(super) const CLIENTS: usize = 8;

/// How often a sink fails under load.
const FAULTS: usize = 3;

/// Records that are written before the next fault.
const BETWEEN_FAULTS: usize = 100;

/// What was asked and answered, while it is asked and afterwards.
#[derive(Debug, Default)]
pub(super) struct Asked {
    answered: AtomicUsize,
}

/// The ids of requests by the status of their answers.
pub(super) type Answers = BTreeMap<u16, Vec<String>>;

/// Says at its end, however that comes, that no client is to ask on.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Asked {
    /// How many were answered so far.
    pub(super) fn count(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Asks so many times, by several clients at once, while something else is done. Ends early when the server does.
    pub(super) fn during<T>(
        address: SocketAddr,
        count: usize,
        act: impl FnOnce(&Self) -> T,
    ) -> (Answers, T) {
        let asked = Self::default();
        asked.by_clients(address, |number| number < count / CLIENTS, || act(&asked))
    }

    /// Asks, by several clients at once, for as long as something else is done, or the server answers.
    pub(super) fn throughout<T>(address: SocketAddr, act: impl FnOnce(&Self) -> T) -> (Answers, T) {
        let (asked, over) = (Self::default(), AtomicBool::new(false));
        let acting = || {
            let _over = Over(&over);
            act(&asked)
        };
        asked.by_clients(address, |_| !over.load(Ordering::Relaxed), acting)
    }

    /// Each client asks until `more` says, of how often it has asked, that it is enough.
    fn by_clients<T>(
        &self,
        address: SocketAddr,
        more: impl Fn(usize) -> bool + Sync,
        act: impl FnOnce() -> T,
    ) -> (Answers, T) {
        thread::scope(|scope| {
            let client = || {
                let mut answers = Answers::new();
                let _server_ended = self.ask(address, &more, &mut answers);
                answers
            };
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            let done = act();
            let mut all = Answers::new();
            for client in clients {
                for (status, ids) in client.join().unwrap() {
                    all.entry(status).or_default().extend(ids);
                }
            }
            (all, done)
        })
    }

    fn ask(
        &self,
        address: SocketAddr,
        more: &impl Fn(usize) -> bool,
        answers: &mut Answers,
    ) -> io::Result<()> {
        let request = Client::stateless(address).request("tools/list", json!({})).bytes();
        let mut connection = Connection::try_open(address)?;
        for _ in (0..).take_while(|number| more(*number)) {
            connection.try_send(&request)?;
            let answer = connection.try_answer()?;
            let id = answer.head.header("X-Request-Id").expect("each has an id");
            answers.entry(answer.head.status).or_default().push(id);
            self.answered.fetch_add(1, Ordering::Relaxed);
            if answer.head.says("connection", "close") {
                connection = Connection::try_open(address)?;
            }
        }
        Ok(())
    }
}

/// What a sink does when it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Drop,
    Block,
    Refuse,
}

impl Policy {
    /// Its name in a configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Block => "block",
            Self::Refuse => "refuse",
        }
    }

    /// How often it has had to act.
    pub(super) fn acted(self, server: &Server) -> usize {
        of_sink(
            server,
            match self {
                Self::Drop => "records_dropped_total",
                Self::Block => "blocked_requests_total",
                Self::Refuse => "refused_requests_total",
            },
        )
    }

    /// Asks on and on while the sink fails, each time until the policy has to act, and works again, each time until
    /// records are written.
    pub(super) fn ask_through_faults<F>(
        self,
        server: &Server,
        fail: impl Fn() -> F,
        mend: impl Fn(F),
    ) -> Answers {
        let some_are_written = || {
            let before = of_sink(server, "records_total");
            until("records are written", || {
                of_sink(server, "records_total") > before + BETWEEN_FAULTS
            });
        };
        let (answers, ()) = Asked::throughout(server.mcp, |_| {
            for _ in 0..FAULTS {
                some_are_written();
                let before = self.acted(server);
                let fault = fail();
                until("the policy acts", || self.acted(server) > before);
                mend(fault);
            }
            some_are_written();
        });
        answers
    }

    /// Asserts that the log has of requests with these answers what the policy promises, id by id.
    pub(super) fn assert_kept(self, answers: &Answers, lines: &Lines) {
        let of = |status| answers.get(&status).cloned().unwrap_or_default();
        let (served, refused) = (of(200), of(503));
        let all: usize = answers.values().map(Vec::len).sum();
        assert_eq!(served.len() + refused.len(), all, "{:?}", answers.keys());
        assert_eq!(lines.refused, refused.len(), "the log says how many were refused");
        match self {
            Self::Drop => {
                assert_eq!(refused.len(), 0, "nobody is refused");
                lines.assert_among(&served);
                assert!(lines.dropped > 0, "records were lost");
                assert_eq!(lines.ids.len() + lines.dropped, served.len(), "written and counted");
            }
            Self::Block => {
                assert_eq!(
                    (refused.len(), lines.dropped),
                    (0, 0),
                    "nobody is refused, nothing lost"
                );
                lines.assert_just(&served);
            }
            Self::Refuse => {
                assert!(!refused.is_empty(), "some were refused");
                assert_eq!(lines.dropped, 0, "nothing is lost");
                // A refusal is recorded where there is room.
                lines.without(&refused).assert_just(&served);
            }
        }
    }
}

/// A configuration with these places to which records go; queues hold a few hundred records.
pub(super) fn recording(access_logs: Value) -> Value {
    let mut config = config(&json!({ "main": { "url": "http://127.0.0.1:9" } }));
    config["middleware"]["access_logs"] = access_logs;
    config["middleware"]["access_logs"]["queue_bytes_max"] = json!("256KiB");
    config
}

/// A metric of the only sink there is.
pub(super) fn of_sink(server: &Server, name: &str) -> usize {
    let sum = server.metric_sum(&format!("promgate_access_log_{name}"));
    // Counters are whole numbers.
    format!("{sum:.0}").parse().unwrap()
}

/// Lines of a log, read.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The ids of requests that have records.
    pub(super) ids: Vec<String>,
    /// How many records the log says were lost.
    pub(super) dropped: usize,
    /// How many requests it says were refused.
    pub(super) refused: usize,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let mut lines = Self::default();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).expect(line);
            let number = |key: &str| usize::try_from(line[key].as_u64().unwrap()).unwrap();
            match line["event"].as_str() {
                None => lines.ids.push(line["request_id"].as_str().unwrap().to_owned()),
                Some("records_dropped") => lines.dropped += number("records"),
                Some("requests_refused") => lines.refused += number("requests"),
                Some(_of_the_chain) => {}
            }
        }
        lines
    }

    /// Those of other requests than these.
    pub(super) fn without(&self, ids: &[String]) -> Self {
        let left_out: HashSet<&String> = ids.iter().collect();
        let others = self.ids.iter().filter(|id| !left_out.contains(id)).cloned();
        Self { ids: others.collect(), ..*self }
    }

    /// Asserts that only these requests have a record, and none has two.
    pub(super) fn assert_among(&self, ids: &[String]) {
        let recorded: HashSet<&String> = self.ids.iter().collect();
        assert_eq!(recorded.len(), self.ids.len(), "no request has two records");
        assert!(recorded.is_subset(&ids.iter().collect()), "the records are of these requests");
    }

    /// Asserts that exactly these requests have a record, and each just one.
    pub(super) fn assert_just(&self, ids: &[String]) {
        assert_eq!(self.ids.len(), ids.len(), "as many records as requests");
        self.assert_among(ids);
    }
}

//! Clients that ask on and on, and the records of what they asked.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use e2e::{
    http::Connection,
    mcp::Client,
    server::{Server, config},
};
use serde_json::{Value, json};

/// Clients at once.
const CLIENTS: usize = 8;

/// What was asked and answered, while it is asked and afterwards.
#[derive(Debug, Default)]
pub(super) struct Asked {
    answered: AtomicUsize,
}

/// The ids of requests by the status of their answers.
pub(super) type Answers = BTreeMap<u16, Vec<String>>;

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
        thread::scope(|scope| {
            let client = || {
                let mut answers = Answers::new();
                let _server_ended = asked.ask(address, count / CLIENTS, &mut answers);
                answers
            };
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            let done = act(&asked);
            let mut all = Answers::new();
            for client in clients {
                for (status, ids) in client.join().unwrap() {
                    all.entry(status).or_default().extend(ids);
                }
            }
            (all, done)
        })
    }

    fn ask(&self, address: SocketAddr, count: usize, answers: &mut Answers) -> io::Result<()> {
        let request = Client::stateless(address).request("tools/list", json!({})).bytes();
        let mut connection = Connection::try_open(address)?;
        for _ in 0..count {
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

    /// Asserts that exactly these requests have a record, and each just one.
    pub(super) fn assert_just(&self, ids: &[String]) {
        let sorted = |ids: &[String]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids
        };
        assert_eq!(self.ids.len(), ids.len(), "as many records as requests");
        assert!(sorted(&self.ids) == sorted(ids), "the records are of these requests");
    }
}

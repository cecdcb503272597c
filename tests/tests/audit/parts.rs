//! What the tests of the audit share: configurations, load, and a look at the chain.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use e2e::{http::Connection, mcp::Client, server::config};
use mcp_core::secret::Secret;
use promgate::access_log::chain::{AuditKeys, Ending, Fault, Reader, Trust};
use serde_json::{Value, json};

/// What seals the logs of these tests.
pub(super) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A configuration whose access log has these sinks.
pub(super) fn with_sinks(sinks: &Value) -> Value {
    let mut config = config(&json!({ "main": { "url": "http://127.0.0.1:9" } }));
    config["middleware"]["access_logs"] = json!({
        "audit": { "keys": [KEY], "checkpoint_interval": "1s" },
        "sinks": sinks,
    });
    config
}

/// A sealed file.
pub(super) fn sealed(path: &Path) -> Value {
    json!({ "name": "audit", "type": "file", "path": path, "chain": true })
}

/// The faults of a log, each with its file and line, and how it ends.
pub(super) fn verify(path: &Path) -> (Vec<(PathBuf, u64, Fault)>, Ending) {
    let keys = AuditKeys::new(&[Secret::new(KEY)]).expect("a key");
    let mut reader = Reader::open(path, Trust::of_keys(keys)).expect("a log");
    let mut faults = Vec::new();
    while let Some(entry) = reader.read() {
        faults.extend(entry.fault.map(|fault| (entry.file.to_owned(), entry.line, fault)));
    }
    (faults, reader.end())
}

/// The request ids in all files of a log that are not compressed.
pub(super) fn ids(paths: &[PathBuf]) -> Vec<String> {
    let texts = paths.iter().map(|path| fs::read_to_string(path).expect("a log"));
    let texts: Vec<String> = texts.collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    let record = |line: &str| serde_json::from_str::<Value>(line).ok();
    lines
        .filter_map(record)
        .filter_map(|record| Some(record["request_id"].as_str()?.to_owned()))
        .collect()
}

/// Clients that ask again and again until they are stopped or nobody answers.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub(super) fn on(address: SocketAddr, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (served, refused) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let threads = (0..clients).map(|_| {
            let (stop, served, refused) =
                (Arc::clone(&stop), Arc::clone(&served), Arc::clone(&refused));
            std::thread::spawn(move || ask(address, &stop, (&served, &refused)))
        });
        Self { threads: threads.collect(), stop, served, refused }
    }

    /// Requests answered with 200.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }

    /// Requests answered with 503.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// Lets every client end its request, and gives what was served and what was refused.
    pub(super) fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("a client ends");
        }
        (self.served.load(Ordering::SeqCst), self.refused.load(Ordering::SeqCst))
    }
}

fn ask(address: SocketAddr, stop: &AtomicBool, (served, refused): (&AtomicU64, &AtomicU64)) {
    let request = Client::stateless(address).request("tools/list", json!({})).bytes();
    let mut connection = None;
    while !stop.load(Ordering::SeqCst) {
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => Connection::try_open(address),
        };
        let Ok(mut open) = open else { return };
        let answer = open.try_send(&request).and_then(|()| open.try_answer());
        match answer {
            Ok(answer) if answer.head.status == 200 => served.fetch_add(1, Ordering::SeqCst),
            Ok(answer) => {
                assert_eq!(answer.head.status, 503, "{}", answer.text());
                assert!(answer.text().contains("recorded"), "{}", answer.text());
                refused.fetch_add(1, Ordering::SeqCst)
            }
            // It was closed, or the server is gone.
            Err(_closed) => continue,
        };
        connection = Some(open);
    }
}

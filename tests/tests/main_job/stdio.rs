//! The same tools over standard input and output.

use std::{
    io::{BufRead, BufReader},
    process::ChildStdout,
    sync::mpsc,
    time::{Duration, Instant},
};

use e2e::{
    backend::{Backend, answer},
    paths::program,
    process::{PATIENCE, Process},
    server::{config, prometheus, write_config},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

struct Stdio {
    process: Process,
    _files: TempDir,
}

impl Stdio {
    fn start(backend: &Value) -> Self {
        let files = write_config(&config(&json!({ "main": backend })));
        let file = files.path().join("config.yaml").display().to_string();
        let process = Process::start(&program("promgate"), ["stdio", "--config", &file]);
        let mut stdio = Self { process, _files: files };
        stdio.open();
        assert_eq!(stdio.answer(0)["result"]["protocolVersion"], "2025-11-25");
        stdio
    }

    fn open(&mut self) {
        self.send(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "e2e", "version": "1" },
        }}));
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    }

    fn send(&mut self, message: &Value) {
        self.process.write_line(&message.to_string());
    }

    fn call(&mut self, id: u64, query: &str) {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
            "name": "prometheus_query",
            "arguments": { "query": query },
        }}));
    }

    fn answer(&self, id: u64) -> Value {
        let has_id = |line: &str| {
            serde_json::from_str::<Value>(line).is_ok_and(|message| message["id"] == id)
        };
        let line = self.process.stdout().wait_for(&format!("an answer to {id}"), has_id);
        serde_json::from_str(&line).unwrap()
    }

    /// Every line on standard output is a JSON-RPC message.
    fn speaks_only_protocol(&self) {
        for line in self.process.stdout().lines() {
            let message: Value = serde_json::from_str(&line).expect(&line);
            assert_eq!(message["jsonrpc"], "2.0", "{line}");
        }
    }
}

#[test]
fn the_tools_are_the_same_and_stdout_carries_protocol_only() {
    let mut stdio = Stdio::start(&prometheus());
    stdio.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }));
    let tools = stdio.answer(1)["result"]["tools"].clone();
    assert_eq!(tools.as_array().unwrap().len(), 3);
    stdio.call(2, "sum(up)");
    let structured = stdio.answer(2)["result"]["structuredContent"].clone();
    assert_eq!(structured["series"][0]["value"][1], "2");
    stdio.call(3, "sum(");
    assert_eq!(stdio.answer(3)["result"]["isError"], true);
    stdio.process.close_stdin();
    assert!(stdio.process.wait(PATIENCE).unwrap().success());
    stdio.speaks_only_protocol();
}

#[test]
fn a_line_that_is_no_message_ends_nothing() {
    let mut stdio = Stdio::start(&prometheus());
    stdio.process.write_line("this is no JSON");
    stdio.call(2, "1");
    assert_eq!(stdio.answer(2)["result"]["structuredContent"]["scalar"][1], "1");
    stdio.speaks_only_protocol();
}

#[test]
fn a_line_of_bytes_that_are_no_text_or_too_many_is_answered_and_ends_nothing() {
    let mut stdio = Stdio::start(&prometheus());
    stdio.process.write_bytes(b"\xff\xfe\n");
    let refused = |line: &str| {
        serde_json::from_str::<Value>(line).is_ok_and(|message| message["error"]["code"] == -32700)
    };
    stdio.process.stdout().wait_for("an error for bytes that are no text", refused);
    let seen = stdio.process.stdout().lines().len();
    stdio.process.write_bytes(&[vec![b'x'; 5 << 20], vec![b'\n']].concat());
    stdio.process.stdout().wait_from(seen, "an error for a line that is too long", refused);
    stdio.call(2, "1");
    assert_eq!(stdio.answer(2)["result"]["structuredContent"]["scalar"][1], "1");
    stdio.speaks_only_protocol();
}

#[test]
fn the_stateless_revision_needs_no_opening() {
    let files = write_config(&config(&json!({ "main": prometheus() })));
    let file = files.path().join("config.yaml").display().to_string();
    let process = Process::start(&program("promgate"), ["stdio", "--config", &file]);
    let mut stdio = Stdio { process, _files: files };
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "e2e", "version": "1" },
    });
    stdio.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover",
        "params": { "_meta": meta } }));
    let discovered = stdio.answer(1)["result"].clone();
    assert!(discovered["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")));
    stdio.send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "_meta": meta, "name": "prometheus_query", "arguments": { "query": "sum(up)" } } }));
    let result = stdio.answer(2)["result"].clone();
    assert_eq!(result["structuredContent"]["series"][0]["value"][1], "2", "{result}");
    assert_eq!(result["resultType"], "complete");
    stdio.process.close_stdin();
    assert!(stdio.process.wait(PATIENCE).unwrap().success());
    stdio.speaks_only_protocol();
}

#[test]
fn calls_in_flight_finish_when_the_input_ends() {
    // The backend answers only once Promgate's input has ended.
    let (backend, go) = held_backend();
    let mut stdio = Stdio::start(&json!({ "url": backend.url() }));
    stdio.call(5, "x");
    let _asked = backend.wait_for_request();
    stdio.process.close_stdin();
    assert_eq!(stdio.process.wait(Duration::from_millis(300)), None, "a call is in flight");
    drop(go);
    assert_eq!(stdio.answer(5)["result"]["structuredContent"]["scalar"][1], "7");
    assert!(stdio.process.wait(PATIENCE).unwrap().success());
    stdio.speaks_only_protocol();
}

#[test]
fn a_signal_ends_it_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let stdio = Stdio::start(&prometheus());
        stdio.process.signal(signal);
        let status = stdio.process.wait(PATIENCE).expect("it ends");
        assert_eq!(status.code(), Some(0), "{signal:?}");
        stdio.speaks_only_protocol();
    }
}

/// A child whose standard output is read only by the test itself, if at all.
fn unread(backend: &Value, drain_timeout: &str) -> (Stdio, ChildStdout) {
    let mut settings = config(&json!({ "main": backend }));
    settings["server"]["drain_timeout"] = json!(drain_timeout);
    let files = write_config(&settings);
    let file = files.path().join("config.yaml").display().to_string();
    let arguments = ["stdio", "--config", &file];
    let (process, stdout) = Process::start_unread(&program("promgate"), arguments, &[]);
    let mut stdio = Stdio { process, _files: files };
    stdio.open();
    (stdio, stdout)
}

#[test]
fn a_client_that_does_not_read_cannot_keep_the_process() {
    let (mut stdio, stdout) = unread(&json!({ "url": "http://127.0.0.1:9" }), "1s");
    for id in 1..=60 {
        stdio.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list" }));
    }
    assert_eq!(stdio.process.wait(Duration::from_millis(500)), None);
    let begun = Instant::now();
    stdio.process.signal(Signal::TERM);
    let status = stdio.process.wait(PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(5), "took {:?}", begun.elapsed());
    stdio.process.stderr().wait_for("the reason", |line| line.contains("does not read"));
    drop(stdout);
}

#[test]
fn an_output_that_is_closed_early_is_an_error() {
    let (mut stdio, stdout) = unread(&json!({ "url": "http://127.0.0.1:9" }), "1s");
    let mut opened = String::new();
    let _bytes = BufReader::new(stdout).read_line(&mut opened).unwrap();
    assert!(opened.contains("2025-11-25"), "{opened}");
    stdio.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }));
    stdio.process.close_stdin();
    let status = stdio.process.wait(PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(1));
    stdio.process.stderr().wait_for("the reason", |line| line.contains("output was closed"));
}

/// A backend that answers only once it is told to.
fn held_backend() -> (Backend, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = parking_lot::Mutex::new(wait);
    let backend = Backend::start(move |_, stream| {
        // Closing the channel lets all go.
        let _nobody_sends = wait.lock().recv();
        let data = json!({ "resultType": "scalar", "result": [0, "7"] });
        let body = json!({ "status": "success", "data": data }).to_string();
        answer(stream, 200, "application/json", body.as_bytes())
    });
    (backend, go)
}

#[test]
fn calls_in_flight_finish_after_a_signal() {
    let (backend, go) = held_backend();
    let mut stdio = Stdio::start(&json!({ "url": backend.url() }));
    stdio.call(5, "x");
    stdio.call(6, "y");
    let _asked = backend.wait_for_request();
    stdio.process.signal(Signal::TERM);
    assert_eq!(stdio.process.wait(Duration::from_millis(300)), None, "calls are in flight");
    drop(go);
    for id in [5, 6] {
        assert_eq!(stdio.answer(id)["result"]["structuredContent"]["scalar"][1], "7");
    }
    assert_eq!(stdio.process.wait(PATIENCE).unwrap().code(), Some(0));
    stdio.speaks_only_protocol();
}

#[test]
fn more_requests_than_may_be_unanswered_are_refused_one_by_one() {
    let (backend, go) = held_backend();
    let mut stdio = Stdio::start(&json!({ "url": backend.url() }));
    for id in 1..=270 {
        stdio.call(id, "x");
    }
    for id in 257..=270 {
        let refused = stdio.answer(id);
        assert_eq!(refused["error"]["code"], -32603, "{refused}");
    }
    stdio.send(&json!({ "jsonrpc": "2.0", "id": 300, "method": "ping" }));
    assert_eq!(stdio.answer(300)["error"]["code"], -32603, "it is one too many as well");
    stdio.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 9 } }));
    stdio.send(&json!({ "jsonrpc": "2.0", "id": 301, "method": "ping" }));
    assert_eq!(stdio.answer(301)["result"], json!({}), "a cancelled request makes room");
    drop(go);
    for id in (1..=256).filter(|id| *id != 9) {
        assert_eq!(stdio.answer(id)["result"]["structuredContent"]["scalar"][1], "7");
    }
    stdio.process.close_stdin();
    assert_eq!(stdio.process.wait(PATIENCE).unwrap().code(), Some(0));
    let lines = stdio.process.stdout().lines();
    let ids = lines
        .iter()
        .filter(|line| serde_json::from_str::<Value>(line).is_ok_and(|message| message["id"] == 9));
    assert_eq!(ids.count(), 0, "a cancelled request has no answer");
    stdio.speaks_only_protocol();
}

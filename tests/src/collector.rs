//! A real OpenTelemetry collector, and what it received.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    backend::Backend,
    paths::{temporary_folder, tool},
    place::Place,
    process::{PATIENCE, Process},
    tls::{Authority, Leaf},
};

/// How the collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// HTTP with protobuf.
    Http,
}

/// A collector that sends on all that it receives, as JSON, to where a test can read it; dropping it stops it.
#[derive(Debug)]
pub struct Collector {
    place: Place,
    sink: Backend,
    files: TempDir,
    /// Its certificate and key, where it speaks TLS.
    tls: Option<Leaf>,
    process: Mutex<Option<Process>>,
}

/// A log record as the collector understood it.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// The name of its event.
    pub event: String,
    /// When it happened, in nanoseconds since 1970.
    pub time: u64,
    /// Its trace; empty when it has none.
    pub trace: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, Value>,
    /// All of it, as it came.
    pub whole: Value,
}

/// A span as the collector understood it.
#[derive(Debug, Clone)]
pub struct Span {
    /// Its trace.
    pub trace: String,
    /// Its id.
    pub id: String,
    /// The id of its parent; empty when it has none.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// 1 for internal, 2 for server, 3 for client.
    pub kind: i64,
    /// When it began, in nanoseconds since 1970.
    pub started: u64,
    /// When it ended.
    pub ended: u64,
    /// Whether it failed.
    pub failed: bool,
    /// Its attributes.
    pub attributes: BTreeMap<String, Value>,
    /// Traces and spans that it is linked to.
    pub links: Vec<(String, String)>,
    /// Attributes of who sent it.
    pub resource: BTreeMap<String, Value>,
    /// All of it, as it came.
    pub whole: Value,
}

impl Collector {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start() -> Self {
        let collector = Self::stopped();
        collector.run();
        collector
    }

    /// Starts one that speaks TLS with a certificate of this authority.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn with_tls(authority: &Authority) -> Self {
        let mut collector = Self::stopped();
        let address = collector.place.at(HTTP_PORT).ip();
        collector.tls = Some(authority.issue_for(address));
        collector.run();
        collector
    }

    /// One that does not run yet.
    #[must_use]
    pub fn stopped() -> Self {
        let sink = Backend::answering(200, "application/json", "{}");
        let process = Mutex::new(None);
        Self { place: Place::find(), sink, files: temporary_folder(), tls: None, process }
    }

    /// Has it run.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn run(&self) {
        let pipeline = json!({ "receivers": ["otlp"], "exporters": ["otlp_http"] });
        let off = json!({ "enabled": false });
        let receiver = |port| {
            let mut receiver = json!({ "endpoint": self.place.at(port).to_string() });
            if let Some(leaf) = &self.tls {
                receiver["tls"] = json!({ "cert_file": leaf.certificate, "key_file": leaf.key });
            }
            receiver
        };
        let config = json!({
            "receivers": { "otlp": { "protocols": {
                "grpc": receiver(GRPC_PORT),
                "http": receiver(HTTP_PORT),
            }}},
            "exporters": { "otlp_http": {
                "endpoint": self.sink.url(),
                "encoding": "json",
                "compression": "none",
                "sending_queue": off,
                "retry_on_failure": off,
            }},
            "service": {
                "telemetry": { "metrics": { "level": "none" } },
                "pipelines": { "traces": pipeline, "logs": pipeline },
            },
        });
        let file = self.files.path().join("collector.yaml");
        std::fs::write(&file, config.to_string()).expect("the folder is writable");
        let argument = format!("--config=file:{}", file.display());
        let process = Process::start(&tool("collector/collector"), [argument]);
        process.stderr().wait_for("`ready`", |line| line.contains("Everything is ready"));
        *self.process.lock() = Some(process);
    }

    /// Kills it; what it received stays.
    pub fn kill(&self) {
        *self.process.lock() = None;
    }

    /// Its address for this protocol.
    #[must_use]
    pub fn endpoint(&self, protocol: Protocol) -> String {
        let port = if protocol == Protocol::Grpc { GRPC_PORT } else { HTTP_PORT };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.place.at(port))
    }

    /// Settings of traces that go here, all of them.
    #[must_use]
    pub fn traces(&self, protocol: Protocol) -> Value {
        json!({ "endpoint": self.endpoint(protocol), "protocol": protocol.name() })
    }

    /// A sink of the access log that goes here.
    #[must_use]
    pub fn log_sink(&self, protocol: Protocol) -> Value {
        json!({
            "name": "otlp", "type": "otlp",
            "endpoint": self.endpoint(protocol), "protocol": protocol.name(),
        })
    }

    /// Everything that it received so far, as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.sink.received().iter().map(|received| received.body.as_str()).collect()
    }

    /// Every log record that it received so far.
    ///
    /// # Panics
    /// When it sends on something else than JSON.
    #[must_use]
    pub fn records(&self) -> Vec<LogRecord> {
        let bodies = self.bodies("/v1/logs");
        let of = |body: &Value| entries(body, ["resourceLogs", "scopeLogs", "logRecords"]);
        bodies.iter().flat_map(of).map(|(record, _)| LogRecord::read(record)).collect()
    }

    /// Every span that it received so far.
    ///
    /// # Panics
    /// When it sends on something else than JSON.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies("/v1/traces");
        let of = |body: &Value| entries(body, ["resourceSpans", "scopeSpans", "spans"]);
        bodies.iter().flat_map(of).map(|(span, resource)| Span::read(span, &resource)).collect()
    }

    /// Waits until it has so many spans of a trace, and gives them.
    ///
    /// # Panics
    /// When they do not come.
    #[must_use]
    pub fn trace(&self, trace: &str, count: usize) -> Vec<Span> {
        self.wait_for(|spans| {
            let of: Vec<_> = spans.iter().filter(|span| span.trace == trace).cloned().collect();
            (of.len() >= count).then_some(of)
        })
    }

    /// Waits until what it received gives what is looked for.
    ///
    /// # Panics
    /// When it does not.
    #[expect(clippy::disallowed_methods, reason = "nobody tells when a batch has come")]
    pub fn wait_for<T>(&self, found: impl Fn(&[Span]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let spans = self.spans();
            if let Some(found) = found(&spans) {
                return found;
            }
            let names: Vec<_> = spans.iter().map(|span| (&span.trace, &span.name)).collect();
            assert!(Instant::now() < deadline, "not found among {names:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn bodies(&self, path: &str) -> Vec<Value> {
        let received = self.sink.received();
        let of_path = received.iter().filter(|received| received.line.contains(path));
        of_path
            .map(|of| serde_json::from_str(&of.body).expect("the collector writes JSON"))
            .collect()
    }
}

const GRPC_PORT: u16 = 17_001;
const HTTP_PORT: u16 = 17_002;

impl Protocol {
    /// Its name in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http/protobuf",
        }
    }
}

impl LogRecord {
    fn read(record: Value) -> Self {
        let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        Self {
            event: text("eventName"),
            time: text("timeUnixNano").parse().expect("nanoseconds"),
            trace: text("traceId"),
            attributes: attributes(&record),
            whole: record,
        }
    }

    /// An attribute; null when it has none of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Value {
        self.attributes.get(name).cloned().unwrap_or_default()
    }
}

impl Span {
    fn read(span: Value, resource: &Value) -> Self {
        let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
        let time = |key: &str| text(key).parse().expect("nanoseconds");
        let links = span["links"].as_array().into_iter().flatten();
        let pair = |link: &Value| {
            let text = |key: &str| link[key].as_str().unwrap_or_default().to_owned();
            (text("traceId"), text("spanId"))
        };
        Self {
            trace: text("traceId"),
            id: text("spanId"),
            parent: text("parentSpanId"),
            name: text("name"),
            kind: span["kind"].as_i64().unwrap_or_default(),
            started: time("startTimeUnixNano"),
            ended: time("endTimeUnixNano"),
            failed: span["status"]["code"] == 2,
            attributes: attributes(&span),
            links: links.map(pair).collect(),
            resource: attributes(resource),
            whole: span,
        }
    }

    /// An attribute; null when it has none of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Value {
        self.attributes.get(name).cloned().unwrap_or_default()
    }
}

/// The entries of a request, each with its resource.
fn entries(body: &Value, [resources, scopes, entries]: [&str; 3]) -> Vec<(Value, Value)> {
    let list = |of: &Value, key: &str| of[key].as_array().cloned().unwrap_or_default();
    let mut all = Vec::new();
    for resource in list(body, resources) {
        for scope in list(&resource, scopes) {
            let of = list(&scope, entries).into_iter();
            all.extend(of.map(|entry| (entry, resource["resource"].clone())));
        }
    }
    all
}

/// The attributes of something, by name.
fn attributes(of: &Value) -> BTreeMap<String, Value> {
    pairs(&of["attributes"]).collect()
}

fn pairs(of: &Value) -> impl Iterator<Item = (String, Value)> {
    let pairs = of.as_array().into_iter().flatten();
    pairs.map(|pair| (pair["key"].as_str().unwrap_or_default().to_owned(), any(&pair["value"])))
}

/// An `AnyValue`; OTLP writes whole numbers as text.
fn any(value: &Value) -> Value {
    let Some((kind, held)) = value.as_object().and_then(|any| any.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "intValue" => held.as_str().and_then(|text| text.parse::<i64>().ok()).into(),
        "arrayValue" => held["values"].as_array().into_iter().flatten().map(any).collect(),
        "kvlistValue" => pairs(&held["values"]).collect(),
        _ => held.clone(),
    }
}

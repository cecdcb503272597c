//! A server that logs all it can to everywhere it can, and what all of that says.

use std::{
    fs,
    io::Read as _,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use e2e::{
    backend::Backend,
    canary::{Canaries, Found, Search},
    collector::{Collector, Protocol},
    http::{Answer, Connection, Request},
    paths::temporary_folder,
    process::PATIENCE,
    server::{Server, guarded},
    syslog::Syslog,
    tls::Authority,
};
use flate2::read::MultiGzDecoder;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    backends::{backends, echoing},
    http2::Http2,
    secrets::{filed, filed_key, long, tls},
};

/// A header that the configuration shows in the clear.
pub(super) const CONTROL: &str = "X-Control";

/// One of two ways in which everything is done that can be done in several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A log of JSON, syslog over TCP, traces by HTTP; clients speak HTTP/1.1.
    First,
    /// A log of text, syslog at a socket, traces and a further sink by gRPC, filters; clients speak HTTP/2 where they
    /// can, and more of the configuration's secrets are in files.
    Second,
}

/// Takes every record, after it has looked at what clients wrote.
const ALL: &str = "!(record.path == 'a' && record.user_agent == 'b' && record.tool == 'c' && record.rpc_method == 'd')";

/// A server, and all that it is connected to.
pub(super) struct Stage {
    pub(super) server: Server,
    /// Secrets of the configuration.
    pub(super) config: Canaries,
    /// Secrets of clients.
    pub(super) client: Canaries,
    /// What the backends' answers hold.
    pub(super) backend: Canaries,
    /// What must be found: in a header that the configuration shows.
    pub(super) control: Canaries,
    pub(super) admin_token: String,
    receivers: Receivers,
    backends: Vec<Backend>,
    http2: Option<Http2>,
    answers: Mutex<[Vec<u8>; 2]>,
    /// Requests that got as far as to have an id, and so have a record.
    recorded: AtomicUsize,
}

/// Where everything goes.
struct Receivers {
    form: Form,
    logs: TempDir,
    /// What the configuration reads secrets from.
    files: TempDir,
    syslog: Syslog,
    /// One takes what it gets, one refuses all and repeats what it was sent.
    otlp: [Backend; 2],
    /// Takes what comes by gRPC, in the second form.
    collector: Option<Collector>,
    /// Who vouches for the certificates with which we prove ourselves.
    authority: Authority,
}

/// Everything that was said, by where.
pub(super) struct Output {
    form: Form,
    parts: Vec<(String, Vec<u8>)>,
    control: Canaries,
}

impl Stage {
    pub(super) fn start(form: Form) -> Self {
        let [config, client, backend, control]: [Canaries; 4] = Default::default();
        let receivers = Receivers::start(form);
        let files = receivers.files.path();
        let (backends, settings) = backends(&config, &backend, files);
        let mut file = guarded(&settings);
        file["middleware"]["access_logs"] = receivers.access_logs(&config);
        file["telemetry"] = receivers.telemetry(&config);
        file["server"]["transport"]["http"]["h2c"] = json!(true);
        let admin_token = config.word("admin token");
        match form {
            Form::First => file["server"]["admin"]["token"] = json!("${CANARY_ADMIN}"),
            Form::Second => {
                file["server"]["admin"]["token_file"] = json!(filed(files, &config, "admin token"));
            }
        }
        file["sessions"] = json!({
            "keys": [long(&config, "session key")],
            "key_files": [filed_key(files, &config, "session key in a file")],
        });
        file["server"]["limits"] = json!({ "call_timeout": "5s" });
        let environment = [
            ("PROMGATE_LOG", "trace"),
            ("CANARY_ADMIN", admin_token.as_str()),
            ("RUST_LOG", "trace"),
        ];
        let server = Server::promgate_with(&file, &environment);
        Self {
            server,
            config,
            client,
            backend,
            control,
            admin_token,
            receivers,
            backends,
            http2: (form == Form::Second).then(Http2::default),
            answers: Mutex::default(),
            recorded: AtomicUsize::new(0),
        }
    }

    /// Sends a request on a connection of its own, and keeps what is answered; nothing when it is cut.
    pub(super) fn send(&self, request: &Request) -> Option<Answer> {
        let translated = self.http2.as_ref().and_then(|http2| {
            let request = http2.translated(self.server.mcp, request)?;
            Some(http2.exchange(request))
        });
        let answer = if let Some(answer) = translated {
            answer?
        } else {
            let mut connection = Connection::open(self.server.mcp);
            connection.try_send(request.bytes()).ok()?;
            connection.try_answer().ok()?
        };
        self.keep(0, &answer);
        Some(answer)
    }

    /// Sends bytes and nothing more, ever: whoever waits for more need not. A call would be given up.
    pub(super) fn send_bytes(&self, bytes: &[u8]) -> Option<Answer> {
        let mut connection = Connection::open(self.server.mcp);
        connection.try_send(bytes).ok()?;
        connection.finish_sending();
        let answer = connection.try_answer().ok()?;
        self.keep(0, &answer);
        Some(answer)
    }

    /// Keeps what the asker (0) or a stranger (1) was told.
    pub(super) fn keep(&self, who: usize, answer: &Answer) {
        if answer.head.header("X-Request-Id").is_some() {
            self.recorded.fetch_add(1, Ordering::Relaxed);
        }
        let said = format!("{:?}\n", answer.head);
        let kept = &mut self.answers.lock()[who];
        kept.extend_from_slice(said.as_bytes());
        kept.extend_from_slice(&answer.body);
        kept.push(b'\n');
    }

    /// How many records there must be at least.
    pub(super) fn recorded(&self) -> usize {
        self.recorded.load(Ordering::Relaxed)
    }

    /// How often each backend was asked.
    pub(super) fn asked_of_backends(&self) -> Vec<usize> {
        self.backends.iter().map(|backend| backend.received().len()).collect()
    }

    /// How many requests were answered by HTTP/2.
    pub(super) fn by_http2(&self) -> usize {
        self.http2.as_ref().map_or(0, Http2::answered)
    }

    /// All that the asker and the stranger were told.
    pub(super) fn answers(&self) -> (Vec<u8>, Vec<u8>) {
        let [asker, stranger] = self.answers.lock().clone();
        (asker, stranger)
    }

    /// Ends the server, and gives all that it said.
    pub(super) fn end(&self) -> Output {
        let mut parts = self.admin();
        self.server.terminate();
        assert!(self.server.exit(PATIENCE).success());
        let process = self.server.process();
        for (name, log) in [("stdout", process.stdout()), ("stderr", process.stderr())] {
            parts.push((name.to_owned(), log.whole().join("\n").into_bytes()));
        }
        parts.extend(self.receivers.parts());
        let control = Canaries::default();
        control.plant("control", &self.control.word("control"));
        Output { form: self.receivers.form, parts, control }
    }

    /// What the admin listener says, to whoever asks and to the operator.
    fn admin(&self) -> Vec<(String, Vec<u8>)> {
        let paths = [
            "/metrics",
            "/healthz",
            "/readyz",
            "/admin/ring",
            "/admin/sessions",
            "/admin/log",
            "/",
        ];
        let bearers = [
            None,
            Some(self.admin_token.clone()),
            Some(self.client.word("admin token of a stranger")),
        ];
        let mut said = Vec::new();
        for path in paths {
            for bearer in &bearers {
                let mut request = Request::new("GET", path);
                if let Some(bearer) = bearer {
                    request = request.header("Authorization", &format!("Bearer {bearer}"));
                }
                let answer = Connection::open(self.server.admin).exchange(&request);
                said.push((path.to_owned(), answer.body));
            }
        }
        said
    }
}

impl Receivers {
    fn start(form: Form) -> Self {
        let (syslog, collector) = match form {
            Form::First => (Syslog::start(), None),
            Form::Second => (Syslog::start_on_socket(), Some(Collector::start())),
        };
        Self {
            form,
            logs: temporary_folder(),
            files: temporary_folder(),
            syslog,
            otlp: [Backend::answering(200, "application/x-protobuf", ""), echoing(403)],
            collector,
            authority: Authority::new("receivers"),
        }
    }

    /// The headers of what is sent to a receiver.
    fn headers(&self, config: &Canaries, name: &str) -> [Value; 2] {
        let in_file = filed(self.files.path(), config, &format!("header of {name}, in a file"));
        [
            json!({ "X-Receiver": config.word(&format!("header of {name}")) }),
            json!({ "X-Filed": in_file }),
        ]
    }

    fn access_logs(&self, config: &Canaries) -> Value {
        let file = |name: &str| self.logs.path().join(name).display().to_string();
        let otlp = |name: &str, endpoint: &str| {
            let [headers, header_files] = self.headers(config, name);
            json!({ "name": name, "type": "otlp", "endpoint": endpoint, "timeout": "1s",
                "headers": headers, "header_files": header_files })
        };
        // Nobody listens there.
        let mut absent = otlp("absent", "https://127.0.0.1:9");
        absent["tls"] = tls(config, "TLS of a sink", &self.authority);
        let mut sinks = vec![
            json!({ "name": "chained", "type": "file", "path": file("chained.log"), "chain": true, "compress": true,
                "rotation": { "size": "64KiB" }, "when_full": "block" }),
            json!({ "name": "ecs", "type": "file", "path": file("ecs.log"), "format": "ecs", "when_full": "block" }),
            json!({ "name": "stdout", "type": "stdout", "when_full": "block" }),
            json!({ "name": "syslog", "type": "syslog", "address": self.syslog.url(), "when_full": "block" }),
            otlp("otlp", &self.otlp[0].url()),
            otlp("refused", &self.otlp[1].url()),
            absent,
        ];
        if let Some(collector) = &self.collector {
            let mut grpc = otlp("grpc", &collector.endpoint(Protocol::Grpc));
            grpc["protocol"] = json!("grpc");
            sinks.push(grpc);
            for sink in &mut sinks {
                sink["filter"] = json!(ALL);
            }
        }
        let arguments = [
            "query", "backend", "org_id", "time", "timeout", "limit", "start", "end", "regex",
            "offset",
        ];
        let clear: Value =
            arguments.iter().map(|name| ((*name).to_owned(), json!("clear"))).collect();
        json!({
            "included_headers": [CONTROL, "X-Shown"],
            "redacted_headers": ["Authorization", "Cookie", "X-Masked", "Mcp-Session-Id", "X-Api-Key"],
            "identity": { "issuer": "clear", "subject": "hashed", "client_id": "hashed", "groups": "hashed" },
            "arguments": {
                "prometheus_query": clear,
                "prometheus_list_metrics": clear,
                "prometheus_range_query": { "query": "hash", "start": "mask", "end": "length" },
            },
            "queries": "masked",
            "audit": {
                "keys": [long(config, "audit key"), long(config, "audit key of before")],
                "key_files": [filed_key(self.files.path(), config, "audit key in a file")],
                "checkpoint_records": 20,
            },
            "sinks": sinks,
        })
    }

    fn telemetry(&self, config: &Canaries) -> Value {
        let mut traces = match &self.collector {
            Some(collector) => collector.traces(Protocol::Grpc),
            None => json!({ "endpoint": self.otlp[0].url() }),
        };
        traces["sample_ratio"] = json!(1);
        traces["propagate"] = json!("tracestate");
        traces["trust_parent"] = json!(true);
        let [headers, header_files] = self.headers(config, "traces");
        (traces["headers"], traces["header_files"]) = (headers, header_files);
        let format = if self.form == Form::First { "json" } else { "text" };
        json!({ "traces": traces, "log": { "format": format } })
    }

    fn parts(&self) -> Vec<(String, Vec<u8>)> {
        let mut parts = vec![("syslog".to_owned(), self.syslog.bytes())];
        for received in self.otlp.iter().flat_map(Backend::received) {
            assert_eq!(received.header("content-encoding"), None, "what is searched is not packed");
            let (name, body) = (received.line, received.body.into_bytes());
            parts.push((name, body));
        }
        if let Some(collector) = &self.collector {
            parts.push(("collector".to_owned(), collector.text().into_bytes()));
        }
        let folder = fs::read_dir(self.logs.path()).expect("the folder of the logs");
        for entry in folder.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            parts.push((name, unpacked(&entry.path())));
        }
        parts
    }
}

impl Output {
    /// Asserts that each place has what is to be found, so that a search of nothing proves nothing.
    pub(super) fn assert_whole(&self, asked: usize) {
        let search = self.control.search();
        let mut places = vec!["stdout", "chained.log.2", "ecs.log", "syslog", "/v1/logs"];
        let (debug, traces) = match self.form {
            Form::First => ("\"level\":\"debug\"", "/v1/traces"),
            Form::Second => {
                places.push("collector");
                (" DEBUG ", "collector")
            }
        };
        for place in places {
            let mut of_place = self.parts.iter().filter(|(name, _)| name.contains(place));
            let is_there = of_place.any(|(_, bytes)| !search.find(bytes).is_empty());
            assert!(is_there, "{place} lacks the control: {:?}", self.sizes());
        }
        let stderr = self.parts.iter().find(|(name, _)| name == "stderr").expect("stderr");
        let levels = String::from_utf8_lossy(&stderr.1);
        assert!(levels.contains(debug), "the server logs all it can");
        let has = |name: &str| self.parts.iter().any(|(part, _)| part.contains(name));
        assert!(has("chained.log.head") && has(traces) && has(".gz"), "{:?}", self.sizes());
        for name in ["stdout", "ecs.log"] {
            let (_, bytes) = self.parts.iter().find(|(part, _)| part == name).expect(name);
            let records = bytes.split(|byte| *byte == b'\n').count();
            assert!(records >= asked, "{name} has {records} records of {asked} requests");
        }
    }

    /// Where secrets are found.
    pub(super) fn search(&self, search: &Search) -> Vec<Found> {
        let of_part = |(name, bytes): &(String, Vec<u8>)| -> Vec<Found> {
            let named =
                |found: Found| Found { around: format!("in {name}: {}", found.around), ..found };
            search.find(bytes).into_iter().map(named).collect()
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    fn sizes(&self) -> Vec<(&str, usize)> {
        self.parts.iter().map(|(name, bytes)| (name.as_str(), bytes.len())).collect()
    }
}

/// Asserts that nothing was found.
pub(super) fn assert_none(found: Vec<Found>) {
    let mut found = found;
    found.sort();
    found.dedup_by(|one, other| one.place == other.place && one.form == other.form);
    assert!(found.is_empty(), "found: {found:?}");
}

fn unpacked(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).expect("the file of a log");
    if path.extension().is_none_or(|end| end != "gz") {
        return bytes;
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).expect("gzip");
    unpacked
}

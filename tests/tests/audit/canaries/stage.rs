//! A server that logs all it can to everywhere it can, and what all of that says.

use std::{
    fs,
    io::Read as _,
    net::TcpStream,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use e2e::{
    backend::{Backend, Received, answer, answer_with},
    canary::{Canaries, Found, Search},
    http::{Answer, Connection, Request},
    paths::temporary_folder,
    process::PATIENCE,
    server::{Server, guarded},
    syslog::Syslog,
};
use flate2::read::MultiGzDecoder;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A header that the configuration shows in the clear.
pub(super) const CONTROL: &str = "X-Control";

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
    _backends: Vec<Backend>,
    answers: Mutex<[Vec<u8>; 2]>,
    /// Requests that got as far as to have an id, and so have a record.
    recorded: AtomicUsize,
}

/// Where everything goes.
struct Receivers {
    logs: TempDir,
    /// What the configuration reads secrets from.
    files: TempDir,
    syslog: Syslog,
    /// One takes what it gets, one refuses all and repeats what it was sent.
    otlp: [Backend; 2],
}

/// Everything that was said, by where.
pub(super) struct Output {
    parts: Vec<(String, Vec<u8>)>,
    control: Canaries,
}

impl Stage {
    pub(super) fn start() -> Self {
        let [config, client, backend, control]: [Canaries; 4] = Default::default();
        let otlp = [Backend::answering(200, "application/x-protobuf", ""), echoing(403)];
        let receivers = Receivers {
            logs: temporary_folder(),
            files: temporary_folder(),
            syslog: Syslog::start(),
            otlp,
        };
        let (backends, settings) = backends(&config, &backend);
        let mut file = guarded(&settings);
        file["middleware"]["access_logs"] = receivers.access_logs(&config);
        file["telemetry"] = receivers.telemetry(&config);
        file["server"]["admin"]["token"] = json!("${CANARY_ADMIN}");
        let admin_token = config.word("admin token, from the environment");
        file["sessions"] = json!({ "keys": [long(&config, "session key")] });
        file["server"]["limits"] = json!({ "call_timeout": "5s" });
        let environment = [
            ("PROMGATE_LOG", "trace"),
            ("CANARY_ADMIN", admin_token.as_str()),
            ("RUST_LOG", "trace"),
        ];
        let server = Server::promgate_with(&file, &environment);
        let answers = Mutex::default();
        Self {
            server,
            config,
            client,
            backend,
            control,
            admin_token,
            receivers,
            _backends: backends,
            answers,
            recorded: AtomicUsize::new(0),
        }
    }

    /// Sends a request on a connection of its own, and keeps what is answered; nothing when it is cut.
    pub(super) fn send(&self, request: &Request) -> Option<Answer> {
        self.send_bytes(&request.bytes())
    }

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
        Output { parts, control }
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
    fn access_logs(&self, config: &Canaries) -> Value {
        let file = |name: &str| self.logs.path().join(name).display().to_string();
        let key_file = self.files.path().join("audit-key");
        fs::write(&key_file, long(config, "audit key of a file")).expect("the folder is writable");
        let otlp = |name: &str, receiver: &Backend| {
            let header = config.word(&format!("header of {name}"));
            json!({ "name": name, "type": "otlp", "endpoint": receiver.url(), "timeout": "1s",
                "headers": { "X-Receiver": header } })
        };
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
                "key_files": [key_file.display().to_string()],
                "checkpoint_records": 20,
            },
            "sinks": [
                { "name": "chained", "type": "file", "path": file("chained.log"), "chain": true, "compress": true,
                    "rotation": { "size": "64KiB" }, "when_full": "block" },
                { "name": "ecs", "type": "file", "path": file("ecs.log"), "format": "ecs", "when_full": "block" },
                { "name": "stdout", "type": "stdout", "when_full": "block" },
                { "name": "syslog", "type": "syslog", "address": self.syslog.url(), "when_full": "block" },
                otlp("otlp", &self.otlp[0]),
                otlp("refused", &self.otlp[1]),
            ],
        })
    }

    fn telemetry(&self, config: &Canaries) -> Value {
        let header_file = self.files.path().join("traces-header");
        fs::write(&header_file, config.word("header of traces, from a file"))
            .expect("the folder is writable");
        json!({
            "traces": {
                "endpoint": self.otlp[0].url(), "sample_ratio": 1, "propagate": "tracestate", "trust_parent": true,
                "headers": { "X-Traces": config.word("header of traces") },
                "header_files": { "X-Filed": header_file.display().to_string() },
            },
            "log": { "format": "json" },
        })
    }

    fn parts(&self) -> Vec<(String, Vec<u8>)> {
        let mut parts = vec![("syslog".to_owned(), self.syslog.bytes())];
        for received in self.otlp.iter().flat_map(Backend::received) {
            assert_eq!(received.header("content-encoding"), None, "what is searched is not packed");
            let (name, body) = (received.line, received.body.into_bytes());
            parts.push((name, body));
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
        for place in ["stdout", "chained.log.2", "ecs.log", "syslog", "/v1/logs"] {
            let mut of_place = self.parts.iter().filter(|(name, _)| name.contains(place));
            let is_there = of_place.any(|(_, bytes)| !search.find(bytes).is_empty());
            assert!(is_there, "{place} lacks the control: {:?}", self.sizes());
        }
        let stderr = self.parts.iter().find(|(name, _)| name == "stderr").expect("stderr");
        let levels = String::from_utf8_lossy(&stderr.1);
        assert!(levels.contains("\"level\":\"debug\""), "the server logs all it can");
        let has = |name: &str| self.parts.iter().any(|(part, _)| part.contains(name));
        assert!(has("chained.log.head") && has("/v1/traces") && has(".gz"), "{:?}", self.sizes());
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

/// A secret that is long enough for a key.
pub(super) fn long(canaries: &Canaries, place: &str) -> String {
    [canaries.word(place), canaries.word(&format!("{place}, its second half"))].concat()
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

/// Backends that repeat what we sent them in every way that there is, and how they are configured.
pub(super) fn backends(config: &Canaries, backend: &Canaries) -> (Vec<Backend>, Value) {
    let label = |name: &str| {
        (backend.word(&format!("label `{name}`")), backend.random(&format!("label `{name}` again")))
    };
    let (job, pod) = label("job");
    let good = json!({ "status": "success", "data": { "resultType": "vector", "result": [
        { "metric": { "__name__": "up", "job": job, "pod": pod }, "value": [0, "1"] },
    ]}, "infos": [backend.word("info")] });
    let good = Backend::answering(200, "application/json", good.to_string());
    let failing: Vec<(&str, Backend)> = vec![
        ("unauthorized", echoing(401)),
        ("forbidden", echoing(403)),
        ("rejected", echoing(422)),
        ("failed", echoing(500)),
        ("limited", echoing(429)),
        (
            "warned",
            Backend::start(|received, stream| {
                let body = json!({ "status": "success", "warnings": [repeated(received)],
                "data": { "resultType": "scalar", "result": [0, "1"] } });
                answer(stream, 200, "application/json", body.to_string().as_bytes())
            }),
        ),
        (
            "page",
            Backend::start(|received, stream| {
                answer(stream, 200, "text/html", repeated(received).as_bytes())
            }),
        ),
        (
            "redirect",
            Backend::start(|received, stream| {
                let place =
                    format!("http://127.0.0.1:9/?{}", repeated(received).replace([' ', '\n'], "+"));
                answer_with(stream, 302, &[("Location", &place)], b"")
            }),
        ),
        (
            "odd",
            Backend::start(|received, stream| {
                let kind =
                    format!("text/plain; secret=\"{}\"", repeated(received).replace('\n', " "));
                answer_with(stream, 200, &[("Content-Type", &kind), ("X-Echo", &kind)], b"{")
            }),
        ),
        ("broken", Backend::start(broken)),
    ];
    let mut settings = json!({
        "good": credentials(config, "good", &good.url()),
        // Nobody listens there.
        "absent": credentials(config, "absent", "http://127.0.0.1:9"),
    });
    settings["good"]["org_id"] = json!("tenant");
    settings["good"]["available_orgs"] = json!(["other"]);
    for (name, backend) in &failing {
        settings[*name] = credentials(config, name, &backend.url());
    }
    let mut all = vec![good];
    all.extend(failing.into_iter().map(|(_, backend)| backend));
    (all, settings)
}

/// Every second one has user and password, the others a token; all have a header.
pub(super) fn credentials(config: &Canaries, name: &str, url: &str) -> Value {
    let secret = |what: &str| config.word(&format!("{what} of backend `{name}`"));
    let auth = if name.len().is_multiple_of(2) {
        json!({ "type": "basic", "username": secret("user"), "password": secret("password") })
    } else {
        json!({ "type": "token", "token": secret("token") })
    };
    json!({
        "url": url, "auth": auth, "timeout": "2s", "connect_timeout": "1s",
        "headers": { "X-Backend-Key": secret("header") },
    })
}

/// A server that answers everything with this status and all that it was sent, in the form of the Prometheus API.
fn echoing(status: u16) -> Backend {
    Backend::start(move |received, stream| {
        let said =
            json!({ "status": "error", "errorType": "bad_data", "error": repeated(received) });
        answer(stream, status, "application/json", said.to_string().as_bytes())
    })
}

fn repeated(received: &Received) -> String {
    let headers: Vec<String> =
        received.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{} {}", received.line, headers.join("\n"))
}

/// Says that more comes, and leaves.
fn broken(received: &Received, stream: &mut TcpStream) -> std::io::Result<()> {
    use std::io::Write as _;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n{}",
        repeated(received)
    )
}

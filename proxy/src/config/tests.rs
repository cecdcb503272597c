//! Whole files through the loader.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use mcp_core::config::{BackendAuth, OrgId};
use proptest::prelude::*;

use super::*;

mod admission;
mod cluster;
mod faults;
mod freepik;
mod hostile;
mod settings;
mod sinks;

/// An environment of a test's own.
#[derive(Default)]
struct Variables(BTreeMap<&'static str, &'static str>);

impl<const N: usize> From<[(&'static str, &'static str); N]> for Variables {
    fn from(pairs: [(&'static str, &'static str); N]) -> Self {
        Self(BTreeMap::from(pairs))
    }
}

impl Environment for Variables {
    fn get(&self, name: &str) -> Result<Option<String>, NotText> {
        Ok(self.0.get(name).map(|value| (*value).to_owned()))
    }
}

fn parsed(text: &str) -> Config {
    parsed_with(text, &Variables::default())
}

fn parsed_with(text: &str, env: &Variables) -> Config {
    parse(Path::new("c.yaml"), text, env).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Each fault as `line: place: what; mend`.
fn faults_of(text: &str) -> Vec<String> {
    let faults = parse(Path::new("c.yaml"), text, &Variables::default()).expect_err("faults");
    let shown = |fault: &Fault| match fault.line {
        Some(line) => format!("{line}: {fault}"),
        None => fault.to_string(),
    };
    faults.faults().iter().map(shown).collect()
}

fn conf_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf")
}

const ONE_BACKEND: &str =
    "middleware: {jwt: {enabled: false}}\nbackends:\n  p:\n    url: http://p:9090\n";

/// The text before a backend and, unless it has a `middleware` section, the words that ask for no token.
fn with_backend(text: &str) -> String {
    let cut = if text.contains("middleware:") { "backends:" } else { "middleware:" };
    let (_, rest) = ONE_BACKEND.split_once(cut).expect("a section");
    format!("{text}{cut}{rest}")
}

#[test]
fn every_file_in_conf_loads() {
    let env = Variables::from([
        ("PROMETHEUS_PASSWORD", "a"),
        ("GRAFANA_CLOUD_USER", "123456"),
        ("GRAFANA_CLOUD_TOKEN", "glc_x"),
        ("PMM_TOKEN", "glsa_x"),
        ("ISSUER", "https://idp.example.com/realms/a"),
        ("PROMGATE_SESSION_KEY", "a session key of 32 bytes or more"),
        ("PROMGATE_CLUSTER_KEY", "a cluster key of 32 bytes or more"),
        ("PROMGATE_PEER_LISTEN", "127.0.0.1:8181"),
        ("PROMGATE_ADVERTISE", "127.0.0.1:8181"),
    ]);
    // For Prometheus and promtool.
    let for_others = ["rules.yaml", "alerts.yaml", "alerts_test.yaml", "alerts_days_test.yaml"];
    let mut count = 0;
    for entry in fs::read_dir(conf_folder()).expect("conf/") {
        let path = entry.expect("an entry").path();
        let is_ours = !for_others.iter().any(|name| path.ends_with(name));
        if is_ours && path.extension().is_some_and(|extension| extension == "yaml") {
            load(&path, &env).unwrap_or_else(|faults| panic!("{faults}"));
            count += 1;
        }
    }
    assert!(count >= 11, "{count}");
}

#[test]
fn the_schema_in_conf_is_that_of_the_types() {
    let file = fs::read_to_string(conf_folder().join("promgate.schema.json")).expect("the schema");
    // Compared as values, since the order of keys depends on features that other crates choose.
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert!(
        read(&file) == read(&schema_json()),
        "run `cargo run -p promgate -- schema > conf/promgate.schema.json`"
    );
}

#[test]
fn the_default_file_shows_every_default_as_it_is() {
    let text = fs::read_to_string(conf_folder().join("promgate.yaml")).expect("the file");
    let shown: String = text.lines().map(|line| uncommented(line) + "\n").collect();
    // The version is the one value that is an example.
    let shown = shown.replace("version: \"1.2.3\"", "version: \"\"");
    let minimal = "middleware: {access_logs: {redacted_headers: [Authorization]}, jwt: {enabled: false}}\n\
                   backends: {prometheus: {url: \"http://127.0.0.1:9090\"}}\n";
    assert_eq!(format!("{:#?}", parsed(&shown)), format!("{:#?}", parsed(minimal)));
}

/// The line with its key, if it is a default behind a `#`.
fn uncommented(line: &str) -> String {
    let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
    match rest.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{indent}{key}"),
        _ => line.to_owned(),
    }
}

#[test]
fn the_default_file_shows_every_key() {
    let text = fs::read_to_string(conf_folder().join("promgate.yaml")).expect("the file");
    let schema = raw::schema();
    let sections = schema["$defs"].as_object().expect("definitions");
    for (section, schema) in sections {
        for key in schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
            let shown = text.contains(&format!("{key}:"));
            assert!(shown, "{section}.{key} is not in conf/promgate.yaml");
        }
    }
}

#[test]
fn a_small_file_gets_the_defaults() {
    let config = parsed(ONE_BACKEND);
    assert_eq!(config.server.transport, Transport::Http);
    assert_eq!(config.server.http.listen, "127.0.0.1:8080".parse().expect("an address"));
    assert_eq!(config.server.http.path, "/mcp");
    assert_eq!(config.server.admin, "127.0.0.1:9091".parse().ok());
    assert_eq!(config.server.name, "promgate");
    assert_eq!(config.server.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(config.worker_limits, WorkerLimits::default());
    assert_eq!(config.tools, ToolLimits::default());
    assert!(matches!(&config.access_log.sinks[..], [Sink { target: Target::Stdout, .. }]));
    let hosts: Vec<_> = config.server.http.allowed_hosts;
    let any_port = |host: &str| HostRule::Exact { host: host.into(), port: None };
    assert_eq!(hosts, ["localhost", "127.0.0.1", "::1"].map(any_port));
    assert_eq!(config.server.http.allowed_origins.len(), 6);
}

#[test]
fn a_bare_port_is_every_address() {
    let text = with_backend(
        "server: {transport: {http: {host: \":8080\"}}}\n\
         middleware: {jwt: {enabled: false, insecure: true}}\n",
    );
    let listen = parsed(&text).server.http.listen;
    assert_eq!(listen, "0.0.0.0:8080".parse().expect("an address"));
}

#[test]
fn no_workers_means_one_for_each_core() {
    let cores =
        u16::try_from(std::thread::available_parallelism().expect("cores").get()).expect("few");
    assert_eq!(
        parsed(&with_backend("server: {workers: 0}\n")).server.workers.unwrap().get(),
        cores
    );
}

#[test]
fn the_public_host_is_served_by_default() {
    let text = "oauth_protected_resource: {resource: \"https://MCP.example.com/mcp\"}\n";
    let http = parsed(&with_backend(text)).server.http;
    let public = HostRule::Exact { host: "mcp.example.com".into(), port: None };
    assert!(http.allowed_hosts.contains(&public));
}

#[test]
fn a_variable_may_stand_for_any_kind_of_value() {
    let env = Variables::from([
        ("WORKERS", "3"),
        ("H2C", "false"),
        ("SIZE", "2MiB"),
        ("BYTES", "4096"),
        ("VERSION", "1.10"),
        ("TIMEOUT", "7s"),
        ("KIND", "stdio"),
    ]);
    let config = parsed_with(
        &with_backend(
            "server:\n  workers: ${WORKERS}\n  version: $VERSION\n  transport:\n    type: $KIND\n    \
             http:\n      h2c: ${H2C}\n      limits:\n        body_bytes_max: $SIZE\n        \
             body_timeout: $TIMEOUT\ntools:\n  query_bytes_max: $BYTES\n",
        ),
        &env,
    );
    assert_eq!(config.server.workers.unwrap().get(), 3);
    assert_eq!(config.server.version, "1.10");
    assert_eq!(config.server.transport, Transport::Stdio);
    assert!(!config.server.http.h2c);
    assert_eq!(config.server.http.limits.body_bytes_max, 2 << 20);
    assert_eq!(config.tools.query_bytes_max, 4096);
}

#[test]
fn what_a_variable_holds_cannot_become_structure() {
    let evil = "x\"\n  workers: 9\nbackends: {}\n# ${HOME} *a <<: !tag";
    let env = Variables::from([("NAME", evil), ("ORG", "org #1, [a]: b")]);
    let text =
        with_backend("server:\n  workers: 2\n") + "    auth: {type: token, token: \"$NAME\"}\n";
    let faults = parse(Path::new("c.yaml"), &text, &env).expect_err("a token with line ends");
    assert_eq!(faults.faults().len(), 1, "{faults}");
    assert_eq!(faults.faults()[0].at, "backends.p.auth.token");
    assert!(!faults.to_string().contains("workers"), "the value is not shown: {faults}");
    let config = parsed_with(&with_backend("server:\n  name: \"$ORG\"\n"), &env);
    assert_eq!(config.server.name, "org #1, [a]: b");
}

#[test]
fn a_key_is_never_expanded() {
    let text = "middleware: {jwt: {enabled: false}}\nbackends:\n  $NAME:\n    url: http://p\n";
    let faults = faults_of(text);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("a backend name is"), "{faults:?}");
}

#[test]
fn anchors_and_merge_keys_work_and_own_keys_win() {
    let config = parsed(
        "x-base: &base\n  url: http://base:9090\n  timeout: 7s\n  auth: &auth {type: token, token: t}\n\
         x-orgs: &orgs\n  org_id: o\n  timeout: 8s\n\
         x-both: &both\n  <<: [*base, *orgs]\nmiddleware: {jwt: {enabled: false}}\n\
         backends:\n  a:\n    <<: *both\n  b:\n    <<: *both\n    timeout: 9s\n  c:\n    \
         url: http://c\n    auth: *auth\n",
    );
    let seconds: Vec<u64> = config.backends.iter().map(|b| b.timeout.as_secs()).collect();
    assert_eq!(seconds, [7, 9, 30]);
    assert!(config.backends.iter().all(|b| matches!(b.auth, BackendAuth::Token(_))));
    assert_eq!(config.backends[0].org_id.as_ref().map(OrgId::as_str), Some("o"));
}

#[test]
fn variables_of_keys_that_are_not_read_are_not_asked_for() {
    parsed(&with_backend("x-later:\n  token: $NOT_SET\n"));
}

#[test]
fn secrets_come_from_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.yaml");
    fs::write(folder.path().join("token"), "hunter2\r\n").expect("written");
    fs::write(folder.path().join("empty"), "\n").expect("written");
    fs::write(folder.path().join("large"), "x".repeat((64 << 10) + 1)).expect("written");
    fs::write(folder.path().join("binary"), [0xff, 0xfe]).expect("written");
    let text = |file: &str| {
        format!(
            "{ONE_BACKEND}    auth: {{type: token, token_file: {file}}}\n    header_files:\n      \
             X-Key: {file}\n"
        )
    };
    let env = Variables::default();
    let config = parse(&path, &text("token"), &env).expect("a configuration");
    let backend = &config.backends[0];
    assert!(matches!(&backend.auth, BackendAuth::Token(token) if token.expose() == "hunter2"));
    assert_eq!(backend.headers["x-key"], "hunter2");
    assert!(backend.headers["x-key"].is_sensitive());
    for (file, what) in [
        ("empty", "the file is empty"),
        ("large", "the file is larger than 64 KiB"),
        ("binary", "the file is not UTF-8 text"),
        (".", "the file cannot be read: is a directory"),
    ] {
        let faults = parse(&path, &text(file), &env).expect_err(file);
        let found: Vec<_> =
            faults.faults().iter().map(|f| (f.at.as_str(), f.what.as_str())).collect();
        let places = ["backends.p.auth.token_file", "backends.p.header_files.X-Key"];
        assert_eq!(found, places.map(|at| (at, what)));
    }
}

#[test]
fn a_file_of_authorities_is_read_and_must_hold_certificates() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.yaml");
    let pem = "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n";
    for content in ["", "hello", pem] {
        fs::write(folder.path().join("ca.pem"), content).expect("written");
        let text = format!("{ONE_BACKEND}    tls: {{ca_file: ca.pem}}\n");
        let faults = parse(&path, &text, &Variables::default()).expect_err(content);
        assert_eq!(faults.faults()[0].what, "the file does not hold certificates in PEM form");
    }
}

#[test]
fn a_file_that_cannot_be_loaded_is_one_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.yaml");
    let fault = |path: &Path| load(path, &Variables::default()).expect_err("a fault").to_string();
    assert!(fault(&path).contains("c.yaml: cannot be read: there is no such file; "));
    assert!(fault(folder.path()).contains(": cannot be read: is a directory; "));
    fs::write(&path, [b'a', 0xff]).expect("written");
    assert!(fault(&path).contains("c.yaml: is not UTF-8 text; "));
    fs::write(&path, "#".repeat((1 << 20) + 1)).expect("written");
    assert!(fault(&path).contains("c.yaml: is larger than 1 MiB; "));
}

#[test]
fn faults_tell_which_files_were_read_or_are_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.yaml");
    let missing = load(&path, &Variables::default()).expect_err("no file");
    assert_eq!(missing.sources(), [Source { path: path.clone(), stamp: None }]);
    let text = format!("{ONE_BACKEND}    auth: {{type: token, token_file: token}}\n");
    fs::write(&path, text).expect("written");
    let faults = load(&path, &Variables::default()).expect_err("no token");
    let token = Source { path: folder.path().join("token"), stamp: None };
    let [own, other] = faults.sources() else { panic!("{:?}", faults.sources()) };
    assert_eq!((own, other), (&own.now(), &token));
    assert!(own.stamp.is_some() && own.path == path);
    fs::write(&path, ": [").expect("written");
    let faults = load(&path, &Variables::default()).expect_err("no YAML");
    assert!(matches!(faults.sources(), [own] if *own == own.now()), "{:?}", faults.sources());
}

#[test]
fn a_pipe_is_refused_instead_of_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("run");
    assert!(made.success());
    let faults = load(&pipe, &Variables::default()).expect_err("a pipe").to_string();
    assert!(faults.contains("pipe: cannot be read: it is no regular file; "), "{faults}");
    let text = format!("{ONE_BACKEND}    auth: {{type: token, token_file: pipe}}\n");
    let path = folder.path().join("c.yaml");
    let faults = parse(&path, &text, &Variables::default()).expect_err("a pipe").to_string();
    assert!(faults.contains("the file cannot be read: it is no regular file; "), "{faults}");
}

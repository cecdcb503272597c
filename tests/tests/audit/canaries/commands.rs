//! What commands print that read a configuration, and the same tools over standard input and output.

use e2e::{
    backend::Backend,
    canary::Canaries,
    minter,
    paths::{program, temporary_folder},
    process::{PATIENCE, Process},
    server::{guarded, write_config},
    tls::Authority,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    backends::backends,
    secrets::{filed, filed_key, long, tls},
    stage::assert_none,
};

/// What a configuration stands on.
struct Around {
    _backends: Vec<Backend>,
    _files: TempDir,
    _authority: Authority,
}

/// A configuration that is full of secrets.
fn full(config: &Canaries) -> (Around, Value) {
    let (folder, authority) = (temporary_folder(), Authority::new("all"));
    let files = folder.path();
    let (backends, settings) = backends(config, &Canaries::default(), files);
    let mut file = guarded(&settings);
    let receiver = json!({ "X-Receiver": config.word("header of a receiver") });
    let in_file = json!({ "X-Filed": filed(files, config, "header of a receiver, in a file") });
    let keys = |what: &str| json!([filed_key(files, config, &format!("{what} in a file"))]);
    file["server"]["admin"]["token"] = json!(config.word("admin token"));
    file["sessions"] = json!({ "keys": [long(config, "session key")], "key_files": keys("session key"), "store": "redis", "redis": {
        "url": "redis://127.0.0.1:9", "username": config.word("user of Redis"), "password": config.word("password of Redis") } });
    file["cluster"] = json!({ "listen": "127.0.0.1:17999", "advertise": "127.0.0.1:17999", "keys": [long(config, "cluster key")],
        "key_files": keys("cluster key"), "tls": tls(config, "TLS of replicas", &authority), "peers": { "static": ["127.0.0.1:17998"] } });
    file["telemetry"] = json!({ "traces": { "endpoint": "https://127.0.0.1:9", "headers": receiver, "header_files": in_file,
        "tls": tls(config, "TLS of traces", &authority) } });
    file["middleware"]["access_logs"] = json!({
        "audit": { "keys": [long(config, "audit key")], "key_files": keys("audit key") },
        "sinks": [
            { "name": "otlp", "type": "otlp", "endpoint": "https://127.0.0.1:9", "headers": receiver, "header_files": in_file,
              "tls": tls(config, "TLS of a sink", &authority) },
            { "name": "stdout", "type": "stdout", "chain": true },
        ],
    });
    (Around { _backends: backends, _files: folder, _authority: authority }, file)
}

/// What a command prints; its exit code is of no interest.
fn printed(file: &Value, command: &[&str], input: &str) -> Vec<u8> {
    let files = write_config(file);
    let path = files.path().join("config.yaml").display().to_string();
    let arguments = [command, &["--config", &path]].concat();
    let trace: &std::ffi::OsStr = "trace".as_ref();
    let mut process =
        Process::start_with(&program("promgate"), arguments, &[("PROMGATE_LOG", trace)]);
    process.write_bytes(input.as_bytes());
    process.close_stdin();
    assert!(process.wait(PATIENCE).is_some(), "{command:?} ends");
    [process.stdout().whole(), process.stderr().whole()].concat().join("\n").into_bytes()
}

#[test]
fn no_command_prints_a_secret_of_its_configuration() {
    let config = Canaries::default();
    let (_around, file) = full(&config);
    let token = format!("{}\n", minter::token("alice"));
    let call = |backend: &str| {
        json!({ "jsonrpc": "2.0", "id": backend, "method": "tools/call", "params": {
            "name": "prometheus_query", "arguments": { "query": "up", "backend": backend } } })
    };
    let opening = [
        json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": { "protocolVersion": "2025-11-25",
            "capabilities": {}, "clientInfo": { "name": "e2e", "version": "1" } } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
    ];
    let names = file["backends"].as_object().expect("backends").keys();
    let calls: Vec<String> = opening
        .into_iter()
        .chain(names.map(|name| call(name)))
        .map(|message| format!("{message}\n"))
        .collect();
    let search = config.search();
    for (command, input, said) in [
        (&["check"][..], "", "good"),
        (&["check", "--online"], "", "unauthorized"),
        (&["token", "explain"], &token, "alice"),
        (&["stdio"], &calls.concat(), "\"jsonrpc\""),
        (&["audit", "public-key"], "", " "),
    ] {
        let output = printed(&file, command, input);
        let text = String::from_utf8_lossy(&output);
        assert!(text.contains(said), "{command:?}: {text}");
        assert_none(search.find(&output));
    }
}

#[test]
fn a_fault_of_a_configuration_is_told_without_its_secrets() {
    let config = Canaries::default();
    let (_around, good) = full(&config);
    let secret = |place: &str| json!(config.word(place));
    let mut wrong = good.clone();
    wrong["server"]["admin"]["token"] = json!([secret("admin token in a list")]);
    wrong["sessions"]["keys"] = json!([{ "key": secret("session key in a map") }]);
    wrong["cluster"]["keys"] = json!([&config.word("cluster key that is short")[..12]]);
    wrong["sessions"]["redis"]["url"] =
        json!(format!("redis://user:{}@127.0.0.1:9", config.word("password in the URL of Redis")));
    wrong["backends"]["good"]["url"] = json!(format!(
        "http://user:{}@127.0.0.1:9",
        config.word("password in the URL of a backend")
    ));
    wrong["backends"]["good"]["auth"]["password"] =
        json!(format!("{}\n", config.word("password with a line feed")));
    wrong["backends"]["good"]["headers"] = json!({ "X Y": secret("header with a wrong name"), "Z": format!("{}\u{1}", config.word("wrong header")) });
    wrong["telemetry"]["traces"]["headers"] = json!({ "X": [secret("header in a list")] });
    wrong["telemetry"]["traces"]["endpoint"] =
        json!(format!("http://u:{}@h:1", config.word("password in an endpoint")));
    wrong["middleware"]["access_logs"]["audit"]["keys"] =
        json!([&config.word("audit key that is short")[..12]]);
    wrong["middleware"]["access_logs"]["sinks"][0]["headers"] =
        json!({ "A\nB": secret("header of a sink") });
    wrong["middleware"]["access_logs"]["sinks"][1]["address"] =
        json!(format!("tcp://u:{}@h:1", config.word("password in the address of a sink")));
    wrong["middleware"]["access_logs"]["sinks"][1]["filter"] =
        json!(format!("record.path == '{}' +", config.word("text of a filter")));
    wrong["backends"][config.word("name of nothing")] = json!(secret("text in place of a backend"));
    let search = config.search();
    for part in ["server", "sessions", "cluster", "backends", "telemetry", "middleware"] {
        let mut file = good.clone();
        file[part] = wrong[part].clone();
        let output = printed(&file, &["check"], "");
        let text = String::from_utf8_lossy(&output);
        assert!(text.contains(part), "{part}: {text}");
        let found = search.find(&output);
        // How a backend is called is no secret.
        assert_none(found.into_iter().filter(|found| found.place != "name of nothing").collect());
    }
}

//! What commands print that read a configuration, and the same tools over standard input and output.

use e2e::{
    canary::Canaries,
    minter,
    paths::program,
    process::{PATIENCE, Process},
    server::{guarded, write_config},
};
use serde_json::{Value, json};

use super::stage::{assert_none, backends, long};

/// A configuration that is full of secrets.
fn full(config: &Canaries) -> (Vec<e2e::backend::Backend>, Value) {
    let (backends, settings) = backends(config, &Canaries::default());
    let mut file = guarded(&settings);
    let receiver = json!({ "X-Receiver": config.word("header of a receiver") });
    file["server"]["admin"]["token"] = json!(config.word("admin token"));
    file["sessions"] = json!({ "keys": [long(config, "session key")], "store": "redis", "redis": {
        "url": "redis://127.0.0.1:9", "username": config.word("user of Redis"), "password": config.word("password of Redis") } });
    file["cluster"] = json!({ "listen": "127.0.0.1:17999", "advertise": "127.0.0.1:17999", "keys": [long(config, "cluster key")],
        "peers": { "static": ["127.0.0.1:17998"] } });
    file["telemetry"] =
        json!({ "traces": { "endpoint": "http://127.0.0.1:9", "headers": receiver } });
    file["middleware"]["access_logs"] = json!({
        "audit": { "keys": [long(config, "audit key")] },
        "sinks": [
            { "name": "otlp", "type": "otlp", "endpoint": "http://127.0.0.1:9", "headers": receiver },
            { "name": "stdout", "type": "stdout", "chain": true },
        ],
    });
    (backends, file)
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
    let (_backends, file) = full(&config);
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
    let (_backends, good) = full(&config);
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

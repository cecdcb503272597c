//! What a configuration changes, seen from outside.

use std::{ffi::OsStr, net::TcpListener};

use e2e::{
    http::{get, once},
    mcp::Client,
    paths::program,
    process::{PATIENCE, run},
    server::{Server, config, write_config},
};
use rustix::process::Signal;
use serde_json::{Value, json};

fn backends() -> Value {
    json!({ "main": { "url": "http://127.0.0.1:9" } })
}

#[test]
fn the_endpoint_moves_to_the_path_configured() {
    let mut config = config(&backends());
    config["server"]["transport"]["http"]["path"] = json!("/metrics/mcp");
    let server = Server::promgate(&config);
    let list = |path: &str| {
        let request = Client::stateless(server.mcp).request("tools/list", json!({}));
        let bytes = String::from_utf8(request.bytes()).unwrap().replacen("/mcp", path, 1);
        let mut connection = e2e::http::Connection::open(server.mcp);
        connection.send(bytes);
        connection.answer().head.status
    };
    assert_eq!(list("/metrics/mcp"), 200);
    assert_eq!(list("/metrics/mcp/"), 200);
    assert_eq!(list("/mcp"), 404);
}

#[test]
fn hosts_and_origins_are_those_configured() {
    let mut config = config(&backends());
    config["server"]["transport"]["http"]["allowed_hosts"] = json!(["mcp.example", "localhost"]);
    config["server"]["transport"]["http"]["allowed_origins"] = json!(["https://app.example"]);
    let server = Server::promgate(&config);
    let request = Client::stateless(server.mcp).request("tools/list", json!({}));
    let status = |host: &str, origin: Option<&str>| {
        let request = request.clone().with("Host", host);
        let request = match origin {
            Some(origin) => request.header("Origin", origin),
            None => request,
        };
        once(server.mcp, &request).head.status
    };
    assert_eq!(status("mcp.example", None), 200);
    assert_eq!(status("mcp.example:8443", Some("https://app.example")), 200);
    assert_eq!(status("mcp.example", Some("http://app.example")), 403);
    assert_eq!(status("mcp.example", Some("https://app.example.evil.example")), 403);
    assert_ne!(status("other.example", None), 200);
}

#[test]
fn limits_are_those_configured() {
    let mut config = config(&backends());
    config["server"]["transport"]["http"]["limits"] = json!({ "body_bytes_max": "1KiB" });
    let server = Server::promgate(&config);
    let request = Client::stateless(server.mcp).request("tools/list", json!({}));
    assert_eq!(once(server.mcp, &request).head.status, 200);
    let large = request.body(format!("\"{}\"", "x".repeat(1024)));
    assert_eq!(once(server.mcp, &large).head.status, 413);
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let files = write_config(&config(&backends()));
    let file = files.path().join("config.yaml");
    let environment = [("PROMGATE_CONFIG", file.as_os_str())];
    let process = e2e::process::Process::start_with(&program("promgate"), ["serve"], &environment);
    let _line = process.stderr().wait_for("`listening`", |line| line.contains("listening"));
}

#[test]
fn faults_are_named_all_at_once_and_nothing_is_served() {
    let mut config = config(&json!({ "main": { "url": "ftp://x" } }));
    config["server"]["wrokers"] = json!(2);
    config["server"]["drain_timeout"] = json!("soon");
    let files = write_config(&config);
    let file = files.path().join("config.yaml").display().to_string();
    for command in ["serve", "stdio", "check"] {
        let arguments = [command, "--config", &file];
        let (status, output) = run(&program("promgate"), arguments, &[], PATIENCE);
        assert_eq!(status.code(), Some(78), "{command}: {output}");
        for fault in ["backends.main.url", "server.wrokers", "workers", "server.drain_timeout"] {
            assert!(output.contains(fault), "{command}: {fault} is not in: {output}");
        }
    }
}

#[test]
fn an_address_that_is_taken_is_said_in_plain_words() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut config = config(&backends());
    config["server"]["transport"]["http"]["host"] = json!(address);
    let files = write_config(&config);
    let file = files.path().join("config.yaml").display().to_string();
    let environment = [("RUST_BACKTRACE", OsStr::new("1"))];
    let arguments = ["serve", "--config", &file];
    let (status, output) = run(&program("promgate"), arguments, &environment, PATIENCE);
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains(&address), "{output}");
    for jargon in ["panicked", "backtrace", "Os {", "StartError"] {
        assert!(!output.contains(jargon), "{output}");
    }
}

#[test]
fn that_replicas_can_be_overheard_is_said_when_it_starts() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let key = "a key for tests that has 32 bytes";
    for (address, said) in [("0.0.0.0", true), ("127.0.0.1", false)] {
        let mut config = config(&backends());
        config["sessions"] = json!({ "keys": [key] });
        config["cluster"] = json!({
            "listen": format!("{address}:{free}"), "advertise": format!("127.0.0.1:{free}"),
            "keys": [key], "peers": { "static": format!("127.0.0.1:{free}") },
        });
        let files = write_config(&config);
        let file = files.path().join("config.yaml");
        let environment = [("PROMGATE_CONFIG", file.as_os_str())];
        let process =
            e2e::process::Process::start_with(&program("promgate"), ["serve"], &environment);
        let _line = process.stderr().wait_for("`listening`", |line| line.contains("listening"));
        process.signal(Signal::TERM);
        let whole = process.stderr().whole();
        let warns =
            |line: &String| line.contains("WARN") && line.contains("can be read on the way");
        assert_eq!(whole.iter().any(warns), said, "{whole:?}");
    }
}

#[test]
fn readiness_is_told_once_it_serves_although_the_backend_is_down() {
    let server = Server::promgate(&config(&backends()));
    assert_eq!(get(server.admin, "/readyz").head.status, 200);
    assert_eq!(get(server.admin, "/healthz").head.status, 200);
}

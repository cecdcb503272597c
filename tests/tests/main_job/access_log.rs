//! One record a request, of named facts, and never a secret.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use e2e::{
    backend::Backend,
    http::{Request, once},
    mcp::Client,
    process::PATIENCE,
    server::{Server, config},
};
use serde_json::{Value, json};

fn server(access_logs: Value) -> (Backend, Server) {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let mut config = config(&json!({ "main": {
        "url": backend.url(),
        "auth": { "type": "basic", "username": "me", "password": "canary-password" },
    }}));
    config["middleware"]["access_logs"] = access_logs;
    let server = Server::promgate(&config);
    (backend, server)
}

fn call(client: &Client) -> Request {
    let arguments = json!({ "query": "some_metric{secret='canary-label'}" });
    client.request("tools/call", json!({ "name": "prometheus_query", "arguments": arguments }))
}

#[test]
fn a_record_holds_the_facts_of_its_request() {
    let (_backend, server) = server(json!({ "output": "stdout" }));
    let request = call(&Client::stateless(server.mcp))
        .header("X-Request-Id", "req-0001")
        .header("User-Agent", "e2e/1");
    let answer = once(server.mcp, &request);
    let record = server.access_record(|record| record["request_id"] == "req-0001");
    let facts = [
        ("method", json!("POST")),
        ("path", json!("/mcp")),
        ("status", json!(200)),
        ("user_agent", json!("e2e/1")),
        ("rpc_method", json!("tools/call")),
        ("tool", json!("prometheus_query")),
        ("backend", json!("main")),
        ("outcome", json!("ok")),
        ("bytes_out", json!(answer.body.len())),
    ];
    for (name, value) in facts {
        assert_eq!(record[name], value, "{name} of {record}");
    }
    assert!(record["bytes_in"].as_u64().unwrap() > 100);
    assert!(record["duration_ms"].as_f64().unwrap() > 0.0);
    assert!(record["time"].as_str().unwrap().ends_with('Z'));
    assert!(record["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn every_request_has_one_record_also_when_it_is_refused() {
    let (_backend, server) = server(json!({ "output": "stdout" }));
    let client = Client::stateless(server.mcp);
    let cases = [
        ("r-404", Request::new("GET", "/nowhere?token=canary-query"), 404),
        ("r-405", Request::new("PUT", "/mcp"), 405),
        ("r-403", call(&client).header("Origin", "http://evil.example"), 403),
        ("r-400", call(&client).body("{"), 400),
        ("r-200", client.request("tools/list", json!({})), 200),
    ];
    for (id, request, status) in cases {
        assert_eq!(once(server.mcp, &request.header("X-Request-Id", id)).head.status, status);
        let record = server.access_record(|record| record["request_id"] == id);
        assert_eq!(record["status"], status, "{record}");
    }
    let lines = server.process().stdout().lines();
    let records = lines.iter().filter(|line| line.contains("\"request_id\":\"r-"));
    assert_eq!(records.count(), 5);
    assert!(!lines.join("\n").contains("canary"), "a path has no query");
}

#[test]
fn a_tool_error_and_a_bad_call_have_their_outcomes() {
    let (_backend, server) = server(json!({ "output": "stdout" }));
    let client = Client::stateless(server.mcp);
    let params = json!({ "name": "prometheus_query", "arguments": { "nonsense": 1 } });
    let request = client.request("tools/call", params).header("X-Request-Id", "req-caller");
    assert_eq!(once(server.mcp, &request).head.status, 200);
    let record = server.access_record(|record| record["request_id"] == "req-caller");
    assert_eq!(record["outcome"], "caller_error", "{record}");
}

#[test]
fn headers_appear_only_by_rule_and_are_masked_whole() {
    let (_backend, server) = server(json!({
        "output": "stdout",
        "included_headers": ["X-Shown"],
        "redacted_headers": ["Authorization", "X-Masked", "X-Absent"],
        "excluded_headers": ["X-Gone"],
    }));
    let request = call(&Client::stateless(server.mcp))
        .header("X-Request-Id", "req-headers")
        .header("X-Shown", "shown")
        .header("X-Masked", "canary-masked")
        .header("X-Gone", "canary-gone")
        .header("X-Other", "canary-other")
        .header("Authorization", "Bearer canary-bearer");
    assert_eq!(once(server.mcp, &request).head.status, 200);
    let record = server.access_record(|record| record["request_id"] == "req-headers").to_string();
    assert!(record.contains("shown"), "{record}");
    assert!(record.to_lowercase().contains("x-masked"), "that it was there is told: {record}");
    assert!(!record.contains("canary"), "{record}");
    assert!(!record.contains("Bearer"), "not even the beginning: {record}");
    assert!(!record.to_lowercase().contains("x-absent"), "what is absent is not added: {record}");
    assert!(!record.to_lowercase().contains("x-gone"), "{record}");
}

/// Plants secrets wherever a client can, and searches everything that the server says.
#[test]
fn planted_secrets_are_nowhere() {
    search_for_planted("info");
}

/// rmcp and Pingora print whole requests at their finer levels, which nobody can switch on.
#[test]
fn planted_secrets_are_nowhere_although_everything_is_logged() {
    search_for_planted("trace,rmcp=trace,pingora=trace,hyper=trace,h2=trace,reqwest=trace");
}

fn search_for_planted(log: &str) {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let config = config(&json!({ "main": {
        "url": backend.url(),
        "auth": { "type": "basic", "username": "me", "password": "canary-password" },
    }}));
    let server = Server::promgate_with(&config, &[("PROMGATE_LOG", log), ("RUST_LOG", log)]);
    for client in Client::of_both_eras(server.mcp) {
        let planted = call(&client)
            .header("Authorization", "Bearer canary-token")
            .header("Cookie", "session=canary-cookie")
            .header("Proxy-Authorization", "Basic canary-proxy");
        assert_eq!(once(server.mcp, &planted).head.status, 200);
        let request = client.request("tools/list", json!({}));
        let _refused = once(server.mcp, &request.with("Mcp-Session-Id", "canary-session"));
        let _refused = once(server.mcp, &Request::new("GET", "/mcp?access_token=canary-query"));
        let _refused = once(server.mcp, &call(&client).body("{\"canary-body\""));
        let _refused = once(server.mcp, &call(&client).header("X(bad", "canary-bad"));
        let bad = client.tool("prometheus_query", json!({ "query": "1", "org_id": "x" }));
        assert!(!bad.to_string().contains("canary-password"));
        if let Some(id) = client.session_id() {
            let printed = server.process().stdout().lines().join("\n");
            assert!(!printed.contains(id), "a session id is a secret");
        }
    }
    let last = call(&Client::stateless(server.mcp)).header("X-Request-Id", "req-last");
    assert_eq!(once(server.mcp, &last).head.status, 200);
    let _written = server.access_record(|record| record["request_id"] == "req-last");
    let stdout = server.process().stdout().lines().join("\n");
    let stderr = server.process().stderr().lines().join("\n");
    for (what, text) in [("stdout", stdout), ("stderr", stderr), ("metrics", server.metrics())] {
        let found = text.lines().find(|line| line.contains("canary"));
        assert_eq!(found, None, "in {what}");
    }
}

#[test]
fn a_file_gets_the_records_and_nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = e2e::paths::temporary_folder();
    let file = folder.path().join("access.log");
    let (_backend, server) = server(json!({ "output": file.display().to_string() }));
    let client = Client::stateless(server.mcp);
    let request = client.request("tools/list", json!({})).header("X-Request-Id", "req-file");
    assert_eq!(once(server.mcp, &request).head.status, 200);
    server.terminate();
    assert!(server.exit(PATIENCE).success(), "what is queued is written at the end");
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written.matches("req-file").count(), 1, "{written}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew_at_sighup() {
    let folder = e2e::paths::temporary_folder();
    let (file, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let (_backend, server) = server(json!({ "output": file.display().to_string() }));
    let client = Client::stateless(server.mcp);
    let send = |id: &str| {
        let request = client.request("tools/list", json!({})).header("X-Request-Id", id);
        assert_eq!(once(server.mcp, &request).head.status, 200);
    };
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    send("req-before");
    until("the record is written", || read(&file).contains("req-before"));
    std::fs::rename(&file, &moved).unwrap();
    server.process().signal(rustix::process::Signal::HUP);
    until("the file is opened anew", || file.exists());
    send("req-after");
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    assert!(read(&moved).contains("req-before") && !read(&moved).contains("req-after"));
    assert!(read(&file).contains("req-after"));
}

/// Looks again until it is so: a file tells nobody when it changes.
#[expect(clippy::disallowed_methods, reason = "a test thread has nothing else to do")]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn no_record_is_written_when_the_log_is_off() {
    let (_backend, server) = server(json!({ "output": "off" }));
    let client = Client::stateless(server.mcp);
    let request = client.request("tools/list", json!({})).header("X-Request-Id", "req-off");
    assert_eq!(once(server.mcp, &request).head.status, 200);
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    assert!(!server.process().stdout().lines().join("\n").contains("req-off"));
}

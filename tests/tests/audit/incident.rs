//! One incident, investigated with the command line alone: a refused call is found, explained, and the log verified.

use std::time::Duration;

use e2e::{
    backend::Backend,
    mcp::Client,
    minter,
    paths::temporary_folder,
    server::{Server, guarded},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::read_back::{SECRET, ask, sealed_sink, verified};

/// Alice calls a tool three times, Bob once, who may not. Gives the folder of the log and the id of his request.
fn incident() -> (TempDir, String) {
    let folder = temporary_folder();
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let mut config = guarded(&json!({ "main": { "url": backend.url() } }));
    config["authorization"] = json!({ "rules": [
        { "name": "readers", "who": { "subjects": ["bob"] }, "tools": ["prometheus_list_metrics"], "backends": ["*"] },
        { "name": "all", "who": { "subjects": ["alice"] }, "tools": ["*"], "backends": ["*"] },
    ] });
    config["middleware"]["access_logs"] = sealed_sink(folder.path(), json!({ "age": "24h" }));
    let server = Server::promgate(&config);
    let alice = Client::stateless(server.mcp).bearing(&minter::token("alice"));
    let bob = Client::stateless(server.mcp).bearing(&minter::token("bob"));
    let query = json!({ "query": "up" });
    for _ in 0..3 {
        assert_eq!(alice.call_tool("prometheus_query", query.clone()).status(), 200);
    }
    let refused = bob.call_tool("prometheus_query", query);
    let request_id = refused.http.head.header("x-request-id").unwrap();
    server.terminate();
    assert!(server.exit(Duration::from_mins(1)).success());
    (folder, request_id)
}

#[test]
fn a_refused_call_is_found_explained_and_the_log_verified() {
    let (folder, request_id) = incident();
    let log = folder.path().join("audit.log");
    let log = log.to_str().unwrap();
    let asked = |arguments: &[&str]| {
        let (code, output) = ask(folder.path(), SECRET, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {output}");
        output
    };
    // Is this what was written?
    assert_eq!(verified(folder.path().join("audit.log").as_path(), SECRET, &[])["good"], true);
    // What was refused?
    let report: Value = serde_json::from_str(&asked(&["report", log, "--json"])).unwrap();
    assert_eq!(report["faults"], 0, "{report}");
    let refusal = &report["tables"]["refusals"]["rows"][0];
    assert_eq!(
        (&refusal["outcome"], &refusal["requests"]),
        (&json!("forbidden"), &json!(1)),
        "{report}"
    );
    assert_eq!(refusal["last_request_id"], request_id);
    // Who was it, and why?
    let record: Value =
        serde_json::from_str(&asked(&["grep", log, "--outcome", "forbidden"])).unwrap();
    assert_eq!(record["tool"], "prometheus_query");
    assert_eq!(record["request_id"], request_id);
    // No rule gives the tool to the caller; that of a call which one lets through is named.
    assert_eq!((&record["reason"], &record["rule"]), (&json!("tool_forbidden"), &Value::Null));
    let allowed = asked(&["grep", log, "--outcome", "ok", "--tool", "prometheus_query"]);
    assert!(allowed.lines().all(|line| line.contains("\"rule\":\"all\"")), "{allowed}");
    let pseudonym = record["subject"].as_str().unwrap();
    assert!(pseudonym.starts_with("h:"), "{record}");
    // Was it Bob? Was it Alice?
    for (name, is_it) in [("bob", true), ("alice", false)] {
        let said = asked(&["reveal", log, "--subject", name, "--issuer", minter::ISSUER, "--json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["pseudonyms"][0]["pseudonym"] == pseudonym, is_it, "{said}");
        assert_eq!(said["clear_records"], 0, "{said}");
    }
    // What else did he do?
    assert_eq!(asked(&["grep", log, "--person", "bob", "--count"]), "1");
    assert_eq!(asked(&["grep", log, "--person", "alice", "--count"]), "3");
}

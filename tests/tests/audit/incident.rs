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

/// A log in which Alice asked three times and Bob, who may not, once; with the id of what was refused.
fn logged() -> (TempDir, String) {
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
    server.terminate();
    assert!(server.exit(Duration::from_mins(1)).success());
    (folder, refused.http.head.header("x-request-id").unwrap())
}

#[test]
fn a_refused_call_is_found_explained_and_the_log_verified() {
    let (folder, request_id) = logged();
    let path = folder.path().join("audit.log");
    let log = path.to_str().unwrap();
    let asked = |arguments: &[&str]| {
        let (code, output) = ask(folder.path(), SECRET, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {output}");
        output
    };
    let told = |arguments: &[&str]| -> Value { serde_json::from_str(&asked(arguments)).unwrap() };
    // Is this what was written?
    assert_eq!(verified(&path, SECRET, &[])["good"], true);
    // What was refused?
    let report = told(&["report", log, "--json"]);
    let refusal = &report["tables"]["refusals"]["rows"][0];
    assert_eq!(refusal["reason"], "tool_forbidden", "{report}");
    assert_eq!((&refusal["requests"], &report["faults"]), (&json!(1), &json!(0)), "{report}");
    assert_eq!(refusal["last_request_id"], request_id);
    // Who was it, and what did they ask?
    let record = told(&["grep", log, "--outcome", "forbidden"]);
    assert_eq!(
        (&record["tool"], &record["request_id"]),
        (&json!("prometheus_query"), &json!(request_id))
    );
    assert_eq!(record["query_metrics"], json!(["up"]), "{record}");
    // Was it Bob? Was it Alice?
    for (name, is_it) in [("bob", true), ("alice", false)] {
        let said = told(&["reveal", log, "--subject", name, "--issuer", minter::ISSUER, "--json"]);
        let pseudonym = &said["pseudonyms"][0]["pseudonym"];
        assert!(pseudonym.as_str().unwrap().starts_with("h:"), "{said}");
        assert_eq!(*pseudonym == record["subject"], is_it, "{said}");
        assert_eq!(said["clear_records"], 0, "{said}");
    }
    // What else did he do?
    assert_eq!(asked(&["grep", log, "--person", "bob", "--count"]), "1");
    assert_eq!(asked(&["grep", log, "--person", "alice", "--count"]), "3");
}

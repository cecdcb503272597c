//! Several sinks, each of which takes what its filter and its sample say.

use std::{collections::BTreeSet, fs, path::Path};

use e2e::{
    backend::Backend,
    mcp::{Client, Reply},
    minter,
    paths::temporary_folder,
    process::PATIENCE,
    server::{Server, guarded},
};
use serde_json::{Value, json};

/// How often each thing is asked that goes well.
const TIMES: usize = 20;

/// The ids of requests that were answered like this.
fn ids(replies: impl IntoIterator<Item = Reply>, status: u16) -> BTreeSet<String> {
    let id = |reply: Reply| {
        assert_eq!(reply.status(), status, "{}", reply.http.text());
        reply.http.head.header("X-Request-Id").expect("each has an id")
    };
    replies.into_iter().map(id).collect()
}

/// The ids in a log, in which each is once.
fn logged(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let id = |line: &str| {
        let record: Value = serde_json::from_str(line).expect(line);
        record["request_id"].as_str().expect(line).to_owned()
    };
    let ids: BTreeSet<String> = text.lines().map(id).collect();
    assert_eq!(ids.len(), text.lines().count(), "one record each");
    ids
}

#[test]
fn each_sink_has_the_records_that_its_filter_and_its_sample_take_and_no_others() {
    let folder = temporary_folder();
    let path = |name: &str| folder.path().join(name);
    let sink = |name: &str| json!({ "name": name, "type": "file", "path": path(name) });
    let [mut queries, mut exceptions, all] = ["queries", "exceptions", "all"].map(sink);
    queries["filter"] = json!("record.tool == 'prometheus_query' && record.outcome == 'ok'");
    exceptions["sample"] = json!("0");
    let good = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let failing = Backend::answering(500, "text/plain", "no");
    let mut config = guarded(&json!({
        "good": { "url": good.url() }, "failing": { "url": failing.url() },
    }));
    config["middleware"]["access_logs"] = json!({ "sinks": [queries, exceptions, all] });
    let server = Server::promgate(&config);
    let known = Client::stateless(server.mcp).bearing(&minter::token("alice"));
    let query = |backend: &str| {
        known.call_tool("prometheus_query", json!({ "query": "up", "backend": backend }))
    };
    let lists = ids((0..TIMES).map(|_| known.call("tools/list", json!({}))), 200);
    let answered = ids((0..TIMES).map(|_| query("good")), 200);
    let failed = ids((0..TIMES).map(|_| query("failing")), 200);
    let stranger = Client::stateless(server.mcp);
    let refused = ids((0..TIMES).map(|_| stranger.call("tools/list", json!({}))), 401);
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    let exceptional = &failed | &refused;
    assert_eq!(logged(&path("queries")), answered, "a tool's, and of those what went well");
    assert_eq!(logged(&path("exceptions")), exceptional, "none is left out by chance");
    assert_eq!(logged(&path("all")), &(&lists | &answered) | &exceptional);
}

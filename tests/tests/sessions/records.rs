//! What the records of two replicas say of one request.

use e2e::{
    backend::{Backend, answer},
    minter,
    replicas::Replicas,
};
use serde_json::{Value, json};

use super::parts;

const AUDIT_KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn both_records_of_a_request_tell_of_the_same_session_and_client() {
    let replicas = Replicas::start_with(2, |_, config| {
        config["middleware"]["access_logs"]["audit"] = json!({ "keys": [AUDIT_KEY] });
    });
    let (owner, entry) = (replicas.at(0), replicas.at(1));
    let session = owner.session(&minter::token("alice"));
    let begun = owner.with(|server| server.access_record(|record| record["status"] == 200));
    let reply = session.through(entry.mcp()).call("ping", json!({}));
    let id = reply.http.head.header("X-Request-Id").unwrap();
    let first = parts::record(entry, &id);
    assert_eq!((&first["subject"], &first["auth"]), (&json!("alice"), &json!("verified")));
    let second = owner.with(|server| {
        server.access_record(|record| record["request_id"] == id.as_str() && record["hop"] == 1)
    });
    let same =
        ["session", "client_name", "client_version", "protocol_version", "client", "outcome"];
    for name in same {
        assert!(!first[name].is_null(), "{name} of {first}");
        assert_eq!(first[name], second[name], "{name}");
    }
    assert_eq!(first["session"], begun["session"], "{begun}");
    assert_eq!((&second["auth"], &second["listener"]), (&json!("relayed"), &json!("replicas")));
    assert_eq!(second["subject"], Value::Null, "a name does not travel");
    assert_eq!(second["via"], entry.name());
    assert!(!first.to_string().contains("promgate-facts"));
    assert_eq!(reply.http.head.header("promgate-facts"), None, "clients are not told");
}

/// Takes no POST, so that it is asked again, and knows more than fits into an answer.
fn backend() -> Backend {
    Backend::start(|asked, stream| {
        if asked.line.starts_with("POST") {
            return answer(stream, 405, "text/plain", b"GET only");
        }
        let series = (0..10).map(|number| {
            let labels = json!({ "job": number.to_string(), "long": "a ".repeat(500) });
            json!({ "metric": labels, "values": [[1_769_860_800, "1"]] })
        });
        let data = json!({ "resultType": "matrix", "result": series.collect::<Vec<Value>>() });
        let body = json!({ "status": "success", "data": data }).to_string();
        answer(stream, 200, "application/json", body.as_bytes())
    })
}

#[test]
fn both_records_of_a_call_tell_the_same_of_backend_query_and_answer() {
    let backend = backend();
    let url = backend.url();
    let replicas = Replicas::start_with(2, move |_, config| {
        config["backends"] = json!({ "main": { "url": url, "org_id": "team-a" } });
        config["tools"] = json!({ "answer_bytes_max": "4KiB" });
        config["middleware"]["access_logs"]["queries"] = json!("masked");
    });
    let (owner, entry) = (replicas.at(0), replicas.at(1));
    let session = owner.session(&minter::token("alice"));
    let arguments = json!({
        "query": "sum by (job) (rate(http_requests_total{code=\"418\"}[5m]))",
        "start": 1_769_860_800, "end": 1_769_864_400, "step": "60s",
    });
    let reply = session.through(entry.mcp()).call_tool("prometheus_range_query", arguments);
    assert_eq!(reply.result()["structuredContent"]["truncated"], true, "{}", reply.http.text());
    let id = reply.http.head.header("X-Request-Id").unwrap();
    let first = parts::record(entry, &id);
    let second = owner.with(|server| {
        server.access_record(|record| record["request_id"] == id.as_str() && record["hop"] == 1)
    });
    for (name, wanted) in [
        ("tool", json!("prometheus_range_query")),
        ("backend", json!("main")),
        ("tenant", json!("team-a")),
        ("upstream_status", json!(200)),
        ("retries", json!(1)),
        ("query_form", json!("parsed")),
        ("query_metrics", json!(["http_requests_total"])),
        ("query_functions", json!(["rate", "sum"])),
        ("query_labels", json!(["code", "job"])),
        ("rows_total", json!(10)),
        ("truncated", json!("size")),
        ("outcome", json!("ok")),
    ] {
        assert_eq!(first[name], wanted, "{name} of {first}");
        assert_eq!(second[name], wanted, "{name} of {second}");
    }
    let same = [
        "upstream_ms",
        "query_fingerprint",
        "query",
        "range_ms",
        "step_ms",
        "rows",
        "answer_bytes",
        "protocol_version",
    ];
    for name in same {
        assert!(!first[name].is_null(), "{name} of {first}");
        assert_eq!(first[name], second[name], "{name}");
    }
    assert!(!format!("{first}{second}").contains("418"), "a label's value is masked");
}

#[test]
fn a_stream_that_is_passed_on_has_two_records_at_each_replica() {
    let replicas = Replicas::start(2);
    let session = replicas.at(0).session(&minter::token("alice"));
    let stream = session.through(replicas.at(1).mcp()).listen();
    let of = |place: usize, event: &str| {
        replicas.at(place).with(|server| server.access_record(|record| record["event"] == event))
    };
    let opened = of(1, "stream_open");
    assert_eq!((&opened["stream"], &opened["status"]), (&json!("relayed"), &json!(200)));
    assert_eq!(of(0, "stream_open")["stream"], "session");
    drop(stream);
    assert_eq!(of(1, "stream_end")["request_id"], opened["request_id"]);
    assert_eq!(of(0, "stream_end")["request_id"], opened["request_id"]);
}

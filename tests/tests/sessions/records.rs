//! What the records of two replicas say of one request.

use e2e::{minter, replicas::Replicas};
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

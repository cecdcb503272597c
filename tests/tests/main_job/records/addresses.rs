//! From where a request came, as its record says it.

use e2e::{
    http::once,
    mcp::Client,
    server::{Server, config},
};
use serde_json::{Value, json};

/// The record of a request that says whom it is forwarded for.
fn recorded(trusted: Value, forwarded_for: &str) -> Value {
    let mut config = config(&json!({ "main": { "url": "http://127.0.0.1:9" } }));
    config["server"]["transport"]["http"]["trusted_proxies"] = trusted;
    let server = Server::promgate(&config);
    let request = Client::stateless(server.mcp).request("tools/list", json!({}));
    let _answer = once(server.mcp, &request.header("X-Forwarded-For", forwarded_for));
    let record = server.access_record(|record| record["rpc_method"] == "tools/list");
    assert!(record["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
    record
}

#[test]
fn the_word_of_a_peer_that_is_not_trusted_is_not_taken() {
    assert_eq!(recorded(json!([]), "198.51.100.7")["client"], "127.0.0.1");
    assert_eq!(recorded(json!(["192.0.2.0/24"]), "198.51.100.7")["client"], "127.0.0.1");
}

#[test]
fn a_trusted_proxy_names_the_client_and_the_peer_stays_what_it_is() {
    let trusted = json!(["127.0.0.0/8", "192.0.2.0/24"]);
    assert_eq!(recorded(trusted.clone(), "198.51.100.7")["client"], "198.51.100.7");
    let through_two = recorded(trusted, "198.51.100.7, 192.0.2.1");
    assert_eq!(through_two["client"], "198.51.100.7", "{through_two}");
}

#[test]
fn what_a_client_writes_into_the_list_itself_is_not_believed() {
    let trusted = json!(["127.0.0.0/8"]);
    let forged = recorded(trusted.clone(), "203.0.113.66, 198.51.100.7");
    assert_eq!(forged["client"], "198.51.100.7", "{forged}");
    let unreadable = recorded(trusted, "198.51.100.7, nonsense");
    assert_eq!(unreadable["client"], "127.0.0.1", "{unreadable}");
}

//! Who checks the signature: we, a proxy in front, or nobody.

use e2e::{
    http::{Answer, once},
    mcp::Client,
    minter::{self, AUDIENCE, ISSUER},
    paths::program,
    process::{PATIENCE, run},
    server::{Server, config, guarded, write_config},
};
use serde_json::{Value, json};

const HEADER: &str = "X-Validated-Jwt";

fn backends() -> Value {
    json!({ "main": { "url": "http://127.0.0.1:9" } })
}

/// Tokens in a header from these peers.
fn external(trusted: &[&str]) -> Server {
    let mut config = guarded(&backends());
    config["server"]["transport"]["http"]["trusted_proxies"] = json!(trusted);
    config["middleware"]["jwt"]["validation"] = json!({
        "strategy": "external",
        "forwarded_header": HEADER,
        "local": { "issuer": ISSUER, "audiences": [AUDIENCE] },
    });
    Server::promgate(&config)
}

fn list(server: &Server, headers: &[(&str, &str)]) -> Answer {
    let mut request = Client::stateless(server.mcp).request("tools/list", json!({}));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    once(server.mcp, &request)
}

/// A token whose signature nobody here could check.
fn foreign(changes: Value) -> String {
    let key = minter::Key::new(minter::Kind::P256, "foreign");
    key.token(&minter::claims_with(&changes))
}

#[test]
fn a_token_from_a_trusted_proxy_is_believed() {
    let server = external(&["127.0.0.1/32"]);
    assert_eq!(list(&server, &[(HEADER, &foreign(json!({})))]).head.status, 200);
    assert_eq!(list(&server, &[]).head.status, 401);
    let bearer = format!("Bearer {}", foreign(json!({})));
    let answer = list(&server, &[("Authorization", &bearer)]);
    assert_eq!(answer.head.status, 401, "the proxy puts the token elsewhere");
}

#[test]
fn its_claims_are_checked_all_the_same() {
    let server = external(&["127.0.0.1/32"]);
    for (reason, changes) in [
        ("expired", json!({ "exp": 1 })),
        ("wrong_audience", json!({ "aud": "other" })),
        ("unknown_issuer", json!({ "iss": "other" })),
        ("missing_claim", json!({ "sub": null })),
        ("not_yet_valid", json!({ "nbf": minter::now() + 600 })),
        ("bad_claims", json!({ "exp": "soon" })),
    ] {
        let id = format!("external-{reason}");
        let answer = list(&server, &[(HEADER, &foreign(changes)), ("X-Request-Id", &id)]);
        assert_eq!(answer.head.status, 401, "{reason}");
        let record = server.access_record(|record| record["request_id"] == id.as_str());
        assert_eq!(record["reason"], reason);
    }
    let twice = foreign(json!({}));
    let answer = list(&server, &[(HEADER, &twice), (HEADER, &twice)]);
    assert!([400, 401].contains(&answer.head.status), "which of two is meant, nobody knows");
}

#[test]
fn nobody_else_can_send_that_header() {
    let server = external(&["10.0.0.0/8"]);
    let good = foreign(json!({}));
    let answer = list(&server, &[(HEADER, &good), ("X-Forwarded-For", "10.0.0.1")]);
    assert_eq!(answer.head.status, 401, "the peer counts, not what it says of itself");
}

#[test]
fn where_we_check_ourselves_that_header_means_nothing() {
    let mut config = guarded(&backends());
    config["middleware"]["jwt"]["validation"]["forwarded_header"] = json!(HEADER);
    config["server"]["transport"]["http"]["trusted_proxies"] = json!(["127.0.0.1/32"]);
    let server = Server::promgate(&config);
    assert_eq!(list(&server, &[(HEADER, &minter::token("alice"))]).head.status, 401);
    let bearer = format!("Bearer {}", minter::token("alice"));
    let both = list(&server, &[("Authorization", &bearer), (HEADER, "rubbish")]);
    assert_eq!(both.head.status, 200, "it is taken away");
}

fn refused(config: &Value, fault: &str) {
    let files = write_config(config);
    let file = files.path().join("config.yaml").display().to_string();
    let (status, output) = run(&program("promgate"), ["check", "--config", &file], &[], PATIENCE);
    assert_eq!(status.code(), Some(78), "{output}");
    assert!(output.contains(fault), "{fault} is not in: {output}");
}

#[test]
fn no_authentication_must_be_said_in_words() {
    let mut config = config(&backends());
    config["middleware"].as_object_mut().unwrap().remove("jwt");
    refused(&config, "middleware.jwt.enabled");
}

#[test]
fn no_authentication_is_refused_off_loopback_unless_it_is_called_insecure() {
    let mut config = config(&backends());
    config["server"]["transport"]["http"]["host"] = json!("0.0.0.0:0");
    config["server"]["transport"]["http"]["allowed_hosts"] = json!(["localhost"]);
    refused(&config, "insecure");
}

#[test]
fn no_authentication_off_loopback_that_is_called_insecure_is_warned_of_loudly() {
    let mut config = config(&backends());
    config["server"]["transport"]["http"]["host"] = json!("0.0.0.0:0");
    config["server"]["transport"]["http"]["allowed_hosts"] = json!(["localhost", "127.0.0.1"]);
    config["middleware"]["jwt"]["insecure"] = json!(true);
    let server = Server::promgate(&config);
    let loud = |line: &str| line.contains("WARN") && line.contains("NO AUTHENTICATION");
    let _line = server.process().stderr().wait_for("the warning", loud);
    assert_eq!(list(&server, &[]).head.status, 200);
}

#[test]
fn without_authentication_a_token_is_not_looked_at() {
    let server = Server::promgate(&config(&backends()));
    assert_eq!(list(&server, &[]).head.status, 200);
    assert_eq!(list(&server, &[("Authorization", "Bearer rubbish")]).head.status, 200);
}

#[test]
fn external_without_a_trusted_proxy_is_a_fault_of_the_configuration() {
    let mut config = guarded(&backends());
    config["middleware"]["jwt"]["validation"] = json!({
        "strategy": "external",
        "forwarded_header": HEADER,
        "local": { "issuer": ISSUER, "audiences": [AUDIENCE] },
    });
    refused(&config, "trusted_proxies");
}

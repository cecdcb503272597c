//! Hostile tokens and key sets against the real binary: each is refused for its own reason, which the log
//! tells and the answer does not.

mod claims;
mod form;
mod header;
mod keys;
mod requests;
mod sets;
mod signature;

use std::collections::BTreeSet;

use e2e::{
    http::{Answer, once},
    mcp::Client,
    minter,
    server::{Server, guarded, verification},
};
use serde_json::{Value, json};

/// A token that must not get in.
struct Hostile {
    /// What is wrong with it.
    name: &'static str,
    /// The token.
    token: String,
    /// The word of its reason in the log.
    reason: &'static str,
}

fn hostile(name: &'static str, reason: &'static str, token: String) -> Hostile {
    Hostile { name, token, reason }
}

fn table() -> Vec<Hostile> {
    [form::table(), header::table(), signature::table(), claims::table(), keys::table()]
        .into_iter()
        .flatten()
        .collect()
}

/// All that a server may want of tokens is wanted, and its key set is full of keys that must not be used.
fn server() -> Server {
    let mut config = guarded(&json!({ "main": { "url": "http://127.0.0.1:9" } }));
    let local = verification(&mut config);
    let mut jwks = minter::jwks(&minter::keys().all());
    jwks["keys"].as_array_mut().unwrap().extend(keys::unusable());
    local["jwks"] = json!(jwks.to_string());
    local["algorithms"] = json!(["RS256", "ES256", "ES384", "EdDSA"]);
    local["lifetime_max"] = json!("1h");
    local["required_claims"] = json!({ "token_use": "access" });
    Server::promgate(&config)
}

/// The claims of a token that this server takes.
fn good_claims() -> Value {
    minter::claims_with(&json!({ "token_use": "access" }))
}

/// A token that is good but for these claims, set or (by null) removed.
fn with(changes: Value) -> String {
    minter::keys().p256.token(&claims_with(&changes))
}

fn claims_with(changes: &Value) -> Value {
    let mut all = json!({ "token_use": "access" });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    minter::claims_with(&all)
}

/// Lists the tools with this token; the request's id finds its record.
fn list(server: &Server, token: &str, id: &str) -> Answer {
    let client = Client::stateless(server.mcp).bearing(token);
    once(server.mcp, &client.request("tools/list", json!({})).header("X-Request-Id", id))
}

#[test]
fn every_hostile_token_is_refused_for_its_reason_and_all_answers_are_the_same() {
    let (server, table) = (server(), table());
    assert!(table.len() >= 80, "{} tokens", table.len());
    let mut faults = Vec::new();
    let mut answers = BTreeSet::new();
    for (number, Hostile { name, token, reason }) in table.iter().enumerate() {
        let id = format!("hostile-{number}");
        let answer = list(&server, token, &id);
        let record = server.access_record(|record| record["request_id"] == id.as_str());
        if answer.head.status != 401 || record["reason"] != *reason {
            let logged = &record["reason"];
            faults.push(format!("{name}: {}, {logged} and not {reason}", answer.head.status));
        }
        let challenge = answer.head.header("WWW-Authenticate").unwrap_or_default();
        answers.insert((answer.head.status, challenge, answer.text()));
    }
    assert_eq!(faults, Vec::<String>::new(), "of {}", table.len());
    assert_eq!(answers.len(), 1, "an answer that differs teaches the attacker: {answers:#?}");
    let (_, challenge, body) = answers.first().unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert!(!body.contains("signature") && !body.contains("expired"), "{body}");
}

#[test]
fn what_the_hostile_tokens_were_made_from_is_let_in() {
    let server = server();
    for key in minter::keys().all() {
        let answer = list(&server, &key.token(&good_claims()), "good");
        assert_eq!(answer.head.status, 200, "{}: {}", key.algorithm(), answer.text());
    }
}

#[test]
fn no_part_of_a_refused_token_is_written_anywhere() {
    let server = server();
    let canaries = [
        with(json!({ "sub": "canary-subject", "exp": 1 })),
        with(json!({ "aud": "canary-audience" })),
        with(json!({ "iss": "https://canary-issuer.example" })),
        minter::keys().p256.sealed(
            &json!({ "alg": "ES256", "kid": "canary-kid" }).to_string(),
            &good_claims().to_string(),
        ),
        "canary-token".to_owned(),
    ];
    for (number, token) in canaries.iter().enumerate() {
        let id = format!("canary-{number}");
        assert_eq!(list(&server, token, &format!("request-{id}")).head.status, 401);
    }
    let _written = server.access_record(|record| record["request_id"] == "request-canary-4");
    let out = server.process().stdout().lines().join("\n").replace("request-canary-", "");
    let err = server.process().stderr().lines().join("\n");
    for text in [out, err, server.metrics()] {
        assert!(!text.contains("canary"), "{text}");
        for token in &canaries {
            let signature = token.rsplit('.').next().unwrap();
            assert!(!text.contains(signature), "{text}");
        }
    }
}

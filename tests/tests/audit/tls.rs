//! What records say of TLS, which one listener has: that for other replicas.

use std::process::Command;

use e2e::{
    minter,
    replicas::Replicas,
    tls::{Authority, Leaf},
};
use serde_json::{Value, json};

/// The SHA-256 of a certificate, in hexadecimal digits, by somebody else.
fn fingerprint(leaf: &Leaf) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&leaf.certificate);
    let said = String::from_utf8(openssl.output().expect("openssl is there").stdout).unwrap();
    let (_, digits) = said.trim().split_once('=').expect("a fingerprint");
    digits.replace(':', "").to_lowercase()
}

#[test]
fn the_record_of_a_relayed_request_tells_of_the_connection_between_replicas() {
    let authority = Authority::new("replicas");
    let leaf = authority.issue();
    let expected = fingerprint(&leaf);
    let tls = json!({
        "cert_file": leaf.certificate, "key_file": leaf.key,
        "ca_file": authority.certificate(), "server_name": "127.0.0.1",
    });
    let replicas = Replicas::start_with(2, move |_, config| {
        config["cluster"]["tls"] = tls.clone();
    });
    let (owner, entry) = (replicas.at(0), replicas.at(1));
    let session = owner.session(&minter::token("alice"));
    let reply = session.through(entry.mcp()).call("ping", json!({}));
    assert_eq!(reply.status(), 200);
    let id = reply.http.head.header("X-Request-Id").expect("an id");
    let of = |place: usize| {
        replicas
            .at(place)
            .with(|server| server.access_record(|record| record["request_id"] == id.as_str()))
    };
    let (relayed, first) = (of(0), of(1));
    assert_eq!((&relayed["listener"], &relayed["hop"]), (&json!("replicas"), &json!(1)));
    assert_eq!(relayed["tls_version"], "1.3", "{relayed}");
    let cipher = relayed["tls_cipher"].as_str().unwrap_or_default();
    assert!(cipher.starts_with("TLS13_"), "{relayed}");
    assert_eq!(relayed["tls_client"], expected, "the certificate of the replica that asked");
    for name in ["tls_version", "tls_cipher", "tls_client"] {
        assert_eq!(first[name], Value::Null, "clients connect without TLS: {first}");
    }
}

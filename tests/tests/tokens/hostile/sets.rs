//! Key sets as a broken or hostile provider would send them: whoever has no keys is answered with 503, and
//! nobody else notices.

use std::{io, net::TcpStream};

use e2e::{
    backend::{Backend, answer, answer_with},
    http::Answer,
    minter::{self, AUDIENCE, Key, Kind, keys},
    server::{Server, guarded_by},
};
use serde_json::{Value, json};

use super::list;

/// How a provider answers when it is asked for its keys.
type Sending = fn(&mut TcpStream) -> io::Result<()>;

const JSON: &str = "application/json";

fn good() -> Value {
    minter::jwks(&[&keys().p256])
}

fn send(stream: &mut TcpStream, body: impl AsRef<[u8]>) -> io::Result<()> {
    answer(stream, 200, JSON, body.as_ref())
}

/// Sets out of which no key can be taken.
const FATAL: [(&str, Sending); 14] = [
    ("an error", |stream| answer(stream, 500, JSON, good().to_string().as_bytes())),
    ("not found", |stream| answer(stream, 404, JSON, good().to_string().as_bytes())),
    ("no content", |stream| answer(stream, 204, JSON, b"")),
    ("empty", |stream| send(stream, "")),
    ("a page", |stream| answer(stream, 200, "text/html", b"<html>log in</html>")),
    ("a list", |stream| send(stream, format!("[{}]", keys().p256.jwk()))),
    ("no member `keys`", |stream| send(stream, "{}")),
    ("`keys` is an object", |stream| {
        send(stream, json!({ "keys": keys().p256.jwk() }).to_string())
    }),
    ("`keys` twice", |stream| send(stream, good().to_string().replacen('{', "{\"keys\":[],", 1))),
    ("data after the end", |stream| send(stream, format!("{}x", good()))),
    ("cut off", |stream| send(stream, good().to_string().strip_suffix(']').unwrap_or("{"))),
    ("larger than 256 KiB", |stream| send(stream, format!("{}{}", " ".repeat(256 << 10), good()))),
    ("more than 64 keys", |stream| {
        let jwk = |number: usize| {
            let mut jwk = keys().p256.jwk();
            jwk["kid"] = json!(format!(
                "p256{}",
                if number == 0 { String::new() } else { number.to_string() }
            ));
            jwk
        };
        send(stream, json!({ "keys": (0..65).map(jwk).collect::<Vec<_>>() }).to_string())
    }),
    ("a redirect", |stream| {
        answer_with(stream, 302, &[("Location", "/elsewhere")], good().to_string().as_bytes())
    }),
];

/// Sets with faults that cost at most the key that has them.
const HARMLESS: [(&str, Sending); 5] = [
    ("further members", |stream| {
        let mut set = good();
        set["x"] = json!({ "deep": [1] });
        set["keys"][0]["x5t"] = json!("abc");
        send(stream, set.to_string())
    }),
    ("a member that is no key", |stream| {
        let mut set = good();
        set["keys"].as_array_mut().into_iter().for_each(|keys| keys.insert(0, json!("key")));
        send(stream, set.to_string())
    }),
    ("a key of a kind yet to come", |stream| {
        send(
            stream,
            json!({ "keys": [{ "kty": "AKP", "alg": "ML-DSA-44" }, keys().p256.jwk()] })
                .to_string(),
        )
    }),
    ("another media type", |stream| {
        answer(stream, 200, "text/plain", good().to_string().as_bytes())
    }),
    ("just 256 KiB", |stream| {
        let set = good().to_string();
        send(stream, format!("{}{set}", " ".repeat((256 << 10) - set.len())))
    }),
];

fn issuer(kind: &str, number: usize) -> String {
    format!("https://{kind}-{number}.example")
}

/// One server with an issuer for each set.
fn start(kind: &str, sets: &[(&str, Sending)]) -> (Vec<Backend>, Server) {
    let providers: Vec<_> = sets
        .iter()
        .map(|(_, sending)| {
            let sending = *sending;
            Backend::start(move |asked, stream| {
                let elsewhere = asked.line.contains("/elsewhere");
                if elsewhere { send(stream, good().to_string()) } else { sending(stream) }
            })
        })
        .collect();
    let issuers: Vec<Value> = providers
        .iter()
        .enumerate()
        .map(|(number, provider)| {
            let uri = format!("{}/jwks", provider.url());
            json!({ "issuer": issuer(kind, number), "jwks_uri": uri, "audiences": [AUDIENCE] })
        })
        .collect();
    let backends = json!({ "main": { "url": "http://127.0.0.1:9" } });
    let server = Server::promgate(&guarded_by(&backends, json!({ "issuers": issuers })));
    (providers, server)
}

fn ask(server: &Server, kind: &str, number: usize) -> Answer {
    let token = minter::token_with(json!({ "iss": issuer(kind, number) }));
    list(server, &token, &format!("{kind}-{number}"))
}

#[test]
fn an_issuer_without_keys_is_answered_with_503_and_when_to_come_again() {
    let (providers, server) = start("fatal", &FATAL);
    for (number, (name, _)) in FATAL.iter().enumerate() {
        let _asked = providers[number].wait_for_request();
        let answer = ask(&server, "fatal", number);
        assert_eq!(answer.head.status, 503, "{name}: {}", answer.text());
        let seconds = answer.head.header("Retry-After").and_then(|value| value.parse::<u64>().ok());
        assert!(seconds.is_some_and(|seconds| seconds > 0), "{name}: {:?}", answer.head);
        let id = format!("fatal-{number}");
        let record = server.access_record(|record| record["request_id"] == id.as_str());
        assert_eq!(record["reason"], "keys_unavailable", "{name}");
    }
}

#[test]
fn a_fault_of_one_key_costs_no_other_key() {
    let (_providers, server) = start("harmless", &HARMLESS);
    for (number, (name, _)) in HARMLESS.iter().enumerate() {
        let answer = ask(&server, "harmless", number);
        assert_eq!(answer.head.status, 200, "{name}: {}", answer.text());
    }
}

#[test]
fn a_token_is_checked_with_the_keys_of_its_own_issuer_only() {
    let other = Key::new(Kind::P256, "p256");
    let inline = |key: &Key| json!(minter::jwks(&[key]).to_string());
    let issuers = json!([
        { "issuer": "https://a.example", "jwks": inline(&keys().p256), "audiences": [AUDIENCE] },
        { "issuer": "https://b.example", "jwks": inline(&other), "audiences": [AUDIENCE] },
    ]);
    let backends = json!({ "main": { "url": "http://127.0.0.1:9" } });
    let server = Server::promgate(&guarded_by(&backends, json!({ "issuers": issuers })));
    for (key, issuer, status) in [
        (&keys().p256, "https://a.example", 200),
        (&other, "https://b.example", 200),
        (&keys().p256, "https://b.example", 401),
        (&other, "https://a.example", 401),
    ] {
        let token = key.token(&minter::claims_with(&json!({ "iss": issuer })));
        assert_eq!(list(&server, &token, "crossed").head.status, status, "{issuer}");
    }
}

//! `promgate token explain`, run as a program on tokens that are signed here.
#![expect(
    clippy::tests_outside_test_module,
    clippy::expect_used,
    reason = "this file is a test as a whole"
)]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tempfile::TempDir;

const AUDIENCE: &str = "https://mcp.example.com/mcp";

/// A key pair, and a folder with its JWKS document and a configuration that trusts it.
struct Issuer {
    pair: Ed25519KeyPair,
    folder: TempDir,
}

impl Issuer {
    fn new() -> Self {
        let issuer = Self {
            pair: Ed25519KeyPair::generate().expect("a key pair"),
            folder: tempfile::tempdir().expect("a folder"),
        };
        let x = URL_SAFE_NO_PAD.encode(issuer.pair.public_key().as_ref());
        let set = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k" }] });
        issuer.write("jwks.json", &set.to_string());
        issuer.write("c.yaml", CONFIG);
        issuer
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).expect("written");
    }

    /// A token that says this.
    fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": "k", "typ": "at+jwt" });
        let parts = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = parts.join(".");
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn explain(&self, input: &str) -> Output {
        explain(self.folder.path(), "c.yaml", input)
    }
}

const CONFIG: &str = r#"
middleware:
  jwt:
    enabled: true
    validation:
      strategy: local
      local:
        issuer: https://idp.example.com
        audiences: [https://mcp.example.com/mcp]
        jwks_file: jwks.json
        scopes_required: [metrics:read]
        allow_conditions:
          - expression: payload.tenant == "shop"
authorization:
  rules:
    - {name: sre, who: {groups: [sre]}}
    - {name: names, who: anyone, tools: [prometheus_list_metrics], backends: ["public*"]}
    - {name: leads, who: {groups: [leads]}, backends: [secret]}
backends:
  public-eu: {url: "http://a"}
  secret: {url: "http://b"}
"#;

fn explain(folder: &Path, config: &str, input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_promgate"))
        .current_dir(folder)
        .env_clear()
        .args(["token", "explain", "--config", config])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    // The program may end before it has read all.
    drop(child.stdin.take().expect("a pipe").write_all(input.as_bytes()));
    child.wait_with_output().expect("ended")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Claims that are good, with some replaced; null takes one out.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://idp.example.com", "aud": AUDIENCE, "sub": "somebody", "iat": now(),
        "exp": now() + 600, "scope": "metrics:read", "tenant": "shop", "groups": ["sre"],
    });
    let all = claims.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        all.insert(name.clone(), value.clone());
    }
    all.retain(|_, value| !value.is_null());
    claims
}

#[test]
fn a_good_token_is_let_in_and_what_it_may_use_is_said() {
    let issuer = Issuer::new();
    let token = issuer.token(&claims(&json!({})));
    for input in [token.clone(), format!("Bearer {token}\r\n")] {
        let out = issuer.explain(&input);
        let said = text(&out.stdout);
        assert_eq!(out.status.code(), Some(0), "{said}{}", text(&out.stderr));
        for words in [
            "the token is accepted",
            "ok       scope metrics:read",
            "allow_conditions[0].expression: payload.tenant == \"shop\"",
            "holds    sre: tools *; backends *",
            "holds    names: ",
            "no       leads: tools *; backends secret\n         because: the token holds none of the groups leads\n",
            "The caller is let in and may use",
            "prometheus_query on public-eu, secret\n",
        ] {
            assert!(said.contains(words), "{words} is not in\n{said}");
        }
        assert_eq!(text(&out.stderr), "");
    }
}

#[test]
fn a_caller_for_whom_fewer_rules_hold_may_use_less() {
    let issuer = Issuer::new();
    let out = issuer.explain(&issuer.token(&claims(&json!({ "groups": ["leads"] }))));
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(said.contains("no       sre: ") && said.contains("holds    leads: "), "{said}");
    assert!(said.contains("prometheus_query on secret\n"), "{said}");
    assert!(said.contains("prometheus_list_metrics on public-eu, secret\n"), "{said}");
}

#[test]
fn a_token_that_is_not_good_is_explained_claim_by_claim() {
    let issuer = Issuer::new();
    let bad = json!({ "aud": "https://other.example.com", "sub": null, "exp": now() - 60 });
    let out = issuer.explain(&issuer.token(&claims(&bad)));
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{said}");
    for words in ["[wrong_audience]", "[missing_claim]", "[expired]", "to mend it: "] {
        assert!(said.contains(words), "{words} is not in\n{said}");
    }
    assert!(said.contains("looked at once the token itself is good"), "{said}");
    assert_eq!(text(&out.stderr), "promgate: the token would not be let in\n");
}

#[test]
fn a_scope_or_a_condition_that_is_missing_is_named() {
    let issuer = Issuer::new();
    for (changes, words) in [
        (
            json!({ "scope": "openid" }),
            "refused  scope metrics:read is missing [insufficient_scope]",
        ),
        (json!({ "tenant": "bank" }), "payload.tenant == \"shop\" [condition]"),
        (json!({ "tenant": null }), "because: the token has no claim `tenant`"),
    ] {
        let out = issuer.explain(&issuer.token(&claims(&changes)));
        let said = text(&out.stdout);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{words} is not in\n{said}");
        assert!(said.contains("The caller is refused: "), "{said}");
    }
}

#[test]
fn each_part_of_a_rule_that_does_not_hold_is_named() {
    let issuer = Issuer::new();
    let rules = r#"
    - {name: all, who: {issuers: ["https://idp.example.com"], subjects: [root, boss], groups: [a, b],
        scopes: [s1, metrics:read, s2], condition: payload.level > 3}}
    - {name: broken, who: {condition: payload.nowhere == 1}}
    - {name: good, who: {subjects: [somebody]}}
"#;
    let (before, after) = CONFIG.split_once("    - {name: sre").expect("rules");
    let (_, after) = after.split_once("backends:\n").expect("backends");
    issuer.write("c.yaml", &format!("{}{rules}backends:\n{after}", before.trim_end()));
    let out = issuer.explain(&issuer.token(&claims(&json!({ "level": 1 }))));
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{said}{}", text(&out.stderr));
    let (_, said) = said.split_once("\nRules\n").expect("rules");
    let (said, _) = said.split_once("\n\n").expect("an end");
    assert_eq!(
        said,
        "no       all: tools *; backends *\n         \
         because: the subject is none of root, boss\n         \
         because: the token holds none of the groups a, b\n         \
         because: the scope s1 is missing\n         \
         because: the scope s2 is missing\n         \
         because: the condition payload.level > 3 is false\n\
         no       broken: tools *; backends *\n         \
         because: the condition payload.nowhere == 1 failed: the token has no claim `nowhere`\n\
         holds    good: tools *; backends *"
    );
}

#[test]
fn what_a_token_says_cannot_play_with_the_terminal() {
    let issuer = Issuer::new();
    let groups = json!({ "groups": ["a\u{1b}[2J\u{202e}b\nholds    leads: "] });
    let out = issuer.explain(&issuer.token(&claims(&groups)));
    let said = text(&out.stdout);
    assert!(said.contains("groups   a\\u{1b}[2J\\u{202e}b\\u{a}holds    leads: \n"), "{said}");
    assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said}");
}

#[test]
fn the_token_and_its_signature_are_never_shown() {
    let issuer = Issuer::new();
    let good = issuer.token(&claims(&json!({})));
    let stranger = Issuer::new().token(&claims(&json!({})));
    for token in [
        good.clone(),
        stranger,
        format!("{good}.{good}"),
        format!("{good}="),
        "opaque-canary".to_owned(),
    ] {
        let out = issuer.explain(&token);
        let said = format!("{}{}", text(&out.stdout), text(&out.stderr));
        for part in token.split('.').filter(|part| part.len() > 5) {
            assert!(!said.contains(part), "{said}");
        }
    }
}

#[test]
fn keys_that_cannot_be_had_are_told() {
    let issuer = Issuer::new();
    // Nothing listens on the port of an address that was just given back.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let keys = format!("jwks_uri: http://{address}/keys\n        fetch_timeout: 1s");
    issuer.write("c.yaml", &CONFIG.replace("jwks_file: jwks.json", &keys));
    let out = issuer.explain(&issuer.token(&claims(&json!({}))));
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("no keys  of issuer `https://idp.example.com`: "), "{said}");
    assert!(said.contains("[keys_unavailable]"), "{said}");
}

#[test]
fn what_can_not_be_explained_ends_with_a_code_of_its_own() {
    let issuer = Issuer::new();
    let out = issuer.explain(" \n");
    assert_eq!(out.status.code(), Some(64));
    assert!(text(&out.stderr).starts_with("promgate: there is no token on standard input; "));
    let none = "middleware: {jwt: {enabled: false}}\nbackends: {p: {url: 'http://p'}}\n";
    issuer.write("none.yaml", none);
    let out = explain(issuer.folder.path(), "none.yaml", "x");
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("asks nobody for a token"), "{}", text(&out.stderr));
    issuer.write("bad.yaml", "backends: {}\n");
    let out = explain(issuer.folder.path(), "bad.yaml", "x");
    assert_eq!(out.status.code(), Some(78));
    let huge = format!("a.{}.b", "x".repeat(100_000));
    let out = issuer.explain(&huge);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stdout).contains("[too_long]"), "{}", text(&out.stdout));
}

//! What the operator can ask before anybody else does.

use e2e::{
    backend::Backend,
    minter::{self, AUDIENCE, Key, Kind},
    paths::program,
    process::{PATIENCE, Process},
    provider::{KeptPort, Provider},
    server::{guarded, guarded_by, write_config},
};
use serde_json::{Value, json};

/// Runs a command with a configuration and something on standard input; gives its status and output.
fn run(config: &Value, command: &[&str], input: &str) -> (Option<i32>, String) {
    let files = write_config(config);
    let file = files.path().join("config.yaml").display().to_string();
    let arguments = [command, &["--config", &file]].concat();
    let mut process = Process::start(&program("promgate"), arguments);
    process.write_line(input);
    process.close_stdin();
    let status = process.wait(PATIENCE).unwrap();
    let output = [process.stdout().whole(), process.stderr().whole()].concat().join("\n");
    (status.code(), output)
}

fn check_online(config: &Value) -> (Option<i32>, String) {
    let (files, program) = (write_config(config), program("promgate"));
    let file = files.path().join("config.yaml").display().to_string();
    let (status, output) =
        e2e::process::run(&program, ["check", "--online", "--config", &file], &[], PATIENCE);
    (status.code(), output)
}

fn provided(issuer: &str, backend: &str) -> Value {
    let keys = format!("{issuer}/jwks");
    let local = json!({ "jwks_uri": keys, "issuer": issuer, "audiences": [AUDIENCE] });
    let mut config = guarded_by(&json!({ "main": { "url": backend } }), local);
    config["oauth_protected_resource"]["auth_servers"] = json!([issuer]);
    config
}

#[test]
fn an_online_check_tells_of_each_issuer_and_each_backend() {
    let provider = Provider::start();
    provider.sign_with("ES256");
    let prometheus = e2e::prometheus::Prometheus::shared().url();
    let (status, output) = check_online(&provided(&provider.issuer(), &prometheus));
    assert_eq!(status, Some(0), "{output}");
    assert!(output.contains(&provider.issuer()), "{output}");
    for said in ["1 RSA", "1 P-256", "main", "2.42"] {
        assert!(output.contains(said), "{said} is not in: {output}");
    }
}

#[test]
fn an_online_check_fails_when_somebody_is_not_there() {
    let port = KeptPort::any();
    let missing = port.issuer();
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let (status, output) = check_online(&provided(&missing, &backend.url()));
    assert_ne!(status, Some(0), "{output}");
    assert!(output.contains(&missing), "{output}");
    let provider = Provider::start();
    let (status, output) = check_online(&provided(&provider.issuer(), "http://127.0.0.1:9"));
    assert_ne!(status, Some(0), "{output}");
}

#[test]
fn an_online_check_names_keys_that_are_not_used_and_why() {
    let mut config =
        guarded(&json!({ "main": { "url": e2e::prometheus::Prometheus::shared().url() } }));
    let mut encrypting = Key::new(Kind::P256, "key-enc").jwk();
    encrypting["use"] = json!("enc");
    let mut private = Key::new(Kind::P256, "key-private").jwk();
    private["d"] = json!("AAAA");
    let symmetric = json!({ "kty": "oct", "kid": "key-oct", "k": "AAAA" });
    let mut jwks = minter::jwks(&minter::keys().all());
    jwks["keys"].as_array_mut().unwrap().extend([encrypting, private, symmetric]);
    e2e::server::verification(&mut config)["jwks"] = json!(jwks.to_string());
    let (status, output) = check_online(&config);
    assert_eq!(status, Some(0), "the others are enough: {output}");
    for (name, reason) in
        [("key-enc", "not_for_signatures"), ("key-private", "private"), ("key-oct", "symmetric")]
    {
        let shown = format!("{name} ({reason})");
        assert!(output.contains(&shown), "{shown} is not in: {output}");
    }
}

#[test]
fn a_check_without_the_word_opens_no_connection() {
    let backend = Backend::with_data(&json!({}));
    let port = KeptPort::any();
    let files = write_config(&provided(&port.issuer(), &backend.url()));
    let file = files.path().join("config.yaml").display().to_string();
    let (status, output) =
        e2e::process::run(&program("promgate"), ["check", "--config", &file], &[], PATIENCE);
    assert!(status.success(), "{output}");
    assert_eq!(backend.received().len(), 0);
}

#[test]
fn a_good_token_is_explained_claim_by_claim() {
    let provider = Provider::start();
    let config = provided(&provider.issuer(), "http://127.0.0.1:9");
    let token = provider.token(AUDIENCE, "metrics:read");
    let (status, output) = run(&config, &["token", "explain"], &token);
    assert_eq!(status, Some(0), "{output}");
    for claim in ["iss", "aud", "sub", "exp", "svc", AUDIENCE] {
        assert!(output.contains(claim), "{claim} is not in: {output}");
    }
    let signature = token.rsplit('.').next().unwrap();
    assert!(!output.contains(signature), "what is printed cannot be used: {output}");
}

#[test]
fn a_token_that_would_not_get_in_is_explained_with_everything_that_is_wrong() {
    let config = guarded(&json!({ "main": { "url": "http://127.0.0.1:9" } }));
    let token = minter::token_with(json!({ "exp": 1, "aud": "other" }));
    let (status, output) = run(&config, &["token", "explain"], &token);
    assert_ne!(status, Some(0), "{output}");
    for said in ["exp", "aud", "other"] {
        assert!(output.contains(said), "{said} is not in: {output}");
    }
}

#[test]
fn what_is_no_token_is_said_to_be_none() {
    let config = guarded(&json!({ "main": { "url": "http://127.0.0.1:9" } }));
    for nonsense in ["", "abc", "a.b.c", "Bearer"] {
        let (status, output) = run(&config, &["token", "explain"], nonsense);
        assert!(!matches!(status, None | Some(0 | 101)), "{nonsense:?}: {output}");
        assert!(!output.contains("panicked") && !output.contains("Usage"), "{output}");
    }
}

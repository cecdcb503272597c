//! Asking `promgate audit`.

use std::path::Path;

use e2e::{
    paths::program,
    process::{PATIENCE, Process},
};
use serde_json::{Value, json};

/// The secret that seals the logs of these tests.
pub(super) const SECRET: &str = "a secret of a test, longer than 32 bytes";

/// Somebody else's.
pub(super) const OTHER: &str = "another secret of a test, just as long as";

/// Runs `promgate audit` with a key in a file; gives its code and what it printed.
pub(super) fn ask(folder: &Path, secret: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let key = folder.join("audit.key");
    std::fs::write(&key, secret).unwrap();
    run(&[arguments, &["--key-file", key.to_str().unwrap()]].concat())
}

/// Runs `promgate audit`; gives its code and what it printed.
pub(super) fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["audit"], arguments].concat();
    let process = Process::start(&program("promgate"), arguments);
    let code = process.wait(PATIENCE * 4).expect("it ends").code();
    let errors = process.stderr().whole().join("\n");
    let output = process.stdout().whole().join("\n");
    assert!(code == Some(0) || !errors.is_empty(), "a code says why");
    (code, if output.is_empty() { errors } else { output })
}

/// What `promgate audit verify` says of a log.
pub(super) fn verified(log: &Path, secret: &str, more: &[&str]) -> Value {
    let arguments = [&["verify", log.to_str().unwrap(), "--json"], more].concat();
    let (code, output) = ask(log.parent().unwrap(), secret, &arguments);
    let said: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output}"));
    assert_eq!(code, Some(i32::from(said["good"] == json!(false))), "{output}");
    assert_eq!(said["logs"].as_array().unwrap().len(), 1, "{output}");
    said["logs"][0].clone()
}

/// A sink that seals into a file of a folder.
pub(super) fn sealed_sink(folder: &Path, rotation: Value) -> Value {
    let path = folder.join("audit.log").display().to_string();
    json!({
        "audit": { "keys": [SECRET], "checkpoint_interval": "1s", "checkpoint_records": 500 },
        "sinks": [
            { "name": "audit", "type": "file", "path": path, "chain": true, "rotation": rotation, "compress": true,
              "when_full": "block" },
        ],
        "identity": { "issuer": "clear", "subject": "hashed", "client_id": "clear", "groups": "off" },
    })
}

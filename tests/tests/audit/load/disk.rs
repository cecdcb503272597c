//! A disk that is slow: the file of a sealed log, held by somebody else for a while, again and again.

use std::fs::{self, File};

use e2e::{paths::temporary_folder, process::PATIENCE, server::Server};
use serde_json::json;

use super::{
    super::read_back::{SECRET, sealed_sink, verified},
    asked::{Lines, Policy, recording},
};

/// Asks while nothing can be written for as long as the file is held: its writer locks it for each batch.
fn ask_while_the_disk_is_slow(policy: Policy) {
    let folder = temporary_folder();
    let path = folder.path().join("audit.log");
    let mut access_logs = sealed_sink(folder.path(), json!({ "age": "24h" }));
    access_logs["sinks"][0]["when_full"] = json!(policy.name());
    let server = Server::promgate(&recording(access_logs));
    let hold = || {
        let file = File::open(&path).unwrap();
        file.lock().unwrap();
        file
    };
    let answers = policy.ask_through_faults(&server, hold, drop);
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    policy.assert_kept(&answers, &Lines::of(&fs::read_to_string(&path).unwrap()));
    let said = verified(&path, SECRET, &[]);
    assert_eq!((&said["good"], &said["faults"]), (&json!(true), &json!(0)), "{said}");
}

#[test]
fn requests_wait_for_a_slow_disk_and_each_is_recorded() {
    ask_while_the_disk_is_slow(Policy::Block);
}

#[test]
fn requests_that_a_slow_disk_cannot_take_are_refused_and_all_others_recorded() {
    ask_while_the_disk_is_slow(Policy::Refuse);
}

#[test]
fn records_that_a_slow_disk_cannot_take_are_counted_and_all_others_written() {
    ask_while_the_disk_is_slow(Policy::Drop);
}

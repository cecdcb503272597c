//! Processes that are killed, restarted, and replaced while they write a chain.

use std::{collections::HashSet, time::Duration};

use e2e::{
    paths::temporary_folder,
    process::{PATIENCE, until},
    server::Server,
};
use promgate::access_log::chain::{Head, log_files};
use rustix::process::Signal;
use serde_json::json;

use super::parts::{Load, ids, sealed, verify, with_sinks};

#[test]
fn a_process_killed_under_load_leaves_a_log_that_verifies_to_its_end() {
    let folder = temporary_folder();
    let path = folder.path().join("audit.log");
    let mut sink = sealed(&path);
    sink["rotation"] = json!({ "size": "256KiB" });
    let config = with_sinks(&json!([sink]));
    let mut records = 0;
    for _ in 0..3 {
        let server = Server::promgate(&config);
        let load = Load::on(server.mcp, 8);
        until("requests are answered", || load.served() > 1500);
        server.process().signal(Signal::KILL);
        assert!(server.process().wait(PATIENCE).is_some());
        let (answered, _) = load.stop();
        let (faults, end) = verify(&path);
        assert_eq!(faults, []);
        assert!(matches!(end.head, Head::Reached(_)), "{:?}", end.head);
        assert!(!end.closed && end.missing.is_empty());
        let of_run = end.records - records;
        assert!(of_run > 0 && of_run <= answered + 8, "{of_run} of {answered}");
        records = end.records;
    }
    let server = Server::promgate(&config);
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records, end.closed), (Vec::new(), records, true));
    assert!(log_files(&path).unwrap().len() > 1, "it went over files");
}

#[test]
fn every_request_of_a_run_that_ends_is_in_its_log() {
    let folder = temporary_folder();
    let path = folder.path().join("audit.log");
    let server = Server::promgate(&with_sinks(&json!([sealed(&path)])));
    let load = Load::on(server.mcp, 8);
    until("requests are answered", || load.served() > 2000);
    let (answered, refused) = load.stop();
    assert_eq!(refused, 0);
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records, end.closed), (Vec::new(), answered, true));
    let ids = ids(&[path]);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
}

#[test]
fn a_log_that_is_moved_away_under_load_goes_on_in_a_new_file() {
    let folder = temporary_folder();
    let path = folder.path().join("audit.log");
    let server = Server::promgate(&with_sinks(&json!([sealed(&path)])));
    let load = Load::on(server.mcp, 4);
    for number in (1..=4).rev() {
        let before = load.served();
        until("requests are answered", || load.served() > before + 300);
        let moved = folder.path().join(format!("audit.log.{number}"));
        std::fs::rename(&path, moved).unwrap();
        server.process().signal(Signal::HUP);
        until("the file is made anew", || path.exists());
    }
    let (answered, _) = load.stop();
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records, end.closed), (Vec::new(), answered, true));
}

#[test]
fn two_processes_that_hand_over_write_one_chain() {
    let folder = temporary_folder();
    let path = folder.path().join("audit.log");
    let mut config = with_sinks(&json!([sealed(&path)]));
    config["server"]["upgrade_socket"] = json!(folder.path().join("upgrade"));
    let old = Server::promgate(&config);
    config["server"]["transport"]["http"]["host"] = json!(old.mcp.to_string());
    config["server"]["admin"]["host"] = json!(old.admin.to_string());
    let load = Load::on(old.mcp, 4);
    until("requests are answered", || load.served() > 300);
    let new = Server::begin_upgrade(&config);
    let _ready = new.process().stderr().wait_for("`SIGQUIT`", |line| line.contains("SIGQUIT"));
    old.process().signal(Signal::QUIT);
    let new = new.listening();
    assert!(old.exit(PATIENCE).success());
    let before = load.served();
    until("the new one serves", || load.served() > before + 300);
    let (answered, _) = load.stop();
    new.terminate();
    assert!(new.exit(PATIENCE).success());
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.closed), (Vec::new(), true));
    // A connection that the old process closed may have taken a request with it.
    assert!(end.records.abs_diff(answered) <= 4, "{} of {answered}", end.records);
}

#[test]
fn what_is_forced_onto_the_disk_is_there_after_a_kill() {
    let folder = temporary_folder();
    let path = folder.path().join("audit.log");
    let mut sink = sealed(&path);
    sink["fsync"] = json!("always");
    let server = Server::promgate(&with_sinks(&json!([sink])));
    let load = Load::on(server.mcp, 4);
    until("requests are answered", || load.served() > 200);
    let written = "promgate_access_log_records_total{sink=\"audit\"}";
    until("records are written", || server.metric(written) > 100.0);
    let counted = server.metric(written);
    server.process().signal(Signal::KILL);
    assert!(server.process().wait(Duration::from_secs(10)).is_some());
    load.stop();
    let (faults, end) = verify(&path);
    assert_eq!(faults, []);
    let counted: u64 = format!("{counted:.0}").parse().unwrap();
    assert!(end.records >= counted, "what was counted is there: {} of {counted}", end.records);
}

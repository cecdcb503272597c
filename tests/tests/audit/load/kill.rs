//! `kill -9` while requests are recorded.

use e2e::{
    paths::temporary_folder,
    process::{PATIENCE, until},
    server::Server,
};
use rustix::process::Signal;
use serde_json::json;

use super::{
    super::read_back::{SECRET, sealed_sink, verified},
    asked::{Asked, recording},
    files::lines,
};

#[test]
fn a_log_whose_writer_was_killed_verifies_to_its_end_and_goes_on() {
    let folder = temporary_folder();
    let log = folder.path().join("audit.log");
    let config = recording(sealed_sink(folder.path(), json!({ "size": "128KiB" })));
    let mut answered = Vec::new();
    for _ in 0..4 {
        let server = Server::promgate(&config);
        let (answers, ()) = Asked::during(server.mcp, 100_000, |asked| {
            until("some answers", || asked.count() > 300);
            server.process().signal(Signal::KILL);
        });
        assert!(!server.exit(PATIENCE).success());
        answered.extend(answers.into_values().flatten());
        let verdict = verified(&log, SECRET, &[]);
        assert_eq!(verdict["faults"], 0, "{verdict:#}");
        let ids = lines(&log).ids;
        assert!(ids.len() + 200 > answered.len(), "what was lost had been waiting to be written");
    }
    let server = Server::promgate(&config);
    let (answers, ()) = Asked::during(server.mcp, 80, |_| ());
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    let verdict = verified(&log, SECRET, &[]);
    assert_eq!(verdict["faults"], 0, "{verdict:#}");
    let ids = lines(&log).ids;
    assert!(answers[&200].iter().all(|id| ids.contains(id)), "after a kill it goes on");
}

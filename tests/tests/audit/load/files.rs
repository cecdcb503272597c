//! Files that are full, and files that somebody moves away, while requests are recorded.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use e2e::{
    paths::temporary_folder,
    process::{PATIENCE, pause, until},
    server::Server,
};
use flate2::read::MultiGzDecoder;
use promgate::access_log::chain::log_files;
use rustix::process::Signal;
use serde_json::json;

use super::{
    super::read_back::{SECRET, sealed_sink, verified},
    asked::{Answers, Asked, Lines, of_sink, recording},
};

const REQUESTS: usize = 2400;

/// All lines of a log, full files included.
pub(super) fn lines(log: &Path) -> Lines {
    let mut text = String::new();
    for path in log_files(log).unwrap() {
        let mut file = File::open(&path).unwrap();
        if path.extension().is_some_and(|end| end == "gz") {
            MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
        } else {
            file.read_to_string(&mut text).unwrap();
        }
    }
    Lines::of(&text)
}

fn assert_recorded(log: &Path, answers: &Answers) {
    assert_eq!(answers[&200].len(), REQUESTS, "nobody was refused");
    assert_eq!(verified(log, SECRET, &[])["faults"], 0);
    lines(log).assert_just(&answers[&200]);
}

#[test]
fn nothing_is_lost_where_files_are_full() {
    let folder = temporary_folder();
    let log = folder.path().join("audit.log");
    let sink = sealed_sink(folder.path(), json!({ "size": "64KiB" }));
    let server = Server::promgate(&recording(sink));
    let (answers, ()) = Asked::during(server.mcp, REQUESTS, |_| ());
    until("an empty queue", || of_sink(&server, "queue_bytes") == 0);
    let rotations = of_sink(&server, "rotations_total");
    assert!(rotations > 10, "{rotations}");
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    assert!(log_files(&log).unwrap().len() > rotations);
    assert_recorded(&log, &answers);
}

#[test]
fn nothing_is_lost_where_somebody_moves_the_file_away() {
    let folder = temporary_folder();
    let log = folder.path().join("audit.log");
    let mut sink = sealed_sink(folder.path(), json!({}));
    sink["sinks"][0]["compress"] = json!(false);
    let server = Server::promgate(&recording(sink));
    let (answers, moves) = Asked::during(server.mcp, REQUESTS, |asked| {
        let mut moves = 0;
        while asked.count() < REQUESTS * 9 / 10 {
            pause();
            // As logrotate does: the name, and only then the signal.
            let away = folder.path().join(format!("audit.log-20261130T{moves:06}Z"));
            fs::rename(&log, away).unwrap();
            pause();
            server.process().signal(Signal::HUP);
            until("a new file", || log.exists());
            moves += 1;
        }
        moves
    });
    assert!(moves > 3, "{moves}");
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    assert_eq!(log_files(&log).unwrap().len(), moves + 1);
    assert_recorded(&log, &answers);
}

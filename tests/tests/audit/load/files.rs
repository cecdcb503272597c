//! Files that are full, again and again, and compressed while requests are recorded.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use e2e::{
    paths::temporary_folder,
    process::{PATIENCE, until},
    server::Server,
};
use flate2::read::MultiGzDecoder;
use promgate::access_log::chain::log_files;
use serde_json::json;

use super::{
    super::read_back::{SECRET, sealed_sink, verified},
    asked::{Asked, Lines, of_sink, recording},
};

const REQUESTS: usize = 2400;

/// All lines of a log, full files included.
fn lines(log: &Path) -> Lines {
    let mut text = String::new();
    for path in log_files(log).unwrap() {
        let file = File::open(&path).unwrap();
        if path.extension().is_some_and(|end| end == "gz") {
            MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
        } else {
            text.push_str(&io::read_to_string(file).unwrap());
        }
    }
    Lines::of(&text)
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
    assert_eq!(answers[&200].len(), REQUESTS, "nobody was refused");
    assert_eq!(verified(&log, SECRET, &[])["faults"], 0);
    lines(&log).assert_just(&answers[&200]);
}

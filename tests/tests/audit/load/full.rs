//! A disk that is full, and then is not.

use std::{fs, path::Path};

use e2e::{
    paths::temporary_folder,
    process::{PATIENCE, until},
    server::Server,
};
use serde_json::{Value, json};

use super::{
    super::read_back::{SECRET, verified},
    asked::{Asked, Lines, of_sink, recording},
};

/// Mounts a small file system at `$0` that nobody else sees, and becomes the rest of its arguments. The signal of a
/// parent that ends has to be asked for again.
const SMALL_DISK: &str =
    "mount -t tmpfs -o size=4m tmpfs \"$0\" && exec setpriv --pdeathsig KILL -- \"$@\"";

const REQUESTS: usize = 2400;

/// A server whose log is alone on a disk of 4 MiB, and the disk as it is seen from outside.
fn start(folder: &Path, when_full: &str) -> (Server, std::path::PathBuf) {
    let folder = folder.to_str().unwrap();
    let sink: Value = json!({ "name": "audit", "type": "file", "path": format!("{folder}/audit.log"),
        "chain": true, "when_full": when_full });
    let config = recording(json!({ "audit": { "keys": [SECRET] }, "sinks": [sink] }));
    let launcher = ["unshare", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK, folder];
    let (server, _stdout) = Server::promgate_by(&launcher, &config);
    // Its mounts are seen through the process.
    let disk = format!("/proc/{}/root{folder}", server.process().id()).into();
    (server, disk)
}

/// Fills the disk, frees it while requests are asked for, and gives the answers and the log.
fn filled_and_freed(when_full: &str, felt: &str) -> (super::asked::Answers, Lines) {
    let folder = temporary_folder();
    let (server, disk) = start(folder.path(), when_full);
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![1; (4 << 20) - (512 << 10)]).expect("there is room for it");
    let (answers, ()) = Asked::during(server.mcp, REQUESTS, |_| {
        until("a disk that is full", || of_sink(&server, felt) > 0);
        assert!(of_sink(&server, "write_errors_total") > 0);
        fs::remove_file(&ballast).expect("it is there");
    });
    until("an empty queue", || of_sink(&server, "queue_bytes") == 0);
    // The disk goes with the process.
    let copy = temporary_folder();
    server.process().signal(rustix::process::Signal::STOP);
    for name in ["audit.log", "audit.log.head"] {
        fs::copy(disk.join(name), copy.path().join(name)).expect("the log can be read");
    }
    server.process().signal(rustix::process::Signal::CONT);
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    let log = copy.path().join("audit.log");
    assert_eq!(verified(&log, SECRET, &[])["faults"], 0);
    (answers, Lines::of(&fs::read_to_string(&log).unwrap()))
}

#[test]
fn requests_wait_for_a_disk_that_is_full_and_each_is_recorded() {
    let (answers, lines) = filled_and_freed("block", "blocked_requests_total");
    assert_eq!(answers[&200].len(), REQUESTS, "nobody was refused");
    lines.assert_just(&answers[&200]);
}

#[test]
fn requests_are_refused_while_the_disk_is_full_and_none_of_the_others_is_lost() {
    let (answers, lines) = filled_and_freed("refuse", "refused_requests_total");
    let (served, refused) = (&answers[&200], &answers[&503]);
    assert_eq!(served.len() + refused.len(), REQUESTS);
    let of_served: Vec<_> = lines.ids.iter().filter(|id| !refused.contains(id)).cloned().collect();
    Lines { ids: of_served, ..Lines::default() }.assert_just(served);
    assert_eq!(lines.dropped, 0);
}

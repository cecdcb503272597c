//! Sinks that fail under load: what each policy promises is held.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use e2e::{
    http::once,
    mcp::Client,
    paths::temporary_folder,
    process::{PATIENCE, until},
    server::Server,
};
use serde_json::json;
use tempfile::TempDir;

use super::parts::{Load, sealed, verify, with_sinks};

/// A disk of a few hundred kilobytes, most of which are taken.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// None where this user may not mount one: unit tests have a device that is always full.
    fn new() -> Option<Self> {
        let folder = temporary_folder();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
            .arg(folder.path())
            .status();
        let disk = mounted.is_ok_and(|status| status.success()).then_some(Self { folder })?;
        fs::write(disk.ballast(), vec![0; 400 << 10]).unwrap();
        Some(disk)
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }

    /// There is room again.
    fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    /// Its log, on a disk that stays when this one goes.
    fn copy(&self, to: &Path) -> PathBuf {
        for file in fs::read_dir(self.folder.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        to.join("audit.log")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.folder.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

fn series(name: &str) -> String {
    format!("promgate_access_log_{name}{{sink=\"audit\"}}")
}

#[test]
fn a_full_disk_refuses_requests_and_loses_no_record_of_those_served() {
    let Some(disk) = SmallDisk::new() else { return };
    let mut sink = sealed(&disk.log());
    sink["when_full"] = json!("refuse");
    sink["queue_bytes_max"] = json!("256KiB");
    let server = Server::promgate(&with_sinks(&json!([sink])));
    let load = Load::on(server.mcp, 4);
    until("the disk is full, and the queue", || load.refused() > 50);
    assert!(server.metric(&series("write_errors_total")) > 0.0);
    assert!(server.metric(&series("stalled_seconds")) > 0.0);
    assert!(server.metric(&series("refused_requests_total")) > 50.0);
    let answer = once(server.mcp, &Client::stateless(server.mcp).request("ping", json!({})));
    assert_eq!(answer.head.status, 503);
    assert!(answer.head.header("Retry-After").is_some());
    disk.free();
    let before = load.served();
    until("requests are served again", || load.served() > before + 100);
    let (answered, refused) = load.stop();
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    let kept = temporary_folder();
    let log = disk.copy(kept.path());
    let (faults, end) = verify(&log);
    assert_eq!((faults, end.closed), (Vec::new(), true));
    let text = fs::read_to_string(&log).unwrap();
    let of_served = text.lines().filter(|line| line.contains("\"status\":200")).count();
    assert_eq!(u64::try_from(of_served).unwrap(), answered, "a record for each that was answered");
    assert!(text.contains("\"event\":\"requests_refused\""), "and the log tells of {refused}");
}

#[test]
fn a_full_disk_lets_requests_wait_and_loses_none() {
    let Some(disk) = SmallDisk::new() else { return };
    let mut sink = sealed(&disk.log());
    sink["when_full"] = json!("block");
    sink["queue_bytes_max"] = json!("256KiB");
    let server = Server::promgate(&with_sinks(&json!([sink])));
    let load = Load::on(server.mcp, 40);
    until("requests wait", || server.metric(&series("blocked_requests_total")) > 10.0);
    until("nothing moves", || {
        let before = load.served();
        e2e::process::pause();
        load.served() == before
    });
    disk.free();
    let before = load.served();
    until("requests are served again", || load.served() > before + 100);
    let (answered, refused) = load.stop();
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    let kept = temporary_folder();
    let (faults, end) = verify(&disk.copy(kept.path()));
    assert_eq!((faults, refused), (Vec::new(), 0));
    assert_eq!(end.records, answered, "a record for each request");
}

#[test]
fn a_full_disk_costs_records_that_are_counted_and_told() {
    let Some(disk) = SmallDisk::new() else { return };
    let mut sink = sealed(&disk.log());
    sink["queue_bytes_max"] = json!("64KiB");
    let server = Server::promgate(&with_sinks(&json!([sink])));
    let load = Load::on(server.mcp, 4);
    until("records are lost", || server.metric(&series("records_dropped_total")) > 200.0);
    disk.free();
    let written = server.metric(&series("records_total"));
    until("records are written again", || {
        server.metric(&series("records_total")) > written + 100.0
    });
    let (answered, _) = load.stop();
    let all = || {
        server.metric(&series("records_total")) + server.metric(&series("records_dropped_total"))
    };
    until("written and counted are the requests", || {
        format!("{:.0}", all()) == answered.to_string()
    });
    let dropped = format!("{:.0}", server.metric(&series("records_dropped_total")));
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    let kept = temporary_folder();
    let log = disk.copy(kept.path());
    let (faults, end) = verify(&log);
    assert_eq!(faults, []);
    let text = fs::read_to_string(log).unwrap();
    let told = text.lines().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["event"] == "records_dropped").then(|| line["records"].as_u64())?
    });
    let told: u64 = told.sum();
    assert_eq!(told.to_string(), dropped);
    assert_eq!(end.records + told, answered);
}

#[test]
fn standard_output_that_nobody_reads_stops_no_request() {
    let folder = temporary_folder();
    let path = folder.path().join("audit.log");
    let sinks = json!([
        { "name": "out", "type": "file", "path": "/dev/full" },
        sealed(&path),
    ]);
    let server = Server::promgate(&with_sinks(&sinks));
    let load = Load::on(server.mcp, 4);
    until("requests are answered", || load.served() > 1000);
    let (answered, refused) = load.stop();
    assert_eq!(refused, 0);
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records), (Vec::new(), answered), "one sink does not hold up another");
}

//! Sinks that fail under load: what each policy promises is held.

use std::{
    fs::{self, File},
    os::fd::AsRawFd as _,
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
use serde_json::{Value, json};
use tempfile::TempDir;

use super::parts::{Load, sealed, verify, with_sinks};

/// A server whose log is on a disk of a few hundred kilobytes, most of which are taken. Only it has this disk: it runs
/// in name spaces of its own, in which everybody may mount one.
struct OnSmallDisk {
    server: Server,
    /// The top of the disk, which stays for as long as somebody has it open.
    top: File,
    _folder: TempDir,
}

/// What begins commands that may mount, where nobody else sees it: for anybody, for root where there are no name spaces of
/// users, and for root below a `chroot`, whose root is no mount.
const APART: [&[&str]; 3] = [
    &["unshare", "--map-root-user", "--mount"],
    &["unshare", "--mount"],
    &["unshare", "--mount", "--propagation", "unchanged"],
];

/// Mounts a small disk and fills most of it. Then it does what it was called for.
const MOUNT: &str = r#"
mount -t tmpfs -o size=512k tmpfs "$0"
head -c 400K /dev/zero >"$0/ballast"
exec "$@"
"#;

impl OnSmallDisk {
    /// Starts one; `change` changes its sink.
    fn start(change: impl FnOnce(&mut Value)) -> Self {
        let folder = temporary_folder();
        let path = folder.path().to_str().expect("a path of ours");
        let apart = apart(path);
        let mut sink = sealed(&folder.path().join("audit.log"));
        change(&mut sink);
        // Who changes its credentials is no longer killed with its parent, and asks for that again.
        let kill = ["setpriv", "--pdeathsig", "KILL", "--"];
        let launcher = [apart, &["sh", "-ec", MOUNT, path], &kill].concat();
        let (server, _unused) = Server::promgate_by(&launcher, &with_sinks(&json!([sink])));
        let top = format!("/proc/{}/root{path}", server.process().id());
        let top = File::open(top).expect("the disk of our own process");
        Self { server, top, _folder: folder }
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.top.as_raw_fd()))
    }

    /// There is room again.
    fn free(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }

    /// Its log, on a disk that stays when this one goes.
    fn copy(&self, to: &Path) -> PathBuf {
        for file in fs::read_dir(self.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        to.join("audit.log")
    }

    /// Ends the server, and gives its log on a disk that stays.
    fn end(self, to: &Path) -> PathBuf {
        self.server.terminate();
        assert!(self.server.exit(PATIENCE).success());
        self.copy(to)
    }
}

/// What begins commands that may mount here. A test that passes where it cannot run would show nothing.
fn apart(path: &str) -> &'static [&'static str] {
    let mut said = String::new();
    for apart in APART {
        let mount = ["mount", "-t", "tmpfs", "tmpfs", path];
        let mounted = Command::new(apart[0]).args(&apart[1..]).args(mount).output();
        let mounted = mounted.expect("util-linux");
        if mounted.status.success() {
            return apart;
        }
        said.push_str(&String::from_utf8_lossy(&mounted.stderr));
    }
    panic!(
        "a full disk cannot be had here, neither by root nor in a user name space (allow those with `sysctl \
         kernel.apparmor_restrict_unprivileged_userns=0`, or run the container with CAP_SYS_ADMIN): {said}"
    )
}

fn series(name: &str) -> String {
    format!("promgate_access_log_{name}{{sink=\"audit\"}}")
}

#[test]
fn a_full_disk_refuses_requests_and_loses_no_record_of_those_served() {
    let disk = OnSmallDisk::start(|sink| {
        sink["when_full"] = json!("refuse");
        sink["queue_bytes_max"] = json!("256KiB");
    });
    let server = &disk.server;
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
    let kept = temporary_folder();
    let log = disk.end(kept.path());
    let (faults, end) = verify(&log);
    assert_eq!((faults, end.closed), (Vec::new(), true));
    let text = fs::read_to_string(&log).unwrap();
    let of_served = text.lines().filter(|line| line.contains("\"status\":200")).count();
    assert_eq!(u64::try_from(of_served).unwrap(), answered, "a record for each that was answered");
    assert!(text.contains("\"event\":\"requests_refused\""), "and the log tells of {refused}");
}

#[test]
fn a_full_disk_lets_requests_wait_and_loses_none() {
    let disk = OnSmallDisk::start(|sink| {
        sink["when_full"] = json!("block");
        sink["queue_bytes_max"] = json!("256KiB");
    });
    let server = &disk.server;
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
    let kept = temporary_folder();
    let (faults, end) = verify(&disk.end(kept.path()));
    assert_eq!((faults, refused), (Vec::new(), 0));
    assert_eq!(end.records, answered, "a record for each request");
}

#[test]
fn a_full_disk_costs_records_that_are_counted_and_told() {
    let disk = OnSmallDisk::start(|sink| sink["queue_bytes_max"] = json!("64KiB"));
    let server = &disk.server;
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
    let kept = temporary_folder();
    let log = disk.end(kept.path());
    let (faults, end) = verify(&log);
    assert_eq!(faults, []);
    let text = fs::read_to_string(log).unwrap();
    let told = text.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["event"] == "records_dropped").then(|| line["records"].as_u64())?
    });
    let told: u64 = told.sum();
    assert_eq!(told.to_string(), dropped);
    assert_eq!(end.records + told, answered);
}

#[test]
fn a_device_that_is_always_full_holds_up_no_other_sink() {
    let folder = temporary_folder();
    let path = folder.path().join("audit.log");
    let sinks = json!([
        { "name": "full", "type": "file", "path": "/dev/full" },
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

//! `promgate demo` as a process: whatever ends it ends its Prometheus too.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{BufRead, BufReader},
        path::Path,
        process::{Child, Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    use parking_lot::Mutex;
    use rustix::process::{Pid, Signal, kill_process};

    /// Demos that start at the same moment may choose the same free ports.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    const PROMGATE: &str = env!("CARGO_BIN_EXE_promgate");

    fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !done() {
            assert!(Instant::now() < deadline, "waited too long for {what}");
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn name(pid: &str) -> Option<String> {
        Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned())
    }

    /// True unless there is no such process, or only its exit status is left of it.
    fn is_alive(pid: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
    }

    /// The process id of the child named `prometheus`.
    fn prometheus_of(demo: &Child) -> Option<String> {
        let threads = fs::read_dir(format!("/proc/{}/task", demo.id())).ok()?;
        let children =
            threads.flatten().filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
        let all = children.collect::<Vec<_>>().join(" ");
        all.split_whitespace()
            .find(|pid| name(pid).as_deref() == Some("prometheus"))
            .map(str::to_owned)
    }

    /// Starts the demo with its own folder for temporary files, and waits until it serves. Yields what
    /// it printed until then.
    fn demo(temporary: &Path) -> (Child, String) {
        let tools =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/prometheus/usr/bin");
        assert!(tools.join("prometheus").exists(), "run `make setup-test` first");
        let mut demo = Command::new(PROMGATE)
            .arg("demo")
            .arg("--prometheus")
            .arg(tools.join("prometheus"))
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(demo.stdout.take().unwrap());
        let mut printed = String::new();
        while !printed.contains("Serving until Ctrl-C") {
            assert!(out.read_line(&mut printed).unwrap() > 0, "it ended: {printed}");
        }
        // Read on, so that the access log never waits for us.
        thread::spawn(move || out.lines().count());
        (demo, printed)
    }

    #[test]
    fn a_process_that_is_killed_takes_its_child_with_it() {
        let script = r#""$0" demo-child -- $$ sleep 600 & echo $!; wait"#;
        let mut parent = Command::new("sh")
            .args(["-c", script, PROMGATE])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = String::new();
        BufReader::new(parent.stdout.take().unwrap()).read_line(&mut child).unwrap();
        let child = child.trim();
        wait_for("the program", || name(child).as_deref() == Some("sleep"));
        parent.kill().unwrap();
        parent.wait().unwrap();
        wait_for("its end", || !is_alive(child));
    }

    #[test]
    fn a_child_whose_parent_is_gone_does_not_begin() {
        let run = Command::new(PROMGATE)
            .args(["demo-child", "--", "999999999", "sh", "-c", "echo begun"])
            .output()
            .unwrap();
        assert!(!run.status.success());
        assert!(run.stdout.is_empty());
    }

    #[test]
    fn ctrl_c_ends_the_demo_its_prometheus_and_its_files() {
        let _alone = ONE_AT_A_TIME.lock();
        let temporary = tempfile::tempdir().unwrap();
        let (mut demo, _) = demo(temporary.path());
        let prometheus = prometheus_of(&demo).unwrap();
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1);
        kill_process(Pid::from_child(&demo), Signal::INT).unwrap();
        assert!(demo.wait().unwrap().success());
        assert!(!is_alive(&prometheus));
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_crash_of_the_demo_ends_its_prometheus() {
        let _alone = ONE_AT_A_TIME.lock();
        let temporary = tempfile::tempdir().unwrap();
        let (mut demo, _) = demo(temporary.path());
        let prometheus = prometheus_of(&demo).unwrap();
        demo.kill().unwrap();
        demo.wait().unwrap();
        wait_for("the end of Prometheus", || !is_alive(&prometheus));
    }

    #[test]
    fn the_first_call_is_answered_with_values() {
        let _alone = ONE_AT_A_TIME.lock();
        let temporary = tempfile::tempdir().unwrap();
        let (demo, printed) = demo(temporary.path());
        for part in
            ["200 OK", "/checkout", "claude mcp add --transport http promgate http://127.0.0.1:"]
        {
            assert!(printed.contains(part), "{part}: {printed}");
        }
        let mut lines = printed.lines();
        assert!(!lines.any(|line| line.starts_with("{\"")), "an access record: {printed}");
        let log = printed.lines().find_map(|line| line.trim().strip_prefix("Access log "));
        let path = log.expect("the access log is named").trim().to_owned();
        wait_for("its record", || {
            fs::read_to_string(&path).is_ok_and(|text| text.contains("prometheus_query"))
        });
        kill_process(Pid::from_child(&demo), Signal::INT).unwrap();
        assert!(demo.wait_with_output().unwrap().status.success());
    }
}

//! `promgate demo` as a process: whatever ends it ends its children too.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{BufRead, BufReader},
        path::{Path, PathBuf},
        process::{Child, Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    use parking_lot::Mutex;
    use rustix::process::{Pid, Signal, kill_process};

    /// Demos that start at the same moment may choose the same free ports.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    const README: &str = include_str!("../../README.md");

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

    /// The process ids of the children with their names, in the order of the names.
    fn children_of(demo: &Child) -> Vec<(String, String)> {
        let threads = fs::read_dir(format!("/proc/{}/task", demo.id())).unwrap();
        let children =
            threads.flatten().filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
        let all = children.collect::<Vec<_>>().join(" ");
        let named = all.split_whitespace().filter_map(|pid| Some((name(pid)?, pid.to_owned())));
        let mut named: Vec<_> = named.collect();
        named.sort();
        named
    }

    /// The process id of the child named `prometheus`.
    fn prometheus_of(demo: &Child) -> Option<String> {
        let mut children = children_of(demo).into_iter();
        children.find(|(name, _)| name == "prometheus").map(|(_, pid)| pid)
    }

    fn tool(path: &str) -> PathBuf {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools").join(path);
        assert!(tool.exists(), "run `make setup-test` first");
        tool
    }

    /// The demo with its own folder for temporary files.
    fn command(temporary: &Path) -> Command {
        let mut demo = Command::new(PROMGATE);
        demo.arg("demo").arg("--prometheus").arg(tool("prometheus/usr/bin/prometheus"));
        demo.env("TMPDIR", temporary).stdin(Stdio::null()).stdout(Stdio::piped());
        demo
    }

    /// The demo with so many replicas.
    fn command_of_replicas(temporary: &Path, replicas: &str) -> Command {
        let mut demo = command(temporary);
        demo.args(["--replicas", replicas]).arg("--redis").arg(tool("redis/redis-server"));
        demo
    }

    /// Starts the demo, and waits until it serves. Yields what it printed until then.
    fn demo(temporary: &Path) -> (Child, String) {
        start(&mut command(temporary))
    }

    fn start(command: &mut Command) -> (Child, String) {
        let mut demo = command.spawn().unwrap();
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

    /// Lines without what differs from run to run: all numbers, and the room that they take.
    fn shape(text: &str) -> Vec<String> {
        let lines = text.trim().lines().map(|line| {
            let mut shape = String::new();
            for c in line.trim().chars().map(|c| if c.is_ascii_digit() { 'N' } else { c }) {
                if !(matches!(c, 'N' | ' ') && shape.ends_with(c)) {
                    shape.push(c);
                }
            }
            shape
        });
        lines.collect()
    }

    /// A line that tells of one request: numbers of the replica that took it and of the owner, and the rest.
    fn request(line: &str) -> Option<(&str, &str, String)> {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["tools/call", "replica", entry, "replica", owner, rest @ ..] => {
                Some((entry, owner, rest.join(" ")))
            }
            _ => None,
        }
    }

    #[test]
    fn a_session_outlives_the_replica_that_owns_it() {
        let _alone = ONE_AT_A_TIME.lock();
        let temporary = tempfile::tempdir().unwrap();
        let run = command_of_replicas(temporary.path(), "3").arg("--once").output().unwrap();
        let printed = String::from_utf8(run.stdout).unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{printed}{said}");

        let shown = README.split("<!-- cluster: begin -->").nth(1).unwrap();
        let shown = shown.split("<!-- cluster: end -->").next().unwrap();
        let shown = shown.trim().strip_prefix("$ make run-cluster\n").unwrap();
        assert_eq!(shape(&printed), shape(shown), "README.md shows what is printed");

        let requests: Vec<_> = printed.lines().filter_map(request).collect();
        assert_eq!(requests.len(), 7, "{printed}");
        for (_, _, answer) in &requests {
            assert!(answer.starts_with("200 after ") && answer.contains("3 series"), "{answer}");
        }
        let entries = |range: std::ops::Range<usize>| {
            let mut entries: Vec<_> = requests[range].iter().map(|(entry, _, _)| *entry).collect();
            entries.sort_unstable();
            entries
        };
        assert_eq!(entries(0..3), ["1", "2", "3"]);
        assert_eq!(entries(4..7), ["1", "2", "3"], "the killed one serves again");
        let owner = requests[0].1;
        assert!(requests[..3].iter().all(|(_, by, _)| *by == owner), "{printed}");
        let killed = printed.lines().find_map(|line| line.strip_prefix("kill -9 ")).unwrap();
        let (pid, whom) = killed.split_once(": ").unwrap();
        assert!(whom.starts_with(&format!("replica {owner},")), "{killed}");
        let (entry, heir, _) = &requests[3];
        assert!(*entry != owner && *heir != owner, "the dead answers: {printed}");

        assert!(!is_alive(pid));
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }

    /// Names of the children of a demo with two replicas.
    const FOUR: [&str; 4] = ["prometheus", "promgate", "promgate", "redis-server"];

    #[test]
    fn ctrl_c_ends_replicas_redis_and_their_files() {
        let _alone = ONE_AT_A_TIME.lock();
        let temporary = tempfile::tempdir().unwrap();
        let (mut demo, _) = start(&mut command_of_replicas(temporary.path(), "2"));
        let (names, pids): (Vec<_>, Vec<_>) = children_of(&demo).into_iter().unzip();
        assert_eq!(names, FOUR);
        kill_process(Pid::from_child(&demo), Signal::INT).unwrap();
        assert!(demo.wait().unwrap().success());
        assert!(!pids.iter().any(|pid| is_alive(pid)));
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_crash_of_the_demo_ends_replicas_and_redis() {
        let _alone = ONE_AT_A_TIME.lock();
        let temporary = tempfile::tempdir().unwrap();
        let (mut demo, _) = start(&mut command_of_replicas(temporary.path(), "2"));
        let (names, pids): (Vec<_>, Vec<_>) = children_of(&demo).into_iter().unzip();
        assert_eq!(names, FOUR);
        for pid in &pids {
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
            let is_key =
                |word: &str| word.len() >= 32 && word.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(!command.split('\0').any(is_key), "{command}");
        }
        demo.kill().unwrap();
        demo.wait().unwrap();
        wait_for("the end of its children", || !pids.iter().any(|pid| is_alive(pid)));
    }

    #[test]
    fn without_redis_it_is_said_how_to_get_one() {
        let temporary = tempfile::tempdir().unwrap();
        let run = command(temporary.path())
            .args(["--replicas", "3", "--redis", "/nowhere/redis-server"])
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(1));
        let said = String::from_utf8(run.stderr).unwrap();
        for part in ["/nowhere/redis-server", "make setup-run-cluster", "--redis FILE"] {
            assert!(said.contains(part), "{said}");
        }
    }
}

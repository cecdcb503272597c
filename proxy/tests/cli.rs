//! The real program: what it prints where, and the codes that it ends with.
#![expect(
    clippy::tests_outside_test_module,
    clippy::expect_used,
    reason = "this file is a test as a whole"
)]

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Output, Stdio},
};

const GOOD: &str = "middleware: {jwt: {enabled: false}}\nbackends:\n  p:\n    url: http://p:9090\n";

fn promgate(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promgate"));
    command.current_dir(folder).env_clear();
    command
}

fn run(args: &[&str]) -> Output {
    promgate(Path::new(env!("CARGO_MANIFEST_DIR"))).args(args).output().expect("the program ran")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn help_and_version_are_answers() {
    for (args, words) in [
        (["--help"].as_slice(), "promgate demo"),
        (&["--help"], "PROMGATE_LOG"),
        (&["serve", "--help"], "PROMGATE_CONFIG"),
        (&["serve", "--help"], "PROMGATE_LOG"),
        (&["serve", "--help"], "SIGHUP"),
        (&["stdio", "--help"], "PROMGATE_LOG"),
        (&["stdio", "--help"], "claude mcp add"),
        (&["check", "--help"], "Examples"),
        (&["demo", "--help"], "promtool"),
        (&["--version"], concat!("promgate ", env!("CARGO_PKG_VERSION"))),
    ] {
        let out = run(args);
        assert_eq!(out.status.code(), Some(0), "{args:?}");
        assert!(text(&out.stdout).contains(words), "{args:?}: {}", text(&out.stdout));
        assert!(out.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn wrong_usage_ends_with_64_and_says_why() {
    for (args, words) in [
        ([].as_slice(), "Usage"),
        (&["serv"], "serve"),
        (&["check", "--confg", "x"], "--config"),
        (&["completions", "tcsh"], "possible values"),
        (&["demo", "--listen", "nowhere"], "--listen"),
        (&["schema", "extra"], "extra"),
    ] {
        let out = run(args);
        assert_eq!(out.status.code(), Some(64), "{args:?}");
        assert!(text(&out.stderr).contains(words), "{args:?}: {}", text(&out.stderr));
        assert!(out.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_good_configuration_is_called_good() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("c.yaml"), GOOD).expect("written");
    let out = promgate(folder.path()).args(["check", "--config", "c.yaml"]).output().expect("ran");
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(text(&out.stdout), "c.yaml: good (1 backend, http on 127.0.0.1:8080/mcp)\n");
    assert!(out.stderr.is_empty());
}

#[test]
fn the_configuration_is_found_by_option_then_variable_then_default() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("conf")).expect("made");
    for name in ["conf/promgate.yaml", "a.yaml", "b.yaml"] {
        fs::write(folder.path().join(name), GOOD).expect("written");
    }
    let read = |command: &mut Command| {
        let out = command.output().expect("ran");
        text(&out.stdout).split(':').next().unwrap_or_default().to_owned()
    };
    assert_eq!(read(promgate(folder.path()).arg("check")), "conf/promgate.yaml");
    let mut by_variable = promgate(folder.path());
    by_variable.arg("check").env("PROMGATE_CONFIG", "a.yaml");
    assert_eq!(read(&mut by_variable), "a.yaml");
    assert_eq!(read(by_variable.args(["-c", "b.yaml"])), "b.yaml");
}

#[test]
fn every_fault_is_printed_and_the_code_is_78() {
    let folder = tempfile::tempdir().expect("a folder");
    let faulty = "servr: 1\nbackends:\n  p:\n    url: $URL\n    timeout: 5\n\
                  middleware: {jwt: {enabled: false}}\n";
    fs::write(folder.path().join("c.yaml"), faulty).expect("written");
    for command in ["check", "serve", "stdio"] {
        let out =
            promgate(folder.path()).args([command, "--config", "c.yaml"]).output().expect("ran");
        assert_eq!(out.status.code(), Some(78), "{command}");
        assert!(out.stdout.is_empty(), "{command}");
        let lines: Vec<&str> = text(&out.stderr).lines().collect();
        let begins =
            ["c.yaml:1: servr: ", "c.yaml:4: backends.p.url: ", "c.yaml:5: backends.p.timeout: "];
        assert_eq!(lines.len(), begins.len(), "{lines:?}");
        assert!(lines.iter().zip(begins).all(|(line, begin)| line.starts_with(begin)), "{lines:?}");
    }
}

#[test]
fn a_configuration_that_says_nothing_of_tokens_is_served_over_stdio_only() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("c.yaml"), "backends: {p: {url: 'http://p'}}\n").expect("written");
    for command in ["check", "serve"] {
        let out =
            promgate(folder.path()).args([command, "--config", "c.yaml"]).output().expect("ran");
        assert_eq!(out.status.code(), Some(78), "{command}");
        let said = text(&out.stderr);
        let begin = "c.yaml: middleware.jwt.enabled: is missing, so it is open whether callers need a token; ";
        assert!(said.starts_with(begin) && said.lines().count() == 1, "{said}");
    }
    let mut stdio = promgate(folder.path());
    stdio.args(["stdio", "--config", "c.yaml"]).stdin(Stdio::null());
    assert_eq!(stdio.output().expect("ran").status.code(), Some(0));
}

#[test]
fn a_missing_configuration_is_named_with_a_remedy() {
    let out = run(&["check", "--config", "/nowhere/c.yaml"]);
    assert_eq!(out.status.code(), Some(78));
    assert_eq!(
        text(&out.stderr),
        "/nowhere/c.yaml: cannot be read: there is no such file; check the path and that this user \
         may read it, or name another file with `--config`\n"
    );
}

#[test]
fn an_access_log_that_cannot_be_written_is_one_fault_before_anything_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let logged = |output: &str| {
        let logs = format!("middleware: {{access_logs: {{output: {output}}}, ");
        GOOD.replace("middleware: {", &logs)
    };
    for (output, words) in [
        (
            "no/such/access.log",
            "cannot be made in its folder: there is no such file; make the folder",
        ),
        ("./folder", "cannot be written: is a directory; let this user write"),
        ("./socket", "is a pipe, a socket or a disk; name a file"),
    ] {
        fs::create_dir_all(folder.path().join("folder")).expect("made");
        let socket = folder.path().join("socket");
        drop(fs::remove_file(&socket));
        let _socket = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        fs::write(folder.path().join("c.yaml"), logged(output)).expect("written");
        for command in ["check", "serve"] {
            let out =
                promgate(folder.path()).args([command, "-c", "c.yaml"]).output().expect("ran");
            assert_eq!(out.status.code(), Some(78), "{command} {output}");
            let said = text(&out.stderr);
            assert_eq!(said.lines().count(), 1, "{said}");
            let begin = "c.yaml:1: middleware.access_logs.output: the access log ";
            assert!(said.starts_with(begin) && said.contains(words), "{said}");
        }
        // Stdio has no access log.
        let stdio = promgate(folder.path())
            .args(["stdio", "-c", "c.yaml"])
            .stdin(Stdio::null())
            .output()
            .expect("ran");
        assert_eq!(stdio.status.code(), Some(0), "{}", text(&stdio.stderr));
    }
    fs::write(folder.path().join("c.yaml"), logged("./access.log")).expect("written");
    let out = promgate(folder.path()).args(["check", "-c", "c.yaml"]).output().expect("ran");
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(!folder.path().join("access.log").exists(), "a check makes nothing");
}

#[test]
fn a_taken_port_is_said_with_its_key_and_a_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("bound");
    let folder = tempfile::tempdir().expect("a folder");
    for (key, server) in [
        ("server.transport.http.host", format!("transport: {{http: {{host: \"{address}\"}}}}")),
        (
            "server.admin.host",
            format!("transport: {{http: {{host: '127.0.0.1:0'}}}}, admin: {{host: '{address}'}}"),
        ),
    ] {
        let config = format!("{GOOD}server: {{{server}}}\n");
        fs::write(folder.path().join("c.yaml"), config).expect("written");
        let out = promgate(folder.path()).args(["serve", "-c", "c.yaml"]).output().expect("ran");
        assert_eq!(out.status.code(), Some(1), "{key}");
        let said = text(&out.stderr);
        let wanted = format!(
            "because: cannot listen on {address}, the address in `{key}`; end the program that has \
             it, or write another port there\n"
        );
        assert!(said.contains(&wanted), "{said}");
    }
}

#[test]
fn an_unreadable_log_filter_is_said_once() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("c.yaml"), GOOD).expect("written");
    let out = promgate(folder.path())
        .args(["serve", "-c", "c.yaml"])
        .env("PROMGATE_LOG", "x=loud")
        .output()
        .expect("ran");
    assert_eq!(out.status.code(), Some(78));
    let said = text(&out.stderr);
    assert!(said.starts_with("promgate: cannot read PROMGATE_LOG; write a level"), "{said}");
    let mut lines: Vec<&str> = said.lines().collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), all, "{said}");
    assert!(all <= 2, "{said}");
}

#[test]
fn a_variable_of_the_process_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(
        folder.path().join("c.yaml"),
        "backends: {p: {url: $URL}}\nmiddleware: {jwt: {enabled: false}}\n",
    )
    .expect("written");
    let mut command = promgate(folder.path());
    command.args(["check", "--config", "c.yaml"]).env("URL", "http://p:9090");
    assert_eq!(command.status().expect("ran").code(), Some(0));
}

#[test]
fn the_schema_and_completions_are_printed() {
    let out = run(&["schema"]);
    assert_eq!(out.status.code(), Some(0));
    assert!(text(&out.stdout).starts_with('{') && text(&out.stdout).ends_with("}\n"));
    let out = run(&["schema", "--access-log"]);
    assert_eq!(out.status.code(), Some(0));
    assert!(text(&out.stdout).contains("\"request_id\"") && text(&out.stdout).ends_with("}\n"));
    for shell in ["bash", "zsh", "fish"] {
        let out = run(&["completions", shell]);
        assert_eq!(out.status.code(), Some(0), "{shell}");
        assert!(text(&out.stdout).contains("promgate"), "{shell}");
    }
}

#[test]
fn what_only_the_demo_itself_calls_is_shown_nowhere() {
    let mut shown: Vec<Output> = ["bash", "zsh", "fish", "elvish", "powershell"]
        .map(|shell| run(&["completions", shell]))
        .into();
    for args in [[].as_slice(), &["--help"], &["help"], &["demo-chil"], &["demo-child"]] {
        shown.push(run(args));
    }
    for out in shown {
        let said = format!("{}{}", text(&out.stdout), text(&out.stderr));
        assert!(said.contains("completions") || said.contains("unrecognized"), "{said}");
        let said = said.replace("unrecognized subcommand 'demo-child'", "");
        assert!(!said.contains("demo-child"), "{said}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let mut child = promgate(Path::new("."))
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("read");
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    assert_eq!(errors, "");
}

//! `promgate check --online`, run as a program.
#![expect(
    clippy::tests_outside_test_module,
    clippy::expect_used,
    reason = "this file is a test as a whole"
)]

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    sync::mpsc,
    thread,
};

const VERSION: &str = r#"{"status":"success","data":{"version":"2.42.0"}}"#;

fn check(folder: &Path, config: &str, online: bool) -> Output {
    let config = format!("{config}middleware: {{jwt: {{enabled: false}}}}\n");
    fs::write(folder.join("c.yaml"), config).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_promgate"));
    command.current_dir(folder).env_clear().args(["check", "-c", "c.yaml"]);
    if online {
        command.arg("--online");
    }
    command.output().expect("the program ran")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// A backend that answers one request with its version, and tells what it was asked.
fn backend(listener: TcpListener) -> mpsc::Receiver<String> {
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let mut request = Vec::new();
        let mut chunk = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut chunk).expect("a request");
            request.extend(chunk.iter().take(read));
        }
        let length = VERSION.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{VERSION}");
        stream.write_all(head.as_bytes()).expect("sent");
        sender.send(text(&request).to_owned()).expect("wanted");
    });
    asked
}

#[test]
fn a_backend_that_is_there_is_named_with_its_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    let asked = backend(listener);
    let config = format!(
        "backends:\n  eu:\n    url: http://{address}\n    auth: {{type: token, token: canary-1}}\n"
    );
    let out = check(folder.path(), &config, true);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let mut lines = text(&out.stdout).lines();
    assert!(lines.next().expect("a line").starts_with("c.yaml: good"));
    let row = lines.find(|line| line.starts_with("eu ")).expect("its row");
    assert!(row.contains(" yes ") && row.contains(" ms ") && row.ends_with("2.42.0"), "{row}");
    assert!(out.stderr.is_empty());
    assert!(!text(&out.stdout).contains("canary"));
    let request = asked.recv().expect("it was asked");
    assert!(request.starts_with("GET /api/v1/status/buildinfo "), "{request}");
    assert!(request.contains("authorization: Bearer canary-1"), "as `serve` would: {request}");
}

#[test]
fn a_backend_that_is_not_there_ends_with_1_after_the_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let closed = TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("bound");
    let config = format!("backends: {{eu: {{url: 'http://{closed}'}}}}\n");
    let out = check(folder.path(), &config, true);
    assert_eq!(out.status.code(), Some(1));
    let said = text(&out.stdout);
    assert!(said.contains("eu       no\n  because: no connection to the backend"), "{said}");
    let error = "promgate: 1 of 1 cannot be used; the table says which and why\n";
    assert_eq!(text(&out.stderr), error);
}

#[test]
fn a_bad_configuration_ends_with_78_and_nobody_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    let config = format!("servr: 1\nbackends: {{eu: {{url: 'http://{address}'}}}}\n");
    let out = check(folder.path(), &config, true);
    assert_eq!(out.status.code(), Some(78));
    assert!(out.stdout.is_empty());
    nobody_came(&listener);
}

#[test]
fn without_the_option_no_connection_is_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    let config = format!("backends: {{eu: {{url: 'http://{address}'}}}}\n");
    let out = check(folder.path(), &config, false);
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(text(&out.stdout).lines().count(), 1);
    nobody_came(&listener);
}

/// The program has ended: what it opened would be waiting.
fn nobody_came(listener: &TcpListener) {
    listener.set_nonblocking(true).expect("set");
    let came = listener.accept().map(|(_, peer)| peer);
    assert_eq!(came.expect_err("nobody").kind(), io::ErrorKind::WouldBlock);
}

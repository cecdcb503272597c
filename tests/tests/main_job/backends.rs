//! Backends that are down, slow, hostile or something else.

use std::{
    io::Write,
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use e2e::{
    backend::{Backend, answer, answer_with, hold},
    mcp::Client,
    prometheus::free_address,
    server::{Server, config},
};
use serde_json::{Value, json};

/// What a call to a server in front of `url` is told, within a few seconds and in bounded memory.
fn told_by(url: &str) -> String {
    let server = Server::promgate(&config(&json!({ "main": {
        "url": url,
        "timeout": "2s",
        "auth": { "type": "token", "token": "canary-token" },
    }})));
    let told = told(&server);
    assert!(!told.contains("canary-token"), "{told}");
    told
}

fn told(server: &Server) -> String {
    let begun = Instant::now();
    let client = Client::stateless(server.mcp);
    let result = client.tool("prometheus_query", json!({ "query": "up" }));
    assert!(begun.elapsed() < Duration::from_secs(15), "took {:?}", begun.elapsed());
    assert_eq!(result["isError"], true, "{result}");
    let peak = server.resident_bytes();
    assert!(peak < 250 << 20, "{} MiB for a bad answer", peak >> 20);
    let text = result["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("main"), "the backend is named: {text}");
    text
}

fn says(told: &str, words: &[&str]) {
    for word in words {
        assert!(told.to_lowercase().contains(word), "`{word}` is not in: {told}");
    }
}

#[test]
fn one_that_is_down_is_said_to_be_unreachable() {
    says(&told_by(&format!("http://{}", free_address())), &["no connection", "refused"]);
}

#[test]
fn one_that_is_slow_is_given_up_at_the_time_limit() {
    let backend = Backend::start(|_, stream| hold(stream));
    says(&told_by(&backend.url()), &["2 s"]);
}

#[test]
fn one_that_dribbles_is_given_up_at_the_time_limit() {
    let backend = Backend::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")?;
        loop {
            stream.write_all(b" ")?;
            let mut nothing = [0_u8; 1];
            stream.set_read_timeout(Some(Duration::from_millis(100)))?;
            if let Ok(0) = std::io::Read::read(stream, &mut nothing) {
                return Ok(());
            }
        }
    });
    says(&told_by(&backend.url()), &["2 s"]);
}

#[test]
fn a_page_of_html_is_summarised_with_its_status() {
    for status in [200, 404, 502] {
        let page = "<html><body>Bad gateway of somebody else</body></html>";
        let backend = Backend::answering(status, "text/html", page);
        let told = told_by(&backend.url());
        says(&told, &[&status.to_string(), "text/html"]);
        assert!(!told.contains("<html"), "{told}");
    }
}

#[test]
fn garbage_that_calls_itself_json_is_told_apart_from_an_answer() {
    for body in ["{\"status\":", "[]", "7", "{}", "{\"status\":\"success\"}", "\u{0}\u{1}"] {
        let backend = Backend::answering(200, "application/json", body);
        let told = told_by(&backend.url());
        assert!(told.contains("Hint"), "{body:?}: {told}");
    }
}

#[test]
fn a_failure_is_told_with_its_status_and_the_backends_words() {
    let words = json!({ "status": "error", "errorType": "internal", "error": "the disk is full" });
    let backend = Backend::answering(500, "application/json", words.to_string());
    says(&told_by(&backend.url()), &["500", "the disk is full"]);
    let bare = Backend::answering(503, "text/plain", "oops");
    says(&told_by(&bare.url()), &["503"]);
}

#[test]
fn too_many_requests_is_told_with_the_time_to_wait() {
    let backend = Backend::start(|_, stream| {
        answer_with(stream, 429, &[("Content-Type", "text/plain"), ("Retry-After", "17")], b"slow")
    });
    says(&told_by(&backend.url()), &["17 s"]);
}

#[test]
fn refused_credentials_are_told_as_promgates_own() {
    let backend = Backend::answering(401, "text/plain", "who are you?");
    says(&told_by(&backend.url()), &["401", "credentials"]);
}

#[test]
fn a_body_of_a_gigabyte_is_not_read_to_its_end() {
    let backend = Backend::start(|_, stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1_u64 << 30);
        stream.write_all(head.as_bytes())?;
        pour(stream, 1 << 30)
    });
    says(&told_by(&backend.url()), &["larger than"]);
}

#[test]
fn a_body_without_an_announced_length_is_not_read_to_its_end_either() {
    let backend = Backend::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")?;
        stream.write_all(b"{\"status\":\"success\",\"data\":\"")?;
        pour(stream, 1 << 30)
    });
    says(&told_by(&backend.url()), &["larger than"]);
}

/// Writes `bytes` of spaces, until the reader has enough.
fn pour(stream: &mut TcpStream, bytes: usize) -> std::io::Result<()> {
    let piece = vec![b' '; 1 << 16];
    for _piece in 0..bytes / piece.len() {
        stream.write_all(&piece)?;
    }
    Ok(())
}

#[test]
fn a_gzip_bomb_is_measured_unpacked() {
    // 1 GiB of zeros packs into 1 MB.
    let bomb = Command::new("sh").args(["-c", "head -c 1G /dev/zero | gzip -1"]).output().unwrap();
    assert!(bomb.status.success() && bomb.stdout.len() > 1000);
    let bomb = bomb.stdout;
    let backend = Backend::start(move |received, stream| {
        assert!(received.header("accept-encoding").is_some_and(|it| it.contains("gzip")));
        let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
        answer_with(stream, 200, &headers, &bomb)
    });
    says(&told_by(&backend.url()), &["larger than"]);
}

#[test]
fn one_that_closes_midway_is_told_as_broken_off() {
    let backend = Backend::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"status\":\"succ")
    });
    says(&told_by(&backend.url()), &["broke off"]);
    let silent = Backend::start(|_, _| Ok(()));
    let told = told_by(&silent.url());
    assert!(told.contains("Hint"), "{told}");
}

#[test]
fn a_redirect_is_not_followed_and_the_credentials_stay() {
    for status in [301, 302, 303, 307, 308] {
        let data = json!({ "resultType": "scalar", "result": [0, "1"] });
        let elsewhere = Backend::with_data(&data);
        let location = format!("{}/api/v1/query", elsewhere.url());
        let backend = Backend::start(move |_, stream| {
            answer_with(stream, status, &[("Location", location.as_str())], b"")
        });
        says(&told_by(&backend.url()), &["redirect", &status.to_string()]);
        let asked = elsewhere.received();
        assert!(asked.is_empty(), "{status} was followed: {asked:?}");
    }
}

#[test]
fn a_question_is_asked_once_when_the_backend_answered_badly() {
    let backend = Backend::answering(500, "text/plain", "no");
    says(&told_by(&backend.url()), &["500"]);
    assert_eq!(backend.received().len(), 1, "only a failed connection is tried again");
}

#[test]
fn the_environments_proxy_is_not_used() {
    let proxy = Backend::answering(200, "application/json", "{}");
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let server = Server::promgate_with(
        &config(&json!({ "main": { "url": backend.url() } })),
        &[("HTTP_PROXY", &proxy.url()), ("http_proxy", &proxy.url()), ("ALL_PROXY", &proxy.url())],
    );
    let result = Client::stateless(server.mcp).tool("prometheus_query", json!({ "query": "1" }));
    assert_eq!(result["structuredContent"]["scalar"][1], "1");
    assert!(proxy.received().is_empty());
}

#[test]
fn a_client_that_leaves_ends_the_question_to_the_backend() {
    let (left, heard) = std::sync::mpsc::channel();
    let backend = Backend::start(move |_, stream| {
        let ended = hold(stream);
        left.send(()).unwrap();
        ended
    });
    let server = Server::in_front_of(&backend.url());
    for client in Client::of_both_eras(server.mcp) {
        let params = json!({ "name": "prometheus_query", "arguments": { "query": "up" } });
        let mut connection = e2e::http::Connection::open(server.mcp);
        connection.send(client.request("tools/call", params).bytes());
        backend.wait_for_request();
        drop(connection);
        heard.recv_timeout(Duration::from_secs(5)).expect("the backend is left alone");
    }
}

#[test]
fn a_slow_backend_holds_up_no_other_call() {
    let slow = Backend::start(|_, stream| hold(stream));
    let quick = Backend::start(|_, stream| {
        let data = json!({ "resultType": "scalar", "result": [0, "1"] });
        let body = json!({ "status": "success", "data": data }).to_string();
        answer(stream, 200, "application/json", body.as_bytes())
    });
    let server = Server::promgate(&config(&json!({
        "slow": { "url": slow.url() },
        "quick": { "url": quick.url() },
    })));
    let client = Client::session(server.mcp, "2025-11-25");
    let ask = |backend: &str| {
        let arguments = json!({ "query": "1", "backend": backend });
        client.request("tools/call", json!({ "name": "prometheus_query", "arguments": arguments }))
    };
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut connection = e2e::http::Connection::open(server.mcp);
            connection.send(ask("slow").bytes());
            connection
        })
        .collect();
    slow.wait_for_request();
    let begun = Instant::now();
    let result: Value = client.send(&ask("quick")).result();
    assert_eq!(result["structuredContent"]["scalar"][1], "1");
    assert!(begun.elapsed() < Duration::from_secs(2));
    drop(waiting);
}

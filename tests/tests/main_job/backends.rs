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
    prometheus::{Prometheus, free_address},
    server::{Server, config},
    tls::Authority,
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
    says(&told_by(&bare.url()), &["503", "text/plain"]);
    let late = json!({ "status": "error", "errorType": "timeout", "error": "query timed out" });
    let backend = Backend::answering(503, "application/json", late.to_string());
    says(&told_by(&backend.url()), &["503", "timeout: query timed out", "hint"]);
}

#[test]
fn a_refusal_in_plain_text_is_told_whole_with_a_hint() {
    let chunks = "error at evaluating query: the query hit the limit of 2000000 chunks";
    for (status, words, hint) in [
        (400, chunks, "label matchers"),
        (422, "the query exceeded the series limit of 5", "label matchers"),
        (404, "404 page not found", "base address"),
        (413, "request entity too large", "shorter ones"),
    ] {
        let backend = Backend::answering(status, "text/plain; charset=utf-8", words);
        says(&told_by(&backend.url()), &[&status.to_string(), words, "hint: ", hint]);
    }
    let echo = Backend::answering(400, "text/plain", "bad token canary-token");
    says(&told_by(&echo.url()), &["bad token ***"]);
}

#[test]
fn too_many_requests_is_told_with_the_time_to_wait() {
    let backend = Backend::start(|_, stream| {
        answer_with(stream, 429, &[("Content-Type", "text/plain"), ("Retry-After", "17")], b"slow")
    });
    says(&told_by(&backend.url()), &["17 s", "slow"]);
}

#[test]
fn refused_credentials_are_told_as_promgates_own() {
    let backend = Backend::answering(401, "text/plain", "who are you?");
    says(&told_by(&backend.url()), &["401", "credentials", "who are you?", "org_id"]);
    let blocked = json!({ "status": "error", "errorType": "x", "error": "tenant t1 is blocked" });
    let backend = Backend::answering(403, "application/json", blocked.to_string());
    says(&told_by(&backend.url()), &["403", "credentials", "tenant t1 is blocked"]);
    let other = json!({ "message": "no such key" });
    let backend = Backend::answering(401, "application/json", other.to_string());
    says(&told_by(&backend.url()), &["401", "no such key", "backends.main.auth"]);
}

#[test]
fn a_certificate_is_trusted_by_the_ca_file_alone() {
    let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
    let prometheus = Prometheus::over_tls(&authority.issue());
    let server = |tls: Value| {
        Server::promgate(&config(&json!({ "main": { "url": prometheus.url(), "tls": tls } })))
    };
    let trusting = server(json!({ "ca_file": authority.certificate() }));
    let client = Client::stateless(trusting.mcp);
    let result = client.tool("prometheus_query", json!({ "query": "vector(7)" }));
    assert_eq!(result["structuredContent"]["series"][0]["value"][1], "7", "{result}");
    for tls in [json!({ "ca_file": stranger.certificate() }), json!({})] {
        let told = told(&server(tls));
        says(&told, &["tls", "certificate", "backends.main.tls.ca_file"]);
        assert!(!told.contains("may be down"), "{told}");
    }
}

#[test]
fn a_call_whose_own_timeout_elapsed_is_no_fault_of_the_backend() {
    let backend = Backend::start(|_, stream| hold(stream));
    let server = Server::in_front_of(&backend.url());
    let client = Client::stateless(server.mcp);
    for tool in ["prometheus_query", "prometheus_range_query", "prometheus_list_metrics"] {
        let query = if tool == "prometheus_list_metrics" { "*" } else { "up" };
        let mut arguments = json!({ "query": query, "timeout": "300ms" });
        if tool == "prometheus_range_query" {
            arguments["start"] = json!("now-1h");
        }
        let begun = Instant::now();
        let result = client.tool(tool, arguments);
        assert!(begun.elapsed() < Duration::from_secs(10), "{tool} took {:?}", begun.elapsed());
        let text = result["content"][0]["text"].as_str().unwrap();
        says(text, &["0.3 s", "the call's own `timeout`"]);
        let record = server.access_record(|record| record["tool"] == tool);
        assert_eq!(record["outcome"], "caller_error", "{record}");
    }
    let warned: Vec<_> =
        server.process().stderr().lines().into_iter().filter(|l| l.contains("WARN")).collect();
    assert_eq!(warned, [""; 0], "nobody needs to be warned of a caller's haste");
}

#[test]
fn a_warning_about_a_backend_has_a_cause_or_says_nothing_of_one() {
    let backend = Backend::answering(500, "text/plain", "oops");
    let server = Server::in_front_of(&backend.url());
    says(&told(&server), &["500"]);
    let line = server.process().stderr().wait_for("a warning", |l| l.contains("backend failed"));
    assert!(line.contains("WARN") && !line.contains("cause"), "{line}");
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
        for (ours, theirs) in [("127.0.0.1", "localhost"), ("localhost", "127.0.0.1")] {
            let data = json!({ "resultType": "scalar", "result": [0, "1"] });
            let elsewhere = Backend::with_data(&data);
            let location = elsewhere.url().replace("127.0.0.1", theirs) + "/api/v1/query";
            let backend = Backend::start(move |_, stream| {
                answer_with(stream, status, &[("Location", location.as_str())], b"")
            });
            let told = told_by(&backend.url().replace("127.0.0.1", ours));
            says(&told, &["redirect", &status.to_string()]);
            let asked = backend.received();
            assert_eq!(asked[0].header("authorization"), Some("Bearer canary-token"));
            let asked = elsewhere.received();
            assert!(asked.is_empty(), "{status} was followed: {asked:?}");
        }
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
        let _asked = backend.wait_for_request();
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
    let _asked = slow.wait_for_request();
    let begun = Instant::now();
    let result = client.send(&ask("quick")).result();
    assert_eq!(result["structuredContent"]["scalar"][1], "1");
    assert!(begun.elapsed() < Duration::from_secs(2));
    drop(waiting);
}

//! What the edge refuses before anybody reads the message, and what it lets pass.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use e2e::{
    http::{Answer, Connection, Request, is_late, once},
    mcp::{Client, Reply},
    server::Server,
    settings::Settings,
};
use serde_json::json;

fn address() -> SocketAddr {
    Server::shared_fixture().mcp
}

/// A request that is served as it stands.
fn good() -> Request {
    Client::stateless(address()).request("tools/list", json!({}))
}

fn status(request: &Request) -> u16 {
    once(address(), request).head.status
}

/// The answer to exact bytes; `None` when the connection is closed without one.
fn answered(bytes: &[u8]) -> Option<Answer> {
    let mut connection = Connection::open(address());
    let _closed_early = connection.try_send(bytes);
    connection.try_answer().ok()
}

/// Sends exact bytes and demands that they are refused, or the connection closed.
fn refused(what: &str, bytes: &[u8]) -> Connection {
    let mut connection = Connection::open(address());
    connection.patience(Duration::from_secs(5));
    let _closed_early = connection.try_send(bytes);
    match connection.try_answer() {
        Ok(Answer { head, .. }) => {
            let status = head.status;
            assert!((400..=431).contains(&status) || status == 501, "{what}: {status}");
        }
        Err(error) => assert!(!is_late(&error), "{what}: no answer"),
    }
    connection
}

/// As [`refused`], and the connection must not be used again: what follows on it could be read as
/// another request than the sender meant.
fn refused_for_good(what: &str, bytes: &[u8]) {
    assert!(refused(what, bytes).is_closed(), "{what}: the connection stays open");
}

fn with_framing(framing: &str, body: &str) -> Vec<u8> {
    let head = good().without("Content-Length").head_bytes();
    let head = String::from_utf8(head).unwrap();
    format!("{}{framing}\r\n\r\n{body}", head.strip_suffix("\r\n").unwrap()).into_bytes()
}

fn chunked() -> String {
    let body = String::from_utf8(good().bytes()).unwrap();
    let body = body.split_once("\r\n\r\n").unwrap().1.to_owned();
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

#[test]
fn only_the_exact_path_is_served_with_or_without_a_slash_at_its_end() {
    let to = |path: &str| {
        let bytes = String::from_utf8(good().bytes()).unwrap().replacen("/mcp", path, 1);
        answered(bytes.as_bytes()).map(|answer| answer.head.status)
    };
    assert_eq!(to("/mcp"), Some(200));
    assert_eq!(to("/mcp/"), Some(200));
    for path in ["/", "/mcp2", "/mcp/x", "//mcp", "/x/../mcp", "/m%63p", "/mcp;x", "/MCP", "/mcp//"]
    {
        assert_eq!(to(path), Some(404), "{path}");
    }
}

#[test]
fn another_method_is_not_allowed_and_the_right_ones_are_named() {
    for method in ["PUT", "PATCH", "OPTIONS", "HEAD", "TRACE", "get", "FOO"] {
        let bytes = format!("{method} /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut connection = Connection::open(address());
        connection.send(bytes);
        let head = connection.head();
        assert_eq!(head.status, 405, "{method}");
        assert!(head.says("allow", "post"), "{method}: {head:?}");
    }
}

#[test]
fn a_host_that_is_not_allowed_is_refused() {
    let port = address().port();
    for host in [
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "[::1]".to_owned(),
        "LocalHost".to_owned(),
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(status(&good().with("Host", &host)), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "evil.example:80", "127.0.0.1.nip.io"] {
        let status = status(&good().with("Host", host));
        assert!([400, 403, 421].contains(&status), "{host}: {status}");
    }
}

#[test]
fn a_host_that_is_missing_empty_double_or_malformed_is_refused() {
    let _connection = refused("missing", &good().without("Host").bytes());
    let _connection = refused("empty", &good().with("Host", "").bytes());
    let _connection = refused("two", &good().header("Host", "localhost").bytes());
    let _connection = refused("two different", &good().header("Host", "evil.example").bytes());
    for host in ["user@localhost", "localhost:", "localhost:x", "local host", "localhost/x", "["] {
        let _connection = refused(host, &good().with("Host", host).bytes());
    }
}

#[test]
fn an_origin_that_is_not_allowed_is_forbidden() {
    assert_eq!(status(&good().header("Origin", "http://evil.example")), 403);
    assert_eq!(status(&good().header("Origin", "null")), 403);
    assert_eq!(status(&good()), 200, "a client that is no browser sends none");
    let get = Client::session(address(), "2025-11-25").bodiless("GET");
    assert_eq!(status(&get.header("Origin", "http://evil.example")), 403);
}

#[test]
fn a_content_type_that_is_not_json_is_refused() {
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        assert_eq!(status(&good().with("Content-Type", media_type)), 415, "{media_type}");
    }
    assert_eq!(status(&good().without("Content-Type")), 415, "none");
    for media_type in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json;charset=\"utf-8\"",
    ] {
        assert_eq!(status(&good().with("Content-Type", media_type)), 200, "{media_type}");
    }
}

#[test]
fn an_accept_that_allows_neither_json_nor_a_stream_is_refused() {
    for accept in ["text/html", "image/*", "application/xml, text/plain"] {
        assert_eq!(status(&good().with("Accept", accept)), 406, "{accept}");
    }
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let head = good().with("Content-Length", "2000000");
    let mut connection = Connection::open(address());
    connection.send(head.head_bytes());
    assert_eq!(connection.answer().head.status, 413, "it was announced");
    let piece = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
    let body = format!("{}0\r\n\r\n", piece.repeat(20));
    let answer = answered(&with_framing("Transfer-Encoding: chunked", &body));
    assert_eq!(answer.map(|answer| answer.head.status), Some(413), "it was not announced");
}

#[test]
fn a_body_that_ends_early_is_never_served() {
    let whole = good().bytes();
    let mut connection = Connection::open(address());
    connection.send(&whole[..whole.len() - 10]);
    connection.finish_sending();
    if let Ok(answer) = connection.try_answer() {
        assert_eq!(answer.head.status, 400);
    }
    let mut connection = Connection::open(address());
    connection.send(with_framing("Transfer-Encoding: chunked", "40\r\n{\"jsonrpc\""));
    connection.finish_sending();
    if let Ok(answer) = connection.try_answer() {
        assert_eq!(answer.head.status, 400);
    }
}

#[test]
fn a_chunked_body_is_served() {
    let answer = answered(&with_framing("Transfer-Encoding: chunked", &chunked())).unwrap();
    assert_eq!(answer.head.status, 200);
}

#[test]
fn framing_that_two_parsers_could_read_differently_is_refused_for_good() {
    let body = chunked();
    let length = body.len();
    for framing in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
        "Transfer-Encoding: gzip, chunked".to_owned(),
        "Transfer-Encoding: chunked, chunked".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding: identity".to_owned(),
        "Transfer-Encoding: gzip".to_owned(),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding: \"chunked\"".to_owned(),
        "Transfer-Encoding: chunked;q=1".to_owned(),
        "Transfer-Encoding:".to_owned(),
        "Content-Length: 5\r\nContent-Length: 5".to_owned(),
        "Content-Length: 5\r\nContent-Length: 6".to_owned(),
        "Content-Length: 5, 5".to_owned(),
        "Content-Length: +5".to_owned(),
        "Content-Length: -1".to_owned(),
        "Content-Length: 5x".to_owned(),
        "Content-Length: 99999999999999999999999".to_owned(),
        "Content-Length : 5".to_owned(),
        "X-Folded: a\r\n b\r\nContent-Length: 5".to_owned(),
        "X(bad): 1\r\nContent-Length: 5".to_owned(),
        ": empty\r\nContent-Length: 5".to_owned(),
        "X-Nul: a\0b\r\nContent-Length: 5".to_owned(),
    ] {
        refused_for_good(&framing, &with_framing(&framing, &body));
    }
    for chunk in ["ZZ\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "5\nhello\n0\n\n", "-5\r\n"] {
        refused_for_good(chunk, &with_framing("Transfer-Encoding: chunked", chunk));
    }
}

#[test]
fn what_would_turn_the_connection_into_something_else_is_refused_for_good() {
    let upgrade = |to: &str| good().header("Connection", "Upgrade").header("Upgrade", to).bytes();
    refused_for_good("websocket", &upgrade("websocket"));
    refused_for_good("h2c", &upgrade("h2c"));
    refused_for_good(
        "CONNECT",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    );
    refused_for_good(
        "CONNECT here",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n",
    );
}

#[test]
fn a_target_that_is_not_a_path_is_refused() {
    let to = |target: &str| {
        String::from_utf8(good().bytes()).unwrap().replacen("/mcp", target, 1).into_bytes()
    };
    for target in ["mcp", "*", "\\mcp", "http://evil.example/mcp", "evil.example:80", "?x"] {
        let _connection = refused(target, &to(target));
    }
    let _connection = refused("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let _connection = refused("a NUL", &to("/mcp\0"));
}

#[test]
fn versions_and_first_lines_that_are_not_http_1_are_refused_for_good() {
    let host = "Host: localhost\r\n\r\n";
    for line in ["GET /mcp", "GET /mcp HTTP/2.0", "GET /mcp HTTP/1.2", "G(T /mcp HTTP/1.1", "\0\0"]
    {
        refused_for_good(line, format!("{line}\r\n{host}").as_bytes());
    }
}

#[test]
fn headers_too_many_or_too_large_are_refused_for_good() {
    let many = "X-Many: x\r\n".repeat(5000);
    refused_for_good(
        "5000 headers",
        format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes(),
    );
    let large = "x".repeat(2 << 20);
    refused_for_good(
        "2 MiB",
        format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\nX: {large}\r\n\r\n").as_bytes(),
    );
}

/// A server whose limits are short enough to wait for.
fn impatient() -> Server {
    Server::fixture(&Settings {
        header_timeout_ms: 700,
        body_timeout_ms: 700,
        connection_idle_ms: 700,
        ..Settings::default()
    })
}

#[test]
fn a_header_that_dribbles_in_is_cut_by_its_total_time() {
    let server = impatient();
    for address in [server.mcp, server.admin] {
        let mut connection = Connection::open(address);
        let begun = Instant::now();
        let mut cut = false;
        for byte in good().header("X-Long", &"x".repeat(400)).head_bytes() {
            // One byte each 50 ms never lets a timer of one read run out.
            cut = connection.try_send([byte]).is_err() || hangs_up(&mut connection);
            if cut {
                break;
            }
        }
        assert!(cut, "it may dribble for ever");
        assert!(begun.elapsed() < Duration::from_secs(6), "cut after {:?}", begun.elapsed());
    }
}

/// Whether the peer closes within 50 ms.
fn hangs_up(connection: &mut Connection) -> bool {
    connection.patience(Duration::from_millis(50));
    match connection.try_head() {
        Ok(head) => head.status == 408,
        Err(error) => {
            !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        }
    }
}

#[test]
fn a_second_header_on_a_connection_has_the_same_limit() {
    let server = impatient();
    for (address, first) in [(server.mcp, good()), (server.admin, Request::new("GET", "/healthz"))]
    {
        let mut connection = Connection::open(address);
        assert_eq!(connection.exchange(&first).head.status, 200);
        connection.send(b"POST /mcp HTTP/1.1\r\n");
        let begun = Instant::now();
        let ended = connection.try_head();
        assert!(ended.as_ref().map_or(true, |head| head.status == 408), "{ended:?}");
        assert!(begun.elapsed() < Duration::from_secs(6));
    }
}

#[test]
fn a_body_that_dribbles_in_is_cut_by_its_total_time() {
    let server = impatient();
    let bytes = good().bytes();
    let head = good().head_bytes().len();
    let mut connection = Connection::open(server.mcp);
    connection.send(&bytes[..head + 10]);
    let begun = Instant::now();
    let answer = connection.try_answer();
    assert!(answer.as_ref().map_or(true, |answer| answer.head.status == 408), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(6));
    assert!(connection.is_closed());
}

#[test]
fn a_connection_without_a_request_is_closed() {
    let server = impatient();
    let begun = Instant::now();
    assert!(Connection::open(server.mcp).is_closed(), "nothing was sent");
    let mut connection = Connection::open(server.mcp);
    assert_eq!(connection.exchange(&good()).head.status, 200);
    assert!(connection.is_closed(), "nothing was sent after the first");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn more_connections_than_the_bound_are_turned_away() {
    let server = Server::fixture(&Settings { connections_max: 8, ..Settings::default() });
    let mut held: Vec<Connection> = (0..8).map(|_| Connection::open(server.mcp)).collect();
    for connection in &mut held {
        assert_eq!(connection.exchange(&good()).head.status, 200);
    }
    let mut one_more = Connection::open(server.mcp);
    let refused = one_more
        .try_send(good().bytes())
        .and_then(|()| one_more.try_answer())
        .map_or(true, |answer| answer.head.status == 503);
    assert!(refused);
    drop(held.pop());
    let deadline = Instant::now() + e2e::process::PATIENCE;
    loop {
        let mut again = Connection::open(server.mcp);
        let answer = again.try_send(good().bytes()).and_then(|()| again.try_answer());
        if answer.is_ok_and(|answer| answer.head.status == 200) {
            break;
        }
        assert!(Instant::now() < deadline, "the place is not given back");
    }
}

#[test]
fn requests_sent_together_are_answered_in_order() {
    let client = Client::session(address(), "2025-11-25");
    let ping = |id: u64| client.request_with_id(&json!(id), "ping", json!({})).bytes();
    let mut connection = Connection::open(address());
    connection.send([ping(1), ping(2), ping(3)].concat());
    for id in 1..=3 {
        let reply = Reply::of(connection.answer());
        assert_eq!((reply.status(), &reply.response()["id"]), (200, &json!(id)));
    }
}

#[test]
fn a_request_sent_during_a_call_does_not_end_the_call() {
    let client = Client::session(address(), "2025-11-25");
    let params = json!({ "name": "sleep_ms", "arguments": { "label": "piped", "ms": 700 } });
    let slow = client.request_with_id(&json!("slow"), "tools/call", params);
    let mut connection = Connection::open(address());
    connection.send(slow.bytes());
    let awaited = json!({ "label": "piped", "fate": "running" });
    let _running = client.tool("await_sleep", awaited);
    connection.send(client.request_with_id(&json!("next"), "ping", json!({})).bytes());
    for id in ["slow", "next"] {
        let reply = Reply::of(connection.answer());
        assert_eq!((reply.status(), &reply.response()["id"]), (200, &json!(id)));
    }
}

#[test]
fn a_client_that_asks_before_sending_its_body_is_told_to_go_on() {
    let request = good().header("Expect", "100-continue");
    let mut connection = Connection::open(address());
    connection.send(request.head_bytes());
    assert_eq!(connection.head().status, 100);
    connection.send(&request.bytes()[request.head_bytes().len()..]);
    assert_eq!(connection.answer().head.status, 200);
}

#[test]
fn a_request_id_is_taken_if_it_is_well_formed_and_made_else() {
    let id = |request: Request| once(address(), &request).head.header("X-Request-Id").unwrap();
    assert_eq!(id(good().header("X-Request-Id", "abc-123_DEF.4")), "abc-123_DEF.4");
    let made = id(good());
    assert!(made.len() >= 8, "{made}");
    assert_ne!(made, id(good()));
    let long = "a".repeat(500);
    for bad in ["", "has space", "quote\"", "<script>", long.as_str()] {
        let answered = id(good().header("X-Request-Id", bad));
        assert!(answered != bad && answered.len() >= 8, "{bad:?} became {answered:?}");
    }
    let refused = once(address(), &Request::new("GET", "/nowhere"));
    assert!(refused.head.header("X-Request-Id").is_some(), "also when it is refused");
}

#[test]
fn a_connection_serves_many_requests_until_it_is_asked_to_close() {
    let mut connection = Connection::open(address());
    for _request in 0..50 {
        assert_eq!(connection.exchange(&good()).head.status, 200);
    }
    assert_eq!(connection.exchange(&good().header("Connection", "close")).head.status, 200);
    assert!(connection.is_closed());
}

#[test]
fn many_clients_at_once_are_all_served() {
    thread::scope(|scope| {
        for _client in 0..16 {
            scope.spawn(|| {
                for _request in 0..20 {
                    assert_eq!(status(&good()), 200);
                }
            });
        }
    });
}

#[test]
fn the_absolute_form_is_served_if_it_means_this_host() {
    let bytes = String::from_utf8(good().bytes()).unwrap();
    let absolute = bytes.replacen("/mcp", "http://localhost/mcp", 1);
    assert_eq!(answered(absolute.as_bytes()).expect("an answer").head.status, 200);
}

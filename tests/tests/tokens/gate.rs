//! No request without a valid token ever reaches a worker, whatever its method, its path or its headers.

use std::cell::Cell;

use e2e::{
    backend::Backend,
    http::{Connection, Request},
    mcp::Client,
    minter,
    server::{Server, guarded},
};
use proptest::{
    prelude::{Just, Strategy, prop_oneof},
    sample::select,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::json;

/// What a worker counts when a request reaches it.
const COUNTED_BY_WORKERS: [&str; 4] = [
    "promgate_tool_calls_total",
    "promgate_sessions_opened_total",
    "promgate_sessions_refused_total",
    "promgate_backend_requests_total",
];

/// A request of somebody without a token.
#[derive(Debug, Clone)]
struct Attempt {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn method() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just("POST".to_owned()),
        3 => select(vec!["GET", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH", "TRACE"]).prop_map(str::to_owned),
        1 => select(vec!["post", "POSTT", "CONNECTED", "M-SEARCH", "_"]).prop_map(str::to_owned),
        1 => "[A-Z]{1,12}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    let spelled = select(vec![
        "/mcp",
        "/mcp/",
        "//mcp",
        "/./mcp",
        "/x/../mcp",
        "/%6dcp",
        "/mcp%2f",
        "/MCP",
        "/mcp;a=b",
        "/mcp?a=b",
        "/mcp#",
        "/mcp/..",
        "/mcp/.well-known/oauth-protected-resource",
        "/.well-known/../mcp",
        "/.well-known/oauth-protected-resource/../../mcp",
        "/.well-known/oauth-protected-resource/mcp",
        "/mcp\\",
        "/mcp%00",
        "/%2e%2e/mcp",
        "http://localhost/mcp",
        "http://localhost//mcp",
        "/mcp?access_token=x",
        "*",
    ]);
    prop_oneof![6 => Just("/mcp".to_owned()), 6 => spelled.prop_map(str::to_owned), 1 => "/[!-~]{0,24}"]
}

fn tokens() -> Vec<String> {
    let key = minter::Key::new(minter::Kind::P256, "p256");
    let unsigned = {
        let header = minter::encode(r#"{"alg":"none","typ":"at+jwt"}"#);
        format!("{header}.{}.", minter::encode(minter::claims("alice").to_string()))
    };
    vec![
        key.token(&minter::claims("alice")),
        minter::token_with(json!({ "exp": 1 })),
        minter::token_with(json!({ "aud": "other" })),
        minter::token_with(json!({ "iss": "other" })),
        minter::token("alice").trim_end_matches(|c| c != '.').to_owned(),
        unsigned,
        String::new(),
        "null".to_owned(),
    ]
}

fn authorization() -> impl Strategy<Value = Vec<(String, String)>> {
    let names = select(vec![
        "Authorization",
        "authorization",
        "AUTHORIZATION",
        "Proxy-Authorization",
        "X-Authorization",
        "Cookie",
        "X-Validated-Jwt",
        "X-Forwarded-Access-Token",
        "X-Access-Token",
        "Authentication",
    ]);
    let schemes = select(vec![
        "Bearer ",
        "bearer ",
        "Bearer\t",
        "Bearer  ",
        "Basic ",
        "DPoP ",
        "",
        "Token ",
        "Bearer=",
        "access_token=",
    ]);
    let value = (schemes, prop_oneof![8 => select(tokens()), 1 => "[ -~]{0,40}"])
        .prop_map(|(scheme, token)| format!("{scheme}{token}"));
    proptest::collection::vec((names.prop_map(str::to_owned), value), 0..3)
}

fn other_headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let header = select(vec![
        ("X-Original-Method", "GET"),
        ("X-HTTP-Method-Override", "OPTIONS"),
        ("X-Original-URL", "/.well-known/oauth-protected-resource"),
        ("X-Rewrite-Url", "/healthz"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1;proto=https"),
        ("X-Forwarded-User", "alice"),
        ("X-Remote-User", "alice"),
        ("Mcp-Session-Id", "zm5dO4pEJ0m3mGWMSrYh8fV2cYdXTR0aLq9w1B7uKxE"),
        ("Connection", "Authorization"),
        ("Expect", "100-continue"),
        ("Accept", "text/event-stream"),
        ("Last-Event-ID", "1"),
        ("Access-Control-Request-Method", "POST"),
        ("Origin", "http://localhost"),
    ]);
    proptest::collection::vec(
        header.prop_map(|(name, value)| (name.to_owned(), value.to_owned())),
        0..3,
    )
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let client = || Client::stateless(([127, 0, 0, 1], 1).into());
    let call = client().request(
        "tools/call",
        json!({ "name": "prometheus_query", "arguments": { "query": "1" } }),
    );
    let list = client().request("tools/list", json!({}));
    let hello = client().initialize(&json!({}));
    let requests = select(vec![call, list, hello]);
    (requests, method(), path(), authorization(), other_headers()).prop_map(
        |(request, method, path, authorization, others)| {
            // What a client sends, without the lines that `sent` writes itself.
            let text = String::from_utf8(request.bytes()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            let headers = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let headers = headers.chain(authorization).chain(others).collect();
            Attempt { method, path, headers, body: body.to_owned() }
        },
    )
}

/// The status of the answer; none when the connection is closed without one. That the body may come is no answer.
fn sent(server: &Server, attempt: &Attempt) -> Option<u16> {
    let mut request = Request::new(&attempt.method, &attempt.path).without("Host");
    for (name, value) in &attempt.headers {
        request = request.header(name, value);
    }
    let mut connection = Connection::open(server.mcp);
    let whole = [request.head_bytes(), attempt.body.clone().into_bytes()].concat();
    connection.try_send(whole).ok()?;
    // Some of these leave the server waiting for more.
    connection.finish_sending();
    let statuses = std::iter::from_fn(|| connection.try_head().ok().map(|head| head.status));
    statuses.into_iter().find(|status| *status >= 200)
}

#[test]
fn no_request_without_a_valid_token_reaches_a_worker() {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let server = Server::promgate(&guarded(&json!({ "canary": { "url": backend.url() } })));
    let reached = || COUNTED_BY_WORKERS.map(|name| server.metric_sum(name)).iter().sum::<f64>();
    let none = reached();
    let asked_for_tokens = Cell::new(0);
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&attempt(), |attempt| {
        let status = sent(&server, &attempt);
        asked_for_tokens.set(asked_for_tokens.get() + u32::from(status == Some(401)));
        let document = attempt.path.contains("/.well-known/oauth-protected-resource");
        let refused = status.is_none_or(|status| (400..=505).contains(&status));
        let read = document && matches!(status, Some(200 | 204 | 304));
        if refused || read {
            Ok(())
        } else {
            Err(TestCaseError::fail(format!("answered with {status:?}")))
        }
    });
    assert!(outcome.is_ok(), "{outcome:?}");
    let asked_for_tokens = asked_for_tokens.get();
    assert!(asked_for_tokens > 50, "{asked_for_tokens} came as far as where a token is wanted");
    assert!((reached() - none).abs() < f64::EPSILON, "a worker counted something");
    assert_eq!(backend.received().len(), 0, "nobody asked the backend");

    let alice = Client::stateless(server.mcp).bearing(&minter::token("alice"));
    assert_eq!(alice.call_tool("prometheus_query", json!({ "query": "1" })).status(), 200);
    assert_eq!(backend.received().len(), 1, "with a token the way is open");
    assert!(reached() > none, "and workers count it");
}

//! What somebody without the right token is told, and the documents that say where to get one.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use e2e::{
    backend::{Backend, answer},
    http::{Answer, Connection, Request, once},
    mcp::Client,
    minter::{self, AUDIENCE, ISSUER},
    process::PATIENCE,
    server::{Server, config, guarded, verification},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

const ROOT: &str = "/.well-known/oauth-protected-resource";
const METADATA: &str =
    "resource_metadata=\"https://mcp.example/.well-known/oauth-protected-resource/mcp\"";

fn backends() -> Value {
    json!({ "main": { "url": "http://127.0.0.1:9" } })
}

fn challenge(answer: &Answer) -> String {
    answer.head.header("WWW-Authenticate").unwrap_or_default()
}

fn list(server: &Server, token: Option<&str>) -> Answer {
    let mut client = Client::stateless(server.mcp);
    if let Some(token) = token {
        client = client.bearing(token);
    }
    once(server.mcp, &client.request("tools/list", json!({})))
}

#[test]
fn whoever_brings_no_token_is_told_where_to_get_one_and_of_no_error() {
    let server = Server::promgate(&guarded(&backends()));
    let answer = list(&server, None);
    assert_eq!(answer.head.status, 401);
    let challenge = challenge(&answer);
    assert!(challenge.starts_with("Bearer "), "{challenge}");
    assert!(challenge.contains(METADATA), "{challenge}");
    assert!(challenge.contains("scope=\"metrics:read\""), "{challenge}");
    assert!(!challenge.contains("error"), "RFC 6750 §3.1: {challenge}");
}

#[test]
fn whoever_brings_a_bad_token_is_told_that_it_is_invalid_and_nothing_more() {
    let server = Server::promgate(&guarded(&backends()));
    let answer = list(&server, Some("bad"));
    assert_eq!(answer.head.status, 401);
    let challenge = challenge(&answer);
    assert!(
        challenge.contains("error=\"invalid_token\"") && challenge.contains(METADATA),
        "{challenge}"
    );
}

#[test]
fn whoever_lacks_a_scope_is_told_which() {
    let mut config = guarded(&backends());
    verification(&mut config)["scopes_required"] = json!(["metrics:read", "metrics:more"]);
    let server = Server::promgate(&config);
    let answer = list(&server, Some(&minter::token("alice")));
    assert_eq!(answer.head.status, 403, "{}", answer.text());
    let challenge = challenge(&answer);
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.contains("scope=\"metrics:read metrics:more\""), "{challenge}");
    assert!(challenge.contains(METADATA), "{challenge}");
    let both = minter::token_with(json!({ "scope": "metrics:more metrics:read" }));
    assert_eq!(list(&server, Some(&both)).head.status, 200);
}

/// The answer to a call of a tool, its challenge, and the reason in its record.
fn called(server: &Server, token: Option<&str>, tool: &str) -> (u16, Option<String>, Value) {
    let id = format!("{tool}-{}", token.is_some());
    let mut client = Client::stateless(server.mcp);
    if let Some(token) = token {
        client = client.bearing(token);
    }
    let params = json!({ "name": tool, "arguments": { "query": "1" } });
    let request = client.request("tools/call", params).header("X-Request-Id", &id);
    let answer = once(server.mcp, &request);
    let record = server.access_record(|record| record["request_id"] == id.as_str());
    assert_eq!(record["status"], answer.head.status, "{record}");
    (answer.head.status, answer.head.header("WWW-Authenticate"), record["reason"].clone())
}

#[test]
fn whoever_may_not_use_a_tool_is_told_what_would_help() {
    let mut config = guarded(&backends());
    config["authorization"] = json!({ "rules": [
        { "name": "public", "who": "anyone", "tools": ["prometheus_query"] },
        {
            "name": "ranges", "who": { "scopes": ["metrics:ranges"] },
            "tools": ["prometheus_range_query"],
        },
        { "name": "bob", "who": { "subjects": ["bob"] }, "tools": ["prometheus_list_metrics"] },
    ] });
    let server = Server::promgate(&config);
    let alice = minter::token("alice");

    let (status, challenge, reason) = called(&server, Some(&alice), "prometheus_range_query");
    let challenge = challenge.expect("a challenge");
    assert_eq!((status, reason), (403, json!("insufficient_scope")));
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.contains("scope=\"metrics:read metrics:ranges\""), "{challenge}");
    assert!(challenge.contains(METADATA), "{challenge}");
    let ranges = minter::token_with(json!({ "scope": "metrics:ranges" }));
    let client = Client::stateless(server.mcp).bearing(&ranges);
    let allowed = client.call_tool("prometheus_range_query", json!({ "query": "1" }));
    assert_eq!(allowed.status(), 200, "{}", allowed.http.text());

    let forbidden = called(&server, Some(&alice), "prometheus_list_metrics");
    assert_eq!(forbidden, (403, None, json!("tool_forbidden")), "no scope would help");

    let (status, challenge, reason) = called(&server, None, "prometheus_range_query");
    let challenge = challenge.expect("a challenge");
    assert_eq!((status, reason), (401, json!("no_token")));
    assert!(challenge.starts_with("Bearer ") && challenge.contains(METADATA), "{challenge}");
    assert!(!challenge.contains("error"), "RFC 6750 §3.1: {challenge}");
    assert_eq!(called(&server, None, "prometheus_query").0, 200, "what is for anyone");
}

#[test]
fn a_challenge_is_one_line_without_what_a_client_sent() {
    let server = Server::promgate(&guarded(&backends()));
    let client = Client::stateless(server.mcp);
    let request = client
        .request("tools/list", json!({}))
        .with("Host", "localhost:1234")
        .header("X-Forwarded-Proto", "gopher")
        .header("X-Forwarded-Host", "evil.example");
    let challenge = challenge(&once(server.mcp, &request));
    assert!(challenge.contains(METADATA), "{challenge}");
    for foreign in ["localhost", "gopher", "evil", "\n", "\t"] {
        assert!(!challenge.contains(foreign), "{challenge:?}");
    }
}

fn full_document() -> Value {
    json!({
        "enabled": true,
        "resource": AUDIENCE,
        "auth_servers": [ISSUER, "https://second.example"],
        "jwks_uri": "https://mcp.example/jwks",
        "scopes_supported": ["metrics:read"],
        "bearer_methods_supported": ["header"],
        "resource_signing_alg_values_supported": ["RS256"],
        "resource_name": "Metrics",
        "resource_documentation": "https://docs.example",
        "resource_policy_uri": "https://policy.example",
        "resource_tos_uri": "https://tos.example",
        "tls_client_certificate_bound_access_tokens": false,
        "authorization_details_types_supported": ["a"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "dpop_bound_access_tokens_required": false,
    })
}

#[test]
fn the_document_of_the_resource_has_freepiks_fields_in_their_order_at_both_places() {
    let mut config = guarded(&backends());
    config["oauth_protected_resource"] = full_document();
    let server = Server::promgate(&config);
    for path in [ROOT.to_owned(), format!("{ROOT}/mcp")] {
        let answer = e2e::http::get(server.mcp, &path);
        assert_eq!(answer.head.status, 200, "{path}");
        let text = answer.text();
        let mut rest = text.as_str();
        for field in [
            "resource",
            "authorization_servers",
            "jwks_uri",
            "scopes_supported",
            "bearer_methods_supported",
            "resource_signing_alg_values_supported",
            "resource_name",
            "resource_documentation",
            "resource_policy_uri",
            "resource_tos_uri",
            "authorization_details_types_supported",
            "dpop_signing_alg_values_supported",
        ] {
            let found = rest.split_once(&format!("\"{field}\":"));
            rest = found.unwrap_or_else(|| panic!("no {field} in its place in {text}")).1;
        }
        let document: Value = serde_json::from_str(&text).unwrap();
        assert!(!text.contains("_bound_"), "what is false is left out: {text}");
        assert_eq!(document["resource"], AUDIENCE);
        assert_eq!(document["authorization_servers"], json!([ISSUER, "https://second.example"]));
    }
}

#[test]
fn fields_without_a_value_are_left_out() {
    let server = Server::promgate(&guarded(&backends()));
    let document: Value = serde_json::from_slice(&e2e::http::get(server.mcp, ROOT).body).unwrap();
    let wanted = json!({
        "resource": AUDIENCE,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["metrics:read"],
        "bearer_methods_supported": ["header"],
    });
    assert_eq!(document, wanted);
}

#[test]
fn documents_are_read_by_any_page_by_get_head_and_options() {
    let server = Server::promgate(&guarded(&backends()));
    let ask = |method: &str| {
        let request = Request::new(method, ROOT).header("Origin", "https://app.example");
        let mut connection = Connection::open(server.mcp);
        connection.send(request.header("Connection", "close").bytes());
        let head = connection.head();
        (head.status, head)
    };
    let (status, head) = ask("GET");
    assert_eq!(status, 200);
    assert!(head.says("content-type", "application/json"), "{head:?}");
    assert_eq!(head.header("Access-Control-Allow-Origin").as_deref(), Some("*"));
    assert!(head.says("cache-control", "max-age"), "{head:?}");
    let length = head.header("Content-Length");
    let (status, head) = ask("HEAD");
    assert_eq!((status, head.header("Content-Length")), (200, length));
    let (status, head) = ask("OPTIONS");
    assert_eq!(status, 204);
    assert_eq!(head.header("Access-Control-Allow-Origin").as_deref(), Some("*"));
    assert!(head.says("access-control-allow-methods", "get"), "{head:?}");
    let (status, head) = ask("POST");
    assert_eq!(status, 405);
    assert!(head.says("allow", "get"), "{head:?}");
}

#[test]
fn documents_do_not_depend_on_the_host_that_was_asked_for() {
    let server = Server::promgate(&guarded(&backends()));
    let ask = |host: &str| once(server.mcp, &Request::new("GET", ROOT).with("Host", host)).text();
    assert_eq!(ask("localhost"), ask("127.0.0.1:1234"));
    assert!(ask("localhost").contains(AUDIENCE));
}

#[test]
fn a_suffix_moves_the_document_at_the_root() {
    let mut config = guarded(&backends());
    config["oauth_protected_resource"]["url_suffix"] = json!("/prometheus");
    let server = Server::promgate(&config);
    let status = |path: &str| e2e::http::get(server.mcp, path).head.status;
    assert_eq!(status(&format!("{ROOT}/prometheus")), 200);
    assert_eq!(status(&format!("{ROOT}/mcp")), 200, "where newer clients look first");
    assert_eq!(status(&format!("{ROOT}/other")), 404);
}

#[test]
fn without_the_setting_there_is_no_document() {
    let server = Server::promgate(&config(&backends()));
    for path in
        [ROOT, "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]
    {
        assert_eq!(e2e::http::get(server.mcp, path).head.status, 404, "{path}");
    }
}

/// A provider whose metadata is what a test says.
struct Upstream {
    backend: Backend,
    answers: Arc<Mutex<(u16, String)>>,
}

impl Upstream {
    fn start() -> Self {
        let answers = Arc::new(Mutex::new((404, "a page".to_owned())));
        let shared = Arc::clone(&answers);
        let backend = Backend::start(move |_asked, stream| {
            let (status, body) = shared.lock().clone();
            answer(stream, status, "application/json", body.as_bytes())
        });
        Self { backend, answers }
    }

    fn answers(&self, status: u16, body: &Value) {
        *self.answers.lock() = (status, body.to_string());
    }

    fn good(&self) -> Value {
        json!({
            "issuer": self.backend.url(),
            "authorization_endpoint": format!("{}/auth", self.backend.url()),
            "token_endpoint": format!("{}/token", self.backend.url()),
            "x": { "kept": true },
        })
    }

    fn mirroring(&self) -> Value {
        let mut config = guarded(&backends());
        config["oauth_authorization_server"] =
            json!({ "enabled": true, "issuer_uri": self.backend.url() });
        config
    }

    fn mirrored(&self) -> Server {
        Server::promgate(&self.mirroring())
    }
}

const MIRRORS: [&str; 2] =
    ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

#[test]
fn metadata_of_the_authorization_server_is_mirrored_and_asked_for_once() {
    let upstream = Upstream::start();
    upstream.answers(200, &upstream.good());
    let server = upstream.mirrored();
    for path in MIRRORS {
        for _ in 0..5 {
            let answer = e2e::http::get(server.mcp, path);
            assert_eq!(answer.head.status, 200, "{path}");
            assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), upstream.good());
            assert_eq!(answer.head.header("Access-Control-Allow-Origin").as_deref(), Some("*"));
        }
    }
    assert!(upstream.backend.received().len() <= 4, "{}", upstream.backend.received().len());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "asks at a pace that leaves the machine to others")]
fn metadata_that_was_good_is_served_while_the_authorization_server_is_down() {
    let upstream = Upstream::start();
    upstream.answers(200, &upstream.good());
    let mut config = upstream.mirroring();
    config["oauth_authorization_server"]["cache_interval"] = json!("10s");
    let server = Server::promgate(&config);
    let good = || {
        for path in MIRRORS {
            let answer = e2e::http::get(server.mcp, path);
            assert_eq!(answer.head.status, 200, "{path}");
            assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), upstream.good());
        }
    };
    good();
    upstream.answers(500, &json!({ "error": "down" }));
    let before = upstream.backend.received().len();
    let deadline = Instant::now() + PATIENCE;
    // Once for each of the two documents, at least.
    while upstream.backend.received().len() < before + 2 {
        assert!(Instant::now() < deadline, "the metadata is not asked for again");
        good();
        thread::sleep(Duration::from_millis(100));
    }
    good();
}

#[test]
fn metadata_that_is_not_there_or_of_another_issuer_is_not_served() {
    let upstream = Upstream::start();
    let mut foreign = upstream.good();
    foreign["issuer"] = json!("https://evil.example");
    let mut longer = upstream.good();
    longer["issuer"] = json!(format!("{}/", upstream.backend.url()));
    for (name, status, body) in [
        ("not found", 404, upstream.good()),
        ("an error", 500, upstream.good()),
        ("another issuer", 200, foreign),
        ("a slash after the issuer", 200, longer),
        ("no issuer", 200, json!({ "token_endpoint": "https://x.example" })),
        ("no object", 200, json!([])),
    ] {
        upstream.answers(status, &body);
        let server = upstream.mirrored();
        for path in MIRRORS {
            let answer = e2e::http::get(server.mcp, path);
            let status = answer.head.status;
            assert!([404, 502, 503].contains(&status), "{name}: {path} is answered with {status}");
            assert!(!answer.text().contains("evil"), "{name}: {}", answer.text());
        }
    }
}

//! Real MCP clients find their own way from the first 401 to a tool call: metadata of the resource, metadata of
//! the authorization server, registration, authorization code with PKCE, token.

use e2e::{
    backend::Backend,
    clients::{node, python},
    provider::{KeptPort, Provider},
    server::{Server, guarded_by},
};
use serde_json::{Value, json};

/// Promgate at an address that is known before: clients insist that the resource is what they were told to use.
fn start() -> (Provider, Backend, Server, String) {
    let port = KeptPort::any();
    let provider = Provider::start();
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let address = format!("127.0.0.1:{}", port.number());
    let url = format!("http://{address}/mcp");
    let issuer = provider.issuer();
    let local = json!({ "discovery": true, "issuer": issuer, "audiences": [url] });
    let mut config = guarded_by(&json!({ "main": { "url": backend.url() } }), local);
    config["server"]["transport"]["http"]["host"] = json!(address);
    config["oauth_protected_resource"] = json!({
        "enabled": true,
        "resource": url,
        "auth_servers": [issuer],
        "scopes_supported": ["metrics:read"],
    });
    let server = Server::promgate(&config);
    (provider, backend, server, url)
}

/// What stands in the transcript, in this order, with anything in between.
fn in_order(report: &Value, provider: &Provider, url: &str) {
    let lines: Vec<&str> =
        report["transcript"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let issuer = provider.issuer();
    let origin = url.strip_suffix("/mcp").unwrap();
    let steps = [
        format!("POST {url} 401 Bearer "),
        format!("GET {origin}/.well-known/oauth-protected-resource/mcp 200"),
        format!("GET {issuer}/.well-known/oauth-authorization-server 200"),
        format!("POST {issuer}/reg 201"),
        format!("GET {issuer}/auth 303"),
        format!("POST {issuer}/token 200"),
        format!("POST {url} 200"),
    ];
    let mut rest = lines.iter();
    for step in &steps {
        assert!(rest.any(|line| line.starts_with(step)), "no {step} in its place in {lines:#?}");
    }
    let document =
        format!("resource_metadata=\"{origin}/.well-known/oauth-protected-resource/mcp\"");
    assert!(lines[0].contains(&document), "{}", lines[0]);
}

fn good(report: &Value, provider: &Provider, url: &str) {
    in_order(report, provider, url);
    assert_eq!(report["asked"]["resource"], url, "{report}");
    assert_eq!(report["asked"]["code_challenge_method"], "S256", "{report}");
    assert_eq!(report["scope"], "metrics:read", "{report}");
    assert_eq!(report["error"], false, "{report}");
    assert_eq!(report["tools"].as_array().map(Vec::len), Some(3), "{report}");
}

#[test]
fn the_typescript_sdk_goes_from_401_to_a_tool_call() {
    let (provider, _backend, server, url) = start();
    good(&node("oauth.mjs", &[&url]), &provider, &url);
    let record = server.access_record(|record| record["tool"] == "prometheus_query");
    assert_eq!(record["status"], 200, "{record}");
}

#[test]
fn the_python_sdk_goes_from_401_to_a_tool_call() {
    let (provider, _backend, _server, url) = start();
    good(&python("py-mcp2", "oauth.py", &[&url]), &provider, &url);
}

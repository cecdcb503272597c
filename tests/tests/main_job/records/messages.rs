//! What a message says of itself, and over what it came.

use e2e::{
    backend::Backend,
    http::{Request, once},
    mcp::{Client, STATELESS},
    server::Server,
};
use serde_json::{Value, json};

fn recorded(server: &Server, id: &str, request: Request) -> Value {
    let _answer = once(server.mcp, &request.header("X-Request-Id", id));
    server.access_record(|record| record["request_id"] == id)
}

#[test]
fn prompts_and_resources_are_named_and_nothing_that_opens_them() {
    let server = Server::in_front_of("http://127.0.0.1:9");
    let client = Client::stateless(server.mcp);
    let prompt = client.request("prompts/get", json!({ "name": "incident" }));
    let prompt = recorded(&server, "r-1", prompt);
    assert_eq!(
        (&prompt["rpc_method"], &prompt["prompt"]),
        (&json!("prompts/get"), &json!("incident"))
    );
    assert!(prompt["tool"].is_null() && prompt["resource"].is_null(), "{prompt}");
    let read = |id: &str, uri: &str| {
        let resource = client.request("resources/read", json!({ "uri": uri }));
        let resource = recorded(&server, id, resource);
        assert!(!resource.to_string().contains("canary"), "{resource}");
        resource["resource"].clone()
    };
    assert_eq!(read("r-2", "prom://eu/rules?token=canary#canary"), "prom://eu/rules");
    assert_eq!(read("r-3", "prom://me:canary@eu/rules"), "(not shown)");
}

#[test]
fn a_request_has_its_id_and_a_replica_its_name() {
    let server = Server::in_front_of("http://127.0.0.1:9");
    let client = Client::stateless(server.mcp);
    for (number, id) in [json!("call-7"), json!(41)].into_iter().enumerate() {
        let request = client.request_with_id(&id, "tools/list", json!({}));
        let record = recorded(&server, &format!("r-{number}"), request);
        let wanted = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        assert_eq!((&record["rpc_id"], &record["replica"]), (&json!(wanted), &json!("local")));
        assert_eq!(record["http_version"], "1.1", "{record}");
    }
}

#[test]
fn a_request_over_http_2_says_so() {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let server = Server::in_front_of(&backend.url());
    // Made for TLS too, which wants a provider although nothing here is encrypted.
    let _set_by_another_test = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params =
        json!({ "name": "prometheus_query", "arguments": { "query": "1" }, "_meta": meta });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = client
        .post(format!("http://{}/mcp", server.mcp))
        .header("Accept", "application/json, text/event-stream")
        .header("MCP-Protocol-Version", STATELESS)
        .header("Mcp-Method", "tools/call")
        .header("Mcp-Name", "prometheus_query")
        .header("X-Request-Id", "r-1")
        .json(&message);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(request.send()).unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    let record = server.access_record(|record| record["request_id"] == "r-1");
    assert_eq!((&record["http_version"], &record["outcome"]), (&json!("2"), &json!("ok")));
    assert_eq!((&record["tool"], &record["rows"]), (&json!("prometheus_query"), &json!(1)));
}

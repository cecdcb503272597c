//! Replicas that share sessions in a store: what each says of the other's requests.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use e2e::{
    backend::{Backend, answer},
    canary::Canaries,
    http::{Connection, Request, once},
    redis::{Redis, Settings},
    replicas::Replicas,
};
use serde_json::{Value, json};

use super::{
    secrets::{detectable, good_token},
    stage::{assert_none, credentials, long},
};

#[test]
fn no_secret_gets_from_one_replica_into_what_another_says() {
    let [config, client]: [Canaries; 2] = Default::default();
    let redis = Redis::start_with(Settings {
        password: Some(config.word("password of Redis")),
        ..Settings::default()
    });
    let backend = Backend::start(|received, stream| {
        let said = format!("{:?}", received.headers);
        let said = json!({ "status": "error", "errorType": "bad_data", "error": said });
        answer(stream, 422, "application/json", said.to_string().as_bytes())
    });
    let admin_token = config.word("admin token");
    let sessions = json!({
        "keys": [long(&config, "session key"), long(&config, "session key of before")],
        "store": "redis",
        "redis": { "url": format!("redis://{}", redis.address()), "password": config.word("password of Redis") },
    });
    let access_logs = json!({
        "included_headers": ["X-Shown"],
        "redacted_headers": ["Authorization", "Mcp-Session-Id"],
        "identity": { "subject": "hashed", "client_id": "hashed", "groups": "hashed" },
        "arguments": { "prometheus_query": { "query": "clear" } },
        "queries": "clear",
        "audit": { "keys": [long(&config, "audit key")] },
        "sinks": [{ "name": "stdout", "type": "stdout", "chain": true, "when_full": "block" }],
    });
    let settings = json!({ "main": credentials(&config, "main", &backend.url()) });
    let (keys, token) = (vec![long(&config, "cluster key")], admin_token.clone());
    let replicas = Replicas::start_with(2, move |_, file| {
        file["sessions"] = sessions.clone();
        file["cluster"]["keys"] = json!(keys);
        file["server"]["admin"]["token"] = json!(token);
        file["middleware"]["access_logs"] = access_logs.clone();
        file["backends"] = settings.clone();
    });
    let admin = |replica: usize, method: &str, path: &str, body: Value| {
        let request =
            Request::new(method, path).header("Authorization", &format!("Bearer {admin_token}"));
        Connection::open(replicas.at(replica).place().admin()).exchange(&request.json(&body))
    };
    for replica in 0..2 {
        assert_eq!(
            admin(replica, "PUT", "/admin/log", json!({ "level": "trace" })).head.status,
            200
        );
    }

    let token = good_token(&client, "good token");
    let owned = replicas.at(0).session(&token);
    let id = owned.session_id().expect("a session").to_owned();
    client.plant("session id", &id);
    let mut said = Vec::new();
    for (number, secret) in detectable(&client, "query").into_iter().enumerate() {
        let query = json!({ "query": format!("up{{a=\"{secret}\"}}") });
        let call =
            owned.request("tools/call", json!({ "name": "prometheus_query", "arguments": query }));
        let request = call
            .header("Cookie", &client.word("cookie"))
            .header("Mcp-Param-Region", &client.word("header Mcp-Param-Region"))
            .header("X-Anything", &client.word("header X-Anything"))
            .header("X-Api-Key", &client.word("header X-Api-Key"))
            .header("Promgate-Hop", &client.word("header Promgate-Hop"))
            .header("Promgate-Facts", &client.word("header Promgate-Facts"))
            .header("tracestate", &format!("a={}", client.word("header tracestate")))
            .header("X-Shown", &client.random("header X-Shown"))
            .header("User-Agent", &client.random("header User-Agent"));
        // Through the other replica, and to that of the session itself.
        let answer = once(replicas.at(1 - number % 2).mcp(), &request);
        said.extend_from_slice(&answer.body);
        said.extend_from_slice(format!("{:?}", answer.head).as_bytes());
    }
    let hop =
        Request::new("POST", "/mcp").header("Promgate-Hop", &client.word("hop of a stranger"));
    let hop =
        hop.header("Authorization", &BASE64_STANDARD.encode(client.word("token of a stranger")));
    let refused = once(replicas.at(0).place().peer(), &hop.header("Connection", "close"));
    assert!(refused.head.status >= 400, "{}", refused.head.status);
    let end = json!({ "issuer": minted(), "subject": client.word("good token: subject") });
    said.extend_from_slice(&admin(1, "POST", "/admin/sessions/end", end).body);
    drop(redis);
    let _lost = once(replicas.at(0).mcp(), &owned.request("tools/list", json!({})));

    let (config, client) = (config.search(), client.search());
    assert_none(config.find(&said));
    for replica in replicas.all() {
        let mut output = Vec::new();
        for path in ["/metrics", "/admin/ring", "/admin/sessions", "/healthz", "/readyz"] {
            output.extend(e2e::http::get(replica.place().admin(), path).body);
        }
        // Those that do not agree on how a session ends may be asked again later: they are ended at once.
        let ended = replica.kill();
        let log = |log: &e2e::process::Log| log.whole().join("\n").into_bytes();
        let (records, errors) = (log(ended.process().stdout()), log(ended.process().stderr()));
        assert!(records.windows(8).any(|text| text == b"\"owner\":"), "one passed on to the other");
        assert!(errors.windows(13).any(|text| text == b"session store"), "the outage was told of");
        for output in [output, records, errors] {
            assert_none(config.find(&output));
            assert_none(client.find(&output));
        }
    }
}

fn minted() -> &'static str {
    e2e::minter::ISSUER
}

//! Replicas that share sessions in a store: what each says of the other's requests.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use e2e::{
    backend::{Backend, answer},
    canary::{Canaries, Search},
    http::{Answer, Connection, Request, once},
    minter::ISSUER,
    process::Log,
    redis::{Redis, Settings},
    replicas::Replicas,
};
use serde_json::{Value, json};

use super::{
    secrets::{detectable, good_token},
    stage::{assert_none, credentials, long},
};

/// Two replicas that share a store, and the secrets of both.
struct World {
    config: Canaries,
    client: Canaries,
    admin_token: String,
    redis: Redis,
    replicas: Replicas,
    _backend: Backend,
}

impl World {
    fn start() -> Self {
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
        let (url, password) =
            (format!("redis://{}", redis.address()), config.word("password of Redis"));
        let changes = json!({
            "sessions": {
                "keys": [long(&config, "session key"), long(&config, "session key of before")],
                "store": "redis",
                "redis": { "url": url, "password": password },
            },
            "backends": { "main": credentials(&config, "main", &backend.url()) },
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
        let (key, token) = (long(&config, "cluster key"), admin_token.clone());
        let replicas = Replicas::start_with(2, move |_, file| {
            for part in ["sessions", "backends"] {
                file[part] = changes[part].clone();
            }
            file["cluster"]["keys"] = json!([key]);
            file["server"]["admin"]["token"] = json!(token);
            file["middleware"]["access_logs"] = access_logs.clone();
        });
        Self { config, client, admin_token, redis, replicas, _backend: backend }
    }

    /// Asks a replica as its operator.
    fn admin(&self, replica: usize, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.admin_token);
        let request = Request::new(method, path).header("Authorization", &bearer).json(body);
        Connection::open(self.replicas.at(replica).place().admin()).exchange(&request)
    }

    /// Asks through both replicas with secrets everywhere, and gives all answers.
    fn ask(&self) -> Vec<u8> {
        let client = &self.client;
        let token = good_token(client, "good token");
        let owned = self.replicas.at(0).session(&token);
        client.plant("session id", owned.session_id().expect("a session"));
        let mut said = Vec::new();
        for (number, secret) in detectable(client, "query").into_iter().enumerate() {
            let query = json!({ "query": format!("up{{a=\"{secret}\"}}") });
            let call = json!({ "name": "prometheus_query", "arguments": query });
            let mut request = owned.request("tools/call", call);
            for name in [
                "Cookie",
                "Mcp-Param-Region",
                "X-Anything",
                "X-Api-Key",
                "Promgate-Hop",
                "Promgate-Facts",
            ] {
                request = request.header(name, &client.word(&format!("header {name}")));
            }
            for name in ["X-Shown", "User-Agent"] {
                request = request.header(name, &client.random(&format!("header {name}")));
            }
            let state = format!("a={}", client.word("header tracestate"));
            // Through the other replica, and to that of the session itself.
            let to = self.replicas.at(1 - number % 2).mcp();
            let answer = once(to, &request.header("tracestate", &state));
            said.extend_from_slice(&answer.body);
            said.extend_from_slice(format!("{:?}", answer.head).as_bytes());
        }
        let hop = Request::new("POST", "/mcp")
            .header("Promgate-Hop", &client.word("hop of a stranger"))
            .header("Authorization", &BASE64_STANDARD.encode(client.word("token of a stranger")))
            .header("Connection", "close");
        let refused = once(self.replicas.at(0).place().peer(), &hop);
        assert!(refused.head.status >= 400, "{}", refused.head.status);
        let end = json!({ "issuer": ISSUER, "subject": client.word("good token: subject") });
        said.extend_from_slice(&self.admin(1, "POST", "/admin/sessions/end", &end).body);
        said
    }
}

#[test]
fn no_secret_gets_from_one_replica_into_what_another_says() {
    let mut world = World::start();
    for replica in 0..2 {
        let all = world.admin(replica, "PUT", "/admin/log", &json!({ "level": "trace" }));
        assert_eq!(all.head.status, 200);
    }
    let said = world.ask();
    world.redis.kill();
    assert_none(world.config.search().find(&said));
    let all = Search::of(&[&world.config, &world.client]);
    for replica in world.replicas.all() {
        let mut output = Vec::new();
        for path in ["/metrics", "/admin/ring", "/admin/sessions", "/healthz", "/readyz"] {
            output.extend(e2e::http::get(replica.place().admin(), path).body);
        }
        let down = |line: &str| line.contains("session store is down");
        let _line = replica.with(|server| server.process().stderr().wait_for("the outage", down));
        // Those that do not agree on how a session ends may be asked again later: they are ended at once.
        let ended = replica.kill();
        let log = |log: &Log| log.whole().join("\n").into_bytes();
        let (records, errors) = (log(ended.process().stdout()), log(ended.process().stderr()));
        assert!(String::from_utf8_lossy(&records).contains("\"owner\":"), "one owns the session");
        for output in [output, records, errors] {
            assert_none(all.find(&output));
        }
    }
}

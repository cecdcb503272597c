//! Replicas that share sessions in a store: what each says of the other's requests.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use e2e::{
    backend::{Backend, answer},
    canary::{Canaries, Search},
    http::{Answer, Connection, Request, once},
    minter::ISSUER,
    paths::temporary_folder,
    process::Log,
    redis::{Redis, Settings},
    replicas::Replicas,
    tls::Authority,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    backends::credentials,
    secrets::{detectable, filed, filed_key, good_token, long, tls},
    stage::assert_none,
};

/// Two replicas that share a store, and the secrets of both.
struct World {
    config: Canaries,
    client: Canaries,
    admin_token: String,
    redis: Redis,
    replicas: Replicas,
    /// What secrets are read from.
    _files: (TempDir, Authority),
    _backend: Backend,
}

/// Where the secrets of the configuration stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    InConfiguration,
    /// In files; and replicas speak TLS, which wants a private key.
    InFiles,
}

impl World {
    fn start(kept: Kept) -> Self {
        let (folder, authority) = (temporary_folder(), Authority::new("replicas"));
        let files = folder.path();
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
        let mut store = json!({ "url": format!("redis://{}", redis.address()) });
        let (sessions, mut cluster, admin, audit);
        if kept == Kept::InFiles {
            store["password_file"] = json!(filed(files, &config, "password of Redis"));
            let keys = ["session key", "session key of before"];
            sessions = json!({ "key_files": keys.map(|key| filed_key(files, &config, key)) });
            cluster = json!({ "key_files": [filed_key(files, &config, "cluster key")] });
            cluster["tls"] = tls(&config, "TLS of replicas", &authority);
            cluster["tls"]["server_name"] = json!("127.0.0.1");
            admin = json!({ "token_file": filed(files, &config, "admin token") });
            audit = json!({ "key_files": [filed_key(files, &config, "audit key")] });
        } else {
            store["password"] = json!(config.word("password of Redis"));
            let keys = ["session key", "session key of before"];
            sessions = json!({ "keys": keys.map(|key| long(&config, key)) });
            cluster = json!({ "keys": [long(&config, "cluster key")] });
            admin = json!({ "token": admin_token });
            audit = json!({ "keys": [long(&config, "audit key")] });
        }
        let main = credentials(&config, "main", &backend.url(), files);
        let access_logs = json!({
            "included_headers": ["X-Shown"],
            "redacted_headers": ["Authorization", "Mcp-Session-Id"],
            "identity": { "subject": "hashed", "client_id": "hashed", "groups": "hashed" },
            "arguments": { "prometheus_query": { "query": "clear" } },
            "queries": "clear",
            "audit": audit,
            "sinks": [{ "name": "stdout", "type": "stdout", "chain": true, "when_full": "block" }],
        });
        let replicas = Replicas::start_with(2, move |_, file| {
            file["sessions"] = sessions.clone();
            file["sessions"]["store"] = json!("redis");
            file["sessions"]["redis"] = store.clone();
            file["backends"] = json!({ "main": main });
            let own = file["cluster"].as_object_mut().expect("a section");
            let _key_of_all_tests = own.remove("keys");
            own.extend(cluster.as_object().cloned().unwrap_or_default());
            file["server"]["admin"] = json!({ "host": file["server"]["admin"]["host"] });
            let own = file["server"]["admin"].as_object_mut().expect("a section");
            own.extend(admin.as_object().cloned().unwrap_or_default());
            file["middleware"]["access_logs"] = access_logs.clone();
        });
        let files = (folder, authority);
        Self { config, client, admin_token, redis, replicas, _files: files, _backend: backend }
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
        let mut peer = Connection::open(self.replicas.at(0).place().peer());
        let refused = peer.try_send(hop.bytes()).and_then(|()| peer.try_answer());
        // With TLS there is no answer at all.
        let status = refused.map_or(400, |answer| answer.head.status);
        assert!(status >= 400, "{status}");
        let end = json!({ "issuer": ISSUER, "subject": client.word("good token: subject") });
        said.extend_from_slice(&self.admin(1, "POST", "/admin/sessions/end", &end).body);
        said
    }
}

#[test]
fn no_secret_gets_from_one_replica_into_what_another_says() {
    assert_silent(World::start(Kept::InConfiguration));
}

#[test]
fn no_secret_in_a_file_gets_into_what_replicas_say() {
    assert_silent(World::start(Kept::InFiles));
}

fn assert_silent(mut world: World) {
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

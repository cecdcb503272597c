//! Who puts secrets everywhere that a client can put one.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use e2e::{
    http::Request,
    mcp::{Client, Reply, STATELESS},
    minter,
};
use serde_json::{Value, json};

use super::{
    secrets::{bad_tokens, detectable, good_token},
    stage::{CONTROL, Stage},
};

const SESSION: &str = "2025-11-25";

/// Who asks.
struct Asker<'s> {
    stage: &'s Stage,
    token: String,
}

/// Asks for everything, with secrets everywhere.
pub(super) fn ask(stage: &Stage) {
    let token = good_token(&stage.client, "good token");
    let asker = Asker { stage, token };
    asker.sessions();
    asker.tools();
    asker.backends();
    asker.names();
    asker.lengths();
    asker.messages();
    asker.tokens();
    asker.targets();
    asker.garbage();
    asker.operator();
    asker.others();
}

impl Asker<'_> {
    fn client(&self) -> Client {
        Client::stateless(self.stage.server.mcp).bearing(&self.token)
    }

    fn word(&self, place: &str) -> String {
        self.stage.client.word(place)
    }

    fn random(&self, place: &str) -> String {
        self.stage.client.random(place)
    }

    /// Sends a request with secrets in all headers that nobody is shown.
    fn send(&self, request: Request) -> Option<Reply> {
        self.stage.send(&self.dressed(request)).map(Reply::of)
    }

    fn call(&self, method: &str, params: Value) -> Option<Reply> {
        self.send(self.client().request(method, params))
    }

    fn tool(&self, name: &str, arguments: Value) -> Option<Reply> {
        self.call("tools/call", json!({ "name": name, "arguments": arguments }))
    }

    fn dressed(&self, request: Request) -> Request {
        let word = |place: &str| self.word(&format!("header {place}"));
        let basic = |place: &str| format!("Basic {}", BASE64_STANDARD.encode(word(place)));
        let mut request = request.header(CONTROL, &self.stage.control.word("control"));
        for name in [
            "X-Api-Key",
            "X-Auth-Token",
            "X-Masked",
            "X-Anything",
            "X-Forwarded-Access-Token",
            "X-Validated-Jwt",
            "Mcp-Param-Region",
            "Mcp-Param-Password",
            "Last-Event-Id",
            "Forwarded",
            "X-Forwarded-For",
            "X-Real-Ip",
            "From",
            "Via",
            "If-None-Match",
            "Promgate-Hop",
            "Promgate-Facts",
            "X-Scope-Orgid",
        ] {
            request = request.header(name, &word(name));
        }
        request = request
            .header("Cookie", &format!("sid={}; b={}", word("Cookie"), word("second cookie")))
            .header("Set-Cookie", &word("Set-Cookie"))
            .header("Proxy-Authorization", &basic("Proxy-Authorization"))
            .header("Referer", &format!("https://host/?token={}", word("Referer")))
            .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
            .header("tracestate", &format!("vendor={}", word("tracestate")))
            .header("baggage", &format!("a={}", word("baggage")));
        // What is shown in the clear holds what detectors know.
        request
            .header("X-Shown", &self.random("header X-Shown"))
            .header("User-Agent", &self.random("header User-Agent"))
            .header("X-Request-Id", &self.random("header X-Request-Id"))
    }

    /// A session from its beginning to its end, and everything that is said in one.
    fn sessions(&self) {
        let address = self.stage.server.mcp;
        let session = Client::session_of(address, SESSION, &self.token);
        let id = session.session_id().expect("a session").to_owned();
        self.stage.client.plant("session id of somebody", &id);
        let opening = json!({ "jsonrpc": "2.0", "id": self.random("id of initialize"), "method": "initialize",
        "params": {
            "protocolVersion": self.random("protocol version"),
            "capabilities": { "experimental": { self.word("capability"): { "a": self.word("capability, inside") } } },
            "clientInfo": {
                "name": self.random("client name"), "version": self.random("client version"),
                "title": self.word("client title"), "websiteUrl": self.word("client website"),
            },
            self.word("a parameter of initialize"): self.word("a parameter's value"),
        }});
        let opened =
            self.send(Client::unopened(address, SESSION).bearing(&self.token).post(&opening));
        if let Some(id) = opened.and_then(|reply| reply.http.head.header("Mcp-Session-Id")) {
            self.stage.client.plant("another session id", &id);
        }
        for (method, params) in [
            (
                "notifications/cancelled",
                json!({ "requestId": self.word("cancelled"), "reason": self.word("reason") }),
            ),
            (
                "notifications/progress",
                json!({ "progressToken": self.word("progress"), "progress": 1, "message": self.word("message") }),
            ),
            ("notifications/roots/list_changed", json!({ "a": self.word("roots") })),
        ] {
            let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
            let _accepted = self.send(session.post(&message));
        }
        let answer = json!({ "jsonrpc": "2.0", "id": self.word("answered"), "result": { "a": self.word("an answer") } });
        let _accepted = self.send(session.post(&answer));
        let level = session.request("logging/setLevel", json!({ "level": self.word("log level") }));
        let _answer = self.send(level);
        let call = json!({ "name": "prometheus_query", "arguments": { "query": "up", "backend": "good" },
            "_meta": { "progressToken": self.word("progress token"), "a": self.word("meta") } });
        let _answer = self.send(session.request("tools/call", call));
        let other = minter::token("somebody else");
        for (id, bearer) in [
            (id.clone(), other.as_str()),
            (self.word("forged session id"), &self.token),
            (format!("{}x", &id[..id.len() - 1]), &self.token),
        ] {
            let foreign = Client::unopened(address, SESSION).bearing(bearer).within(&id);
            let _lost = self.send(foreign.request("tools/list", json!({})));
        }
        let stream = session.bodiless("GET").header("Accept", "text/event-stream");
        let opened = session.stream(&self.dressed(stream.clone()).without("Last-Event-Id"));
        let _refused = self.send(stream);
        let _ended = self.send(session.bodiless("DELETE"));
        drop(opened);
        let _gone = self.send(session.request("tools/list", json!({})));
    }

    /// Every argument of every tool.
    fn tools(&self) {
        for (tool, arguments) in [
            (
                "prometheus_query",
                &["query", "backend", "org_id", "time", "timeout", "limit", "unknown"][..],
            ),
            (
                "prometheus_list_metrics",
                &[
                    "query", "regex", "backend", "org_id", "start", "end", "limit", "offset",
                    "timeout",
                ],
            ),
        ] {
            for argument in arguments {
                for secret in detectable(&self.stage.client, &format!("{tool}.{argument}")) {
                    let mut all = json!({ "query": "up", "backend": "good" });
                    all[*argument] = json!(secret);
                    let _answer = self.tool(tool, all);
                }
            }
        }
        // Of these nothing is shown.
        for argument in
            ["query", "start", "end", "step", "backend", "org_id", "timeout", "limit", "unknown"]
        {
            let mut all = json!({ "query": "up", "backend": "good", "start": "now-5m" });
            let place = format!("prometheus_range_query.{argument}");
            // A query that is one word names a metric, which is shown unless it looks random.
            let secret = if argument == "query" { self.random(&place) } else { self.word(&place) };
            all[argument] = json!(secret);
            let _answer = self.tool("prometheus_range_query", all);
        }
        let word = |place: &str| self.stage.client.word(&format!("PromQL: {place}"));
        let queries = [
            format!("up{{job=\"{}\",pod=~'{}.*'}}", word("label value"), word("pattern")),
            format!("up # {}", word("comment")),
            format!(
                "label_replace(up, \"a\", \"{}\", \"b\", `{}`)",
                word("replacement"),
                word("raw string")
            ),
            format!("up{{a=\"{}", word("value without its end")),
            format!("up{{a=\"\\x{}\"}}", word("value with a wrong escape")),
            format!("\"{}\"", word("text alone")),
            format!("count_values(\"a\", up{{b!=\"{}\"}}) + {}", word("value in a sum"), "1"),
            format!("up{{a=\"x\"}} offset {} \"{}\"", "5m", word("text out of place")),
        ];
        for query in queries {
            let _answer = self.tool(
                "prometheus_range_query",
                json!({ "query": query, "start": "now-5m", "backend": "good" }),
            );
        }
        for name in ["metric", "label", "function"] {
            let secret = self.random(&format!("PromQL: name of a {name}"));
            let query = match name {
                "metric" => secret,
                "label" => format!("up{{{secret}=\"a\"}}"),
                _ => format!("{secret}(up)"),
            };
            let _answer = self.tool(
                "prometheus_range_query",
                json!({ "query": query, "start": "now-5m", "backend": "good" }),
            );
        }
    }

    /// Every backend: those that repeat what we tell them, and those with secrets of their own.
    fn backends(&self) {
        for backend in [
            "good",
            "absent",
            "unauthorized",
            "forbidden",
            "rejected",
            "failed",
            "limited",
            "warned",
            "page",
            "redirect",
            "odd",
            "broken",
            "told",
            "texts",
            "faults",
        ] {
            let _answer =
                self.tool("prometheus_query", json!({ "query": "up", "backend": backend }));
            let _answer = self.tool(
                "prometheus_range_query",
                json!({ "query": "up", "start": "now-5m", "backend": backend }),
            );
            let _answer = self.tool("prometheus_list_metrics", json!({ "backend": backend }));
        }
    }

    /// What is named in a message: names, methods and ids.
    fn names(&self) {
        let client = self.client();
        for secret in detectable(&self.stage.client, "JSON-RPC id") {
            let _answer =
                self.send(client.request_with_id(&json!(secret), "tools/list", json!({})));
        }
        for secret in detectable(&self.stage.client, "JSON-RPC method") {
            // A header cannot hold everything that a body can.
            let _answer = self.send(
                client
                    .request(&secret, json!({ "a": self.word("parameter of an unknown method") })),
            );
        }
        for secret in detectable(&self.stage.client, "name") {
            for (method, key) in
                [("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri")]
            {
                let _answer = self.call(method, json!({ key: secret, "arguments": { "a": self.word("argument of an unknown name") } }));
            }
        }
        for uri in ["user", "password", "query", "fragment"] {
            let secret = self.word(&format!("{uri} of a resource"));
            let uri = match uri {
                "user" => format!("https://{secret}@host/path"),
                "password" => format!("https://user:{secret}@host/path"),
                "query" => format!("https://host/path?key={secret}"),
                _ => format!("https://host/path#{secret}"),
            };
            let _answer = self.call("resources/read", json!({ "uri": uri }));
        }
        let complete = json!({ "ref": { "type": "ref/prompt", "name": self.random("completed prompt") },
            "argument": { "name": self.word("completed argument"), "value": self.word("completed value") } });
        let _answer = self.call("completion/complete", complete);
        let mirrored = client
            .request("tools/list", json!({}))
            .with("Mcp-Method", &self.word("mirrored method"));
        let _refused = self.send(mirrored);
        let version = client
            .request("tools/list", json!({}))
            .with("MCP-Protocol-Version", &self.random("header MCP-Protocol-Version"));
        let _refused = self.send(version);
        let params = json!({ "_meta": {
            "io.modelcontextprotocol/protocolVersion": self.random("protocol version in _meta"),
            "io.modelcontextprotocol/clientInfo": { "name": self.random("client name in _meta"), "version": self.random("version in _meta") },
            "traceparent": self.word("traceparent in _meta"), "tracestate": format!("a={}", self.word("tracestate in _meta")),
            "baggage": self.word("baggage in _meta"), self.word("key in _meta"): self.word("value in _meta"),
        }});
        let message =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params });
        let _refused = self.send(client.post(&message));
    }

    /// Texts that are cut, in the middle of a secret.
    fn lengths(&self) {
        let client = self.client();
        for bytes_max in [64, 128, 256, 512, 2048] {
            for before in [bytes_max - 12, bytes_max - 20, bytes_max - 40] {
                let filler: String = "word ".chars().cycle().take(before).collect();
                let long = |place: &str| {
                    format!("{filler}{}", self.random(&format!("{place}, after {before}")))
                };
                let headers = [long("long user agent"), long("long shown header")];
                let path = long("long path").replace(' ', "/");
                let query = json!({ "query": long("long argument"), "backend": "good" });
                let name = long("long tool");
                let id = json!(long("long id"));
                let requests = [
                    client.request_with_id(
                        &id,
                        "tools/call",
                        json!({ "name": "prometheus_query", "arguments": query }),
                    ),
                    client.request("tools/call", json!({ "name": name })).without("Mcp-Name"),
                    client.request(&long("long method"), json!({})).without("Mcp-Method"),
                    client.request("resources/read", json!({ "uri": format!("file:///{path}") })),
                    Request::new("GET", &format!("/{path}"))
                        .header("Authorization", &format!("Bearer {}", self.token)),
                ];
                for request in requests {
                    let request =
                        request.header("User-Agent", &headers[0]).header("X-Shown", &headers[1]);
                    let _answer = self.stage.send(&request);
                }
            }
        }
    }

    /// Bodies that are not what they should be.
    fn messages(&self) {
        let client = self.client();
        let word = |place: &str| self.stage.client.word(&format!("body: {place}"));
        let bodies: Vec<Vec<u8>> = vec![
            word("a word").into_bytes(),
            format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{{\"a\":\"{}\"", word("cut JSON")).into_bytes(),
            format!("[{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"a\":\"{}\"}}]", word("a batch")).into_bytes(),
            [b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff", word("not UTF-8").as_bytes(), b"\"}"].concat(),
            format!("{{\"jsonrpc\":\"{}\",\"id\":1,\"method\":\"ping\"}}", word("a version")).into_bytes(),
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{{\"a\":\"{}\"}},\"method\":\"ping\"}}", word("an id that is an object")).into_bytes(),
            format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":[\"{}\"]}}", word("a method that is a list")).into_bytes(),
            format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":[\"{}\"]}}", word("parameters that are a list")).into_bytes(),
            format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"prometheus_query\",\"arguments\":\"{}\"}}}}", word("arguments that are text")).into_bytes(),
            format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"{0}\":\"{0}\",\"{0}\":1}}", word("a key, twice")).into_bytes(),
        ];
        for body in bodies {
            let post = client.post(&json!({}));
            let _refused = self.send(post.clone().body(body.clone()));
            let stateless =
                post.header("Mcp-Method", "tools/call").with("MCP-Protocol-Version", STATELESS);
            let _refused = self.send(stateless.body(body));
        }
        let list = client.request("tools/list", json!({}));
        for (name, value) in [
            ("Content-Type", format!("text/{}", self.word("media type"))),
            ("Accept", self.word("header Accept")),
            ("Content-Encoding", self.word("header Content-Encoding")),
            ("Origin", format!("https://{}.example", self.word("header Origin"))),
            ("Host", format!("{}.example", self.word("header Host"))),
            ("Transfer-Encoding", self.word("header Transfer-Encoding")),
            ("Content-Length", self.word("header Content-Length")),
            ("Expect", self.word("header Expect")),
            ("Upgrade", self.word("header Upgrade")),
            ("Connection", self.word("header Connection")),
        ] {
            let _refused = self.send(list.clone().with(name, &value));
        }
        let name = format!("X-{}", self.word("name of a header"));
        let _answer = self.send(list.header(&name, &self.word("value of an odd header")));
    }

    /// Who is let in, and who is not.
    fn tokens(&self) {
        let list = Client::stateless(self.stage.server.mcp).request("tools/list", json!({}));
        for (_, token) in bad_tokens(&self.stage.client) {
            let refused =
                self.send(list.clone().header("Authorization", &format!("Bearer {token}")));
            assert_eq!(refused.map(|reply| reply.status()), Some(401));
        }
        let odd = [
            format!("Basic {}", BASE64_STANDARD.encode(self.word("user and password"))),
            format!("Digest username=\"{}\"", self.word("digest")),
            self.word("no scheme"),
            format!(
                "Bearer {} {}",
                self.word("first of two tokens"),
                self.word("second of two tokens")
            ),
        ];
        for value in odd {
            let _refused = self.send(list.clone().header("Authorization", &value));
        }
        let twice =
            list.clone().header("Authorization", &format!("Bearer {}", self.word("one header")));
        let _refused = self.send(
            twice.header("Authorization", &format!("Bearer {}", self.word("another header"))),
        );
        let _refused = self.send(list);
    }

    /// Lines that begin a request.
    fn targets(&self) {
        let bearer = format!("Bearer {}", self.token);
        let word = |place: &str| self.stage.client.word(&format!("target: {place}"));
        let mut requests = Vec::new();
        for method in ["POST", "GET", "PUT"] {
            for target in [
                format!("/mcp?access_token={}", word("query")),
                format!("/nowhere?{}={}", word("key"), word("value")),
                format!("/mcp?a=%7B{}%7D#{}", word("encoded query"), word("fragment")),
                format!(
                    "http://{}@localhost/mcp?{}",
                    word("user of an address"),
                    word("query of an address")
                ),
                // A path, and so shown.
                format!("//{}/mcp", self.random("target: address without a scheme")),
            ] {
                requests.push(Request::new(method, &target));
            }
        }
        for secret in detectable(&self.stage.client, "path") {
            let encoded: String = secret
                .bytes()
                .map(|byte| {
                    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                        char::from(byte).to_string()
                    } else {
                        format!("%{byte:02X}")
                    }
                })
                .collect();
            let path = if secret.contains([' ', '\\']) { &encoded } else { &secret };
            requests.push(Request::new("GET", &format!("/{path}")));
            requests.push(Request::new("GET", &format!("/{encoded}/more")));
        }
        let verb = self.random("HTTP method");
        requests.push(Request::new(&verb, "/mcp"));
        for request in requests {
            let _answer = self.send(request.header("Authorization", &bearer));
        }
    }

    /// What Pingora itself refuses. Nobody promises a record of these.
    fn garbage(&self) {
        let word = |place: &str| self.stage.client.word(&format!("garbage: {place}"));
        for text in [
            format!("{}\r\n\r\n", word("a line")),
            format!("GET /{} HTTP/9.9\r\n\r\n", word("wrong version")),
            format!(
                "GET /mcp HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n",
                word("header without a colon")
            ),
            format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\nA b: {}\r\n\r\n", word("wrong name")),
            format!(
                "GET /mcp HTTP/1.1\r\nHost: localhost\r\nA: \u{1}{}\r\n\r\n",
                word("control character")
            ),
            format!("CONNECT {}:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", word("tunnel")),
            format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{}", word("wrong preface")),
            format!(
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n",
                word("wrong chunk")
            ),
            format!(
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n{}",
                word("half a body")
            ),
        ] {
            let _answer = self.stage.send_bytes(text.as_bytes());
        }
    }

    /// Calls of the admin listener that change something.
    fn operator(&self) {
        let wrong = self.word("admin token of a stranger");
        let end = json!({ "issuer": self.word("issuer to be ended"), "subject": self.word("subject to be ended") });
        let level = json!({ "level": "trace" });
        let odd = json!({ "level": self.word("level of an operator") });
        for token in [&self.stage.admin_token, &wrong] {
            for (method, path, body) in [
                ("POST", "/admin/sessions/end", &end),
                ("POST", "/admin/sessions/end", &odd),
                ("PUT", "/admin/log", &odd),
                ("PUT", "/admin/log", &level),
                ("GET", "/admin/log?a=b", &level),
            ] {
                let request =
                    Request::new(method, path).header("Authorization", &format!("Bearer {token}"));
                let request =
                    request.json(body).header("Cookie", &self.word("cookie of an operator"));
                let answer =
                    e2e::http::Connection::open(self.stage.server.admin).exchange(&request);
                self.stage.keep(0, &answer);
            }
        }
    }

    /// What somebody else is told after all that.
    fn others(&self) {
        let stranger = Client::stateless(self.stage.server.mcp).bearing(&minter::token("stranger"));
        let [all, wrong, unknown] = [
            stranger.call("tools/list", json!({})),
            stranger.call_tool("prometheus_query", json!({ "query": "up", "backend": "nowhere" })),
            stranger.call_tool("prometheus_query", json!({ "query": "up", "backend": "rejected" })),
        ];
        for reply in [all, wrong, unknown] {
            self.stage.keep(1, &reply.http);
        }
    }
}

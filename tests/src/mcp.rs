//! A small MCP client of both generations that hides nothing.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::http::{Answer, Connection, Events, Request};

/// The revision without sessions.
pub const STATELESS: &str = "2026-07-28";
/// The revisions with sessions, oldest first.
pub const SESSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// A client; several threads may use it at once.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    path: String,
    revision: String,
    token: Option<String>,
    session: Option<String>,
    next_id: AtomicU64,
    idle: Mutex<Option<Connection>>,
}

/// An answer with the JSON-RPC messages in it.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP answer.
    pub http: Answer,
    /// Its messages, the response last.
    pub messages: Vec<Value>,
}

impl Reply {
    /// Reads the messages of an answer.
    #[must_use]
    pub fn of(http: Answer) -> Self {
        let messages = http.messages();
        Self { http, messages }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.http.head.status
    }

    /// The JSON-RPC response; null when there is none.
    #[must_use]
    pub fn response(&self) -> Value {
        self.messages.last().cloned().unwrap_or_default()
    }

    /// The code of the JSON-RPC error, if it is one.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        self.response()["error"]["code"].as_i64()
    }

    /// The result.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn result(&self) -> Value {
        let result = self.response()["result"].clone();
        assert!(!result.is_null(), "no result in {}: {}", self.status(), self.http.text());
        result
    }
}

impl Client {
    /// A client of the revision without sessions.
    #[must_use]
    pub fn stateless(address: SocketAddr) -> Self {
        Self::new(address, STATELESS)
    }

    /// A client that has opened a session of `revision`.
    ///
    /// # Panics
    /// When the server does not let it.
    #[must_use]
    pub fn session(address: SocketAddr, revision: &str) -> Self {
        Self::session_with(address, revision, &json!({}))
    }

    /// A client that has opened a session and declared `capabilities`.
    ///
    /// # Panics
    /// When the server does not let it.
    #[must_use]
    pub fn session_with(address: SocketAddr, revision: &str, capabilities: &Value) -> Self {
        Self::new(address, revision).opened(capabilities)
    }

    /// A client that has opened a session with a token.
    ///
    /// # Panics
    /// When the server does not let it.
    #[must_use]
    pub fn session_of(address: SocketAddr, revision: &str, token: &str) -> Self {
        Self::new(address, revision).bearing(token).opened(&json!({}))
    }

    /// The same client with this token in all that it sends.
    #[must_use]
    pub fn bearing(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// A client that has not opened a session.
    #[must_use]
    pub fn unopened(address: SocketAddr, revision: &str) -> Self {
        Self::new(address, revision)
    }

    /// The same client, in a session that it has not opened itself.
    #[must_use]
    pub fn within(self, session: &str) -> Self {
        Self { session: Some(session.to_owned()), ..self }
    }

    /// A client with the same token in the same session that connects to another address.
    #[must_use]
    pub fn through(&self, address: SocketAddr) -> Self {
        let mut client = Self::new(address, &self.revision);
        client.token.clone_from(&self.token);
        client.session.clone_from(&self.session);
        client
    }

    fn opened(self, capabilities: &Value) -> Self {
        let mut client = self;
        let reply = client.send(&client.initialize(capabilities));
        assert_eq!(reply.status(), 200, "{}", reply.http.text());
        assert_eq!(reply.result()["protocolVersion"], client.revision);
        client.session = reply.http.head.header("Mcp-Session-Id");
        assert!(client.session.is_some(), "initialize gives a session id");
        let accepted = client.notify("notifications/initialized", json!({}));
        assert_eq!(accepted.http.head.status, 202);
        client
    }

    /// One client of each generation.
    #[must_use]
    pub fn of_both_eras(address: SocketAddr) -> [Self; 2] {
        [Self::stateless(address), Self::session(address, "2025-11-25")]
    }

    fn new(address: SocketAddr, revision: &str) -> Self {
        Self {
            address,
            path: "/mcp".to_owned(),
            revision: revision.to_owned(),
            token: None,
            session: None,
            next_id: AtomicU64::new(1),
            idle: Mutex::new(None),
        }
    }

    /// Where it connects to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The id of its session, if it has one.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session.as_deref()
    }

    fn is_stateless(&self) -> bool {
        self.revision.as_str() >= STATELESS
    }

    /// The `initialize` request that opens a session.
    #[must_use]
    pub fn initialize(&self, capabilities: &Value) -> Request {
        let message = json!({ "jsonrpc": "2.0", "id": self.id(), "method": "initialize", "params": {
            "protocolVersion": self.revision,
            "capabilities": capabilities,
            "clientInfo": { "name": "e2e", "version": "1" },
        }});
        self.post(&message)
    }

    /// A request with all that its era wants: `_meta` and mirrored headers, or the session's.
    #[must_use]
    pub fn request(&self, method: &str, params: Value) -> Request {
        self.request_with_id(&json!(self.id()), method, params)
    }

    /// As [`Client::request`], with an id of one's own.
    #[must_use]
    pub fn request_with_id(&self, id: &Value, method: &str, mut params: Value) -> Request {
        if self.is_stateless() {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(self.revision);
            let meta = &mut params["_meta"];
            if meta["io.modelcontextprotocol/clientCapabilities"].is_null() {
                meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
            }
            meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "e2e", "version": "1" });
        }
        let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut request = self.post(&message);
        if self.is_stateless() {
            request = request.header("Mcp-Method", method);
            if let Some(name) = name {
                request = request.header("Mcp-Name", &name);
            }
        }
        request
    }

    /// A POST of `message` with the headers of the era, the mirrored ones apart.
    #[must_use]
    pub fn post(&self, message: &Value) -> Request {
        let request = self.headed(Request::new("POST", &self.path));
        request.header("Accept", "application/json, text/event-stream").json(message)
    }

    /// Adds the headers that every request after `initialize` has.
    fn headed(&self, mut request: Request) -> Request {
        if let Some(token) = &self.token {
            request = request.header("Authorization", &format!("Bearer {token}"));
        }
        let request = match &self.session {
            Some(id) => request.header("Mcp-Session-Id", id),
            None if self.is_stateless() => request,
            None => return request,
        };
        request.header("MCP-Protocol-Version", &self.revision)
    }

    /// Sends a request on a connection that may be an idle one of before.
    ///
    /// # Panics
    /// When no whole answer comes.
    #[must_use]
    pub fn send(&self, request: &Request) -> Reply {
        let idle = self.idle.lock().take();
        let reused = idle.and_then(|mut connection| {
            connection.try_send(request.bytes()).ok()?;
            let answer = connection.try_answer().ok()?;
            Some((connection, answer))
        });
        let (connection, answer) = reused.unwrap_or_else(|| {
            let mut connection = Connection::open(self.address);
            let answer = connection.exchange(request);
            (connection, answer)
        });
        if !answer.head.says("connection", "close") {
            *self.idle.lock() = Some(connection);
        }
        Reply::of(answer)
    }

    /// Calls a method.
    ///
    /// # Panics
    /// When no whole answer comes.
    #[must_use]
    pub fn call(&self, method: &str, params: Value) -> Reply {
        self.send(&self.request(method, params))
    }

    /// Calls a tool.
    ///
    /// # Panics
    /// When no whole answer comes.
    #[must_use]
    pub fn call_tool(&self, name: &str, arguments: Value) -> Reply {
        self.call("tools/call", json!({ "name": name, "arguments": arguments }))
    }

    /// Calls a tool and gives its result, an error of the tool included.
    ///
    /// # Panics
    /// When the server answers with a JSON-RPC error.
    #[must_use]
    pub fn tool(&self, name: &str, arguments: Value) -> Value {
        self.call_tool(name, arguments).result()
    }

    /// Sends a notification.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub fn notify(&self, method: &str, params: Value) -> Reply {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.send(&self.post(&message))
    }

    /// Answers a question of the server.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub fn respond(&self, id: &Value, result: Value) -> Reply {
        self.send(&self.post(&json!({ "jsonrpc": "2.0", "id": id, "result": result })))
    }

    /// Sends a request on a connection of its own and reads the answer as a stream.
    ///
    /// # Panics
    /// When the answer is not a stream.
    #[must_use]
    pub fn stream(&self, request: &Request) -> Events {
        let mut connection = Connection::open(self.address);
        connection.send(request.bytes());
        let head = connection.head();
        assert_eq!(head.status, 200, "{head:?}");
        assert!(head.says("content-type", "text/event-stream"), "{head:?}");
        connection.into_events()
    }

    /// Opens the session's stream for messages that belong to no call.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn listen(&self) -> Events {
        self.stream(&self.bodiless("GET").header("Accept", "text/event-stream"))
    }

    /// A request without a body, with the era's headers.
    #[must_use]
    pub fn bodiless(&self, method: &str) -> Request {
        self.headed(Request::new(method, &self.path))
    }

    /// Ends the session.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub fn delete(&self) -> Reply {
        self.send(&self.bodiless("DELETE"))
    }

    /// Closes the idle connection, if there is one.
    pub fn disconnect(&self) {
        *self.idle.lock() = None;
    }

    /// The client without its idle connection, so that many fit into one process.
    #[must_use]
    pub fn unconnected(self) -> Self {
        self.disconnect();
        self
    }

    fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

//! What is asked, by whom it is answered, and how dear that may be.

use bytes::Bytes;

use crate::{serve::Contender, stub};

/// The revision with sessions that is spoken.
pub const SESSION_REVISION: &str = "2025-11-25";
/// The revision without sessions.
pub const STATELESS_REVISION: &str = "2026-07-28";

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// A POST that a bare Pingora reads and answers with a constant: the unit.
    Static200,
    /// `ping` in a session.
    PingSession,
    /// `tools/list` without a session.
    ToolsListStateless,
    /// `tools/call` without a session, of a tool that answers in process.
    ToolsCallStub,
    /// The same call in a session.
    ToolsCallStubSession,
}

impl Case {
    /// All cases, the unit first.
    pub const ALL: [Self; 5] = [
        Self::Static200,
        Self::PingSession,
        Self::ToolsListStateless,
        Self::ToolsCallStub,
        Self::ToolsCallStubSession,
    ];

    /// Its name on the command line and in the results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Static200 => "static_200",
            Self::PingSession => "ping_session",
            Self::ToolsListStateless => "tools_list_stateless",
            Self::ToolsCallStub => "tools_call_stub",
            Self::ToolsCallStubSession => "tools_call_stub_session",
        }
    }

    /// Who answers it.
    #[must_use]
    pub const fn contender(self) -> Contender {
        match self {
            Self::Static200 => Contender::Bare,
            Self::PingSession
            | Self::ToolsListStateless
            | Self::ToolsCallStub
            | Self::ToolsCallStubSession => Contender::Promgate,
        }
    }

    /// How many times the unit's CPU it may cost; none where nothing is promised.
    #[must_use]
    pub const fn ratio_max(self) -> Option<f64> {
        match self {
            Self::PingSession => Some(1.5),
            Self::ToolsListStateless | Self::ToolsCallStub => Some(1.8),
            Self::Static200 | Self::ToolsCallStubSession => None,
        }
    }

    /// Whether it needs a session.
    #[must_use]
    pub const fn in_session(self) -> bool {
        matches!(self, Self::PingSession | Self::ToolsCallStubSession)
    }

    /// The request, byte for byte.
    #[must_use]
    pub fn request(self, session: &str) -> Bytes {
        let of_session = [("Mcp-Protocol-Version", SESSION_REVISION), ("Mcp-Session-Id", session)];
        match self {
            // Bare Pingora gets what `ping_session` sends: as many fields to parse, as long a body.
            Self::Static200 | Self::PingSession => {
                post(&of_session, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
            }
            Self::ToolsListStateless => post(
                &[("Mcp-Protocol-Version", STATELESS_REVISION), ("Mcp-Method", "tools/list")],
                &stateless("tools/list", ""),
            ),
            Self::ToolsCallStub => post(
                &[
                    ("Mcp-Protocol-Version", STATELESS_REVISION),
                    ("Mcp-Method", "tools/call"),
                    ("Mcp-Name", stub::TOOL),
                ],
                &stateless("tools/call", &format!("{CALL},")),
            ),
            Self::ToolsCallStubSession => post(
                &of_session,
                &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{CALL}}}}}"#),
            ),
        }
    }
}

/// Parameters of a call of the stub.
const CALL: &str = r#""name":"stub","arguments":{"query":"up","time":"now-5m","limit":10}"#;

/// A message of the era without sessions; `params` ends with a comma unless it is empty.
fn stateless(method: &str, params: &str) -> String {
    let meta = format!(
        r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{STATELESS_REVISION}","io.modelcontextprotocol/clientInfo":{{"name":"bench","version":"1.0.0"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}"#
    );
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{meta}}}}}"#)
}

/// Opens a session for a client called `client`.
#[must_use]
pub fn initialize(client: &str) -> Bytes {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{SESSION_REVISION}","capabilities":{{"roots":{{"listChanged":true}},"sampling":{{}},"elicitation":{{}}}},"clientInfo":{{"name":"{client}","version":"1.0.0"}}}}}}"#
    );
    post(&[], &body)
}

/// Opens the GET stream of a session.
#[must_use]
pub fn get_stream(session: &str) -> Bytes {
    let mut head = String::from("GET /mcp HTTP/1.1\r\n");
    let fields = [
        ("Host", "127.0.0.1"),
        ("Accept", "text/event-stream"),
        ("Mcp-Protocol-Version", SESSION_REVISION),
        ("Mcp-Session-Id", session),
    ];
    push_fields(&mut head, &fields);
    head.push_str("\r\n");
    head.into()
}

/// A POST with the fields that clients send.
fn post(fields: &[(&str, &str)], body: &str) -> Bytes {
    let mut request = String::from("POST /mcp HTTP/1.1\r\n");
    let length = body.len().to_string();
    let usual = [
        ("Host", "127.0.0.1"),
        ("Accept", "application/json, text/event-stream"),
        ("Content-Type", "application/json"),
        ("User-Agent", "bench-edge/0.1"),
        ("Content-Length", &length),
    ];
    push_fields(&mut request, &usual);
    push_fields(&mut request, fields);
    request.push_str("\r\n");
    request.push_str(body);
    request.into()
}

fn push_fields(head: &mut String, fields: &[(&str, &str)]) {
    for (name, value) in fields {
        head.extend([name, ": ", value, "\r\n"]);
    }
}

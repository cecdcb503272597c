//! What is asked, by whom it is answered, and how dear that may be.

use bytes::Bytes;

use crate::{serve::Contender, stub, tokens::Signed};

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
    /// The same, asked of a replica that does not own the session, and so passed on to the one that does.
    PingSessionHop,
    /// `tools/list` without a session.
    ToolsListStateless,
    /// The same where nothing is recorded.
    ToolsListAuditOff,
    /// The same by another process that records nothing either.
    ToolsListAuditControl,
    /// The same where each request is recorded, and its record sealed.
    ToolsListAuditChain,
    /// The same where each request is traced, and nothing recorded.
    ToolsListTraced,
    /// `tools/call` without a session, of a tool that answers in process.
    ToolsCallStub,
    /// The same call in a session.
    ToolsCallStubSession,
    /// `tools/list` with a token that nobody has shown before, signed by RSA.
    ToolsListRs256First,
    /// The same with the same token each time.
    ToolsListRs256Cached,
    /// `tools/list` with a token that nobody has shown before, signed on P-256.
    ToolsListEs256First,
    /// `tools/list` without a token where one is asked for.
    Refused401,
}

/// What a request needs besides its own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// The id of a session.
    Session,
    /// A token, the same each time.
    Token(Signed),
    /// A token of its own.
    FreshToken(Signed),
}

impl Case {
    /// All cases, the unit first.
    pub const ALL: [Self; 14] = [
        Self::Static200,
        Self::PingSession,
        Self::PingSessionHop,
        Self::ToolsListStateless,
        Self::ToolsListAuditOff,
        Self::ToolsListAuditControl,
        Self::ToolsListAuditChain,
        Self::ToolsListTraced,
        Self::ToolsCallStub,
        Self::ToolsCallStubSession,
        Self::ToolsListRs256First,
        Self::ToolsListRs256Cached,
        Self::ToolsListEs256First,
        Self::Refused401,
    ];

    /// Its name on the command line and in the results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Static200 => "static_200",
            Self::PingSession => "ping_session",
            Self::PingSessionHop => "ping_session_hop",
            Self::ToolsListStateless => "tools_list_stateless",
            Self::ToolsListAuditOff => "tools_list_audit_off",
            Self::ToolsListAuditControl => "tools_list_audit_control",
            Self::ToolsListAuditChain => "tools_list_audit_chain",
            Self::ToolsListTraced => "tools_list_traced",
            Self::ToolsCallStub => "tools_call_stub",
            Self::ToolsCallStubSession => "tools_call_stub_session",
            Self::ToolsListRs256First => "tools_list_rs256_first",
            Self::ToolsListRs256Cached => "tools_list_rs256_cached",
            Self::ToolsListEs256First => "tools_list_es256_first",
            Self::Refused401 => "refused_401",
        }
    }

    /// Who answers it.
    #[must_use]
    pub const fn contender(self) -> Contender {
        match self {
            Self::Static200 => Contender::Bare,
            Self::PingSessionHop => Contender::Replica,
            Self::ToolsListAuditOff => Contender::Silent,
            Self::ToolsListAuditControl => Contender::Control,
            Self::ToolsListAuditChain => Contender::Audited,
            Self::ToolsListTraced => Contender::Traced,
            Self::PingSession
            | Self::ToolsListStateless
            | Self::ToolsCallStub
            | Self::ToolsCallStubSession => Contender::Promgate,
            Self::ToolsListRs256First
            | Self::ToolsListRs256Cached
            | Self::ToolsListEs256First
            | Self::Refused401 => Contender::Guarded,
        }
    }

    /// How many times the unit's CPU it may cost; none where nothing is promised.
    #[must_use]
    pub const fn ratio_max(self) -> Option<f64> {
        match self {
            Self::PingSession => Some(1.5),
            Self::Refused401 => Some(1.4),
            Self::ToolsListRs256Cached => Some(2.0),
            Self::ToolsListStateless | Self::ToolsCallStub => Some(1.8),
            Self::Static200
            | Self::PingSessionHop
            | Self::ToolsListAuditOff
            | Self::ToolsListAuditControl
            | Self::ToolsListAuditChain
            | Self::ToolsListTraced
            | Self::ToolsCallStubSession
            | Self::ToolsListRs256First
            | Self::ToolsListEs256First => None,
        }
    }

    /// How many microseconds of CPU it may cost beyond [`Case::silent`]; none where nothing is promised.
    #[must_use]
    pub fn extra_us_max(self) -> Option<f64> {
        (self == Self::ToolsListAuditChain).then_some(1.5)
    }

    /// The case that asks the same where nothing is recorded.
    #[must_use]
    pub fn silent(self) -> Option<Self> {
        let compared =
            [Self::ToolsListAuditControl, Self::ToolsListAuditChain, Self::ToolsListTraced];
        compared.contains(&self).then_some(Self::ToolsListAuditOff)
    }

    /// The case whose extra is what the measurement makes of no difference.
    #[must_use]
    pub fn control(self) -> Option<Self> {
        self.silent().map(|_| Self::ToolsListAuditControl)
    }

    /// The case that asks the same of whoever owns the session.
    #[must_use]
    pub fn local(self) -> Option<Self> {
        (self == Self::PingSessionHop).then_some(Self::PingSession)
    }

    /// What its requests need besides their own bytes.
    #[must_use]
    pub const fn credential(self) -> Credential {
        match self {
            Self::PingSession | Self::PingSessionHop | Self::ToolsCallStubSession => {
                Credential::Session
            }
            Self::ToolsListRs256First => Credential::FreshToken(Signed::Rs256),
            Self::ToolsListRs256Cached => Credential::Token(Signed::Rs256),
            Self::ToolsListEs256First => Credential::FreshToken(Signed::Es256),
            Self::Static200
            | Self::ToolsListStateless
            | Self::ToolsListAuditOff
            | Self::ToolsListAuditControl
            | Self::ToolsListAuditChain
            | Self::ToolsListTraced
            | Self::ToolsCallStub
            | Self::Refused401 => Credential::None,
        }
    }

    /// The status of its answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        if matches!(self, Self::Refused401) { 401 } else { 200 }
    }

    /// The request, byte for byte. `credential` is the session's id or the token.
    #[must_use]
    pub fn request(self, credential: &str) -> Bytes {
        let of_session =
            [("Mcp-Protocol-Version", SESSION_REVISION), ("Mcp-Session-Id", credential)];
        let stateless_list =
            [("Mcp-Protocol-Version", STATELESS_REVISION), ("Mcp-Method", "tools/list")];
        match self {
            // Bare Pingora gets what `ping_session` sends: as many fields to parse, as long a body.
            Self::Static200 | Self::PingSession | Self::PingSessionHop => {
                post(&of_session, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
            }
            Self::ToolsListStateless
            | Self::ToolsListAuditOff
            | Self::ToolsListAuditControl
            | Self::ToolsListAuditChain
            | Self::ToolsListTraced
            | Self::Refused401 => post(&stateless_list, &stateless("tools/list", "")),
            Self::ToolsListRs256First | Self::ToolsListRs256Cached | Self::ToolsListEs256First => {
                let bearer = format!("Bearer {credential}");
                let fields = [&stateless_list[..], &[("Authorization", &bearer)]].concat();
                post(&fields, &stateless("tools/list", ""))
            }
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

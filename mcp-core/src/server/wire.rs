//! One JSON-RPC message of a client, read no further than routing needs.
//!
//! Parameters stay raw bytes of the body until the method is known, so that a message is parsed once
//! as an envelope and once as what its method says. What a proxy would have to guess from headers
//! (method, name, version) is read from the body itself.
//!
//! Spec: JSON-RPC 2.0 §4; MCP 2026-07-28, Base Protocol.

use std::{borrow::Cow, fmt};

use rmcp::model::{ErrorCode, RequestId};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny},
};
use serde_json::value::RawValue;

/// A borrowed string where JSON has no escapes, an owned one where it has.
///
/// `Cow<str>` inside an `Option` never borrows under serde, hence this type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Self)
    }
}

struct TextVisitor;

impl<'de> de::Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

/// One message of a client.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every message is a request, and a box would be an allocation for each"
)]
pub enum Message<'a> {
    /// Wants an answer.
    Request(Request<'a>),
    /// Wants none.
    Notification(Notification<'a>),
    /// Answers a request of ours.
    Response(Response<'a>),
}

/// A request of a client.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its id.
    pub id: RequestId,
    /// Its id as the client wrote it, to be repeated byte for byte.
    pub id_raw: &'a str,
    /// Its method.
    pub method: Cow<'a, str>,
    /// Its parameters.
    pub params: Option<&'a RawValue>,
    /// What routing and header checks need of the parameters.
    pub head: ParamsHead<'a>,
    /// What routing and records need of the request's own metadata.
    pub meta: MetaHead<'a>,
}

/// A notification of a client.
#[derive(Debug)]
pub struct Notification<'a> {
    /// Its method.
    pub method: Cow<'a, str>,
    /// Its parameters.
    pub params: Option<&'a RawValue>,
}

/// A client's answer to a request of ours.
#[derive(Debug)]
pub struct Response<'a> {
    /// Id of the request that it answers.
    pub id: RequestId,
    /// Result or error.
    pub outcome: Result<&'a RawValue, &'a RawValue>,
}

/// The parameters that headers mirror, and the request's own metadata.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ParamsHead<'a> {
    /// Request metadata.
    #[serde(borrow, rename = "_meta")]
    pub meta: Option<&'a RawValue>,
    /// Tool or prompt.
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    /// Resource.
    #[serde(borrow)]
    uri: Option<&'a RawValue>,
    /// Task.
    #[serde(borrow, rename = "taskId")]
    task_id: Option<&'a RawValue>,
    /// Page of a list.
    #[serde(borrow)]
    cursor: Option<&'a RawValue>,
    /// Arguments of a tool or prompt.
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl<'a> ParamsHead<'a> {
    /// Tool or prompt, if it is a string. What else it may be is for the method's own parser to say.
    #[must_use]
    pub fn name(&self) -> Option<Cow<'a, str>> {
        text(self.name?)
    }

    /// Whether a list is asked for from a certain page on.
    #[must_use]
    pub const fn has_cursor(&self) -> bool {
        self.cursor.is_some()
    }

    /// Resource, if it is a string.
    #[must_use]
    pub fn uri(&self) -> Option<Cow<'a, str>> {
        text(self.uri?)
    }

    /// Task, if it is a string.
    #[must_use]
    pub fn task_id(&self) -> Option<Cow<'a, str>> {
        text(self.task_id?)
    }

    /// Shows each argument of a tool or prompt by its name, as the JSON that the client wrote. What is no
    /// object has none. A name that is there twice is shown twice; a tool sees the last.
    ///
    /// The arguments are looked through only when this is called, once, and nothing is copied but names with escapes.
    pub fn each_argument(&self, see: impl FnMut(&str, &'a RawValue)) {
        if let Some(arguments) = self.arguments {
            each_member(arguments, see);
        }
    }
}

/// What is read of a request's `_meta`. Everything in it is the client's own word.
///
/// Spec: MCP 2026-07-28, `_meta`; W3C Trace Context in `_meta` (SEP-414).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct MetaHead<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientInfo")]
    client_info: Option<&'a RawValue>,
    #[serde(borrow)]
    traceparent: Option<&'a RawValue>,
    #[serde(borrow)]
    tracestate: Option<&'a RawValue>,
}

/// What a client calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its version.
    pub version: Cow<'a, str>,
}

impl<'a> MetaHead<'a> {
    /// Metadata that is malformed counts as none: where the era requires it, the era check refuses the request.
    fn read(meta: Option<&'a RawValue>) -> Self {
        // serde would read a struct from an array too.
        let meta = meta.filter(|meta| meta.get().starts_with('{'));
        meta.and_then(|meta| serde_json::from_str(meta.get()).ok()).unwrap_or_default()
    }

    /// The protocol version, if it is a string without escapes; a version has none.
    pub(super) fn version(&self) -> Option<&'a str> {
        self.version?.get().strip_prefix('"')?.strip_suffix('"')
    }

    /// Whether it says what the client can do.
    pub(super) fn has_capabilities(&self) -> bool {
        self.capabilities.is_some_and(|raw| raw.get().starts_with('{'))
    }

    /// Whether the client says nothing of itself but what one may say. Spec: MCP 2026-07-28, `Implementation`.
    pub(super) fn client_is_usual(&self) -> bool {
        let usual = ["name", "title", "version", "description", "websiteUrl", "icons"];
        let mut is_usual = true;
        if let Some(client) = self.client_info {
            each_member(client, |name, _| is_usual &= usual.contains(&name));
        }
        is_usual
    }

    /// The object in which the client says what it calls itself, unread.
    pub(super) fn client_raw(&self) -> Option<&'a str> {
        self.client_info.map(RawValue::get).filter(|raw| raw.starts_with('{'))
    }

    /// What the client calls itself.
    #[must_use]
    pub fn client(&self) -> Option<ClientInfo<'a>> {
        #[derive(Deserialize)]
        struct Info<'a> {
            #[serde(borrow)]
            name: Text<'a>,
            #[serde(borrow)]
            version: Text<'a>,
        }
        let Info { name, version } = serde_json::from_str(self.client_raw()?).ok()?;
        Some(ClientInfo { name: name.0, version: version.0 })
    }

    /// `traceparent`, if it is a string; whether it is well formed is for its reader to say.
    #[must_use]
    pub fn traceparent(&self) -> Option<Cow<'a, str>> {
        text(self.traceparent?)
    }

    /// `tracestate`, if it is a string.
    #[must_use]
    pub fn tracestate(&self) -> Option<Cow<'a, str>> {
        text(self.tracestate?)
    }
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

/// Shows each member of a JSON object, unread. What is no object has none.
fn each_member<'a>(object: &'a RawValue, see: impl FnMut(&str, &'a RawValue)) {
    struct Members<F>(F);

    impl<'de, F: FnMut(&str, &'de RawValue)> de::Visitor<'de> for Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: de::MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(name) = map.next_key::<Text<'de>>()? {
                (self.0)(&name.0, map.next_value()?);
            }
            Ok(())
        }
    }

    let mut json = serde_json::Deserializer::from_str(object.get());
    // It was read once as JSON already; what else it may be, such as an array, has no members.
    json.deserialize_map(Members(see)).unwrap_or_default();
}

/// Why a body is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The body is not JSON.
    #[error("the body is not valid JSON")]
    NotJson,
    /// The body is an array of messages.
    #[error("batches are not supported: send one message a request")]
    Batch,
    /// The body is JSON, but no JSON-RPC 2.0 message.
    #[error(
        "the body is not a JSON-RPC 2.0 message: it needs `jsonrpc: \"2.0\"` and a method, or an id with a result or an error"
    )]
    NotAMessage,
    /// The id is neither a string nor an integer.
    #[error("the id must be a string or an integer")]
    BadId,
    /// `params` is not an object.
    #[error("params must be an object")]
    BadParams,
}

impl WireError {
    /// The JSON-RPC error code.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::NotJson => ErrorCode::PARSE_ERROR,
            Self::Batch | Self::NotAMessage | Self::BadId | Self::BadParams => {
                ErrorCode::INVALID_REQUEST
            }
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// `null` is a value too: an id of `null` is a bad id, not the absence of one.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// Reads the body of a POST.
///
/// # Errors
/// [`WireError`] when it is not one JSON-RPC 2.0 message.
pub fn parse(body: &[u8]) -> Result<Message<'_>, WireError> {
    let text = std::str::from_utf8(body).map_err(|_utf8| WireError::NotJson)?;
    // serde would read a struct from an array too.
    if text.trim_ascii_start().starts_with('[') {
        let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
        return Err(if is_json { WireError::Batch } else { WireError::NotJson });
    }
    let envelope: Envelope<'_> =
        serde_json::from_str(text).map_err(|error| not_a_message(&error))?;
    if envelope.jsonrpc.as_ref().is_none_or(|version| version.0 != "2.0") {
        return Err(WireError::NotAMessage);
    }
    let Some(method) = envelope.method else { return response(&envelope) };
    let params = envelope.params.filter(|params| params.get() != "null");
    let Some(id_raw) = envelope.id else {
        return Ok(Message::Notification(Notification { method: method.0, params }));
    };
    let head = match params {
        // serde would read a struct from an array too.
        Some(params) if !params.get().starts_with('{') => return Err(WireError::BadParams),
        Some(params) => {
            serde_json::from_str(params.get()).map_err(|_shape| WireError::BadParams)?
        }
        None => ParamsHead::default(),
    };
    let (id, meta) = (request_id(id_raw)?, MetaHead::read(head.meta));
    let (id_raw, method) = (id_raw.get(), method.0);
    Ok(Message::Request(Request { id, id_raw, method, params, head, meta }))
}

fn not_a_message(error: &serde_json::Error) -> WireError {
    match error.classify() {
        serde_json::error::Category::Data => WireError::NotAMessage,
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        | serde_json::error::Category::Io => WireError::NotJson,
    }
}

fn response<'a>(envelope: &Envelope<'a>) -> Result<Message<'a>, WireError> {
    let id = request_id(envelope.id.ok_or(WireError::NotAMessage)?)?;
    let outcome = match (envelope.result, envelope.error) {
        (Some(result), None) => Ok(result),
        (None, Some(error)) => Err(error),
        (None, None) | (Some(_), Some(_)) => return Err(WireError::NotAMessage),
    };
    Ok(Message::Response(Response { id, outcome }))
}

fn request_id(raw: &RawValue) -> Result<RequestId, WireError> {
    serde_json::from_str(raw.get()).map_err(|_shape| WireError::BadId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> WireError {
        parse(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_request_keeps_its_id_as_written_and_shows_what_headers_mirror() {
        let body = br#"{"jsonrpc":"2.0","id":"a\u0062","method":"tools/call","params":{"name":"x","arguments":{}}}"#;
        let Message::Request(request) = parse(body).unwrap() else { panic!("a request") };
        assert_eq!(request.id, RequestId::String("ab".into()));
        assert_eq!(request.id_raw, r#""a\u0062""#);
        assert_eq!(request.method, "tools/call");
        assert_eq!(request.head.name().unwrap(), "x");
    }

    fn request(params: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
    }

    #[test]
    fn arguments_are_shown_as_they_were_written() {
        let body =
            request(r#"{"name":"x","arguments":{"a\u0062": "\u0063", "n":{"x": [1]},"n":2}}"#);
        let Message::Request(request) = parse(body.as_bytes()).unwrap() else {
            panic!("a request")
        };
        let mut seen = Vec::new();
        request.head.each_argument(|name, raw| seen.push((name.to_owned(), raw.get())));
        let expected = [("ab", r#""\u0063""#), ("n", r#"{"x": [1]}"#), ("n", "2")];
        assert_eq!(seen, expected.map(|(name, raw)| (name.to_owned(), raw)));
    }

    #[test]
    fn what_is_no_object_has_no_arguments() {
        for params in [r"{}", r#"{"arguments":[1]}"#, r#"{"arguments":null}"#, r#"{"arguments":7}"#]
        {
            let body = request(params);
            let Message::Request(request) = parse(body.as_bytes()).unwrap() else {
                panic!("a request")
            };
            request.head.each_argument(|name, _| panic!("{name} in {params}"));
        }
    }

    #[test]
    fn metadata_tells_the_client_and_the_trace() {
        let body = request(
            r#"{"_meta":{"traceparent":"00-a-b-01","tracestate":"v=1",
                "io.modelcontextprotocol/clientInfo":{"name":"n\u006f","version":"1","title":"T"}}}"#,
        );
        let Message::Request(request) = parse(body.as_bytes()).unwrap() else {
            panic!("a request")
        };
        let client = ClientInfo { name: "no".into(), version: "1".into() };
        assert_eq!(request.meta.client(), Some(client));
        assert_eq!(request.meta.traceparent().unwrap(), "00-a-b-01");
        assert_eq!(request.meta.tracestate().unwrap(), "v=1");
    }

    #[test]
    fn metadata_of_the_wrong_kind_tells_nothing() {
        let key = "io.modelcontextprotocol/clientInfo";
        for meta in [
            "7".to_owned(),
            r#"["00"]"#.to_owned(),
            format!(r#"{{"{key}":["n","1"],"traceparent":7,"tracestate":null}}"#),
            format!(r#"{{"{key}":{{"name":"n"}},"traceparent":{{}}}}"#),
        ] {
            let body = request(&format!(r#"{{"_meta":{meta}}}"#));
            let Message::Request(request) = parse(body.as_bytes()).unwrap() else {
                panic!("a request")
            };
            assert_eq!(request.meta.client(), None, "{meta}");
            assert_eq!(request.meta.traceparent(), None, "{meta}");
            assert_eq!(request.meta.tracestate(), None, "{meta}");
        }
    }

    #[test]
    fn what_is_not_one_message_is_refused_with_its_reason() {
        assert_eq!(error("{"), WireError::NotJson);
        assert_eq!(error(""), WireError::NotJson);
        assert_eq!(error("[]"), WireError::Batch);
        assert_eq!(error(r#" [{"jsonrpc":"2.0","method":"ping","id":1}]"#), WireError::Batch);
        assert_eq!(error(r#"["2.0",7,"ping",null,null,null]"#), WireError::Batch);
        assert_eq!(error("7"), WireError::NotAMessage);
        assert_eq!(error(r#"{"id":1,"method":"ping"}"#), WireError::NotAMessage);
        assert_eq!(error(r#"{"jsonrpc":"2.0","id":1}"#), WireError::NotAMessage);
        assert_eq!(
            error(r#"{"jsonrpc":"2.0","id":null,"method":"x","params":{}}"#),
            WireError::BadId
        );
        assert_eq!(error(r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#), WireError::BadId);
        assert_eq!(
            error(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}"#),
            WireError::BadParams
        );
        assert_eq!(parse(b"\xff").unwrap_err(), WireError::NotJson);
    }

    #[test]
    fn deep_nesting_neither_overflows_the_stack_nor_is_parsed() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":{deep}}}}}"#);
        assert!(parse(body.as_bytes()).is_ok());
    }

    #[test]
    fn a_response_carries_a_result_or_an_error_but_not_both() {
        assert!(matches!(
            parse(br#"{"jsonrpc":"2.0","id":3,"result":{}}"#).unwrap(),
            Message::Response(Response { id: RequestId::Number(3), outcome: Ok(_) })
        ));
        assert_eq!(
            error(r#"{"jsonrpc":"2.0","id":3,"result":{},"error":{}}"#),
            WireError::NotAMessage
        );
    }
}

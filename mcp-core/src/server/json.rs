//! Answers as JSON text, written around what is JSON already.

use bytes::Bytes;
use rmcp::ErrorData;

/// `{"jsonrpc":"2.0","id":…,"result":…}` around a result that is JSON already.
pub(super) fn result_json(id_raw: &str, result: &[u8]) -> Bytes {
    let mut json = result_start(id_raw, result.len());
    json.extend_from_slice(result);
    json.push(b'}');
    json.into()
}

/// What comes before the result; a `}` comes after it.
pub(super) fn result_start(id_raw: &str, result_bytes: usize) -> Vec<u8> {
    let mut json = Vec::with_capacity(result_bytes + id_raw.len() + 40);
    json.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    json.extend_from_slice(id_raw.as_bytes());
    json.extend_from_slice(br#","result":"#);
    json
}

/// `{"jsonrpc":"2.0","id":…,"error":…}`.
pub(super) fn error_json(id_raw: Option<&str>, error: &ErrorData) -> Bytes {
    let mut json = Vec::with_capacity(256);
    json.extend_from_slice(br#"{"jsonrpc":"2.0","#);
    if let Some(id_raw) = id_raw {
        json.extend_from_slice(br#""id":"#);
        json.extend_from_slice(id_raw.as_bytes());
        json.push(b',');
    }
    json.extend_from_slice(br#""error":"#);
    if serde_json::to_writer(&mut json, error).is_err() {
        // An error is a code and two plain values, which always serialise; a client still gets JSON.
        json.extend_from_slice(br#"{"code":-32603,"message":"internal error"}"#);
    }
    json.push(b'}');
    json.into()
}

/// One server-sent event that carries `json`, appended to `frames`.
pub(super) fn push_event(frames: &mut Vec<u8>, json: &[u8]) {
    frames.extend_from_slice(b"event: message\ndata: ");
    frames.extend_from_slice(json);
    frames.extend_from_slice(b"\n\n");
}

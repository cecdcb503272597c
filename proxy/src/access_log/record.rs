//! One record: named facts in, one line of JSON out.

use std::{
    cell::RefCell,
    io::Write as _,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use super::{json, redact::RuledHeaders};
use crate::metrics::labels::{Label as _, Outcome};

/// Longest path written, in bytes. The paths that we serve are far shorter; what is longer is
/// somebody's probe, and its beginning tells enough.
const PATH_BYTES_MAX: usize = 512;

/// Longest user agent written, in bytes.
const USER_AGENT_BYTES_MAX: usize = 256;

/// Longest name that a client gave (an RPC method, a tool, a request id) written, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// What is known of one request when it ends. What is `None` is left out of the line.
///
/// There is no field that could hold a URL with its query, a body, a session id or headers that no
/// rule names, so none of these can be logged by mistake.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When the request ended.
    pub time: SystemTime,
    /// Its id, as answered to the client.
    pub request_id: &'a str,
    /// HTTP method.
    pub method: &'a str,
    /// The request's path as it came. From a `?` or `#` on nothing is written.
    pub path: &'a [u8],
    /// Version of HTTP that the client spoke.
    pub http_version: http::Version,
    /// Status answered; `None` when no answer was begun.
    pub status: Option<u16>,
    /// Time from the request's header to the last byte of its answer.
    pub duration: Duration,
    /// Bytes of the request's body that were read.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were written.
    pub bytes_out: u64,
    /// Address of the client.
    pub peer: Option<SocketAddr>,
    /// Value of `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// JSON-RPC method, as the client wrote it.
    pub rpc_method: Option<&'a str>,
    /// Tool, as the client wrote it.
    pub tool: Option<&'a str>,
    /// Configured name of the backend that served the call.
    pub backend: Option<&'a str>,
    /// Number of the worker that served the request.
    pub worker: Option<u16>,
    /// Name of the replica that owns the session, and the number of its worker.
    pub owner: Option<(&'a str, u16)>,
    /// How many replicas the request passed through before this one.
    pub hop: u8,
    /// The client's address, as the replica says that passed it on.
    pub client: Option<IpAddr>,
    /// Name of the replica that passed it on.
    pub via: Option<&'a str>,
    /// MCP generation of the request; a word of ours, never a client's.
    pub era: Option<&'static str>,
    /// How the request ended.
    pub outcome: Outcome,
    /// Why it was refused, in one word of ours.
    pub reason: Option<&'static str>,
    /// Headers that a rule names.
    pub headers: Option<RuledHeaders<'a>>,
}

impl Record<'_> {
    /// Appends the record to `line` as one JSON object and a line feed.
    pub(super) fn write_to(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(br#"{"time":""#);
        write_time(line, self.time);
        line.extend_from_slice(br#"","request_id":"#);
        json::text(line, self.request_id.as_bytes(), NAME_BYTES_MAX);
        line.extend_from_slice(br#","method":"#);
        json::text(line, self.method.as_bytes(), NAME_BYTES_MAX);
        line.extend_from_slice(br#","path":"#);
        json::text(line, plain_path(self.path), PATH_BYTES_MAX);
        line.extend_from_slice(br#","http_version":""#);
        line.extend_from_slice(version(self.http_version));
        line.push(b'"');
        if let Some(status) = self.status {
            number(line, br#","status":"#, u64::from(status));
        }
        self.write_figures(line);
        self.write_names(line);
        line.extend_from_slice(br#","outcome":""#);
        line.extend_from_slice(self.outcome.label().as_bytes());
        line.push(b'"');
        if let Some(reason) = self.reason {
            line.extend_from_slice(br#","reason":""#);
            line.extend_from_slice(reason.as_bytes());
            line.push(b'"');
        }
        if let Some(headers) = &self.headers {
            headers.write_to(line);
        }
        line.extend_from_slice(b"}\n");
    }

    fn write_figures(&self, line: &mut Vec<u8>) {
        let micros = u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX);
        number(line, br#","duration_ms":"#, micros / 1000);
        line.push(b'.');
        json::padded(line, micros % 1000, 3);
        number(line, br#","bytes_in":"#, self.bytes_in);
        number(line, br#","bytes_out":"#, self.bytes_out);
        if let Some(peer) = self.peer {
            line.extend_from_slice(br#","peer":""#);
            write_peer(line, peer);
            line.push(b'"');
        }
        if let Some(client) = self.client {
            // Writing into a `Vec` cannot fail.
            write!(line, ",\"client\":\"{client}\"").unwrap_or_default();
        }
    }

    fn write_names(&self, line: &mut Vec<u8>) {
        if let Some(user_agent) = self.user_agent {
            line.extend_from_slice(br#","user_agent":"#);
            json::text(line, user_agent, USER_AGENT_BYTES_MAX);
        }
        let names: [(&[u8], Option<&str>); 5] = [
            (br#","rpc_method":"#, self.rpc_method),
            (br#","tool":"#, self.tool),
            (br#","backend":"#, self.backend),
            (br#","era":"#, self.era),
            (br#","via":"#, self.via),
        ];
        for (key, name) in names {
            if let Some(name) = name {
                line.extend_from_slice(key);
                json::text(line, name.as_bytes(), NAME_BYTES_MAX);
            }
        }
        if let Some(worker) = self.worker {
            number(line, br#","worker":"#, u64::from(worker));
        }
        if let Some((node, worker)) = self.owner {
            line.extend_from_slice(br#","owner":""#);
            json::escaped(line, node.as_bytes(), NAME_BYTES_MAX);
            line.push(b'/');
            json::number(line, u64::from(worker));
            line.push(b'"');
            number(line, br#","hop":"#, u64::from(self.hop));
        }
    }
}

/// Appends the line that stands for records that were lost.
pub(super) fn write_dropped(line: &mut Vec<u8>, time: SystemTime, records: u64) {
    line.extend_from_slice(br#"{"time":""#);
    write_time(line, time);
    number(line, br#"","event":"records_dropped","records":"#, records);
    line.extend_from_slice(b"}\n");
}

/// `path` without query and fragment.
///
/// A target that is not a path (absolute form, authority form) may hold a user and a password, so
/// nothing of it is written.
fn plain_path(path: &[u8]) -> &[u8] {
    if path.first() != Some(&b'/') {
        return if path == b"*" { path } else { b"(not a path)" };
    }
    path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default()
}

fn version(version: http::Version) -> &'static [u8] {
    match version {
        http::Version::HTTP_10 => b"1.0",
        http::Version::HTTP_11 => b"1.1",
        http::Version::HTTP_2 => b"2",
        _ => b"other",
    }
}

fn number(line: &mut Vec<u8>, key: &[u8], value: u64) {
    line.extend_from_slice(key);
    json::number(line, value);
}

fn write_peer(line: &mut Vec<u8>, peer: SocketAddr) {
    match peer.ip() {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    line.push(b'.');
                }
                json::number(line, u64::from(octet));
            }
            line.push(b':');
            json::number(line, u64::from(peer.port()));
        }
        // Rarer, and its short form is not worth writing anew. Writing into a `Vec` cannot fail.
        IpAddr::V6(_) => write!(line, "{peer}").unwrap_or_default(),
    }
}

/// A second, and the part of its RFC 3339 form before the fraction.
#[derive(Debug)]
struct Second {
    number: u64,
    text: Vec<u8>,
}

thread_local! {
    /// The second that this thread wrote last: the calendar is worked out once a second.
    static LAST_SECOND: RefCell<Second> =
        const { RefCell::new(Second { number: u64::MAX, text: Vec::new() }) };
}

/// Appends `time` in UTC with milliseconds. Spec: RFC 3339 §5.6.
pub(super) fn write_time(line: &mut Vec<u8>, time: SystemTime) {
    // A clock before 1970 is broken; the epoch says so more plainly than a made-up date.
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    LAST_SECOND.with_borrow_mut(|second| {
        if second.number != since_epoch.as_secs() {
            second.number = since_epoch.as_secs();
            let timestamp = i64::try_from(second.number)
                .ok()
                .and_then(|number| jiff::Timestamp::from_second(number).ok())
                .unwrap_or_default();
            second.text.clear();
            write!(second.text, "{timestamp}").unwrap_or_default();
            // The zone, which goes after the fraction.
            second.text.pop();
        }
        line.extend_from_slice(&second.text);
    });
    line.push(b'.');
    json::padded(line, u64::from(since_epoch.subsec_millis()), 3);
    line.push(b'Z');
}

#[cfg(test)]
mod tests;

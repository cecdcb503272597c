//! A syslog server: each record is one message, over TCP, TLS or a socket of this machine.
//!
//! Over a stream each message is preceded by its length, so that it may hold anything; to a datagram socket each is one
//! datagram. Syslog has no answer: what was on its way when a connection broke is in nobody's hands, and counts as
//! written. A message of which only a part was sent is sent again, whole.
//!
//! Spec: RFC 5424 for the message, RFC 6587 §3.4.1 for its length, RFC 5425 for TLS.

mod connection;

use std::io::{self, Write as _};

use self::connection::Connection;
use crate::{
    access_log::{
        AccessLogError,
        output::{Done, Output},
    },
    config::{Syslog, SyslogAddress},
};

/// Bytes of messages that are made before they are sent.
const FRAMES_BYTES: usize = 64 << 10;

/// Severity of all messages: informational. What a record means is said in it. Spec: RFC 5424 §6.2.1, table 2.
const SEVERITY: u8 = 6;

/// Characters of a time in a record, which is a time of RFC 5424 too.
const TIME_CHARS: usize = 24;

/// How far into a record its time may begin.
const TIME_PLACE_MAX: usize = 96;

/// A syslog server.
pub(in crate::access_log) struct SyslogOutput {
    target: connection::Target,
    connection: Option<Connection>,
    /// `<PRI>1 `.
    before_time: String,
    /// ` HOSTNAME APP-NAME PROCID MSGID SD `.
    after_time: String,
    /// Messages, and where each ends: in them, and in the records.
    frames: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

impl SyslogOutput {
    /// Nothing is connected yet.
    pub(in crate::access_log) fn new(config: &Syslog) -> Result<Self, AccessLogError> {
        let Syslog { address, facility, app_name, timeout } = config;
        let priority = facility * 8 + SEVERITY;
        Ok(Self {
            target: connection::Target::new(address, *timeout)?,
            connection: None,
            before_time: format!("<{priority}>1 "),
            after_time: format!(" {} {app_name} {} access - ", host_name(), std::process::id()),
            frames: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// Makes messages of the first records.
    fn frame(&mut self, records: &[u8], counted: bool) {
        self.frames.clear();
        self.ends.clear();
        let mut taken = 0;
        for record in records.split_inclusive(|byte| *byte == b'\n') {
            taken += record.len();
            let text = record.strip_suffix(b"\n").unwrap_or(record);
            let time = time_of(text);
            let parts = [self.before_time.as_bytes(), time, self.after_time.as_bytes(), text];
            if counted {
                let length: usize = parts.iter().map(|part| part.len()).sum();
                // Writing into a `Vec` cannot fail.
                write!(self.frames, "{length} ").unwrap_or_default();
            }
            for part in parts {
                self.frames.extend_from_slice(part);
            }
            self.ends.push((self.frames.len(), taken));
            if !counted || self.frames.len() >= FRAMES_BYTES {
                break;
            }
        }
    }
}

impl Output for SyslogOutput {
    fn write(&mut self, records: &[u8]) -> io::Result<Done> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.target.connect()?,
        };
        // Whoever has closed it reads nothing more: what we wrote would be lost and nobody would know.
        connection.check()?;
        self.frame(records, connection.is_stream());
        let (sent, result) = connection.send(&self.frames);
        let whole = self.ends.iter().take_while(|(end, _)| *end <= sent).last();
        let taken = whole.map_or(0, |(_, taken)| *taken);
        match result {
            Ok(()) => self.connection = Some(connection),
            // A datagram of its length will never be taken.
            Err(error) if connection.is_too_long(&error) => {
                self.connection = Some(connection);
                let bytes = self.ends.last().map_or(records.len(), |(_, taken)| *taken);
                return Ok(Done { bytes, rejected: 1 });
            }
            // The next write connects anew, and sends again what was sent in part.
            Err(error) if taken == 0 => return Err(error),
            Err(_broken) => {}
        }
        Ok(Done::bytes(taken))
    }
}

/// The time in a record; the one that stands for none where there is none.
fn time_of(record: &[u8]) -> &[u8] {
    let start = record.get(..TIME_PLACE_MAX.min(record.len())).unwrap_or_default();
    let keys: [&[u8]; 2] = [br#""time":""#, br#""@timestamp":""#];
    let place = keys.into_iter().find_map(|key| {
        let found = start.windows(key.len()).position(|part| part == key)?;
        Some(found + key.len())
    });
    let time = place.and_then(|place| record.get(place..place + TIME_CHARS));
    time.filter(|time| time.ends_with(b"Z")).unwrap_or(b"-")
}

/// The name of this machine, as a message may have it. Spec: RFC 5424 §6.2.4.
fn host_name() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().unwrap_or_default();
    let plain: String = name.chars().filter(char::is_ascii_graphic).take(255).collect();
    if plain.is_empty() { "-".to_owned() } else { plain }
}

/// What a server is told apart by in errors.
fn shown(address: &SyslogAddress) -> String {
    match address {
        SyslogAddress::Tcp { host, port } => format!("tcp://{host}:{port}"),
        SyslogAddress::Tls { host, port, .. } => format!("tls://{host}:{port}"),
        SyslogAddress::Unix(path) => format!("unix://{}", path.display()),
    }
}

//! A record as one line of JSON, and what the ECS line shares with it.

use std::{
    hint::cold_path,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use super::{
    Event, Field, Tell, Value, json, plain,
    record::{Run, Said, See},
    redact::{self, MASK, Rule, Rules, Shown},
    runs,
    short::{self, Keys},
};
use crate::field::SCHEMA_VERSION;

/// Longest header value written, in bytes; several values of one name count together.
const HEADER_BYTES_MAX: usize = 512;

/// Longest text of an argument written, in bytes. It was kept no longer.
const ARGUMENT_BYTES_MAX: usize = 4096;

/// What stands before a value; the longest name has 17 bytes.
static KEYS: Keys<24> = Keys::of(&Field::NAMES, "\":");

/// What stands before a text.
static KEYS_OF_TEXTS: Keys<24> = Keys::of(&Field::NAMES, "\":\"");

/// Appends the record as one JSON object and a line feed.
#[inline(never)]
pub(super) fn write(told: &(impl Tell + ?Sized), rules: &Rules, out: &mut Vec<u8>) {
    told.record().visit(&mut Line { out, rules });
    out.extend_from_slice(b"}\n");
}

/// A line that is being written.
struct Line<'l> {
    out: &'l mut Vec<u8>,
    rules: &'l Rules,
}

impl Line<'_> {
    fn shows(&self, field: Field) -> bool {
        self.rules.rule(field) == Rule::Show
    }

    /// Appends a fact. Says whether all of it is shown, and as it is.
    fn shows_as_it_is(&mut self, field: Field, said: Said<'_>) -> bool {
        let from = self.out.len();
        said.show(field, self);
        let Some(text) = said.bytes() else { return true };
        let written = self.out.get(from..).unwrap_or_default();
        let shown = written.strip_prefix(KEYS_OF_TEXTS.text(field));
        self.shows(field) && shown.and_then(|shown| shown.strip_suffix(b"\"")) == Some(text)
    }

    /// Appends a text that needs no escapes.
    #[inline(never)]
    fn plain(&mut self, field: Field, text: &[u8]) {
        KEYS_OF_TEXTS.append_to(self.out, field);
        short::append(self.out, text);
        self.out.push(b'"');
    }
}

/// Most facts are plain words and numbers, to which nothing has to be done but to write them.
///
/// Nothing that several facts share is inlined: when a request ends, the code that writes its record is no longer in the instruction cache, so what
/// counts is how much of it there is. What facts share stands there once, and who has a fact only calls it.
impl<'a> See<'a> for Line<'_> {
    #[inline(never)]
    fn value(&mut self, field: Field, value: Value<'a>) {
        let Self { out, rules } = self;
        match rules.rule(field) {
            Rule::Leave => {}
            Rule::Show => {
                KEYS.append_to(out, field);
                put(out, field, value, rules);
            }
            Rule::Redact(redaction) => {
                KEYS_OF_TEXTS.append_to(out, field);
                rules.put_redacted(out, (field, redaction), value);
                out.push(b'"');
            }
        }
    }

    fn begin(&mut self, event: Event, time: SystemTime) {
        begin(self.out, event.word(), time);
    }

    #[inline(never)]
    fn word(&mut self, field: Field, word: &'static str) {
        if self.shows(field) {
            self.plain(field, word.as_bytes());
        } else {
            cold_path();
            self.value(field, Value::Word(word));
        }
    }

    #[inline(never)]
    fn text(&mut self, field: Field, text: &'a str) {
        if self.shows(field) && json::is_plain(text.as_bytes(), field.bytes_max()) {
            self.plain(field, text.as_bytes());
        } else {
            cold_path();
            self.value(field, Value::Text(text));
        }
    }

    #[inline(never)]
    fn client(&mut self, field: Field, text: &'a [u8]) {
        if self.shows(field) && redact::is_plain(field, text) {
            self.plain(field, text);
        } else {
            cold_path();
            self.value(field, Value::Client(text));
        }
    }

    fn made(&mut self, field: Field, text: &'a [u8]) {
        debug_assert!(redact::is_plain(field, text), "something of a client's passes for ours");
        if self.shows(field) {
            self.plain(field, text);
        } else {
            cold_path();
            self.value(field, Value::Client(text));
        }
    }

    #[inline(never)]
    fn addresses(&mut self, peer: Option<SocketAddr>, client: Option<IpAddr>) {
        // Without a proxy the client is the other end: its address is worked out once.
        if let (Some(peer), Some(client)) = (peer, client)
            && peer.ip() == client
            && peer.is_ipv4()
            && self.shows(Field::Peer)
            && self.shows(Field::Client)
        {
            let out = &mut *self.out;
            KEYS_OF_TEXTS.append_to(out, Field::Peer);
            let from = out.len();
            plain::address(out, client);
            let address = from..out.len();
            plain::port(out, peer.port());
            out.push(b'"');
            KEYS_OF_TEXTS.append_to(out, Field::Client);
            out.extend_from_within(address);
            out.push(b'"');
            return;
        }
        self.each_address(peer, client);
    }

    #[inline(never)]
    fn run(&mut self, run: Run, facts: &[Said<'a>]) {
        let which = (self.rules.id(), run);
        if runs::append(self.out, which, facts) {
            return;
        }
        cold_path();
        let from = self.out.len();
        let mut are_shown = true;
        for (field, said) in run.fields().iter().zip(facts) {
            are_shown &= self.shows_as_it_is(*field, *said);
        }
        if are_shown {
            runs::remember(which, facts, self.out.get(from..).unwrap_or_default());
        }
    }

    #[inline(never)]
    fn span(&mut self, field: Field, span: Duration) {
        if self.shows(field) {
            KEYS.append_to(self.out, field);
            plain::milliseconds(self.out, span);
        } else {
            cold_path();
            self.value(field, Value::Span(span));
        }
    }

    #[inline(never)]
    fn number(&mut self, field: Field, number: u64) {
        if self.shows(field) {
            KEYS.append_to(self.out, field);
            json::number(self.out, number);
        } else {
            cold_path();
            self.value(field, Value::Number(number));
        }
    }
}

/// Appends what every JSON line begins with.
pub(super) fn begin(out: &mut Vec<u8>, event: Option<&str>, time: SystemTime) {
    const { assert!(SCHEMA_VERSION == 1) }
    out.extend_from_slice(br#"{"v":1"#);
    if let Some(event) = event {
        out.extend_from_slice(br#","event":""#);
        out.extend_from_slice(event.as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(br#","time":""#);
    plain::time(out, time);
    out.push(b'"');
}

/// Appends a value as JSON.
pub(super) fn put(out: &mut Vec<u8>, field: Field, value: Value<'_>, rules: &Rules) {
    match value {
        Value::Word(word) => quoted(out, |out| short::append(out, word.as_bytes())),
        Value::Text(text) => json::text(out, text.as_bytes(), field.bytes_max()),
        Value::Client(text) => quoted(out, |out| rules.put_field(out, field, text, json::escaped)),
        Value::Number(number) => json::number(out, number),
        Value::Time(time) => quoted(out, |out| plain::time(out, time)),
        Value::Span(span) => plain::milliseconds(out, span),
        Value::Socket(peer) => quoted(out, |out| plain::socket(out, peer)),
        Value::Address(address) => quoted(out, |out| plain::address(out, address)),
        Value::Seat(node, worker) => quoted(out, |out| {
            json::escaped(out, node.as_bytes(), field.bytes_max());
            out.push(b'/');
            json::number(out, u64::from(worker));
        }),
        Value::List(texts) => list(out, texts, |out, text| {
            json::escaped(out, text.as_bytes(), field.bytes_max());
        }),
        Value::ClientList(texts) => list(out, texts, |out, text| {
            rules.put_field(out, field, text.as_bytes(), json::escaped);
        }),
        Value::Headers(headers) => {
            object(out, headers.iter(), |out, shown| put_header(out, shown, rules));
        }
        Value::Arguments(arguments) => {
            object(out, arguments.iter(), |out, text| {
                json::escaped(out, text, ARGUMENT_BYTES_MAX);
            });
        }
    }
}

/// Appends the values of a header as one list, without quotes. Spec: RFC 9110 §5.3.
fn put_header(out: &mut Vec<u8>, shown: Shown<'_>, rules: &Rules) {
    header(out, shown, rules, json::escaped);
}

/// Like [`put_header`], in the way of a format.
pub(super) fn header(out: &mut Vec<u8>, shown: Shown<'_>, rules: &Rules, put: redact::Put) {
    let Shown::Values(values) = shown else { return out.extend_from_slice(MASK) };
    let mut room = HEADER_BYTES_MAX;
    let mut before: &[u8] = b"";
    for value in &values {
        out.extend_from_slice(before);
        before = b", ";
        rules.put_client(out, value.as_bytes(), room, put);
        if value.len() > room {
            break;
        }
        room -= value.len();
    }
}

/// Appends several texts.
fn list(out: &mut Vec<u8>, texts: &[Box<str>], put: impl Fn(&mut Vec<u8>, &str)) {
    out.push(b'[');
    for (place, text) in texts.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        quoted(out, |out| put(out, text));
    }
    out.push(b']');
}

/// Appends texts by name.
fn object<T>(
    out: &mut Vec<u8>,
    named: impl Iterator<Item = (impl AsRef<str>, T)>,
    mut put: impl FnMut(&mut Vec<u8>, T),
) {
    let mut before = b'{';
    for (name, text) in named {
        out.push(before);
        before = b',';
        json::text(out, name.as_ref().as_bytes(), usize::MAX);
        out.push(b':');
        quoted(out, |out| put(out, text));
    }
    if before == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

fn quoted(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    put(out);
    out.push(b'"');
}

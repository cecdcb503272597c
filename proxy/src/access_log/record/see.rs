//! Who looks at the facts of a record, and in which groups they are shown.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use super::Event;
use crate::{
    access_log::{Field, Value},
    field::SCHEMA_VERSION,
};

/// Facts that stand beside each other and are the same in many records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::access_log) enum Run {
    /// What was asked for, and where.
    Target,
    /// What the client says of itself.
    Client,
    /// What it calls. By itself, since each client calls several methods.
    Method,
}

impl Run {
    /// Every one, in the order of [`Run::index`].
    pub(in crate::access_log) const ALL: [Self; 3] = [Self::Target, Self::Client, Self::Method];

    /// Most facts of one.
    pub(in crate::access_log) const FACTS_MAX: usize = 5;

    /// Its place among all.
    pub(in crate::access_log) const fn index(self) -> usize {
        match self {
            Self::Target => 0,
            Self::Client => 1,
            Self::Method => 2,
        }
    }

    /// The fields of its facts, in their order: [`Run::FACTS_MAX`] at most.
    pub(in crate::access_log) const fn fields(self) -> &'static [Field] {
        match self {
            Self::Target => {
                &[Field::Replica, Field::Listener, Field::Method, Field::Path, Field::HttpVersion]
            }
            Self::Client => &[
                Field::UserAgent,
                Field::Era,
                Field::ProtocolVersion,
                Field::ClientName,
                Field::ClientVersion,
            ],
            Self::Method => &[Field::RpcMethod],
        }
    }
}

/// What is remembered of a run has room for so many facts, and is found by its place.
#[expect(clippy::indexing_slicing, reason = "this runs when it is compiled")]
const _: () = {
    let mut place = 0;
    while place < Run::ALL.len() {
        assert!(Run::ALL[place].index() == place);
        assert!(Run::ALL[place].fields().len() <= Run::FACTS_MAX);
        place += 1;
    }
};

/// A text of a run.
#[derive(Debug, Clone, Copy)]
pub(in crate::access_log) enum Said<'a> {
    /// It is not known.
    Nothing,
    /// One of our own words.
    Word(&'static str),
    /// A text of ours or of the operator.
    Text(&'a str),
    /// A client's text.
    Client(&'a [u8]),
}

impl<'a> Said<'a> {
    /// Its bytes, where there are some.
    pub(in crate::access_log) const fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Nothing => None,
            Self::Word(word) => Some(word.as_bytes()),
            Self::Text(text) => Some(text.as_bytes()),
            Self::Client(text) => Some(text),
        }
    }

    /// Shows it to somebody.
    pub(in crate::access_log) fn show(self, field: Field, seer: &mut (impl See<'a> + ?Sized)) {
        match self {
            Self::Nothing => {}
            Self::Word(word) => seer.word(field, word),
            Self::Text(text) => seer.text(field, text),
            Self::Client(text) => seer.client(field, text),
        }
    }

    pub(super) fn by_client(text: Option<&'a str>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Client(text.as_bytes()))
    }
}

/// Whoever looks at the facts of a record. The kinds of which a record has most have a way of their own, for whoever has
/// one for them.
pub(in crate::access_log) trait See<'a> {
    /// Sees a fact.
    fn value(&mut self, field: Field, value: Value<'a>);

    /// Sees one of our own words.
    fn word(&mut self, field: Field, word: &'static str) {
        self.value(field, Value::Word(word));
    }

    /// Sees a text of ours or of the operator.
    fn text(&mut self, field: Field, text: &'a str) {
        self.value(field, Value::Text(text));
    }

    /// Sees a client's text.
    fn client(&mut self, field: Field, text: &'a [u8]) {
        self.value(field, Value::Client(text));
    }

    /// Sees what stands in the place of a client's text, and was made by us: nothing has to be looked for in it.
    fn made(&mut self, field: Field, text: &'a [u8]) {
        self.client(field, text);
    }

    /// Sees a number.
    fn number(&mut self, field: Field, number: u64) {
        self.value(field, Value::Number(number));
    }

    /// Sees a length of time.
    fn span(&mut self, field: Field, span: Duration) {
        self.value(field, Value::Span(span));
    }

    /// Sees what every record begins with.
    fn begin(&mut self, event: Event, time: SystemTime) {
        self.number(Field::Version, SCHEMA_VERSION);
        if let Some(event) = event.word() {
            self.word(Field::Event, event);
        }
        self.value(Field::Time, Value::Time(time));
    }

    /// Sees the other end of the connection, and the client.
    fn addresses(&mut self, peer: Option<SocketAddr>, client: Option<IpAddr>) {
        self.each_address(peer, client);
    }

    /// Sees each of both for itself.
    fn each_address(&mut self, peer: Option<SocketAddr>, client: Option<IpAddr>) {
        if let Some(peer) = peer {
            self.value(Field::Peer, Value::Socket(peer));
        }
        if let Some(client) = client {
            self.value(Field::Client, Value::Address(client));
        }
    }

    /// Sees facts that are the same in many records, in the order of [`Run::fields`].
    fn run(&mut self, run: Run, facts: &[Said<'a>]) {
        for (field, said) in run.fields().iter().zip(facts) {
            said.show(*field, self);
        }
    }
}

impl<'a, F: FnMut(Field, Value<'a>)> See<'a> for F {
    fn value(&mut self, field: Field, value: Value<'a>) {
        self(field, value);
    }
}

//! The value of a fact.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use super::redact::{Arguments, RuledHeaders};

/// A fact's value, as it is known: before any rule of the log.
///
/// Which of these a field has is fixed by its [`Kind`](crate::field::Kind).
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// One of our own words, which needs no escapes.
    Word(&'static str),
    /// Text of ours or of the operator.
    Text(&'a str),
    /// Text that a client gave; it need not be UTF-8.
    Client(&'a [u8]),
    /// A whole number.
    Number(u64),
    /// A moment.
    Time(SystemTime),
    /// A length of time.
    Span(Duration),
    /// An address with its port.
    Socket(SocketAddr),
    /// An address.
    Address(IpAddr),
    /// A replica and the number of its worker, written as `name/number`.
    Seat(&'a str, u16),
    /// Several texts of ours or of a token.
    List(&'a [Box<str>]),
    /// Several texts that a client gave.
    ClientList(&'a [Box<str>]),
    /// Headers that a rule names, each as its rule lets it be seen.
    Headers(RuledHeaders<'a>),
    /// Arguments that a rule names, each as its rule lets it be seen.
    Arguments(&'a Arguments),
}

/// The form of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One line of JSON.
    Json,
    /// One line of JSON with the names of the Elastic Common Schema.
    Ecs,
    /// One entry of a `ScopeLogs` message of the `OpenTelemetry` protocol.
    Otlp,
}

impl Format {
    /// Every format, in the order of [`Format::index`].
    pub const ALL: [Self; 3] = [Self::Json, Self::Ecs, Self::Otlp];

    /// Its place in [`Format::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Json => 0,
            Self::Ecs => 1,
            Self::Otlp => 2,
        }
    }
}

//! OpenTelemetry data on its way to a receiver: how it is written, and how it is sent.
//!
//! Spans and log records differ in one message each; what surrounds them ([`Envelope`]) and how they travel
//! ([`Client`]) is the same. The messages are written by hand ([`protobuf`]): they are few, they never change once they
//! are out, and whoever has a fact writes it where it goes, without a tree of objects in between.
//!
//! Modules, in order: `protobuf`, `envelope`, `answer`, `seldom`, `client`.
//!
//! Spec: OTLP 1.10, <https://opentelemetry.io/docs/specs/otlp/>.

pub mod protobuf;

mod envelope;

mod answer;

mod seldom;

mod client;

pub use self::{
    answer::{SendError, Taken},
    client::{Client, ClientError, Signal},
    envelope::{ENTRY, Envelope, Resource},
    seldom::Seldom,
};

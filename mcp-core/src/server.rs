//! Streamable HTTP for MCP, without HTTP: what a message means and what is answered.
//!
//! A thin layer of our own over rmcp's model types and its `ServerHandler`. A call is a future polled in
//! its request's own task; a session is state in a table. rmcp's HTTP service and session manager are
//! not used: they cost three times the CPU and fifty times the memory.
//!
//! Life of a POST: [`wire::parse`] reads the envelope, [`era::route`] decides which generation it
//! belongs to and checks its headers, a [`Worker`] serves it and gives a [`Reply`].

pub mod wire;

pub mod mirror;

pub mod era;

mod json;

mod running;

mod stream;

mod facts;

mod client;

mod reply;

mod request;

mod changes;

mod events;

mod principals;

mod saved;

mod sessions;

mod table;

mod listeners;

mod notices;

mod service;

mod calls;

mod figures;

mod worker;

pub use self::{
    changes::{Change, Changes},
    client::Client,
    figures::Figures,
    principals::PrincipalCounts,
    reply::{Accepts, Asker, Body, Reply},
    running::{Bound, Ending},
    saved::{CannotRestore, SavedSession},
    service::Service,
    sessions::Opening,
    stream::{EventStream, StreamKind},
    table::EndedSession,
    worker::{Swept, Worker},
};

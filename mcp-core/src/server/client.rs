//! Which client a request comes from, as far as it says.

use std::sync::Arc;

use rmcp::model::{InitializeRequestParams, ProtocolVersion};

use super::{
    facts::Facts,
    wire::{ClientInfo, Message},
};

/// Longest name or version kept of a client that says them with each request, in bytes. What is longer is cut.
const TEXT_BYTES_MAX: usize = 256;

/// What is known of a request's client: the protocol version that it speaks, and what it calls itself. All but the version
/// that was agreed on is the client's own word.
#[derive(Debug, Clone)]
pub struct Client(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// What it said when it opened its session, shared with that.
    Session(Arc<Facts>),
    /// What the request itself says.
    Request { version: ProtocolVersion, info: Option<Info> },
}

#[derive(Debug, Clone)]
struct Info {
    name: Box<str>,
    version: Box<str>,
}

impl Client {
    /// The client of a session. Nothing is copied.
    pub(super) fn of_session(facts: &Arc<Facts>) -> Self {
        Self(Kind::Session(Arc::clone(facts)))
    }

    /// The client of a message of the stateless era.
    #[must_use]
    pub fn stateless(version: &ProtocolVersion, message: &Message<'_>) -> Self {
        let info = match message {
            Message::Request(request) => request.meta.client(),
            Message::Notification(_) | Message::Response(_) => None,
        };
        let info = info.map(|ClientInfo { name, version }| Info {
            name: bounded(&name),
            version: bounded(&version),
        });
        Self(Kind::Request { version: version.clone(), info })
    }

    /// The client that asks to open a session; the version is the one that it asks for.
    #[must_use]
    pub fn opening(params: &InitializeRequestParams) -> Self {
        let client = &params.client_info;
        let info = Info { name: bounded(&client.name), version: bounded(&client.version) };
        Self(Kind::Request { version: params.protocol_version.clone(), info: Some(info) })
    }

    /// The protocol version agreed on or, of a request that stands for itself or was refused a session, asked for.
    #[must_use]
    pub fn protocol_version(&self) -> &str {
        match &self.0 {
            Kind::Session(facts) => facts.version.as_str(),
            Kind::Request { version, .. } => version.as_str(),
        }
    }

    /// What it calls itself.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Kind::Session(facts) => Some(&facts.init.client_info.name),
            Kind::Request { info, .. } => info.as_ref().map(|info| info.name.as_ref()),
        }
    }

    /// The version that it says it has.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match &self.0 {
            Kind::Session(facts) => Some(&facts.init.client_info.version),
            Kind::Request { info, .. } => info.as_ref().map(|info| info.version.as_ref()),
        }
    }
}

fn bounded(text: &str) -> Box<str> {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text.get(..end).unwrap_or_default().into()
}

//! Which client a request comes from, as far as it says.

use std::{cell::RefCell, sync::Arc};

use rmcp::model::{InitializeRequestParams, ProtocolVersion};

use super::{
    facts::Facts,
    wire::{ClientInfo, Message, MetaHead},
};
use crate::recent::Recent;

/// Longest name or version kept of a client that says them with each request, in bytes. What is longer is cut.
const TEXT_BYTES_MAX: usize = 256;

/// Clients that a thread remembers.
const KNOWN_MAX: usize = 8;

/// Longest that is remembered of what a client says of itself, in bytes.
const KNOWN_BYTES_MAX: usize = 512;

thread_local! {
    /// The clients that a thread heard last. Without a session a client says with each request what it calls itself, in
    /// the same words, and to read them costs as much as the rest of `_meta` does. Who says more of itself than one may
    /// is not remembered: it could be anything.
    static KNOWN: RefCell<Recent<Known>> = const { RefCell::new(Recent::new(KNOWN_MAX)) };
}

/// What is known of a request's client: the protocol version that it speaks, and what it calls itself. All but the version
/// that was agreed on is the client's own word.
#[derive(Debug, Clone)]
pub struct Client(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// What it said when it opened its session, shared with that.
    Session(Arc<Facts>),
    /// What the request itself says.
    Request { version: ProtocolVersion, info: Option<Arc<Info>> },
}

#[derive(Debug)]
struct Info {
    name: Box<str>,
    version: Box<str>,
}

/// What a client was heard to say, and what that means.
struct Known {
    raw: Box<str>,
    info: Arc<Info>,
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
            Message::Request(request) => Info::said_in(&request.meta),
            Message::Notification(_) | Message::Response(_) => None,
        };
        Self(Kind::Request { version: version.clone(), info })
    }

    /// The client that asks to open a session; the version is the one that it asks for.
    #[must_use]
    pub fn opening(params: &InitializeRequestParams) -> Self {
        let client = &params.client_info;
        let info = Info { name: bounded(&client.name), version: bounded(&client.version) };
        let info = Some(Arc::new(info));
        Self(Kind::Request { version: params.protocol_version.clone(), info })
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

impl Info {
    /// What the client says of itself in the metadata of a request.
    fn said_in(meta: &MetaHead<'_>) -> Option<Arc<Self>> {
        let raw = meta.client_raw()?;
        KNOWN.with_borrow_mut(|known| {
            if let Some(known) = known.find(|known| *known.raw == *raw) {
                return Some(Arc::clone(&known.info));
            }
            let ClientInfo { name, version } = meta.client()?;
            let info = Arc::new(Self { name: bounded(&name), version: bounded(&version) });
            if raw.len() <= KNOWN_BYTES_MAX && meta.client_is_usual() {
                known.add(Known { raw: raw.into(), info: Arc::clone(&info) });
            }
            Some(info)
        })
    }
}

fn bounded(text: &str) -> Box<str> {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text.get(..end).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::wire;

    #[test]
    fn a_client_is_remembered_unless_it_says_too_much() {
        let long = "i".repeat(KNOWN_BYTES_MAX);
        for (info, is_kept) in [
            (r#"{"name":"a","version":"1"}"#.to_owned(), true),
            (r#"{"name":"a","version":"1","title":"A","icons":[]}"#.to_owned(), true),
            (r#"{"name":"a","version":"1","token":"t"}"#.to_owned(), false),
            (r#"{"name":"a","version":"1","t\u006fken":"t"}"#.to_owned(), false),
            (format!(r#"{{"name":"a","version":"1","icons":["{long}"]}}"#), false),
            (r#"{"name":"a"}"#.to_owned(), false),
        ] {
            let meta = format!(r#"{{"io.modelcontextprotocol/clientInfo":{info}}}"#);
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"_meta":{meta}}}}}"#
            );
            let message = wire::parse(body.as_bytes()).unwrap();
            let first = Client::stateless(&ProtocolVersion::LATEST, &message);
            let kept = KNOWN.with_borrow_mut(|known| known.find(|one| *one.raw == *info).is_some());
            assert_eq!(kept, is_kept, "{info}");
            let second = Client::stateless(&ProtocolVersion::LATEST, &message);
            assert_eq!((first.name(), first.version()), (second.name(), second.version()));
        }
    }
}

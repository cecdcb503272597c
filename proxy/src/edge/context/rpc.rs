//! The message of a request, as far as its record tells of it.

use mcp_core::server::wire::{Message, Notification, Request};

use crate::{
    access_log::{Arguments, Rules},
    metrics::labels::{Label as _, RpcMethod},
};

/// Longest id of a request kept without memory of its own, in bytes. Clients count, or take UUIDs.
const ID_BYTES_MAX: usize = 64;

/// Longest text kept of what a client may name as it likes: more than any record shows, so that what the detectors
/// look for is found although it is cut.
const TEXT_CHARS_MAX: usize = 1024;

/// The message of a request.
#[derive(Debug)]
pub(in crate::edge) struct Rpc {
    pub(in crate::edge) method: RpcMethod,
    /// The method as the client wrote it, where it is none that we know.
    other: Option<Box<str>>,
    id: RpcId,
    pub(in crate::edge) tool: Option<Box<str>>,
    pub(in crate::edge) prompt: Option<Box<str>>,
    pub(in crate::edge) resource: Option<Box<str>>,
    /// Arguments of the tool that rules of the log name.
    pub(in crate::edge) arguments: Option<Arguments>,
}

/// The id of a request, without the quotes of a text.
#[derive(Debug)]
struct RpcId {
    bytes: [u8; ID_BYTES_MAX],
    length: u8,
    /// One that does not fit.
    long: Option<Box<str>>,
}

impl Rpc {
    /// As much of the message as the record tells, and its rules.
    pub(super) fn of(message: &Message<'_>, rules: Option<&Rules>) -> Self {
        match message {
            Message::Request(request) => Self::of_request(request, rules),
            Message::Notification(Notification { method, .. }) => Self::of_method(method),
            Message::Response(_) => Self::bare(RpcMethod::Answer),
        }
    }

    fn of_request(request: &Request<'_>, rules: Option<&Rules>) -> Self {
        let mut rpc = Self::of_method(&request.method);
        rpc.id = RpcId::of(request.id_raw);
        let head = &request.head;
        let names_resource = matches!(
            rpc.method,
            RpcMethod::ResourcesRead
                | RpcMethod::ResourcesSubscribe
                | RpcMethod::ResourcesUnsubscribe
        );
        if rpc.method == RpcMethod::ToolsCall {
            rpc.tool = head.name().map(Into::into);
            let named = rules.zip(rpc.tool.as_deref());
            rpc.arguments = named
                .and_then(|(rules, tool)| rules.arguments(tool, |see| head.each_argument(see)));
        } else if rpc.method == RpcMethod::PromptsGet {
            rpc.prompt = head.name().map(|name| bounded(&name));
        } else if names_resource {
            rpc.resource = head.uri().map(|uri| bounded(&uri));
        }
        rpc
    }

    fn of_method(text: &str) -> Self {
        let method = RpcMethod::of(text);
        // A client cannot make us keep more.
        let other = (method == RpcMethod::Other).then(|| bounded(text));
        Self { other, ..Self::bare(method) }
    }

    const fn bare(method: RpcMethod) -> Self {
        let id = RpcId { bytes: [0; ID_BYTES_MAX], length: 0, long: None };
        Self { method, other: None, id, tool: None, prompt: None, resource: None, arguments: None }
    }

    /// The method as the client wrote it.
    pub(in crate::edge) fn name(&self) -> Option<&str> {
        let known = !matches!(self.method, RpcMethod::Answer | RpcMethod::Other);
        if known { Some(self.method.label()) } else { self.other.as_deref() }
    }

    /// The id as the client wrote it; none where the message has none.
    pub(in crate::edge) fn id(&self) -> Option<&[u8]> {
        if let Some(long) = &self.id.long {
            return Some(long.as_bytes());
        }
        self.id.bytes.get(..usize::from(self.id.length)).filter(|id| !id.is_empty())
    }
}

impl RpcId {
    fn of(raw: &str) -> Self {
        let bare = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
        let long = (bare.len() > ID_BYTES_MAX).then(|| bounded(bare));
        let mut id = Self { bytes: [0; ID_BYTES_MAX], length: 0, long };
        for (to, from) in id.bytes.iter_mut().zip(bare.bytes()) {
            *to = from;
            id.length += 1;
        }
        id
    }
}

fn bounded(text: &str) -> Box<str> {
    text.chars().take(TEXT_CHARS_MAX).collect::<String>().into()
}

//! The label values that exist. Nothing else can become one, whatever a client sends.

use mcp_core::observe::ToolOutcome;

/// A closed set of label values.
pub trait Label: Copy + 'static {
    /// Every value, in the order of [`Label::index`].
    const ALL: &'static [Self];

    /// Place of the value in [`Label::ALL`].
    fn index(self) -> usize;

    /// The value as it stands in metrics and records.
    fn label(self) -> &'static str;

    /// What the value means, as whole sentences for the table of all metrics.
    fn meaning(self) -> &'static str;
}

/// Implements [`Label`] for an enum without fields, given the label of each variant. The comments are
/// the meanings.
macro_rules! label_for {
    ($name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $label:literal,)+ }) => {
        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            #[expect(clippy::as_conversions, reason = "the discriminant of an enum without fields")]
            fn index(self) -> usize {
                self as usize
            }

            fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }

            fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

/// Makes an enum whose variants each have one label.
macro_rules! closed_set {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $label:literal,)+ }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        label_for! { $name { $($(#[doc = $doc])+ $variant = $label,)+ }}
    };
}

closed_set! {
    /// How a request ended, as the access log and the metrics say it.
    Outcome {
        /// Served as asked.
        Ok = "ok",
        /// Understood, but the caller asked for something that cannot be: bad arguments, bad
        /// PromQL, an unknown RPC method, malformed JSON.
        CallerError = "caller_error",
        /// A metrics backend failed us.
        BackendError = "backend_error",
        /// Refused at the edge before anybody read it: framing, `Host`, `Origin`, method, headers.
        Rejected = "rejected",
        /// No such path.
        NotFound = "not_found",
        /// No token, or one that was refused.
        Unauthenticated = "unauthenticated",
        /// A good token, but not for this.
        Forbidden = "forbidden",
        /// More than the caller's share in this time.
        RateLimited = "rate_limited",
        /// A session that does not exist, or no longer.
        UnknownSession = "unknown_session",
        /// A body over the limit.
        TooLarge = "too_large",
        /// A bound of this process was reached; the client may try again.
        Overloaded = "overloaded",
        /// The client sent its request too slowly.
        SlowClient = "slow_client",
        /// A call was ended at its deadline.
        Timeout = "timeout",
        /// The client left before its answer was written whole.
        ClientGone = "client_gone",
        /// Another replica, or the store of sessions, was needed and not there.
        Unavailable = "unavailable",
        /// A fault of ours: a panic, or a state that should not be.
        Internal = "internal",
    }
}

impl Outcome {
    /// The outcome of that label, as another replica writes it.
    #[must_use]
    pub fn of_label(label: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|outcome| outcome.label().as_bytes() == label)
    }
}

impl From<ToolOutcome> for Outcome {
    fn from(outcome: ToolOutcome) -> Self {
        match outcome {
            ToolOutcome::Ok => Self::Ok,
            ToolOutcome::CallerError => Self::CallerError,
            ToolOutcome::BackendError => Self::BackendError,
            ToolOutcome::Denied => Self::Forbidden,
        }
    }
}

closed_set! {
    /// Why the edge refused a request.
    Rejection {
        /// No `Host`, several, or one that is not allowed.
        Host = "host",
        /// An `Origin` that is not allowed.
        Origin = "origin",
        /// Body framing that two parsers could read differently.
        Framing = "framing",
        /// A request target that is not a path, or is malformed.
        Target = "target",
        /// `Upgrade` or `CONNECT`.
        Upgrade = "upgrade",
        /// A path that is not served.
        Path = "path",
        /// A method that the path does not take.
        Method = "method",
        /// `Accept` allows none of the forms we answer in.
        Accept = "accept",
        /// `Content-Type` is not JSON.
        ContentType = "content_type",
        /// An encoded body.
        ContentEncoding = "content_encoding",
        /// Headers too many, too large or malformed.
        Headers = "headers",
        /// A body over the limit.
        BodySize = "body_size",
        /// A body that did not arrive within the limit.
        BodyTime = "body_time",
        /// A body that ended early.
        BodyTruncated = "body_truncated",
        /// A body that is not one JSON-RPC message.
        Message = "message",
        /// A protocol revision that we do not speak.
        ProtocolVersion = "protocol_version",
        /// Mirrored headers that say something else than the body.
        HeaderMismatch = "header_mismatch",
        /// A session id is needed and missing, or malformed.
        SessionMissing = "session_missing",
        /// The session does not exist, or no longer.
        SessionUnknown = "session_unknown",
        /// No token, or one that was refused.
        Token = "token",
        /// A good token, but not for this.
        Policy = "policy",
        /// More than the caller's share in this time.
        Rate = "rate",
        /// A bound on sessions, calls or streams was reached.
        Overloaded = "overloaded",
        /// A request on the port of the replicas that none of them signed.
        Hop = "hop",
    }
}

closed_set! {
    /// HTTP method of a request, as far as MCP uses them.
    HttpMethod {
        /// A message from the client.
        Post = "POST",
        /// The session's stream.
        Get = "GET",
        /// The end of a session.
        Delete = "DELETE",
        /// Anything else.
        Other = "other",
    }
}

impl From<&http::Method> for HttpMethod {
    fn from(method: &http::Method) -> Self {
        match *method {
            http::Method::POST => Self::Post,
            http::Method::GET => Self::Get,
            http::Method::DELETE => Self::Delete,
            _ => Self::Other,
        }
    }
}

closed_set! {
    /// Status code of an answer.
    StatusCode {
        /// 200.
        Ok = "200",
        /// 202.
        Accepted = "202",
        /// 204.
        NoContent = "204",
        /// 400.
        BadRequest = "400",
        /// 401.
        Unauthorized = "401",
        /// 403.
        Forbidden = "403",
        /// 404.
        NotFound = "404",
        /// 405.
        MethodNotAllowed = "405",
        /// 406.
        NotAcceptable = "406",
        /// 408.
        RequestTimeout = "408",
        /// 409.
        Conflict = "409",
        /// 413.
        ContentTooLarge = "413",
        /// 415.
        UnsupportedMediaType = "415",
        /// 421.
        Misdirected = "421",
        /// 429.
        TooManyRequests = "429",
        /// 431.
        HeadersTooLarge = "431",
        /// 500.
        Internal = "500",
        /// 501.
        NotImplemented = "501",
        /// 502.
        BadGateway = "502",
        /// 503.
        Unavailable = "503",
        /// 504.
        GatewayTimeout = "504",
        /// No status was written: the client left before.
        None = "none",
        /// Anything else.
        Other = "other",
    }
}

impl StatusCode {
    /// The label of `status`; 0 stands for an answer that was never begun.
    #[must_use]
    pub fn of(status: u16) -> Self {
        match status {
            0 => Self::None,
            200 => Self::Ok,
            202 => Self::Accepted,
            204 => Self::NoContent,
            400 => Self::BadRequest,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            406 => Self::NotAcceptable,
            408 => Self::RequestTimeout,
            409 => Self::Conflict,
            413 => Self::ContentTooLarge,
            415 => Self::UnsupportedMediaType,
            421 => Self::Misdirected,
            429 => Self::TooManyRequests,
            431 => Self::HeadersTooLarge,
            500 => Self::Internal,
            501 => Self::NotImplemented,
            502 => Self::BadGateway,
            503 => Self::Unavailable,
            504 => Self::GatewayTimeout,
            _ => Self::Other,
        }
    }
}

closed_set! {
    /// JSON-RPC method of a message. Spec: MCP 2024-11-05 to 2026-07-28.
    RpcMethod {
        /// `initialize`.
        Initialize = "initialize",
        /// `ping`.
        Ping = "ping",
        /// `server/discover`.
        Discover = "server/discover",
        /// `subscriptions/listen`.
        Listen = "subscriptions/listen",
        /// `tools/list`.
        ToolsList = "tools/list",
        /// `tools/call`.
        ToolsCall = "tools/call",
        /// `resources/list`.
        ResourcesList = "resources/list",
        /// `resources/templates/list`.
        ResourceTemplatesList = "resources/templates/list",
        /// `resources/read`.
        ResourcesRead = "resources/read",
        /// `resources/subscribe`.
        ResourcesSubscribe = "resources/subscribe",
        /// `resources/unsubscribe`.
        ResourcesUnsubscribe = "resources/unsubscribe",
        /// `prompts/list`.
        PromptsList = "prompts/list",
        /// `prompts/get`.
        PromptsGet = "prompts/get",
        /// `completion/complete`.
        Complete = "completion/complete",
        /// `logging/setLevel`.
        SetLevel = "logging/setLevel",
        /// `notifications/initialized`.
        Initialized = "notifications/initialized",
        /// `notifications/cancelled`.
        Cancelled = "notifications/cancelled",
        /// `notifications/progress`.
        Progress = "notifications/progress",
        /// `notifications/roots/list_changed`.
        RootsListChanged = "notifications/roots/list_changed",
        /// A client's answer to a question of ours, which has no method.
        Answer = "answer",
        /// Any other method.
        Other = "other",
    }
}

impl RpcMethod {
    /// The label of the method that a client named.
    #[must_use]
    pub fn of(method: &str) -> Self {
        let named = |known: &&Self| known.label() == method && **known != Self::Answer;
        Self::ALL.iter().find(named).copied().unwrap_or(Self::Other)
    }
}

mod admission;

mod foreign;

mod limit;

mod listener;

mod log;

mod replicas;

mod sessions;

mod store;

mod traces;

pub use self::{
    admission::{LoadOutcome, ReloadOutcome, TokenOutcome},
    limit::Limit,
    listener::Listener,
    log::LogLevel,
    replicas::{Hop, NodeState},
    sessions::{SessionEnd, StreamKind},
    store::{StoreOperation, StoreOutcome},
    traces::{ExportOutcome, SpanFate, TraceFlag},
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jsonwebtoken_jwks::refused::Reason;
    use mcp_core::observe::BackendOutcome;

    use super::*;

    fn sound<L: Label>() {
        let labels: HashSet<&str> = L::ALL.iter().map(|value| value.label()).collect();
        assert_eq!(labels.len(), L::ALL.len(), "two values share a label");
        let meanings: HashSet<&str> = L::ALL.iter().map(|value| value.meaning()).collect();
        assert_eq!(meanings.len(), L::ALL.len(), "two values share a meaning");
        for (place, value) in L::ALL.iter().enumerate() {
            assert_eq!(value.index(), place, "{}", value.label());
            let meaning = value.meaning();
            let is_sentence = meaning.ends_with('.') && !meaning.starts_with(' ');
            assert!(is_sentence && !meaning.contains("  "), "{}: {meaning:?}", value.label());
        }
    }

    #[test]
    fn every_value_has_its_own_label_and_place() {
        sound::<Outcome>();
        sound::<Rejection>();
        sound::<HttpMethod>();
        sound::<StatusCode>();
        sound::<RpcMethod>();
        sound::<SessionEnd>();
        sound::<StreamKind>();
        sound::<Limit>();
        sound::<ToolOutcome>();
        sound::<BackendOutcome>();
        sound::<Reason>();
        sound::<TokenOutcome>();
        sound::<ReloadOutcome>();
        sound::<LoadOutcome>();
        sound::<Listener>();
        sound::<Hop>();
        sound::<NodeState>();
        sound::<StoreOperation>();
        sound::<StoreOutcome>();
        sound::<TraceFlag>();
        sound::<SpanFate>();
        sound::<ExportOutcome>();
    }

    #[test]
    fn a_method_that_a_client_made_up_is_other() {
        assert_eq!(RpcMethod::of("tools/call"), RpcMethod::ToolsCall);
        for made_up in ["tools/call ", "TOOLS/CALL", "", "answer", "other", "x\"} 1"] {
            assert_eq!(RpcMethod::of(made_up), RpcMethod::Other, "{made_up:?}");
        }
    }

    #[test]
    fn a_status_is_labelled_with_its_own_number_or_other() {
        for status in 0..1000 {
            let label = StatusCode::of(status).label();
            let known = label == status.to_string() || label == "other";
            assert!(known || (status == 0 && label == "none"), "{status} became {label}");
        }
    }
}

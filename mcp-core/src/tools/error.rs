//! Why a tool call has no answer, in words for the model that made it.

use std::{borrow::Cow, fmt::Write};

use http::StatusCode;

use super::time::{BadMoment, BadSpan};
use crate::{
    backend::{ApiError, BackendError},
    config::BackendName,
    observe::{BackendOutcome, ToolOutcome},
};

/// Longest piece of a caller's own text that an error repeats, in bytes.
const ECHO_BYTES_MAX: usize = 80;

/// What is wrong with the arguments of a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("unknown argument `{name}`; valid arguments: {valid}")]
    Unknown { name: String, valid: String, meant: Option<&'static str> },
    #[error("argument `{name}` is missing; it wants {wants}")]
    Missing { name: &'static str, wants: &'static str },
    #[error("argument `{name}` is {got}; it wants {wants}")]
    WrongType { name: &'static str, got: &'static str, wants: &'static str },
    #[error("argument `{name}` has {bytes} bytes; at most {bytes_max} are taken")]
    TooLong { name: &'static str, bytes: usize, bytes_max: usize },
    #[error("argument `{name}` is no time: `{got}`")]
    Moment {
        name: &'static str,
        got: String,
        #[source]
        source: BadMoment,
    },
    #[error("argument `{name}` is no duration: `{got}`")]
    Span {
        name: &'static str,
        got: String,
        #[source]
        source: BadSpan,
    },
    #[error("argument `{name}` is zero")]
    Zero { name: &'static str },
    #[error("`start` ({start}) is after `end` ({end})")]
    StartAfterEnd { start: String, end: String },
    #[error("step {step} gives {points} points a series; the backend allows {points_max}")]
    TooManyPoints { step: String, points: i64, points_max: i64, least: String },
    #[error("argument `{name}` is no valid pattern")]
    Glob {
        name: &'static str,
        #[source]
        source: globset::Error,
    },
    #[error("argument `{name}` is no valid regular expression")]
    Regex {
        name: &'static str,
        #[source]
        source: regex::Error,
    },
    #[error("unknown backend `{got}`; the backends are: {known}")]
    UnknownBackend {
        got: String,
        known: String,
        /// Whether it exists, but not for this caller: for the count alone, never for the caller.
        denied: bool,
    },
    #[error("argument `backend` is missing, and there are several; the backends are: {known}")]
    BackendNeeded { known: String },
    #[error("no backend is configured")]
    NoBackend,
    #[error("tenant `{got}` is not available on backend `{backend}`")]
    OrgRefused { got: String, backend: BackendName, allowed: String },
}

/// Why a tool call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    #[error("backend `{backend}`")]
    Backend {
        backend: BackendName,
        has_org: bool,
        /// Whether the call's own `timeout` was shorter than the backend's.
        hurried: bool,
        #[source]
        source: BackendError,
    },
    #[error("the answer of backend `{backend}` cannot be read: {what}")]
    Unreadable { backend: BackendName, what: &'static str },
    #[error("the call was cancelled")]
    Cancelled,
}

impl ToolError {
    /// How the call counts.
    pub(crate) fn outcome(&self) -> ToolOutcome {
        match self {
            Self::Argument(ArgumentError::NoBackend)
            | Self::Unreadable { .. }
            | Self::Backend { source: BackendError::RateLimited { .. }, .. } => {
                ToolOutcome::BackendError
            }
            Self::Argument(ArgumentError::UnknownBackend { denied: true, .. }) => {
                ToolOutcome::Denied
            }
            Self::Argument(_) | Self::Cancelled => ToolOutcome::CallerError,
            Self::Backend { source, hurried, .. } => match source.outcome() {
                BackendOutcome::Refused => ToolOutcome::CallerError,
                BackendOutcome::Timeout if *hurried => ToolOutcome::CallerError,
                BackendOutcome::Ok
                | BackendOutcome::Unauthorized
                | BackendOutcome::Unreachable
                | BackendOutcome::Timeout
                | BackendOutcome::BadAnswer
                | BackendOutcome::TooLarge => ToolOutcome::BackendError,
            },
        }
    }

    /// What the caller is told: what failed, the backend's own words, and what to do next.
    pub(crate) fn text(&self) -> String {
        let mut text = self.fault();
        if let Some(advice) = self.advice() {
            text.push_str("\nHint: ");
            text.push_str(&advice);
        }
        text
    }

    fn fault(&self) -> String {
        match self {
            Self::Argument(error) => error.fault(),
            Self::Backend { backend, source, .. } => {
                let mut text = format!("backend `{backend}`: {source}");
                append_details(&mut text, source);
                text
            }
            Self::Unreadable { .. } | Self::Cancelled => self.to_string(),
        }
    }

    /// What the caller can do about it; `None` when the fault says it already.
    pub(crate) fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Argument(error) => error.advice(),
            Self::Backend { hurried: true, source, .. }
                if source.outcome() == BackendOutcome::Timeout =>
            {
                Some(HURRIED.into())
            }
            Self::Backend { backend, has_org, source, .. } => {
                Some(backend_advice(backend, *has_org, source))
            }
            Self::Unreadable { .. } => Some(NOT_API.into()),
            Self::Cancelled => None,
        }
    }
}

const NOT_API: &str = "this is not the caller's fault; whoever runs Promgate should check that the \
    backend's `url` is the base address of a Prometheus-compatible API and that it is healthy";

const HURRIED: &str = "this is the call's own `timeout`; make it longer or leave it out, or ask for \
    less: a shorter range, a longer step, more label matchers, or an aggregation";

const ASK_LESS: &str = "ask for less: a shorter range, a longer step, more label matchers, or an \
    aggregation; or try again later";

const ASK_FEWER: &str = "ask for less: aggregate (`sum by (…)`), take the top (`topk(10, …)`), add \
    label matchers, or use a longer step";

fn append_details(text: &mut String, error: &BackendError) {
    match error {
        BackendError::Api { error, .. }
        | BackendError::Unauthorized { api: Some(error), .. }
        | BackendError::RateLimited { api: Some(error), .. } => append_api(text, error),
        BackendError::NotApi { media_type: Some(media_type), .. } => {
            append(text, &format!(" (content type {media_type})"));
        }
        BackendError::Unreachable(_) | BackendError::Tls(_) | BackendError::Interrupted(_) => {
            if let Some(cause) = error.root_cause() {
                append(text, &format!(": {cause}"));
            }
        }
        BackendError::NotApi { media_type: None, .. }
        | BackendError::RateLimited { api: None, .. }
        | BackendError::Timeout { .. }
        | BackendError::TooLarge { .. }
        | BackendError::Unauthorized { api: None, .. }
        | BackendError::Redirected { .. } => {}
    }
}

fn append_api(text: &mut String, error: &ApiError) {
    let ApiError { kind, message } = error;
    match (kind.is_empty(), message.is_empty()) {
        (false, _) => append(text, &format!("\n{kind}: {message}")),
        (true, false) => append(text, &format!("\n{message}")),
        (true, true) => {}
    }
}

fn append(text: &mut String, more: &str) {
    text.push_str(more);
}

fn backend_advice(backend: &BackendName, has_org: bool, error: &BackendError) -> Cow<'static, str> {
    match error {
        BackendError::Unreachable(_) => "the backend may be down; try again later, or ask whoever \
            runs Promgate to check the backend's `url`"
            .into(),
        BackendError::Tls(_) => format!(
            "this is not the caller's fault; whoever runs Promgate should check that \
             `backends.{backend}.tls.ca_file` holds the authority that issued the backend's \
             certificate, and that the certificate is valid for the host in its `url`"
        )
        .into(),
        BackendError::Timeout { .. } => ASK_LESS.into(),
        BackendError::Interrupted(_) => "try again; if it stays, ask for less".into(),
        BackendError::TooLarge { .. } => ASK_FEWER.into(),
        BackendError::Unauthorized { .. } => unauthorized_advice(backend, has_org),
        BackendError::Redirected { .. } => format!(
            "redirects are never followed, so that credentials stay with the configured host; \
             whoever runs Promgate should set `backends.{backend}.url` to the final address"
        )
        .into(),
        BackendError::RateLimited { retry_after_s: Some(seconds), .. } => {
            format!("wait {seconds} s before trying again").into()
        }
        BackendError::RateLimited { retry_after_s: None, .. } => {
            "wait a while before trying again, and ask for less at a time".into()
        }
        BackendError::Api { status, error } => api_advice(*status, error).into(),
        BackendError::NotApi { .. } => NOT_API.into(),
    }
}

fn unauthorized_advice(backend: &BackendName, has_org: bool) -> Cow<'static, str> {
    let mut advice = format!(
        "Promgate's own credentials for this backend were refused, not the caller's; whoever runs \
         Promgate should check `backends.{backend}.auth`"
    );
    advice.push_str(if has_org {
        ", and whether they may ask for this `org_id`"
    } else {
        "; a multi-tenant backend answers so too when no `org_id` is given"
    });
    advice.into()
}

fn api_advice(status: StatusCode, error: &ApiError) -> &'static str {
    match error.kind.as_str() {
        "bad_data" => {
            "check the PromQL: brackets, quotes, label matchers in {}, and a range such as [5m] \
             inside rate() and increase(); prometheus_list_metrics lists metric names"
        }
        "execution" => {
            "the query parsed but could not be evaluated: check that both sides of a binary \
             operator match (`on`, `ignoring`, `group_left`), or ask for less data"
        }
        "timeout" | "canceled" => {
            "the backend gave up: use a shorter range, a longer step, or more label matchers"
        }
        "internal" | "unavailable" => IN_TROUBLE,
        _other => status_advice(status),
    }
}

const IN_TROUBLE: &str = "the backend is in trouble; try again later";

/// What to do about a failure whose kind the backend did not name.
fn status_advice(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 422 => {
            "change the query as the backend says: check the PromQL, or, where a limit is hit, use \
             a shorter range, a longer step, or more label matchers"
        }
        404 | 405 => NOT_API,
        408 => ASK_LESS,
        413 | 414 | 431 => "split the query into several shorter ones",
        500.. => IN_TROUBLE,
        _other => "the backend refused the question; change it as the backend says",
    }
}

impl ArgumentError {
    fn fault(&self) -> String {
        let mut text = self.to_string();
        let source: Option<&dyn std::error::Error> = match self {
            Self::Moment { source, .. } => Some(source),
            Self::Span { source, .. } => Some(source),
            Self::Glob { source, .. } => Some(source),
            Self::Regex { source, .. } => Some(source),
            Self::Unknown { .. }
            | Self::Missing { .. }
            | Self::WrongType { .. }
            | Self::TooLong { .. }
            | Self::Zero { .. }
            | Self::StartAfterEnd { .. }
            | Self::TooManyPoints { .. }
            | Self::UnknownBackend { .. }
            | Self::BackendNeeded { .. }
            | Self::NoBackend
            | Self::OrgRefused { .. } => None,
        };
        if let Some(source) = source {
            append(&mut text, &format!(": {source}"));
        }
        if let Self::Unknown { meant: Some(meant), .. } = self {
            append(&mut text, &format!("; did you mean `{meant}`?"));
        }
        text
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::Moment { .. } => "write RFC 3339 (`2026-01-31T12:00:00Z`), Unix seconds, or a \
                relative time (`now`, `now-1h`, `-30m`)"
                .into(),
            Self::Span { .. } | Self::Zero { .. } => {
                "write a duration such as `30s`, `5m`, `1h30m` or `1d`; a bare number is seconds"
                    .into()
            }
            Self::TooLong { .. } => "split the query into several shorter ones".into(),
            Self::StartAfterEnd { .. } => "swap them; `end` is `now` when it is left out".into(),
            Self::TooManyPoints { least, .. } => {
                format!("use step `{least}` or longer, or leave `step` out").into()
            }
            Self::BackendNeeded { .. } => "name one of them".into(),
            Self::NoBackend => "whoever runs Promgate should configure one".into(),
            Self::OrgRefused { allowed, .. } if allowed.is_empty() => {
                "leave `org_id` out; this backend has no tenants to choose from".into()
            }
            Self::OrgRefused { allowed, .. } => format!("the tenants are: {allowed}").into(),
            Self::Unknown { .. }
            | Self::Missing { .. }
            | Self::WrongType { .. }
            | Self::Glob { .. }
            | Self::Regex { .. }
            | Self::UnknownBackend { .. } => return None,
        })
    }
}

/// A caller's own text, short and without control characters, for repeating it in an error.
pub(crate) fn echo(text: &str) -> String {
    let end = text.floor_char_boundary(ECHO_BYTES_MAX);
    let mut shown = String::with_capacity(end + 3);
    for c in text.get(..end).unwrap_or_default().chars() {
        if c.is_control() {
            // Writing to a string cannot fail.
            write!(shown, "{}", c.escape_default()).unwrap_or_default();
        } else {
            shown.push(c);
        }
    }
    if end < text.len() {
        shown.push('…');
    }
    shown
}

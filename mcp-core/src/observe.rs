//! What the service reports to whoever counts.

use std::time::Duration;

use crate::config::BackendName;

/// How one tool call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ToolOutcome {
    /// An answer.
    Ok,
    /// An answer that says what the caller did wrong (bad arguments, bad PromQL).
    CallerError,
    /// An answer that says what went wrong behind us (backend down, slow, unreadable).
    BackendError,
    /// Refused: a tool or backend that exists, but not for this caller.
    Denied,
}

/// How one request to a backend ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendOutcome {
    /// An answer of status `success`.
    Ok,
    /// The backend refused the query: PromQL, limits, or a tenant it does not know.
    Refused,
    /// The backend refused our credentials.
    Unauthorized,
    /// No connection.
    Unreachable,
    /// No whole answer within the time limit.
    Timeout,
    /// An answer that is not of the Prometheus API, or a server error.
    BadAnswer,
    /// An answer over the size limit.
    TooLarge,
}

/// Told of every tool call and backend request.
///
/// Implementations count; they must be cheap and must not block.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A tool call ended. `tool` is one of our own tool names, never a client's text.
    fn tool_called(&self, tool: &'static str, outcome: ToolOutcome, took: Duration);

    /// A request to a backend ended.
    fn backend_called(&self, backend: &BackendName, outcome: BackendOutcome, took: Duration);

    /// A request to a backend begins. [`Observer::backend_left`] follows, whatever becomes of it.
    fn backend_asked(&self, _backend: &BackendName) {}

    /// A request to a backend has its answer, or nobody waits for it any more.
    fn backend_left(&self, _backend: &BackendName) {}
}

/// Counts nothing. For tests and for stdio, where nobody scrapes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn tool_called(&self, _tool: &'static str, _outcome: ToolOutcome, _took: Duration) {}
    fn backend_called(&self, _backend: &BackendName, _outcome: BackendOutcome, _took: Duration) {}
}

//! Labels of sets that other crates define, which know nothing of labels.

use jsonwebtoken_jwks::refused::Reason;
use mcp_core::observe::{BackendOutcome, ToolOutcome};

use super::Label;

impl Label for Reason {
    const ALL: &'static [Self] = Self::ALL;

    #[expect(clippy::as_conversions, reason = "the discriminant of an enum without fields")]
    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        self.word()
    }

    fn meaning(self) -> &'static str {
        self.meaning()
    }
}

label_for! { ToolOutcome {
    /// An answer.
    Ok = "ok",
    /// An answer that says what the caller did wrong: bad arguments, bad PromQL.
    CallerError = "caller_error",
    /// An answer that says what went wrong behind us: a backend that is down, slow, or not to be read.
    BackendError = "backend_error",
    /// Refused: a tool or backend that exists, but not for this caller.
    Denied = "denied",
}}

label_for! { BackendOutcome {
    /// An answer of status `success`.
    Ok = "ok",
    /// The backend refused the query: PromQL, limits, or a tenant that it does not know.
    Refused = "refused",
    /// The backend refused our credentials.
    Unauthorized = "unauthorized",
    /// No connection.
    Unreachable = "unreachable",
    /// No whole answer within the time limit.
    Timeout = "timeout",
    /// An answer that is not of the Prometheus API, or a server error.
    BadAnswer = "bad_answer",
    /// An answer over the size limit.
    TooLarge = "too_large",
}}

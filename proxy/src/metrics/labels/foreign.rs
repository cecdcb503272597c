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
}

label_for! { ToolOutcome {
    Ok = "ok",
    CallerError = "caller_error",
    BackendError = "backend_error",
    Denied = "denied",
}}

label_for! { BackendOutcome {
    Ok = "ok",
    Refused = "refused",
    Unauthorized = "unauthorized",
    Unreachable = "unreachable",
    Timeout = "timeout",
    BadAnswer = "bad_answer",
    TooLarge = "too_large",
}}

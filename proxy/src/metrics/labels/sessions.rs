//! What is said of sessions and their streams.

use super::Label;

closed_set! {
    /// Why a session ended.
    SessionEnd {
        /// The client deleted it.
        Deleted = "deleted",
        /// Nothing happened in it for too long.
        Idle = "idle",
        /// It had reached its age.
        Expired = "expired",
        /// It goes on with another worker.
        Released = "released",
        /// All sessions of its principal were ended.
        Revoked = "revoked",
    }
}

closed_set! {
    /// What an open stream carries.
    StreamKind {
        /// The answer to one call.
        Call = "call",
        /// A session's own stream, asked for with GET.
        Session = "session",
        /// `subscriptions/listen`.
        Listen = "listen",
    }
}

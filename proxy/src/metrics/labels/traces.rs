//! What is said of traces and their receiver.

use super::Label;

closed_set! {
    /// What became of a client's `sampled` flag, where it is trusted.
    TraceFlag {
        /// It decided.
        Followed = "followed",
        /// Too many had decided in this second.
        Ignored = "ignored",
    }
}

closed_set! {
    /// What became of a span.
    SpanFate {
        /// The receiver took it.
        Sent = "sent",
        /// Too many waited.
        QueueFull = "queue_full",
        /// The receiver took nothing, however often it was sent.
        Failed = "failed",
        /// The receiver refused this one.
        Refused = "refused",
    }
}

closed_set! {
    /// How a request to the receiver of traces ended.
    ExportOutcome {
        /// It was taken.
        Ok = "ok",
        /// It was not.
        Failed = "failed",
    }
}

//! What is said of other replicas.

use super::Label;

closed_set! {
    /// How passing a request on to another replica, or taking one from it, went.
    Hop {
        /// Passed on, and answered.
        Sent = "sent",
        /// Passed on once more, since nothing had been sent.
        Retried = "retried",
        /// The other replica could not be reached, or went away.
        Failed = "failed",
        /// Taken from another replica.
        Received = "received",
        /// Not taken: no replica signed it, or it was repeated.
        Refused = "refused",
        /// Not passed on: it had passed through as many replicas as allowed.
        Looped = "looped",
    }
}

closed_set! {
    /// What another replica is to this one.
    NodeState {
        /// It serves.
        Up = "up",
        /// It does not answer.
        Down = "down",
        /// It is about to stop.
        Draining = "draining",
    }
}

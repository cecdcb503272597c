//! What is said of tokens, of the keys behind them, and of reloads.

use super::Label;

closed_set! {
    /// What became of a token.
    TokenOutcome {
        /// Seen before, and still good.
        Remembered = "remembered",
        /// Seen for the first time, and good.
        Verified = "verified",
        /// Not accepted.
        Refused = "refused",
    }
}

closed_set! {
    /// What became of a reload.
    ReloadOutcome {
        /// The new configuration is at work.
        Applied = "applied",
        /// The new configuration has faults; the old one goes on.
        Refused = "refused",
    }
}

closed_set! {
    /// What became of an attempt to read an issuer's keys.
    LoadOutcome {
        /// They were read.
        Loaded = "loaded",
        /// They could not be read, or none of them can be used.
        Failed = "failed",
    }
}

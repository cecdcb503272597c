//! What is said of the program's own log.

use super::Label;

closed_set! {
    /// How much a line of the log matters.
    LogLevel {
        /// Something failed, and somebody should look.
        Error = "error",
        /// Something is not as it should be.
        Warn = "warn",
        /// What a start, a reload or a stop did.
        Info = "info",
        /// For whoever looks for a fault.
        Debug = "debug",
        /// Each step.
        Trace = "trace",
    }
}

//! What is said of the session store.

use super::Label;

closed_set! {
    /// What is asked of the store.
    StoreOperation {
        /// A session is written.
        Save = "save",
        /// A session is read.
        Load = "load",
        /// A session is removed.
        Remove = "remove",
        /// All sessions of a principal are removed.
        EndOf = "end_of",
    }
}

closed_set! {
    /// How it ended.
    StoreOutcome {
        /// Done, or found.
        Done = "done",
        /// Looked for and not there.
        Absent = "absent",
        /// There, but not a record that we can open: as if it were absent.
        Garbage = "garbage",
        /// Not written: its principal has as many sessions as allowed.
        TooMany = "too_many",
        /// Not tried, since the store is known to be down.
        Down = "down",
        /// Not reached, or the connection broke.
        Unreachable = "unreachable",
        /// Not answered in time.
        Timeout = "timeout",
        /// Not written: there is no room.
        Full = "full",
        /// Not done for another reason that the store gave, or that lies in the session.
        Refused = "refused",
    }
}

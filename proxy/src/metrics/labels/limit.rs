//! Bounds that an operator sets.

use super::Label;

closed_set! {
    /// A configured bound that something ran into.
    Limit {
        /// Connections open in all.
        Connections = "connections",
        /// Connections open from one address.
        ConnectionsPerAddress = "connections_per_address",
        /// Time that a request's header takes to arrive.
        HeaderTime = "header_time",
        /// Size of a request body.
        BodyBytes = "body_bytes",
        /// Time that a request body takes to arrive.
        BodyTime = "body_time",
        /// Size of all request bodies that are arriving.
        Bodies = "bodies",
        /// Time that a client takes to read.
        WriteTime = "write_time",
        /// Sessions of one worker.
        Sessions = "sessions",
        /// Sessions of one principal.
        PrincipalSessions = "principal_sessions",
        /// Calls in flight in one session.
        SessionCalls = "session_calls",
        /// Calls in flight in one worker.
        Calls = "calls",
        /// `subscriptions/listen` streams of one worker.
        Listeners = "listeners",
        /// Time of one call.
        CallTime = "call_time",
        /// Requests of one address in a time.
        AddressRate = "address_rate",
        /// Refused tokens of one address in a time.
        AddressFailures = "address_failures",
        /// Requests of one principal in a time.
        PrincipalRate = "principal_rate",
        /// Requests of one principal in flight.
        PrincipalInFlight = "principal_in_flight",
        /// Calls of one tool by one principal in a time.
        ToolRate = "tool_rate",
    }
}

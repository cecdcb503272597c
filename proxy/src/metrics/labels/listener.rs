//! The listeners of the process.

use super::Label;

closed_set! {
    /// Who a listener is for.
    Listener {
        /// Clients.
        Clients = "clients",
        /// Other replicas.
        Replicas = "replicas",
        /// Operators: metrics, health, and what is under `/admin`.
        Admin = "admin",
    }
}

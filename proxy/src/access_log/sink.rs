//! The places to which records go, each as its thread writes to it.

pub(super) mod file;

mod keep;

pub(super) mod otlp;

pub(super) mod stdout;

pub(super) mod sync;

pub(super) mod syslog;

mod tls;

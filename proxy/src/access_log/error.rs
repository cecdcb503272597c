//! Why an access log cannot be started or ended.

use std::{io, path::PathBuf};

use rustls::pki_types::{InvalidDnsNameError, pem};

/// The access log could not be started or ended, or a file of it not be put aside.
#[derive(Debug, thiserror::Error)]
pub enum AccessLogError {
    /// The file cannot be opened.
    #[error(
        "cannot open the access log '{}'; let this user write to it, or name another file in \
         `middleware.access_logs`",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The path names a pipe, a socket or a disk.
    #[error(
        "the access log '{}' is not a file; name a file, or another kind of output, in \
         `middleware.access_logs`",
        path.display()
    )]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Standard output is closed.
    #[error(
        "cannot use standard output for the access log; open it, or change \
         `middleware.access_logs`"
    )]
    Stdout(#[source] io::Error),
    /// The thread that writes did not start.
    #[error("cannot start a thread of the access log")]
    Thread(#[source] io::Error),
    /// The metrics of a sink cannot be made.
    #[error("cannot count what a sink of the access log does")]
    Metrics(#[from] crate::metrics::MetricsError),
    /// No audit key can be made of a secret.
    #[error("a key in `middleware.access_logs.audit` cannot be used")]
    Key(#[from] super::chain::NoKey),
    /// There is no randomness to name a chain with.
    #[error("the operating system gave no randomness")]
    Randomness(#[from] getrandom::Error),
    /// TLS towards a sink cannot be set up.
    #[error("TLS towards a sink of the access log cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The client of an OTLP receiver cannot be made.
    #[error("a sink of the access log cannot be set up")]
    Otlp(#[from] crate::otlp::ClientError),
    /// A PEM text of a sink cannot be read.
    #[error("a PEM text for a sink of the access log cannot be read")]
    Pem(#[source] pem::Error),
    /// A sink's name is none that a certificate can have.
    #[error("the name of a sink of the access log is none that a certificate can have")]
    Host(#[source] InvalidDnsNameError),
    /// A full file could not be put aside.
    #[error("a full file of the access log cannot be put aside")]
    Rotate(#[source] io::Error),
    /// The sinks did not take everything in time.
    #[error("{bytes} bytes of access records were not written in time")]
    NotFlushed {
        /// What was left.
        bytes: usize,
    },
}

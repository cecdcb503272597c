//! Why a run ends without a table.

use std::{io, net::AddrParseError, num::ParseIntError, path::PathBuf};

use promgate::server::StartError;

/// Why a run ends without a table.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line.
    #[error("unknown argument `{0}`; `bench-edge --help` lists what there is")]
    Argument(String),
    /// An argument without its value.
    #[error("`{0}` needs a value")]
    Value(String),
    /// A value that is no number.
    #[error("`{flag}` needs a positive number")]
    Number {
        /// The argument.
        flag: String,
        /// Why.
        #[source]
        source: ParseIntError,
    },
    /// Something of the system does not work.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server cannot start.
    #[error("cannot start the server")]
    Start(#[from] StartError),
    /// The stub's tools are not well formed.
    #[error("the stub's tools are not well formed")]
    Stub(#[source] serde_json::Error),
    /// A serving process ended before it told its address.
    #[error("the serving process told no address; what it printed is above")]
    NoAddress,
    /// The guarded server was started without keys.
    #[error("`serve guarded` needs `--jwks FILE`")]
    NoKeys,
    /// A replica was started without the other.
    #[error("`serve replica` needs `--own ADDRESS` and `--other ADDRESS`")]
    NoReplicas,
    /// A traced server was started without a receiver.
    #[error("`serve traced` needs `--receiver ADDRESS`")]
    NoReceiver,
    /// A value that is no address.
    #[error("`{flag}` needs an address with a port")]
    Socket {
        /// The argument.
        flag: String,
        /// Why.
        #[source]
        source: AddrParseError,
    },
    /// The name of the resource is no address.
    #[error("the name of the resource is no address")]
    Address(#[source] url::ParseError),
    /// A file of `/proc` looks other than expected.
    #[error("cannot read {0}")]
    Proc(PathBuf),
    /// An answer is no HTTP that we read.
    #[error("the answer is not HTTP/1.1 with a Content-Length or chunks")]
    NotHttp,
    /// An answer that says something else than expected.
    #[error("{case}: the answer is not what it should be: {answer}")]
    Answer {
        /// The case.
        case: &'static str,
        /// The answer.
        answer: String,
    },
    /// Answers that were not like the first.
    #[error("{errors} answers differed from the first; the figures mean nothing")]
    Errors {
        /// How many.
        errors: u64,
    },
    /// Records that never came.
    #[error(
        "the access log holds {found} of {expected} records: others were dropped, or not served as they should be"
    )]
    Records {
        /// Records found that tell of the right way.
        found: u64,
        /// Records expected.
        expected: u64,
    },
    /// Spans that did not come.
    #[error("the receiver of traces has {found} of {expected} requests: others were dropped")]
    Spans {
        /// Those that came.
        found: u64,
        /// How many there should be.
        expected: u64,
    },
    /// The results cannot be written.
    #[error("cannot write the results as JSON")]
    Json(#[from] serde_json::Error),
}

impl Failure {
    /// Says what was tried when an operation of the system fails.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

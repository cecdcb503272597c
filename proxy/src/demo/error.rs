//! What can keep the demo from running.

use std::{io, path::PathBuf};

use reqwest::StatusCode;

use crate::config::ConfigFaults;

/// Why the demo cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A program that the demo needs is nowhere to be found.
    #[error("cannot find `{program}` (looked for {}); {remedy}", list(looked))]
    ProgramMissing {
        /// Its name.
        program: &'static str,
        /// Every path that was tried.
        looked: Vec<PathBuf>,
        /// What helps.
        remedy: &'static str,
    },
    /// The temporary folder cannot be made or written.
    #[error("cannot write the demo's temporary folder; set TMPDIR to one with 100 MB free")]
    Folder(#[source] io::Error),
    /// `promtool` did not turn the history into blocks.
    #[error("promtool cannot import the demo's history: {output}")]
    Import {
        /// The last of what it said.
        output: String,
    },
    /// A program was found but cannot be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// Its path.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program ended, or did not become ready in time.
    #[error("{name} does not become ready; it said last: {output}")]
    NotReady {
        /// Who.
        name: String,
        /// The last of what it said.
        output: String,
    },
    /// The demo's own configuration is refused.
    #[error("the demo's configuration is faulty, which is a defect of promgate")]
    Config(#[from] ConfigFaults),
    /// No loopback port can be had.
    #[error("cannot listen on a loopback port")]
    Port(#[source] io::Error),
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// `promgate demo-child` was not given the process that it belongs to and a program.
    #[error("demo-child is used by `promgate demo` itself and takes: -- PARENT_PID PROGRAM ARGS…")]
    ChildUsage,
    /// The demo ended before its child had begun.
    #[error("the demo that this process belongs to has ended")]
    Orphaned,
    /// The child's life cannot be tied to ours.
    #[error("cannot ask the kernel to end this process with its parent")]
    Tie(#[source] io::Error),
    /// The question could not be asked.
    #[error("cannot call the MCP endpoint")]
    Call(#[source] reqwest::Error),
    /// The endpoint answered with something that is not a result.
    #[error("the MCP endpoint answered {status} without a result: {body}")]
    NoResult {
        /// The HTTP status.
        status: StatusCode,
        /// The beginning of the body.
        body: String,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for keys")]
    NoRandomness(#[source] getrandom::Error),
    /// The session was opened without an id.
    #[error("the MCP endpoint opened a session without an id, so it cannot be asked again")]
    NoSession,
    /// A replica does not tell of its ring, or of other replicas than there are.
    #[error(
        "the replicas do not agree on a ring of {count} after {after_s} s; one said last: {said}"
    )]
    RingNotWhole {
        /// How many there are.
        count: usize,
        /// How long was waited, in seconds.
        after_s: u64,
        /// What one of them said.
        said: String,
    },
    /// No replica recorded a request with its owner.
    #[error("no replica's access log says who owns the session of the request {request_id}")]
    NoRecord {
        /// The request's id.
        request_id: String,
    },
    /// The session did not survive its owner's death.
    #[error(
        "the session is not answered {after_s} s after its owner was killed; the last of {tries} tries"
    )]
    SessionLost {
        /// How long was tried, in seconds.
        after_s: u64,
        /// How often.
        tries: u32,
        /// What came of the last one.
        #[source]
        last: Box<DemoError>,
    },
    /// A supervised process cannot be killed or started, since its thread has ended.
    #[error("the thread that keeps {name} running has ended")]
    Unsupervised {
        /// Who.
        name: String,
    },
    /// Standard output cannot be written.
    #[error("cannot print")]
    Print(#[source] io::Error),
}

fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

//! What can keep the demo from running.

use std::{io, path::PathBuf};

use reqwest::StatusCode;

use crate::config::ConfigFaults;

/// Why the demo cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A program that the demo needs is nowhere to be found.
    #[error(
        "cannot find `{program}` (looked for {}); run `make setup-run` in the project's folder, or \
         install Prometheus 2.42 or newer (Debian, Ubuntu: apt-get install prometheus), or name it \
         with --prometheus FILE; promtool must lie beside it or in PATH",
        list(looked)
    )]
    ProgramMissing {
        /// Its name.
        program: &'static str,
        /// Every path that was tried.
        looked: Vec<PathBuf>,
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
    /// Prometheus ended, or did not become ready in time.
    #[error("Prometheus does not become ready; it said last: {output}")]
    NotReady {
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
    /// Standard output cannot be written.
    #[error("cannot print")]
    Print(#[source] io::Error),
}

fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

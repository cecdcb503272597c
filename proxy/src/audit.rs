//! `promgate audit`: what an access log tells months later, and whether it can be believed.
//!
//! | command | question |
//! | --- | --- |
//! | `verify` | is this what was written: nothing changed, removed, moved, repeated or added? |
//! | `report` | who used what, what was refused, what cost most? |
//! | `grep` | which records are about this person, tool, session, time? |
//! | `reveal` | under which pseudonym does somebody stand in the log? |
//! | `public-key` | with what can somebody without the secret check the checkpoints? |
//!
//! A log is read line by line, whatever its size, and believed in nothing: it may have been made to mislead its
//! reader, so lines, names and what is remembered of them have bounds.

mod keys;

mod logs;

mod facts;

mod when;

mod filter;

mod finding;

mod verify;

mod grep;

mod tally;

mod report;

mod reveal;

use std::{io, path::PathBuf};

pub use self::{
    facts::{Fact, Facts},
    filter::{Filter, Statuses, Wanted},
    finding::{Finding, Verdict},
    grep::{Grepped, grep},
    keys::Keys,
    logs::{Log, logs},
    report::{By, Report, ReportOptions, report},
    reveal::{Name, Revealed, reveal},
    tally::NAMES_MAX,
    verify::{Kept, kept, verify},
    when::{Bound, bound},
};
use crate::access_log::chain::ReadError;

/// Why a question about a log has no answer, or no good one.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Nobody said with which keys.
    #[error(
        "no key was named: add `--config FILE` or `--key-file FILE`; for `verify`, `--public-key KEY` will do"
    )]
    NoKeys,
    /// The configuration has no audit keys.
    #[error("this configuration has no `middleware.access_logs.audit.keys`")]
    NotSealed,
    /// A file with a key cannot be read.
    #[error("cannot read the key file '{}'", path.display())]
    KeyFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What a file holds is no key.
    #[error("'{}' holds no audit key: it must be one line of at least 32 bytes", path.display())]
    NotAKey {
        /// Which.
        path: PathBuf,
    },
    /// No key can be made of a secret.
    #[error("no key can be made of an audit secret")]
    Unusable,
    /// No log was named.
    #[error("no log was named: name a file, or `--config` of a configuration that writes one")]
    NoLog,
    /// Standard input and files together.
    #[error("`-`, which is standard input, stands alone")]
    InputAmongFiles,
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// Checkpoints that were kept cannot be read.
    #[error("cannot read the checkpoints in '{}'", path.display())]
    Checkpoints {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no checkpoint.
    #[error("'{}' holds no checkpoint: it must be lines of the log, such as its head file", path.display())]
    NoCheckpoint {
        /// The file.
        path: PathBuf,
    },
    /// A file holds more checkpoints than are read.
    #[error("'{}' holds more than {most} checkpoints: divide it, and hold the log against each part", path.display())]
    ManyCheckpoints {
        /// The file.
        path: PathBuf,
        /// So many are read.
        most: usize,
    },
    /// Kept checkpoints and several logs.
    #[error("`--checkpoint` is of one log, and these files are {0}")]
    SeveralLogs(usize),
    /// A pseudonym of somebody whom an issuer names.
    #[error("who names this person, client or group? Add `--issuer`")]
    NoIssuer,
    /// Standard input cannot be read.
    #[error("cannot read the session id from standard input")]
    Input(#[source] io::Error),
    /// What was given is no session id.
    #[error("what came on standard input is no session id")]
    NoSession,
    /// The answer cannot be written.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// The log is not as it was written.
    #[error("the log is not as it was written (faults: {0})")]
    Faults(u64),
    /// A part of the log could not be read.
    #[error("a part of the log could not be read: {0}")]
    Unread(String),
}

impl AuditError {
    /// Whether the question was wrong, not the log.
    #[must_use]
    pub const fn is_of_usage(&self) -> bool {
        matches!(
            self,
            Self::NoKeys
                | Self::NoLog
                | Self::InputAmongFiles
                | Self::SeveralLogs(_)
                | Self::NoIssuer
                | Self::NoSession
        )
    }

    /// Whether the configuration lacks what was asked of it.
    #[must_use]
    pub const fn is_of_configuration(&self) -> bool {
        matches!(self, Self::NotSealed)
    }
}

#[cfg(test)]
mod tests;

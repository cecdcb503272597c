//! What is wrong with a configuration, where, and how to mend it.
//!
//! A fault never repeats a value of the file, since any value may be a secret that stands in the
//! wrong place. It names the key and the line instead.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{Source, locate, place::At};

/// Most faults kept; further ones are only counted.
///
/// Nobody mends more at a time, and it bounds the work that a hostile file can cause.
const FAULTS_MAX: usize = 100;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a path of keys such as `backends.prometheus.url`; empty for the file as a whole.
    pub at: String,
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        write!(f, "{}; {}", self.what, self.mend)
    }
}

/// Every fault of a configuration that could not be loaded, in the order of its lines.
///
/// Its `Display` has one line a fault, `file:line: key: what; mend`, which editors can follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFaults {
    file: PathBuf,
    faults: Vec<Fault>,
    /// Faults found beyond those kept.
    more: usize,
    sources: Vec<Source>,
}

impl ConfigFaults {
    /// The one fault of a file that cannot be read at all, or not as YAML.
    pub(super) fn single(
        file: &Path,
        line: Option<usize>,
        what: String,
        mend: String,
        sources: Vec<Source>,
    ) -> Self {
        let fault = Fault { at: String::new(), line, what, mend };
        Self { file: file.to_owned(), faults: vec![fault], more: 0, sources }
    }

    /// The faults, at least one.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The files that were read or asked for, missing ones too: once one of them changes, loading may go better.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}", self.file.display())?;
            if let Some(line) = fault.line {
                write!(f, ":{line}")?;
            }
            write!(f, ": {fault}")?;
        }
        if self.more > 0 {
            write!(f, "\n{}: and {} more faults", self.file.display(), self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigFaults {}

/// A fault whose line was not looked up yet.
struct Found {
    at: At,
    /// Which of several equal keys is meant, counted from 0.
    occurrence: usize,
    what: String,
    mend: String,
}

/// Collects faults while the file is read and checked.
#[derive(Default)]
pub(super) struct Faults {
    found: Vec<Found>,
    more: usize,
}

impl Faults {
    pub(super) fn push(&mut self, at: &At, what: impl Into<String>, mend: impl Into<String>) {
        self.push_occurrence(at, 0, what.into(), mend.into());
    }

    /// A fault of a key that stands there several times.
    pub(super) fn push_occurrence(
        &mut self,
        at: &At,
        occurrence: usize,
        what: String,
        mend: String,
    ) {
        if self.found.len() < FAULTS_MAX {
            self.found.push(Found { at: at.clone(), occurrence, what, mend });
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// A fault that may only follow from another one: kept unless this place or what holds it has
    /// a fault already.
    pub(super) fn push_unless_known(
        &mut self,
        at: &At,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        if !self.knows(at) {
            self.push(at, what, mend);
        }
    }

    /// Whether this place or one that holds it has a fault.
    pub(super) fn knows(&self, at: &At) -> bool {
        self.found.iter().any(|found| found.at.holds(at))
    }

    /// Whether this place or one below it has a fault.
    pub(super) fn any_in(&self, at: &At) -> bool {
        self.found.iter().any(|found| at.holds(&found.at))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Looks up the lines and sorts by them.
    pub(super) fn into_report(
        self,
        (file, text): (&Path, &str),
        sources: Vec<Source>,
    ) -> ConfigFaults {
        let fault = |found: Found| Fault {
            at: found.at.to_string(),
            line: locate::line(text, &found.at, found.occurrence),
            what: found.what,
            mend: found.mend,
        };
        let mut faults: Vec<Fault> = self.found.into_iter().map(fault).collect();
        faults.sort_by_key(|fault| fault.line.unwrap_or(0));
        ConfigFaults { file: file.to_owned(), faults, more: self.more, sources }
    }
}

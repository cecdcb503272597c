//! `promgate audit grep`: which records are about this?

use std::io::Write;

use super::{AuditError, Facts, Filter, Log};
use crate::{
    access_log::chain::{Fault, Trust},
    enquiry::shown,
};

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grepped {
    /// Records looked at.
    pub records: u64,
    /// Those that were wanted.
    pub found: u64,
}

/// Writes the lines of the records that are wanted, one after the other. As they stand, byte by byte; for a terminal
/// without what plays with it.
///
/// # Errors
/// When a log cannot be read, or not to its end, or `out` cannot be written.
pub fn grep(
    logs: &[Log],
    filter: &mut Filter<'_>,
    for_terminal: bool,
    out: &mut dyn Write,
) -> Result<Grepped, AuditError> {
    let mut grepped = Grepped::default();
    let mut unread = None;
    for log in logs {
        let mut reader = log.reader(Trust::default())?;
        while let Some(entry) = reader.read() {
            if let Some(Fault::Unreadable(kind)) = entry.fault {
                unread.get_or_insert_with(|| unreadable(entry.file, entry.line, kind));
                continue;
            }
            if entry.event.is_some() {
                continue;
            }
            let Some(facts) = Facts::of(entry.text) else { continue };
            grepped.records += 1;
            if filter.admits(&facts) {
                grepped.found += 1;
                let written = if for_terminal {
                    // It is JSON, so it is text.
                    writeln!(out, "{}", shown(&String::from_utf8_lossy(entry.text)))
                } else {
                    out.write_all(entry.text).and_then(|()| out.write_all(b"\n"))
                };
                written.map_err(AuditError::Output)?;
            }
        }
    }
    out.flush().map_err(AuditError::Output)?;
    unread.map_or(Ok(grepped), |unread| Err(AuditError::Unread(unread)))
}

/// Where a log could not be read on, and why.
pub(super) fn unreadable(file: &std::path::Path, line: u64, kind: std::io::ErrorKind) -> String {
    format!("{}:{line}: {kind}", shown(&file.to_string_lossy()))
}

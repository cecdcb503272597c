//! What a sink's thread writes to.

use std::io;

use super::{
    AccessLogError,
    chain::{AuditKeys, Found},
};

/// Where records go.
pub(super) trait Output: Send {
    /// Writes some of `records`, from their beginning, and says how much. Whoever takes whole records only says so by
    /// whole records.
    fn write(&mut self, records: &[u8]) -> io::Result<Done>;

    /// Whether it can never be written to again, so that a log that ends need not try.
    fn is_gone(&self) -> bool {
        false
    }

    /// Opens the place anew, or stays with the old one, also where there is nothing that could be opened anew.
    fn reopen(&mut self) -> Result<Entered, AccessLogError> {
        Ok(Entered::Same)
    }

    /// Makes sure, before a batch is written, that nobody else writes, and says what they did meanwhile.
    fn enter(&mut self) -> io::Result<Entered> {
        Ok(Entered::Same)
    }

    /// Lets others write again.
    fn leave(&mut self) {}

    /// What is there holds something that is worth keeping now, beside the lines with which it began.
    fn recorded(&mut self) {}

    /// Whether what is there is full and can be put aside for a new beginning.
    fn is_full(&self) -> bool {
        false
    }

    /// Bytes that fit until it is full.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// When it will be full by its age.
    fn full_at(&self) -> Option<std::time::Instant> {
        None
    }

    /// Puts aside what is full and begins anew.
    fn rotate(&mut self) -> Result<(), AccessLogError> {
        Ok(())
    }

    /// Puts aside what does not belong to a chain, and begins anew.
    fn put_aside(&mut self) -> Result<(), AccessLogError> {
        Ok(())
    }

    /// Whether it ends within a line.
    fn is_torn(&self) -> bool {
        false
    }

    /// Forces what was written onto the disk, where that is asked for at this time: `end` says that the log, or what
    /// is there, ends.
    fn sync(&mut self, _end: bool) -> io::Result<()> {
        Ok(())
    }

    /// When what was written is to be forced onto the disk.
    fn sync_at(&self) -> Option<std::time::Instant> {
        None
    }

    /// Keeps a checkpoint beside the log.
    fn save_head(&mut self, _line: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// Where the chain goes on that is there.
    fn find(&self, _keys: &AuditKeys) -> io::Result<Found> {
        Ok(Found::default())
    }
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    /// So many bytes are dealt with.
    pub(super) bytes: usize,
    /// Records among them that the other end does not want, and never will.
    pub(super) rejected: u64,
}

impl Done {
    /// They are written.
    pub(super) const fn bytes(bytes: usize) -> Self {
        Self { bytes, rejected: 0 }
    }
}

/// What is found when a batch is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// What was left.
    Same,
    /// Another file, or one to which somebody else has written.
    Other,
}

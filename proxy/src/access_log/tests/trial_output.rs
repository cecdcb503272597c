//! An output that a test can stop and break.

use super::*;
use crate::access_log::{
    output::{Done, Entered},
    sink::sync::Unsynced,
};

#[derive(Clone, Default)]
pub(super) struct Trial(pub(super) Arc<(Mutex<TrialState>, Condvar)>);

#[derive(Default)]
pub(super) struct TrialState {
    pub(super) written: Vec<u8>,
    pub(super) stopped: bool,
    pub(super) waiting: bool,
    /// Bytes taken before every write fails; `None`: never.
    pub(super) room: Option<usize>,
    /// A write that fails makes room for all that follow.
    pub(super) fails_once: bool,
    /// Lines are taken whole or not at all.
    pub(super) whole_lines: bool,
    /// It can never be written to again.
    pub(super) gone: bool,
    /// Writes panic.
    pub(super) panics: bool,
    /// Nothing is wanted.
    pub(super) rejects: bool,
    pub(super) rejected: Vec<u8>,
    /// Somebody else has it.
    pub(super) closed: bool,
    pub(super) entered: bool,
    /// Times that it was asked for while somebody else had it.
    pub(super) turned_away: usize,
    /// It was written to by somebody who did not have it.
    pub(super) trespassed: bool,
    /// What is forced onto the disk when; nothing without.
    pub(super) unsynced: Option<Unsynced>,
    pub(super) syncs: usize,
    pub(super) sync_fails: bool,
    pub(super) heads: usize,
    pub(super) head_fails: bool,
    /// Opened anew it is another, and takes all.
    pub(super) moves: bool,
    /// What was written to the one before.
    pub(super) moved: Vec<u8>,
}

impl Trial {
    pub(super) fn set(&self, change: impl FnOnce(&mut TrialState)) {
        change(&mut self.0.0.lock());
        self.0.1.notify_all();
    }

    pub(super) fn get<T>(&self, see: impl FnOnce(&TrialState) -> T) -> T {
        see(&self.0.0.lock())
    }

    pub(super) fn written(&self) -> Vec<u8> {
        self.get(|state| state.written.clone())
    }
}

impl Output for Trial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<Done> {
        let mut state = self.0.0.lock();
        state.waiting = true;
        self.0.1.wait_while(&mut state, |state| state.stopped);
        state.waiting = false;
        state.trespassed |= !state.entered;
        assert!(!state.panics, "as the test wants it");
        if state.rejects {
            state.rejected.extend_from_slice(bytes);
            let rejected = lines(bytes).len().try_into().unwrap();
            return Ok(Done { bytes: bytes.len(), rejected });
        }
        let mut taken = state.room.unwrap_or(bytes.len()).min(bytes.len());
        if state.whole_lines {
            let end = bytes[..taken].iter().rposition(|byte| *byte == b'\n');
            taken = end.map_or(0, |end| end + 1);
        }
        if taken == 0 {
            state.room = state.room.filter(|_| !state.fails_once);
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.room = state.room.map(|room| room - taken);
        state.written.extend_from_slice(&bytes[..taken]);
        if let Some(unsynced) = &mut state.unsynced {
            unsynced.wrote();
        }
        Ok(Done::bytes(taken))
    }

    fn is_gone(&self) -> bool {
        self.get(|state| state.gone)
    }

    fn enter(&mut self) -> io::Result<Entered> {
        let mut state = self.0.0.lock();
        if state.closed {
            state.turned_away += 1;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.entered = true;
        Ok(Entered::Same)
    }

    fn leave(&mut self) {
        self.0.0.lock().entered = false;
    }

    fn reopen(&mut self) -> Result<Entered, AccessLogError> {
        let mut state = self.0.0.lock();
        if !state.moves {
            return Ok(Entered::Same);
        }
        let written = std::mem::take(&mut state.written);
        state.moved.extend(written);
        state.room = None;
        Ok(Entered::Other)
    }

    fn sync(&mut self, end: bool) -> io::Result<()> {
        let mut state = self.0.0.lock();
        let due = state.unsynced.as_ref().is_some_and(|unsynced| unsynced.is_due(end));
        if !due {
            return Ok(());
        }
        state.syncs += 1;
        if state.sync_fails {
            return Err(io::ErrorKind::Other.into());
        }
        state.unsynced.as_mut().unwrap().done();
        Ok(())
    }

    fn sync_at(&self) -> Option<Instant> {
        self.get(|state| state.unsynced.as_ref().and_then(Unsynced::due_at))
    }

    fn save_head(&mut self, _line: &[u8]) -> io::Result<()> {
        let mut state = self.0.0.lock();
        if state.head_fails {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.heads += 1;
        Ok(())
    }
}

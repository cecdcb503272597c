//! A file: appended to, put aside when it is full, opened anew when somebody has moved it.
//!
//! Where it is sealed or put aside by us, it is locked for each batch. Two processes may so write to it in turn, as
//! they do while one takes over from the other: each sees that the file has grown, and goes on from there.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write as _},
    mem,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{
    keep::{Keeper, is_same, stamp, swap},
    stdout::written,
    sync::Unsynced,
};
use crate::{
    access_log::{
        AccessLogError,
        chain::{self, AuditKeys, Found, UNSEALED, beside, holds_records},
        output::{Done, Entered, Output},
    },
    config::{Fsync, LogFile},
};

/// How often a file is opened anew that somebody keeps replacing.
const TRIES: usize = 5;

/// Bytes that are written again at once.
const AGAIN_BYTES: usize = 64 << 10;

/// A log file.
pub(in crate::access_log) struct LogFileOutput {
    config: LogFile,
    /// Others may write to it, or put another in its place: it is locked and looked at for each batch.
    shared: bool,
    file: File,
    /// It is a file, and not a device.
    regular: bool,
    /// Its length as we know it.
    bytes: u64,
    /// It holds more than the lines with which a file or a run begins and ends.
    worth_keeping: bool,
    /// When it was made.
    made: Instant,
    torn: bool,
    /// It is not what it was, though we have not said so yet.
    changed: bool,
    unsynced: Unsynced,
    /// Its length up to which it is on the disk, as far as we know.
    synced_bytes: u64,
    /// It could not be forced onto the disk.
    sync_failed: bool,
    keeper: Keeper,
}

impl LogFileOutput {
    /// Opens it. `sealed` says that it holds a chain.
    pub(in crate::access_log) fn open(
        config: &LogFile,
        sealed: bool,
    ) -> Result<Self, AccessLogError> {
        let file = open(&config.path)?;
        let rotates = config.rotate_bytes.is_some() || config.rotate_age.is_some();
        let mut output = Self {
            config: config.clone(),
            shared: sealed || rotates,
            file,
            regular: false,
            bytes: 0,
            worth_keeping: false,
            made: Instant::now(),
            torn: false,
            changed: false,
            unsynced: Unsynced::new(config.fsync),
            synced_bytes: 0,
            sync_failed: false,
            keeper: Keeper::new(config),
        };
        output.opened().map_err(|source| output.cannot_open(source))?;
        Ok(output)
    }

    fn cannot_open(&self, source: io::Error) -> AccessLogError {
        AccessLogError::Open { path: self.config.path.clone(), source }
    }

    /// Another file is open. Where that fails, what is known is what was known before.
    fn opened(&mut self) -> io::Result<()> {
        let about = self.file.metadata()?;
        // A file may be on the disk, and its name not.
        if about.is_file() && about.len() == 0 {
            sync_folder(&self.config.path, self.config.fsync)?;
        }
        self.look()?;
        (self.synced_bytes, self.sync_failed) = (self.bytes, false);
        self.unsynced.done();
        Ok(())
    }

    /// Looks at the file that is open. Where that fails, what is known is what was known before, so that it is looked at again.
    fn look(&mut self) -> io::Result<()> {
        let about = self.file.metadata()?;
        let (mut torn, mut worth_keeping) = (false, false);
        if about.is_file() && about.len() > 0 {
            let mut last = [0];
            // Open for writing alone it cannot be read.
            File::open(&self.config.path)?.read_at(&mut last, about.len() - 1)?;
            torn = last != *b"\n";
            worth_keeping = holds_records(&self.config.path)?;
        }
        let age = about.created().or_else(|_unknown| about.modified()).ok();
        let age = age.and_then(|made| SystemTime::now().duration_since(made).ok());
        let age = if about.len() > 0 { age.unwrap_or_default() } else { Duration::ZERO };
        self.made = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        (self.torn, self.worth_keeping) = (torn, worth_keeping);
        (self.regular, self.bytes) = (about.is_file(), about.len());
        Ok(())
    }

    /// Opens what stands at the path now.
    fn open_again(&mut self) -> Result<(), AccessLogError> {
        let file = open(&self.config.path)?;
        if let Err(error) = self.sync(true) {
            tracing::error!(
                file = %self.config.path.display(),
                %error,
                "what was last written to a log that was moved may not be on its disk"
            );
        }
        let old = mem::replace(&mut self.file, file);
        if let Err(source) = self.opened() {
            self.file = old;
            return Err(self.cannot_open(source));
        }
        self.changed = true;
        Ok(())
    }

    /// Writes once more what did not reach the disk. After a try that failed the system takes it for written, but still has it
    /// in memory, if it needed that for nothing else meanwhile.
    fn write_again(&self) -> io::Result<()> {
        // What is open to be appended to is appended to wherever one writes.
        let file = OpenOptions::new().read(true).write(true).open(&self.config.path)?;
        if !is_same(&file.metadata()?, &self.file.metadata()?) {
            return Ok(());
        }
        let mut piece = vec![0; AGAIN_BYTES];
        let mut at = self.synced_bytes;
        while at < self.bytes {
            let left = usize::try_from(self.bytes - at).unwrap_or(usize::MAX);
            let piece = piece.get_mut(..left.min(AGAIN_BYTES)).unwrap_or_default();
            let count = file.read_at(piece, at)?;
            if count == 0 {
                // Somebody has cut it.
                break;
            }
            file.write_all_at(piece.get(..count).unwrap_or_default(), at)?;
            at += u64::try_from(count).unwrap_or_default();
        }
        Ok(())
    }

    /// Locks the file that stands at the path, which is opened if it is another than ours, and goes to its end.
    fn hold(&mut self) -> io::Result<()> {
        let about = self.hold_open()?;
        if about.len() != self.bytes {
            self.look()?;
            self.changed = true;
        }
        Ok(())
    }

    /// Locks the file that stands at the path, and says what is known of it.
    fn hold_open(&mut self) -> io::Result<Metadata> {
        for _ in 0..TRIES {
            lock(&self.file)?;
            let about = self.file.metadata()?;
            if !self.is_replaced(&about)? {
                return Ok(about);
            }
            self.open_again().map_err(io::Error::other)?;
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn unlock(&self) {
        if flock(&self.file, FlockOperation::Unlock).is_err() {
            // Then it is not locked.
        }
    }

    /// Another file stands at the path than ours.
    fn is_replaced(&self, ours: &Metadata) -> io::Result<bool> {
        match self.config.path.metadata() {
            Ok(there) => Ok(!is_same(&there, ours)),
            // Somebody has moved it, and will tell us when.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn age_reached(&self) -> bool {
        self.full_at().is_some_and(|at| Instant::now() >= at)
    }

    /// Puts a new file in the place of this one, which goes to `aside`. At no time there is none.
    fn replace(&mut self, aside: &Path) -> io::Result<()> {
        let path = &self.config.path;
        let next = beside(path, ".next");
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let made = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&next)?;
        // Ours before anybody sees it.
        lock(&made)?;
        swap(path, aside, &next)?;
        sync_folder(path, self.config.fsync)?;
        self.file = made;
        self.bytes = 0;
        self.worth_keeping = false;
        self.made = Instant::now();
        self.torn = false;
        self.unsynced.done();
        (self.synced_bytes, self.sync_failed) = (0, false);
        Ok(())
    }
}

impl Output for LogFileOutput {
    fn write(&mut self, records: &[u8]) -> io::Result<Done> {
        let done = written(self.file.write(records)?)?;
        if self.regular {
            self.bytes += u64::try_from(done.bytes).unwrap_or_default();
            self.torn =
                done.bytes.checked_sub(1).and_then(|last| records.get(last)) != Some(&b'\n');
        }
        self.unsynced.wrote();
        Ok(done)
    }

    fn reopen(&mut self) -> Result<Entered, AccessLogError> {
        let there = self.config.path.metadata();
        let same =
            |there: &Metadata| self.file.metadata().is_ok_and(|about| is_same(there, &about));
        if !self.regular && there.is_ok_and(|there| same(&there)) {
            // A pipe or a device goes on where it was, also within a line.
            return Ok(Entered::Same);
        }
        self.open_again()?;
        Ok(Entered::Other)
    }

    fn enter(&mut self) -> io::Result<Entered> {
        if self.regular && self.shared {
            // Nobody has to wait for a lock of which nothing came.
            self.hold().inspect_err(|_failed| self.unlock())?;
        }
        let changed = mem::take(&mut self.changed);
        Ok(if changed { Entered::Other } else { Entered::Same })
    }

    fn leave(&mut self) {
        if self.regular && self.shared {
            self.unlock();
        }
        self.keeper.work();
    }

    fn recorded(&mut self) {
        self.worth_keeping = true;
    }

    fn is_full(&self) -> bool {
        let long = self.config.rotate_bytes.is_some_and(|most| self.bytes >= most);
        self.regular && self.worth_keeping && (long || self.age_reached())
    }

    fn room(&self) -> usize {
        let room = self.config.rotate_bytes.map(|most| most.saturating_sub(self.bytes));
        room.and_then(|room| usize::try_from(room).ok()).unwrap_or(usize::MAX)
    }

    fn full_at(&self) -> Option<Instant> {
        let age = self.config.rotate_age.filter(|_| self.regular && self.worth_keeping)?;
        self.made.checked_add(age)
    }

    fn rotate(&mut self) -> Result<(), AccessLogError> {
        let stamp = stamp(&self.config.path).map_err(AccessLogError::Rotate)?;
        let full = beside(&self.config.path, &format!(".{stamp}"));
        self.replace(&full).map_err(AccessLogError::Rotate)?;
        self.keeper.wanted();
        Ok(())
    }

    fn put_aside(&mut self) -> Result<(), AccessLogError> {
        let stamp = stamp(&self.config.path).map_err(AccessLogError::Rotate)?;
        let aside = beside(&self.config.path, &format!("{UNSEALED}{stamp}"));
        self.replace(&aside).map_err(AccessLogError::Rotate)?;
        tracing::warn!(file = %aside.display(), "a log without seals was put aside, and a sealed one begun");
        Ok(())
    }

    fn is_torn(&self) -> bool {
        self.torn
    }

    fn sync(&mut self, end: bool) -> io::Result<()> {
        if !self.unsynced.is_due(end) {
            return Ok(());
        }
        if self.regular {
            if self.sync_failed {
                self.write_again()?;
            }
            let synced = self.file.sync_data();
            self.sync_failed = synced.is_err();
            synced?;
        }
        self.synced_bytes = self.bytes;
        self.unsynced.done();
        Ok(())
    }

    fn sync_at(&self) -> Option<Instant> {
        self.unsynced.due_at()
    }

    fn save_head(&mut self, line: &[u8]) -> io::Result<()> {
        if !self.regular {
            return Ok(());
        }
        let head = chain::head_path(&self.config.path);
        let new = beside(&head, ".tmp");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(line)?;
        // Always: a head that is empty after a crash of the machine would not tell where the log was.
        file.sync_all()?;
        fs::rename(&new, &head)?;
        sync_folder(&head, self.config.fsync)
    }

    fn find(&self, keys: &AuditKeys) -> io::Result<Found> {
        if self.regular { chain::find(&self.config.path, keys) } else { Ok(Found::default()) }
    }
}

/// Opens a log file: created for its owner alone, appended to.
fn open(path: &Path) -> Result<File, AccessLogError> {
    if path.metadata().is_ok_and(|found| !LogFile::may_be(found.file_type())) {
        return Err(AccessLogError::NotAFile { path: path.to_owned() });
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| AccessLogError::Open { path: path.to_owned(), source })
}

/// Locks a file, unless somebody else has. Where files cannot be locked, there is no lock.
fn lock(file: &File) -> io::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Forces the names in the folder of a file onto the disk, where that is asked for.
fn sync_folder(path: &Path, fsync: Fsync) -> io::Result<()> {
    if fsync == Fsync::Never {
        return Ok(());
    }
    File::open(chain::folder(path))?.sync_all()
}

#[cfg(test)]
mod tests;

//! Sessions in Redis.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use mcp_core::{principal::PrincipalId, session::SessionId};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::{
    Saved, StoreDown,
    figures::{Operation, Outcome, Tally},
    line::Line,
    script::{RECORD_BYTES_MAX, Scripts, Sealed},
    seal::{SessionDigest, StoreKeys, Unreadable},
};
use crate::metrics::{StoreTimes, labels::Label as _};

/// How often the same complaint is written at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// Removals that wait for the store to come back. Beyond that the oldest is dropped: its record ends when it expires.
const UNREMOVED_MAX: usize = 16 * 1024;

/// Batches in which the sessions of a principal end, at most. Who has more is asked for again.
const END_BATCHES_MAX: usize = 1000;

/// A session to be written.
pub(super) struct Record<'a> {
    pub(super) id: &'a SessionId,
    pub(super) principal: Option<PrincipalId>,
    pub(super) expires: SystemTime,
    pub(super) bytes: Vec<u8>,
}

/// Sessions in Redis, and what is to be made good when it is back.
pub(super) struct Records {
    pub(super) line: Line,
    pub(super) scripts: Scripts,
    pub(super) keys: ArcSwap<StoreKeys>,
    pub(super) tally: Tally,
    /// Told when the store lacks what was written.
    pub(super) lost: Notify,
    /// Whether something was to be written and was not.
    pub(super) missed: AtomicBool,
    unremoved: Mutex<VecDeque<Removal>>,
    refusals: Seldom,
    garbage: Seldom,
}

#[derive(Clone, Copy)]
struct Removal {
    session: SessionDigest,
    principal: Option<PrincipalId>,
}

impl Records {
    pub(super) fn new(line: Line, scripts: Scripts, keys: StoreKeys, times: StoreTimes) -> Self {
        Self {
            line,
            scripts,
            keys: ArcSwap::from_pointee(keys),
            tally: Tally::new(times),
            lost: Notify::new(),
            missed: AtomicBool::new(false),
            unremoved: Mutex::default(),
            refusals: Seldom::new(COMPLAINT_INTERVAL),
            garbage: Seldom::new(COMPLAINT_INTERVAL),
        }
    }

    pub(super) async fn save(
        &self,
        record: Record<'_>,
        of_principal_max: usize,
    ) -> Result<Saved, StoreDown> {
        let began = Instant::now();
        let saved = self.try_save(record, of_principal_max).await;
        let outcome = match saved {
            Ok(Saved::Kept) => Outcome::Done,
            Ok(Saved::TooMany) => Outcome::TooMany,
            Err(down) => {
                if down != StoreDown::Unfit {
                    self.missed.store(true, Ordering::Release);
                }
                self.fault(Operation::Save, down)
            }
        };
        self.tally.add(Operation::Save, outcome, began.elapsed());
        saved
    }

    async fn try_save(
        &self,
        record: Record<'_>,
        of_principal_max: usize,
    ) -> Result<Saved, StoreDown> {
        let session = SessionDigest::of(record.id);
        let keys = self.keys.load();
        let sealed = keys.seal(&session, record.bytes).map_err(|_cannot_seal| StoreDown::Unfit)?;
        if sealed.len() > RECORD_BYTES_MAX {
            return Err(StoreDown::Unfit);
        }
        let principal = names(&keys, record.principal);
        drop(keys);
        let sealed = Sealed { session, principal, expires: record.expires, record: sealed };
        let written: u8 = self.line.ask(&self.scripts.save(&sealed, of_principal_max)).await?;
        Ok(if written == 0 { Saved::TooMany } else { Saved::Kept })
    }

    /// Reads a session by `read`, which gives none for what it cannot read.
    pub(super) async fn load<T>(
        &self,
        id: &SessionId,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, StoreDown> {
        let began = Instant::now();
        let session = SessionDigest::of(id);
        let found: Result<Option<Vec<u8>>, _> = self.line.ask(&self.scripts.load(&session)).await;
        let sealed = match found {
            Ok(Some(sealed)) => sealed,
            Ok(None) => {
                self.tally.add(Operation::Load, Outcome::Absent, began.elapsed());
                return Ok(None);
            }
            Err(down) => {
                let outcome = self.fault(Operation::Load, down);
                self.tally.add(Operation::Load, outcome, began.elapsed());
                return Err(down);
            }
        };
        let opened = self.keys.load().open(&session, &sealed);
        let found = opened.and_then(|record| read(&record).ok_or(Unreadable::Malformed));
        let outcome = if found.is_ok() { Outcome::Done } else { Outcome::Garbage };
        self.tally.add(Operation::Load, outcome, began.elapsed());
        if let Err(why) = &found
            && self.garbage.due()
        {
            tracing::warn!(reason = %why, "record in the session store is unreadable");
        }
        Ok(found.ok())
    }

    pub(super) async fn remove(
        &self,
        id: &SessionId,
        principal: Option<PrincipalId>,
    ) -> Result<(), StoreDown> {
        let began = Instant::now();
        let removal = Removal { session: SessionDigest::of(id), principal };
        let removed = self.try_remove(removal).await;
        let outcome = match removed {
            Ok(0) => Outcome::Absent,
            Ok(_) => Outcome::Done,
            Err(down) => {
                self.remove_later(removal);
                self.fault(Operation::Remove, down)
            }
        };
        self.tally.add(Operation::Remove, outcome, began.elapsed());
        removed.map(|_how_many| ())
    }

    async fn try_remove(&self, removal: Removal) -> Result<u64, StoreDown> {
        let principal = names(&self.keys.load(), removal.principal);
        self.line.ask(&self.scripts.remove(&removal.session, &principal)).await
    }

    /// A session that has ended must not come back from the store.
    fn remove_later(&self, removal: Removal) {
        let mut unremoved = self.unremoved.lock();
        if unremoved.len() == UNREMOVED_MAX {
            unremoved.pop_front();
        }
        unremoved.push_back(removal);
    }

    /// Removes what could not be removed before.
    pub(super) async fn catch_up(&self) {
        loop {
            let next = self.unremoved.lock().pop_front();
            let Some(removal) = next else { return };
            if self.try_remove(removal).await.is_err() {
                self.remove_later(removal);
                return;
            }
        }
    }

    pub(super) async fn end_of(&self, principal: PrincipalId) -> Result<u64, StoreDown> {
        let began = Instant::now();
        let ended = self.try_end_of(principal).await;
        let outcome = match ended {
            Ok(0) => Outcome::Absent,
            Ok(_) => Outcome::Done,
            Err(down) => self.fault(Operation::EndOf, down),
        };
        self.tally.add(Operation::EndOf, outcome, began.elapsed());
        ended
    }

    async fn try_end_of(&self, principal: PrincipalId) -> Result<u64, StoreDown> {
        let names = names(&self.keys.load(), Some(principal));
        let batch = self.scripts.end_some(&names);
        let mut ended = 0;
        for _ in 0..END_BATCHES_MAX {
            let (more, left): (u64, u64) = self.line.ask(&batch).await?;
            ended += more;
            if left == 0 {
                break;
            }
        }
        Ok(ended)
    }

    /// The outcome that a fault is counted as. The keeper tells that the store is down; of the rest it is told here.
    fn fault(&self, operation: Operation, down: StoreDown) -> Outcome {
        let outcome = down.outcome();
        if down != StoreDown::Known && self.refusals.due() {
            let (operation, reason) = (operation.label(), down.word());
            tracing::warn!(operation, reason, "session store did not do what it was asked");
        }
        outcome
    }
}

fn names(keys: &StoreKeys, principal: Option<PrincipalId>) -> Vec<String> {
    principal.map(|principal| keys.principal(principal).collect()).unwrap_or_default()
}

/// Lets something through now and then.
pub(super) struct Seldom {
    interval: Duration,
    last: Mutex<Option<Instant>>,
}

impl Seldom {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, last: Mutex::new(None) }
    }

    /// Whether it has been long enough; if so, it begins anew.
    pub(super) fn due(&self) -> bool {
        let now = Instant::now();
        let mut last = self.last.lock();
        let due = last.is_none_or(|last| now.duration_since(last) >= self.interval);
        if due {
            *last = Some(now);
        }
        due
    }
}

//! The workers of this process and who owns which session.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mcp_core::{
    config::WorkerLimits,
    server::{Figures, Service, Worker},
    session::{NoRandomness, SessionId},
};

use tokio::sync::watch;

use crate::ring::{NodeName, Ring, WorkerIndex};

/// How often idle sessions and overdue calls are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// All workers, and the ring that says which of them owns a session.
#[derive(Debug)]
pub struct Workers {
    all: Box<[Arc<Worker>]>,
    ring: Ring,
    next: AtomicUsize,
}

/// A worker and its number.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// Its number.
    pub index: WorkerIndex,
    /// The worker.
    pub worker: &'a Arc<Worker>,
}

impl Workers {
    /// Makes `count` workers that serve `service`; none in a process that only routes.
    #[must_use]
    pub fn new(count: u16, service: &Arc<Service>, limits: WorkerLimits) -> Self {
        let counts = Arc::default();
        let all = (0..count)
            .map(|_| Worker::new(Arc::clone(service), limits, Arc::clone(&counts)))
            .collect();
        let ring = Ring::new([(NodeName::local(), count)]);
        Self { all, ring, next: AtomicUsize::new(0) }
    }

    /// The worker that owns the session. Nothing but the id decides.
    #[must_use]
    pub fn owner(&self, id: &SessionId) -> Option<Chosen<'_>> {
        self.chosen(self.ring.owner(id.seat())?.worker)
    }

    /// Makes an id for a new session, and says who will own it.
    ///
    /// Of two ids the one whose owner has fewer sessions is taken. The ring alone would leave the
    /// workers a tenth apart; the better of two keeps them within a few sessions of each other.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system gives none.
    pub fn mint(&self) -> Result<(SessionId, Option<Chosen<'_>>), NoRandomness> {
        let (first, second) = (SessionId::mint()?, SessionId::mint()?);
        let (owner, other) = (self.owner(&first), self.owner(&second));
        let sessions = |chosen: &Option<Chosen<'_>>| {
            chosen.as_ref().map_or(u64::MAX, |chosen| chosen.worker.figures().sessions)
        };
        if sessions(&other) < sessions(&owner) { Ok((second, other)) } else { Ok((first, owner)) }
    }

    /// The less loaded of two workers, for a request that belongs to no session.
    #[must_use]
    pub fn any(&self) -> Option<Chosen<'_>> {
        let count = self.all.len();
        if count < 2 {
            return self.chosen(WorkerIndex(0));
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let (first, second) = (turn % count, (turn + 1) % count);
        let calls = |index: usize| self.all.get(index).map_or(usize::MAX, |w| w.calls());
        let index = if calls(second) < calls(first) { second } else { first };
        self.chosen(WorkerIndex(u16::try_from(index).ok()?))
    }

    /// Whether some worker would take one more session and one more call.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.all.iter().any(|worker| worker.has_room())
    }

    /// What each worker holds and has counted, in the order of their numbers.
    #[must_use]
    pub fn figures(&self) -> Vec<Figures> {
        self.all.iter().map(|worker| worker.figures()).collect()
    }

    /// Ends idle sessions and overdue calls every second, until `stop` turns true. `overdue` is told
    /// how many calls that were.
    pub async fn sweep(&self, overdue: impl Fn(usize), mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            for worker in &self.all {
                // A call's destructor that panics must not end the sweeping.
                let swept = catch_unwind(AssertUnwindSafe(|| worker.sweep()));
                overdue(swept.map_or(0, |swept| swept.overdue_calls));
            }
            // Either the time is over, or the process is about to stop.
            drop(tokio::time::timeout(SWEEP_INTERVAL, stop.changed()).await);
        }
    }

    fn chosen(&self, index: WorkerIndex) -> Option<Chosen<'_>> {
        let worker = self.all.get(usize::from(index.0))?;
        Some(Chosen { index, worker })
    }
}

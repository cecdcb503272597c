//! The workers of this process.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use mcp_core::{
    config::WorkerLimits,
    principal::PrincipalId,
    server::{Figures, PrincipalCounts, Service, Swept, Worker},
    session::SessionId,
};

use crate::ring::WorkerIndex;

/// All workers.
#[derive(Debug)]
pub struct Workers {
    all: Box<[Arc<Worker>]>,
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
        let counts = Arc::new(PrincipalCounts::default());
        let worker = |_| Worker::new(Arc::clone(service), limits, Arc::clone(&counts));
        Self { all: (0..count).map(worker).collect(), next: AtomicUsize::new(0) }
    }

    /// The worker of that number.
    #[must_use]
    pub fn get(&self, index: WorkerIndex) -> Option<Chosen<'_>> {
        let worker = self.all.get(usize::from(index.0))?;
        Some(Chosen { index, worker })
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.all.iter()
    }

    /// Whether this process only routes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The worker that holds the session, if one does.
    #[must_use]
    pub fn holding(&self, id: &SessionId) -> Option<Chosen<'_>> {
        let index = self.all.iter().position(|worker| worker.holds(id))?;
        self.get(WorkerIndex(u16::try_from(index).ok()?))
    }

    /// The less loaded of two workers, for a request that belongs to no session.
    #[must_use]
    pub fn any(&self) -> Option<Chosen<'_>> {
        let count = self.all.len();
        if count < 2 {
            return self.get(WorkerIndex(0));
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let (first, second) = (turn % count, (turn + 1) % count);
        let calls = |index: usize| self.all.get(index).map_or(usize::MAX, |w| w.calls());
        let index = if calls(second) < calls(first) { second } else { first };
        self.get(WorkerIndex(u16::try_from(index).ok()?))
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

    /// Ends the sessions of one principal and names them.
    #[must_use]
    pub fn end_of(&self, principal: PrincipalId) -> Vec<SessionId> {
        self.all.iter().flat_map(|worker| worker.end_of(principal)).collect()
    }

    /// Ends idle sessions and overdue calls, and says which and how many those were.
    #[must_use]
    pub fn sweep(&self) -> Swept {
        let mut all = Swept::default();
        for worker in &self.all {
            // A call's destructor that panics must not end the sweeping.
            let swept = catch_unwind(AssertUnwindSafe(|| worker.sweep())).unwrap_or_default();
            all.ended.extend(swept.ended);
            all.overdue_calls += swept.overdue_calls;
        }
        all
    }
}

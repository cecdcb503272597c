//! Sessions over all replicas: their ids, who owns each, and how one comes back whose owner has gone.

mod absent;
mod handing_on;
mod keeping;
mod minting;

use self::absent::Absent;
pub use self::{
    keeping::{EndOf, Ended},
    minting::{CannotMint, Minted},
};

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use mcp_core::{
    principal::PrincipalId,
    secret::Secret,
    server::{CannotRestore, SavedSession, Worker},
    session::{NoRandomness, NotOurs, Seats, SessionId, SessionKeys, WeakKey},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    cluster::{Cluster, Way},
    config::WhenDown,
    metrics::ReplicaFigures,
    ring::{NodeName, WorkerIndex},
    store::{Saved, Store, StoreError},
    upgrade::Successor,
    workers::{Chosen, Workers},
};

/// How long after a change of the ring a session may still be on its way to its new owner, where no store has it.
const HANDING_OVER: Duration = Duration::from_secs(3);
/// How long after a change of the ring sessions may be brought to where they belonged before.
const RING_UNSTEADY: Duration = Duration::from_mins(1);
/// How often it is looked for meanwhile.
const HANDING_OVER_LOOK: Duration = Duration::from_millis(20);

/// Sessions over all replicas.
#[derive(Debug)]
pub struct Sessions {
    /// The workers of this process.
    pub workers: Arc<Workers>,
    /// The replicas.
    pub cluster: Arc<Cluster>,
    /// Where sessions are kept beside their worker.
    pub store: Arc<Store>,
    keys: ArcSwap<SessionKeys>,
    seats: Mutex<Seats>,
    age_max: Duration,
    of_principal_max: usize,
    /// Lately ended, or looked for and not found.
    absent: Absent,
    /// Open here, and not stored although there is a store.
    unsaved: Mutex<HashSet<SessionId>>,
    moving: tokio::sync::Mutex<()>,
    ring_changed: Mutex<Instant>,
    /// Told when a session is here that belongs elsewhere, and the ring may not change again.
    astray: Notify,
    /// The process that takes our place.
    successor: ArcSwapOption<Successor>,
    lost: AtomicU64,
}

/// Who serves a session.
#[derive(Debug)]
pub enum Place<'a> {
    /// A worker of this process.
    Here(Chosen<'a>),
    /// Another replica, by the worker of that number.
    There(NodeName, WorkerIndex),
}

/// Why a session that was just opened must not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKept {
    /// Its principal has as many as allowed.
    TooMany,
    /// It could not be stored, and the settings want it to be.
    StoreDown,
}

/// What became of looking for a session that is not at its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought {
    /// It is there now.
    Restored,
    /// There is none, or it is somebody else's.
    Absent,
    /// The store cannot be asked, so nobody knows.
    Unknown,
    /// Another replica has it by now.
    Moved,
}

/// How sessions are named and kept.
#[derive(Debug)]
pub struct Terms<'a> {
    /// What signs ids; empty: a random key of this process.
    pub keys: &'a [Secret],
    /// A session ends at this age.
    pub age_max: Duration,
    /// Most sessions of one principal.
    pub of_principal_max: usize,
}

/// Why sessions cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    /// A key is too short.
    #[error("a key of the sessions cannot be used")]
    Key(#[from] WeakKey),
    /// The store cannot be used as it is configured.
    #[error("cannot set up the session store")]
    Store(#[from] StoreError),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl Sessions {
    /// Puts workers, replicas and store together.
    ///
    /// # Errors
    /// [`SessionsError`] when a key cannot be used.
    pub fn new(
        workers: Arc<Workers>,
        cluster: Arc<Cluster>,
        store: Arc<Store>,
        terms: &Terms<'_>,
    ) -> Result<Self, SessionsError> {
        Ok(Self {
            workers,
            cluster,
            store,
            keys: ArcSwap::from_pointee(keys(terms.keys)?),
            seats: Mutex::new(Seats::new()),
            age_max: terms.age_max,
            of_principal_max: terms.of_principal_max,
            absent: Absent::default(),
            unsaved: Mutex::default(),
            moving: tokio::sync::Mutex::default(),
            ring_changed: Mutex::new(Instant::now()),
            astray: Notify::new(),
            successor: ArcSwapOption::empty(),
            lost: AtomicU64::new(0),
        })
    }

    /// Uses other keys from now on. A random key stays: it was not configured, so nothing can replace it but
    /// keys that are.
    ///
    /// # Errors
    /// [`SessionsError`]; nothing has changed then.
    pub fn rekey(&self, secrets: &[Secret]) -> Result<(), SessionsError> {
        if !secrets.is_empty() {
            let keys = SessionKeys::new(secrets)?;
            self.store.rekey(secrets)?;
            self.keys.store(Arc::new(keys));
        }
        Ok(())
    }

    /// Checks that the id is one of ours and this caller's.
    ///
    /// # Errors
    /// [`NotOurs`] when it is not, or has expired.
    pub fn check(
        &self,
        id: &SessionId,
        principal: Option<PrincipalId>,
    ) -> Result<SystemTime, NotOurs> {
        self.keys.load().check(id, principal, SystemTime::now())
    }

    /// Who serves the session; `None` while no replica has a worker.
    #[must_use]
    pub fn place(&self, id: &SessionId) -> Option<Place<'_>> {
        let place = self.place_by_ring(id);
        // Who holds a session that is stored nowhere is the only one who can serve it, until it is handed over. It may
        // have been handed over to another worker here than the ring says, when the ring was another.
        if !matches!(&place, Some(Place::Here(chosen)) if chosen.worker.holds(id))
            && (!self.store.is_shared() || self.is_unsaved(id))
            && let Some(chosen) = self.workers.holding(id)
        {
            return Some(Place::Here(chosen));
        }
        place
    }

    fn place_by_ring(&self, id: &SessionId) -> Option<Place<'_>> {
        let membership = self.cluster.membership();
        let owner = membership.ring.owner(id.seat())?;
        if membership.is_me(owner.node) {
            return self.workers.get(owner.worker).map(Place::Here);
        }
        Some(Place::There(owner.node.clone(), owner.worker))
    }

    /// Whether a new session, and a call, would be served: here, or by another replica.
    #[must_use]
    pub fn has_room(&self) -> bool {
        if self.workers.is_empty() {
            return self.cluster.membership().ring.nodes().iter().any(|(_, workers)| *workers > 0);
        }
        self.workers.has_room()
    }

    /// The way to the other replica that serves the session; `None` when we do, or nobody does.
    #[must_use]
    pub fn way(&self, id: &SessionId) -> Option<Way> {
        if matches!(self.place(id), Some(Place::Here(_))) {
            return None;
        }
        self.cluster.membership().way(id.seat())
    }

    /// Whether another replica serves the session by now, which was placed here a moment ago. Where there is a store, it
    /// can be served here all the same.
    #[must_use]
    pub fn has_moved(&self, id: &SessionId) -> bool {
        !self.store.is_shared() && matches!(self.place(id), Some(Place::There(..)))
    }

    fn is_unsaved(&self, id: &SessionId) -> bool {
        self.unsaved.lock().contains(id)
    }

    /// Forgets a session that was brought here while the ring changed, so that no copy stays behind.
    pub fn let_go_of(&self, id: &SessionId, worker: &Worker) {
        if self.store.is_shared()
            && self.ring_changed.lock().elapsed() < RING_UNSTEADY
            && matches!(self.place(id), Some(Place::There(..)))
        {
            worker.release_one(id);
        }
    }

    /// Keeps a session that its worker has just opened.
    ///
    /// # Errors
    /// [`NotKept`]; the session has been closed then.
    pub async fn opened(&self, id: &SessionId, worker: &Worker) -> Result<(), NotKept> {
        self.hand_on_one(id).await;
        let kept = self.kept(id, worker).await;
        self.look_after(id);
        kept
    }

    async fn kept(&self, id: &SessionId, worker: &Worker) -> Result<(), NotKept> {
        if !self.store.is_shared() {
            return Ok(());
        }
        let Some(saved) = worker.saved(id) else { return Ok(()) };
        let not_kept = match self.store.save(id, &saved, self.of_principal_max).await {
            Ok(Saved::Kept) => return Ok(()),
            Ok(Saved::TooMany) => NotKept::TooMany,
            Err(_down) if self.store.when_down() == WhenDown::Memory => {
                self.unsaved.lock().insert(id.clone());
                return Ok(());
            }
            Err(_down) => NotKept::StoreDown,
        };
        worker.discard(id, saved.principal());
        Err(not_kept)
    }

    /// Sees to it that a session that was just put here does not stay if it belongs elsewhere. The ring may have changed,
    /// and what belonged elsewhere been let go, just before.
    fn look_after(&self, id: &SessionId) {
        if matches!(self.place_by_ring(id), Some(Place::There(..))) {
            self.astray.notify_one();
        }
    }

    /// Looks for a session that its worker does not hold. The caller's id was checked.
    pub async fn bring(
        &self,
        id: &SessionId,
        principal: Option<PrincipalId>,
        worker: &Worker,
    ) -> Brought {
        if !self.store.is_shared() && self.handed_over_soon(id, worker).await {
            return Brought::Restored;
        }
        if self.has_moved(id) {
            return Brought::Moved;
        }
        if self.absent.has_ended(id) || self.absent.was_sought(id) {
            return Brought::Absent;
        }
        match self.store.load(id).await {
            // It may have ended while it was read.
            Ok(Some(saved)) if saved.principal() == principal && !self.has_ended(id, principal) => {
                let brought = restore(id, saved, worker);
                if self.has_ended(id, principal) {
                    worker.discard(id, principal);
                    return Brought::Absent;
                }
                brought
            }
            Ok(_) => {
                self.absent.note_sought(id);
                self.lost.fetch_add(1, Ordering::Relaxed);
                Brought::Absent
            }
            Err(_down) => Brought::Unknown,
        }
    }

    fn has_ended(&self, id: &SessionId, principal: Option<PrincipalId>) -> bool {
        self.absent.has_ended(id)
            || principal.is_some_and(|principal| self.absent.was_revoked(principal))
    }

    /// Removes from the store what has ended. What fails is done by the store when it is back.
    async fn remove(&self, id: &SessionId, principal: Option<PrincipalId>) {
        if let Err(error) = self.store.remove(id, principal).await {
            tracing::debug!(%error, "an ended session waits for the store to come back");
        }
    }

    /// Waits a little for a session that another replica may be about to hand over: the ring has just changed. No longer
    /// than it is to be handed to us.
    async fn handed_over_soon(&self, id: &SessionId, worker: &Worker) -> bool {
        let since = *self.ring_changed.lock();
        while since.elapsed() < HANDING_OVER {
            if worker.holds(id) {
                return true;
            }
            if self.has_moved(id) {
                return false;
            }
            tokio::time::sleep(HANDING_OVER_LOOK).await;
        }
        worker.holds(id)
    }

    /// Forgets a session that its client has ended.
    pub async fn closed(&self, id: SessionId, principal: Option<PrincipalId>) {
        self.absent.note_end(&id);
        self.hand_on_end(&id).await;
        self.remove(&id, principal).await;
    }

    /// What is known of replicas and stored sessions at the moment.
    #[must_use]
    pub fn figures(&self) -> ReplicaFigures {
        let store = self.store.figures();
        ReplicaFigures {
            lost: self.lost.load(Ordering::Relaxed),
            store_losses: store.losses,
            store_is_up: self.store.is_shared().then_some(store.up),
            store: store.all().collect(),
            ..self.cluster.figures()
        }
    }
}

fn keys(secrets: &[Secret]) -> Result<SessionKeys, SessionsError> {
    if secrets.is_empty() { Ok(SessionKeys::random()?) } else { Ok(SessionKeys::new(secrets)?) }
}

fn restore(id: &SessionId, saved: SavedSession, worker: &Worker) -> Brought {
    match worker.restore(id.clone(), saved) {
        Ok(()) => Brought::Restored,
        Err(why) => {
            tracing::warn!(error = %why, "a session could not be restored");
            match why {
                CannotRestore::Full => Brought::Unknown,
                CannotRestore::Unreadable | CannotRestore::Expired => Brought::Absent,
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! What happens to sessions without a request: they grow old, move, are stored anew, are ended by an operator.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use mcp_core::{principal::PrincipalId, server::EndedSession, session::SessionId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::{sync::watch, time::sleep};

use super::{Place, Sessions};
use crate::{
    cluster::{
        Answer, HeardError, LEAVE_PATH, SESSIONS_END_PATH, SESSIONS_TAKE_PATH, STATUS_PATH,
        STREAMS_END_PATH,
    },
    hop::Hop,
    policy,
    ring::NodeName,
    telemetry::Chain,
    upgrade::Message,
};

/// How often idle sessions and overdue calls are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Sessions that are written for another replica at once; they may be some megabytes.
const HANDED_OVER_MAX: usize = 500;
/// How long a session that belongs elsewhere stays at least.
const ASTRAY_PAUSE: Duration = Duration::from_millis(100);
/// How often it is tried to give sessions to a replica.
const HANDING_OVER_TRIES: usize = 3;

/// A request to end the sessions of one principal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndOf {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `sub` of its tokens.
    pub subject: String,
}

/// How many sessions ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Open ones, in the memory of replicas.
    pub ended: u64,
    /// Stored ones.
    pub stored: u64,
    /// Replicas that could not be told, beside the store.
    pub unreachable: u64,
}

impl Sessions {
    /// Does what has to be done without a request, until `stop` turns true. `overdue` is told how many calls were
    /// ended at their deadline.
    pub async fn keep(&self, overdue: impl Fn(usize), mut stop: watch::Receiver<bool>) {
        let all = async {
            tokio::join!(self.sweep(overdue), self.follow_the_ring(), self.follow_the_store())
        };
        tokio::select! {
            ((), (), ()) = all => {}
            // A closed channel means that the process ends.
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    #[expect(clippy::infinite_loop, reason = "whoever waits for it stops it")]
    async fn sweep(&self, overdue: impl Fn(usize)) {
        loop {
            let swept = self.workers.sweep();
            overdue(swept.overdue_calls);
            for EndedSession { id, principal } in swept.ended {
                // A copy that grew idle here may be in use where it belongs.
                if matches!(self.place_by_ring(&id), Some(Place::Here(_))) {
                    self.absent.note_end(&id);
                    self.remove(&id, principal).await;
                }
            }
            self.save_unsaved().await;
            sleep(SWEEP_INTERVAL).await;
        }
    }

    /// Lets go of what falls to another replica.
    async fn follow_the_ring(&self) {
        let mut changed = self.cluster.changed();
        loop {
            tokio::select! {
                changed = changed.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    *self.ring_changed.lock() = Instant::now();
                }
                // While rings differ two replicas may give each other the same sessions, so not at once.
                () = self.astray.notified() => sleep(ASTRAY_PAUSE).await,
            }
            self.let_go().await;
        }
    }

    /// Leaves the ring, tells the other replicas so, and lets go of all sessions.
    pub async fn leave(&self) {
        self.cluster.leave().await;
        self.let_go().await;
    }

    async fn let_go(&self) {
        // One at a time: leaving changes the ring, which lets go as well.
        let _moving = self.moving.lock().await;
        if !self.store.is_shared() {
            self.hand_over().await;
            return;
        }
        self.save_unsaved().await;
        let unsaved = self.unsaved.lock().clone();
        let here = |id: &SessionId| {
            unsaved.contains(id) || matches!(self.place_by_ring(id), Some(Place::Here(_)) | None)
        };
        let released: usize = self.workers.iter().map(|worker| worker.release(&here)).sum();
        if released > 0 {
            tracing::info!(sessions = released, "sessions fall to other replicas now");
        }
    }

    /// Stores everything anew whenever the store has lost it.
    #[expect(clippy::infinite_loop, reason = "whoever waits for it stops it")]
    async fn follow_the_store(&self) {
        loop {
            self.store.lost().await;
            let ids: Vec<SessionId> = self.workers.iter().flat_map(|worker| worker.ids()).collect();
            tracing::warn!(
                sessions = ids.len(),
                "the store has lost its sessions; they are stored anew"
            );
            self.unsaved.lock().extend(ids);
            self.save_unsaved().await;
        }
    }

    /// Stores what could not be stored before, as long as the store answers.
    async fn save_unsaved(&self) {
        let ids: Vec<SessionId> = self.unsaved.lock().iter().cloned().collect();
        for id in ids {
            if let Some(saved) = self.workers.holding(&id).and_then(|chosen| chosen.worker.saved(&id))
                // However many its principal has: it was open already.
                && self.store.save(&id, &saved, usize::MAX).await.is_err()
            {
                return;
            }
            self.unsaved.lock().remove(&id);
        }
    }

    /// Gives sessions to the replicas that own them now, where no store has them.
    async fn hand_over(&self) {
        let mut by_node: BTreeMap<NodeName, Vec<SessionId>> = BTreeMap::new();
        for id in self.workers.iter().flat_map(|worker| worker.ids()) {
            if let Some(Place::There(node, _)) = self.place_by_ring(&id) {
                by_node.entry(node).or_default().push(id);
            }
        }
        for (node, ids) in by_node {
            let mut released = 0;
            for some in ids.chunks(HANDED_OVER_MAX) {
                let given: Vec<_> = some.iter().filter_map(|id| self.as_handed_on(id)).collect();
                let batches: Vec<_> = Message::batches(given).collect();
                for batch in batches {
                    let Message::Sessions(sessions) = batch else { continue };
                    released += self.hand_over_to(&node, &sessions).await;
                }
            }
            tracing::info!(%node, sessions = released, of = ids.len(), "sessions were handed over");
        }
    }

    /// Gives some sessions to a replica, and forgets those that it has taken. Returns how many that were.
    async fn hand_over_to(&self, node: &NodeName, sessions: &[(String, Box<RawValue>)]) -> usize {
        let Ok(body) = serde_json::to_vec(sessions) else { return 0 };
        for _ in 0..HANDING_OVER_TRIES {
            match self.cluster.tell_one(node, SESSIONS_TAKE_PATH, body.clone()).await {
                Ok(answer) => {
                    let taken: Vec<bool> = serde_json::from_slice(&answer).unwrap_or_default();
                    let taken = sessions.iter().zip(taken).filter(|(_, taken)| *taken);
                    return taken.filter(|((id, _), _)| self.release(id)).count();
                }
                Err(error) => {
                    let error = Chain(&error);
                    tracing::warn!(%node, %error, "sessions could not be handed over");
                }
            }
        }
        0
    }

    fn release(&self, id: &str) -> bool {
        let id = SessionId::parse(id.as_bytes()).ok();
        let Some(id) = id else { return false };
        let Some(chosen) = self.workers.holding(&id) else { return false };
        chosen.worker.release_one(&id);
        true
    }

    /// Ends all sessions of one principal, here and at the other replicas.
    pub async fn end_of_subject(&self, of: &EndOf) -> Ended {
        let principal = policy::principal_of(&of.issuer, &of.subject);
        // The store first: what is ended in memory only could be restored from there at once.
        self.absent.revoke(principal);
        let stored = self.store.end_of(principal).await;
        let mut all = self.end_here(principal);
        all.stored = *stored.as_ref().unwrap_or(&0);
        all.unreachable = u64::from(stored.is_err()) + self.cluster.out_of_reach();
        let body = serde_json::to_vec(&principal).unwrap_or_default();
        for (node, told) in self.cluster.tell(SESSIONS_END_PATH, body).await {
            let ended = told.ok().and_then(|answer| serde_json::from_slice::<Ended>(&answer).ok());
            if let Some(ended) = ended {
                all.ended += ended.ended;
            } else {
                tracing::warn!(%node, "a replica could not be told to end sessions");
                all.unreachable += 1;
            }
        }
        all
    }

    fn end_here(&self, principal: PrincipalId) -> Ended {
        self.absent.revoke(principal);
        let ended = self.workers.end_of(principal).len();
        Ended { ended: u64::try_from(ended).unwrap_or(u64::MAX), ..Ended::default() }
    }

    /// What another replica is answered that says something on a control path.
    ///
    /// # Errors
    /// [`HeardError`] when the body is not what it signed, or nobody knows such a message.
    pub async fn heard(&self, path: &str, hop: &Hop, body: &[u8]) -> Result<Answer, HeardError> {
        match path {
            STATUS_PATH => self.cluster.answer_probe(hop),
            LEAVE_PATH => self.cluster.heard_leave(hop, body).await,
            STREAMS_END_PATH => self.cluster.heard_streams_end(hop, body),
            SESSIONS_END_PATH => {
                self.cluster.is_genuine(hop, body)?;
                let ended = self.end_here(serde_json::from_slice(body)?);
                self.cluster.answer(hop, SESSIONS_END_PATH, serde_json::to_vec(&ended)?)
            }
            SESSIONS_TAKE_PATH => {
                self.cluster.is_genuine(hop, body)?;
                let given: Vec<(String, Box<RawValue>)> = serde_json::from_slice(body)?;
                let taken = self.take(&given);
                self.cluster.answer(hop, SESSIONS_TAKE_PATH, serde_json::to_vec(&taken)?)
            }
            _ => Err(HeardError::Unknown),
        }
    }

    /// Takes sessions that another replica hands over, whatever the ring says yet; says of each whether it was taken. None
    /// is when we are about to end: who hands them over has not heard of it yet.
    pub(super) fn take(&self, given: &[(String, Box<RawValue>)]) -> Vec<bool> {
        if self.cluster.is_leaving() {
            return vec![false; given.len()];
        }
        given.iter().map(|(id, saved)| self.take_one(id, saved)).collect()
    }
}

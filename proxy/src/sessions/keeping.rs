//! What happens to sessions without a request: they grow old, move, are stored anew, are ended by an operator.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use mcp_core::{principal::PrincipalId, server::SavedSession, session::SessionId};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::sleep};

use super::{Place, Sessions};
use crate::{
    cluster::{Answer, HeardError, LEAVE_PATH, SESSIONS_END_PATH, SESSIONS_TAKE_PATH, STATUS_PATH},
    hop::Hop,
    policy,
    ring::NodeName,
};

/// How often idle sessions and overdue calls are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Sessions handed over in one message. With what clients usually say of themselves that is some 300 kB.
const HANDED_OVER_MAX: usize = 500;
/// How often sessions are offered that are not taken: for five seconds, in which rings agree unless the network is torn.
const HANDING_OVER_OFFERS_MAX: usize = 100;
/// How long to wait before they are offered again.
const HANDING_OVER_PAUSE: Duration = Duration::from_millis(50);

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
            if self.store.is_shared() {
                let ended = swept.ended.into_iter().map(|ended| (ended.id, ended.principal));
                self.forget_later(ended.collect());
                self.forget().await;
                self.save_unsaved().await;
            }
            sleep(SWEEP_INTERVAL).await;
        }
    }

    /// Removes ended sessions from the store, as long as it answers.
    async fn forget(&self) {
        loop {
            let Some((id, principal)) = self.forgotten.lock().pop() else { return };
            if self.store.remove(&id, principal).await.is_err() {
                self.forget_later(vec![(id, principal)]);
                return;
            }
        }
    }

    /// Lets go of what falls to another replica.
    async fn follow_the_ring(&self) {
        let mut changed = self.cluster.changed();
        while changed.changed().await.is_ok() {
            *self.ring_changed.lock() = Instant::now();
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
    ///
    /// A replica takes what it owns by its own ring, which may be behind ours for a moment, or ahead. What it does not
    /// take stays here, where it is served, and is offered again.
    pub async fn hand_over(&self) {
        for _offer in 0..HANDING_OVER_OFFERS_MAX {
            let mut by_node: BTreeMap<NodeName, Vec<SessionId>> = BTreeMap::new();
            for id in self.workers.iter().flat_map(|worker| worker.ids()) {
                if let Some(Place::There(node, _)) = self.place_by_ring(&id) {
                    by_node.entry(node).or_default().push(id);
                }
            }
            let mut all_taken = true;
            for (node, ids) in by_node {
                for batch in ids.chunks(HANDED_OVER_MAX) {
                    all_taken &= self.hand_over_to(&node, batch).await;
                }
            }
            if all_taken {
                return;
            }
            sleep(HANDING_OVER_PAUSE).await;
        }
        tracing::warn!("sessions that fall to other replicas stay here: they are not taken");
    }

    /// `false` when not all were taken.
    async fn hand_over_to(&self, node: &NodeName, ids: &[SessionId]) -> bool {
        let saved: Vec<_> = ids
            .iter()
            .filter_map(|id| Some((id.as_str(), self.workers.holding(id)?.worker.saved(id)?)))
            .collect();
        let Ok(body) = serde_json::to_vec(&saved) else { return true };
        let told = self.cluster.tell_one(node, SESSIONS_TAKE_PATH, body).await;
        let refused: HashSet<String> = match told {
            Ok(answer) => match serde_json::from_slice(&answer) {
                Ok(refused) => refused,
                Err(_not_ours) => return false,
            },
            Err(error) => {
                tracing::warn!(%node, error = %crate::telemetry::Chain(&error), "sessions could not be handed over");
                return false;
            }
        };
        let taken: HashSet<&SessionId> =
            ids.iter().filter(|id| !refused.contains(id.as_str())).collect();
        let released: usize = self
            .workers
            .iter()
            .map(|worker| worker.release(&|id: &SessionId| !taken.contains(id)))
            .sum();
        tracing::info!(%node, sessions = released, "sessions were handed over");
        refused.is_empty()
    }

    /// Ends all sessions of one principal, here and at the other replicas.
    pub async fn end_of_subject(&self, of: &EndOf) -> Ended {
        let principal = policy::principal_of(&of.issuer, &of.subject);
        let mut all = self.end_here(principal);
        if let Ok(stored) = self.store.end_of(principal).await {
            all.stored = stored;
        } else {
            all.unreachable += 1;
        }
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
            SESSIONS_END_PATH => {
                self.cluster.is_genuine(hop, body)?;
                let ended = self.end_here(serde_json::from_slice(body)?);
                self.cluster.answer(hop, SESSIONS_END_PATH, serde_json::to_vec(&ended)?)
            }
            SESSIONS_TAKE_PATH => {
                self.cluster.is_genuine(hop, body)?;
                let taken = self.take(serde_json::from_slice(body)?);
                self.cluster.answer(hop, SESSIONS_TAKE_PATH, serde_json::to_vec(&taken)?)
            }
            _ => Err(HeardError::Unknown),
        }
    }

    /// Takes sessions that another replica hands over; returns the ids of those that are not ours to take.
    fn take(&self, given: Vec<(String, SavedSession)>) -> Vec<String> {
        let mut refused = Vec::new();
        for (text, saved) in given {
            // One that is none, or has expired, is nobody's.
            let Ok(id) = SessionId::parse(text.as_bytes()) else { continue };
            if self.check(&id, saved.principal()).is_err() {
                continue;
            }
            let taken = match self.place_by_ring(&id) {
                Some(Place::Here(chosen)) => chosen.worker.restore(id, saved).is_ok(),
                Some(Place::There(..)) | None => false,
            };
            if !taken {
                refused.push(text);
            }
        }
        refused
    }
}

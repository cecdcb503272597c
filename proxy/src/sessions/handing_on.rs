//! Sessions that pass to a process which takes this one's place.

use std::{sync::Arc, time::Duration};

use mcp_core::{server::SavedSession, session::SessionId};
use serde_json::value::{RawValue, to_raw_value};

use super::{Place, Sessions};
use crate::upgrade::{Message, Successor, UpgradeError};

/// How long the process that takes our place may take until it serves.
const PATIENCE: Duration = Duration::from_secs(30);

impl Sessions {
    /// Hands all sessions on, and from now on each that is opened or ends here.
    ///
    /// # Errors
    /// [`UpgradeError`]; the other process must not serve then, and we go on.
    pub async fn hand_on(&self, successor: &Arc<Successor>) -> Result<(), UpgradeError> {
        // First: what is opened meanwhile is handed on as well.
        self.successor.store(Some(Arc::clone(successor)));
        let handed = self.hand_on_all(successor).await;
        if handed.is_err() {
            self.successor.store(None);
        }
        handed
    }

    async fn hand_on_all(&self, successor: &Successor) -> Result<(), UpgradeError> {
        if !self.store.is_shared() {
            let ids: Vec<SessionId> = self.workers.iter().flat_map(|worker| worker.ids()).collect();
            for message in Message::batches(ids.iter().filter_map(|id| self.as_handed_on(id))) {
                successor.send(&message).await?;
            }
        }
        successor.send(&Message::Ready).await?;
        successor.wait_until_serving(PATIENCE).await
    }

    /// Whether another process serves in our place.
    #[must_use]
    pub fn are_handed_on(&self) -> bool {
        self.successor.load().is_some()
    }

    /// Tells the process that took our place that there is nothing more to say.
    pub async fn handed_on_to_the_end(&self) {
        if let Some(successor) = self.successor.load_full() {
            tell(&successor, Message::Done).await;
        }
    }

    /// Takes what the process before us says.
    pub fn heard_from_before(&self, message: Message) {
        match message {
            Message::Sessions(sessions) => {
                for (id, saved) in sessions {
                    self.take_one(&id, &saved);
                }
            }
            Message::Ended(ids) => {
                for id in ids {
                    let Ok(id) = SessionId::parse(id.as_bytes()) else { continue };
                    if let Some(chosen) = self.workers.holding(&id) {
                        let principal =
                            chosen.worker.saved(&id).and_then(|saved| saved.principal());
                        chosen.worker.discard(&id, principal);
                    }
                }
            }
            Message::Ready | Message::Done => {}
        }
    }

    /// Goes on with a session that another process held; `false` if it cannot. Where it belongs by a ring that has not
    /// heard of us yet, or by one that we have not heard of yet, does not matter: it is ours now.
    pub(super) fn take_one(&self, id: &str, saved: &RawValue) -> bool {
        self.taken(id, saved).is_some()
    }

    fn taken(&self, id: &str, saved: &RawValue) -> Option<()> {
        let saved = serde_json::from_str::<SavedSession>(saved.get()).ok()?;
        let id = SessionId::parse(id.as_bytes()).ok()?;
        // One that was signed with a key that we do not have is of no use: its client would be refused.
        let principal = saved.principal();
        self.check(&id, principal).ok().filter(|_expires| !self.has_ended(&id, principal))?;
        let worker = match self.place_by_ring(&id) {
            Some(Place::Here(chosen)) => chosen.worker,
            Some(Place::There(..)) | None => self.workers.any()?.worker,
        };
        match worker.restore(id.clone(), saved) {
            Ok(()) => {
                self.look_after(&id);
                Some(())
            }
            Err(error) => {
                tracing::warn!(%error, "a session could not be taken over");
                None
            }
        }
    }

    /// Tells the process that takes our place of a session that was just opened here.
    pub(super) async fn hand_on_one(&self, id: &SessionId) {
        let Some(successor) = self.successor.load_full() else { return };
        if self.store.is_shared() {
            return;
        }
        if let Some(session) = self.as_handed_on(id) {
            tell(&successor, Message::Sessions(vec![session])).await;
        }
    }

    /// Tells the process that takes our place of a session that has ended here.
    pub(super) async fn hand_on_end(&self, id: &SessionId) {
        if let Some(successor) = self.successor.load_full() {
            tell(&successor, Message::Ended(vec![id.as_str().to_owned()])).await;
        }
    }

    pub(super) fn as_handed_on(&self, id: &SessionId) -> Option<(String, Box<RawValue>)> {
        let saved = self.workers.holding(id)?.worker.saved(id)?;
        Some((id.as_str().to_owned(), to_raw_value(&saved).ok()?))
    }
}

async fn tell(successor: &Successor, message: Message) {
    if let Err(error) = successor.send(&message).await {
        let error = crate::telemetry::Chain(&error);
        tracing::warn!(%error, "the process that takes our place could not be told of a session");
    }
}

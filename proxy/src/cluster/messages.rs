//! Control messages: what replicas tell one another beside clients' requests.
//!
//! The peer listener checks the signature in the header and reads the body; what is here takes both and gives
//! the answer, without knowing how they came.

use std::{error::Error, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, time::timeout};

use super::{
    Cluster, Others,
    keeper::{News, Shared},
    letters::{Answer, AnswerRefused},
    link::{Link, LinkError},
    status::{Instance, Phase, Status},
};
use crate::{
    hop::{CannotSign, Hop},
    ring::NodeName,
};

/// Where a replica is told that another is about to end.
pub const LEAVE_PATH: &str = "/_promgate/leave";

/// How often a process that is about to end asks for the end of the streams that it passes on, since a client may open
/// one more over a connection that it still has.
const STREAMS_END_INTERVAL: Duration = Duration::from_secs(1);

/// Largest answer to a control message, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A control message was not answered.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// It cannot be signed.
    #[error("the message cannot be signed")]
    Sign(#[from] CannotSign),
    /// Nothing came back.
    #[error("the replica did not answer")]
    Unanswered(#[source] Box<dyn Error + Send + Sync>),
    /// What came back is no replica's answer.
    #[error("the answer cannot be believed")]
    NotAuthentic(#[source] Box<dyn Error + Send + Sync>),
    /// It is not on the ring any more.
    #[error("the replica is not on the ring any more")]
    Gone,
    /// Another replica answered.
    #[error("another replica answered")]
    OtherNode,
}

/// A control message that is not taken.
#[derive(Debug, thiserror::Error)]
pub enum HeardError {
    /// There are no replicas that could have sent it.
    #[error("there are no other replicas")]
    Alone,
    /// Nobody knows such a message.
    #[error("there is no such message")]
    Unknown,
    /// The body is not the one that was signed.
    #[error("the body is not the one that was signed")]
    Body,
    /// The body cannot be read, or the answer cannot be written.
    #[error("the message is none that is known here")]
    Json,
    /// The answer cannot be signed.
    #[error("the answer cannot be signed")]
    Sign(#[from] CannotSign),
}

/// What a replica says when it is about to end.
#[derive(Debug, Serialize, Deserialize)]
struct Leave {
    instance: Instance,
}

/// What is answered where there is nothing to say.
#[derive(Debug, Serialize)]
struct Heard {}

/// Where a replica is told that all sessions of a principal end.
pub const SESSIONS_END_PATH: &str = "/_promgate/sessions/end";
/// Where a replica is given sessions that fall to it.
pub const SESSIONS_TAKE_PATH: &str = "/_promgate/sessions/take";
/// Where a replica is told that the process which says so is about to end, and its streams with it.
pub const STREAMS_END_PATH: &str = "/_promgate/streams/end";
/// Begins every path of what replicas tell one another beside clients' requests.
pub const CONTROL_PREFIX: &str = "/_promgate/";
/// Largest control message, in bytes: sessions are handed over by about a megabyte.
pub const CONTROL_BODY_BYTES_MAX: usize = 2 << 20;

/// Without its words: they may repeat parts of the message, which may hold session ids.
impl From<serde_json::Error> for HeardError {
    fn from(_words: serde_json::Error) -> Self {
        Self::Json
    }
}

impl Cluster {
    /// Tells one replica, and gives what it answered.
    ///
    /// # Errors
    /// [`TellError`] when it cannot be told, or its answer cannot be believed.
    pub async fn tell_one(
        &self,
        node: &NodeName,
        path: &'static str,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, TellError> {
        let link = self.membership().links.get(node).cloned();
        let (Some(others), Some(link)) = (&self.others, link) else {
            return Err(TellError::Gone);
        };
        tell_one(&others.shared, (node, &link), path, body.into()).await
    }

    /// Tells every replica that answers, those that are about to end included, and gives what each answered. Asks
    /// all at once and waits for none longer than for a probe.
    pub async fn tell(
        &self,
        path: &'static str,
        body: Vec<u8>,
    ) -> Vec<(NodeName, Result<Vec<u8>, TellError>)> {
        let Some(others) = &self.others else { return Vec::new() };
        let body = Bytes::from(body);
        let hearers = self.membership().hearers.clone();
        let told = hearers.into_iter().map(|(node, link)| {
            let body = body.clone();
            async move {
                let told = tell_one(&others.shared, (&node, &link), path, body).await;
                (node, told)
            }
        });
        join_all(told).await
    }

    /// Says goodbye: from now on probes hear that we are about to end, every other replica has been told, or could
    /// not be within the time of a probe, and then our own ring is without us as well.
    ///
    /// In this order: while some have heard it and others have not, whoever still sends us a session finds that
    /// we own it. The other way round we would send it on to one that sends it back.
    ///
    /// If nobody else is on the ring we stay there ourselves: there is nobody who could take over.
    pub async fn leave(&self) {
        let Some(others) = &self.others else { return };
        others.shared.leaving.store(true, Ordering::Relaxed);
        let leave = Leave { instance: others.shared.own.instance };
        // A struct of one string can always be written.
        let body = serde_json::to_vec(&leave).unwrap_or_default();
        for (node, told) in self.tell(LEAVE_PATH, body).await {
            if let Err(error) = told {
                let error = crate::telemetry::Chain(&error);
                tracing::warn!(%node, %error, "a replica could not be told that we end; its next probe will");
            }
        }
        others.shared.left.store(true, Ordering::Relaxed);
        others.ring_without(News::Leaving).await;
    }

    /// Has the other replicas end, as they should end, the streams that only wait and run through this process: again and
    /// again, until whoever waits for this waits no more. We cannot end them ourselves without cutting them.
    #[expect(clippy::infinite_loop, reason = "whoever waits for it stops it")]
    pub async fn end_streams_passed_on(&self) {
        loop {
            for (node, told) in self.tell(STREAMS_END_PATH, b"{}".to_vec()).await {
                if let Err(error) = told {
                    let error = crate::telemetry::Chain(&error);
                    tracing::debug!(%node, %error, "a replica could not be told to end our streams");
                }
            }
            tokio::time::sleep(STREAMS_END_INTERVAL).await;
        }
    }

    /// Ends the streams that run through the process which says so: `POST` of [`STREAMS_END_PATH`].
    ///
    /// # Errors
    /// [`HeardError`] when it is not what its sender signed.
    pub fn heard_streams_end(&self, said: &Hop, body: &[u8]) -> Result<Answer, HeardError> {
        self.is_genuine(said, body)?;
        self.passed.end(said.signer);
        self.answer(said, STREAMS_END_PATH, serde_json::to_vec(&Heard {})?)
    }

    /// Answers a probe: `GET` of [`STATUS_PATH`](super::STATUS_PATH).
    ///
    /// # Errors
    /// [`HeardError`] when nobody could have sent it, or the answer cannot be signed.
    pub fn answer_probe(&self, asked: &Hop) -> Result<Answer, HeardError> {
        let shared = self.shared()?;
        let is_leaving = shared.leaving.load(Ordering::Relaxed);
        let status = Status {
            node: shared.own.name.clone(),
            instance: shared.own.instance,
            started_ms: shared.own.started_ms,
            workers: shared.own.workers,
            phase: if is_leaving { Phase::Draining } else { Phase::Ready },
            ring: self.membership().ring.version(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let body = serde_json::to_vec(&status)?;
        Ok(shared.letters.answer(asked, super::STATUS_PATH, body.into())?)
    }

    /// Takes a goodbye: `POST` of [`LEAVE_PATH`]. It is answered when our ring is without who said it.
    ///
    /// # Errors
    /// [`HeardError`] when it is not what its sender signed, or is none.
    pub async fn heard_leave(&self, said: &Hop, body: &[u8]) -> Result<Answer, HeardError> {
        self.is_genuine(said, body)?;
        let Leave { instance } = serde_json::from_slice(body)?;
        if let Some(others) = &self.others {
            let node = said.from.clone();
            others.ring_without(|told| News::Left { node, instance, told }).await;
        }
        self.answer(said, LEAVE_PATH, serde_json::to_vec(&Heard {})?)
    }

    /// Makes sure that a control message's body is the one that its sender signed.
    ///
    /// # Errors
    /// [`HeardError::Body`] when it is not, [`HeardError::Alone`] when nobody could have sent it.
    pub fn is_genuine(&self, said: &Hop, body: &[u8]) -> Result<(), HeardError> {
        self.shared()?;
        said.covers(body).then_some(()).ok_or(HeardError::Body)
    }

    /// Signs the answer to a control message that somebody else understands, such as the end of sessions.
    ///
    /// # Errors
    /// [`HeardError`] when nobody could have sent it, or the answer cannot be signed.
    pub fn answer(&self, said: &Hop, path: &str, body: Vec<u8>) -> Result<Answer, HeardError> {
        Ok(self.shared()?.letters.answer(said, path, body.into())?)
    }

    fn shared(&self) -> Result<&Shared, HeardError> {
        self.others.as_ref().map(|others| &*others.shared).ok_or(HeardError::Alone)
    }
}

impl Others {
    /// Waits until the ring stands that follows from somebody's leaving.
    async fn ring_without(&self, news: impl FnOnce(oneshot::Sender<()>) -> News) {
        let (told, waiting) = oneshot::channel();
        let patience = self.shared.probe.timeout;
        let hurried = timeout(patience, async {
            if self.news.send(news(told)).await.is_ok() {
                // If the keeper is gone there is no ring to wait for.
                drop(waiting.await);
            }
        });
        if hurried.await.is_err() {
            tracing::warn!("the ring without who leaves takes long; going on without it");
        }
    }
}

async fn tell_one(
    shared: &Shared,
    (node, link): (&NodeName, &Link),
    path: &'static str,
    body: Bytes,
) -> Result<Vec<u8>, TellError> {
    let question = shared.letters.question(node, ("POST", path), body)?;
    let received = link.ask(&question, ANSWER_BYTES_MAX, shared.probe.timeout).await;
    let received = received.map_err(unanswered)?;
    let from = shared.letters.read(&question, received.header.as_ref(), &received.body);
    if from.map_err(not_authentic)? != *node {
        return Err(TellError::OtherNode);
    }
    Ok(received.body.into())
}

fn unanswered(error: LinkError) -> TellError {
    TellError::Unanswered(Box::new(error))
}

fn not_authentic(error: AnswerRefused) -> TellError {
    TellError::NotAuthentic(Box::new(error))
}

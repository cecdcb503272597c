//! Asking a peer, again and again, whether it is there.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    keeper::{News, Shared},
    letters::AnswerRefused,
    link::{Link, LinkError},
    status::{STATUS_BYTES_MAX, Status},
};
use crate::{
    hop::{CannotSign, STATUS_PATH},
    ring::NodeName,
    telemetry::Chain,
};

/// A probe brought no answer that can be believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("the probe cannot be signed")]
    Sign(#[from] CannotSign),
    #[error("the replica does not answer")]
    Link(#[from] LinkError),
    #[error("the answer is no replica's of ours")]
    Refused(#[from] AnswerRefused),
    #[error("the answer is no status")]
    Status,
    #[error("the status is of another replica than the one that signed it")]
    OtherNode,
}

impl ProbeError {
    /// One word for each reason, so that the log tells of a reason once and not at each probe.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Sign(_) => "sign",
            Self::Link(LinkError::Refused) => "refused",
            Self::Link(LinkError::Connect(_)) => "connect",
            Self::Link(LinkError::NotH2) => "not_h2",
            Self::Link(LinkError::Broken(_)) => "broken",
            Self::Link(LinkError::Request(_)) => "request",
            Self::Link(LinkError::Slow(_)) => "slow",
            Self::Link(LinkError::Status(_)) => "http_status",
            Self::Link(LinkError::TooLarge(_)) => "too_large",
            Self::Refused(_) => "not_authentic",
            Self::Status => "status",
            Self::OtherNode => "other_node",
        }
    }
}

/// Asks the peer at `address` until nobody wants to hear of it.
pub(super) async fn probe_for_ever(
    shared: Arc<Shared>,
    link: Arc<Link>,
    address: SocketAddr,
    news: mpsc::Sender<News>,
) {
    loop {
        let next = Instant::now() + with_jitter(shared.probe.interval);
        let outcome = probe(&shared, &link).await;
        if news.send(News::Probed { address, outcome }).await.is_err() {
            return;
        }
        sleep_until(next).await;
    }
}

/// Asks over a link that is to take the place of another one at `address`, until it is answered.
pub(super) async fn try_for_ever(
    shared: Arc<Shared>,
    link: Arc<Link>,
    address: SocketAddr,
    news: mpsc::Sender<News>,
) {
    let mut is_refused = false;
    loop {
        let next = Instant::now() + with_jitter(shared.probe.interval);
        match probe(&shared, &link).await {
            Ok(_status) => break,
            Err(error) if !is_refused => {
                is_refused = true;
                tracing::warn!(
                    peer = %address,
                    error = %Chain(&error),
                    "a replica does not answer to new certificates; the connection of the old ones stays"
                );
            }
            Err(_still) => {}
        }
        sleep_until(next).await;
    }
    if is_refused {
        tracing::info!(peer = %address, "the replica answers to the new certificates now");
    }
    // Nobody wants to hear of it any more, or else it is in use from now on.
    drop(news.send(News::Renewed { address, link }).await);
}

/// Asks once.
async fn probe(shared: &Shared, link: &Link) -> Result<Status, ProbeError> {
    let anyone = NodeName::anyone();
    let question = shared.letters.question(&anyone, ("GET", STATUS_PATH), Bytes::new())?;
    let answer = link.ask(&question, STATUS_BYTES_MAX, shared.probe.timeout).await?;
    let from = shared.letters.read(&question, answer.header.as_ref(), &answer.body)?;
    let status = Status::read(&answer.body).ok_or(ProbeError::Status)?;
    if status.node != from {
        return Err(ProbeError::OtherNode);
    }
    Ok(status)
}

/// Between nine and eleven tenths of it: replicas that were started together do not ask together for ever.
fn with_jitter(interval: Duration) -> Duration {
    let spread = interval / 5;
    // Without randomness they do.
    let part = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
    (interval / 10 * 9).saturating_add(spread.mul_f64(part))
}

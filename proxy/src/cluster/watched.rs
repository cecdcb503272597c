//! One address that is asked, and what is known of it.

use std::{sync::Arc, time::Instant};

use tokio::task::JoinHandle;

use super::{
    discovery::Found,
    health::{Health, Standing},
    link::{Link, LinkError},
    probe::ProbeError,
    roster::Candidate,
    status::{Phase, Status},
};
use crate::telemetry::Chain;

/// An address that is asked. Asking ends with it.
pub(super) struct Watched {
    pub(super) found: Found,
    pub(super) link: Arc<Link>,
    pub(super) health: Health,
    pub(super) status: Option<Status>,
    asked: bool,
    /// Answers of an older process at the address of a newer one, in a row.
    outdated: u8,
    /// The last reason for which it failed.
    failure: Option<&'static str>,
    probing: JoinHandle<()>,
    /// What asks over another link, which takes the place of this one when it is answered.
    trying: Option<JoinHandle<()>>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.probing.abort();
        self.tries(None);
    }
}

impl Watched {
    /// Of an address about which `health` is known; `probing` asks it.
    pub(super) fn new(
        found: Found,
        link: Arc<Link>,
        health: Health,
        probing: JoinHandle<()>,
    ) -> Self {
        Self {
            found,
            link,
            health,
            status: None,
            asked: false,
            outdated: 0,
            failure: None,
            probing,
            trying: None,
        }
    }

    /// Another link is tried, and no longer the one that may have been tried before.
    pub(super) fn tries(&mut self, trying: Option<JoinHandle<()>>) {
        if let Some(before) = std::mem::replace(&mut self.trying, trying) {
            before.abort();
        }
    }

    /// What is known of it.
    pub(super) fn candidate(&self) -> Candidate {
        Candidate {
            found: self.found.clone(),
            standing: self.health.standing(),
            flaps: self.health.flaps(),
            status: self.status.clone(),
        }
    }

    /// Whether it is known what it counts as: it was asked, and is not about to rise.
    pub(super) fn is_settled(&self) -> bool {
        self.asked && !self.health.is_rising()
    }

    /// It answered. An answer of an older process than the one we know counts for nothing, unless `outdated_max`
    /// came in a row: then the newer one has gone.
    pub(super) fn answered(&mut self, status: Status, outdated_max: u8, now: Instant) {
        self.asked = true;
        // While one process takes over from another, both answer at the same address.
        let is_outdated = self.status.as_ref().is_some_and(|known| {
            known.node == status.node && known.seniority() > status.seniority()
        });
        if is_outdated && self.outdated < outdated_max {
            self.outdated += 1;
            self.link.close();
            return;
        }
        self.outdated = 0;
        match status.phase {
            Phase::Ready => self.health.answered(now),
            Phase::Draining => {
                self.health.drains();
                // Its successor may be there already, on a new connection.
                self.link.close();
            }
        }
        self.status = Some(status);
        if self.health.standing() == Standing::Up {
            self.failure = None;
        }
    }

    /// A probe brought nothing.
    pub(super) fn failed(&mut self, error: &ProbeError, now: Instant) {
        self.asked = true;
        match error {
            ProbeError::Link(LinkError::Refused) => self.health.refused(now),
            ProbeError::Link(_)
            | ProbeError::Sign(_)
            | ProbeError::Refused(_)
            | ProbeError::Status
            | ProbeError::OtherNode => self.health.failed(now),
        }
        // What answers wrongly is not asked again on the same connection.
        self.link.close();
        if self.failure.replace(error.word()) != Some(error.word()) {
            let peer = self.found.address;
            tracing::warn!(%peer, error = %Chain(error), "a replica does not answer a probe");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, num::NonZeroU8, time::Duration};

    use pingora::upstreams::peer::HttpPeer;

    use super::*;
    use crate::{
        cluster::{health::Damping, link::Dialer, status::Instance},
        config::Probe,
        ring::NodeName,
    };

    fn watched() -> Watched {
        let address = SocketAddr::from(([192, 0, 2, 1], 1));
        let damping = Damping::new(&Probe {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            down_after: NonZeroU8::new(2).unwrap(),
            up_after: NonZeroU8::MIN,
        });
        let link = Link::new(Dialer::new(), HttpPeer::new(address, false, String::new()));
        let found = Found { address, host: "192.0.2.1".into() };
        Watched::new(found, Arc::new(link), Health::new(damping), tokio::spawn(async {}))
    }

    fn status(started_ms: u64, phase: Phase) -> Status {
        Status {
            node: NodeName::parse("a:1").unwrap(),
            instance: Instance::try_from(format!("{started_ms:032x}")).unwrap(),
            started_ms,
            workers: 1,
            phase,
            ring: 0,
            version: "0".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_process_that_hands_over_does_not_take_its_successor_with_it() {
        let (mut peer, now) = (watched(), Instant::now());
        peer.answered(status(1, Phase::Ready), 2, now);
        peer.answered(status(2, Phase::Ready), 2, now);
        assert_eq!(peer.health.standing(), Standing::Up);
        peer.answered(status(1, Phase::Draining), 2, now);
        peer.answered(status(1, Phase::Draining), 2, now);
        assert_eq!(peer.health.standing(), Standing::Up);
        assert_eq!(peer.status.as_ref().unwrap().started_ms, 2);
        peer.answered(status(2, Phase::Ready), 2, now);
        assert_eq!((peer.health.standing(), peer.health.flaps()), (Standing::Up, 0));
    }

    #[tokio::test]
    async fn an_older_process_that_alone_goes_on_answering_is_believed_in_the_end() {
        let (mut peer, now) = (watched(), Instant::now());
        peer.answered(status(2, Phase::Ready), 2, now);
        for _ in 0..3 {
            peer.answered(status(1, Phase::Draining), 2, now);
        }
        assert_eq!(peer.health.standing(), Standing::Draining);
        assert_eq!(peer.status.as_ref().unwrap().started_ms, 1);
    }

    #[tokio::test]
    async fn a_shut_port_is_down_at_once_and_silence_only_in_a_row() {
        let (mut peer, now) = (watched(), Instant::now());
        let slow = ProbeError::Link(LinkError::Slow(Duration::from_secs(1)));
        peer.answered(status(1, Phase::Ready), 2, now);
        peer.failed(&slow, now);
        assert_eq!(peer.health.standing(), Standing::Up);
        peer.failed(&slow, now);
        assert_eq!(peer.health.standing(), Standing::Down);
        peer.answered(status(1, Phase::Ready), 2, now);
        assert_eq!(peer.health.standing(), Standing::Up);
        peer.failed(&ProbeError::Link(LinkError::Refused), now);
        assert_eq!(peer.health.standing(), Standing::Down);
    }
}

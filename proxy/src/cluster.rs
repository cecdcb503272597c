//! The replicas that share sessions with us: who they are, which of them live, and how they are reached.
//!
//! - `machine`, `names`, `discovery`: where replicas may be, as lists and name servers say
//! - `certificates`, `dial`, `link`: connections to them
//! - `letters`: what replicas tell one another, signed
//! - `status`, `health`, `roster`: what a replica says of itself, what its answers add up to, and who is on the
//!   ring; all of these are pure
//! - `probe`, `watched`, `keeper`: the tasks that ask, what is known of each address, and the task that keeps it
//! - `passed`: what tells the streams that another replica passes on when they are to end
//! - `messages`: what replicas tell one another beside
//!
//! An address gets onto the ring only by an answer that is signed with our keys, under the name that the answer
//! gives. So all replicas use the same names, wherever each of them found the others. Without TLS, whoever answers at
//! an address may still pass our questions on to a replica and its answers back, and would then see what we send
//! there, as would anybody on the way: where others are on that network, replicas need TLS.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime},
};

use arc_swap::Guard;
use mcp_core::signing::NoRandomness;
use pingora::{listeners::tls::TlsSettings, upstreams::peer::HttpPeer};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

pub use crate::hop::STATUS_PATH;
use crate::{
    config,
    hop::HopKeys,
    ring::{MalformedNodeName, NodeName},
};

mod certificates;
mod dial;
mod discovery;
mod health;
mod keeper;
mod letters;
mod link;
mod machine;
mod messages;
mod names;
mod passed;
mod probe;
mod roster;
mod served;
mod status;
mod watched;

pub use self::{
    certificates::CertificateError,
    letters::Answer,
    messages::{
        CONTROL_BODY_BYTES_MAX, CONTROL_PREFIX, HeardError, LEAVE_PATH, SESSIONS_END_PATH,
        SESSIONS_TAKE_PATH, STREAMS_END_PATH, TellError,
    },
    roster::{Membership, Node, NodeState, Way},
    served::{Departure, NodeView, View},
};
use self::{
    certificates::Certificates,
    dial::Dial,
    discovery::Discovery,
    keeper::{Keeper, NEWS_MAX, News, Published, Shared, look_for_ever},
    letters::Letters,
    names::NameServers,
    passed::Passed,
    roster::Own,
    status::{Instance, unix_ms},
};

/// The replicas, ourselves among them.
pub struct Cluster {
    /// Our name among the replicas.
    me: NodeName,
    published: Arc<Published>,
    passed: Passed,
    others: Option<Others>,
}

/// The way to the others.
struct Others {
    shared: Arc<Shared>,
    keys: Arc<HopKeys>,
    hops_max: u8,
    clock_skew: Duration,
    started: SystemTime,
    news: mpsc::Sender<News>,
    tasks: Vec<JoinHandle<()>>,
}

/// The replicas cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Our name is none.
    #[error("`cluster.advertise` cannot be a name")]
    Name(#[from] MalformedNodeName),
    /// A certificate cannot be used.
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    /// No randomness for our own id.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl Cluster {
    /// A cluster of one: all sessions are ours, nobody is asked, and there is nobody to tell.
    #[must_use]
    pub fn alone(workers: u16) -> Arc<Self> {
        Self::alone_as(NodeName::local(), workers)
    }

    fn alone_as(me: NodeName, workers: u16) -> Arc<Self> {
        let published = Arc::new(Published::new(Membership::alone(me.clone(), workers), true));
        Arc::new(Self { me, published, passed: Passed::default(), others: None })
    }

    /// Begins to look for the others. Must be called inside a tokio runtime; its tasks end with the cluster.
    ///
    /// `silence` is how long an answer may be silent while all is well: as long as the longest call, or a few comments of a
    /// quiet stream. A replica that is silent for longer within an answer is given up.
    ///
    /// # Errors
    /// [`ClusterError`] when our name or a certificate cannot be used. That nobody is found is no error.
    pub fn start(
        config: &config::Cluster,
        workers: u16,
        keys: &Arc<HopKeys>,
        silence: Duration,
    ) -> Result<Arc<Self>, ClusterError> {
        let name = NodeName::parse(&config.advertise)?;
        let instance = Instance::random()?;
        let certificates = config.tls.as_ref().map(Certificates::read).transpose()?;
        let membership = Membership::alone(name.clone(), workers);
        let published = Arc::new(Published::new(membership, false));
        let started = SystemTime::now();
        let started_ms = unix_ms(started);
        let shared = Arc::new(Shared {
            letters: Letters::new(keys, &name, instance, config.clock_skew)?,
            own: Own { name: name.clone(), instance, started_ms, workers },
            dial: Dial::new(certificates, config.probe.timeout, silence),
            probe: config.probe,
            leaving: AtomicBool::new(false),
            left: AtomicBool::new(false),
            published: Arc::clone(&published),
        });
        let (news, inbox) = mpsc::channel(NEWS_MAX);
        let names = NameServers::new(config.peers.name_servers());
        let discovery = Discovery::new(config.peers.clone(), names);
        let keeper = Keeper::new(Arc::clone(&shared), news.downgrade());
        let tasks = vec![
            tokio::spawn(keeper.run(inbox)),
            tokio::spawn(look_for_ever(discovery, news.clone())),
        ];
        Ok(Arc::new(Self {
            me: name,
            published,
            passed: Passed::default(),
            others: Some(Others {
                shared,
                keys: Arc::clone(keys),
                hops_max: config.hops_max.get(),
                clock_skew: config.clock_skew,
                started,
                news,
                tasks,
            }),
        }))
    }

    /// The replicas now. To be held for one decision, not across one request.
    #[must_use]
    pub fn membership(&self) -> Guard<Arc<Membership>> {
        self.published.membership.load()
    }

    /// Tells when the ring changes, and its version.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.published.version.subscribe()
    }

    /// Waits until each replica that was found has been asked and none is about to join the ring, so that what is
    /// placed by it stays where it is placed. `false`: that took longer than `patience`.
    pub async fn settled(&self, patience: Duration) -> bool {
        let mut settled = self.published.settled.subscribe();
        let waited =
            timeout(patience, async { settled.wait_for(|settled| *settled).await.is_ok() });
        waited.await.unwrap_or(false)
    }

    /// A request found that nobody listens at a replica's address: it is off the ring at once, without the usual
    /// patience. [`Cluster::changed`] tells when.
    pub fn refused(&self, node: &NodeName) {
        let Some(others) = &self.others else { return };
        let is_on_ring = self.membership().address(node).is_some();
        // Where there is no room for the news, the next probe finds out.
        if is_on_ring && others.news.try_send(News::Refused(node.clone())).is_err() {
            tracing::debug!(%node, "too much news of replicas at once");
        }
    }

    /// How Pingora connects to a replica on the ring; `None` for ourselves and for those that are not there.
    #[must_use]
    pub fn peer(&self, node: &NodeName) -> Option<HttpPeer> {
        self.membership().links.get(node).map(|link| link.peer().clone())
    }

    /// Shows and believes other certificates from now on, where replicas use them; connections that stand, stay.
    ///
    /// # Errors
    /// [`CertificateError`]; all is as before then.
    pub async fn recertify(&self, tls: &config::ClusterTls) -> Result<(), CertificateError> {
        let Some(others) = &self.others else { return Ok(()) };
        let Some(certificates) = others.shared.dial.certificates() else { return Ok(()) };
        certificates.replace(tls)?;
        if others.news.send(News::Recertified).await.is_err() {
            tracing::debug!("nobody keeps the replicas any more");
        }
        Ok(())
    }

    /// How the peer listener speaks TLS; `None` where replicas do not use it.
    ///
    /// # Errors
    /// [`CertificateError`] when Pingora takes no settings.
    pub fn listener_tls(&self) -> Result<Option<TlsSettings>, CertificateError> {
        let certificates =
            self.others.as_ref().and_then(|others| others.shared.dial.certificates());
        certificates.map(Certificates::listener).transpose()
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("membership", &*self.membership()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

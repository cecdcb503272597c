//! Keeps what is known of the peers, and puts the ring of them in use.
//!
//! All that happens comes in as news, one after the other, so that nothing here is shared; what follows from it
//! is published as a whole. Requests only read what is published.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwap;
use pingora::upstreams::peer::Peer as _;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
};

use super::{
    dial::Dial,
    discovery::{Discovery, Found, Look},
    health::{Damping, Health, Standing},
    letters::Letters,
    link::{Dialer, Link},
    names::Names,
    probe::{ProbeError, probe_for_ever, try_for_ever},
    roster::{Candidate, Chosen, Membership, Own, choose, nodes},
    status::{Goodbyes, Instance, Status},
    watched::Watched,
};
use crate::{
    config::Probe,
    ring::{NodeName, Ring},
};

/// News that wait to be heard. Each peer has one probe on its way at most, so only requests that meet shut ports
/// can fill this, and what does not fit in is found out by the next probe.
pub(super) const NEWS_MAX: usize = 1024;

/// Peers that are no longer found and whose falls are remembered.
const DEPARTED_MAX: usize = 256;

/// What all parts of a cluster use.
pub(super) struct Shared {
    pub(super) own: Own,
    pub(super) letters: Letters,
    pub(super) dial: Dial,
    pub(super) probe: Probe,
    /// Whether probes hear that we are about to end.
    pub(super) leaving: AtomicBool,
    /// Whether the others have been told, so that our own ring is to be without us too.
    pub(super) left: AtomicBool,
    pub(super) published: Arc<Published>,
}

/// What is in use.
pub(super) struct Published {
    pub(super) membership: ArcSwap<Membership>,
    pub(super) version: watch::Sender<u64>,
    /// Whether the ring is what it will be if nothing changes: each peer was asked, and none is about to rise.
    pub(super) settled: watch::Sender<bool>,
}

/// Something happened.
#[derive(Debug)]
pub(super) enum News {
    /// Peers are at these addresses, and no others.
    Looked(Look),
    /// A probe came back.
    Probed { address: SocketAddr, outcome: Result<Status, ProbeError> },
    /// A request met a shut port.
    Refused(NodeName),
    /// A replica said that it is about to end, and wants to know when the ring is without it.
    Left { node: NodeName, instance: Instance, told: oneshot::Sender<()> },
    /// Connections are made with other certificates from now on.
    Recertified,
    /// A link that was made since then was answered.
    Renewed { address: SocketAddr, link: Arc<Link> },
    /// We are about to end; whoever sent this wants to know when the ring is without us.
    Leaving(oneshot::Sender<()>),
}

/// Keeps what is known.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    dialer: Dialer,
    damping: Damping,
    sender: mpsc::WeakSender<News>,
    watched: BTreeMap<SocketAddr, Watched>,
    /// A peer that comes and goes in the lists is no steadier than one that comes and goes by itself.
    departed: HashMap<SocketAddr, Health>,
    goodbyes: Goodbyes,
    /// Whether it is known who the peers are: a first look that nobody answers does not tell that there are none.
    looked: bool,
    /// Whether something has changed that was not published.
    changed: bool,
    clashes: HashSet<NodeName>,
}

impl Published {
    pub(super) fn new(membership: Membership, settled: bool) -> Self {
        let version = membership.ring.version();
        Self {
            membership: ArcSwap::from_pointee(membership),
            version: watch::Sender::new(version),
            settled: watch::Sender::new(settled),
        }
    }
}

/// Looks for peers until nobody wants to know.
pub(super) async fn look_for_ever(mut discovery: Discovery<impl Names>, news: mpsc::Sender<News>) {
    while news.send(News::Looked(discovery.look().await)).await.is_ok() {
        tokio::time::sleep(discovery.interval()).await;
    }
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, sender: mpsc::WeakSender<News>) -> Self {
        let damping = Damping::new(&shared.probe);
        Self {
            shared,
            dialer: Dialer::new(),
            damping,
            sender,
            watched: BTreeMap::new(),
            departed: HashMap::new(),
            goodbyes: Goodbyes::default(),
            looked: false,
            changed: false,
            clashes: HashSet::new(),
        }
    }

    /// Hears news until there can be none any more.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<News>) {
        while let Some(news) = inbox.recv().await {
            let mut waiting = self.hear(news);
            // One ring for all that has happened meanwhile.
            while let Ok(news) = inbox.try_recv() {
                waiting.extend(self.hear(news));
            }
            if std::mem::take(&mut self.changed) {
                self.publish().await;
            }
            for told in waiting {
                if told.send(()).is_err() {
                    tracing::debug!("whoever asked for the new ring waits no more");
                }
            }
        }
    }

    fn hear(&mut self, news: News) -> Vec<oneshot::Sender<()>> {
        let now = Instant::now();
        // Most news is that nothing is new.
        self.changed |= !matches!(news, News::Probed { .. });
        match news {
            News::Looked(look) => {
                self.looked |= look.is_answered;
                self.found(look.found, now);
            }
            News::Probed { address, outcome } => self.probed(address, outcome, now),
            News::Refused(node) => self.refused(&node, now),
            News::Left { node, instance, told } => {
                self.left(&node, instance);
                return vec![told];
            }
            News::Recertified => self.recertified(),
            News::Renewed { address, link } => self.renewed(address, link),
            News::Leaving(told) => return vec![told],
        }
        Vec::new()
    }

    fn found(&mut self, found: Vec<Found>, now: Instant) {
        let here: HashSet<SocketAddr> = found.iter().map(|found| found.address).collect();
        let gone: Vec<SocketAddr> =
            self.watched.keys().copied().filter(|address| !here.contains(address)).collect();
        for address in gone {
            if let Some(watched) = self.watched.remove(&address) {
                let mut health = watched.health.clone();
                health.refused(now);
                self.departed.insert(address, health);
            }
        }
        self.departed.retain(|_, health| !health.is_blank(now));
        while let Some(any) =
            self.departed.keys().next().copied().filter(|_| self.departed.len() > DEPARTED_MAX)
        {
            self.departed.remove(&any);
        }
        for found in found {
            let known = self.watched.get(&found.address);
            if known.is_none_or(|watched| watched.found.host != found.host) {
                self.watch(found);
            }
        }
    }

    /// Makes new links to everybody. One that works is used until the new one was answered: others may not believe the
    /// new certificates yet, or never will.
    fn recertified(&mut self) {
        let Some(news) = self.sender.upgrade() else { return };
        let mut silent = Vec::new();
        for (address, watched) in &mut self.watched {
            if watched.health.standing() == Standing::Down {
                silent.push(watched.found.clone());
                continue;
            }
            let link = Link::new(self.dialer.clone(), self.shared.dial.peer(&watched.found));
            let shared = Arc::clone(&self.shared);
            let trying = try_for_ever(shared, Arc::new(link), *address, news.clone());
            watched.tries(Some(tokio::spawn(trying)));
        }
        for found in silent {
            self.watch(found);
        }
    }

    /// Asks over a link that works, with the certificates of now.
    fn renewed(&mut self, address: SocketAddr, link: Arc<Link>) {
        let Some(watched) = self.watched.get(&address) else { return };
        let found = watched.found.clone();
        // Others may have come while this was on its way, or the address was found under another name.
        if self.shared.dial.peer(&found).reuse_hash() == link.peer().reuse_hash() {
            self.watch_over(found, link);
        }
    }

    /// Begins to ask. What was known of the address is known still.
    fn watch(&mut self, found: Found) {
        let link = Link::new(self.dialer.clone(), self.shared.dial.peer(&found));
        self.watch_over(found, Arc::new(link));
    }

    fn watch_over(&mut self, found: Found, link: Arc<Link>) {
        let Some(news) = self.sender.upgrade() else { return };
        let address = found.address;
        let probing = probe_for_ever(Arc::clone(&self.shared), Arc::clone(&link), address, news);
        let probing = tokio::spawn(probing);
        let health = self.departed.remove(&address).unwrap_or_else(|| Health::new(self.damping));
        let mut watched = Watched::new(found, link, health, probing);
        if let Some(before) = self.watched.remove(&address) {
            watched.health = before.health.clone();
            watched.status.clone_from(&before.status);
        }
        self.watched.insert(address, watched);
    }

    fn probed(&mut self, address: SocketAddr, outcome: Result<Status, ProbeError>, now: Instant) {
        let patience = self.shared.probe.down_after.get();
        let Some(watched) = self.watched.get_mut(&address) else { return };
        let before = (watched.candidate(), watched.is_settled());
        match outcome {
            Ok(status) => watched.answered(self.goodbyes.outlast(status), patience, now),
            Err(error) => watched.failed(&error, now),
        }
        self.changed |= before != (watched.candidate(), watched.is_settled());
    }

    fn refused(&mut self, node: &NodeName, now: Instant) {
        let membership = self.shared.published.membership.load();
        let address = membership.address(node);
        if let Some(watched) = address.and_then(|address| self.watched.get_mut(&address)) {
            watched.health.refused(now);
            watched.link.close();
        }
    }

    fn left(&mut self, node: &NodeName, instance: Instance) {
        self.goodbyes.note(instance);
        for watched in self.watched.values_mut() {
            let known = watched.status.as_ref();
            if known.is_some_and(|known| known.node == *node && known.instance == instance) {
                watched.health.drains();
            }
        }
    }

    /// Puts in use what follows from all that is known.
    async fn publish(&mut self) {
        let candidates: Vec<Candidate> = self.watched.values().map(Watched::candidate).collect();
        let own = &self.shared.own;
        let left = self.shared.left.load(Ordering::Relaxed);
        let chosen = choose(own, left, &candidates);
        let before = self.shared.published.membership.load_full();
        let ring = ring(own, &chosen, &candidates, &before.ring).await;
        let is_new = !Arc::ptr_eq(&ring, &before.ring);
        let version = ring.version();
        let membership = Membership {
            nodes: nodes(own, &chosen, &candidates, &ring),
            ring,
            me: own.name.clone(),
            own: chosen.own,
            links: self.links(&chosen),
            hearers: self.hearers(),
        };
        self.tell_of_clashes(chosen.clashes);
        if is_new {
            tell_of_ring(&membership);
        }
        if is_new || !membership.is_like(&before) {
            self.shared.published.membership.store(Arc::new(membership));
        }
        if is_new {
            self.shared.published.version.send_replace(version);
        }
        let settled = self.looked && self.watched.values().all(Watched::is_settled);
        self.shared.published.settled.send_replace(settled);
    }

    fn links(&self, chosen: &Chosen) -> BTreeMap<NodeName, Arc<Link>> {
        let watched: Vec<&Watched> = self.watched.values().collect();
        let link = |(name, place): (&NodeName, &usize)| {
            watched.get(*place).map(|watched| (name.clone(), Arc::clone(&watched.link)))
        };
        chosen.peers.iter().filter_map(link).collect()
    }

    /// All that may hold sessions: one that drains still does.
    fn hearers(&self) -> Vec<(NodeName, Arc<Link>)> {
        let mut told = HashSet::from([self.shared.own.instance]);
        let answers = self.watched.values().filter(|watched| {
            matches!(watched.health.standing(), Standing::Up | Standing::Draining)
        });
        let once = answers.filter_map(|watched| {
            let status = watched.status.as_ref().filter(|status| told.insert(status.instance))?;
            Some((status.node.clone(), Arc::clone(&watched.link)))
        });
        once.collect()
    }

    fn tell_of_clashes(&mut self, clashes: Vec<NodeName>) {
        let clashes: HashSet<NodeName> = clashes.into_iter().collect();
        for node in clashes.difference(&self.clashes) {
            tracing::error!(%node, "several replicas have the same name: the one started last gets its sessions");
        }
        self.clashes = clashes;
    }
}

/// The ring of the chosen ones: the one in use, if it is theirs.
async fn ring(
    own: &Own,
    chosen: &Chosen,
    candidates: &[Candidate],
    before: &Arc<Ring>,
) -> Arc<Ring> {
    let peers = chosen.peers.iter().filter_map(|(name, place)| {
        let status = candidates.get(*place)?.status.as_ref()?;
        Some((name.clone(), status.workers))
    });
    let own = chosen.own.then(|| (own.name.clone(), own.workers));
    let mut members: Vec<(NodeName, u16)> = peers.chain(own).collect();
    members.sort_unstable();
    if before.nodes() == members {
        return Arc::clone(before);
    }
    // With many replicas this takes a while, which no request should wait for.
    match spawn_blocking(move || Ring::new(members)).await {
        Ok(ring) => Arc::new(ring),
        // Only at the end of the process.
        Err(_) => Arc::clone(before),
    }
}

fn tell_of_ring(membership: &Membership) {
    let members = membership.ring.nodes();
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    let workers: u32 = members.iter().map(|(_, workers)| u32::from(*workers)).sum();
    let version = membership.ring.version();
    tracing::info!(
        ring.version = %format_args!("{version:012x}"),
        ring.nodes = %names.join(" "),
        ring.workers = workers,
        "the ring has changed"
    );
}

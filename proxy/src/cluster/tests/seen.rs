//! A cluster that sees what a test says, for tests of what stands on it.

use std::{net::SocketAddr, sync::Arc};

use pingora::upstreams::peer::HttpPeer;

use super::super::{
    Cluster, Membership,
    link::{Dialer, Link},
};
use crate::ring::{NodeName, Ring};

impl Cluster {
    /// One that sees itself with so many workers, and nobody else yet.
    pub(crate) fn seen_by(me: &str, workers: u16) -> Arc<Self> {
        let cluster = Self::alone_as(NodeName::parse(me).unwrap(), workers);
        cluster.see((me, workers), &[]);
        cluster
    }

    /// It sees itself and others, each with a number of workers, from now on.
    pub(crate) fn see(&self, own: (&str, u16), others: &[(&str, u16)]) {
        let named = |(name, workers): &(&str, u16)| (NodeName::parse(name).unwrap(), *workers);
        let dialer = Dialer::new();
        let link = |(name, _): &(&str, u16)| {
            let address: SocketAddr = name.parse().unwrap();
            let peer = HttpPeer::new(address, false, String::new());
            (NodeName::parse(name).unwrap(), Arc::new(Link::new(dialer.clone(), peer)))
        };
        let ring = Ring::new([named(&own)].into_iter().chain(others.iter().map(named)));
        let version = ring.version();
        let alone = Membership::alone(named(&own).0, own.1);
        let links = others.iter().map(link).collect();
        self.published.membership.store(Arc::new(Membership {
            ring: Arc::new(ring),
            links,
            ..alone
        }));
        self.published.version.send_replace(version);
    }
}

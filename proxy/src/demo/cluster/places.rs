//! Addresses of replicas on this machine.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

/// Where the ports of each kind begin, as `conf/cluster.yaml` has them for the first replica. Below
/// the ports from which systems connect out: a killed replica's port is not taken before it is back.
const MCP_PORT: u16 = 8081;
const PEER_PORT: u16 = 8181;
const ADMIN_PORT: u16 = 9191;

/// How many busy ports are passed over before the system picks one.
const BUSY_MAX: u16 = 90;

/// Where one replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// For MCP clients.
    pub(super) mcp: SocketAddr,
    /// For other replicas; its name among them.
    pub(super) peer: SocketAddr,
    /// For its operator.
    pub(super) admin: SocketAddr,
}

/// A place that is kept free for a replica until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    place: Place,
    _held: [TcpListener; 3],
}

impl Claim {
    /// The place.
    pub(super) fn place(&self) -> Place {
        self.place
    }
}

/// Claims so many places on loopback.
pub(super) fn claim(count: usize) -> io::Result<Vec<Claim>> {
    (0..count).map(|_| claim_one()).collect()
}

fn claim_one() -> io::Result<Claim> {
    let held = [bind(MCP_PORT)?, bind(PEER_PORT)?, bind(ADMIN_PORT)?];
    let [mcp, peer, admin] = &held;
    let (mcp, peer, admin) = (mcp.local_addr()?, peer.local_addr()?, admin.local_addr()?);
    Ok(Claim { place: Place { mcp, peer, admin }, _held: held })
}

/// Listens at the first free port from `first` on.
fn bind(first: u16) -> io::Result<TcpListener> {
    for port in first..first.saturating_add(BUSY_MAX) {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_listeners_have_the_same_address_and_all_are_kept_until_the_claims_go() {
        let claims = claim(9).unwrap();
        let places = claims.iter().map(Claim::place);
        let all: BTreeSet<_> =
            places.flat_map(|Place { mcp, peer, admin }| [mcp, peer, admin]).collect();
        assert_eq!(all.len(), 27);
        assert!(all.iter().all(|address| address.ip().is_loopback()));
        assert!(all.iter().all(|address| TcpListener::bind(address).is_err()));
    }

    #[test]
    fn a_busy_port_is_passed_over() {
        let held = bind(20_000).unwrap();
        let busy = held.local_addr().unwrap().port();
        assert!(bind(busy).unwrap().local_addr().unwrap().port() > busy);
    }
}

//! Addresses of this machine.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::RangeInclusive,
    sync::atomic::{AtomicU16, Ordering},
};

/// The ports that servers are given: seldom used, and below those that the system gives to connections.
const PORTS: RangeInclusive<u16> = 17_001..=17_005;

/// Held by whoever uses an address of the loopback network, so that nobody else does.
const CLAIM_PORT: u16 = 17_000;

/// An address of this machine for one server. All of 127.0.0.0/8 is ours, and connections to elsewhere come from
/// 127.0.0.1 alone, so that a port of such an address is still free after a restart.
#[derive(Debug)]
pub struct Place {
    address: Ipv4Addr,
    _claim: TcpListener,
}

static NEXT_PLACE: AtomicU16 = AtomicU16::new(0);

impl Place {
    /// Finds one that nobody uses.
    ///
    /// # Panics
    /// When there is none left.
    #[must_use]
    pub fn find() -> Self {
        let [.., high, low] = std::process::id().to_be_bytes();
        for _attempt in 0..1000 {
            let [more, last] = NEXT_PLACE.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let address = Ipv4Addr::new(127, high.wrapping_add(more) | 1, low, last);
            let Ok(claim) = TcpListener::bind((address, CLAIM_PORT)) else { continue };
            // Somebody may listen on such a port of every address.
            if PORTS.clone().all(|port| TcpListener::bind((address, port)).is_ok()) {
                return Self { address, _claim: claim };
            }
        }
        panic!("no address of the loopback network is free")
    }

    /// Finds several.
    #[must_use]
    pub fn several(count: usize) -> Vec<Self> {
        (0..count).map(|_| Self::find()).collect()
    }

    /// A port of it.
    #[must_use]
    pub fn at(&self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }

    /// Where a replica serves MCP.
    #[must_use]
    pub fn mcp(&self) -> SocketAddr {
        self.at(17_001)
    }

    /// Where a replica serves metrics and tells of its ring.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.at(17_002)
    }

    /// Where a replica listens for others: its name among them.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.at(17_003)
    }
}

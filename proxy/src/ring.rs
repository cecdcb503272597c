//! Which worker of which replica owns a session.
//!
//! The seat in a session id alone decides. The ring is consistent: when a replica comes or goes, only the sessions
//! that it gains or loses move. Every ring built from the same replicas, in whatever order and on whatever machine,
//! gives the same answers, since exactly the bytes written here are hashed.
//!
//! Each worker has [`POINTS`] points on the circle. A seat is looked up at [`PLACES`] places and belongs to the point
//! that lies nearest behind one of them. At a single place, the share of a worker would differ from the mean by 7 %
//! (one over the root of its points), and the largest of 64 be often over 15 % above it. With three places a point
//! gains little from a long way before it, since another place is likely to lie nearer to its own point: the shares
//! differ by 3 %, and 15 % is almost five times that.

use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

use hashring::{DefaultHashBuilder, HashRing};
use serde::{Deserialize, Deserializer, Serialize, de};

mod share;

/// Points of each worker on the ring. More even out the shares and cost memory and lookup time.
const POINTS: u16 = 200;

/// Places at which each seat is looked up. More even out the shares and cost lookup time.
const PLACES: u64 = 3;

/// Begins what a version is made from: rings of different rules do not get the same version.
const RULES: &str = "promgate ring 1: 200 points, 3 places";

/// Longest name of a replica: a DNS name of 253 bytes, a colon and a port.
const NODE_NAME_BYTES_MAX: usize = 259;

/// The name of a replica, the same everywhere: `host:port`, as its `cluster.advertise` writes it.
///
/// 1 to 259 bytes of visible ASCII. Names that differ only in case are different names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct NodeName(Arc<str>);

/// A name that is empty, too long, or holds bytes other than visible ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a replica is 1 to {NODE_NAME_BYTES_MAX} visible ASCII characters")]
pub struct MalformedNodeName;

/// The number of a worker in its process, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerIndex(pub u16);

/// The one worker that holds a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'r> {
    /// The replica.
    pub node: &'r NodeName,
    /// Which of its workers.
    pub worker: WorkerIndex,
}

/// An immutable ring.
pub struct Ring {
    points: HashRing<Point, AsWritten>,
    /// Sorted by name.
    nodes: Box<[(NodeName, u16)]>,
    /// The part of all seats that each of `nodes` owns.
    shares: Box<[f64]>,
    version: u64,
}

/// One point of a worker. Its hash is its place.
#[derive(Clone, Copy)]
struct Point {
    place: u64,
    /// Index of its replica.
    node: u32,
    worker: u16,
}

/// One place where a seat is looked up.
struct Place(u64);

/// Takes a place for a hash, since a place is one already.
#[derive(Clone, Copy)]
struct AsWritten;

/// What [`AsWritten`] makes.
struct Written(u64);

impl NodeName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`MalformedNodeName`] when it is empty, longer than 259 bytes, or holds anything but visible ASCII.
    pub fn parse(name: &str) -> Result<Self, MalformedNodeName> {
        let visible = name.bytes().all(|byte| byte.is_ascii_graphic());
        if name.is_empty() || name.len() > NODE_NAME_BYTES_MAX || !visible {
            return Err(MalformedNodeName);
        }
        Ok(Self(name.into()))
    }

    /// The name of a replica that has no others: `local`.
    #[must_use]
    pub fn local() -> Self {
        Self("local".into())
    }

    /// Whoever is reached: for a question to an address of which it is not known yet who is there. It is `*`, which
    /// no replica can be called, since it is no `host:port`.
    #[must_use]
    pub fn anyone() -> Self {
        Self("*".into())
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ring {
    /// A ring of replicas, each with its number of workers. Their order and repetitions change nothing; of different
    /// numbers for one name the largest counts. A replica without workers owns nothing.
    pub fn new(nodes: impl IntoIterator<Item = (NodeName, u16)>) -> Self {
        let mut nodes: Vec<(NodeName, u16)> = nodes.into_iter().collect();
        nodes.sort_unstable_by(|(a, more), (b, fewer)| a.cmp(b).then(fewer.cmp(more)));
        nodes.dedup_by(|(later, _), (earlier, _)| later == earlier);
        let of_node =
            |(node, (name, workers)): (u32, &(NodeName, u16))| points(node, name, *workers);
        let all: Vec<Point> = (0_u32..).zip(&nodes).flat_map(of_node).collect();
        let shares = share::shares(&all, nodes.len());
        let mut points = HashRing::with_hasher(AsWritten);
        points.batch_add(all);
        let version = version(&nodes);
        Self { points, nodes: nodes.into(), shares, version }
    }

    /// The worker that owns the session with that seat; `None` only when the ring has no worker.
    #[must_use]
    pub fn owner(&self, seat: &str) -> Option<Owner<'_>> {
        let mut nearest: Option<(u64, &Point)> = None;
        for place in places(seat) {
            let point = self.points.get(&Place(place))?;
            let distance = point.place.wrapping_sub(place);
            if nearest.is_none_or(|(least, _)| distance < least) {
                nearest = Some((distance, point));
            }
        }
        let (_, point) = nearest?;
        let (node, _) = self.nodes.get(usize::try_from(point.node).ok()?)?;
        Some(Owner { node, worker: WorkerIndex(point.worker) })
    }

    /// A digest of the replicas and their numbers of workers, of at most 48 bits, so that a metric holds it exactly.
    /// Two replicas whose rings have the same version agree on the owner of every session.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The replicas and their numbers of workers, sorted by name.
    #[must_use]
    pub fn nodes(&self) -> &[(NodeName, u16)] {
        &self.nodes
    }

    /// The part of all seats, from 0 to 1, that the replica owns; 0 for one that is not on the ring.
    #[must_use]
    pub fn share(&self, node: &NodeName) -> f64 {
        let place = self.nodes.binary_search_by(|(name, _)| name.cmp(node));
        place.ok().and_then(|place| self.shares.get(place)).copied().unwrap_or_default()
    }
}

/// The points of a replica. Names hold no zero byte, so no two replicas write the same.
fn points(node: u32, name: &NodeName, workers: u16) -> impl Iterator<Item = Point> + use<> {
    let mut of_node = DefaultHashBuilder.build_hasher();
    of_node.write(name.as_str().as_bytes());
    of_node.write(&[0]);
    (0..workers).flat_map(move |worker| {
        (0..POINTS).map(move |number| {
            let mut place = of_node;
            place.write(&worker.to_be_bytes());
            place.write(&number.to_be_bytes());
            Point { place: place.finish(), node, worker }
        })
    })
}

/// Where a seat is looked up. One hash of its bytes is enough for all places: each is a mixture of all its bits.
fn places(seat: &str) -> impl Iterator<Item = u64> {
    let mut hasher = DefaultHashBuilder.build_hasher();
    hasher.write(seat.as_bytes());
    let hash = hasher.finish();
    (0..PLACES).map(move |number| mixed(hash.wrapping_add(number.wrapping_mul(GOLDEN))))
}

/// 2⁶⁴ divided by the golden ratio, odd: its multiples lie far apart.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Turns numbers that differ a little into numbers that have nothing in common, one to one.
///
/// Spec: the output function of `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

fn version(nodes: &[(NodeName, u16)]) -> u64 {
    let mut digest = DefaultHashBuilder.build_hasher();
    digest.write(RULES.as_bytes());
    for (name, workers) in nodes {
        digest.write(&[0]);
        digest.write(name.as_str().as_bytes());
        digest.write(&[0]);
        digest.write(&workers.to_be_bytes());
    }
    digest.finish() >> 16
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Place(self.place).hash(state);
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0.to_be_bytes());
    }
}

impl BuildHasher for AsWritten {
    type Hasher = Written;

    fn build_hasher(&self) -> Written {
        Written(0)
    }
}

impl Hasher for Written {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::cluster::status::Phase;

fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

fn instance(number: u8) -> Instance {
    Instance::try_from(format!("{number:032x}")).unwrap()
}

fn own() -> Own {
    Own { name: name("own:1"), instance: instance(1), started_ms: 100, workers: 2 }
}

/// A replica of this name and instance, at an address with this last number.
fn up(node: &str, number: u8, started_ms: u64, address: u8) -> Candidate {
    let address = SocketAddr::from(([192, 0, 2, address], 1));
    let status = Status {
        node: name(node),
        instance: instance(number),
        started_ms,
        workers: 2,
        phase: Phase::Ready,
        ring: 0,
        version: "0".to_owned(),
    };
    Candidate {
        found: Found { address, host: address.ip().to_string().into() },
        standing: Standing::Up,
        flaps: 0,
        status: Some(status),
    }
}

fn with(standing: Standing, mut candidate: Candidate) -> Candidate {
    candidate.standing = standing;
    candidate
}

fn peers(chosen: &Chosen) -> Vec<(&str, usize)> {
    chosen.peers.iter().map(|(name, place)| (name.as_str(), *place)).collect()
}

#[test]
fn only_who_is_up_and_has_answered_is_taken() {
    let mut silent = up("d:1", 5, 0, 5);
    silent.status = None;
    let candidates = [
        up("a:1", 2, 0, 2),
        with(Standing::Down, up("b:1", 3, 0, 3)),
        with(Standing::Draining, up("c:1", 4, 0, 4)),
        silent,
    ];
    let chosen = choose(&own(), false, &candidates);
    assert_eq!(peers(&chosen), [("a:1", 0)]);
    assert!(chosen.own && chosen.clashes.is_empty());
}

#[test]
fn we_are_no_peer_of_ours_under_whatever_address() {
    let candidates = [up("own:1", 1, 100, 2), up("own:1", 1, 100, 3)];
    let chosen = choose(&own(), false, &candidates);
    assert_eq!((peers(&chosen), chosen.own), (vec![], true));
    assert!(chosen.clashes.is_empty());
}

#[test]
fn a_replica_with_two_addresses_is_one_and_is_reached_where_it_says() {
    let candidates = [up("192.0.2.3:1", 2, 0, 2), up("192.0.2.3:1", 2, 0, 3)];
    let chosen = choose(&own(), false, &candidates);
    assert_eq!(peers(&chosen), [("192.0.2.3:1", 1)]);
    assert!(chosen.clashes.is_empty());
    let elsewhere = [up("a:1", 2, 0, 4), up("a:1", 2, 0, 3)];
    assert_eq!(peers(&choose(&own(), false, &elsewhere)), [("a:1", 1)], "or at its first address");
    let one_is_down = [up("a:1", 2, 0, 4), with(Standing::Down, up("a:1", 2, 0, 3))];
    assert_eq!(peers(&choose(&own(), false, &one_is_down)), [("a:1", 0)]);
}

#[test]
fn of_two_replicas_of_one_name_the_later_started_is_taken() {
    let candidates = [up("a:1", 2, 50, 2), up("a:1", 3, 60, 3), up("a:1", 4, 55, 4)];
    let chosen = choose(&own(), false, &candidates);
    assert_eq!(peers(&chosen), [("a:1", 1)]);
    assert_eq!(chosen.clashes, [name("a:1")]);
    let ring = Ring::new([(name("own:1"), 2), (name("a:1"), 2)]);
    let states: Vec<NodeState> =
        nodes(&own(), &chosen, &candidates, &ring).iter().map(|node| node.state).collect();
    let displaced = NodeState::Displaced;
    assert_eq!(states, [NodeState::Own, displaced, NodeState::Up, displaced]);
}

#[test]
fn our_own_name_goes_to_who_started_later_like_any_other() {
    let older = choose(&own(), false, &[up("own:1", 2, 99, 2)]);
    assert_eq!((peers(&older), older.own), (vec![], true));
    let newer = choose(&own(), false, &[up("own:1", 2, 101, 2)]);
    assert_eq!((peers(&newer), newer.own), (vec![("own:1", 0)], false));
    assert_eq!(newer.clashes, [name("own:1")]);
}

#[test]
fn who_leaves_goes_unless_nobody_can_take_over() {
    assert!(choose(&own(), true, &[]).own);
    assert!(choose(&own(), true, &[with(Standing::Draining, up("a:1", 2, 0, 2))]).own);
    assert!(!choose(&own(), true, &[up("a:1", 2, 0, 2)]).own);
    let mut router = up("a:1", 2, 0, 2);
    router.status.as_mut().unwrap().workers = 0;
    assert!(choose(&own(), true, &[router]).own, "a router without workers owns nothing");
}

#[test]
fn everything_known_is_shown_and_each_replica_once() {
    let mut silent = up("?:1", 9, 0, 9);
    (silent.status, silent.standing) = (None, Standing::Down);
    let candidates = [
        up("own:1", 1, 100, 1),
        up("a:1", 2, 0, 2),
        up("a:1", 2, 0, 3),
        with(Standing::Draining, up("b:1", 4, 0, 4)),
        silent,
    ];
    let chosen = choose(&own(), false, &candidates);
    let ring = Ring::new([(name("own:1"), 2), (name("a:1"), 2)]);
    let shown = nodes(&own(), &chosen, &candidates, &ring);
    let words: Vec<_> = shown
        .iter()
        .map(|node| (node.name.as_ref().map_or("?", NodeName::as_str), node.state.word()))
        .collect();
    assert_eq!(words, [("own:1", "self"), ("a:1", "up"), ("b:1", "draining"), ("?", "down")]);
    let whole: f64 = shown.iter().map(|node| node.share).sum();
    assert!((whole - 1.0).abs() < 1e-9, "{whole}");
}

fn candidate() -> impl Strategy<Value = Candidate> {
    let standing = prop_oneof![
        3 => Just(Standing::Up), 1 => Just(Standing::Down), 1 => Just(Standing::Draining)
    ];
    (0_u8..4, 1_u8..6, 0_u8..20, standing).prop_map(|(node, number, address, standing)| {
        // A process has one name and one start.
        let started_ms = u64::from(number) * 40 % 130;
        let node = if number == 1 { "own:1".to_owned() } else { format!("{}:1", node % number) };
        with(standing, up(&node, number, started_ms, address))
    })
}

proptest! {
    #[test]
    fn the_order_in_which_peers_are_found_decides_nothing(
        candidates in proptest::collection::vec(candidate(), 0..12),
        by in any::<Index>(),
    ) {
        let chosen = choose(&own(), false, &candidates);
        let mut other = candidates.clone();
        if !other.is_empty() {
            let by = by.index(other.len());
            other.rotate_left(by);
        }
        let same = choose(&own(), false, &other);
        let who = |chosen: &Chosen, candidates: &[Candidate]| -> Vec<(NodeName, SocketAddr, Instance)> {
            let of = |(name, place): (&NodeName, &usize)| {
                let candidate = &candidates[*place];
                let status = candidate.status.as_ref().unwrap();
                (name.clone(), candidate.found.address, status.instance)
            };
            chosen.peers.iter().map(of).collect()
        };
        prop_assert_eq!(who(&chosen, &candidates), who(&same, &other));
        prop_assert_eq!(chosen.own, same.own);
        prop_assert_eq!(chosen.clashes, same.clashes);
    }
}

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

/// Replicas of one worker each, named as an orchestrator would.
fn nodes(count: u16) -> Vec<(NodeName, u16)> {
    (0..count).map(|number| (name(&format!("promgate-{number}.promgate.svc:8090")), 1)).collect()
}

fn ring(nodes: &[(NodeName, u16)]) -> Ring {
    Ring::new(nodes.iter().cloned())
}

/// Seats of the length of ours, the same in every run.
fn seats(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("{number:0>8}-bcdefghijklm"))
}

/// The largest share over the mean, and the smallest.
fn spread(ring: &Ring) -> (f64, f64) {
    let shares: Vec<f64> = ring.nodes().iter().map(|(node, _)| ring.share(node)).collect();
    let whole: f64 = shares.iter().sum();
    assert!((whole - 1.0).abs() < 1e-6, "the shares make a whole: {whole}");
    let count: f64 = shares.iter().map(|_| 1.0).sum();
    let largest = shares.iter().copied().fold(0.0, f64::max);
    let smallest = shares.into_iter().fold(1.0, f64::min);
    (largest * count, smallest * count)
}

#[test]
fn one_share_is_close_to_another_up_to_64_replicas() {
    for count in 1..=64 {
        let (largest, smallest) = spread(&ring(&nodes(count)));
        assert!(largest <= 1.15 && smallest >= 0.85, "{count} replicas: {smallest} to {largest}");
    }
}

#[test]
fn seats_fall_on_64_replicas_as_the_shares_say() {
    let count = 200_000;
    let ring = ring(&nodes(64));
    let mut counts = std::collections::BTreeMap::<&NodeName, f64>::new();
    for seat in seats(count) {
        *counts.entry(ring.owner(&seat).unwrap().node).or_default() += 1.0;
    }
    for (node, counted) in counts {
        let expected = ring.share(node) * f64::from(count);
        // Five times the deviation of a count of rare events, so that chance does not matter.
        assert!((counted - expected).abs() < 5.0 * expected.sqrt(), "{counted} for {expected}");
    }
}

#[test]
fn the_workers_of_a_replica_share_its_part_evenly() {
    let ring = Ring::new([(name("a:1"), 4), (name("b:1"), 2), (name("c:1"), 0)]);
    let mut counts = [[0_u32; 4]; 2];
    for seat in seats(60_000) {
        let Owner { node, worker } = ring.owner(&seat).unwrap();
        assert!(node.as_str() != "c:1" && (node.as_str() == "a:1" || worker.0 < 2));
        counts[usize::from(node.as_str() == "b:1")][usize::from(worker.0)] += 1;
    }
    let workers = [counts[0].as_slice(), &counts[1][..2]].concat();
    assert!(workers.iter().all(|count| (8_500..11_500).contains(count)), "{counts:?}");
    assert!((ring.share(&name("a:1")) - 4.0 / 6.0).abs() < 0.07);
    assert!(ring.share(&name("c:1")).abs() < f64::EPSILON, "no workers");
    assert!(ring.share(&name("d:1")).abs() < f64::EPSILON, "not on the ring");
}

#[test]
fn a_lost_replica_moves_its_own_sessions_and_no_others() {
    let count = 20_000;
    for members in [2_u16, 3, 4, 16, 64] {
        let whole = ring(&nodes(members));
        for lost in [0, usize::from(members / 2), usize::from(members - 1)] {
            let mut rest = nodes(members);
            let (lost, _) = rest.remove(lost);
            assert!(whole.share(&lost) * f64::from(members) <= 1.2, "what it moves is its share");
            let rest = ring(&rest);
            for seat in seats(count) {
                let (before, after) = (whole.owner(&seat).unwrap(), rest.owner(&seat).unwrap());
                assert_ne!(after.node, &lost);
                assert!(before.node == &lost || before == after, "a session moved needlessly");
            }
        }
    }
}

#[test]
fn the_owners_and_versions_are_the_same_in_every_build() {
    let ring = Ring::new([(name("a:1"), 2), (name("b:1"), 2)]);
    let owners: Vec<String> = seats(8)
        .map(|seat| {
            let Owner { node, worker } = ring.owner(&seat).unwrap();
            format!("{node}/{}", worker.0)
        })
        .collect();
    assert_eq!(owners.join(" "), "a:1/1 b:1/1 b:1/1 b:1/0 b:1/1 a:1/1 a:1/0 a:1/1");
    assert_eq!(ring.version(), 85_679_880_364_500);
}

#[test]
fn an_empty_ring_has_no_owner_and_a_single_worker_owns_all() {
    assert_eq!(Ring::new([]).owner("a"), None);
    assert_eq!(Ring::new([(name("router:1"), 0)]).owner("a"), None);
    let ring = Ring::new([(name("a:1"), 1)]);
    let only = Owner { node: &name("a:1"), worker: WorkerIndex(0) };
    assert!(seats(100).all(|seat| ring.owner(&seat) == Some(only)));
    assert!((ring.share(&name("a:1")) - 1.0).abs() < 1e-9);
}

#[test]
fn any_text_has_an_owner() {
    let ring = ring(&nodes(3));
    let long = "x".repeat(10_000);
    for seat in ["", "a", "\0", "ä", &long] {
        assert!(ring.owner(seat).is_some());
    }
}

#[test]
fn a_version_tells_memberships_apart_and_fits_48_bits() {
    let memberships: [&[(&str, u16)]; 8] = [
        &[],
        &[("a:1", 1)],
        &[("a:1", 2)],
        &[("a:1", 0)],
        &[("b:1", 1)],
        &[("a:1", 1), ("b:1", 1)],
        &[("a:1", 1), ("b:1", 2)],
        &[("a:1b:1", 1)],
    ];
    let versions: BTreeSet<u64> = memberships
        .iter()
        .map(|nodes| {
            Ring::new(nodes.iter().map(|(node, workers)| (name(node), *workers))).version()
        })
        .collect();
    assert_eq!(versions.len(), memberships.len());
    assert!(versions.iter().all(|version| *version < 1 << 48));
}

#[test]
fn a_name_is_1_to_259_visible_characters_and_reads_back_as_written() {
    for bad in ["", " ", "a b", "a\n", "ä:1", &"a".repeat(260)] {
        assert_eq!(NodeName::parse(bad), Err(MalformedNodeName), "{bad:?}");
        let json = serde_json::to_string(bad).unwrap();
        assert!(serde_json::from_str::<NodeName>(&json).is_err());
    }
    let good = name("[2001:db8::1]:8090");
    let json = serde_json::to_string(&good).unwrap();
    assert_eq!(json, "\"[2001:db8::1]:8090\"");
    assert_eq!(serde_json::from_str::<NodeName>(&json).unwrap(), good);
    assert_eq!(NodeName::local().to_string(), "local");
}

/// Names as people and orchestrators give them, and numbers of workers.
fn members(
    count: impl Into<proptest::collection::SizeRange>,
) -> impl Strategy<Value = Vec<(NodeName, u16)>> {
    proptest::collection::btree_map("[a-z0-9.-]{1,40}:[1-9][0-9]{0,4}", 1_u16..5, count)
        .prop_map(|nodes| nodes.into_iter().map(|(node, workers)| (name(&node), workers)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_largest_of_64_shares_is_within_15_percent_of_the_mean(nodes in members(64)) {
        let nodes: Vec<_> = nodes.into_iter().map(|(node, _)| (node, 1)).collect();
        let (largest, smallest) = spread(&ring(&nodes));
        prop_assert!(largest <= 1.15, "{}", largest);
        prop_assert!(smallest >= 0.8, "{}", smallest);
    }

    #[test]
    fn order_and_repetition_change_nothing(nodes in members(1..16), shift: usize) {
        let one = ring(&nodes);
        let mut other = nodes.clone();
        other.reverse();
        other.rotate_left(shift % nodes.len());
        other.push(nodes[0].clone());
        other.insert(0, (nodes[0].0.clone(), 0));
        let same = ring(&other);
        prop_assert_eq!(one.version(), same.version());
        prop_assert_eq!(one.nodes(), same.nodes());
        for seat in seats(200) {
            prop_assert_eq!(one.owner(&seat), same.owner(&seat));
        }
    }

    #[test]
    fn whoever_joins_takes_sessions_only_for_itself_and_not_more_than_its_part(nodes in members(2..24), joins: proptest::sample::Index) {
        let nodes: Vec<_> = nodes.into_iter().map(|(node, _)| (node, 1)).collect();
        let after = ring(&nodes);
        let mut fewer = nodes.clone();
        let (joined, _) = fewer.remove(joins.index(nodes.len()));
        let before = ring(&fewer);
        prop_assert_ne!(before.version(), after.version());
        for seat in seats(500) {
            let (was, is) = (before.owner(&seat).unwrap(), after.owner(&seat).unwrap());
            prop_assert!(was == is || is.node == &joined);
        }
        let count: f64 = nodes.iter().map(|_| 1.0).sum();
        prop_assert!(after.share(&joined) * count <= 1.2);
    }
}

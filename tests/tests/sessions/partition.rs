//! A network between replicas that is cut, that comes and goes, and that is slow.

use std::{
    thread,
    time::{Duration, Instant},
};

use e2e::{
    cut::{Cut, Weather},
    minter,
    place::Place,
    process::{pause, until},
    redis::Redis,
    replicas::Replicas,
};
use serde_json::{Value, json};

use super::parts;

/// Three replicas, of which the first and the second reach each other over a relay only.
struct Torn {
    replicas: Replicas,
    /// From the first to the second, and back.
    cuts: [Cut; 2],
}

impl Torn {
    fn start(probe: Value, change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        let places = Place::several(3);
        let peers = [0, 1, 2].map(|number: usize| places[number].peer());
        let cuts = [Cut::to(peers[1]), Cut::to(peers[0])];
        let lists =
            [[cuts[0].address(), peers[2]], [cuts[1].address(), peers[2]], [peers[0], peers[1]]];
        let replicas = Replicas::begin_at(places, move |number, config| {
            let list: Vec<_> = lists[number].iter().map(ToString::to_string).collect();
            config["cluster"]["peers"] = json!({ "static": list });
            config["cluster"]["probe"] = probe.clone();
            change(config);
        });
        replicas.settle();
        Self { replicas, cuts }
    }

    fn set(&self, weather: Weather) {
        self.cuts.iter().for_each(|cut| cut.set(weather));
    }

    /// The state of a replica, as another sees it.
    fn state(&self, of: usize, seen_by: usize) -> String {
        let ring = self.replicas.at(seen_by).ring();
        let name = self.replicas.at(of).name();
        let node = ring["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name);
        node.map_or("gone", |node| node["state"].as_str().unwrap()).to_owned()
    }
}

#[test]
fn a_partition_of_two_heals_and_each_session_has_one_owner_again() {
    let redis = Redis::start();
    let url = parts::url(&redis);
    let probe = json!({ "interval": "400ms", "timeout": "400ms", "down_after": 4, "up_after": 2 });
    let torn = Torn::start(probe, move |config| {
        parts::stored_at(&url, config);
        parts::crowded(config);
    });
    let crowd = parts::crowd(&torn.replicas, 200);
    torn.set(Weather::Silent);
    until("they lose sight of each other", || {
        torn.state(0, 1) == "down" && torn.state(1, 0) == "down"
    });
    assert_eq!((torn.state(0, 2), torn.state(1, 2)), ("up".to_owned(), "up".to_owned()));
    crowd.ask(3).assert_clean();
    torn.set(Weather::Clear);
    torn.replicas.settle();
    crowd.ask(3).assert_clean();
    until("each session is held once", || torn.replicas.sessions() == 200);
    crowd.ask(1).assert_clean();
    assert_eq!(torn.replicas.sessions(), 200);
}

#[test]
fn a_replica_that_comes_and_goes_does_not_shake_the_ring() {
    const ROUNDS: usize = 8;
    let probe = json!({ "interval": "100ms", "timeout": "100ms", "down_after": 3, "up_after": 2 });
    let torn = Torn::start(probe, |_| {});
    let first = torn.replicas.at(0);
    let mut versions = vec![first.ring()["version"].clone()];
    for _round in 0..ROUNDS {
        for weather in [Weather::Torn, Weather::Clear] {
            torn.set(weather);
            // Long enough for an undamped view to change each time.
            let end = Instant::now() + Duration::from_millis(600);
            while Instant::now() < end {
                let version = first.ring()["version"].clone();
                if versions.last() != Some(&version) {
                    versions.push(version);
                }
                pause();
            }
        }
    }
    let changes = versions.len() - 1;
    assert!(changes <= ROUNDS, "{changes} changes of the ring, of {} undamped", 2 * ROUNDS);
    torn.replicas.settle();
}

#[test]
fn a_slow_replica_makes_nobody_else_slow() {
    const SLOW: Duration = Duration::from_secs(2);
    // Its answers to probes are late too; it counts as gone after many of them only.
    let probe =
        json!({ "interval": "500ms", "timeout": "500ms", "down_after": 100, "up_after": 1 });
    let torn = Torn::start(probe, |_| {});
    let alice = minter::token("alice");
    let [first, second, third] = [0, 1, 2].map(|number| torn.replicas.at(number).session(&alice));
    let entry = torn.replicas.at(0).mcp();
    torn.set(Weather::Slow(SLOW));
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let begun = Instant::now();
            let status = second.through(entry).call("ping", json!({})).status();
            (status, begun.elapsed())
        });
        for session in [&first, &third] {
            let begun = Instant::now();
            for _request in 0..5 {
                assert_eq!(session.through(entry).call("ping", json!({})).status(), 200);
            }
            assert!(begun.elapsed() < SLOW, "took {:?}", begun.elapsed());
        }
        let (status, took) = slow.join().unwrap();
        assert_eq!(status, 200);
        assert!(took >= SLOW, "it went over the slow network: {took:?}");
    });
}

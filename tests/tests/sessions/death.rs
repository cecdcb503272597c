//! `kill -9` of one of three.

use std::time::Instant;

use e2e::{
    crowd::{Crowd, Habits, What},
    mcp::Client,
    minter,
    process::until,
    redis::Redis,
    replicas::{Replicas, count},
};
use serde_json::json;

use super::parts;

/// With a store only what was on its way to the process that died may fail: requests that its clients had sent to it,
/// and those that other replicas had passed on to it, which they answer with 502 (or 503, had nothing been sent).
/// Everything that is asked after the others have agreed that it is gone is answered, and no session is lost.
#[test]
fn a_replica_that_is_killed_under_load_takes_no_stored_session_with_it() {
    let redis = Redis::start();
    let replicas = parts::start_stored(&redis, 3);
    let crowd = parts::crowd(&replicas, 600);
    let (tally, (killed, agreed)) = crowd.ask_while(|| {
        crowd.wait_for(300);
        let killed = Instant::now();
        let _log = replicas.at(0).kill();
        replicas.settle();
        let agreed = Instant::now();
        crowd.wait_for(1200);
        (killed, agreed)
    });
    assert_eq!(tally.lost(), 0, "of {}", tally.asked);
    for fault in &tally.faults {
        assert!(killed <= fault.at && fault.began <= agreed, "{:?} has another reason", fault.what);
        let excused = match &fault.what {
            What::Broken(_) => true,
            What::Status(status, _) => [502, 503].contains(status),
            What::Lost | What::Crossed(_) => false,
        };
        assert!(excused, "{:?}", fault.what);
    }
    let tally = crowd.ask(1);
    tally.assert_clean();
    assert_eq!(tally.asked, 600, "each of them is there");
    assert_eq!(replicas.sessions(), 600);
    assert!(replicas.metric_sum("promgate_sessions_restored_total") > 100.0);
    assert!(replicas.metric_sum("promgate_sessions_lost_total") < 1.0);
}

#[test]
fn without_a_store_the_sessions_of_a_killed_replica_are_lost_and_no_others() {
    let replicas = Replicas::start_with(3, |_, config| parts::crowded(config));
    let balancer = replicas.balancer().address();
    let crowd = parts::crowd(&replicas, 600);
    // A replica holds what is opened there.
    let own = |number: usize| {
        Crowd::open(replicas.at(number).mcp(), 50, Habits::default()).through(balancer)
    };
    let [of_killed, of_second, of_third] = [0, 1, 2].map(own);
    let held = [1, 2].map(|number| count(&replicas.at(number).sessions(), "sessions"));
    let kill = || {
        crowd.wait_for(600);
        let killed = Instant::now();
        let _log = replicas.at(0).kill();
        replicas.settle();
        let agreed = Instant::now();
        crowd.wait_for(1800);
        (killed, agreed)
    };
    // All ask at once, and on while the replica is killed.
    let (mixed, (killed_ones, (second, (third, (killed, agreed))))) = crowd
        .ask_while(|| of_killed.ask_while(|| of_second.ask_while(|| of_third.ask_while(kill))));
    for tally in [&mixed, &killed_ones, &second, &third] {
        for fault in &tally.faults {
            let excused = match &fault.what {
                What::Lost => killed <= fault.at,
                What::Broken(_) => killed <= fault.at && fault.began <= agreed,
                What::Status(status, _) => {
                    [502, 503].contains(status) && killed <= fault.at && fault.began <= agreed
                }
                What::Crossed(_) => false,
            };
            assert!(excused, "{fault:?}, killed {killed:?}, agreed {agreed:?}");
        }
    }
    assert_eq!((second.lost(), third.lost()), (0, 0), "others lose nothing");
    let lost = mixed.lost() + crowd.ask(1).lost();
    assert!(lost <= 240, "{lost} of 600 are more than 1.2 / 3");
    assert_eq!(killed_ones.lost() + of_killed.ask(1).lost(), 50);
    assert_eq!(replicas.sessions(), held.iter().sum::<u64>(), "what the others held, they hold");
    for crowd in [&crowd, &of_second, &of_third] {
        crowd.ask(2).assert_clean();
    }
    assert!(replicas.metric_sum("promgate_sessions_lost_total") >= 50.0);

    let afresh = Client::session_of(balancer, "2025-11-25", &minter::token("ann"));
    for _replica in 0..4 {
        assert_eq!(afresh.call("ping", json!({})).status(), 200, "whoever starts afresh goes on");
        afresh.disconnect();
    }
}

#[test]
fn a_replica_that_comes_back_takes_part_again() {
    let redis = Redis::start();
    let replicas = parts::start_stored(&redis, 3);
    let crowd = parts::crowd(&replicas, 120);
    let _log = replicas.at(2).kill();
    replicas.settle();
    crowd.ask(1).assert_clean();
    replicas.at(2).start();
    replicas.settle();
    crowd.ask(2).assert_clean();
    // Who held a session meanwhile gives it up.
    until("each session is held once", || replicas.sessions() == 120);
    let back = replicas.at(2).sessions();
    assert!(back["sessions"].as_u64().unwrap() > 0, "{back}");
}

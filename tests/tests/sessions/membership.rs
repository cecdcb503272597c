//! Replicas come, go, and are replaced.

use e2e::{
    crowd::{Fault, Tally, What},
    process::until,
    redis::Redis,
    replicas::{Replicas, count},
};

use super::parts;

#[test]
fn a_fourth_replica_takes_its_share_of_the_sessions_and_no_more() {
    const SESSIONS: u64 = 1500;
    let redis = Redis::start();
    let mut replicas = parts::start_stored(&redis, 3);
    let crowd = parts::crowd(&replicas, 1500);
    replicas.add();
    replicas.settle();
    crowd.ask(1).assert_clean();

    let moved = count(&replicas.at(3).sessions(), "restored");
    assert!(moved <= SESSIONS * 12 / 40, "{moved} of {SESSIONS} are more than 1.2 / 4");
    assert!(moved > SESSIONS / 8, "it takes part: {moved}");
    for old in &replicas.all()[..3] {
        assert_eq!(count(&old.sessions(), "restored"), 0, "only the new one takes");
    }
    until("each session is held once", || replicas.sessions() == SESSIONS);
    assert_eq!(count(&replicas.at(3).sessions(), "sessions"), moved);
    crowd.ask(1).assert_clean();
}

#[test]
fn all_replicas_are_restarted_in_turn_under_load_and_no_request_fails() {
    let redis = Redis::start();
    let replicas = parts::start_stored(&redis, 3);
    let crowd = parts::crowd(&replicas, 300);
    let (tally, ()) = crowd.ask_while(|| {
        for replica in replicas.all() {
            crowd.wait_for(200);
            let _log = replica.stop();
            replicas.settle();
            crowd.wait_for(200);
            replica.start();
            replicas.settle();
        }
        crowd.wait_for(300);
    });
    tally.assert_clean();
    crowd.ask(1).assert_clean();
    until("each session is held once", || replicas.sessions() == 300);
}

#[test]
fn a_process_is_replaced_in_place_under_load_and_no_request_fails() {
    let redis = Redis::start();
    let replicas = parts::start_stored(&redis, 2);
    let crowd = parts::crowd(&replicas, 300);
    let before = replicas.at(0).ring()["version"].clone();
    let (tally, ()) = crowd.ask_while(|| {
        crowd.wait_for(200);
        let _old = replicas.at(0).upgrade();
        crowd.wait_for(200);
        let _old = replicas.at(1).upgrade();
        crowd.wait_for(300);
    });
    tally.assert_clean();
    replicas.settle();
    assert_eq!(replicas.at(0).ring()["version"], before, "the same members");
    crowd.ask(1).assert_clean();
    until("each session is held once", || replicas.sessions() == 300);
}

#[test]
fn a_lone_process_without_a_store_is_replaced_in_place() {
    let replicas = Replicas::start_with(1, |_, config| parts::crowded(config));
    let crowd = parts::crowd(&replicas, 100);
    let (tally, ()) = crowd.ask_while(|| {
        crowd.wait_for(100);
        let _old = replicas.at(0).upgrade();
        crowd.wait_for(100);
    });
    tally.assert_clean();
    let tally = crowd.ask(1);
    tally.assert_clean();
    assert_eq!(tally.asked, 100, "none is lost");
    assert_eq!(replicas.balancer().turned_away(), 0, "somebody listens all the time");
}

#[test]
fn without_a_store_replicas_that_come_and_go_hand_their_sessions_over() {
    let mut replicas = Replicas::start_with(2, |_, config| parts::crowded(config));
    let crowd = parts::crowd(&replicas, 120);
    let _log = replicas.at(0).stop();
    replicas.settle();
    crowd.ask(1).assert_clean();
    assert_eq!(count(&replicas.at(1).sessions(), "sessions"), 120);
    replicas.at(0).start();
    replicas.add();
    replicas.settle();
    crowd.ask(2).assert_clean();
    until("each session is held once", || replicas.sessions() == 120);
    for replica in replicas.all() {
        assert!(count(&replica.sessions(), "sessions") > 10, "all take part");
    }
}

#[test]
fn without_a_store_replicas_that_come_and_go_under_load_lose_no_session() {
    let mut replicas = Replicas::start_with(2, |_, config| parts::crowded(config));
    let crowd = parts::crowd(&replicas, 120);
    let asked = |tally: Tally| {
        assert_eq!(tally.lost(), 0, "{:?}", tally.faults);
        // A request that came just when its session was given away is to be sent again, and was not begun.
        let is_again = |fault: &Fault| matches!(&fault.what, What::Status(503, _));
        assert!(tally.faults.iter().all(is_again), "{:?}", tally.faults);
    };
    let (tally, ()) = crowd.ask_while(|| {
        crowd.wait_for(200);
        let _log = replicas.at(0).stop();
        replicas.settle();
        crowd.wait_for(200);
        replicas.at(0).start();
        replicas.settle();
        crowd.wait_for(200);
    });
    asked(tally);
    let (tally, ()) = crowd.ask_while(|| {
        crowd.wait_for(100);
        replicas.add();
        replicas.settle();
        crowd.wait_for(300);
    });
    asked(tally);
    crowd.ask(2).assert_clean();
    until("each session is held once", || replicas.sessions() == 120);
}

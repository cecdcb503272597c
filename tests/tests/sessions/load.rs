//! Many sessions of several principals, asked at once: none is lost, and nobody gets what is another's.

use std::collections::BTreeSet;

use e2e::{
    crowd::{Crowd, Habits},
    redis::Redis,
};

use super::parts;

const SESSIONS: usize = 3000;

#[test]
fn of_three_thousand_sessions_none_is_lost_and_none_crossed() {
    let redis = Redis::start();
    let replicas = parts::start_stored(&redis, 3);
    let habits = Habits { queries: true, streams: true };
    let crowd = Crowd::open(replicas.balancer().address(), SESSIONS, habits);
    assert_eq!(crowd.ids().iter().collect::<BTreeSet<_>>().len(), SESSIONS, "each id is new");
    assert_eq!(replicas.sessions(), 3000);

    let tally = crowd.ask(6);
    tally.assert_clean();
    assert_eq!(tally.asked, 6 * SESSIONS);
    let ended = crowd.delete_each(10);
    assert_eq!(replicas.sessions(), u64::try_from(SESSIONS - ended).unwrap());
    crowd.ask(1).assert_clean();

    let served = replicas.balancer().connections();
    assert!(served.iter().all(|given| *given > SESSIONS / 2), "all took part: {served:?}");
    let passed_on = replicas.metric_sum("promgate_hops_total");
    assert!(passed_on > 1000.0, "most requests reach a replica that is not the owner: {passed_on}");
    assert!(replicas.metric_sum("promgate_sessions_restored_total") < 1.0, "nothing moved");
}

//! Clusters inside one process, over real sockets.

mod replica;
mod seen;
mod tls;

use std::{net::SocketAddr, time::Duration};

use tokio::net::TcpListener;

use self::replica::{Listener, Replica, keys, until};
use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn versions(replicas: &[&Replica]) -> Vec<u64> {
    replicas.iter().map(|replica| replica.cluster.membership().ring.version()).collect()
}

/// Whether all of them have a ring of exactly them.
fn agree(replicas: &[&Replica]) -> bool {
    let versions = versions(replicas);
    let counts = |replica: &&Replica| replica.cluster.membership().ring.nodes().len();
    versions.windows(2).all(|two| two[0] == two[1])
        && replicas.iter().map(counts).all(|count| count == replicas.len())
}

async fn together(count: usize) -> Vec<Replica> {
    let listeners: Vec<Listener> = (0..count).map(|_| Listener::bind()).collect();
    let all: Vec<String> = listeners.iter().map(|listener| listener.address.to_string()).collect();
    let replicas: Vec<Replica> =
        listeners.into_iter().map(|listener| Replica::start(listener, &all)).collect();
    until(PATIENCE, || agree(&replicas.iter().collect::<Vec<_>>())).await;
    replicas
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_find_each_other_and_have_the_same_ring() {
    let replicas = together(2).await;
    let [a, b] = &replicas[..] else { panic!() };
    for seat in 0..200 {
        let seat = format!("seat-{seat}");
        let (of_a, of_b) = (a.cluster.membership(), b.cluster.membership());
        assert_eq!(of_a.ring.owner(&seat), of_b.ring.owner(&seat));
        let owner = of_a.ring.owner(&seat).unwrap().node;
        assert_ne!(of_a.is_me(owner), of_b.is_me(owner));
    }
    let membership = a.cluster.membership();
    assert_eq!(membership.address(&b.name), Some(b.address));
    assert_eq!(membership.address(&a.name), None, "we are no peer of our own");
    assert!(a.cluster.peer(&a.name).is_none());
    assert!(a.cluster.settled(PATIENCE).await && b.cluster.settled(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_connected_to_with_http2_alone_and_with_limits() {
    let replicas = together(2).await;
    let peer = replicas[0].cluster.peer(&replicas[1].name).unwrap();
    assert_eq!(peer._address.as_inet(), Some(&replicas[1].address));
    let options = &peer.options;
    assert_eq!(options.alpn.get_min_http_version(), 2);
    assert_eq!(options.read_timeout, Some(Duration::from_mins(1)), "never less");
    assert!(options.connection_timeout.is_some() && options.total_connection_timeout.is_some());
    assert!(options.idle_timeout.is_some() && options.write_timeout.is_some());
    assert!(options.h2_ping_interval.is_some() && options.max_h2_streams >= 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_has_a_ring_of_its_own_when_one_stops() {
    let mut replicas = together(3).await;
    let mut stopped = replicas.remove(1);
    let mut changed = replicas[0].cluster.changed();
    changed.mark_unchanged();
    stopped.shut();
    drop(stopped.cluster);
    until(PATIENCE, || agree(&[&replicas[0], &replicas[1]])).await;
    assert!(changed.has_changed().unwrap());
    let membership = replicas[0].cluster.membership();
    let gone = membership.nodes.iter().find(|node| node.name.as_ref() == Some(&stopped.name));
    let gone = gone.unwrap();
    assert_eq!((gone.state, gone.flaps), (NodeState::Down, 1));
    let whole: f64 = membership.nodes.iter().map(|node| node.share).sum();
    assert!((whole - 1.0).abs() < 1e-9, "{whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_says_goodbye_is_off_every_ring_at_once_and_has_not_fallen() {
    let replicas = together(3).await;
    let [a, b, c] = &replicas[..] else { panic!() };
    a.cluster.leave().await;
    for replica in [a, b, c] {
        let nodes = || replica.cluster.membership().ring.nodes().len();
        // One that was told puts its new ring to use a moment later.
        until(Duration::from_millis(300), || nodes() == 2).await;
        assert!(!replica.cluster.membership().is_me(&a.name));
    }
    let membership = b.cluster.membership();
    let left = membership.nodes.iter().find(|node| node.name.as_ref() == Some(&a.name)).unwrap();
    assert_eq!((left.state, left.flaps), (NodeState::Draining, 0));
    // Its probes say the same, so it stays away.
    tokio::time::sleep(replica::INTERVAL * 4).await;
    assert!(b.cluster.membership().address(&a.name).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_from_before_a_goodbye_does_not_undo_it() {
    let listeners = [Listener::bind(), Listener::bind()];
    let all = listeners.each_ref().map(|listener| listener.address.to_string());
    let [one, other] = listeners;
    let (a, b) = (Replica::start(one, &all), Replica::late(other, &all));
    until(PATIENCE, || agree(&[&a, &b]) && a.cluster.peer(&b.name).is_some()).await;
    b.cluster.leave().await;
    assert!(a.cluster.peer(&b.name).is_none());
    let asked = b.asked_by(&a.name);
    until(PATIENCE, || b.asked_by(&a.name) > asked + 5).await;
    assert!(a.cluster.peer(&b.name).is_none(), "it said that it was ready again and again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_one_to_leave_keeps_its_sessions() {
    let replicas = together(2).await;
    let [a, b] = &replicas[..] else { panic!() };
    a.cluster.leave().await;
    b.cluster.leave().await;
    until(PATIENCE, || b.cluster.membership().is_me(&b.name)).await;
    assert_eq!(b.cluster.membership().ring.nodes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shut_port_that_a_request_met_is_off_the_ring_without_patience() {
    let mut replicas = together(2).await;
    let mut stopped = replicas.pop().unwrap();
    stopped.shut();
    let cluster = &replicas[0].cluster;
    let mut changed = cluster.changed();
    changed.mark_unchanged();
    cluster.refused(&stopped.name);
    timeout(Duration::from_millis(500), changed.changed()).await.unwrap().unwrap();
    assert!(cluster.peer(&stopped.name).is_none());
    cluster.refused(&stopped.name);
    cluster.refused(&replicas[0].name);
    assert!(cluster.membership().is_me(&replicas[0].name), "our own port is not a peer's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_all_others_and_their_answers_come_back() {
    let replicas = together(3).await;
    let told = replicas[0].cluster.tell(replica::ECHO_PATH, b"{\"x\":1}".to_vec()).await;
    let mut names: Vec<_> = told.iter().map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    let mut others = vec![replicas[1].name.clone(), replicas[2].name.clone()];
    others.sort_unstable();
    assert_eq!(names, others);
    for (name, answer) in told {
        assert_eq!(answer.unwrap(), format!("{name}: {{\"x\":1}}").into_bytes());
    }
    for (_, answer) in replicas[0].cluster.tell("/_promgate/nothing", Vec::new()).await {
        assert!(matches!(answer, Err(TellError::Unanswered(_))), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_with_other_keys_is_no_replica() {
    let (own, foreign) = (Listener::bind(), Listener::bind());
    let all = [own.address.to_string(), foreign.address.to_string()];
    let foreign = Replica::with_keys(foreign, &all, &keys("another secret that is long enough"));
    let own = Replica::start(own, &all);
    until(PATIENCE, || own.cluster.membership().nodes.len() == 2).await;
    tokio::time::sleep(replica::INTERVAL * 5).await;
    for replica in [&own, &foreign] {
        let membership = replica.cluster.membership();
        assert_eq!(membership.ring.nodes().len(), 1);
        let other = membership.nodes.iter().find(|node| node.state != NodeState::Own).unwrap();
        assert_eq!((other.name.as_ref(), other.state), (None, NodeState::Down));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_answers_put_nobody_on_the_ring() {
    for forgery in replica::Forgery::ALL {
        let (own, forger) = (Listener::bind(), Listener::bind());
        let all = [own.address.to_string(), forger.address.to_string()];
        let forger = Replica::forging(forger, &all, forgery);
        let own = Replica::start(own, &all);
        until(PATIENCE, || forger.asked_by(&own.name) > 4).await;
        assert_eq!(own.cluster.membership().ring.nodes().len(), 1, "{forgery:?}");
        assert!(own.cluster.membership().address(&forger.name).is_none(), "{forgery:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_accepts_and_never_answers_costs_nothing_but_its_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (a, b) = (Listener::bind(), Listener::bind());
    let silent_address: SocketAddr = silent.local_addr().unwrap();
    let all = [a.address, b.address, silent_address].map(|address| address.to_string());
    let (a, b) = (Replica::start(a, &all), Replica::start(b, &all));
    let mut held = Vec::new();
    let ring = async { until(PATIENCE, || agree(&[&a, &b])).await };
    tokio::pin!(ring);
    loop {
        tokio::select! {
            () = &mut ring => break,
            accepted = silent.accept() => held.push(accepted.unwrap()),
        }
    }
    assert!(!held.is_empty(), "it was asked");
    assert!(a.cluster.settled(PATIENCE).await, "whoever does not answer is not waited for");
    let began = std::time::Instant::now();
    a.cluster.tell(replica::ECHO_PATH, Vec::new()).await;
    assert!(began.elapsed() < Duration::from_secs(1), "it is not told either");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_comes_and_goes_in_a_list_hardly_moves_the_ring() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers");
    let (own, other) = (Listener::bind(), Listener::bind());
    let other = Replica::start(other, &[]);
    std::fs::write(&path, "").unwrap();
    let own = Replica::reading(own, path.clone());
    let mut changed = own.cluster.changed();
    let (began, mut count) = (std::time::Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(4) {
        std::fs::write(&path, format!("{}\n", other.address)).unwrap();
        tokio::time::sleep(replica::INTERVAL * 5).await;
        count += u32::from(changed.has_changed().unwrap());
        changed.mark_unchanged();
        std::fs::write(&path, "# nobody\n").unwrap();
        tokio::time::sleep(replica::INTERVAL).await;
        count += u32::from(changed.has_changed().unwrap());
        changed.mark_unchanged();
    }
    assert!(count >= 2, "it was on the ring");
    assert!(count <= 10, "{count} changes");
    std::fs::write(&path, format!("{}\n", other.address)).unwrap();
    until(PATIENCE, || own.cluster.peer(&other.name).is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_find_out_who_the_others_are_is_not_settled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers");
    let (own, other) = (Listener::bind(), Listener::bind());
    let other = Replica::start(other, &[]);
    let own = Replica::reading(own, path.clone());
    assert!(!own.cluster.settled(replica::INTERVAL * 10).await, "there is no list yet");
    std::fs::write(&path, format!("{}\n", other.address)).unwrap();
    assert!(own.cluster.settled(PATIENCE).await);
    assert!(own.cluster.peer(&other.name).is_some(), "it was waited for");
}

#[tokio::test]
async fn alone_there_is_nobody_to_ask_or_tell() {
    let cluster = Cluster::alone(4);
    let membership = cluster.membership();
    let owner = membership.ring.owner("seat").unwrap();
    assert!(membership.is_me(owner.node) && membership.address(owner.node).is_none());
    assert!(cluster.settled(Duration::ZERO).await);
    assert!(cluster.peer(owner.node).is_none());
    assert!(cluster.tell("/_promgate/x", Vec::new()).await.is_empty());
    cluster.refused(owner.node);
    cluster.leave().await;
    assert!(cluster.membership().is_me(&NodeName::local()));
    assert!(cluster.listener_tls().unwrap().is_none());
}

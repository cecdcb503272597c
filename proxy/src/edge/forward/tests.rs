use std::sync::Arc;

use mcp_core::session::SessionId;
use pingora::upstreams::peer::Peer as _;

use super::*;
use crate::{
    cluster::Cluster,
    ring::{NodeName, WorkerIndex},
    sessions::tests::sessions,
};

const ME: (&str, u16) = ("127.0.0.1:1", 0);
const LEAVING: (&str, u16) = ("127.0.0.1:2", 2);
const STAYING: (&str, u16) = ("127.0.0.1:3", 2);

fn name(of: (&str, u16)) -> NodeName {
    NodeName::parse(of.0).unwrap()
}

/// A router with its cluster, and the id of a session.
fn router() -> (Sessions, Arc<Cluster>, SessionId) {
    let cluster = Cluster::seen_by(ME.0, ME.1);
    cluster.see(ME, &[LEAVING]);
    let sessions = sessions(&cluster, 0);
    let id = sessions.mint(None).unwrap().opening.id;
    (sessions, cluster, id)
}

fn forward(node: (&str, u16), session: SessionId) -> Forward {
    Forward::new(Away { node: name(node), worker: WorkerIndex(0), session, opens: false })
}

#[tokio::test]
async fn what_was_placed_before_the_ring_changed_goes_to_the_new_owner_without_a_try() {
    let (sessions, cluster, id) = router();
    let mut forward = forward(LEAVING, id);
    cluster.see(ME, &[STAYING]);
    let peer = forward.way(&sessions).unwrap();
    assert_eq!(peer.address().to_string(), STAYING.0);
    assert_eq!(forward.away.node, name(STAYING), "whom the hop is meant for");
    assert!(!forward.retried && forward.came_back(Setback::Failed), "it still has its tries");
}

#[tokio::test]
async fn a_request_that_came_back_asks_the_ring_again() {
    let (sessions, cluster, id) = router();
    let mut forward = forward(LEAVING, id);
    assert_eq!(forward.way(&sessions).unwrap().address().to_string(), LEAVING.0);
    assert!(forward.came_back(Setback::Shut));
    cluster.see(ME, &[LEAVING, STAYING]);
    let owner = cluster.membership().ring.owner(forward.away.session.seat()).unwrap().node.clone();
    assert_eq!(forward.way(&sessions).unwrap().address().to_string(), owner.as_str());
    assert_eq!(forward.away.node, owner);
}

#[tokio::test]
async fn without_another_owner_there_is_no_way() {
    let (sessions, cluster, id) = router();
    let mut forward = forward(LEAVING, id);
    cluster.see(ME, &[]);
    assert!(forward.way(&sessions).is_none());
}

#[tokio::test]
async fn refused_streams_leave_the_try_for_a_shut_port() {
    let mut forward = forward(LEAVING, router().2);
    for _ in 0..REFUSALS_MAX {
        assert!(forward.came_back(Setback::Refused));
    }
    assert!(!forward.came_back(Setback::Refused));
    assert!(forward.came_back(Setback::Shut));
    assert!(!forward.came_back(Setback::Shut), "one such try");
    assert!(forward.came_back(Setback::Failed));
    assert!(!forward.came_back(Setback::Failed));
}

#[tokio::test]
async fn what_may_have_been_begun_is_neither_sent_again_nor_served_here() {
    let mut forward = forward(LEAVING, router().2);
    forward.note_sent(true);
    assert!(!forward.came_back(Setback::Failed) && !forward.is_servable());
}

#[tokio::test]
async fn what_was_sent_whole_and_refused_was_not_begun() {
    let bodies = Bodies::new(1 << 10);
    let mut forward = forward(LEAVING, router().2);
    let piece = Bytes::from_static(b"{}");
    forward.hold(Some(&piece), (&bodies, 10)).unwrap();
    assert!(!forward.is_servable(), "only a part of its body has come");
    assert_eq!(forward.completed(), piece);
    forward.note_sent(true);
    assert!(!forward.is_servable());
    assert!(forward.came_back(Setback::Refused));
    assert!(!forward.sent && forward.sent_at.is_none());
    assert!(forward.is_servable());
    assert_eq!(forward.whole, Some(piece.clone()), "its body is at hand");
    // It comes again from its first piece.
    forward.begin();
    forward.hold(Some(&piece), (&bodies, 10)).unwrap();
    assert_eq!(forward.completed(), piece);
}

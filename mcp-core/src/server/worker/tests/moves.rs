//! Sessions that go from one worker to another, or end for a reason outside of them.

use rmcp::model::RequestId;
use serde_json::json;

use super::*;
use crate::server::{CannotRestore, SavedSession};

/// As a store gives it back.
fn stored(saved: &SavedSession) -> SavedSession {
    serde_json::from_slice(&serde_json::to_vec(saved).unwrap()).unwrap()
}

fn small(sessions_max: usize, principal_sessions_max: usize) -> WorkerLimits {
    WorkerLimits { sessions_max, principal_sessions_max, ..WorkerLimits::default() }
}

#[tokio::test]
async fn a_session_goes_on_with_another_worker_as_if_nothing_had_happened() {
    let (old, new) = (worker(&Listing::default()), worker(&Listing::default()));
    let owner = caller(Some(1));
    let id = open(&old, &owner).await;
    let saved = old.saved(&id).unwrap();
    assert_eq!(saved.principal(), owner.principal);
    assert_eq!(old.release(&|_id| false), 1);
    assert!(!old.holds(&id) && old.saved(&id).is_none());
    assert_eq!(say(&old, &id, PING, &owner).await.status, StatusCode::NOT_FOUND);
    assert_eq!(new.restore(id.clone(), stored(&saved)), Ok(()));
    assert!(new.holds(&id));
    assert_eq!(new.ids(), std::slice::from_ref(&id));
    assert_eq!(say(&new, &id, LIST, &owner).await.status, StatusCode::OK);
    for stranger in [None, Some(2)].map(caller) {
        assert_eq!(say(&new, &id, PING, &stranger).await.status, StatusCode::NOT_FOUND);
    }
    let again = new.saved(&id).unwrap();
    assert_eq!(
        serde_json::to_value(&again).unwrap(),
        serde_json::to_value(&saved).unwrap(),
        "it can go on as often as it likes"
    );
    assert_eq!((old.figures().sessions_released, new.figures().sessions_restored), (1, 1));
}

#[tokio::test]
async fn what_its_client_said_is_known_to_the_new_worker() {
    let (old, new) = (worker(&Listing::default()), worker(&Listing::default()));
    let id = open(&old, &caller(None)).await;
    new.restore(id.clone(), stored(&old.saved(&id).unwrap())).unwrap();
    let facts = |worker: &Worker| {
        let session = worker.sessions.look(&id).unwrap();
        (session.facts.init.clone(), session.facts.version.clone())
    };
    assert_eq!(facts(&new), facts(&old));
    assert_eq!(facts(&new).1.as_str(), "2025-11-25");
}

#[tokio::test]
async fn restored_sessions_of_one_kind_of_client_share_what_it_said() {
    let (old, new) = (worker(&Listing::default()), worker(&Listing::default()));
    let ids = [open(&old, &caller(None)).await, open(&old, &caller(Some(1))).await];
    for id in &ids {
        new.restore(id.clone(), old.saved(id).unwrap()).unwrap();
    }
    let facts = ids.map(|id| Arc::clone(&new.sessions.look(&id).unwrap().facts));
    assert!(Arc::ptr_eq(&facts[0], &facts[1]));
}

#[tokio::test]
async fn a_session_that_is_here_stays_as_it_is() {
    let worker = worker(&Listing::default());
    let id = open(&worker, &caller(None)).await;
    let before = worker.sessions.look(&id).unwrap();
    assert_eq!(worker.restore(id.clone(), worker.saved(&id).unwrap()), Ok(()));
    assert!(Arc::ptr_eq(&before, &worker.sessions.look(&id).unwrap()));
    assert_eq!((worker.figures().sessions, worker.figures().sessions_restored), (1, 0));
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_with_its_reason() {
    let (old, new) = (worker(&Listing::default()), worker(&Listing::default()));
    let id = open(&old, &caller(None)).await;
    let saved = old.saved(&id).unwrap();
    let with = |field: &str, value| {
        let mut json = serde_json::to_value(&saved).unwrap();
        json[field] = value;
        new.restore(id.clone(), serde_json::from_value(json).unwrap())
    };
    assert_eq!(with("form", json!(9)), Err(CannotRestore::Unreadable));
    assert_eq!(with("expires_s", json!(1000)), Err(CannotRestore::Expired));
    assert_eq!(with("expires_s", json!(u64::MAX)), Err(CannotRestore::Expired));
    assert!(!new.holds(&id));
    let full = worker_with(&Listing::default(), small(0, 9), &Arc::default());
    assert_eq!(full.restore(id, saved), Err(CannotRestore::Full));
    assert_eq!(full.figures().sessions_refused, 1);
}

#[tokio::test]
async fn a_principal_may_not_open_more_than_its_bound_but_keeps_what_is_moved() {
    let counts = Arc::default();
    let old = worker_with(&Listing::default(), small(9, 2), &counts);
    let other = worker_with(&Listing::default(), small(9, 2), &counts);
    let (alice, bob) = (caller(Some(1)), caller(Some(2)));
    let id = open(&old, &alice).await;
    open(&other, &alice).await;
    let refused = ask_to_open(&old, &alice, "2025-11-25").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.ending, Ending::Busy(Bound::PrincipalSessions));
    assert!(refused.retry_after.is_some() && refused.session.is_none());
    assert_eq!(old.figures().sessions_refused, 1);
    open(&old, &bob).await;
    // Nobody can be told apart from nobody.
    for _many in 0..3 {
        open(&old, &caller(None)).await;
    }
    let elsewhere = Arc::<PrincipalCounts>::default();
    let new = worker_with(&Listing::default(), small(9, 0), &elsewhere);
    assert_eq!(new.restore(id.clone(), old.saved(&id).unwrap()), Ok(()));
    assert_eq!(elsewhere.of(alice.principal.unwrap()), 1);
}

#[tokio::test]
async fn all_sessions_of_a_principal_end_at_once_and_nobody_elses() {
    let worker = worker(&Listing::default());
    let (alice, bob) = (caller(Some(1)), caller(Some(2)));
    let hers = [open(&worker, &alice).await, open(&worker, &alice).await];
    let his = open(&worker, &bob).await;
    let call = worker.sessions.look(&hers[0]).unwrap().begin(&RequestId::Number(1), 1).unwrap();
    let mut ended = worker.end_of(alice.principal.unwrap());
    ended.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    assert_eq!(ended, hers);
    assert!(call.ct.is_cancelled());
    assert_eq!(worker.ids(), [his]);
    assert_eq!(worker.end_of(alice.principal.unwrap()), []);
    assert_eq!(worker.figures().sessions_revoked, 2);
}

#[tokio::test]
async fn the_sweep_tells_which_sessions_have_ended() {
    let limits = WorkerLimits { idle_timeout: Duration::ZERO, ..WorkerLimits::default() };
    let worker = worker_with(&Listing::default(), limits, &Arc::default());
    let owner = caller(Some(1));
    let id = open(&worker, &owner).await;
    assert_eq!(worker.sweep(), Swept::default(), "it looks once a second");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let ended = vec![EndedSession { id, principal: owner.principal }];
    assert_eq!(worker.sweep(), Swept { ended, overdue_calls: 0 });
    assert_eq!((worker.figures().sessions_idle, worker.figures().sessions), (1, 0));
}

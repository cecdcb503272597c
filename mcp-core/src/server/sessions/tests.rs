use rmcp::model::{ClientCapabilities, Implementation, InitializeRequestParams, ProtocolVersion};

use super::*;
use std::time::{Duration, Instant};

use crate::server::{facts::FactsTable, service::dead_peer};

const CALLS_MAX: usize = 2;

fn session() -> Arc<Session> {
    let client = Implementation::new("test", "1");
    let init = InitializeRequestParams::new(ClientCapabilities::default(), client);
    let version = ProtocolVersion::LATEST_WITH_INITIALIZE;
    let facts = FactsTable::new(1).of(init, version, |_agreed| dead_peer()).unwrap();
    Arc::new(Session::new(facts, None, u64::MAX, 0))
}

fn id() -> RequestId {
    RequestId::String("same".into())
}

#[tokio::test]
async fn the_end_of_a_cancelled_call_does_not_free_the_id_of_its_successor() {
    let session = session();
    let first = session.begin(&id(), CALLS_MAX).unwrap();
    session.cancel(&id());
    assert!(first.ct.is_cancelled());
    let second = session.begin(&id(), CALLS_MAX).unwrap();
    drop(first);
    assert!(!second.ct.is_cancelled());
    assert!(!session.is_idle(), "the second is in flight");
    let third = session.begin(&id(), CALLS_MAX);
    assert_eq!(third.err(), Some(CannotBegin::DuplicateId));
    session.cancel(&id());
    assert!(second.ct.is_cancelled(), "the second can be cancelled too");
    drop(second);
    assert!(session.is_idle());
}

#[tokio::test]
async fn a_released_session_lets_its_calls_go_on_and_nothing_else() {
    let session = session();
    let running = session.begin(&id(), CALLS_MAX).unwrap();
    let stream = session.open_stream(1, Bytes::new()).unwrap();
    let (_question, answer) = session.ask().unwrap();
    session.release();
    assert!(!running.ct.is_cancelled());
    assert!(stream.try_push("x".into()).is_err(), "the stream has ended");
    assert!(answer.await.is_err(), "no answer comes here");
    assert!(session.ask().is_none() && session.open_stream(1, Bytes::new()).is_none());
    let late = session.begin(&RequestId::Number(1), CALLS_MAX);
    assert!(late.is_ok(), "it had found the session before");
    session.end();
    assert!(running.ct.is_cancelled());
    let surplus = session.begin(&RequestId::Number(2), CALLS_MAX);
    assert_eq!(surplus.err(), Some(CannotBegin::Ended));
}

#[tokio::test]
async fn calls_with_one_id_after_each_other_are_counted_one_by_one() {
    let session = session();
    let first = session.begin(&id(), CALLS_MAX).unwrap();
    session.cancel(&id());
    let _second = session.begin(&id(), CALLS_MAX).unwrap();
    drop(first);
    let _other = session.begin(&RequestId::Number(1), CALLS_MAX).unwrap();
    let surplus = session.begin(&RequestId::Number(2), CALLS_MAX);
    assert_eq!(surplus.err(), Some(CannotBegin::TooMany));
}

#[tokio::test]
async fn a_cancelled_call_that_became_a_stream_is_stopped_and_its_successor_is_not() {
    let session = session();
    let endless = || -> Arc<Slot> {
        let deadline = Instant::now() + Duration::from_mins(1);
        Arc::new(Slot::new(Box::pin(std::future::pending()), deadline, "1".into()))
    };
    let (first, first_slot) = (session.begin(&id(), CALLS_MAX).unwrap(), endless());
    session.moved_to(first.number(), &first_slot);
    session.cancel(&id());
    let (second, second_slot) = (session.begin(&id(), CALLS_MAX).unwrap(), endless());
    session.moved_to(second.number(), &second_slot);
    // What the first still does concerns the first alone.
    session.moved_to(first.number(), &first_slot);
    let ended = |slot: &Slot| {
        slot.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    };
    assert!(ended(&first_slot) && !ended(&second_slot));
    session.cancel(&id());
    assert!(ended(&second_slot));
}

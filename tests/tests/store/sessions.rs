//! What is kept, for how long, and how much of it.

use std::time::Duration;

use e2e::redis::Redis;
use promgate::{
    config::SessionStore,
    store::{Operation, Outcome, Saved, Store},
};

use super::parts::{
    ALICE, BOB, KEY_A, KEY_B, MANY, id, of_alice, open, secrets, session, settings, store, times,
    told,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_found_by_another_process_until_it_is_removed() {
    let redis = Redis::start();
    let (ours, theirs) = (store(&redis), store(&redis));
    assert!(theirs.load(&id("1")).await.unwrap().is_none());
    let saved = of_alice();
    assert_eq!(ours.save(&id("1"), &saved, MANY).await, Ok(Saved::Kept));
    let found = theirs.load(&id("1")).await.unwrap().unwrap();
    assert_eq!(told(&found), told(&saved));
    assert!(theirs.load(&id("2")).await.unwrap().is_none());
    theirs.remove(&id("1"), Some(ALICE)).await.unwrap();
    assert!(ours.load(&id("1")).await.unwrap().is_none());
    assert_eq!(redis.keys("pg:"), ["pg:epoch"], "nothing is left of it");
    let counted = theirs.figures();
    assert_eq!(counted.count(Operation::Load, Outcome::Absent), 2);
    assert_eq!(counted.count(Operation::Load, Outcome::Done), 1);
    assert_eq!(counted.count(Operation::Remove, Outcome::Done), 1);
    assert!(counted.up);
    assert_eq!(counted.losses, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_when_it_expires_and_so_does_its_principals_list() {
    let redis = Redis::start();
    let store = store(&redis);
    let short = session(Some(ALICE), Duration::from_secs(3));
    store.save(&id("short"), &short, MANY).await.unwrap();
    let left: i64 = redis.ask(&[b"PTTL", redis.keys("pg:s:")[0].as_bytes()]);
    assert!((1..=3000).contains(&left), "{left} ms");
    redis.wait_until("all of it is gone", |redis| redis.keys("pg:") == ["pg:epoch"]);
    assert!(store.load(&id("short")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principals_list_lasts_as_long_as_its_longest_session() {
    let redis = Redis::start();
    let store = store(&redis);
    for (name, seconds) in [("a", 500), ("b", 900), ("c", 100)] {
        let saved = session(Some(ALICE), Duration::from_secs(seconds));
        store.save(&id(name), &saved, MANY).await.unwrap();
    }
    let left: i64 = redis.ask(&[b"TTL", redis.keys("pg:p:")[0].as_bytes()]);
    assert!((850..=900).contains(&left), "{left} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principal_keeps_as_many_sessions_as_allowed() {
    let redis = Redis::start();
    let (ours, theirs) = (store(&redis), store(&redis));
    let short = session(Some(ALICE), Duration::from_secs(3));
    assert_eq!(ours.save(&id("1"), &of_alice(), 2).await, Ok(Saved::Kept));
    assert_eq!(theirs.save(&id("2"), &short, 2).await, Ok(Saved::Kept));
    assert_eq!(ours.save(&id("3"), &of_alice(), 2).await, Ok(Saved::TooMany));
    assert!(ours.load(&id("3")).await.unwrap().is_none(), "it was not written");
    assert_eq!(ours.save(&id("1"), &of_alice(), 2).await, Ok(Saved::Kept), "it is one of the two");
    let of_bob = session(Some(BOB), Duration::from_mins(10));
    assert_eq!(ours.save(&id("4"), &of_bob, 2).await, Ok(Saved::Kept), "Bob has his own two");
    for name in ["5", "6", "7"] {
        let of_nobody = session(None, Duration::from_mins(10));
        assert_eq!(ours.save(&id(name), &of_nobody, 2).await, Ok(Saved::Kept));
    }
    ours.remove(&id("1"), Some(ALICE)).await.unwrap();
    assert_eq!(ours.save(&id("3"), &of_alice(), 2).await, Ok(Saved::Kept), "one was removed");
    redis.wait_until("the short one is over", |redis| redis.keys("pg:s:").len() == 5);
    assert_eq!(ours.save(&id("8"), &of_alice(), 2).await, Ok(Saved::Kept), "one has expired");
    assert_eq!(ours.save(&id("9"), &of_alice(), 2).await, Ok(Saved::TooMany));
    assert_eq!(ours.figures().count(Operation::Save, Outcome::TooMany), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_record_was_evicted_does_not_count() {
    let redis = Redis::start();
    let store = store(&redis);
    assert_eq!(store.save(&id("1"), &of_alice(), 1).await, Ok(Saved::Kept));
    assert_eq!(store.save(&id("2"), &of_alice(), 1).await, Ok(Saved::TooMany));
    let evicted: u8 = redis.ask(&[b"DEL", redis.keys("pg:s:")[0].as_bytes()]);
    assert_eq!(evicted, 1);
    assert_eq!(store.save(&id("2"), &of_alice(), 1).await, Ok(Saved::Kept));
    assert_eq!(store.save(&id("3"), &of_alice(), 1).await, Ok(Saved::TooMany));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_of_a_principal_end_and_no_others() {
    let redis = Redis::start();
    let store = store(&redis);
    let of_bob = session(Some(BOB), Duration::from_mins(10));
    store.save(&id("bob's"), &of_bob, MANY).await.unwrap();
    // More than one batch.
    for number in 0..250 {
        store.save(&id(&number.to_string()), &of_alice(), MANY).await.unwrap();
    }
    assert_eq!(store.end_of(ALICE).await, Ok(250));
    assert_eq!(redis.keys("pg:s:").len(), 1);
    assert_eq!(redis.keys("pg:p:").len(), 1);
    assert!(store.load(&id("bob's")).await.unwrap().is_some());
    assert_eq!(store.end_of(ALICE).await, Ok(0));
    assert_eq!(store.save(&id("new"), &of_alice(), 1).await, Ok(Saved::Kept));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_and_no_session_is_lost_or_forgotten() {
    let redis = Redis::start();
    let before = open(settings(&redis), &[KEY_A]);
    before.save(&id("1"), &of_alice(), 2).await.unwrap();
    before.save(&id("2"), &of_alice(), 2).await.unwrap();
    let rotated = open(settings(&redis), &[KEY_B, KEY_A]);
    assert!(rotated.load(&id("1")).await.unwrap().is_some());
    assert_eq!(rotated.save(&id("3"), &of_alice(), 2).await, Ok(Saved::TooMany));
    // Written anew under the new key, it is counted once, not twice.
    assert_eq!(rotated.save(&id("1"), &of_alice(), 2).await, Ok(Saved::Kept));
    assert!(before.load(&id("1")).await.unwrap().is_none(), "the old process lacks the new key");
    before.rekey(&secrets(&[KEY_A, KEY_B])).unwrap();
    assert!(before.load(&id("1")).await.unwrap().is_some());
    rotated.remove(&id("2"), Some(ALICE)).await.unwrap();
    assert_eq!(rotated.save(&id("3"), &of_alice(), 2).await, Ok(Saved::Kept));
    before.save(&id("4"), &of_alice(), 3).await.unwrap();
    assert_eq!(rotated.end_of(ALICE).await, Ok(3), "under whichever key they are listed");
    assert!(rotated.rekey(&[]).is_err());
    assert_eq!(rotated.save(&id("5"), &of_alice(), 2).await, Ok(Saved::Kept), "the keys stayed");
}

#[tokio::test]
async fn a_store_in_memory_keeps_nothing_and_refuses_nothing() {
    let store = Store::open(&SessionStore::Memory, &[], times()).unwrap();
    assert!(!store.is_shared());
    assert_eq!(store.save(&id("1"), &of_alice(), 0).await, Ok(Saved::Kept));
    assert!(store.load(&id("1")).await.unwrap().is_none());
    assert_eq!(store.remove(&id("1"), Some(ALICE)).await, Ok(()));
    assert_eq!(store.end_of(ALICE).await, Ok(0));
    assert!(store.figures().up);
    let told = tokio::time::timeout(Duration::from_millis(50), store.lost()).await;
    assert!(told.is_err(), "it loses nothing");
}

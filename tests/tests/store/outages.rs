//! What happens when Redis is full, slow, gone, back, or another one.

use std::time::{Duration, Instant};

use e2e::{
    process::PATIENCE,
    redis::{Redis, Settings},
};
use promgate::{
    config::RedisStore,
    store::{Operation, Outcome, Saved, Store, StoreDown},
};
use tokio::time::timeout;

use super::parts::{
    ALICE, KEY_A, MANY, id, of_alice, open, settings, store, wait_for_fault, wait_until_up,
};

/// Longer than the store takes to look at its server.
const A_WHILE: Duration = Duration::from_secs(5);

async fn is_told_of_a_loss(store: &Store) -> bool {
    timeout(PATIENCE, store.lost()).await.is_ok()
}

async fn hears_of_no_loss(store: &Store) -> bool {
    timeout(A_WHILE, store.lost()).await.is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_told_from_one_that_is_down_and_can_be_read() {
    let redis = Redis::start();
    let store = store(&redis);
    store.save(&id("1"), &of_alice(), MANY).await.unwrap();
    let () = redis.ask(&[b"CONFIG", b"SET", b"maxmemory", b"1"]);
    assert_eq!(store.save(&id("2"), &of_alice(), MANY).await, Err(StoreDown::Full));
    assert!(store.load(&id("1")).await.unwrap().is_some());
    assert!(store.load(&id("2")).await.unwrap().is_none());
    assert_eq!(store.figures().count(Operation::Save, Outcome::Full), 1);
    assert!(store.figures().up);
    // Removing makes room, so it is always possible.
    store.remove(&id("1"), Some(ALICE)).await.unwrap();
    let () = redis.ask(&[b"CONFIG", b"SET", b"maxmemory", b"0"]);
    assert!(is_told_of_a_loss(&store).await, "what was missed is asked for when there is room");
    assert_eq!(store.save(&id("2"), &of_alice(), MANY).await, Ok(Saved::Kept));
    assert_eq!(store.figures().losses, 0, "nothing was lost that had been written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_full_from_the_start_takes_nothing_and_is_up() {
    let redis = Redis::start_with(Settings { memory_bytes_max: Some(1), ..Settings::default() });
    let store = store(&redis);
    assert_eq!(store.save(&id("1"), &of_alice(), MANY).await, Err(StoreDown::Full));
    assert!(store.load(&id("1")).await.unwrap().is_none());
    assert!(store.figures().up);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_fails_at_once_and_serves_again_when_it_is_back() {
    let mut redis = Redis::start_with(Settings { durable: true, ..Settings::default() });
    let store = store(&redis);
    store.save(&id("1"), &of_alice(), MANY).await.unwrap();
    redis.kill();
    wait_for_fault(&store, StoreDown::Known).await;
    assert!(!store.figures().up);
    let begun = Instant::now();
    for _ in 0..1000 {
        assert!(store.load(&id("1")).await.is_err());
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "1000 refusals took {:?}", begun.elapsed());
    redis.start_again();
    wait_until_up(&store, true).await;
    assert!(store.load(&id("1")).await.unwrap().is_some(), "it was on the disk");
    // The epoch stands there, but another run of the server may have lost the last writes.
    assert!(is_told_of_a_loss(&store).await);
    assert!(hears_of_no_loss(&store).await, "once is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_hears_of_a_server_that_was_started_empty() {
    let mut redis = Redis::start();
    let (ours, theirs) = (store(&redis), store(&redis));
    ours.save(&id("1"), &of_alice(), MANY).await.unwrap();
    assert!(theirs.load(&id("1")).await.unwrap().is_some());
    redis.kill();
    redis.start_again();
    assert!(is_told_of_a_loss(&ours).await);
    assert!(is_told_of_a_loss(&theirs).await);
    assert!(ours.load(&id("1")).await.unwrap().is_none());
    assert_eq!(ours.save(&id("1"), &of_alice(), MANY).await, Ok(Saved::Kept));
    assert!(theirs.load(&id("1")).await.unwrap().is_some());
    assert_eq!(ours.figures().losses, 1);
    assert!(hears_of_no_loss(&ours).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_hears_of_a_server_that_was_emptied_under_it() {
    let redis = Redis::start();
    let (ours, theirs) = (store(&redis), store(&redis));
    wait_until_up(&ours, true).await;
    wait_until_up(&theirs, true).await;
    let () = redis.ask(&[b"FLUSHALL"]);
    assert!(is_told_of_a_loss(&ours).await);
    assert!(is_told_of_a_loss(&theirs).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_costs_the_time_limit_once_and_nothing_afterwards() {
    let redis = Redis::start();
    let limit = Duration::from_millis(300);
    let store = open(RedisStore { timeout: limit, ..settings(&redis) }, &[KEY_A]);
    wait_until_up(&store, true).await;
    redis.freeze();
    let begun = Instant::now();
    let fault = store.save(&id("1"), &of_alice(), MANY).await.unwrap_err();
    assert!(matches!(fault, StoreDown::Timeout | StoreDown::Known), "{fault:?}");
    assert!(begun.elapsed() < limit + Duration::from_secs(1), "{:?}", begun.elapsed());
    for _ in 0..100 {
        assert_eq!(store.load(&id("1")).await.err(), Some(StoreDown::Known));
    }
    redis.thaw();
    wait_until_up(&store, true).await;
    assert!(is_told_of_a_loss(&store).await, "the write may have been lost");
    assert_eq!(store.save(&id("1"), &of_alice(), MANY).await, Ok(Saved::Kept));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_later_is_used_when_it_comes() {
    let mut redis = Redis::stopped(Settings::default());
    let store = store(&redis);
    assert_eq!(store.save(&id("1"), &of_alice(), MANY).await, Err(StoreDown::Known));
    redis.start_again();
    wait_until_up(&store, true).await;
    assert!(is_told_of_a_loss(&store).await, "one session waits to be written");
    assert_eq!(store.save(&id("1"), &of_alice(), MANY).await, Ok(Saved::Kept));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_during_an_outage_does_not_come_back() {
    let mut redis = Redis::start_with(Settings { durable: true, ..Settings::default() });
    let store = store(&redis);
    store.save(&id("1"), &of_alice(), MANY).await.unwrap();
    store.save(&id("2"), &of_alice(), MANY).await.unwrap();
    redis.kill();
    assert!(store.remove(&id("1"), Some(ALICE)).await.is_err());
    redis.start_again();
    redis.wait_until("one is left", |redis| redis.keys("pg:s:").len() == 1);
    wait_until_up(&store, true).await;
    assert!(store.load(&id("2")).await.unwrap().is_some());
    assert_eq!(store.end_of(ALICE).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_of_a_server_is_read_but_not_written() {
    let redis = Redis::start();
    let store = store(&redis);
    store.save(&id("1"), &of_alice(), MANY).await.unwrap();
    let () = redis.ask(&[b"REPLICAOF", b"127.0.0.1", b"1"]);
    assert_eq!(store.save(&id("2"), &of_alice(), MANY).await, Err(StoreDown::ReadOnly));
    wait_until_up(&store, true).await;
    assert!(store.load(&id("1")).await.unwrap().is_some());
    let () = redis.ask(&[b"REPLICAOF", b"NO", b"ONE"]);
    assert_eq!(store.save(&id("2"), &of_alice(), MANY).await, Ok(Saved::Kept));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_dropped_leaves_its_server() {
    let redis = Redis::start();
    let store = store(&redis);
    wait_until_up(&store, true).await;
    let clients = |redis: &Redis| redis.ask::<String>(&[b"CLIENT", b"LIST"]).lines().count();
    assert_eq!(clients(&redis), 2, "the store and who asks");
    drop(store);
    redis.wait_until("the store has left", |redis| clients(redis) == 1);
}

//! A store on a Redis, and sessions for it.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use e2e::{process::PATIENCE, redis::Redis};
use mcp_core::{principal::PrincipalId, secret::Secret, server::SavedSession, session::SessionId};
use promgate::{
    config::{RedisStore, SessionStore, WhenDown},
    metrics::{Metrics, StoreTimes, Subjects},
    store::{Store, StoreDown},
};
use serde_json::json;

pub(super) const ALICE: PrincipalId = PrincipalId(*b"alice's own id..");
pub(super) const BOB: PrincipalId = PrincipalId(*b"bob is another..");

/// Text that a client says of itself.
pub(super) const CLIENT: &str = "a-client-with-a-name";

pub(super) const KEY_A: &str = "the first key of all, long enough to sign";
pub(super) const KEY_B: &str = "another key of all, long enough to sign it";

/// More than any test opens.
pub(super) const MANY: usize = 1000;

/// How long a question may take in these tests. A busy machine must not make them fail.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn settings(redis: &Redis) -> RedisStore {
    RedisStore {
        host: redis.address().ip().to_string(),
        port: redis.address().port(),
        database: 0,
        username: None,
        password: None,
        tls: false,
        ca_pem: None,
        key_prefix: "pg".to_owned(),
        timeout: TIMEOUT,
        when_down: WhenDown::Refuse,
    }
}

pub(super) fn open(settings: RedisStore, keys: &[&str]) -> Arc<Store> {
    Store::open(&SessionStore::Redis(settings), &secrets(keys), times()).unwrap()
}

/// Where operations are timed, which nobody looks at.
pub(super) fn times() -> StoreTimes {
    let subjects = Subjects { tools: &[], backends: &[], workers: 0 };
    Metrics::new(subjects).unwrap().store_times()
}

pub(super) fn secrets(keys: &[&str]) -> Vec<Secret> {
    keys.iter().map(|key| Secret::new(*key)).collect()
}

/// A store as a replica opens it that has one key.
pub(super) fn store(redis: &Redis) -> Arc<Store> {
    open(settings(redis), &[KEY_A])
}

pub(super) fn id(name: &str) -> SessionId {
    SessionId::parse(format!("session-{name}").as_bytes()).unwrap()
}

pub(super) fn session(principal: Option<PrincipalId>, ends_in: Duration) -> SavedSession {
    let ends = (SystemTime::now() + ends_in).duration_since(UNIX_EPOCH).unwrap();
    let text = json!({
        "form": 1,
        "version": "2025-11-25",
        "init": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": CLIENT, "version": "1" },
        },
        "principal": principal.map(|principal| principal.0),
        "expires_s": ends.as_secs(),
    });
    serde_json::from_str(&text.to_string()).unwrap()
}

/// A session of Alice that outlasts the test.
pub(super) fn of_alice() -> SavedSession {
    session(Some(ALICE), Duration::from_mins(10))
}

/// All that a saved session says.
pub(super) fn told(saved: &SavedSession) -> String {
    serde_json::to_string(saved).unwrap()
}

/// Waits until the store is there again, or gone.
pub(super) async fn wait_until_up(store: &Store, up: bool) {
    let deadline = Instant::now() + PATIENCE;
    while store.figures().up != up {
        assert!(Instant::now() < deadline, "the store does not become up: {up}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a question fails so.
pub(super) async fn wait_for_fault(store: &Store, fault: StoreDown) {
    let deadline = Instant::now() + PATIENCE;
    while store.load(&id("whatever")).await.err() != Some(fault) {
        assert!(Instant::now() < deadline, "no such fault: {fault:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

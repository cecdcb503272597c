//! What shows to who reads Redis, what a change of it does, and who is let in.

use std::{fs, sync::Arc};

use e2e::{
    redis::{Redis, Settings},
    tls::Authority,
};
use mcp_core::secret::Secret;
use promgate::{
    config::{RedisStore, SessionStore},
    store::{Operation, Outcome, Saved, Store, StoreDown, StoreError},
};

use super::parts::{
    ALICE, CLIENT, KEY_A, MANY, id, of_alice, open, settings, store, times, wait_for_fault,
};

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_lies_in_redis_can_be_read() {
    let redis = Redis::start();
    let store = store(&redis);
    store.save(&id("1"), &of_alice(), MANY).await.unwrap();
    let all = redis.everything();
    assert!(contains(&all, b"pg:s:") && contains(&all, b"pg:p:"), "it was looked at");
    let hex = ALICE.0.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    for told in [
        id("1").as_str().as_bytes(),
        &ALICE.0,
        hex.as_bytes(),
        CLIENT.as_bytes(),
        b"clientInfo",
        b"2025-11-25",
        b"principal",
        KEY_A.as_bytes(),
    ] {
        assert!(!contains(&all, told), "{}", String::from_utf8_lossy(told));
    }
    assert_eq!(format!("{store:?}"), "Store { is_shared: true, .. }");
}

/// Where the one session of a Redis lies that was just saved.
async fn place_of(store: &Store, redis: &Redis, name: &str) -> String {
    let before = redis.keys("pg:s:");
    assert_eq!(store.save(&id(name), &of_alice(), MANY).await, Ok(Saved::Kept));
    redis.keys("pg:s:").into_iter().find(|key| !before.contains(key)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_in_the_place_of_another_is_as_good_as_none() {
    let redis = Redis::start();
    let store = store(&redis);
    let (one, other) = (place_of(&store, &redis, "1").await, place_of(&store, &redis, "2").await);
    let record: Vec<u8> = redis.ask(&[b"GET", one.as_bytes()]);
    let () = redis.ask(&[b"SET", other.as_bytes(), &record]);
    assert!(store.load(&id("2")).await.unwrap().is_none());
    assert!(store.load(&id("1")).await.unwrap().is_some());
    assert_eq!(store.figures().count(Operation::Load, Outcome::Garbage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_record_of_ours_is_as_good_as_none() {
    let redis = Redis::start();
    let store = store(&redis);
    let place = place_of(&store, &redis, "1").await;
    let record: Vec<u8> = redis.ask(&[b"GET", place.as_bytes()]);
    let mut changed = record.clone();
    *changed.last_mut().unwrap() ^= 1;
    let mut of_unknown_key = record.clone();
    of_unknown_key[1] ^= 1;
    let much = vec![b'x'; 1 << 20];
    let garbage =
        [&changed[..], &of_unknown_key, &record[..record.len() - 1], b"", b"hello", &much];
    for bytes in garbage {
        let () = redis.ask(&[b"SET", place.as_bytes(), bytes]);
        assert!(store.load(&id("1")).await.unwrap().is_none(), "{} bytes", bytes.len());
    }
    let () = redis.ask(&[b"DEL", place.as_bytes()]);
    let () = redis.ask(&[b"LPUSH", place.as_bytes(), b"a list"]);
    assert!(store.load(&id("1")).await.unwrap().is_none());
    assert_eq!(store.figures().count(Operation::Load, Outcome::Garbage), 7);
    assert!(store.figures().up, "garbage of others says nothing about the store");
    assert_eq!(store.save(&id("1"), &of_alice(), MANY).await, Ok(Saved::Kept), "it is replaced");
    assert!(store.load(&id("1")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_password_lets_in_who_knows_it() {
    let settings_of_server =
        Settings { password: Some("open sesame".to_owned()), ..Settings::default() };
    let redis = Redis::start_with(settings_of_server);
    let known = RedisStore { password: Some(Secret::new("open sesame")), ..settings(&redis) };
    let with_name = RedisStore { username: Some("default".to_owned()), ..known.clone() };
    for config in [known, with_name] {
        let store = open(config, &[KEY_A]);
        assert_eq!(store.save(&id("1"), &of_alice(), MANY).await, Ok(Saved::Kept));
    }
    let wrong = RedisStore { password: Some(Secret::new("hunter2")), ..settings(&redis) };
    for config in [wrong, settings(&redis)] {
        let store = open(config, &[KEY_A]);
        wait_for_fault(&store, StoreDown::Known).await;
        assert!(!store.figures().up);
    }
}

fn over_tls(redis: &Redis, authority: &Authority) -> Result<Arc<Store>, StoreError> {
    let pem = fs::read(authority.certificate()).unwrap();
    let config = RedisStore { tls: true, ca_pem: Some(pem.into()), ..settings(redis) };
    Store::open(&SessionStore::Redis(config), &[Secret::new(KEY_A)], times())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_tls_is_trusted_by_its_own_authority_alone() {
    let redis = Redis::start_with(Settings { tls: true, ..Settings::default() });
    let store = over_tls(&redis, redis.authority().unwrap()).unwrap();
    assert_eq!(store.save(&id("1"), &of_alice(), MANY).await, Ok(Saved::Kept));
    assert!(store.load(&id("1")).await.unwrap().is_some());
    let suspicious = over_tls(&redis, &Authority::new("another")).unwrap();
    wait_for_fault(&suspicious, StoreDown::Known).await;
    let public = open(RedisStore { tls: true, ..settings(&redis) }, &[KEY_A]);
    wait_for_fault(&public, StoreDown::Known).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_could_never_work_is_not_opened() {
    let redis = Redis::stopped(Settings::default());
    let opened = |config: RedisStore, keys: &[Secret]| {
        Store::open(&SessionStore::Redis(config), keys, times()).unwrap_err()
    };
    let keys = [Secret::new(KEY_A)];
    assert!(matches!(opened(settings(&redis), &[]), StoreError::NoKeys));
    let tls = RedisStore { tls: true, ..settings(&redis) };
    let nobody = RedisStore { ca_pem: Some(b"no certificate".as_slice().into()), ..tls.clone() };
    assert!(matches!(opened(nobody, &keys), StoreError::NoAuthority));
    let named = RedisStore { host: "no name".to_owned(), ..tls };
    assert!(matches!(opened(named, &keys), StoreError::Host(_)));
}

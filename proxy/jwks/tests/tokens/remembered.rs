//! Tokens that were verified before.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use jsonwebtoken_jwks::{
    jwks::Jwks,
    refused::Reason,
    source::{Source, Terms},
    verifier::{Issuer, Verifier},
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::mint::{
    NOW, PAIRS, all_keys, at, claims, document, good, header, issuer, now, policy, verifier, with,
    without,
};

#[tokio::test]
async fn a_good_token_is_judged_once_and_then_remembered() {
    let judged = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&judged);
    let verifier = Verifier::new(vec![issuer(policy(), &all_keys())], 64, move |_, _| {
        count.fetch_add(1, Ordering::Relaxed)
    });
    let token = good();
    assert!(verifier.cached(&token, now()).is_none());
    let first = verifier.verify(&token, now()).await.unwrap();
    let second = verifier.verify(&token, now()).await.unwrap();
    let third = verifier.cached(&token, now()).unwrap();
    assert!(Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&first, &third));
    assert_eq!(judged.load(Ordering::Relaxed), 1);
    assert!(verifier.cached(&format!("{token} "), now()).is_none());
}

#[tokio::test]
async fn nothing_is_remembered_past_its_end() {
    let verifier = verifier(vec![issuer(policy(), &all_keys())]);
    let token = good();
    verifier.verify(&token, now()).await.unwrap();
    // `exp` is 300 s away and the leeway 30 s.
    assert!(verifier.cached(&token, at(NOW + 329)).is_some());
    assert!(verifier.cached(&token, at(NOW + 330)).is_none());
    let refused = verifier.verify(&token, at(NOW + 330)).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Expired);
    assert!(verifier.cached(&token, at(NOW + 329)).is_none(), "what has ended is forgotten");
}

#[tokio::test]
async fn a_token_without_an_end_is_remembered_where_that_is_allowed() {
    let mut policy = policy();
    policy.required.expiry = false;
    let verifier = verifier(vec![Issuer { policy, keys: None }]);
    let token = PAIRS.rsa.token(&header(), &without(&claims(), "exp"));
    verifier.verify(&token, now()).await.unwrap();
    assert!(verifier.cached(&token, at(NOW * 2)).is_some());
}

#[tokio::test]
async fn no_more_tokens_are_remembered_than_allowed() {
    let verifier = Verifier::new(vec![Issuer { policy: policy(), keys: None }], 10, |_, _| ());
    let token = |number: usize| {
        let claims = with(&claims(), "sub", json!(number.to_string()));
        PAIRS.edwards.token(&header(), &claims)
    };
    let tokens: Vec<_> = (0..100).map(token).collect();
    for token in &tokens {
        verifier.verify(token, now()).await.unwrap();
    }
    let remembered = tokens.iter().filter(|token| verifier.cached(token, now()).is_some()).count();
    assert!((1..=10).contains(&remembered), "{remembered}");
}

#[tokio::test]
async fn an_overlong_token_is_not_even_looked_up() {
    let verifier = verifier(vec![issuer(policy(), &all_keys())]);
    assert!(verifier.cached(&"a".repeat(1 << 20), now()).is_none());
}

const PATIENCE: Duration = Duration::from_mins(1);

/// A verifier whose keys are in a file, which is read again after 3 s at the latest.
struct Watched {
    _folder: TempDir,
    path: PathBuf,
    keys: Arc<Jwks>,
    verifier: Verifier<Map<String, Value>>,
}

impl Watched {
    async fn holding(keys: &[Value], terms: Terms) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        fs::write(&path, document(keys)).unwrap();
        let keys = Jwks::start(Source::File(path.clone()), terms).unwrap();
        let issuer = Issuer { policy: policy(), keys: Some(Arc::clone(&keys)) };
        let watched = Self { _folder: folder, path, keys, verifier: verifier(vec![issuer]) };
        assert!(watched.keys.loaded(PATIENCE).await);
        watched
    }

    fn generation(&self) -> u64 {
        self.keys.current().unwrap().generation
    }

    /// Writes other keys and waits until they are read, by themselves.
    async fn turn_to(&self, keys: &[Value]) {
        let before = self.generation();
        fs::write(&self.path, document(keys)).unwrap();
        let read = async {
            while self.generation() == before {
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(PATIENCE, read).await.expect("the file was read again");
    }

    async fn reason(&self, token: &str) -> Option<Reason> {
        self.verifier.verify(token, now()).await.err().map(|refused| refused.reason)
    }
}

#[tokio::test(start_paused = true)]
async fn the_remembered_token_of_a_removed_key_is_refused() {
    let both = [PAIRS.rsa.named("rsa"), PAIRS.p256.named("p256")];
    let watched = Watched::holding(&both, Terms::default()).await;
    let removed = good();
    let kept = PAIRS.p256.token(&json!({"alg": "ES256", "kid": "p256"}), &claims());
    for token in [&removed, &kept] {
        assert_eq!(watched.reason(token).await, None);
        assert!(watched.verifier.cached(token, now()).is_some());
    }
    watched.turn_to(&both[1..]).await;
    assert!(watched.verifier.cached(&removed, now()).is_none());
    assert_eq!(watched.reason(&removed).await, Some(Reason::UnknownKey));
    assert_eq!(watched.reason(&kept).await, None, "it is verified anew");
    assert!(watched.verifier.cached(&kept, now()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_key_replaced_under_its_name_no_longer_counts() {
    let watched = Watched::holding(&[PAIRS.rsa.named("rsa")], Terms::default()).await;
    assert_eq!(watched.reason(&good()).await, None);
    watched.turn_to(&[PAIRS.stranger.named("rsa")]).await;
    assert_eq!(watched.reason(&good()).await, Some(Reason::BadSignature));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_fetched_once_for_all_who_ask() {
    let watched = Watched::holding(&[PAIRS.rsa.named("rsa")], Terms::default()).await;
    let before = watched.keys.status().successes;
    let keys = [PAIRS.rsa.named("rsa"), PAIRS.p256.named("new")];
    fs::write(&watched.path, document(&keys)).unwrap();
    let new = PAIRS.p256.token(&json!({"alg": "ES256", "kid": "new"}), &claims());
    let asked = join_all((0..50).map(|_| watched.reason(&new))).await;
    assert_eq!(asked, [None; 50], "no time has passed: the clock stands");
    assert_eq!(watched.keys.status().successes, before + 1);

    let bogus = (0..50).map(|number| {
        let head = json!({"alg": "RS256", "kid": format!("bogus-{number}")});
        PAIRS.rsa.token(&head, &claims())
    });
    for token in bogus {
        assert_eq!(watched.reason(&token).await, Some(Reason::UnknownKey));
    }
    assert_eq!(watched.keys.status().successes, before + 1, "no more for a while");
}

#[tokio::test(start_paused = true)]
async fn the_last_removed_key_takes_its_tokens_with_it() {
    let watched = Watched::holding(&[PAIRS.rsa.named("rsa")], Terms::default()).await;
    assert_eq!(watched.reason(&good()).await, None);
    watched.turn_to(&[]).await;
    assert!(watched.verifier.cached(&good(), now()).is_none());
    assert_eq!(watched.reason(&good()).await, Some(Reason::UnknownKey));
    let explained = watched.verifier.explain(&good(), now());
    assert!(explained.lines.iter().any(|line| line.wanted.contains("there are none now")));
    watched.turn_to(&[PAIRS.rsa.named("rsa")]).await;
    assert_eq!(watched.reason(&good()).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_key_cannot_be_looked_up_may_be_good_and_is_to_come_again() {
    let watched = Watched::holding(&[PAIRS.rsa.named("rsa")], Terms::default()).await;
    let new = PAIRS.p256.token(&json!({"alg": "ES256", "kid": "new"}), &claims());
    fs::remove_file(&watched.path).unwrap();
    // The first leads to a load, which fails; the second falls into the cooldown after it.
    for _ in 0..2 {
        let refused = watched.verifier.verify(&new, now()).await.unwrap_err();
        assert_eq!(refused.reason, Reason::KeysUnavailable);
        assert!(refused.retry_after.unwrap() >= Duration::from_secs(1));
    }
    assert_eq!(watched.reason(&good()).await, None, "the keys that are there count");
    let forged = PAIRS.stranger.token(&header(), &claims());
    assert_eq!(watched.reason(&forged).await, Some(Reason::BadSignature));

    fs::write(&watched.path, document(&[PAIRS.rsa.named("rsa")])).unwrap();
    sleep(Duration::from_secs(15)).await;
    assert_eq!(watched.reason(&new).await, Some(Reason::UnknownKey), "now it is known");
}

#[tokio::test(start_paused = true)]
async fn a_bad_signature_of_a_known_key_fetches_nothing() {
    let watched = Watched::holding(&[PAIRS.rsa.named("rsa")], Terms::default()).await;
    sleep(Duration::from_secs(15)).await;
    let before = watched.keys.status().successes;
    let forged = PAIRS.stranger.token(&header(), &claims());
    assert_eq!(watched.reason(&forged).await, Some(Reason::BadSignature));
    assert_eq!(watched.keys.status().successes, before);
}

#[tokio::test(start_paused = true)]
async fn without_keys_there_is_an_answer_when_to_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let keys = Jwks::start(Source::File(path.clone()), Terms::default()).unwrap();
    let away = Issuer { policy: policy(), keys: Some(Arc::clone(&keys)) };
    let verifier = verifier(vec![away]);
    let refused = verifier.verify(&good(), now()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::KeysUnavailable);
    assert!(refused.retry_after.unwrap() >= Duration::from_secs(1));
    assert_eq!(verifier.explain(&good(), now()).refused.unwrap().reason, Reason::KeysUnavailable);

    fs::write(&path, document(&all_keys())).unwrap();
    assert!(keys.loaded(PATIENCE).await);
    assert!(verifier.verify(&good(), now()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_too_old_take_the_remembered_tokens_with_them() {
    let terms = Terms { stale_max: Duration::from_mins(10), ..Terms::default() };
    let watched = Watched::holding(&all_keys(), terms).await;
    assert_eq!(watched.reason(&good()).await, None);
    fs::remove_file(&watched.path).unwrap();
    sleep(Duration::from_mins(9)).await;
    assert!(watched.verifier.cached(&good(), now()).is_some(), "old keys serve for a while");
    sleep(Duration::from_mins(2)).await;
    assert!(watched.verifier.cached(&good(), now()).is_none());
    assert_eq!(watched.reason(&good()).await, Some(Reason::KeysUnavailable));
}

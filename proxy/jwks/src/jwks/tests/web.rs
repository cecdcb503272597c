use super::*;
use crate::fetch::fake::{Fake, Reaction, response};

const OPENID: &str = "/.well-known/openid-configuration";

fn by_uri(fake: &Fake) -> Arc<Jwks> {
    Jwks::start(Source::Uri(fake.url("/jwks")), Terms::default()).unwrap()
}

fn discovered(fake: &Fake) -> Arc<Jwks> {
    let issuer = format!("http://{}", fake.address);
    Jwks::start(Source::Discovery { issuer }, Terms::default()).unwrap()
}

fn metadata(fake: &Fake, jwks_path: &str) -> String {
    format!(r#"{{"issuer":"http://{}","jwks_uri":"{}"}}"#, fake.address, fake.url(jwks_path))
}

#[tokio::test]
async fn two_hundred_tokens_with_an_unknown_key_lead_to_one_fetch() {
    let fake = Fake::start().await;
    fake.json("/jwks", &set(&[FIRST]));
    let jwks = by_uri(&fake);
    assert!(jwks.loaded(PATIENCE).await);
    fake.json("/jwks", &set(&[FIRST, SECOND]));
    let newer = join_all((0..200).map(|_| jwks.refetch(1))).await;
    assert!(newer.into_iter().all(|answer| answer == Refetched::Newer));
    assert_eq!(fake.count("/jwks"), 2);
    for _ in 0..1000 {
        assert_eq!(jwks.refetch(2).await, Refetched::Unchanged, "in the cooldown");
    }
    assert_eq!(fake.count("/jwks"), 2);
}

#[tokio::test]
async fn the_life_of_keys_is_what_their_answer_says_within_bounds() {
    let fake = Fake::start().await;
    for (header, seconds) in [
        ("", 300.0),
        ("Cache-Control: max-age=100\r\n", 100.0),
        ("Cache-Control: max-age=100\r\nAge: 40\r\n", 60.0),
        ("Cache-Control: no-store\r\n", 30.0),
        // Half of `stale_max` bounds it further than ten times the interval.
        ("Cache-Control: max-age=31536000\r\n", 1800.0),
    ] {
        let answer = response("200 OK", header, set(&[FIRST]).as_bytes());
        fake.answer("/jwks", Reaction::Send(answer));
        let jwks = by_uri(&fake);
        assert!(jwks.loaded(PATIENCE).await);
        let next = jwks.status().next_load_in.unwrap().as_secs_f64();
        // From 80 to 90 % of it, less what this test takes.
        assert!(next > 0.7 * seconds && next <= 0.9 * seconds, "{header}: {next}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_key_set_leaves_the_old_keys() {
    let fake = Fake::start().await;
    fake.json("/jwks", &set(&[FIRST]));
    let answers = [
        response("200 OK", "", b"<html>canary</html>"),
        response("200 OK", "", &vec![b' '; (256 << 10) + 1]),
        response("500 Oops", "", set(&[SECOND]).as_bytes()),
        response("302 Found", "Location: /elsewhere\r\n", b""),
    ];
    for answer in answers {
        fake.json("/jwks", &set(&[FIRST]));
        let jwks = by_uri(&fake);
        assert!(jwks.loaded(PATIENCE).await);
        fake.answer("/jwks", Reaction::Send(answer));
        assert!(matches!(jwks.refetch(1).await, Refetched::Failed(_)));
        assert_eq!(usable(&jwks), 1);
        let status = jwks.status();
        assert_eq!((status.successes, status.failures, status.generation), (1, 1, 1));
        let error = status.last_error.unwrap();
        assert!(error.contains(&fake.url("/jwks").to_string()), "{error}");
        assert!(!error.contains("canary"), "{error}");
        // The next attempt is near.
        assert!(status.next_load_in.unwrap() <= Duration::from_secs(1));
    }
    assert_eq!(fake.count("/elsewhere"), 0);
}

#[tokio::test]
async fn an_answer_without_usable_keys_withdraws_the_old_ones() {
    let fake = Fake::start().await;
    for keys in [&[][..], &[SYMMETRIC]] {
        fake.json("/jwks", &set(&[FIRST]));
        let jwks = by_uri(&fake);
        assert!(jwks.loaded(PATIENCE).await);
        fake.json("/jwks", &set(keys));
        assert_eq!(jwks.refetch(1).await, Refetched::Newer);
        assert_eq!((usable(&jwks), jwks.usable_generation()), (0, Some(2)));
        let status = jwks.status();
        assert_eq!((status.usable, status.successes, status.failures), (false, 2, 0));
        assert_eq!(status.rejected.len(), keys.len());
    }
}

#[tokio::test]
async fn keys_are_there_soon_after_a_provider_that_was_down_at_the_start() {
    let fake = Fake::start().await;
    let jwks = by_uri(&fake);
    fake.asked("/jwks", 1).await;
    assert!(jwks.current().unwrap_err().retry_after >= Duration::from_secs(1));
    fake.json("/jwks", &set(&[FIRST]));
    assert!(jwks.loaded(PATIENCE).await);
}

#[tokio::test]
async fn a_removed_key_is_gone_after_the_next_fetch() {
    let fake = Fake::start().await;
    fake.json("/jwks", &set(&[FIRST, SECOND]));
    let jwks = by_uri(&fake);
    assert!(jwks.loaded(PATIENCE).await);
    assert_eq!(usable(&jwks), 2);
    fake.json("/jwks", &set(&[SECOND]));
    assert_eq!(jwks.refetch(1).await, Refetched::Newer);
    assert_eq!(usable(&jwks), 1);
}

#[tokio::test]
async fn discovered_keys_are_found_without_asking_for_the_metadata_each_time() {
    let fake = Fake::start().await;
    fake.json(OPENID, &metadata(&fake, "/keys"));
    fake.json("/keys", &set(&[FIRST]));
    let jwks = discovered(&fake);
    assert!(jwks.loaded(PATIENCE).await);
    fake.json("/keys", &set(&[SECOND]));
    assert_eq!(jwks.refetch(1).await, Refetched::Newer);
    assert_eq!((fake.count(OPENID), fake.count("/keys")), (1, 2));
}

#[tokio::test]
async fn keys_that_have_moved_are_found_again() {
    let fake = Fake::start().await;
    fake.json(OPENID, &metadata(&fake, "/old"));
    fake.json("/old", &set(&[FIRST]));
    let jwks = discovered(&fake);
    assert!(jwks.loaded(PATIENCE).await);
    fake.json(OPENID, &metadata(&fake, "/new"));
    fake.json("/new", &set(&[SECOND]));
    fake.answer("/old", Reaction::Send(response("410 Gone", "", b"")));
    assert!(matches!(jwks.refetch(1).await, Refetched::Failed(_)));
    fake.asked("/new", 1).await;
    assert_eq!(
        jwks.refetch(1).await,
        Refetched::Newer,
        "the attempt that was seen is joined, or was enough"
    );
}

#[tokio::test]
async fn discovered_keys_obey_the_rules_of_addresses() {
    let fake = Fake::start().await;
    for (uri, words) in [
        ("http://169.254.169.254/jwks", "is not https"),
        ("https://169.254.169.254/jwks", "a link-local address"),
        ("http://idp.example/jwks", "is not https"),
        ("https://a:b@idp/jwks", "a user or a password"),
    ] {
        let json = format!(r#"{{"issuer":"http://{}","jwks_uri":"{uri}"}}"#, fake.address);
        fake.json(OPENID, &json);
        let jwks = discovered(&fake);
        assert!(matches!(jwks.refetch(0).await, Refetched::Failed(_)));
        let error = jwks.status().last_error.unwrap();
        assert!(error.contains("cannot fetch http") && error.contains(words), "{error}");
        assert!(!error.contains("a:b"), "{error}");
    }
}

#[tokio::test]
async fn an_address_that_may_not_be_asked_is_refused_at_once() {
    for url in ["http://idp.example/jwks", "https://[fe80::1]/jwks", "https://a:b@idp.example/"] {
        let source = Source::Uri(url.parse().unwrap());
        let error = Jwks::start(source, Terms::default()).unwrap_err();
        assert!(matches!(error, StartError::Address(_)), "{error:?}");
        let source = Source::Discovery { issuer: url.to_owned() };
        let error = Jwks::start(source, Terms::default()).unwrap_err();
        assert!(matches!(error, StartError::Address(_)), "{error:?}");
    }
    let source = Source::Discovery { issuer: "idp".to_owned() };
    let error = Jwks::start(source, Terms::default()).unwrap_err();
    assert!(matches!(error, StartError::Issuer(_)), "{error:?}");
}

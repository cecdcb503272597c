use std::{fs, os::unix::fs::symlink, path::Path};

use futures_util::future::join_all;
use tokio::time::sleep;

use super::*;

#[cfg(feature = "fetch")]
mod web;

/// Public keys of examples. Spec: RFC 7517 §A.1, RFC 7515 §A.3.1.
const FIRST: &str = r#"{"kty":"EC","crv":"P-256","kid":"first","alg":"ES256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
const SECOND: &str = r#"{"kty":"EC","crv":"P-256","kid":"second","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
/// A key that is skipped.
const SYMMETRIC: &str = r#"{"kty":"oct","kid":"shared","k":"Y2FuYXJ5"}"#;

const PATIENCE: Duration = Duration::from_mins(1);

fn set(keys: &[&str]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn write(path: &Path, keys: &[&str]) {
    fs::write(path, set(keys)).unwrap();
}

/// Number of keys that may be used.
fn usable(jwks: &Jwks) -> usize {
    jwks.current().map_or(0, |snapshot| snapshot.keys.keys().len())
}

#[test]
fn keys_in_the_text_never_change_and_need_no_runtime() {
    let text: Arc<str> = set(&[FIRST, SYMMETRIC]).into();
    let jwks = Jwks::start(Source::Inline(text), Terms::default()).unwrap();
    assert_eq!(usable(&jwks), 1);
    let status = jwks.status();
    assert!(status.usable && status.next_load_in.is_none());
    assert_eq!(status.keys.values().sum::<usize>(), 1);
    assert_eq!(status.rejected.len(), 1);
    assert_eq!(status.rejected[0].kid.as_deref(), Some("shared"));
}

#[tokio::test]
async fn fixed_keys_are_loaded_and_have_no_newer_generation() {
    let jwks = Jwks::fixed(KeySet::parse(set(&[FIRST]).as_bytes()).unwrap());
    assert!(jwks.loaded(Duration::ZERO).await);
    let generation = jwks.current().unwrap().generation;
    assert_eq!(jwks.usable_generation(), Some(generation));
    assert_eq!(jwks.refetch(generation).await, Refetched::Unchanged);
    assert_eq!(jwks.refetch(0).await, Refetched::Newer);
}

#[test]
fn text_without_usable_keys_is_refused() {
    for text in [set(&[]), set(&[SYMMETRIC]), "canary".to_owned()] {
        let error = Jwks::start(Source::Inline(text.into()), Terms::default()).unwrap_err();
        assert!(matches!(error, StartError::Inline(_)), "{error:?}");
        assert!(!crate::live::chain(&error).contains("canary"), "{error:?}");
    }
}

#[test]
fn outside_of_a_runtime_there_is_an_error_and_no_panic() {
    let error = Jwks::start(Source::File("/nowhere".into()), Terms::default()).unwrap_err();
    assert!(matches!(error, StartError::NoRuntime), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    write(&path, &[FIRST]);
    let jwks = Jwks::start(Source::File(path.clone()), Terms::default()).unwrap();
    assert!(jwks.loaded(PATIENCE).await);
    let first = jwks.current().unwrap();
    sleep(PATIENCE).await;
    assert_eq!(jwks.current().unwrap().generation, first.generation, "nothing has changed");

    write(&path, &[FIRST, SECOND]);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(usable(&jwks), 2);
    assert!(jwks.current().unwrap().generation > first.generation);
    // A removed key goes.
    write(&path, &[SECOND]);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(usable(&jwks), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_behind_links_is_followed_as_in_a_mounted_secret() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, keys) in [("v1", &[FIRST][..]), ("v2", &[FIRST, SECOND])] {
        fs::create_dir(at(version)).unwrap();
        write(&at(version).join("jwks.json"), keys);
    }
    symlink("v1", at("..data")).unwrap();
    symlink("..data/jwks.json", at("jwks.json")).unwrap();
    let jwks = Jwks::start(Source::File(at("jwks.json")), Terms::default()).unwrap();
    assert!(jwks.loaded(PATIENCE).await);
    symlink("v2", at("..new")).unwrap();
    fs::rename(at("..new"), at("..data")).unwrap();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(usable(&jwks), 2);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_used_leaves_the_old_keys_until_they_are_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    write(&path, &[FIRST]);
    let terms = Terms { stale_max: Duration::from_mins(10), ..Terms::default() };
    let jwks = Jwks::start(Source::File(path.clone()), terms).unwrap();
    assert!(jwks.loaded(PATIENCE).await);
    let broken: [(&[u8], &str); 3] = [
        (b"{\"keys\":[{\"kty\":\"EC\"", "cannot be used"),
        (SYMMETRIC.as_bytes(), "cannot be used"),
        (&vec![b' '; (256 << 10) + 1], "larger than"),
    ];
    for (content, words) in broken {
        fs::write(&path, content).unwrap();
        sleep(Duration::from_secs(5)).await;
        let error = jwks.status().last_error.unwrap();
        assert!(error.contains(words) && !error.contains("canary"), "{error}");
        assert_eq!(usable(&jwks), 1);
    }
    fs::remove_file(&path).unwrap();
    sleep(Duration::from_mins(9)).await;
    assert_eq!(usable(&jwks), 1);
    sleep(Duration::from_mins(2)).await;
    assert!(jwks.current().is_err() && !jwks.status().usable);
    write(&path, &[FIRST]);
    assert!(jwks.loaded(Duration::from_secs(3)).await);
}

#[tokio::test(start_paused = true)]
async fn the_last_key_that_is_removed_from_a_file_is_gone_like_every_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    for (keys, words) in [(&[][..], "it is empty"), (&[SYMMETRIC], "1 rejected (symmetric)")] {
        write(&path, &[FIRST]);
        let jwks = Jwks::start(Source::File(path.clone()), Terms::default()).unwrap();
        assert!(jwks.loaded(PATIENCE).await);
        write(&path, keys);
        sleep(Duration::from_secs(3)).await;
        let snapshot = jwks.current().unwrap();
        assert_eq!((snapshot.generation, snapshot.keys.keys().len()), (2, 0));
        let status = jwks.status();
        assert!(!status.usable && status.failures == 0);
        let error = status.last_error.unwrap();
        assert!(error.contains("no key that can be used") && error.contains(words), "{error}");

        write(&path, &[FIRST]);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(usable(&jwks), 1);
        assert!(jwks.status().usable && jwks.status().last_error.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_before_the_file_is_there_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let jwks = Jwks::start(Source::File(path.clone()), Terms::default()).unwrap();
    assert!(!jwks.loaded(PATIENCE).await);
    let error = jwks.status().last_error.unwrap();
    assert!(error.contains("jwks.json") && error.contains("check the path"), "{error}");
    write(&path, &[FIRST]);
    assert!(jwks.loaded(Duration::from_secs(3)).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_regular_file_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let jwks = Jwks::start(Source::File(folder.path().into()), Terms::default()).unwrap();
    assert!(!jwks.loaded(PATIENCE).await);
    let error = jwks.status().last_error.unwrap();
    assert!(error.contains("no regular file"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn callers_with_an_unknown_key_share_one_reading_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    write(&path, &[FIRST]);
    let jwks = Jwks::start(Source::File(path.clone()), Terms::default()).unwrap();
    assert!(jwks.loaded(PATIENCE).await);
    let (seen, before) = (jwks.current().unwrap().generation, jwks.status().successes);
    write(&path, &[SECOND]);
    let newer = join_all((0..200).map(|_| jwks.refetch(seen))).await;
    assert!(newer.into_iter().all(|answer| answer == Refetched::Newer));
    assert_eq!(jwks.status().successes, before + 1);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_when_the_last_reference_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    write(&path, &[FIRST]);
    let jwks = Jwks::start(Source::File(path), Terms::default()).unwrap();
    assert!(jwks.loaded(PATIENCE).await);
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 1);
    drop(Arc::clone(&jwks));
    assert_eq!(metrics.num_alive_tasks(), 1);
    drop(jwks);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(metrics.num_alive_tasks(), 0);
}

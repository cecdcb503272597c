use tokio::time::{interval, timeout};

use super::*;
use crate::{
    fetch::fake::{Fake, Reaction, response},
    live::Refetched,
};

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const PATIENCE: Duration = Duration::from_mins(1);

fn start(fake: &Fake) -> Arc<Metadata> {
    Metadata::start(&format!("http://{}", fake.address), &Terms::default()).unwrap()
}

/// Metadata in the odd form in which a server may write it, with a member that tells it apart.
fn document(fake: &Fake, name: &str) -> String {
    format!("{{ \"name\" : \"{name}\",\n\"issuer\":\"http://{}\" }}\n", fake.address)
}

#[tokio::test]
async fn both_documents_are_passed_on_byte_by_byte() {
    let fake = Fake::start().await;
    fake.json(OPENID, &document(&fake, "openid"));
    let oauth = document(&fake, "oauth");
    let answer = response("200 OK", "Cache-Control: max-age=600\r\n", oauth.as_bytes());
    fake.answer(OAUTH, Reaction::Send(answer));
    let metadata = start(&fake);
    assert!(metadata.loaded(WellKnown::OAuth, PATIENCE).await);
    assert!(metadata.loaded(WellKnown::OpenId, PATIENCE).await);
    let found = metadata.current(WellKnown::OAuth).unwrap();
    assert_eq!(found.json, oauth);
    assert_eq!(found.max_age, Duration::from_mins(10));
    let found = metadata.current(WellKnown::OpenId).unwrap();
    assert_eq!(found.json, document(&fake, "openid"));
    assert_eq!(found.max_age, Terms::default().cache_interval);
}

#[tokio::test]
async fn where_a_server_has_one_document_it_stands_for_both() {
    for path in [OAUTH, OPENID] {
        let fake = Fake::start().await;
        fake.json(path, &document(&fake, "only"));
        let metadata = start(&fake);
        for document in [WellKnown::OAuth, WellKnown::OpenId] {
            assert!(metadata.loaded(document, PATIENCE).await, "{path} {document:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_metadata_of_the_issuer_is_never_served() {
    let fake = Fake::start().await;
    let good = document(&fake, "x");
    for answer in [
        response("404 Not Found", "", good.as_bytes()),
        response("500 Oops", "", good.as_bytes()),
        response("200 OK", "", b"<html>"),
        response("200 OK", "", b"{\"issuer\":\"https://other.example\"}"),
    ] {
        fake.answer(OAUTH, Reaction::Send(answer.clone()));
        fake.answer(OPENID, Reaction::Send(answer));
        let before = fake.count(OPENID);
        let metadata = start(&fake);
        fake.asked(OPENID, before + 1).await;
        // The answer was sent; once its fault is known, it was judged.
        let judged = async {
            while metadata.last_error(WellKnown::OpenId).is_none() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, judged).await.expect("its fault is known");
        let unavailable = metadata.current(WellKnown::OpenId).unwrap_err();
        assert!(unavailable.retry_after >= Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_document_that_was_good_serves_while_the_server_fails() {
    let fake = Fake::start().await;
    fake.json(OAUTH, &document(&fake, "good"));
    fake.json(OPENID, &document(&fake, "good"));
    let metadata = start(&fake);
    assert!(metadata.loaded(WellKnown::OAuth, PATIENCE).await);
    fake.answer(OAUTH, Reaction::Send(response("500 Oops", "", b"canary")));
    assert!(matches!(metadata.oauth.refetch(1).await, Refetched::Failed(_)));
    let error = metadata.last_error(WellKnown::OAuth).unwrap();
    assert!(error.contains("status 500") && !error.contains("canary"), "{error}");
    let found = metadata.current(WellKnown::OAuth).unwrap();
    assert_eq!(found.json, document(&fake, "good"));
    fake.json(OAUTH, &document(&fake, "newer"));
    // Without another caller's cooldown, the next attempt is due within a second.
    let newer = async {
        let mut pause = interval(Duration::from_millis(20));
        while metadata.current(WellKnown::OAuth).unwrap().json != document(&fake, "newer") {
            pause.tick().await;
        }
    };
    timeout(PATIENCE, newer).await.expect("it was fetched again");
    assert_eq!(metadata.last_error(WellKnown::OAuth), None);
}

#[tokio::test]
async fn an_address_that_may_not_be_asked_is_refused_at_once() {
    let refused = |issuer| Metadata::start(issuer, &Terms::default()).unwrap_err();
    assert!(matches!(refused("http://idp.example"), MetadataError::Address(_)));
    assert!(matches!(refused("https://169.254.169.254"), MetadataError::Address(_)));
    assert!(matches!(refused("https://a@idp.example"), MetadataError::Address(_)));
    assert!(matches!(refused("idp"), MetadataError::Issuer(_)));
}

#[test]
fn outside_of_a_runtime_there_is_an_error_and_no_panic() {
    let refused = Metadata::start("https://idp.example", &Terms::default()).unwrap_err();
    assert!(matches!(refused, MetadataError::NoRuntime));
}

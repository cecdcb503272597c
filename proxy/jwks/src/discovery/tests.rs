use super::*;
use crate::{
    fetch::fake::{Fake, Reaction, response},
    live::chain,
    source::Terms,
};

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

fn fetcher() -> Fetcher {
    Fetcher::new(&Terms::default(), true).unwrap()
}

/// A provider whose issuer is the fake's address.
fn provider(fake: &Fake) -> Provider {
    Provider::parse(&format!("http://{}", fake.address)).unwrap()
}

fn metadata(fake: &Fake, jwks_path: &str) -> String {
    let issuer = format!("http://{}", fake.address);
    format!(r#"{{"issuer":"{issuer}","jwks_uri":"{issuer}{jwks_path}","scopes_supported":["a"]}}"#)
}

#[test]
fn the_addresses_are_those_of_the_standards() {
    for (issuer, oauth, openid) in [
        (
            "https://idp.example",
            "https://idp.example/.well-known/oauth-authorization-server",
            "https://idp.example/.well-known/openid-configuration",
        ),
        (
            "https://idp.example/",
            "https://idp.example/.well-known/oauth-authorization-server",
            "https://idp.example/.well-known/openid-configuration",
        ),
        (
            "https://idp.example:8443/realms/a",
            "https://idp.example:8443/.well-known/oauth-authorization-server/realms/a",
            "https://idp.example:8443/realms/a/.well-known/openid-configuration",
        ),
        (
            "https://idp.example/realms/a/",
            "https://idp.example/.well-known/oauth-authorization-server/realms/a",
            "https://idp.example/realms/a/.well-known/openid-configuration",
        ),
    ] {
        let provider = Provider::parse(issuer).unwrap();
        assert_eq!(provider.address(WellKnown::OAuth).as_str(), oauth);
        assert_eq!(provider.address(WellKnown::OpenId).as_str(), openid);
    }
}

#[test]
fn an_issuer_that_is_no_plain_address_cannot_be_discovered() {
    for issuer in ["", "idp", "urn:idp", "ftp://idp", "https://idp?a=b", "https://idp/#a"] {
        assert!(Provider::parse(issuer).is_err(), "{issuer}");
    }
}

#[tokio::test]
async fn keys_are_found_by_either_document() {
    let fake = Fake::start().await;
    fake.json(OPENID, &metadata(&fake, "/by-openid"));
    let found = provider(&fake).keys(&fetcher()).await.unwrap();
    assert_eq!(found, fake.url("/by-openid"));
    fake.json(OAUTH, &metadata(&fake, "/by-oauth"));
    let found = provider(&fake).keys(&fetcher()).await.unwrap();
    assert_eq!(found, fake.url("/by-oauth"));
    // Plain OAuth metadata need not name the keys.
    fake.json(OAUTH, &format!(r#"{{"issuer":"http://{}"}}"#, fake.address));
    let found = provider(&fake).keys(&fetcher()).await.unwrap();
    assert_eq!(found, fake.url("/by-openid"));
    fake.answer(OAUTH, Reaction::Send(response("500 Oops", "", b"")));
    let found = provider(&fake).keys(&fetcher()).await.unwrap();
    assert_eq!(found, fake.url("/by-openid"));
}

#[tokio::test]
async fn metadata_of_another_issuer_is_refused_even_if_only_a_slash_differs() {
    let fake = Fake::start().await;
    for issuer in [
        format!("http://{}/", fake.address),
        format!("HTTP://{}", fake.address),
        format!("http://{}.evil.example", fake.address),
        "https://other.example".to_owned(),
    ] {
        let json = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{}"}}"#, fake.url("/jwks"));
        fake.json(OAUTH, &json);
        fake.json(OPENID, &json);
        let error = provider(&fake).keys(&fetcher()).await.unwrap_err();
        assert!(chain(&error).contains("names another issuer"), "{}", chain(&error));
        let error = provider(&fake).metadata(&fetcher(), WellKnown::OpenId).await.unwrap_err();
        assert!(chain(&error).contains("names another issuer"), "{}", chain(&error));
    }
}

#[tokio::test]
async fn garbage_is_refused_and_not_repeated() {
    let fake = Fake::start().await;
    let issuer = format!("http://{}", fake.address);
    for json in [
        "<html>canary</html>".to_owned(),
        "[\"canary\"]".to_owned(),
        "{\"canary\":1}".to_owned(),
        format!(r#"{{"issuer":["{issuer}","canary"]}}"#),
        format!(r#"{{"issuer":"canary","issuer":"{issuer}"}}"#),
        format!(r#"{{"issuer":"{issuer}","jwks_uri":"canary"}}"#),
        format!(r#"{{"issuer":"{issuer}","jwks_uri":"canary:"}} canary"#),
        format!(r#"{{"issuer":"{issuer}","jwks_uri":{{"canary":1}}}}"#),
    ] {
        fake.json(OAUTH, &json);
        fake.json(OPENID, &json);
        let error = provider(&fake).keys(&fetcher()).await.unwrap_err();
        assert!(!format!("{error:?} {}", chain(&error)).contains("canary"), "{}", chain(&error));
    }
}

#[test]
fn keys_over_http_for_an_issuer_over_https_are_refused() {
    let provider = Provider::parse("https://idp.example").unwrap();
    let judge = |uri: &str, allow_http| provider.jwks_uri(Some(uri), allow_http);
    assert!(judge("https://keys.example/jwks", false).is_ok());
    assert!(matches!(judge("http://127.0.0.1/jwks", false), Err(DocumentFault::Downgrade)));
    assert!(judge("http://127.0.0.1/jwks", true).is_ok());
    assert!(matches!(provider.jwks_uri(None, true), Err(DocumentFault::NoKeys)));
}

#[tokio::test]
async fn a_provider_that_is_ill_is_not_asked_for_its_other_document() {
    let fake = Fake::start().await;
    fake.json(OPENID, &metadata(&fake, "/jwks"));
    for status in ["500 Oops", "503 Later", "429 Slowly", "408 Slow"] {
        fake.answer(OAUTH, Reaction::Send(response(status, "", b"")));
        let error = provider(&fake).metadata(&fetcher(), WellKnown::OAuth).await.unwrap_err();
        assert!(matches!(error, DiscoveryError::Fetch(_)), "{error:?}");
    }
    assert_eq!(fake.count(OPENID), 0);
    for status in ["404 Not Found", "403 Forbidden", "302 Found"] {
        fake.answer(OAUTH, Reaction::Send(response(status, "", b"")));
        assert!(provider(&fake).metadata(&fetcher(), WellKnown::OAuth).await.is_ok(), "{status}");
    }
}

#[tokio::test]
async fn an_error_about_both_places_names_both() {
    let fake = Fake::start().await;
    let error = provider(&fake).keys(&fetcher()).await.unwrap_err();
    let text = chain(&error);
    assert!(text.contains(OAUTH) && text.contains(OPENID), "{text}");
    assert_eq!(text.matches("status 404").count(), 2, "{text}");
}

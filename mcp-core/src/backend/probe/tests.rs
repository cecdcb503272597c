use std::sync::Arc;

use super::{
    super::fake::{Fake, Reaction, config, response},
    *,
};
use crate::{
    config::{BackendAuth, BackendConfig},
    observe::Unobserved,
    secret::Secret,
};

const BUILD_INFO: &str = "/api/v1/status/buildinfo ";
const ONE: &str = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#;
const LIMIT: Duration = Duration::from_mins(1);

async fn probed(config: BackendConfig) -> Result<Reached, ProbeError> {
    let backends = Backends::new(vec![config], Arc::new(Unobserved)).unwrap();
    backends.probe(LIMIT).await.remove(0).1
}

fn json(status: &str, body: &str) -> Reaction {
    Reaction::Send(response(status, "Content-Type: application/json\r\n", body.as_bytes()))
}

/// Answers for the version with this, and questions with the value of 1.
async fn telling(status: &'static str, body: &'static str) -> Fake {
    Fake::start(
        move |request| {
            if request.contains(BUILD_INFO) { json(status, body) } else { json("200 OK", ONE) }
        },
    )
    .await
}

#[tokio::test]
async fn a_version_is_told_and_nothing_else_is_asked() {
    let body = r#"{"status":"success","data":{"version":"2.42.0+ds","goVersion":"go1.19"}}"#;
    let fake = telling("200 OK", body).await;
    let reached = probed(fake.config("a")).await.unwrap();
    assert_eq!(reached.version.as_deref(), Some("2.42.0+ds"));
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_backend_that_tells_no_version_is_asked_for_the_value_of_1() {
    for (status, body) in [
        ("404 Not Found", "404 page not found"),
        ("403 Forbidden", "no"),
        ("400 Bad Request", r#"{"status":"error","errorType":"bad_data","error":"no route"}"#),
        ("302 Found", ""),
        ("500 Oops", "trace"),
        ("200 OK", "<html>"),
    ] {
        let fake = telling(status, body).await;
        let reached = probed(fake.config("a")).await.unwrap();
        assert_eq!(reached.version, None, "{status}");
        let seen = fake.seen();
        assert!(seen.len() == 2 && seen[1].ends_with("query=1"), "{seen:?}");
    }
    let fake = telling("200 OK", r#"{"status":"success","data":{}}"#).await;
    assert_eq!(probed(fake.config("a")).await.unwrap().version, None);
}

#[tokio::test]
async fn credentials_and_tenant_are_sent_and_never_shown() {
    let fake = Fake::start(|request| {
        let told = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
        let token = told.unwrap_or("none");
        let tenant = request.contains("x-scope-orgid: team-a");
        let body = if request.contains("buildinfo") {
            format!(r#"{{"status":"success","data":{{"version":"v-{tenant}-{token}"}}}}"#)
        } else {
            String::new()
        };
        json("200 OK", &body)
    })
    .await;
    let org_id = Some(crate::config::OrgId::parse("team-a").unwrap());
    let auth = BackendAuth::Token(Secret::new("canary-token"));
    let reached = probed(BackendConfig { org_id, auth, ..fake.config("a") }).await.unwrap();
    assert_eq!(reached.version.as_deref(), Some("v-true-***"));
}

#[tokio::test]
async fn what_a_backend_says_cannot_play_with_a_terminal() {
    let body = r#"{"status":"success","data":{"version":"\u001b[31m2.0\nred and much longer than any real version is"}}"#;
    let fake = telling("200 OK", body).await;
    let version = probed(fake.config("a")).await.unwrap().version.unwrap();
    assert!(!version.chars().any(char::is_control), "{version:?}");
    assert!(version.chars().count() <= VERSION_CHARS_MAX, "{version:?}");
}

#[tokio::test]
async fn a_backend_that_cannot_be_used_says_why_and_what_to_do() {
    let refused = r#"{"status":"error","errorType":"x","error":"bad token\u0007"}"#;
    let fake = Fake::start(move |_request| json("401 Unauthorized", refused)).await;
    let error = probed(fake.config("a")).await.unwrap_err();
    assert!(error.to_string().ends_with("status 401 Unauthorized: bad token"), "{error}");
    assert!(error.advice().contains("auth"));

    let fake = Fake::answering("200 OK", "text/html", "<html>").await;
    let error = probed(fake.config("a")).await.unwrap_err();
    assert!(error.advice().contains("base address"), "{error}");

    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let error = probed(config("a", &url)).await.unwrap_err();
    assert!(error.advice().contains("runs") && error.source().is_some(), "{error}");
}

#[tokio::test]
async fn a_backend_that_stalls_is_given_up_and_keeps_no_other_waiting() {
    let stalled = Fake::start(|_request| Reaction::Stall).await;
    let body = r#"{"status":"success","data":{"version":"1"}}"#;
    let good = telling("200 OK", body).await;
    let configs = vec![stalled.config("b"), good.config("a"), stalled.config("c")];
    let backends = Backends::new(configs, Arc::new(Unobserved)).unwrap();
    let answers = backends.probe(Duration::from_millis(300)).await;
    let names: Vec<_> = answers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(answers[0].1.is_ok());
    for (_, answer) in &answers[1..] {
        let error = answer.as_ref().unwrap_err();
        assert!(error.to_string().contains("within 0.3 s"), "{error}");
    }
}

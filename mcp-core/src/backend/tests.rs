use std::io::Write;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    fake::{Fake, Reaction, config, response},
    *,
};
use crate::{config::BackendAuth, observe::ToolOutcome, secret::Secret};

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Record(Mutex<Vec<BackendOutcome>>);

impl Observer for Record {
    fn tool_called(&self, _tool: &'static str, _outcome: ToolOutcome, _took: Duration) {}
    fn backend_called(&self, _backend: &BackendName, outcome: BackendOutcome, _took: Duration) {
        self.0.lock().push(outcome);
    }
}

/// Keeps how many requests are in flight, and how many began.
#[derive(Debug, Default)]
struct Flight(Mutex<(i32, u32)>);

impl Observer for Flight {
    fn tool_called(&self, _tool: &'static str, _outcome: ToolOutcome, _took: Duration) {}
    fn backend_called(&self, _: &BackendName, _outcome: BackendOutcome, _took: Duration) {}
    fn backend_asked(&self, _backend: &BackendName) {
        let (now, begun) = *self.0.lock();
        *self.0.lock() = (now + 1, begun + 1);
    }
    fn backend_left(&self, _backend: &BackendName) {
        self.0.lock().0 -= 1;
    }
}

#[tokio::test]
async fn a_request_is_in_flight_until_it_is_answered_or_nobody_waits_for_it() {
    let flight = Arc::new(Flight::default());
    let fake = Fake::start(|_| Reaction::Stall).await;
    let backends = Backends::new(vec![fake.config("a")], Arc::<Flight>::clone(&flight)).unwrap();
    let backend = &backends.all()[0];
    let mut asking = Box::pin(ask_one(backend, Endpoint::Query, None));
    tokio::select! {
        biased;
        _ = &mut asking => panic!("it never answers"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(*flight.0.lock(), (1, 1));
    drop(asking);
    assert_eq!(*flight.0.lock(), (0, 1), "its caller has left");

    let fake = Fake::holding(EMPTY).await;
    let backends = Backends::new(vec![fake.config("a")], Arc::<Flight>::clone(&flight)).unwrap();
    ask_one(&backends.all()[0], Endpoint::Query, None).await.unwrap();
    assert_eq!(*flight.0.lock(), (0, 2));
}

/// Asks a backend of this configuration for `up` and returns the type of what it holds.
async fn ask(config: BackendConfig) -> Result<String, BackendError> {
    ask_observed(config).await.0
}

async fn ask_observed(
    config: BackendConfig,
) -> (Result<String, BackendError>, Vec<BackendOutcome>) {
    let record = Arc::new(Record::default());
    let backends = Backends::new(vec![config], Arc::<Record>::clone(&record)).unwrap();
    let answer = ask_one(&backends.all()[0], Endpoint::Query, None).await;
    let outcomes = record.0.lock().clone();
    (answer, outcomes)
}

async fn ask_one(
    backend: &Backend,
    endpoint: Endpoint,
    org: Option<&OrgId>,
) -> Result<String, BackendError> {
    let form = "query=up".to_owned();
    let fetched = backend
        .fetch(&Question {
            endpoint,
            form,
            org,
            deadline: backend.timeout(),
            hurried: false,
            upstream: None,
            trace: None,
        })
        .await?;
    Ok(fetched.read::<QueryData<'_>>()?.data.result_type.as_str().to_owned())
}

const EMPTY: &str = r#"{"resultType":"vector","result":[]}"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_query_is_posted_below_the_base_path_with_tenant_and_credentials() {
    let fake = Fake::holding(EMPTY).await;
    let mut config = fake.config("a");
    config.url = format!("http://{}/prometheus/", fake.address).parse().unwrap();
    config.org_id = Some(OrgId::parse("team-a").unwrap());
    config.auth = BackendAuth::Basic { username: "user".to_owned(), password: Secret::new("pass") };
    config.headers.insert("x-extra", "1".parse().unwrap());
    let backends = Backends::new(vec![config], Arc::new(Record::default())).unwrap();
    let backend = &backends.all()[0];
    ask_one(backend, Endpoint::Query, backend.org_id()).await.unwrap();
    let request = &fake.seen()[0];
    assert!(request.starts_with("POST /prometheus/api/v1/query HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nquery=up"), "{request}");
    for header in [
        "x-scope-orgid: team-a",
        "authorization: Basic dXNlcjpwYXNz",
        "accept: application/json",
        "accept-encoding: gzip",
        "x-extra: 1",
        "content-type: application/x-www-form-urlencoded",
    ] {
        assert!(request.lines().any(|line| line == header), "{header} in {request}");
    }
}

#[tokio::test]
async fn metric_names_are_fetched_by_get() {
    let fake = Fake::holding("[]").await;
    let backends = Backends::new(vec![fake.config("a")], Arc::new(Record::default())).unwrap();
    let answer = ask_one(&backends.all()[0], Endpoint::MetricNames, None).await;
    assert!(matches!(answer, Err(BackendError::NotApi { .. })), "a list is no query's data");
    let request = &fake.seen()[0];
    assert!(request.starts_with("GET /api/v1/label/__name__/values?query=up "), "{request}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_so_credentials_stay() {
    let elsewhere = Fake::holding(EMPTY).await;
    let location = format!("Location: http://{}/api/v1/query\r\n", elsewhere.address);
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let answer = response(status, &location, b"");
        let fake = Fake::start(move |_| Reaction::Send(answer.clone())).await;
        let mut config = fake.config("a");
        config.auth = BackendAuth::Token(Secret::new("canary"));
        let fault = ask(config).await.unwrap_err();
        assert!(matches!(fault, BackendError::Redirected { .. }), "{fault:?}");
        assert!(fake.seen()[0].contains("authorization: Bearer canary"));
    }
    assert_eq!(elsewhere.seen(), [""; 0]);
}

#[tokio::test]
async fn a_gzip_bomb_is_cut_at_the_limit() {
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 17, "it is a bomb");
    let answer = response("200 OK", "Content-Encoding: gzip\r\n", &bomb);
    let fake = Fake::start(move |_| Reaction::Send(answer.clone())).await;
    let (fault, outcomes) = ask_observed(fake.config("a")).await;
    assert!(matches!(fault, Err(BackendError::TooLarge { bytes_max: 0x10_0000 })), "{fault:?}");
    assert_eq!(outcomes, [BackendOutcome::TooLarge]);
}

#[tokio::test]
async fn a_gzip_answer_is_read() {
    let body = gzip(format!(r#"{{"status":"success","data":{EMPTY}}}"#).as_bytes());
    let answer = response("200 OK", "Content-Encoding: gzip\r\n", &body);
    let fake = Fake::start(move |_| Reaction::Send(answer.clone())).await;
    assert_eq!(ask(fake.config("a")).await.unwrap(), "vector");
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    let fake = Fake::start(move |_| Reaction::Flood(head.clone(), 1 << 30)).await;
    let fault = ask(fake.config("a")).await.unwrap_err();
    assert!(matches!(fault, BackendError::TooLarge { .. }), "{fault:?}");
    assert!(fake.sent() < 64 << 20, "{} bytes were taken", fake.sent());
}

#[tokio::test]
async fn an_error_page_without_end_is_summarised() {
    let head = b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n".to_vec();
    let fake = Fake::start(move |_| Reaction::Flood(head.clone(), 1 << 30)).await;
    let fault = ask(fake.config("a")).await.unwrap_err();
    let BackendError::NotApi { status, media_type } = fault else { panic!("{fault:?}") };
    assert_eq!((status, media_type.as_deref()), (StatusCode::BAD_GATEWAY, Some("text/html")));
}

#[tokio::test]
async fn closing_midway_is_an_interrupted_answer_and_not_asked_again() {
    let mut answer = response("200 OK", "", br#"{"status":"success","data":"#);
    answer.truncate(answer.len() - 3);
    let fake = Fake::start(move |_| Reaction::Send(answer.clone())).await;
    let (fault, outcomes) = ask_observed(fake.config("a")).await;
    assert!(matches!(fault, Err(BackendError::Interrupted(_))), "{fault:?}");
    assert_eq!((fake.seen().len(), outcomes), (1, vec![BackendOutcome::BadAnswer]));
}

#[tokio::test]
async fn closing_without_an_answer_is_not_asked_again() {
    let fake = Fake::start(|_| Reaction::Send(Vec::new())).await;
    let fault = ask(fake.config("a")).await.unwrap_err();
    assert!(matches!(fault, BackendError::Interrupted(_)), "{fault:?}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn the_apis_own_error_is_kept_whole() {
    let long = "x".repeat(5000);
    let body = format!(r#"{{"status":"error","errorType":"bad_data","error":"{long}"}}"#);
    let fake = Fake::answering("400 Bad Request", "application/json", &body).await;
    let (fault, outcomes) = ask_observed(fake.config("a")).await;
    let Err(BackendError::Api { error, .. }) = fault else { panic!("{fault:?}") };
    assert_eq!((error.kind.as_str(), error.message), ("bad_data", long));
    assert_eq!(outcomes, [BackendOutcome::Refused]);
}

#[tokio::test]
async fn a_backend_that_repeats_our_credentials_tells_callers_none() {
    let fake = Fake::start(|request| {
        let words = serde_json::json!({"status": "error", "errorType": "x", "error": request});
        Reaction::Send(response("400 Bad Request", "", words.to_string().as_bytes()))
    })
    .await;
    let canary = || Secret::new("canary");
    for auth in [
        BackendAuth::Token(canary()),
        BackendAuth::Basic { username: "user".to_owned(), password: canary() },
    ] {
        let mut config = fake.config("a");
        config.auth = auth;
        config.headers.insert("x-key", "canary-too".parse().unwrap());
        let fault = ask(config).await.unwrap_err();
        let BackendError::Api { error, .. } = fault else { panic!("{fault:?}") };
        assert!(error.message.contains("authorization: "), "{error:?}");
        for secret in ["canary", "dXNlcjpjYW5hcnk="] {
            assert!(!error.message.contains(secret), "{error:?}");
        }
    }
}

#[tokio::test]
async fn credentials_repeated_in_plain_text_or_foreign_json_are_masked_too() {
    for body in [r"no such token: can\ary", r#"{"message":"no such token: can\\ary"}"#] {
        for status in ["400 Bad", "401 Unauthorized", "403 Forbidden", "429 Slow"] {
            let fake = Fake::answering(status, "text/plain", body).await;
            let mut config = fake.config("a");
            config.auth = BackendAuth::Token(Secret::new(r"can\ary"));
            let fault = ask(config).await.unwrap_err();
            let words = words(&fault).unwrap();
            assert!(words.contains("no such token: ***") && !words.contains("ary"), "{words}");
        }
    }
}

#[tokio::test]
async fn what_is_not_the_api_is_told_by_status_and_media_type() {
    for (status, media_type, body) in [
        ("200 OK", "text/html", "<html>login</html>"),
        ("200 OK", "application/json", "{\"status\":\"success\",\"data\":{\"resultT"),
        ("200 OK", "application/json", "[]"),
        ("200 OK", "application/json", "\u{0}\u{1}"),
        ("500 Oops", "text/plain", "stack trace"),
        ("503 Unavailable", "text/html", ""),
        ("500 Oops", "application/json", r#"{"message":"stack trace"}"#),
        ("400 Bad Request", "text/html", "<html>oops</html>"),
        ("400 Bad Request", "application/json", ""),
    ] {
        let fake = Fake::answering(status, media_type, body).await;
        let (fault, outcomes) = ask_observed(fake.config("a")).await;
        let Err(BackendError::NotApi { status: code, media_type: told }) = fault else {
            panic!("{status}: {fault:?}")
        };
        assert!(status.starts_with(code.as_str()), "{code}");
        assert_eq!(told.as_deref(), Some(media_type));
        assert_eq!(outcomes, [BackendOutcome::BadAnswer]);
    }
}

/// The backend's words in a fault that carries them.
fn words(fault: &BackendError) -> Option<&str> {
    let (BackendError::Api { error, .. }
    | BackendError::Unauthorized { api: Some(error), .. }
    | BackendError::RateLimited { api: Some(error), .. }) = fault
    else {
        return None;
    };
    Some(error.message.as_str())
}

#[tokio::test]
async fn refused_credentials_are_told_apart_and_keep_the_backends_words() {
    let json = r#"{"status":"error","errorType":"forbidden","error":"tenant t1 is blocked"}"#;
    for (status, body, said) in [
        ("401 Unauthorized", "no org id", Some("no org id")),
        ("403 Forbidden", json, Some("tenant t1 is blocked")),
        ("403 Forbidden", "<html>log in</html>", None),
        ("401 Unauthorized", "", None),
    ] {
        let fake = Fake::answering(status, "text/plain", body).await;
        let (fault, outcomes) = ask_observed(fake.config("a")).await;
        let fault = fault.unwrap_err();
        assert!(matches!(fault, BackendError::Unauthorized { .. }), "{fault:?}");
        assert_eq!(words(&fault), said);
        assert_eq!(outcomes, [BackendOutcome::Unauthorized]);
    }
}

#[tokio::test]
async fn a_refusal_in_plain_text_keeps_its_words_and_is_the_callers_matter() {
    for (status, body, outcome) in [
        ("400 Bad Request", "error at evaluating query: too many chunks", BackendOutcome::Refused),
        ("422 Unprocessable", "the query exceeded 1 limit", BackendOutcome::Refused),
        ("404 Not Found", "404 page not found", BackendOutcome::BadAnswer),
    ] {
        let fake = Fake::answering(status, "text/plain; charset=utf-8", body).await;
        let (fault, outcomes) = ask_observed(fake.config("a")).await;
        let fault = fault.unwrap_err();
        assert_eq!(words(&fault), Some(body), "{fault:?}");
        assert_eq!(outcomes, [outcome]);
    }
    let fake = Fake::answering("429 Too Many Requests", "text/plain", "slow down").await;
    let fault = ask(fake.config("a")).await.unwrap_err();
    assert!(matches!(fault, BackendError::RateLimited { retry_after_s: None, .. }), "{fault:?}");
    assert_eq!(words(&fault), Some("slow down"));
}

#[tokio::test]
async fn a_server_error_in_the_apis_own_form_is_kept_whole() {
    let body = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
    let fake = Fake::answering("503 Service Unavailable", "application/json", body).await;
    let (fault, outcomes) = ask_observed(fake.config("a")).await;
    assert_eq!(words(&fault.unwrap_err()), Some("query timed out"));
    assert_eq!(outcomes, [BackendOutcome::Timeout]);
}

#[tokio::test]
async fn a_rate_limit_keeps_the_wait_and_the_apis_words() {
    let body = br#"{"status":"error","errorType":"too_many_requests","error":"slow down"}"#;
    let answer = response("429 Too Many Requests", "Retry-After: 7\r\n", body);
    let fake = Fake::start(move |_| Reaction::Send(answer.clone())).await;
    let fault = ask(fake.config("a")).await.unwrap_err();
    let BackendError::RateLimited { retry_after_s: Some(7), api: Some(api) } = fault else {
        panic!("{fault:?}")
    };
    assert_eq!(api.message, "slow down");
}

#[tokio::test]
async fn a_backend_without_post_is_asked_by_get_and_remembered() {
    let fake = Fake::start(|request| {
        let body = format!(r#"{{"status":"success","data":{EMPTY}}}"#);
        Reaction::Send(if request.starts_with("POST") {
            response("405 Method Not Allowed", "", b"")
        } else {
            response("200 OK", "", body.as_bytes())
        })
    })
    .await;
    let backends = Backends::new(vec![fake.config("a")], Arc::new(Record::default())).unwrap();
    for _ in 0..2 {
        assert_eq!(ask_one(&backends.all()[0], Endpoint::Query, None).await.unwrap(), "vector");
    }
    let seen = fake.seen();
    let methods: Vec<_> = seen.iter().map(|r| r.split_whitespace().next().unwrap()).collect();
    assert_eq!(methods, ["POST", "GET", "GET"]);
    assert!(seen[1].starts_with("GET /api/v1/query?query=up "), "{}", seen[1]);
}

#[tokio::test]
async fn a_backend_that_never_answers_ends_at_the_deadline() {
    let fake = Fake::start(|_| Reaction::Stall).await;
    let mut config = fake.config("a");
    config.timeout = Duration::from_millis(20);
    let (fault, outcomes) = ask_observed(config).await;
    assert!(matches!(fault, Err(BackendError::Timeout { .. })), "{fault:?}");
    assert_eq!(outcomes, [BackendOutcome::Timeout]);
}

#[tokio::test]
async fn a_backend_that_is_down_is_unreachable_and_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (fault, outcomes) = ask_observed(config("a", &url)).await;
    let fault = fault.unwrap_err();
    assert!(matches!(fault, BackendError::Unreachable(_)), "{fault:?}");
    assert!(fault.root_cause().unwrap().contains("refused"), "{:?}", fault.root_cause());
    assert_eq!(outcomes, [BackendOutcome::Unreachable]);
}

#[tokio::test]
async fn connecting_is_tried_twice() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let starts_late = async {
        let listener = TcpListener::bind(address).await.unwrap();
        let body = format!(r#"{{"status":"success","data":{EMPTY}}}"#);
        let answer = response("200 OK", "", body.as_bytes());
        Fake::serve(listener, move |_| Reaction::Send(answer.clone()))
    };
    let (answer, fake) = tokio::join!(ask(config("a", &format!("http://{address}"))), starts_late);
    assert_eq!(answer.unwrap(), "vector");
    assert_eq!(fake.seen().len(), 1);
}

/// A retry waits for a tenth of a second, so two of them cannot be done sooner than two tenths.
/// One may take as long on a busy machine, but hardly at each attempt.
#[tokio::test]
async fn connecting_is_tried_twice_only_once_when_post_is_refused() {
    let mut quick = false;
    for _attempt in 0..5 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let refuses_post_and_leaves = async {
            let listener = TcpListener::bind(address).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(listener);
            let mut asked = Vec::new();
            while !asked.ends_with(b"query=up") {
                assert!(stream.read_buf(&mut asked).await.unwrap() > 0);
            }
            let answer = response("405 Method Not Allowed", "", b"");
            stream.write_all(&answer).await.unwrap();
        };
        let started = Instant::now();
        let asked = async {
            let fault = ask(config("a", &format!("http://{address}"))).await;
            (fault, started.elapsed())
        };
        let ((fault, took), ()) = tokio::join!(asked, refuses_post_and_leaves);
        let fault = fault.unwrap_err();
        assert!(matches!(fault, BackendError::Unreachable(_)), "{fault:?}");
        quick = quick || took < Duration::from_millis(200);
    }
    assert!(quick, "one question was tried again twice");
}

#[tokio::test]
async fn a_failure_of_tls_is_told_apart_from_a_backend_that_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let speaks_no_tls = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 16 << 10]).await.unwrap() > 0, "the client greets first");
        stream.write_all(b"HTTP/1.1 400 this is not TLS\r\n\r\n").await.unwrap();
    };
    let ((fault, outcomes), ()) = tokio::join!(ask_observed(config("a", &url)), speaks_no_tls);
    let fault = fault.unwrap_err();
    assert!(matches!(fault, BackendError::Tls(_)), "{fault:?}");
    assert_eq!(outcomes, [BackendOutcome::Unreachable]);
}

#[test]
fn backends_are_ordered_by_name_and_a_name_is_taken_once() {
    let configs = |names: &[&str]| names.iter().map(|n| config(n, "http://h")).collect();
    let observer = || Arc::new(Record::default());
    let backends = Backends::new(configs(&["b", "c", "a"]), observer()).unwrap();
    let names: Vec<_> = backends.all().iter().map(|b| b.name().as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(backends.get("b").unwrap().name().as_str(), "b");
    assert!(backends.get("d").is_none());
    let fault = Backends::new(configs(&["a", "a"]), observer()).unwrap_err();
    assert!(matches!(fault.fault, BuildFault::NameTaken), "{fault}");
}

#[test]
fn settings_that_cannot_work_are_refused_without_showing_secrets() {
    let build = |change: fn(&mut BackendConfig)| {
        let mut config = config("a", "https://h");
        change(&mut config);
        Backends::new(vec![config], Arc::new(Record::default())).unwrap_err()
    };
    let fault = build(|config| config.ca_pem = Some(b"no pem".as_slice().into()));
    assert!(matches!(fault.fault, BuildFault::CaUnreadable(_)), "{fault:?}");
    let fault = build(|config| {
        config.url = "http://h".parse().unwrap();
        config.auth = BackendAuth::Token(Secret::new("canary\n"));
    });
    assert!(matches!(fault.fault, BuildFault::CredentialsUnusable), "{fault:?}");
    assert!(!format!("{fault:?} {fault}").contains("canary"));
}

#[test]
fn debug_of_a_backend_shows_no_credentials() {
    let mut config = config("a", "http://h");
    config.auth = BackendAuth::Token(Secret::new("canary"));
    config.headers.insert("x-key", "canary".parse().unwrap());
    let backends = Backends::new(vec![config], Arc::new(Record::default())).unwrap();
    assert!(!format!("{backends:?}").contains("canary"));
}

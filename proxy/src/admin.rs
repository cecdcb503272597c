//! The answers of the admin listener.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | what was counted, in the text format of Prometheus |
//! | `/healthz` | 200 as long as the process lives |
//! | `/readyz` | 200 while new work would be served; 503 with a reason before, after, and while full |
//! | `/admin/ring` | the replicas and their shares, as JSON |
//! | `/admin/sessions` | how many sessions there are and were, as JSON; never their ids |
//! | `/admin/sessions/end` | by POST, with a token: ends all sessions of a subject, at every replica |
//! | `/admin/log` | with a token: what is logged; by PUT it is changed |
//!
//! All but the last two take GET and HEAD. Anything else is 404.

mod operator;

mod log;
mod sessions;

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use async_trait::async_trait;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use mcp_core::secret::Secret;
use pingora::{apps::http_app::ServeHttp, protocols::http::ServerSession};
use serde::Serialize;

use self::sessions::{Counted, SESSIONS};

use crate::{
    guard::Guarded,
    metrics::{self, Metrics},
    sessions::Sessions,
    telemetry::Chain,
};

/// Path that shows the replicas.
pub const RING: &str = "/admin/ring";

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";

/// How long a connection may stay open without a request: longer than any usual scrape interval.
const KEEP_ALIVE_S: u64 = 75;

/// Methods that every path takes.
const METHODS: &str = "GET, HEAD";

/// Where the process stands between its start and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not everything is set up.
    Starting,
    /// New work is served.
    Ready,
    /// What runs may end; nothing new is taken.
    Draining,
}

/// The phase of the process; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

/// What the admin listener tells of.
#[derive(Debug, Clone)]
pub struct AdminState {
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// Where the process stands.
    pub readiness: Readiness,
    /// Workers and replicas.
    pub sessions: Arc<Sessions>,
    /// What a caller must show to change something; none: nothing can be changed.
    pub token: Option<Secret>,
}

/// The admin listener's application, for Pingora.
#[derive(Debug)]
pub struct Admin(pub AdminState);

/// An answer before it becomes HTTP.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Media type of the body.
    pub content_type: &'static str,
    /// The body that a GET gets; a HEAD gets its length only.
    pub body: Vec<u8>,
}

/// What stands at `path` for a client that asks with `method`.
#[must_use]
pub fn answer(method: &Method, path: &str, state: &AdminState) -> Answer {
    if !matches!(path, "/metrics" | "/healthz" | "/readyz" | RING | SESSIONS) {
        return Answer::plain(StatusCode::NOT_FOUND, "not found\n");
    }
    if *method != Method::GET && *method != Method::HEAD {
        return Answer::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    match path {
        "/metrics" => scrape(&state.metrics),
        RING => Answer::json(StatusCode::OK, &state.sessions.cluster.view()),
        SESSIONS => Answer::json(StatusCode::OK, &Counted::of(&state.sessions)),
        "/readyz" => match state.readiness.phase() {
            Phase::Ready if state.sessions.has_room() => Answer::plain(StatusCode::OK, "ready\n"),
            Phase::Ready => Answer::plain(StatusCode::SERVICE_UNAVAILABLE, "full\n"),
            Phase::Starting => Answer::plain(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
            Phase::Draining => Answer::plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        },
        _ => Answer::plain(StatusCode::OK, "ok\n"),
    }
}

fn scrape(metrics: &Metrics) -> Answer {
    match metrics.render() {
        Ok(body) => Answer { status: StatusCode::OK, content_type: metrics::CONTENT_TYPE, body },
        Err(error) => {
            tracing::error!(error = %Chain(&error), "metrics not rendered");
            Answer::plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be shown\n")
        }
    }
}

impl Answer {
    fn plain(status: StatusCode, body: &str) -> Self {
        Self { status, content_type: PLAIN, body: body.as_bytes().to_owned() }
    }

    fn json(status: StatusCode, value: &impl Serialize) -> Self {
        // Only a map with keys that are no text could fail, and there is none.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self { status, content_type: JSON, body }
    }
}

impl Readiness {
    /// Moves on to `phase`. Phases have an order: a process that drains is never ready again.
    pub fn advance(&self, phase: Phase) {
        self.0.fetch_max(phase.rank(), Ordering::Release);
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }
}

impl Phase {
    const fn rank(self) -> u8 {
        match self {
            Self::Starting => 0,
            Self::Ready => 1,
            Self::Draining => 2,
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        if let Some(guarded) = Guarded::of(session) {
            // This header is whole, and what comes next on the connection is another.
            guarded.await_header();
        }
        // Pingora's own value for a client that asks for keep-alive is "for ever".
        session.set_keepalive(Some(KEEP_ALIVE_S));
        let header = session.req_header();
        if header.uri.path() == sessions::END && header.method == Method::POST {
            session.set_keepalive(None);
            return into_http(sessions::end(session, &self.0).await, false);
        }
        if header.uri.path() == log::LOG {
            session.set_keepalive(None);
            let mut response = into_http(log::answer(session, &self.0).await, false);
            if let Some(allow) = response.headers_mut().get_mut(ALLOW) {
                *allow = HeaderValue::from_static(log::METHODS);
            }
            return response;
        }
        let answer = answer(&header.method, header.uri.path(), &self.0);
        let is_head = header.method == Method::HEAD;
        // No request here has a use for a body. Rather than read one, the connection ends.
        if !session.is_body_empty() {
            session.set_keepalive(None);
        }
        into_http(answer, is_head)
    }
}

fn into_http(answer: Answer, is_head: bool) -> Response<Vec<u8>> {
    let Answer { status, content_type, body } = answer;
    let mut response = Response::new(Vec::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static(METHODS));
    }
    if !is_head {
        *response.body_mut() = body;
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mcp_core::{
        backend::Backends,
        config::{ToolLimits, WorkerLimits},
        observe::{Observer, Unobserved},
        server::{Changes, Service},
        tools::Metrics as Tools,
    };
    use pingora::apps::HttpServerApp as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::{
        cluster::Cluster, config::SessionStore, metrics::Subjects, sessions::Terms, store::Store,
        workers::Workers,
    };

    fn tools() -> Tools {
        let observer: Arc<dyn Observer> = Arc::new(Unobserved);
        let backends = Backends::new(Vec::new(), Arc::clone(&observer)).unwrap();
        let name = || "promgate".to_owned();
        Tools::new(name(), name(), backends, ToolLimits::default(), observer)
    }

    fn state() -> AdminState {
        let subjects = Subjects { tools: &[], backends: &[], workers: 1 };
        let metrics = Arc::new(Metrics::new(subjects).unwrap());
        let service = Arc::new(Service::new(tools(), Changes::default()));
        let workers = Arc::new(Workers::new(1, &service, WorkerLimits::default()));
        let store = Store::open(&SessionStore::Memory, &[], metrics.store_times()).unwrap();
        let terms = Terms { keys: &[], age_max: Duration::from_hours(1), of_principal_max: 1 };
        let sessions = Sessions::new(workers, Cluster::alone(1), store, &terms).unwrap();
        let (sessions, token) = (Arc::new(sessions), None);
        AdminState { metrics, readiness: Readiness::default(), sessions, token }
    }

    fn status(method: &Method, path: &str, state: &AdminState) -> u16 {
        answer(method, path, state).status.as_u16()
    }

    /// Sends `request` through Pingora's HTTP/1.1 and returns the whole answer.
    async fn over_http(request: &str, state: AdminState) -> String {
        let (mut client, server) = duplex(1 << 16);
        client.write_all(request.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let session = ServerSession::new_http1(Box::new(server));
        let (_stay, shutdown) = tokio::sync::watch::channel(false);
        drop(Arc::new(Admin(state)).process_new_http(session, &shutdown).await);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn it_is_ready_only_between_start_and_drain() {
        let state = state();
        let ready = || {
            let answer = answer(&Method::GET, "/readyz", &state);
            (answer.status.as_u16(), String::from_utf8(answer.body).unwrap())
        };
        assert_eq!(ready(), (503, "starting\n".to_owned()));
        state.readiness.clone().advance(Phase::Ready);
        assert_eq!(ready(), (200, "ready\n".to_owned()));
        state.readiness.advance(Phase::Draining);
        assert_eq!(ready(), (503, "draining\n".to_owned()));
        state.readiness.advance(Phase::Ready);
        assert_eq!(ready(), (503, "draining\n".to_owned()), "draining has no way back");
    }

    #[tokio::test]
    async fn it_is_healthy_in_every_phase() {
        let state = state();
        for phase in [Phase::Starting, Phase::Ready, Phase::Draining] {
            state.readiness.advance(phase);
            assert_eq!(state.readiness.phase(), phase);
            assert_eq!(status(&Method::GET, "/healthz", &state), 200);
        }
    }

    #[tokio::test]
    async fn a_scrape_shows_what_was_counted() {
        let state = state();
        state.metrics.panicked();
        let answer = answer(&Method::GET, "/metrics", &state);
        assert_eq!(answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains("\npromgate_panics_total 1\n"), "{text}");
    }

    #[tokio::test]
    async fn only_exact_paths_and_reading_methods_are_served() {
        let state = state();
        for path in ["/", "/metrics/", "/Metrics", "//metrics", "/mcp", ""] {
            assert_eq!(status(&Method::GET, path, &state), 404, "{path}");
        }
        assert_eq!(status(&Method::POST, "/nothing", &state), 404);
        for method in [Method::POST, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            assert_eq!(status(&method, "/metrics", &state), 405, "{method}");
        }
        assert_eq!(status(&Method::HEAD, "/metrics", &state), 200);
    }

    #[tokio::test]
    async fn a_get_is_answered_whole() {
        let answer = over_http("GET /healthz?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", state()).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.to_lowercase().contains("content-length: 3\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_head_gets_the_length_without_the_body() {
        let answer = over_http("HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n", state()).await;
        assert!(answer.to_lowercase().contains("content-length: 3\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_refused_method_is_told_which_are_allowed_and_its_body_is_not_read() {
        let request = "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let answer = over_http(request, state()).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 405 "), "{answer}");
        assert!(answer.contains("allow: get, head\r\n"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
}

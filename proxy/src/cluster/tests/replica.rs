//! A replica that is nothing but its peer listener.

use std::{
    net::SocketAddr,
    num::NonZeroU8,
    os::fd::IntoRawFd as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Response, StatusCode};
use mcp_core::secret::Secret;
use parking_lot::Mutex;
use pingora::{
    apps::{
        HttpServerOptions,
        http_app::{HttpServer, ServeHttp},
    },
    protocols::http::ServerSession,
    server::Fds,
    services::{Service as _, listening},
};
use tokio::{sync::watch, task::JoinHandle};

use super::super::{Answer, Cluster, HeardError, LEAVE_PATH, STATUS_PATH};
use crate::{
    config::{self, ClusterTls, Peers, Probe},
    hop::{HOP, Hop, HopChecker, HopKeys},
    ring::NodeName,
};

/// How often replicas ask here.
pub(super) const INTERVAL: Duration = Duration::from_millis(50);

/// Gives back what it is told, after its name.
pub(super) const ECHO_PATH: &str = "/_promgate/echo";

const WORKERS: u16 = 2;

/// A port that somebody will listen on.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    socket: std::net::TcpListener,
}

pub(super) struct Replica {
    pub(super) cluster: Arc<Cluster>,
    pub(super) name: NodeName,
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<NodeName>>>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

/// What somebody between us and a replica may do to its answers without knowing a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forgery {
    NoSignature,
    OtherBody,
    OldAnswer,
    QuestionAsAnswer,
    Noise,
}

/// How the answers of a replica are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Forged(Forgery),
    /// They are those of a replica that knows nothing of its end, as an answer that was given just before.
    Late,
}

impl Forgery {
    pub(super) const ALL: [Self; 5] =
        [Self::NoSignature, Self::OtherBody, Self::OldAnswer, Self::QuestionAsAnswer, Self::Noise];
}

/// Answers as the edge will.
struct PeerListener {
    cluster: Arc<Cluster>,
    checker: HopChecker,
    asked: Arc<Mutex<Vec<NodeName>>>,
    change: Option<Change>,
    first: Mutex<Option<(http::HeaderValue, Bytes)>>,
}

impl Listener {
    pub(super) fn bind() -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { address: socket.local_addr().unwrap(), socket }
    }
}

pub(super) fn keys(secret: &str) -> Arc<HopKeys> {
    Arc::new(HopKeys::new(&[Secret::new(secret)]).unwrap())
}

fn usual_keys() -> Arc<HopKeys> {
    keys("a secret of at least thirty-two bytes")
}

impl Replica {
    pub(super) fn start(listener: Listener, all: &[String]) -> Self {
        Self::with(listener, config(all, None), &usual_keys(), None)
    }

    /// One that finds the others in a file.
    pub(super) fn reading(listener: Listener, path: PathBuf) -> Self {
        let peers = Peers::File { path, interval: INTERVAL / 5 };
        let config = config::Cluster { peers, ..config(&[], None) };
        Self::with(listener, config, &usual_keys(), None)
    }

    pub(super) fn with_keys(listener: Listener, all: &[String], keys: &Arc<HopKeys>) -> Self {
        Self::with(listener, config(all, None), keys, None)
    }

    pub(super) fn with_tls(listener: Listener, all: &[String], tls: ClusterTls) -> Self {
        Self::with(listener, config(all, Some(tls)), &usual_keys(), None)
    }

    pub(super) fn forging(listener: Listener, all: &[String], forgery: Forgery) -> Self {
        Self::with(listener, config(all, None), &usual_keys(), Some(Change::Forged(forgery)))
    }

    /// One whose answers go on saying that it is ready.
    pub(super) fn late(listener: Listener, all: &[String]) -> Self {
        Self::with(listener, config(all, None), &usual_keys(), Some(Change::Late))
    }

    fn with(
        listener: Listener,
        config: config::Cluster,
        keys: &Arc<HopKeys>,
        change: Option<Change>,
    ) -> Self {
        let Listener { address, socket } = listener;
        let config = config::Cluster { listen: address, advertise: address.to_string(), ..config };
        let keep_alive = Duration::from_secs(20);
        let cluster = Cluster::start(&config, WORKERS, keys, keep_alive).unwrap();
        let name = NodeName::parse(&config.advertise).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let listener = PeerListener {
            cluster: Arc::clone(&cluster),
            checker: HopChecker::new(
                Arc::clone(keys),
                name.clone(),
                config.clock_skew,
                SystemTime::now(),
            ),
            asked: Arc::clone(&asked),
            change,
            first: Mutex::new(None),
        };
        let tls = cluster.listener_tls().unwrap();
        let mut server = HttpServer::new_app(listener);
        let mut options = HttpServerOptions::default();
        options.h2c = tls.is_none();
        server.server_options = Some(options);
        let mut service = listening::Service::new("peers".to_owned(), server);
        match tls {
            Some(tls) => service.add_tls_with_settings(&address.to_string(), None, tls),
            None => service.add_tcp(&address.to_string()),
        }
        let mut fds = Fds::new();
        fds.add(address.to_string(), socket.into_raw_fd());
        let fds = Arc::new(Mutex::new(fds));
        let (stop, stopped) = watch::channel(false);
        let serving =
            tokio::spawn(async move { service.start_service(Some(fds), stopped, 1).await });
        Self { cluster, name, address, asked, stop, serving }
    }

    /// How often another one asked, with a signature that holds.
    pub(super) fn asked_by(&self, name: &NodeName) -> usize {
        self.asked.lock().iter().filter(|asker| *asker == name).count()
    }

    /// Closes the port and the connections.
    pub(super) fn shut(&mut self) {
        self.stop.send_replace(true);
        self.serving.abort();
    }
}

pub(super) fn config(all: &[String], tls: Option<ClusterTls>) -> config::Cluster {
    config::Cluster {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        advertise: String::new(),
        keys: Vec::new(),
        tls,
        peers: Peers::Static(all.to_vec()),
        probe: Probe {
            interval: INTERVAL,
            timeout: Duration::from_millis(500),
            down_after: NonZeroU8::new(2).unwrap(),
            up_after: NonZeroU8::new(2).unwrap(),
        },
        hops_max: NonZeroU8::MIN,
        clock_skew: Duration::from_secs(5),
    }
}

/// Waits for what happens in other tasks.
pub(super) async fn until(patience: Duration, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < patience, "it does not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl PeerListener {
    async fn answer(&self, path: &str, said: &Hop, body: &[u8]) -> Result<Answer, HeardError> {
        match path {
            STATUS_PATH if self.change == Some(Change::Late) => {
                let status = self.cluster.answer_probe(said)?.body;
                let status = String::from_utf8(status.to_vec()).unwrap();
                self.cluster.answer(said, path, status.replace("draining", "ready").into())
            }
            STATUS_PATH => self.cluster.answer_probe(said),
            LEAVE_PATH => self.cluster.heard_leave(said, body).await,
            _ => {
                self.cluster.is_genuine(said, body)?;
                let name = self.cluster.membership().me().to_string();
                let answer = [name.as_bytes(), b": ", body].concat();
                self.cluster.answer(said, path, answer)
            }
        }
    }

    /// Does to an answer what a forger can.
    fn forged(
        &self,
        question: &http::HeaderValue,
        answer: Answer,
    ) -> (Option<http::HeaderValue>, Bytes) {
        let Answer { header, body } = answer;
        let first = self.first.lock().get_or_insert_with(|| (header.clone(), body.clone())).clone();
        let other =
            String::from_utf8(body.to_vec()).unwrap().replace("\"workers\":2", "\"workers\":9");
        let Some(Change::Forged(forgery)) = self.change else { return (Some(header), body) };
        match forgery {
            Forgery::NoSignature => (None, body),
            Forgery::OtherBody => (Some(header), other.into()),
            Forgery::OldAnswer => (Some(first.0), first.1),
            Forgery::QuestionAsAnswer => (Some(question.clone()), body),
            Forgery::Noise => (Some(http::HeaderValue::from_static("a.b")), body),
        }
    }
}

#[async_trait]
impl ServeHttp for PeerListener {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let nothing = |status| {
            let mut response = Response::new(Vec::new());
            *response.status_mut() = status;
            response
        };
        let header = session.req_header().clone();
        let path = header.uri.path();
        if ![STATUS_PATH, LEAVE_PATH, ECHO_PATH].contains(&path) {
            return nothing(StatusCode::NOT_FOUND);
        }
        let Some(value) = header.headers.get(HOP) else { return nothing(StatusCode::FORBIDDEN) };
        let method = header.method.as_str();
        let said = self.checker.check(value.as_bytes(), method, path, SystemTime::now());
        let Ok(said) = said else { return nothing(StatusCode::FORBIDDEN) };
        self.asked.lock().push(said.from.clone());
        let mut body = Vec::new();
        while let Ok(Some(part)) = session.read_request_body().await {
            body.extend_from_slice(&part);
        }
        let Ok(answer) = self.answer(path, &said, &body).await else {
            return nothing(StatusCode::BAD_REQUEST);
        };
        let (signature, body) = self.forged(value, answer);
        let mut response = Response::new(body.to_vec());
        if let Some(signature) = signature {
            response.headers_mut().insert(HOP, signature);
        }
        response
    }
}

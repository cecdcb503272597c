//! A backend made of a TCP listener, which can do what no honest HTTP server does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderMap;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

use crate::config::{BackendAuth, BackendConfig, BackendName};

/// What the fake does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reaction {
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Sends these bytes, then zeros until nobody takes them or this many are sent.
    Flood(Vec<u8>, usize),
    /// Never answers.
    Stall,
}

#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    sent: Arc<Mutex<usize>>,
    task: AbortHandle,
}

impl Fake {
    pub(crate) async fn start(react: impl Fn(&str) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener, react)
    }

    pub(crate) fn serve(
        listener: TcpListener,
        react: impl Fn(&str) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let (seen, sent) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (requests, bytes, react) = (Arc::clone(&seen), Arc::clone(&sent), Arc::new(react));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (requests, bytes) = (Arc::clone(&requests), Arc::clone(&bytes));
                let react = Arc::clone(&react);
                tokio::spawn(async move {
                    let mut stream = stream;
                    let request = read(&mut stream).await;
                    requests.lock().push(request.clone());
                    act(&mut stream, react(&request), &bytes).await;
                });
            }
        });
        Self { address, seen, sent, task: task.abort_handle() }
    }

    /// Always answers with this status line's rest, content type and body.
    pub(crate) async fn answering(status: &str, media_type: &str, body: &str) -> Self {
        let answer = response(status, &format!("Content-Type: {media_type}\r\n"), body.as_bytes());
        Self::start(move |_request| Reaction::Send(answer.clone())).await
    }

    /// Always answers with success and this `data`.
    pub(crate) async fn holding(data: &str) -> Self {
        let body = format!(r#"{{"status":"success","data":{data}}}"#);
        Self::answering("200 OK", "application/json", &body).await
    }

    /// The requests so far, whole.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }

    /// How many zeros of a flood were taken.
    pub(crate) fn sent(&self) -> usize {
        *self.sent.lock()
    }

    /// Settings of a backend `name` that reach this fake.
    pub(crate) fn config(&self, name: &str) -> BackendConfig {
        config(name, &format!("http://{}", self.address))
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn config(name: &str, url: &str) -> BackendConfig {
    BackendConfig {
        name: BackendName::parse(name).unwrap(),
        url: url.parse().unwrap(),
        org_id: None,
        available_orgs: Vec::new(),
        auth: BackendAuth::None,
        headers: HeaderMap::new(),
        ca_pem: None,
        timeout: Duration::from_mins(1),
        connect_timeout: Duration::from_secs(30),
        response_bytes_max: 1 << 20,
    }
}

/// An HTTP/1.1 answer with `headers`, which end in a line break each.
pub(crate) fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return text,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

async fn act(stream: &mut TcpStream, reaction: Reaction, sent: &Mutex<usize>) {
    match reaction {
        Reaction::Send(bytes) => {
            // A client that has read enough may hang up first.
            if stream.write_all(&bytes).await.is_ok() {
                drop(stream.shutdown().await);
            }
        }
        Reaction::Flood(head, bytes_max) => {
            stream.write_all(&head).await.unwrap();
            let zeros = vec![b'0'; 64 << 10];
            while *sent.lock() < bytes_max && stream.write_all(&zeros).await.is_ok() {
                *sent.lock() += zeros.len();
            }
        }
        Reaction::Stall => std::future::pending().await,
    }
}

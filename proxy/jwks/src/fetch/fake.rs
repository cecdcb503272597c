//! A provider made of a TCP listener, which can do what no honest HTTP server does.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
};

/// What the fake does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reaction {
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Sends these bytes, then zeros for as long as somebody takes them.
    Flood(Vec<u8>),
    /// Sends these bytes and nothing more.
    Stall(Vec<u8>),
}

/// Answers by path; what has no answer is 404.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    seen: watch::Sender<Vec<String>>,
    answers: Arc<Mutex<Vec<(String, Reaction)>>>,
    task: AbortHandle,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, answers) = (watch::Sender::default(), Arc::new(Mutex::new(Vec::new())));
        let (requests, table) = (seen.clone(), Arc::clone(&answers));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, requests.clone(), Arc::clone(&table)));
            }
        });
        Self { address, seen, answers, task: task.abort_handle() }
    }

    /// From now on, answers requests of this path so.
    pub(crate) fn answer(&self, path: &str, reaction: Reaction) {
        let mut answers = self.answers.lock();
        answers.retain(|(other, _)| other != path);
        answers.push((path.to_owned(), reaction));
    }

    /// From now on, answers requests of this path with 200 and this JSON.
    pub(crate) fn json(&self, path: &str, json: &str) {
        self.answer(path, Reaction::Send(response("200 OK", "", json.as_bytes())));
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> url::Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    /// The requests so far, whole.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.borrow().clone()
    }

    /// How many requests of this path there were.
    pub(crate) fn count(&self, path: &str) -> usize {
        count(&self.seen.borrow(), path)
    }

    /// Waits until there were so many requests of this path.
    pub(crate) async fn asked(&self, path: &str, times: usize) {
        let mut seen = self.seen.subscribe();
        seen.wait_for(|seen| count(seen, path) >= times).await.unwrap();
    }
}

fn count(seen: &[String], path: &str) -> usize {
    let begin = format!("GET {path} ");
    seen.iter().filter(|request| request.starts_with(&begin)).count()
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: watch::Sender<Vec<String>>,
    answers: Arc<Mutex<Vec<(String, Reaction)>>>,
) {
    let request = read(&mut stream).await;
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let found = answers.lock().iter().find(|(other, _)| *other == path).cloned();
    let reaction =
        found.map_or_else(|| Reaction::Send(response("404 Not Found", "", b"")), |(_, r)| r);
    seen.send_modify(|seen| seen.push(request));
    match reaction {
        Reaction::Send(bytes) => {
            // A client that has read enough may hang up first.
            if stream.write_all(&bytes).await.is_ok() {
                drop(stream.shutdown().await);
            }
        }
        Reaction::Flood(head) => {
            let zeros = vec![b'0'; 64 << 10];
            let mut sent = stream.write_all(&head).await;
            while sent.is_ok() {
                sent = stream.write_all(&zeros).await;
            }
        }
        Reaction::Stall(head) => {
            stream.write_all(&head).await.unwrap();
            std::future::pending::<()>().await;
        }
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut chunk = [0; 4096];
        if text.contains("\r\n\r\n") {
            return text;
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return text,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
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

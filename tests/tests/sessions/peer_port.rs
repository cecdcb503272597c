//! The port on which replicas listen for each other, in the hands of strangers.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use e2e::{
    backend::Backend,
    cut::{Cut, runtime},
    mcp::Client,
    minter,
    place::Place,
    replicas::{CLUSTER_KEY, Replicas, count},
};
use http::Request;
use serde_json::json;
use tokio::time::timeout;

use super::parts;

/// Two replicas; the first reaches the second over a relay that can be listened to.
struct Tapped {
    replicas: Replicas,
    cut: Cut,
    backend: Backend,
    session: Client,
    /// Of who opened the session.
    token: String,
}

/// What one replica sent to another in one request.
pub(super) type Hop = Request<Vec<u8>>;

impl Tapped {
    /// With a session that the second holds.
    fn start() -> Self {
        let places = Place::several(2);
        let cut = Cut::to(places[1].peer());
        let lists = [cut.address(), places[0].peer()];
        let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
        let url = backend.url();
        let replicas = Replicas::begin_at(places, move |number, config| {
            config["cluster"]["peers"] = json!({ "static": [lists[number].to_string()] });
            config["backends"] = json!({ "main": { "url": url } });
        });
        replicas.settle();
        let token = minter::token("alice");
        let session = replicas.at(1).session(&token);
        Self { replicas, cut, backend, session, token }
    }

    fn target(&self) -> SocketAddr {
        self.replicas.at(1).place().peer()
    }

    /// Calls a tool through the first replica, and listens to how it is passed on.
    fn hop(&self) -> (Vec<u8>, Hop) {
        self.cut.listen_in();
        let calls = self.backend.received().len();
        let client = self.session.through(self.replicas.at(0).mcp());
        let reply = client.call_tool("prometheus_query", json!({ "query": "1" }));
        assert_eq!(reply.status(), 200, "{}", reply.http.text());
        assert_eq!(self.backend.received().len(), calls + 1);
        let heard = self.cut.heard();
        let mut hops = heard.into_iter().flat_map(|sent| {
            let requests = requests(&sent);
            requests.into_iter().map(move |request| (sent.clone(), request))
        });
        let hop = hops.find(|(_, request)| request.headers().contains_key("mcp-session-id"));
        hop.expect("the call went over the relay")
    }

    fn refused(&self) -> f64 {
        self.replicas.at(1).metric("promgate_hops_total{outcome=\"refused\"}")
    }

    /// Nobody got in, and who belongs there is served.
    fn assert_untouched(&self, calls: usize) {
        assert_eq!(self.backend.received().len(), calls, "no stranger's call came through");
        let session = self.session.through(self.replicas.at(0).mcp());
        assert_eq!(session.call("ping", json!({})).status(), 200);
        assert_eq!(count(&self.replicas.at(1).sessions(), "sessions"), 1);
        self.replicas.settle();
    }
}

/// The requests that somebody sent over an HTTP/2 connection, as its server reads them.
pub(super) fn requests(sent: &[u8]) -> Vec<Hop> {
    // All of it is there: who waits longer waits for nothing.
    const SILENCE: Duration = Duration::from_millis(200);
    runtime().block_on(async {
        let (client, server) = tokio::io::duplex(1 << 20);
        let (mut answers, mut asks) = tokio::io::split(client);
        // Only what was sent is of interest, not what the server makes of it.
        let ignored = tokio::spawn(async move {
            let mut nowhere = tokio::io::sink();
            tokio::io::copy(&mut answers, &mut nowhere).await
        });
        // The connection stays open: a server forgets the requests of one that has ended.
        tokio::io::AsyncWriteExt::write_all(&mut asks, sent).await.unwrap();
        let (mut open, mut requests) = (Vec::new(), Vec::new());
        let Ok(mut connection) = h2::server::handshake(server).await else { return requests };
        while let Ok(Some(Ok(accepted))) = timeout(SILENCE, connection.accept()).await {
            open.push(accepted);
        }
        for (request, _respond) in open {
            let (head, mut body) = request.into_parts();
            let mut whole = Vec::new();
            while let Ok(Some(Ok(piece))) = timeout(SILENCE, body.data()).await {
                whole.extend_from_slice(&piece);
            }
            requests.push(Request::from_parts(head, whole));
        }
        ignored.abort();
        requests
    })
}

/// Sends a request to a peer port as a replica would, and gives the status of the answer; none when there was none.
pub(super) fn send(target: SocketAddr, hop: &Hop) -> Option<u16> {
    runtime().block_on(async {
        let stream = tokio::net::TcpStream::connect(target).await.ok()?;
        let (sender, connection) = h2::client::handshake(stream).await.ok()?;
        let driving = tokio::spawn(connection);
        let mut sender = sender.ready().await.ok()?;
        let (head, body) = hop.clone().into_parts();
        let mut request = Request::new(());
        *request.method_mut() = head.method;
        *request.uri_mut() = head.uri;
        *request.headers_mut() = head.headers;
        let (answer, mut stream) = sender.send_request(request, body.is_empty()).ok()?;
        if !body.is_empty() {
            stream.send_data(body.into(), true).ok()?;
        }
        let status = timeout(e2e::process::PATIENCE, answer).await.expect("an answer");
        driving.abort();
        Some(status.ok()?.status().as_u16())
    })
}

/// The status of an answer that lets nobody in.
pub(super) fn is_refused(status: Option<u16>) -> bool {
    status.is_none_or(|status| (400..500).contains(&status))
}

#[test]
fn a_hop_that_is_sent_again_is_refused() {
    let tapped = Tapped::start();
    let (sent, hop) = tapped.hop();
    let (refused, calls) = (tapped.refused(), tapped.backend.received().len());
    // Decoded and sent anew, and then byte for byte.
    assert!(hop.headers().contains_key("promgate-hop"), "{:?}", hop.headers().keys());
    assert!(!hop.headers().contains_key("authorization"), "her token does not travel");
    for _time in 0..3 {
        let status = send(tapped.target(), &hop);
        assert!(is_refused(status), "{status:?}");
    }
    let mut stream = TcpStream::connect(tapped.target()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.write_all(&sent).unwrap();
    let mut answer = Vec::new();
    let _until_it_is_silent = stream.read_to_end(&mut answer);
    assert!(tapped.refused() >= refused + 4.0, "{} of 4 are counted", tapped.refused() - refused);
    tapped.assert_untouched(calls);
}

#[test]
fn a_hop_that_was_changed_is_refused() {
    let tapped = Tapped::start();
    let (_, hop) = tapped.hop();
    let (refused, calls) = (tapped.refused(), tapped.backend.received().len());
    let value = hop.headers()["promgate-hop"].as_bytes().to_vec();
    let mut sent = 0.0;
    let mut try_with = |value: Option<Vec<u8>>, change: &dyn Fn(&mut Hop)| {
        let mut changed = hop.clone();
        changed.headers_mut().remove("promgate-hop");
        if let Some(value) = value {
            changed.headers_mut().insert("promgate-hop", value.try_into().unwrap());
        }
        change(&mut changed);
        let status = send(tapped.target(), &changed);
        assert!(is_refused(status), "{status:?}");
        sent += 1.0;
    };
    try_with(None, &|_| {});
    try_with(Some(Vec::new()), &|_| {});
    for step in 0..40 {
        let mut spoiled = value.clone();
        let at = step * spoiled.len() / 40;
        spoiled[at] = if spoiled[at] == b'A' { b'B' } else { b'A' };
        try_with(Some(spoiled), &|_| {});
    }
    for length in [1, value.len() / 2, value.len() - 1] {
        try_with(Some(value[..length].to_vec()), &|_| {});
    }
    try_with(Some([value.as_slice(), b"A"].concat()), &|_| {});
    try_with(Some(vec![b'A'; 20_000]), &|_| {});
    try_with(Some(value.clone()), &|hop| *hop.method_mut() = http::Method::DELETE);
    try_with(Some(value), &|hop| *hop.uri_mut() = "/_promgate/leave".parse().unwrap());
    assert!(tapped.refused() > refused + 40.0, "they are counted: {}", tapped.refused() - refused);
    tapped.assert_untouched(calls);
}

#[test]
fn control_messages_of_strangers_are_refused() {
    let tapped = Tapped::start();
    let calls = tapped.backend.received().len();
    let control = ["status", "leave", "sessions/end", "sessions/take", "streams/end"]
        .map(|path| format!("/_promgate/{path}"));
    for path in control.iter().map(String::as_str).chain(["/mcp", "/"]) {
        for method in ["GET", "POST", "DELETE"] {
            let target = format!("http://{}{path}", tapped.target());
            let body = json!({ "issuer": minter::ISSUER, "subject": "alice" }).to_string();
            let request = Request::builder().method(method).uri(target);
            let status = send(tapped.target(), &request.body(body.into_bytes()).unwrap());
            assert!(is_refused(status), "{method} {path}: {status:?}");
        }
    }
    tapped.assert_untouched(calls);
}

#[test]
fn a_client_is_not_served_there() {
    let replicas = parts::shared();
    let session = replicas.at(0).session(&minter::token("alice"));
    let request = session.request("ping", json!({})).bytes();
    let mut stream = TcpStream::connect(replicas.at(0).place().peer()).unwrap();
    stream.set_read_timeout(Some(e2e::process::PATIENCE)).unwrap();
    stream.write_all(&request).unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).unwrap_or_default();
    assert!(!answer[..read].starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(session.call("ping", json!({})).status(), 200);
}

/// A sequence of bytes that is the same in each run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        // Constants of the generator known as PCG.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// A frame of HTTP/2 with any type, flags, stream and content, and most often the right length.
    fn frame(&mut self) -> Vec<u8> {
        let length = self.next() % 80;
        let said = if self.next().is_multiple_of(8) { self.next() % 70_000 } else { length };
        let mut frame = said.to_be_bytes()[5..].to_vec();
        frame.push((self.next() % 12).to_le_bytes()[0]);
        frame.extend(self.bytes(1));
        frame.extend((self.next() % 6).to_be_bytes()[4..].iter());
        frame.extend(self.bytes(length));
        frame
    }
}

#[test]
fn noise_does_no_harm() {
    let tapped = Tapped::start();
    let calls = tapped.backend.received().len();
    let mut noise = Noise(7);
    for round in 0..300 {
        let mut sent = Vec::new();
        if round % 3 > 0 {
            sent.extend(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        }
        if round % 3 > 1 {
            sent.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        }
        if round % 3 == 0 {
            let length = noise.next() % 2000;
            sent.extend(noise.bytes(length));
        } else {
            (0..noise.next() % 12).for_each(|_| sent.extend(noise.frame()));
        }
        let mut stream = TcpStream::connect(tapped.target()).unwrap();
        // It may close while we write.
        let _closed = stream.write_all(&sent);
    }
    tapped.assert_untouched(calls);
    tapped.replicas.at(1).with(|server| {
        let lines = server.process().stderr().lines();
        assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:#?}");
        assert!(server.process().wait(Duration::ZERO).is_none(), "it runs");
    });
}

#[test]
fn what_replicas_tell_one_another_shows_neither_their_key_nor_a_token() {
    let tapped = Tapped::start();
    let (sent, hop) = tapped.hop();
    let shown = format!("{:?} {}", hop.headers(), String::from_utf8_lossy(&sent));
    let signature = tapped.token.rsplit('.').next().unwrap();
    for secret in [CLUSTER_KEY, signature] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

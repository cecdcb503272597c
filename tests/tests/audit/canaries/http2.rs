//! HTTP/2 without TLS, for requests that can be said in it.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use e2e::{
    http::{Answer, Head, Request},
    process::PATIENCE,
};
use reqwest::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

/// A client of one connection.
pub(super) struct Http2 {
    runtime: Runtime,
    client: reqwest::Client,
    answered: AtomicUsize,
}

/// Headers that are of HTTP/1.1 alone.
const OF_CONNECTIONS: [&str; 3] = ["connection", "transfer-encoding", "upgrade"];

impl Default for Http2 {
    fn default() -> Self {
        // Made for TLS too, which wants a provider although nothing here is encrypted.
        let _set_by_another_test = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build();
        Self {
            runtime: Builder::new_current_thread().enable_all().build().expect("a runtime"),
            client: client.expect("a client"),
            answered: AtomicUsize::new(0),
        }
    }
}

impl Http2 {
    /// How many requests were answered.
    pub(super) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// The same request, if this client can make it: it wants whole addresses, and lengths that are true.
    pub(super) fn translated(
        &self,
        address: SocketAddr,
        request: &Request,
    ) -> Option<reqwest::Request> {
        let (method, target, headers, body) = request.parts();
        if !target.starts_with('/') || target.starts_with("//") || target.contains('#') {
            return None;
        }
        let mut translated = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            if OF_CONNECTIONS.contains(&name.as_str())
                || (name == HOST && value != "localhost")
                || (name == CONTENT_LENGTH && *value != body.len().to_string())
            {
                return None;
            }
            if name != HOST && name != CONTENT_LENGTH {
                translated.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
            }
        }
        let method = reqwest::Method::from_bytes(method.as_bytes()).ok()?;
        let address = format!("http://{address}{target}");
        let request = self.client.request(method, address).headers(translated);
        request.body(body.to_vec()).build().ok()
    }

    /// What is answered; nothing when it is cut.
    pub(super) fn exchange(&self, request: reqwest::Request) -> Option<Answer> {
        let answer = async {
            let answer = self.client.execute(request).await.ok()?;
            assert_eq!(answer.version(), reqwest::Version::HTTP_2);
            let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let pair = |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), text(value));
            let headers = answer.headers().iter().map(pair).collect();
            let head = Head::new(answer.status().as_u16(), headers);
            Some(Answer { head, body: answer.bytes().await.ok()?.to_vec() })
        };
        let answer = self.runtime.block_on(async { timeout(PATIENCE, answer).await });
        let answer = answer.expect("the server answers or cuts");
        self.answered.fetch_add(usize::from(answer.is_some()), Ordering::Relaxed);
        answer
    }
}

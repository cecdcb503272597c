//! One receiver, and how it is reached.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt as _, Limited};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use super::{
    answer::{SendError, Taken, of_grpc, of_http},
    seldom::Seldom,
};
use crate::config::{Otlp, OtlpProtocol};

/// Longest answer that is read, in bytes: counts and one sentence.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// An idle connection is closed by us after this long, before what stands in between forgets it.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(45);
/// How often a receiver must show that it is there while it owes an answer over HTTP/2: a connection that has died
/// silently would be used again and again.
const PING_EVERY: Duration = Duration::from_secs(10);

/// What kind of data is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// An `ExportTraceServiceRequest`.
    Traces,
    /// An `ExportLogsServiceRequest`.
    Logs,
}

/// The client of one receiver. Its connections belong to the runtime in which the first request is sent.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    receiver: Url,
    protocol: OtlpProtocol,
    /// Those that are configured; their values are marked sensitive.
    headers: HeaderMap,
    timeout: Duration,
    refusals: Seldom,
}

/// A client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Certificates or keys cannot be used, or those of the system cannot be read.
    #[error("the client of an OpenTelemetry receiver cannot be made")]
    Client(#[from] reqwest::Error),
    /// The name in the receiver's certificate is no host's name.
    #[error("`tls.server_name` of an OpenTelemetry receiver has to be a name, not an address")]
    ServerName,
}

impl Client {
    /// Makes the client of a receiver; nothing is connected yet.
    ///
    /// # Errors
    /// [`ClientError`] when something about TLS cannot be used.
    pub fn new(config: &Otlp) -> Result<Self, ClientError> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(concat!("promgate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.timeout)
            .pool_idle_timeout(IDLE_CONNECTION_MAX)
            .pool_max_idle_per_host(1);
        if config.protocol == OtlpProtocol::Grpc {
            builder = builder
                .http2_prior_knowledge()
                .http2_keep_alive_interval(PING_EVERY)
                .http2_keep_alive_timeout(PING_EVERY)
                .no_gzip();
        }
        let (tls, mut receiver) = (&config.tls, config.endpoint.clone());
        if let Some(pem) = &tls.ca_pem {
            builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?);
        } else if receiver.scheme() == "http" {
            // Nothing is verified, so the system's store need not exist, nor be read.
            builder = builder.tls_certs_only([]);
        }
        if let Some((certificate, key)) = &tls.identity {
            let both = [certificate, key.expose().as_bytes()].join(&b'\n');
            builder = builder.identity(reqwest::Identity::from_pem(&both)?);
        }
        if let Some(name) = &tls.server_name {
            let host = receiver.host_str().unwrap_or_default().trim_matches(['[', ']']).into();
            builder = builder.dns_resolver(Arc::new(Elsewhere { host }));
            // An address would be connected to, and not looked up.
            if name.parse::<IpAddr>().is_ok() || receiver.set_host(Some(name)).is_err() {
                return Err(ClientError::ServerName);
            }
        }
        Ok(Self {
            http: builder.build()?,
            receiver,
            protocol: config.protocol,
            headers: config.headers.clone(),
            timeout: config.timeout,
            refusals: Seldom::default(),
        })
    }

    /// Sends one request, which is whole already, and waits for the answer within the configured time. What fails may
    /// be sent again if [`SendError::may_pass`] says so.
    ///
    /// # Errors
    /// [`SendError`] when the receiver took nothing.
    pub async fn send(&self, request: Bytes, signal: Signal) -> Result<Taken, SendError> {
        let exchange = async {
            match self.protocol {
                OtlpProtocol::HttpProtobuf => self.post(request).await,
                OtlpProtocol::Grpc => self.call(&request, signal).await,
            }
        };
        let answered = tokio::time::timeout(self.timeout, exchange).await;
        let taken = answered.unwrap_or(Err(SendError::Timeout(self.timeout)))?;
        if (taken.rejected > 0 || taken.said.is_some()) && self.refusals.now() {
            tracing::warn!(
                of = signal.name(),
                rejected = taken.rejected,
                said = taken.said.as_deref(),
                "a receiver of OpenTelemetry data does not take all of it"
            );
        }
        Ok(taken)
    }

    async fn post(&self, request: Bytes) -> Result<Taken, SendError> {
        const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
        let sent = self.http.post(self.receiver.clone()).headers(self.headers.clone());
        let sent = sent.header(header::CONTENT_TYPE, PROTOBUF).body(request).send().await;
        let answer: http::Response<reqwest::Body> = sent.map_err(no_answer)?.into();
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        match body {
            Ok(body) => of_http(head.status, &head.headers, &body.to_bytes()),
            Err(_broken) if head.status.is_success() => Err(SendError::BadAnswer),
            // The status says enough.
            Err(_broken) => of_http(head.status, &head.headers, &[]),
        }
    }

    /// A unary call. Spec: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
    async fn call(&self, request: &Bytes, signal: Signal) -> Result<Taken, SendError> {
        const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
        const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
        let mut url = self.receiver.clone();
        url.set_path(signal.method());
        let length = u32::try_from(request.len()).map_err(|_long| SendError::BadAnswer)?;
        let mut framed = BytesMut::with_capacity(request.len() + 5);
        framed.put_u8(0);
        framed.put_u32(length);
        framed.extend_from_slice(request);
        let sent = self
            .http
            .post(url)
            .headers(self.headers.clone())
            .header(header::CONTENT_TYPE, GRPC)
            .header(header::TE, TRAILERS)
            .header("grpc-timeout", format!("{}m", self.timeout.as_millis()))
            .body(framed.freeze())
            .send()
            .await;
        let answer: http::Response<reqwest::Body> = sent.map_err(no_answer)?.into();
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_broken| SendError::BadAnswer)?;
        let trailers = body.trailers().cloned();
        of_grpc(head.status, &head.headers, (&body.to_bytes(), trailers.as_ref()))
    }
}

/// Finds the receiver at its host's addresses, whatever the name in its certificate.
#[derive(Debug)]
struct Elsewhere {
    host: Box<str>,
}

impl Resolve for Elsewhere {
    fn resolve(&self, _name: Name) -> Resolving {
        let host = self.host.clone();
        Box::pin(async move {
            // Port 0 stands for that of the address that is asked for.
            let found: io::Result<Vec<SocketAddr>> =
                tokio::net::lookup_host((&*host, 0)).await.map(Iterator::collect);
            let addresses: Addrs = Box::new(found?.into_iter());
            Ok(addresses)
        })
    }
}

/// Without the address, which an operator has in the configuration, and which may say more than a log should.
fn no_answer(error: reqwest::Error) -> SendError {
    SendError::NoAnswer(error.without_url())
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }

    const fn method(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }
}

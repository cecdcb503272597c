//! One bounded HTTP exchange with a backend.

use std::{
    collections::BTreeSet,
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use serde_json::Value;
use url::Url;

use super::{
    error::{BackendError, BuildFault},
    traced::{peer, told},
};
use crate::{
    call::Upstream,
    config::{BackendAuth, BackendConfig, OrgId},
    secret::Secret,
    trace::{Answer, Peer, Trace},
};

/// Pause before the second try to connect: a restarting backend or a rotated address gets a chance,
/// and the caller hardly notices.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// How often one question may be tried again.
const RECONNECTS_MAX: u32 = 1;

/// An idle connection is closed by us after this long, which is less than what servers and
/// load balancers wait (60 s and more), so that a request rarely meets one that just closed.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(45);

/// Idle connections kept open to one backend.
const IDLE_CONNECTIONS_MAX: usize = 32;

/// Largest body read with an error status. The API's errors are short; a page is never shown.
const ERROR_BODY_BYTES_MAX: usize = 256 << 10;

/// Secrets shorter than this are not looked for in a backend's words: replacing every `a` would
/// hide what they say and protect nothing.
const HIDDEN_BYTES_MIN: usize = 4;

const ORG_HEADER: &str = "x-scope-orgid";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `/api/v1/query`
    Query,
    /// `/api/v1/query_range`
    QueryRange,
    /// `/api/v1/label/__name__/values`
    MetricNames,
    /// `/api/v1/status/buildinfo`
    BuildInfo,
}

/// A question to a backend.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// Where it goes.
    pub(crate) endpoint: Endpoint,
    /// Its parameters, form-encoded.
    pub(crate) form: String,
    /// The tenant it is about.
    pub(crate) org: Option<&'a OrgId>,
    /// Limit from connecting to the last byte.
    pub(crate) deadline: Duration,
    /// Whether the caller set the limit, to less than ours.
    pub(crate) hurried: bool,
    /// Where it is noted how the backend answers.
    pub(crate) upstream: Option<&'a Upstream>,
    /// The trace that it belongs to.
    pub(crate) trace: Option<&'a Trace>,
}

impl Question<'_> {
    fn note_retry(&self) {
        if let Some(upstream) = self.upstream {
            upstream.note_retry();
        }
    }
}

/// What a backend answered, unread.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) media_type: Option<String>,
    pub(super) retry_after_s: Option<u64>,
    pub(super) body: Vec<u8>,
}

/// The HTTP client of one backend.
#[derive(Debug)]
pub(super) struct Exchange {
    client: reqwest::Client,
    authorization: Option<HeaderValue>,
    base: Url,
    /// The backend, as traces name it.
    peer: Arc<Peer>,
    bytes_max: usize,
    /// What a backend must not tell our callers, should it repeat what we sent.
    hidden: Vec<Secret>,
    /// Set once the backend refused POST and took GET instead.
    get_only: AtomicBool,
}

impl Exchange {
    pub(super) fn new(config: &BackendConfig) -> Result<Self, BuildFault> {
        let mut builder = reqwest::Client::builder()
            .default_headers(headers(config))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(IDLE_CONNECTION_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX);
        if let Some(pem) = &config.ca_pem {
            let roots = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|source| BuildFault::CaUnreadable(Some(source)))?;
            if roots.is_empty() {
                return Err(BuildFault::CaUnreadable(None));
            }
            builder = builder.tls_certs_only(roots);
        } else if config.url.scheme() == "http" {
            // Nothing is verified, so the system's store need not exist, nor be read.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(BuildFault::Client)?;
        let authorization = authorization(&client, config)?;
        Ok(Self {
            hidden: hidden(config, authorization.as_ref()),
            authorization,
            client,
            base: config.url.clone(),
            peer: Arc::new(peer(config)),
            bytes_max: config.response_bytes_max,
            get_only: AtomicBool::new(false),
        })
    }

    /// Asks within the question's deadline.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<Reply, BackendError> {
        tokio::time::timeout(question.deadline, self.post_or_get(question))
            .await
            .map_err(|_elapsed| BackendError::Timeout { limit: question.deadline })?
    }

    /// Masks our own credentials in what a backend says.
    pub(super) fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.hidden {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), "***");
            }
        }
        text
    }

    async fn post_or_get(&self, question: &Question<'_>) -> Result<Reply, BackendError> {
        let by_get = match question.endpoint {
            Endpoint::MetricNames | Endpoint::BuildInfo => true,
            Endpoint::Query | Endpoint::QueryRange => self.get_only.load(Ordering::Relaxed),
        };
        // One for the whole question, by whatever method it is asked.
        let mut reconnects_left = RECONNECTS_MAX;
        if by_get {
            return self.send(question, Method::GET, &mut reconnects_left).await;
        }
        let reply = self.send(question, Method::POST, &mut reconnects_left).await?;
        if reply.status != StatusCode::METHOD_NOT_ALLOWED {
            return Ok(reply);
        }
        question.note_retry();
        let reply = self.send(question, Method::GET, &mut reconnects_left).await?;
        if reply.status.is_success() {
            self.get_only.store(true, Ordering::Relaxed);
        }
        Ok(reply)
    }

    async fn send(
        &self,
        question: &Question<'_>,
        method: Method,
        reconnects_left: &mut u32,
    ) -> Result<Reply, BackendError> {
        let (response, span) = loop {
            let span = question.trace.map(|trace| {
                let path = question.endpoint.tail();
                trace.backend(&self.peer, method.clone(), path)
            });
            let request = self.request(question, method.clone());
            let fault = match told(request, span.as_ref()).send().await {
                Ok(response) => break (response, span),
                Err(fault) => unsent(fault),
            };
            if let Some(span) = span {
                span.answered(Answer::Failed(None, fault.outcome()));
            }
            // A certificate that is not trusted now is not trusted in a moment either.
            if *reconnects_left == 0 || !matches!(fault, BackendError::Unreachable(_)) {
                return Err(fault);
            }
            *reconnects_left -= 1;
            tokio::time::sleep(RECONNECT_PAUSE).await;
            question.note_retry();
        };
        if let Some(upstream) = question.upstream {
            upstream.note_status(response.status().as_u16());
        }
        let status = response.status().as_u16();
        let reply = self.receive(response).await;
        if let Some(span) = span {
            span.answered(match &reply {
                Ok(_) => Answer::Whole(status),
                Err(fault) => Answer::Failed(Some(status), fault.outcome()),
            });
        }
        reply
    }

    fn request(&self, question: &Question<'_>, method: Method) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&question.endpoint.path(self.base.path()));
        let by_post = method == Method::POST;
        if !by_post && !question.form.is_empty() {
            url.set_query(Some(&question.form));
        }
        let mut request = self.client.request(method, url);
        if by_post {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request = request.header(CONTENT_TYPE, form).body(question.form.clone());
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if let Some(org) = question.org {
            request = request.header(ORG_HEADER, org.as_str());
        }
        request
    }

    async fn receive(&self, mut response: reqwest::Response) -> Result<Reply, BackendError> {
        let status = response.status();
        let head = response.headers();
        let (media_type, retry_after_s) = (media_type(head), retry_after_s(head));
        let reply = |body| Reply { status, media_type, retry_after_s, body };
        let good = status.is_success();
        let bytes_max =
            if good { self.bytes_max } else { self.bytes_max.min(ERROR_BODY_BYTES_MAX) };
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|f| BackendError::Interrupted(f.without_url()))?
        {
            if chunk.len() > bytes_max.saturating_sub(body.len()) {
                if good {
                    return Err(BackendError::TooLarge { bytes_max });
                }
                // The status says enough; what is this long is no error of the API.
                return Ok(reply(Vec::new()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(reply(body))
    }
}

impl Endpoint {
    /// The endpoint's path below `prefix`, the path of the base address.
    fn path(self, prefix: &str) -> String {
        [prefix.trim_end_matches('/'), self.tail()].concat()
    }

    const fn tail(self) -> &'static str {
        match self {
            Self::Query => "/api/v1/query",
            Self::QueryRange => "/api/v1/query_range",
            Self::MetricNames => "/api/v1/label/__name__/values",
            Self::BuildInfo => "/api/v1/status/buildinfo",
        }
    }
}

/// Tells apart why there is no response.
fn unsent(fault: reqwest::Error) -> BackendError {
    let fault = fault.without_url();
    if !fault.is_connect() {
        BackendError::Interrupted(fault)
    } else if is_tls(&fault) {
        BackendError::Tls(fault)
    } else {
        BackendError::Unreachable(fault)
    }
}

/// Whether TLS is at fault.
fn is_tls(fault: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn Error> = fault.source();
    while let Some(error) = cause {
        if error.is::<rustls::Error>() {
            return true;
        }
        // An error of I/O does not name as its source what it was made of.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}

/// Headers of every request besides the credentials.
fn headers(config: &BackendConfig) -> HeaderMap {
    let mut headers = config.headers.clone();
    for value in headers.values_mut() {
        value.set_sensitive(true);
    }
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let agent = concat!("promgate/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    headers
}

/// The credentials as reqwest writes them, marked sensitive.
///
/// Since no redirect is followed, they reach no host but the configured one.
fn authorization(
    client: &reqwest::Client,
    config: &BackendConfig,
) -> Result<Option<HeaderValue>, BuildFault> {
    let request = client.get(config.url.clone());
    let request = match &config.auth {
        BackendAuth::None => return Ok(None),
        BackendAuth::Basic { username, password } => {
            request.basic_auth(username, Some(password.expose()))
        }
        BackendAuth::Token(token) => request.bearer_auth(token.expose()),
    };
    let request = request.build().map_err(|_malformed| BuildFault::CredentialsUnusable)?;
    let mut value = request.headers().get(AUTHORIZATION).cloned();
    if let Some(value) = &mut value {
        value.set_sensitive(true);
    }
    Ok(value)
}

/// Everything secret that a request carries, in the forms in which it could come back.
fn hidden(config: &BackendConfig, authorization: Option<&HeaderValue>) -> Vec<Secret> {
    let encoded = authorization.and_then(|v| v.to_str().ok()?.split_once(' '));
    let headers = config.headers.values().filter_map(|value| value.to_str().ok());
    let mut hidden: Vec<_> = encoded.map(|(_, value)| value).into_iter().chain(headers).collect();
    if let BackendAuth::Basic { password, .. } = &config.auth {
        hidden.push(password.expose());
    }
    hidden.retain(|value| value.len() >= HIDDEN_BYTES_MIN);
    // JSON shows some characters in another form.
    let escaped: Vec<_> = hidden.iter().map(|value| Value::from(*value).to_string()).collect();
    let escaped = escaped.iter().map(|json| json.trim_matches('"'));
    let all: BTreeSet<&str> = hidden.iter().copied().chain(escaped).collect();
    all.into_iter().map(Secret::new).collect()
}

/// `type/subtype` without parameters, if it is well formed and short: it is shown to callers.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim();
    let good = |b: u8| b.is_ascii_alphanumeric() || b"/.+-_".contains(&b);
    let well_formed = essence.len() <= 80 && essence.contains('/') && essence.bytes().all(good);
    well_formed.then(|| essence.to_ascii_lowercase())
}

/// `Retry-After` in seconds; the form with a date is rare and left out.
fn retry_after_s(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

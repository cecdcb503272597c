//! How a backend appears in a trace, and what it is told of one.

use http::{HeaderMap, HeaderName};

use crate::{
    config::BackendConfig,
    trace::{Open, Peer},
};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The backend, as spans name it.
pub(super) fn peer(config: &BackendConfig) -> Peer {
    Peer {
        backend: config.name.clone(),
        host: config.url.host_str().unwrap_or_default().into(),
        port: config.url.port_or_known_default().unwrap_or_default(),
    }
}

/// The request with what the backend is told of the trace, whatever its configured headers say.
pub(super) fn told(
    request: reqwest::RequestBuilder,
    span: Option<&Open<'_>>,
) -> reqwest::RequestBuilder {
    let Some((parent, state)) = span.and_then(Open::headers) else { return request };
    let mut told = HeaderMap::with_capacity(2);
    told.insert(TRACEPARENT, parent);
    if let Some(state) = state {
        told.insert(TRACESTATE, state);
    }
    request.headers(told)
}

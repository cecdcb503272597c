//! What is checked before a body is read: the request itself, and who sends it.

use std::net::IpAddr;

use http::{HeaderMap, Method, header};
use mcp_core::server::{Accepts, era};
use pingora::{
    http::RequestHeader,
    protocols::http::{ServerSession, v1::server::HttpSession as SessionV1},
};

use crate::{
    client_address,
    gate::{Pass, Visitor},
    hygiene,
    live::Live,
    media,
    refusal::{Denial, Refusal},
    well_known::Served,
};

/// Where a request goes that may go on.
pub(super) enum Destination {
    /// To a document of `.well-known`, which is this.
    Document(Served),
    /// To the MCP endpoint.
    Caller(Pass),
}

/// Checks the request and who sends it, who has that address.
pub(super) async fn admit(
    session: &ServerSession,
    live: &Live,
    address: Option<IpAddr>,
) -> Result<Destination, Denial> {
    let header = session.req_header();
    let peer = peer(session);
    live.gate.address(address)?;
    let raw_header = || session.as_http1().map(SessionV1::get_headers_raw_bytes);
    hygiene::check_framing(&header.headers, || raw_header().unwrap_or_default())?;
    let host = hygiene::check_target(header, header.raw_path())?;
    if !hygiene::host_is_allowed(&live.allowed_hosts, host) {
        return Err(Refusal::HostForbidden.into());
    }
    let path = header.uri.path();
    if let Some(answer) = live.documents.answer(&header.method, path) {
        // A body that nobody reads would be taken for the connection's next request.
        if announces_body(&header.headers) {
            return Err(Refusal::BodyUnexpected.into());
        }
        return answer.map(Destination::Document);
    }
    if path.strip_suffix('/').unwrap_or(path) != live.path {
        return Err(Refusal::Path.into());
    }
    hygiene::check_origin(&live.allowed_origins, &header.headers)?;
    let visitor = Visitor {
        headers: &header.headers,
        query: header.uri.query(),
        address,
        peer_is_trusted: peer
            .is_some_and(|peer| client_address::is_trusted(peer, &live.trusted_proxies)),
    };
    let mut pass = live.gate.admit(visitor).await?;
    pass.caller.edition = live.edition.clone();
    Ok(Destination::Caller(pass))
}

fn peer(session: &ServerSession) -> Option<IpAddr> {
    session.client_addr().and_then(|peer| peer.as_inet()).map(std::net::SocketAddr::ip)
}

/// The client's address, as far as it can be believed.
pub(super) fn client(session: &ServerSession, live: &Live) -> Option<IpAddr> {
    let headers = &session.req_header().headers;
    peer(session).map(|peer| client_address::client(peer, headers, &live.trusted_proxies))
}

/// Checks that the method, and what goes with it, is one of the MCP endpoint.
pub(super) fn message(header: &RequestHeader, accepts: Accepts) -> Result<(), Refusal> {
    match header.method {
        Method::POST => media::check_content(&header.headers)?,
        Method::GET | Method::DELETE if era::names_stateless_version(&header.headers) => {
            return Err(Refusal::MethodOfEra);
        }
        // A body that nobody reads would be taken for the connection's next request.
        Method::GET | Method::DELETE if announces_body(&header.headers) => {
            return Err(Refusal::BodyUnexpected);
        }
        Method::GET | Method::DELETE => {}
        _ => return Err(Refusal::Method),
    }
    let readable = match header.method {
        Method::GET => accepts.sse,
        Method::POST => accepts.json || accepts.sse,
        _ => true,
    };
    if readable { Ok(()) } else { Err(Refusal::NotAcceptable) }
}

fn announces_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

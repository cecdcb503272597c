//! One careful GET, for keys and for metadata.
//!
//! Only https, unless the host is loopback or plain http was allowed; no redirect is followed and
//! no proxy is taken from the environment; no credentials go out; forbidden addresses are refused
//! after the name was resolved, so that a name cannot lead to them; time and size are bounded.

use std::{
    error::Error,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, USER_AGENT},
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::source::Terms;

mod address;

#[cfg(test)]
pub(crate) mod fake;

pub use self::address::Forbidden;

/// Largest document read, in bytes after decompression. Real ones have 1 to 30 KiB.
pub const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// Fetches documents on the same [`Terms`].
#[derive(Debug)]
pub struct Fetcher {
    client: reqwest::Client,
    allow_http: bool,
    timeout: Duration,
}

/// A document that came with status 200.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The whole body.
    pub body: Bytes,
    /// The answer's headers.
    pub headers: HeaderMap,
}

/// A client that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificate authorities could not be read.
    #[error("the CA file holds no readable PEM certificate")]
    CaUnreadable(#[source] Option<reqwest::Error>),
    /// The HTTP client refused its settings. Mostly: the system has no store of public CAs.
    #[error(
        "no HTTP client could be made; does the system have CA certificates, or set a CA file?"
    )]
    Client(#[source] reqwest::Error),
}

/// Why a document did not come.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch {url}")]
pub struct FetchError {
    /// The address, without user, password, query and fragment.
    pub url: Arc<str>,
    /// What went wrong.
    #[source]
    pub fault: FetchFault,
}

/// What went wrong while a document was fetched. Never holds any of the document.
#[derive(Debug, thiserror::Error)]
pub enum FetchFault {
    /// Plain http, or something else.
    #[error("the address is not https; use https, or set `allow_http` if the network is trusted")]
    NotHttps,
    /// User or password in the address.
    #[error("the address holds a user or a password; remove them, none are ever sent")]
    Credentials,
    /// An address that may not be asked.
    #[error(
        "it leads to {address}, which is {}; let its host name a provider's real address",
        .why.words()
    )]
    Forbidden {
        /// The address.
        address: IpAddr,
        /// Why not.
        why: Forbidden,
    },
    /// The name has no address.
    #[error("the host's name cannot be resolved; check its spelling and this machine's DNS")]
    Unresolved(#[source] Option<io::Error>),
    /// No connection.
    #[error("no connection; check that the provider runs and that no firewall is in between")]
    Unreachable(#[source] reqwest::Error),
    /// The TLS handshake failed: mostly, a certificate that is not trusted.
    #[error("no TLS connection; if the provider's CA is your own, set a CA file")]
    Tls(#[source] reqwest::Error),
    /// The limit passed.
    #[error("no whole answer within {} s", .limit.as_secs_f64())]
    Timeout {
        /// The limit, from connecting to the last byte.
        limit: Duration,
    },
    /// A redirect, which is not followed.
    #[error(
        "the answer is a redirect (status {status}), which is not followed; set the final address"
    )]
    Redirected {
        /// The status.
        status: StatusCode,
    },
    /// Any other status than 200.
    #[error("the answer has status {status} instead of 200; check the address and the provider")]
    Status {
        /// The status.
        status: StatusCode,
    },
    /// Too large.
    #[error("the answer is larger than {DOCUMENT_BYTES_MAX} bytes; is it the right address?")]
    TooLarge,
    /// The connection broke while the answer was under way, or its encoding is broken.
    #[error("the answer broke off")]
    Interrupted(#[source] reqwest::Error),
}

impl FetchFault {
    /// The status of an answer that came and was not good.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Redirected { status } | Self::Status { status } => Some(*status),
            Self::NotHttps
            | Self::Credentials
            | Self::Forbidden { .. }
            | Self::Unresolved(_)
            | Self::Unreachable(_)
            | Self::Tls(_)
            | Self::Timeout { .. }
            | Self::TooLarge
            | Self::Interrupted(_) => None,
        }
    }
}

impl Fetcher {
    /// `plain` says that the first address is not https, and so no store of public CAs is needed.
    ///
    /// # Errors
    /// [`ClientError`] when the HTTP client cannot be made on these terms.
    pub fn new(terms: &Terms, plain: bool) -> Result<Self, ClientError> {
        let client = match &terms.ca_pem {
            Some(pem) => {
                let roots = reqwest::Certificate::from_pem_bundle(pem)
                    .map_err(|source| ClientError::CaUnreadable(Some(source)))?;
                if roots.is_empty() {
                    return Err(ClientError::CaUnreadable(None));
                }
                builder(terms).tls_certs_only(roots).build()
            }
            None => match builder(terms).build() {
                Err(_no_store) if plain => builder(terms).tls_certs_only([]).build(),
                built => built,
            },
        };
        let client = client.map_err(ClientError::Client)?;
        Ok(Self { client, allow_http: terms.allow_http, timeout: terms.timeout })
    }

    /// Fetches the document at `url`.
    ///
    /// # Errors
    /// [`FetchError`] when the address may not be asked or no whole document came with status 200.
    pub async fn get(&self, url: &Url) -> Result<Fetched, FetchError> {
        let fetched = async {
            check(url, self.allow_http)?;
            self.exchange(url).await
        };
        fetched.await.map_err(|fault| FetchError { url: shown(url), fault })
    }

    /// Whether plain http is allowed beyond loopback.
    #[must_use]
    pub const fn allows_http(&self) -> bool {
        self.allow_http
    }

    async fn exchange(&self, url: &Url) -> Result<Fetched, FetchFault> {
        let mut response =
            self.client.get(url.clone()).send().await.map_err(|fault| self.sorted(fault))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(FetchFault::Redirected { status });
        }
        if status != StatusCode::OK {
            return Err(FetchFault::Status { status });
        }
        let headers = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|fault| self.sorted(fault))? {
            if chunk.len() > DOCUMENT_BYTES_MAX.saturating_sub(body.len()) {
                return Err(FetchFault::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { body: body.freeze(), headers })
    }

    /// Tells apart why there is no whole response.
    fn sorted(&self, fault: reqwest::Error) -> FetchFault {
        let fault = fault.without_url();
        if fault.is_timeout() {
            return FetchFault::Timeout { limit: self.timeout };
        }
        if let Some(unresolved) = cause::<Unresolved>(&fault) {
            return match unresolved {
                Unresolved::Forbidden { address, why } => {
                    FetchFault::Forbidden { address: *address, why: *why }
                }
                Unresolved::Unknown(error) => {
                    let error = error.as_ref().map(|e| io::Error::new(e.kind(), e.to_string()));
                    FetchFault::Unresolved(error)
                }
            };
        }
        if !fault.is_connect() {
            FetchFault::Interrupted(fault)
        } else if cause::<rustls::Error>(&fault).is_some() {
            FetchFault::Tls(fault)
        } else {
            FetchFault::Unreachable(fault)
        }
    }
}

/// Whether the address may be asked, as far as its text says.
///
/// # Errors
/// [`FetchFault`] when it is not https where it must be, holds credentials, or is itself a
/// forbidden address.
pub fn check(url: &Url, allow_http: bool) -> Result<(), FetchFault> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FetchFault::Credentials);
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_http || is_loopback(url) => {}
        _other => return Err(FetchFault::NotHttps),
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    Forbidden::judge(address).map_or(Ok(()), |why| Err(FetchFault::Forbidden { address, why }))
}

/// Whether the host is this machine, by its text alone.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => is_localhost(name),
        None => false,
    }
}

/// Names that always mean this machine. Spec: RFC 6761 §6.3.
fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// The address as errors name it: a query may hold what nobody should read.
pub(crate) fn shown(url: &Url) -> Arc<str> {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    if url.set_username("").and_then(|()| url.set_password(None)).is_err() {
        return url.scheme().into();
    }
    url.as_str().into()
}

/// What every client has in common. A connection serves one fetch: they are minutes apart, and
/// each is to meet the resolver's judgement anew.
fn builder(terms: &Terms) -> reqwest::ClientBuilder {
    let agent = concat!("jsonwebtoken-jwks/", env!("CARGO_PKG_VERSION"));
    let headers = [
        (ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json;q=0.9")),
        (USER_AGENT, HeaderValue::from_static(agent)),
    ];
    reqwest::Client::builder()
        .default_headers(headers.into_iter().collect())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .timeout(terms.timeout)
        .pool_max_idle_per_host(0)
        .dns_resolver(Guard)
}

/// Resolves names and leaves out forbidden addresses.
#[derive(Debug)]
struct Guard;

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
enum Unresolved {
    #[error("forbidden address")]
    Forbidden { address: IpAddr, why: Forbidden },
    #[error("no address")]
    Unknown(#[source] Option<io::Error>),
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            if is_localhost(name.as_str()) {
                // Whatever DNS says, plain http was allowed for this machine only.
                let here: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                let here = here.map(|address| SocketAddr::new(address, 0));
                let here: Addrs = Box::new(here.into_iter());
                return Ok(here);
            }
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map_err(|error| Unresolved::Unknown(Some(error)))?;
            let allowed: Addrs = Box::new(allowed(found)?.into_iter());
            Ok(allowed)
        })
    }
}

/// The addresses that may be asked; an error when there is none.
fn allowed(found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Unresolved> {
    let (mut allowed, mut refused) = (Vec::new(), None);
    for socket in found {
        match Forbidden::judge(socket.ip()) {
            None => allowed.push(socket),
            Some(why) => refused = Some(Unresolved::Forbidden { address: socket.ip(), why }),
        }
    }
    if allowed.is_empty() {
        return Err(refused.unwrap_or(Unresolved::Unknown(None)));
    }
    Ok(allowed)
}

/// The first error of this type among the causes.
fn cause<E: Error + 'static>(fault: &reqwest::Error) -> Option<&E> {
    let mut next: Option<&(dyn Error + 'static)> = fault.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An error of I/O does not name as its source what it was made of.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests;

//! An issuer's metadata: where it is, and whether it is what it says.

use serde::Deserialize;
use url::Url;

use crate::fetch::{FetchError, Fetched, Fetcher};

/// The two documents in which a provider describes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WellKnown {
    /// `oauth-authorization-server`. Spec: RFC 8414 §3.
    OAuth,
    /// `openid-configuration`. Spec: OpenID Connect Discovery 1.0 §4.
    OpenId,
}

/// An issuer whose metadata has an address.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    issuer: String,
    url: Url,
}

/// An issuer whose metadata can have no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an issuer that is to be discovered is an http or https address without query and fragment; \
     correct it, or set the address of its keys"
)]
pub struct BadIssuer;

/// Why an issuer's metadata was not found.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The document did not come.
    #[error("the issuer's metadata did not come")]
    Fetch(#[source] FetchError),
    /// The document is not what it should be.
    #[error("the issuer's metadata at {url} cannot be used")]
    Document {
        /// Where it was.
        url: Url,
        /// What is wrong.
        #[source]
        fault: DocumentFault,
    },
    /// Neither place has it.
    #[error("{first}; nor is it at the other place: {second}", first = crate::live::chain(.0), second = crate::live::chain(.1))]
    Neither(Box<Self>, Box<Self>),
}

/// What is wrong with metadata.
#[derive(Debug, thiserror::Error)]
pub enum DocumentFault {
    /// Not a JSON object with an `issuer`.
    #[error(
        "it is no JSON object with one text `issuer`, as line {line}, column {column} shows; is \
         the issuer's address right?"
    )]
    NotMetadata {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Another issuer. Spec: RFC 8414 §3.3.
    #[error(
        "it names another issuer; the configured one must be equal, byte by byte, also in a \
         slash at its end"
    )]
    OtherIssuer,
    /// No `jwks_uri`, or one that is no address.
    #[error("it has no `jwks_uri` that is an address; set the address of the keys instead")]
    NoKeys,
    /// Keys over http where the metadata came over https.
    #[error("its `jwks_uri` is plain http though the issuer is https; set the keys' https address")]
    Downgrade,
}

/// The members that are read; the rest is passed on or ignored.
#[derive(Deserialize)]
struct Members {
    issuer: String,
    jwks_uri: Option<String>,
}

impl Provider {
    /// # Errors
    /// [`BadIssuer`] when the issuer is no address without query and fragment.
    pub(crate) fn parse(issuer: &str) -> Result<Self, BadIssuer> {
        let url = Url::parse(issuer).map_err(|_no_address| BadIssuer)?;
        let good = matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none();
        if good { Ok(Self { issuer: issuer.to_owned(), url }) } else { Err(BadIssuer) }
    }

    /// Whether the issuer is plain http.
    pub(crate) fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Where a document is. Spec: RFC 8414 §3.1, OpenID Connect Discovery 1.0 §4.1.
    pub(crate) fn address(&self, document: WellKnown) -> Url {
        let path = self.url.path().trim_end_matches('/');
        let path = match document {
            WellKnown::OAuth => ["/.well-known/oauth-authorization-server", path].concat(),
            WellKnown::OpenId => [path, "/.well-known/openid-configuration"].concat(),
        };
        let mut url = self.url.clone();
        url.set_path(&path);
        url
    }

    /// Fetches the metadata from `first`, or from the other place if it is not there.
    ///
    /// # Errors
    /// [`DiscoveryError`] when neither has it, or the first fails in a way that says nothing about
    /// whether it has it.
    pub(crate) async fn metadata(
        &self,
        fetcher: &Fetcher,
        first: WellKnown,
    ) -> Result<Fetched, DiscoveryError> {
        let missing = match self.read(fetcher, first).await {
            Err(error) if error.says_there_is_none() => error,
            done => return done.map(|(fetched, _members)| fetched),
        };
        let found = self.read(fetcher, first.other()).await;
        let found = found.map(|(fetched, _members)| fetched);
        found.map_err(|error| DiscoveryError::Neither(Box::new(missing), Box::new(error)))
    }

    /// Finds out where the issuer's keys are.
    ///
    /// # Errors
    /// [`DiscoveryError`] when the metadata is not there, or does not say.
    pub(crate) async fn keys(&self, fetcher: &Fetcher) -> Result<Url, DiscoveryError> {
        let missing = match self.keys_by(fetcher, WellKnown::OAuth).await {
            Err(error) if error.may_be_elsewhere() => error,
            done => return done,
        };
        let found = self.keys_by(fetcher, WellKnown::OpenId).await;
        found.map_err(|error| DiscoveryError::Neither(Box::new(missing), Box::new(error)))
    }

    async fn keys_by(&self, fetcher: &Fetcher, at: WellKnown) -> Result<Url, DiscoveryError> {
        let (_, members) = self.read(fetcher, at).await?;
        self.jwks_uri(members.jwks_uri.as_deref(), fetcher.allows_http())
            .map_err(|fault| DiscoveryError::Document { url: self.address(at), fault })
    }

    /// Where the keys are, by what the metadata says.
    fn jwks_uri(&self, uri: Option<&str>, allow_http: bool) -> Result<Url, DocumentFault> {
        let url = uri.and_then(|uri| Url::parse(uri).ok()).ok_or(DocumentFault::NoKeys)?;
        if url.scheme() == "http" && !self.is_plain() && !allow_http {
            return Err(DocumentFault::Downgrade);
        }
        Ok(url)
    }

    /// Fetches a document and holds it against the issuer.
    async fn read(
        &self,
        fetcher: &Fetcher,
        at: WellKnown,
    ) -> Result<(Fetched, Members), DiscoveryError> {
        let url = self.address(at);
        let answer = fetcher.get(&url).await.map_err(DiscoveryError::Fetch)?;
        match self.members(&answer.body) {
            Ok(members) => Ok((answer, members)),
            Err(fault) => Err(DiscoveryError::Document { url, fault }),
        }
    }

    fn members(&self, json: &[u8]) -> Result<Members, DocumentFault> {
        // The parser's words may repeat what stands there; its place is enough.
        let members: Members = serde_json::from_slice(json).map_err(|error| {
            DocumentFault::NotMetadata { line: error.line(), column: error.column() }
        })?;
        if members.issuer == self.issuer { Ok(members) } else { Err(DocumentFault::OtherIssuer) }
    }
}

impl WellKnown {
    const fn other(self) -> Self {
        match self {
            Self::OAuth => Self::OpenId,
            Self::OpenId => Self::OAuth,
        }
    }
}

impl DiscoveryError {
    /// Whether the provider has no such document. One that is ill may have it: serving the other
    /// meanwhile would show clients a document that changes to and fro.
    fn says_there_is_none(&self) -> bool {
        let status = match self {
            Self::Document { .. } => return true,
            Self::Neither(..) => return false,
            Self::Fetch(FetchError { fault, .. }) => fault.status(),
        };
        status.is_some_and(|status| {
            let passing = matches!(status.as_u16(), 408 | 429);
            status.is_redirection() || (status.is_client_error() && !passing)
        })
    }

    /// Whether the other document is worth a look, where only the keys are wanted: it does not
    /// matter who names them, and some providers answer 500 for a path that they do not know.
    fn may_be_elsewhere(&self) -> bool {
        match self {
            Self::Document { .. } => true,
            Self::Neither(..) => false,
            Self::Fetch(FetchError { fault, .. }) => fault.status().is_some(),
        }
    }
}

#[cfg(test)]
mod tests;

//! An authorization server's metadata, kept fresh to be served.
//!
//! Both of its documents are kept: where the server has only one, it stands for both. Only what
//! came with status 200 and names the right issuer is ever taken, and it is passed on byte by
//! byte. A document that was good once is served for as long as the server fails.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    cache_control::Freshness,
    discovery::{BadIssuer, DiscoveryError, Provider},
    fetch::{self, ClientError, FetchFault, Fetcher},
    live::{Live, Load, Loaded, Pace, Versioned},
    source::Terms,
};
pub use crate::{discovery::WellKnown, live::Unavailable};

/// Longest pause between two fetches that fail.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// An authorization server's metadata, kept fresh until the last reference is dropped.
#[derive(Debug)]
pub struct Metadata {
    oauth: Live<Document>,
    openid: Live<Document>,
}

/// A document of metadata.
#[derive(Debug)]
pub struct Document {
    /// A JSON object, as the server sent it.
    pub json: Bytes,
    /// How long the server lets it be used, within our bounds.
    pub max_age: Duration,
}

/// Metadata that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The issuer has no address.
    #[error(transparent)]
    Issuer(#[from] BadIssuer),
    /// The address may not be asked.
    #[error("the issuer's address cannot be used")]
    Address(#[source] FetchFault),
    /// No client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Nothing to run the background tasks.
    #[error("metadata is kept by tokio tasks, and there is no tokio runtime here")]
    NoRuntime,
}

impl Metadata {
    /// Starts to keep the metadata of `issuer`; the first fetches begin at once and are not waited
    /// for.
    ///
    /// # Errors
    /// [`MetadataError`] when this cannot work, whatever the server does.
    pub fn start(issuer: &str, terms: &Terms) -> Result<Arc<Self>, MetadataError> {
        let provider = Provider::parse(issuer)?;
        let first = provider.address(WellKnown::OAuth);
        fetch::check(&first, terms.allow_http).map_err(MetadataError::Address)?;
        let fetcher = Arc::new(Fetcher::new(terms, provider.is_plain())?);
        tokio::runtime::Handle::try_current().map_err(|_outside| MetadataError::NoRuntime)?;
        let live = |document| {
            let origin = Origin {
                provider: provider.clone(),
                fetcher: Arc::clone(&fetcher),
                document,
                cache_interval: terms.cache_interval,
            };
            let pace = Pace {
                stale_max: None,
                retry_max: RETRY_MAX,
                load_timeout: terms.timeout.saturating_mul(2),
            };
            Live::start(fetch::shown(&provider.address(document)), pace, origin)
        };
        Ok(Arc::new(Self { oauth: live(WellKnown::OAuth), openid: live(WellKnown::OpenId) }))
    }

    /// A document as it was fetched last.
    ///
    /// # Errors
    /// [`Unavailable`] when it was never fetched.
    pub fn current(&self, document: WellKnown) -> Result<Arc<Document>, Unavailable> {
        self.live(document).current()
    }

    /// Why the last fetch of a document failed; none if it went well. For people; holds nothing of
    /// the document.
    #[must_use]
    pub fn last_error(&self, document: WellKnown) -> Option<Arc<str>> {
        self.live(document).health().last_error
    }

    /// Waits for the end of the first attempt to fetch a document, and returns whether it is there.
    pub async fn attempted(&self, document: WellKnown) -> bool {
        self.live(document).attempted().await
    }

    /// Waits for a document, for so long, and returns whether it is there.
    pub async fn loaded(&self, document: WellKnown, patience: Duration) -> bool {
        self.live(document).loaded(patience).await
    }

    const fn live(&self, document: WellKnown) -> &Live<Document> {
        match document {
            WellKnown::OAuth => &self.oauth,
            WellKnown::OpenId => &self.openid,
        }
    }
}

/// Where a document is loaded from.
#[derive(Debug)]
struct Origin {
    provider: Provider,
    fetcher: Arc<Fetcher>,
    document: WellKnown,
    cache_interval: Duration,
}

impl Load for Origin {
    type Value = Document;
    type Error = DiscoveryError;

    async fn load(&self) -> Result<Loaded<Document>, DiscoveryError> {
        let fetched = self.provider.metadata(&self.fetcher, self.document).await?;
        let lifetime = Freshness::read(&fetched.headers).within(self.cache_interval);
        Ok(Loaded { value: Document { json: fetched.body, max_age: lifetime }, lifetime })
    }
}

impl Versioned for Document {
    fn same(&self, other: &Self) -> bool {
        self.json == other.json
    }

    fn set_generation(&mut self, _generation: u64) {}
}

#[cfg(test)]
mod tests;

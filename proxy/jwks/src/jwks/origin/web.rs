//! Keys that a provider serves.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use url::Url;

use super::{LoadError, parsed};
use crate::{
    cache_control::Freshness,
    discovery::{DiscoveryError, Provider, WellKnown},
    fetch::{self, Fetcher, shown},
    jwks::{Snapshot, StartError},
    live::{Loaded, Pace},
    source::Terms,
};

/// How long a discovered address is used before the metadata is read again. It hardly ever changes,
/// and is read at once when the keys do not come from there any more.
const METADATA_INTERVAL: Duration = Duration::from_hours(1);

/// Longest pause between two fetches that fail.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A provider's keys.
#[derive(Debug)]
pub(in crate::jwks) struct Web {
    fetcher: Fetcher,
    place: Place,
    cache_interval: Duration,
}

/// Where they are.
#[derive(Debug)]
enum Place {
    /// Here.
    Known(Url),
    /// Where the metadata says, and said last.
    Discovered(Provider, Mutex<Option<Discovered>>),
}

/// What the metadata said last.
#[derive(Debug, Clone)]
struct Discovered {
    url: Url,
    at: Instant,
}

impl Web {
    /// Keys at an address; with their name for the log. An address that may not be asked is told
    /// now, and not only by the first fetch.
    pub(in crate::jwks) fn at(url: Url, terms: &Terms) -> Result<(Arc<str>, Self), StartError> {
        fetch::check(&url, terms.allow_http).map_err(StartError::Address)?;
        let fetcher = Fetcher::new(terms, url.scheme() == "http")?;
        let name = shown(&url);
        let cache_interval = terms.cache_interval;
        Ok((name, Self { fetcher, place: Place::Known(url), cache_interval }))
    }

    /// Keys of an issuer.
    pub(in crate::jwks) fn discovered(
        issuer: String,
        terms: &Terms,
    ) -> Result<(Arc<str>, Self), StartError> {
        let provider = Provider::parse(&issuer)?;
        let url = provider.address(WellKnown::OAuth);
        fetch::check(&url, terms.allow_http).map_err(StartError::Address)?;
        let fetcher = Fetcher::new(terms, provider.is_plain())?;
        let place = Place::Discovered(provider, Mutex::new(None));
        Ok((issuer.into(), Self { fetcher, place, cache_interval: terms.cache_interval }))
    }

    /// The times to keep.
    pub(in crate::jwks) fn pace(&self, terms: &Terms) -> Pace {
        let fetches = match self.place {
            Place::Known(_) => 1,
            // The metadata at one place, at the other, and the keys.
            Place::Discovered(..) => 3,
        };
        Pace {
            stale_max: Some(terms.stale_max),
            retry_max: RETRY_MAX,
            load_timeout: terms.timeout.saturating_mul(fetches),
        }
    }

    pub(super) async fn load(&self) -> Result<Loaded<Snapshot>, LoadError> {
        let url = self.url().await?;
        let loaded = self.fetch(&url).await;
        if let (Err(_), Place::Discovered(_, last)) = (&loaded, &self.place) {
            // They may have moved.
            *last.lock() = None;
        }
        loaded
    }

    async fn fetch(&self, url: &Url) -> Result<Loaded<Snapshot>, LoadError> {
        let fetched = self.fetcher.get(url).await.map_err(LoadError::Fetch)?;
        let value = parsed(&fetched.body, || format!("at {}", shown(url)).into())?;
        let lifetime = Freshness::read(&fetched.headers).within(self.cache_interval);
        Ok(Loaded { value, lifetime })
    }

    async fn url(&self) -> Result<Url, LoadError> {
        let (provider, last) = match &self.place {
            Place::Known(url) => return Ok(url.clone()),
            Place::Discovered(provider, last) => (provider, last),
        };
        let known = last.lock().clone();
        if let Some(known) = &known
            && known.at.elapsed() < METADATA_INTERVAL
        {
            return Ok(known.url.clone());
        }
        match (provider.keys(&self.fetcher).await, known) {
            (Ok(url), _) => {
                *last.lock() = Some(Discovered { url: url.clone(), at: Instant::now() });
                Ok(url)
            }
            // Metadata that does not come is no reason to go without keys; metadata that has
            // become wrong is.
            (Err(DiscoveryError::Fetch(_)), Some(known)) => Ok(known.url),
            (Err(error), _) => Err(error.into()),
        }
    }
}

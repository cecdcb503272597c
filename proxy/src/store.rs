//! Where sessions are kept beside their worker, so that another can go on with them.
//!
//! An ordinary request never comes here: a session is written when it is opened, changed or ended, and read when a worker gets
//! a request for one that it does not hold.
//!
//! - Every question is over within the configured time. While the store is known to be down it is not even asked.
//! - What lies there shows no id, no name and no content, and a record that was changed or moved is as good as none.
//! - A store that comes back without what was written is noticed, see [`Store::lost`].

mod connect;
mod fault;
mod figures;
mod keeper;
mod line;
mod records;
mod script;
mod seal;

use std::{fmt, sync::Arc};

use mcp_core::{principal::PrincipalId, secret::Secret, server::SavedSession, session::SessionId};
use rustls::pki_types::{InvalidDnsNameError, pem};
use tokio::task::JoinHandle;

use self::{
    connect::Target,
    line::Line,
    records::{Record, Records},
    script::Scripts,
    seal::StoreKeys,
};
pub use self::{
    fault::StoreDown,
    figures::{Operation, Outcome, StoreFigures},
};
use crate::{
    config::{SessionStore, WhenDown},
    metrics::StoreTimes,
};

/// Where sessions are kept beside their worker.
pub struct Store {
    kept: Kept,
}

enum Kept {
    Nowhere,
    Redis(Redis),
}

struct Redis {
    records: Arc<Records>,
    when_down: WhenDown,
    keeper: JoinHandle<()>,
}

/// What became of a session that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It is there, until it expires.
    Kept,
    /// It is not: its principal has as many others as allowed.
    TooMany,
}

/// A store cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Sessions are sealed under the keys that sign their ids, and there are none.
    #[error("a session store needs session keys")]
    NoKeys,
    /// The library makes no key of a secret.
    #[error("a session key cannot be used")]
    Key,
    /// A certificate cannot carry this name.
    #[error("the host cannot be used with TLS")]
    Host(#[source] InvalidDnsNameError),
    /// The authorities cannot be read.
    #[error("the certificate authorities are not PEM")]
    Pem(#[source] pem::Error),
    /// There is no authority to be trusted.
    #[error("there is no certificate authority in the file")]
    NoAuthority,
    /// The authorities, or those of the system, cannot be used.
    #[error("the certificate authorities cannot be trusted")]
    Trust(#[source] rustls::Error),
}

impl Store {
    /// Opens the store that is configured. It connects in the background, again and again, so a server that is down is no error.
    ///
    /// Must be called on a Tokio runtime, on which it keeps a task until it is dropped.
    ///
    /// # Errors
    /// [`StoreError`] when it could never work as it is configured.
    pub fn open(
        config: &SessionStore,
        keys: &[Secret],
        times: StoreTimes,
    ) -> Result<Arc<Self>, StoreError> {
        let kept = match config {
            SessionStore::Memory => Kept::Nowhere,
            SessionStore::Redis(config) => {
                let keys = StoreKeys::new(keys)?;
                let line = Line::new(Target::new(config)?, config.timeout);
                let records = Records::new(line, Scripts::new(&config.key_prefix), keys, times);
                let records = Arc::new(records);
                let keeper = tokio::spawn(keeper::keep(Arc::clone(&records)));
                Kept::Redis(Redis { records, when_down: config.when_down, keeper })
            }
        };
        Ok(Arc::new(Self { kept }))
    }

    fn records(&self) -> Option<&Records> {
        match &self.kept {
            Kept::Nowhere => None,
            Kept::Redis(redis) => Some(&redis.records),
        }
    }

    /// Whether other processes find here what this one writes. If not, nothing else here does anything.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.records().is_some()
    }

    /// Writes a session, unless its principal has so many others already. A session that is there is replaced.
    ///
    /// # Errors
    /// [`StoreDown`]. When it is over, [`lost`](Self::lost) asks for what was missed.
    pub async fn save(
        &self,
        id: &SessionId,
        saved: &SavedSession,
        of_principal_max: usize,
    ) -> Result<Saved, StoreDown> {
        let Some(records) = self.records() else { return Ok(Saved::Kept) };
        let bytes = serde_json::to_vec(saved).map_err(|_of_our_own| StoreDown::Unfit)?;
        let (principal, expires) = (saved.principal(), saved.expires());
        records.save(Record { id, principal, expires, bytes }, of_principal_max).await
    }

    /// Reads a session. What cannot be opened or read counts as absent.
    ///
    /// # Errors
    /// [`StoreDown`]: nobody knows whether it is there.
    pub async fn load(&self, id: &SessionId) -> Result<Option<SavedSession>, StoreDown> {
        let Some(records) = self.records() else { return Ok(None) };
        records.load(id, |bytes| serde_json::from_slice(bytes).ok()).await
    }

    /// Removes a session that has ended. What fails is done when the store is back, by this process.
    ///
    /// # Errors
    /// [`StoreDown`].
    pub async fn remove(
        &self,
        id: &SessionId,
        principal: Option<PrincipalId>,
    ) -> Result<(), StoreDown> {
        let Some(records) = self.records() else { return Ok(()) };
        records.remove(id, principal).await
    }

    /// Removes all sessions of a principal, and says how many there were.
    ///
    /// # Errors
    /// [`StoreDown`]: some may be left, and are not looked for again.
    pub async fn end_of(&self, principal: PrincipalId) -> Result<u64, StoreDown> {
        let Some(records) = self.records() else { return Ok(0) };
        records.end_of(principal).await
    }

    /// Seals under the first of these keys from now on, and opens what was sealed under any of them.
    ///
    /// A key must stay in the list until the sessions of its time have ended: their ids are signed with it as well.
    ///
    /// # Errors
    /// [`StoreError`], upon which the keys stay as they were.
    pub fn rekey(&self, keys: &[Secret]) -> Result<(), StoreError> {
        if let Some(records) = self.records() {
            records.keys.store(Arc::new(StoreKeys::new(keys)?));
        }
        Ok(())
    }

    /// What happens to new sessions while it cannot be written.
    #[must_use]
    pub fn when_down(&self) -> WhenDown {
        match &self.kept {
            Kept::Nowhere => WhenDown::Memory,
            Kept::Redis(redis) => redis.when_down,
        }
    }

    /// What was counted.
    #[must_use]
    pub fn figures(&self) -> StoreFigures {
        self.records().map_or_else(StoreFigures::of_none, |records| {
            records.tally.figures(records.line.is_up())
        })
    }

    /// Resolves when sessions should be written anew: the store is there and may lack some of them.
    ///
    /// It was started again, replaced or emptied, or it did not take a write and does now. What happens while nobody waits is
    /// told to who waits next. Of several who wait one is told; there should be one.
    ///
    /// Not noticed is a single session that somebody removed or that the server evicted.
    pub async fn lost(&self) {
        match self.records() {
            Some(records) => records.lost.notified().await,
            None => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("is_shared", &self.is_shared()).finish_non_exhaustive()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

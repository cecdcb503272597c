//! Streams that wait here, by the process that passes them on to their clients.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::hop::Signer;

/// What tells streams that the process through which they run is about to end. As many as have streams here.
#[derive(Debug, Default)]
pub(super) struct Passed(Mutex<HashMap<Signer, Weak<CancellationToken>>>);

impl Passed {
    /// What is cancelled when the process says that its streams are to end.
    pub(super) fn through(&self, signer: Signer) -> Arc<CancellationToken> {
        let mut all = self.0.lock();
        if let Some(token) = all.get(&signer).and_then(Weak::upgrade) {
            return token;
        }
        all.retain(|_, token| token.strong_count() > 0);
        let token = Arc::new(CancellationToken::new());
        all.insert(signer, Arc::downgrade(&token));
        token
    }

    /// Ends those that run through this process now.
    pub(super) fn end(&self, signer: Signer) {
        let ended = self.0.lock().remove(&signer);
        if let Some(token) = ended.and_then(|token| token.upgrade()) {
            token.cancel();
        }
    }
}

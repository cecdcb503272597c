//! What clients say of themselves at `initialize`, kept once for all that say the same.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use rmcp::{
    Peer, RoleServer,
    model::{InitializeRequestParams, ProtocolVersion, RequestMetaObject},
};

/// Different clients that are kept for sharing; a session beyond keeps its own copy.
const SHARED_MAX: usize = 1024;
/// Memory of a parsed JSON tree, in bytes for each byte of its text. Measured: 15.
const TREE_FACTOR: usize = 16;
/// Memory of a [`Peer`], in bytes. Measured: 9.4 kB.
const PEER_BYTES: usize = 10 << 10;
/// Share of a session in what may be kept, in bytes.
const BYTES_PER_SESSION: usize = 1 << 10;
/// What may be kept at least, however few sessions are allowed.
const BYTES_MIN: usize = 16 << 20;

/// What one client, or many that are alike, said at `initialize`.
#[derive(Debug)]
pub(super) struct Facts {
    /// Stands for the client in rmcp's eyes; nothing can be sent through it.
    peer: Option<Peer<RoleServer>>,
    /// What it said, without what nobody reads later.
    pub(super) init: InitializeRequestParams,
    /// The version agreed on.
    pub(super) version: ProtocolVersion,
    bytes: usize,
    all_bytes: Arc<AtomicUsize>,
}

/// So much is kept already that no more can be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooMuch;

impl Facts {
    /// Whether the client is given ids of events.
    pub(super) fn has_event_ids(&self) -> bool {
        self.version.as_str() >= ProtocolVersion::V_2025_11_25.as_str()
    }

    /// Gives a call what rmcp asks of its client.
    pub(super) fn introduce(
        &self,
        stranger: &Peer<RoleServer>,
        meta: &mut RequestMetaObject,
    ) -> Peer<RoleServer> {
        if let Some(peer) = &self.peer {
            return peer.clone();
        }
        meta.set_protocol_version(self.version.clone());
        meta.set_client_info(self.init.client_info.clone());
        meta.set_client_capabilities(self.init.capabilities.clone());
        stranger.clone()
    }
}

impl Drop for Facts {
    fn drop(&mut self) {
        self.all_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The facts of one worker's sessions.
#[derive(Debug)]
pub(super) struct FactsTable {
    bytes_max: usize,
    all_bytes: Arc<AtomicUsize>,
    shared: Mutex<HashMap<Box<str>, Arc<Facts>>>,
}

impl FactsTable {
    /// A table for so many sessions. What clients say may take a kilobyte for each.
    pub(super) fn new(sessions_max: usize) -> Self {
        let bytes_max = sessions_max.saturating_mul(BYTES_PER_SESSION).max(BYTES_MIN);
        Self { bytes_max, all_bytes: Arc::default(), shared: Mutex::default() }
    }

    /// What clients that said `init` share. `peer` is called when nobody said it before.
    pub(super) fn of(
        &self,
        init: InitializeRequestParams,
        version: ProtocolVersion,
        peer: impl FnOnce(InitializeRequestParams) -> Peer<RoleServer>,
    ) -> Result<Arc<Facts>, TooMuch> {
        let init = trimmed(init);
        let key = format!("{version} {}", serde_json::to_string(&init).map_err(|_json| TooMuch)?);
        let mut shared = self.shared.lock();
        if let Some(facts) = shared.get(key.as_str()) {
            return Ok(Arc::clone(facts));
        }
        if shared.len() >= SHARED_MAX {
            shared.retain(|_, facts| Arc::strong_count(facts) > 1);
        }
        let is_shared = shared.len() < SHARED_MAX;
        let tree_bytes = key.len().saturating_mul(TREE_FACTOR);
        // A peer holds the parameters once more.
        let bytes = if is_shared { 2 * tree_bytes + PEER_BYTES } else { tree_bytes };
        let has_room = || self.all_bytes.load(Ordering::Relaxed) + bytes <= self.bytes_max;
        if !has_room() {
            shared.retain(|_, facts| Arc::strong_count(facts) > 1);
        }
        if !has_room() {
            return Err(TooMuch);
        }
        self.all_bytes.fetch_add(bytes, Ordering::Relaxed);
        let all_bytes = Arc::clone(&self.all_bytes);
        let mut agreed = init.clone();
        agreed.protocol_version = version.clone();
        let peer = is_shared.then(|| peer(agreed));
        let facts = Arc::new(Facts { peer, init, version, bytes, all_bytes });
        if is_shared {
            shared.insert(key.into(), Arc::clone(&facts));
        }
        Ok(facts)
    }
}

/// Without what no handler reads later and a client can make as large as it likes.
fn trimmed(mut init: InitializeRequestParams) -> InitializeRequestParams {
    init.meta = None;
    init.client_info.icons = None;
    init.capabilities.experimental = None;
    init
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::server::service::dead_peer;

    fn init(capabilities: &Value, client: &str) -> InitializeRequestParams {
        let client = json!({ "name": client, "version": "1",
            "icons": [{ "src": "x".repeat(5000) }] });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities,
            "clientInfo": client, "_meta": { "large": "x".repeat(5000) } });
        serde_json::from_value(params).unwrap()
    }

    fn of(table: &FactsTable, init: InitializeRequestParams) -> Result<Arc<Facts>, TooMuch> {
        table.of(init, ProtocolVersion::LATEST_WITH_INITIALIZE, |_agreed| dead_peer())
    }

    /// The `number`th of many clients that say 10 kB each, all different.
    fn large(number: usize) -> InitializeRequestParams {
        let said = json!({ "extensions": { "io.example/x": { "a": "x".repeat(10_000) } } });
        init(&said, &format!("client {number}"))
    }

    #[tokio::test]
    async fn what_nobody_reads_later_is_not_kept() {
        let table = FactsTable::new(1);
        let experimental = |text: &str| json!({ "experimental": { "x": { "a": text } } });
        let facts = of(&table, init(&experimental(&"a".repeat(5000)), "same")).unwrap();
        assert!(facts.init.capabilities.experimental.is_none());
        assert!(facts.init.client_info.icons.is_none() && facts.init.meta.is_none());
        let other = of(&table, init(&experimental("b"), "same")).unwrap();
        assert!(Arc::ptr_eq(&facts, &other), "clients that differ in nothing else share");
        let named = of(&table, init(&json!({}), "other")).unwrap();
        assert!(!Arc::ptr_eq(&facts, &named));
    }

    #[tokio::test]
    async fn what_clients_say_has_a_budget_that_they_give_back_when_they_go() {
        let table = FactsTable::new(1);
        let kept: Vec<_> = (0..2000).map_while(|number| of(&table, large(number)).ok()).collect();
        // 10 kB of text are reckoned as 2 × 16 times as much, of at least 16 MiB.
        assert!((10..60).contains(&kept.len()), "{} were taken", kept.len());
        assert!(of(&table, large(3000)).is_err());
        assert!(of(&table, large(0)).is_ok(), "what is kept already costs nothing more");
        drop(kept);
        let again: Vec<_> =
            (5000..5010).map_while(|number| of(&table, large(number)).ok()).collect();
        assert_eq!(again.len(), 10);
    }

    #[tokio::test]
    async fn the_budget_grows_with_the_sessions_that_are_allowed() {
        let table = FactsTable::new(64 << 10);
        let kept: Vec<_> = (0..2000).map_while(|number| of(&table, large(number)).ok()).collect();
        assert!((150..250).contains(&kept.len()), "{} were taken", kept.len());
    }

    #[tokio::test]
    async fn beyond_the_clients_that_are_shared_a_session_has_its_own_copy() {
        let table = FactsTable::new(1 << 20);
        let mut meta = RequestMetaObject::default();
        let small = |number: usize| init(&json!({}), &format!("client {number}"));
        let kept: Vec<_> =
            (0..SHARED_MAX).map(|number| of(&table, small(number)).unwrap()).collect();
        let alone = of(&table, small(SHARED_MAX)).unwrap();
        assert!(alone.peer.is_none());
        let _peer = alone.introduce(&dead_peer(), &mut meta);
        assert_eq!(meta.client_info().unwrap().name, format!("client {SHARED_MAX}"));
        drop(kept);
        let shared = of(&table, small(SHARED_MAX + 1)).unwrap();
        assert!(shared.peer.is_some(), "those that left made room");
    }
}

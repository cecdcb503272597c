//! What an operator sees of sessions, and ends.

use http::StatusCode;
use pingora::protocols::http::ServerSession;
use serde::Serialize;

use super::{AdminState, Answer, operator};
use crate::sessions::{EndOf, Sessions};

/// Path that counts sessions.
pub(super) const SESSIONS: &str = "/admin/sessions";
/// Path that ends those of a subject.
pub(super) const END: &str = "/admin/sessions/end";

/// Sessions in numbers.
#[derive(Debug, Serialize)]
pub(super) struct Counted {
    /// Open in all workers.
    sessions: u64,
    workers: Vec<Worker>,
    opened: u64,
    refused: u64,
    /// Ended by their client.
    deleted: u64,
    /// Ended because nothing happened in them.
    idle: u64,
    /// Ended at the greatest age.
    expired: u64,
    /// Served by another replica from then on.
    released: u64,
    /// Ended by an operator.
    revoked: u64,
    /// Taken from the store or from another replica.
    restored: u64,
    /// Asked for, and nothing was left of them.
    lost: u64,
    store: StoreState,
}

#[derive(Debug, Serialize)]
struct Worker {
    sessions: u64,
    calls: u64,
}

#[derive(Debug, Serialize)]
struct StoreState {
    kind: &'static str,
    up: bool,
}

impl Counted {
    pub(super) fn of(sessions: &Sessions) -> Self {
        let (workers, replicas) = (sessions.workers.figures(), sessions.figures());
        let sum = |count: fn(&mcp_core::server::Figures) -> u64| workers.iter().map(count).sum();
        let is_shared = sessions.store.is_shared();
        Self {
            sessions: sum(|worker| worker.sessions),
            opened: sum(|worker| worker.sessions_opened),
            refused: sum(|worker| worker.sessions_refused),
            deleted: sum(|worker| worker.sessions_deleted),
            idle: sum(|worker| worker.sessions_idle),
            expired: sum(|worker| worker.sessions_expired),
            released: sum(|worker| worker.sessions_released),
            revoked: sum(|worker| worker.sessions_revoked),
            restored: sum(|worker| worker.sessions_restored),
            lost: replicas.lost,
            store: StoreState {
                kind: if is_shared { "redis" } else { "memory" },
                up: replicas.store_is_up.unwrap_or(true),
            },
            workers: workers
                .iter()
                .map(|worker| Worker { sessions: worker.sessions, calls: worker.calls })
                .collect(),
        }
    }
}

/// Ends all sessions of a subject.
pub(super) async fn end(session: &mut ServerSession, state: &AdminState) -> Answer {
    if let Err(refused) = operator::check(session, state) {
        return refused;
    }
    let body = match operator::body(session).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let Ok(of) = serde_json::from_slice::<EndOf>(&body) else {
        let form = "send {\"issuer\": \"…\", \"subject\": \"…\"}, as the tokens say them\n";
        return Answer::plain(StatusCode::BAD_REQUEST, form);
    };
    let ended = state.sessions.end_of_subject(&of).await;
    tracing::info!(
        ended = ended.ended,
        stored = ended.stored,
        unreachable = ended.unreachable,
        "an operator ended the sessions of a subject"
    );
    // Who was told is not everyone: the operator has to ask again.
    let status =
        if ended.unreachable == 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Answer::json(status, &ended)
}

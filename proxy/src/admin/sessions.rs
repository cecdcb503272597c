//! What an operator sees of sessions, and ends.

use http::{StatusCode, header};
use mcp_core::secret::Secret;
use pingora::protocols::http::ServerSession;
use serde::Serialize;

use super::{AdminState, Answer};
use crate::sessions::{EndOf, Sessions};

/// Path that counts sessions.
pub(super) const SESSIONS: &str = "/admin/sessions";
/// Path that ends those of a subject.
pub(super) const END: &str = "/admin/sessions/end";

/// Largest body that names a subject, in bytes.
const BODY_BYTES_MAX: usize = 16 << 10;

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
///
/// The token keeps away whoever can reach the port, and a web page, which cannot send it without being asked first.
pub(super) async fn end(session: &mut ServerSession, state: &AdminState) -> Answer {
    let Some(token) = &state.token else {
        let why = "nothing can be changed here: set server.admin.token first\n";
        return Answer::plain(StatusCode::FORBIDDEN, why);
    };
    if !shows(session, token) {
        return Answer::plain(
            StatusCode::UNAUTHORIZED,
            "send server.admin.token as `Authorization: Bearer`\n",
        );
    }
    let Some(body) = body(session).await else {
        return Answer::plain(StatusCode::BAD_REQUEST, "the body broke off or is too large\n");
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

fn shows(session: &ServerSession, token: &Secret) -> bool {
    let mut values = session.req_header().headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, shown)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
        return false;
    };
    let equal = aws_lc_rs::constant_time::verify_slices_are_equal(
        shown.as_bytes(),
        token.expose().as_bytes(),
    );
    scheme.eq_ignore_ascii_case("bearer") && equal.is_ok()
}

async fn body(session: &mut ServerSession) -> Option<Vec<u8>> {
    let read = async {
        let mut body = Vec::new();
        while let Some(piece) = session.read_request_body().await.ok()? {
            if body.len() + piece.len() > BODY_BYTES_MAX {
                return None;
            }
            body.extend_from_slice(&piece);
        }
        Some(body)
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), read).await.ok().flatten()
}

//! Where a request goes, as far as its header tells.
//!
//! A session's replica is found before the body is read, so that what belongs to another replica streams through.

use http::{HeaderMap, Method};
use mcp_core::{
    principal::PrincipalId,
    server::{Opening, era},
    session::SessionId,
};
use pingora::http::RequestHeader;

use crate::{
    hop::Hop,
    ring::{NodeName, WorkerIndex},
    sessions::{Place, Sessions},
    workers::Chosen,
};

/// Where a request goes.
#[derive(Debug)]
pub(super) enum Aim<'a> {
    /// To the worker here that owns its session.
    Session(SessionId, Chosen<'a>),
    /// To a worker here, under this id if it opens a session.
    Open(Opening, Chosen<'a>),
    /// To another replica.
    Away(Away),
    /// It names a session that is none of the caller's; the word says why.
    Unknown(&'static str),
    /// The body tells.
    Body,
    /// Nobody can serve it: no replica has a worker.
    Nobody,
}

/// A request that another replica serves.
#[derive(Debug)]
pub(super) struct Away {
    pub(super) node: NodeName,
    pub(super) worker: WorkerIndex,
    pub(super) session: SessionId,
    /// The id was just made: `initialize` may open its session.
    pub(super) opens: bool,
}

/// Finds where the request goes. `hop` is what another replica says that passed it on.
pub(super) fn aim<'a>(
    sessions: &'a Sessions,
    header: &RequestHeader,
    principal: Option<PrincipalId>,
    hop: Option<&Hop>,
) -> Aim<'a> {
    if let Some(hop) = hop {
        return match hop.session.as_deref().map(|id| SessionId::parse(id.as_bytes())) {
            Some(Ok(id)) => of_session(sessions, id, principal, hop.opens),
            Some(Err(_malformed)) => Aim::Unknown("malformed"),
            None => Aim::Body,
        };
    }
    // A message of the stateless era has no session, whatever its headers say.
    let stateless = header.method == Method::POST && era::names_stateless_version(&header.headers);
    if !stateless && let Some(id) = session_id(&header.headers) {
        return match id {
            Ok(id) => of_session(sessions, id, principal, false),
            Err(word) => Aim::Unknown(word),
        };
    }
    let goes_away = header.method == Method::POST
        && if stateless { sessions.workers.is_empty() } else { sessions.opens_elsewhere() };
    if !goes_away {
        return Aim::Body;
    }
    match sessions.mint(principal) {
        Ok(minted) => placed(minted.opening.id.clone(), Some(minted.place), Some(minted.opening)),
        Err(why) => {
            tracing::debug!(error = %why, "a request cannot be passed on");
            Aim::Nobody
        }
    }
}

/// The one session id that the headers name. None where there is no such header, or several: those are refused
/// with the body's message at hand.
fn session_id(headers: &HeaderMap) -> Option<Result<SessionId, &'static str>> {
    let mut ids = headers.get_all(era::SESSION_ID).iter();
    match (ids.next(), ids.next()) {
        (Some(id), None) => Some(SessionId::parse(id.as_bytes()).map_err(|_malformed| "malformed")),
        _ => None,
    }
}

fn of_session(
    sessions: &Sessions,
    id: SessionId,
    principal: Option<PrincipalId>,
    opens: bool,
) -> Aim<'_> {
    match sessions.check(&id, principal) {
        Ok(expires) => {
            let place = sessions.place(&id);
            let opening = opens.then(|| Opening { id: id.clone(), expires });
            placed(id, place, opening)
        }
        Err(not_ours) => Aim::Unknown(not_ours.word()),
    }
}

fn placed(id: SessionId, place: Option<Place<'_>>, opening: Option<Opening>) -> Aim<'_> {
    match (place, opening) {
        (Some(Place::Here(chosen)), Some(opening)) => Aim::Open(opening, chosen),
        (Some(Place::Here(chosen)), None) => Aim::Session(id, chosen),
        (Some(Place::There(node, worker)), opening) => {
            Aim::Away(Away { node, worker, session: id, opens: opening.is_some() })
        }
        (None, _) => Aim::Nobody,
    }
}

//! What one replica tells another of a request that it passed on, so that both records say the same.

use http::HeaderName;
use pingora::{Result, http::ResponseHeader};

use super::context::Context;
use crate::metrics::labels::{Label as _, Outcome};

/// How the other replica says what became of a request, for this one's record.
const OUTCOME: HeaderName = HeaderName::from_static("promgate-outcome");
/// Which backend served a call there.
const BACKEND: HeaderName = HeaderName::from_static("promgate-backend");

/// Tells the replica that passed the request on what became of it.
pub(super) fn note_in(answer: &mut ResponseHeader, context: &Context) -> Result<()> {
    answer.insert_header(OUTCOME, context.outcome.label())?;
    if let Some(backend) = context.backend() {
        answer.insert_header(BACKEND, backend)?;
    }
    Ok(())
}

/// Takes from the answer what it says of itself for the record. Where the request came from another replica, that one
/// wants to know it too.
pub(super) fn note_from(answer: &mut ResponseHeader, context: &mut Context) {
    let is_told_on = context.hop.is_some();
    let mut take = |name: &HeaderName| {
        if is_told_on { answer.headers.get(name).cloned() } else { answer.remove_header(name) }
    };
    // A stream says how it ended by ending; until then the client has left.
    context.passed = take(&OUTCOME).and_then(|label| Outcome::of_label(label.as_bytes()));
    if let Some(backend) = take(&BACKEND) {
        context.backend_there = backend.to_str().ok().map(Into::into);
    }
}

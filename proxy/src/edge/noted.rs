//! What one replica tells another of a request that it passed on, so that both records say the same.

use http::{HeaderName, HeaderValue};
use pingora::{Result, http::ResponseHeader};

use super::{context::Context, there::There};
use crate::metrics::labels::{Label as _, Outcome};

/// How the other replica says what became of a request, for this one's record.
const OUTCOME: HeaderName = HeaderName::from_static("promgate-outcome");
/// What else it knows of it.
const FACTS: HeaderName = HeaderName::from_static("promgate-facts");

/// Tells the replica that passed the request on what became of it.
pub(super) fn note_in(answer: &mut ResponseHeader, context: &Context) -> Result<()> {
    answer.insert_header(OUTCOME, context.outcome.label())?;
    let facts = There::written(context).and_then(|facts| HeaderValue::try_from(facts).ok());
    if let Some(facts) = facts {
        answer.insert_header(FACTS, facts)?;
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
    let facts = take(&FACTS);
    context.there = facts.and_then(|facts| There::read(facts.as_bytes())).map(Box::new);
}

//! What a client says in a session without asking: notifications, and answers to questions of ours.

use http::StatusCode;
use rmcp::{ErrorData, model::RequestId};
use serde::Deserialize;

use super::{
    reply::Reply,
    running::Ending,
    sessions::Session,
    wire::{Notification, Response},
};

/// A client's notification in a session.
pub(super) fn notified(session: &Session, notification: &Notification<'_>) -> Reply {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cancelled {
        request_id: RequestId,
    }
    if notification.method == "notifications/cancelled"
        && let Some(params) = notification.params.filter(|params| params.get().starts_with('{'))
        && let Ok(cancelled) = serde_json::from_str::<Cancelled>(params.get())
    {
        session.cancel(&cancelled.request_id);
    }
    Reply::empty(StatusCode::ACCEPTED, Ending::Answered)
}

/// A client's answer to a question of ours. One that nobody waits for any longer is taken too, as the
/// client cannot know.
pub(super) fn responded(session: &Session, response: &Response<'_>) -> Reply {
    let answer = match response.outcome {
        Ok(result) => serde_json::from_str(result.get()).map(Ok),
        Err(error) => serde_json::from_str(error.get()).map(Err),
    };
    let answer = answer.unwrap_or_else(|error| {
        let message = format!("the client's answer could not be read: {error}");
        Err(ErrorData::invalid_params(message, None))
    });
    session.answer(&response.id, answer);
    Reply::empty(StatusCode::ACCEPTED, Ending::Answered)
}

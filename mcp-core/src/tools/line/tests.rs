use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use rmcp::model::{NumberOrString, ProgressToken};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{access::Caller, call::QueryNotes, tools::tests::context};

const LIMIT: Duration = Duration::from_secs(30);

fn backend() -> BackendName {
    BackendName::parse("prom").unwrap()
}

async fn frames(call: &Call) -> String {
    let outbox = call.outbox().unwrap();
    let poll = |cx: &mut Context<'_>| match outbox.poll_frames(cx) {
        Poll::Ready(frames) => Poll::Ready(frames.unwrap_or_default()),
        Poll::Pending => Poll::Ready(bytes::Bytes::new()),
    };
    String::from_utf8(poll_fn(poll).await.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asked_hears_every_two_seconds() {
    let call = Call::streaming(None, Caller::anyone(), QueryNotes::Off);
    let mut context = context();
    context.extensions.insert(call.clone());
    context.meta.set_progress_token(ProgressToken(NumberOrString::Number(7)));
    let work = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        "done"
    };
    let done = Line::new(&context).wait(work, LIMIT, &backend()).await;
    assert_eq!(done.unwrap(), "done");
    let frames = frames(&call).await;
    assert_eq!(frames.matches("notifications/progress").count(), 2, "{frames}");
    for part in ["\"progressToken\":7", "\"progress\":2", "\"progress\":4", "\"total\":30", "prom"]
    {
        assert!(frames.contains(part), "{part} in {frames}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_did_not_ask_hears_nothing() {
    let call = Call::streaming(None, Caller::anyone(), QueryNotes::Off);
    let mut context = context();
    context.extensions.insert(call.clone());
    let work = tokio::time::sleep(Duration::from_secs(5));
    Line::new(&context).wait(work, LIMIT, &backend()).await.unwrap();
    assert_eq!(frames(&call).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_be_told_does_not_end_the_work() {
    let mut context = context();
    context.meta.set_progress_token(ProgressToken(NumberOrString::Number(7)));
    let work = tokio::time::sleep(Duration::from_secs(9));
    // Without a call it is told through the peer, which is dead here.
    assert!(Line::new(&context).wait(work, LIMIT, &backend()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_wait() {
    let mut context = context();
    context.ct = CancellationToken::new();
    context.ct.cancel();
    let never = std::future::pending::<()>();
    let backend = backend();
    let wait = Line::new(&context).wait(never, LIMIT, &backend);
    let ended = tokio::time::timeout(LIMIT, wait).await;
    assert!(matches!(ended, Ok(Err(ToolError::Cancelled))));
}

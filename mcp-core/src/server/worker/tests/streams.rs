//! GET streams: what they begin with, and what a client that comes back gets.

use rmcp::model::{ServerCapabilities, ServerConfig};

use super::*;
use crate::server::{events::EVENTS_MAX, stream::EventStream};

const TOOLS: &str = "notifications/tools/list_changed";
const PROMPTS: &str = "notifications/prompts/list_changed";

/// Announces changes of its tools and of its prompts.
struct Announcing;

impl ServerHandler for Announcing {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed();
        ServerConfig::new(capabilities.build())
    }
}

fn announcing() -> Arc<Worker> {
    let service = Arc::new(Service::new(Announcing, Changes::default()));
    Worker::new(service, WorkerLimits::default(), Arc::default())
}

fn announce(worker: &Worker, change: &Change) {
    worker.service.changes().announce(change);
}

fn listen(worker: &Worker, id: &SessionId, last_event_id: Option<&str>) -> EventStream {
    let reply = worker.open_stream(id, &caller(None), last_event_id.map(str::as_bytes));
    let Body::Stream(stream) = reply.body else { panic!("no stream: {reply:?}") };
    stream
}

/// What waits in a stream.
async fn waiting(stream: &mut EventStream) -> String {
    let next = tokio::time::timeout(Duration::from_millis(20), stream.next()).await;
    let bytes = next.ok().flatten().unwrap_or_default();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The notifications in what a stream has said, and its last id.
fn said(frames: &str) -> (Vec<&str>, Option<&str>) {
    let lines = || frames.lines();
    let methods = lines().filter_map(|line| line.split(r#""method":""#).nth(1));
    let methods = methods.map(|rest| rest.split('"').next().unwrap()).collect();
    (methods, lines().filter_map(|line| line.strip_prefix("id: ")).next_back())
}

#[tokio::test]
async fn a_client_that_comes_back_hears_what_was_said_while_it_was_away() {
    let worker = announcing();
    let id = open(&worker, &caller(None)).await;
    let mut stream = listen(&worker, &id, None);
    let beginning = waiting(&mut stream).await;
    let (nothing, first) = said(&beginning);
    assert_eq!(nothing, [""; 0]);
    announce(&worker, &Change::Tools);
    let frames = waiting(&mut stream).await;
    let (tools, second) = said(&frames);
    assert_eq!(tools, [TOOLS]);
    drop(stream);
    announce(&worker, &Change::Prompts);
    announce(&worker, &Change::Tools);
    for (last, missed) in [(first, &[TOOLS, PROMPTS, TOOLS][..]), (second, &[PROMPTS, TOOLS])] {
        let mut stream = listen(&worker, &id, last);
        assert_eq!(said(&waiting(&mut stream).await).0, missed);
        assert_eq!(waiting(&mut stream).await, "", "and nothing twice");
    }
    let mut stream = listen(&worker, &id, second);
    announce(&worker, &Change::Prompts);
    assert_eq!(said(&waiting(&mut stream).await).0, [PROMPTS, TOOLS, PROMPTS], "then what is new");
}

#[tokio::test]
async fn a_client_whose_session_was_moved_is_told_that_everything_may_have_changed() {
    let (old, new) = (announcing(), announcing());
    let id = open(&old, &caller(None)).await;
    let mut stream = listen(&old, &id, None);
    let beginning = waiting(&mut stream).await;
    new.restore(id.clone(), old.saved(&id).unwrap()).unwrap();
    old.release(&|_id| false);
    assert!(stream.next().await.is_none() && stream.ending() == Some(Ending::Answered));
    let mut stream = listen(&new, &id, said(&beginning).1);
    let frames = waiting(&mut stream).await;
    let (methods, last) = said(&frames);
    assert_eq!(methods, [TOOLS, PROMPTS]);
    let mut again = listen(&new, &id, last);
    assert_eq!(said(&waiting(&mut again).await).0, [""; 0], "once");
}

#[tokio::test]
async fn an_event_that_is_not_kept_is_refused_and_leaves_the_open_stream_alone() {
    let worker = announcing();
    let id = open(&worker, &caller(None)).await;
    let mut stream = listen(&worker, &id, None);
    let beginning = waiting(&mut stream).await;
    for _many in 0..=EVENTS_MAX {
        announce(&worker, &Change::Tools);
        assert_eq!(said(&waiting(&mut stream).await).0, [TOOLS]);
    }
    for last in [said(&beginning).1.unwrap(), "7", ""] {
        let refused = worker.open_stream(&id, &caller(None), Some(last.as_bytes()));
        assert_eq!((refused.status, refused.ending), (StatusCode::BAD_REQUEST, Ending::Refused));
        let (_, body, _) = seen(&refused);
        assert!(body.contains("-32600") && body.contains("without Last-Event-ID"), "{body}");
    }
    announce(&worker, &Change::Prompts);
    assert_eq!(said(&waiting(&mut stream).await).0, [PROMPTS]);
}

#[tokio::test]
async fn a_client_that_was_cut_off_for_being_behind_finds_the_rest() {
    let worker = announcing();
    let id = open(&worker, &caller(None)).await;
    let mut stream = listen(&worker, &id, None);
    let said_in_all = EVENTS_MAX + 10;
    for _many in 0..said_in_all {
        announce(&worker, &Change::Tools);
    }
    let mut frames = String::new();
    while let Some(bytes) = stream.next().await {
        frames.push_str(str::from_utf8(&bytes).unwrap());
    }
    let (before, last) = said(&frames);
    let mut stream = listen(&worker, &id, last);
    let frames = waiting(&mut stream).await;
    assert_eq!(before.len() + said(&frames).0.len(), said_in_all);
}

#[tokio::test]
async fn a_client_of_a_revision_without_empty_events_is_given_no_ids() {
    let worker = announcing();
    let id = ask_to_open(&worker, &caller(None), "2025-06-18").await.session.unwrap();
    let mut stream = listen(&worker, &id, None);
    assert_eq!(waiting(&mut stream).await, ": open\n\n");
    announce(&worker, &Change::Tools);
    let frames = waiting(&mut stream).await;
    assert_eq!(said(&frames), (vec![TOOLS], None));
}

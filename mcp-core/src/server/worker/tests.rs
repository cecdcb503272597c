use std::{
    sync::atomic::AtomicUsize,
    time::{Duration, SystemTime},
};

use globset::{Glob, GlobSet};
use http::StatusCode;
use rmcp::{
    RoleServer, ServerHandler,
    model::{ListToolsResult, PaginatedRequestParams, Tool},
};

use super::*;
use crate::{
    access::{Access, Grant},
    call::Call,
    principal::PrincipalId,
    server::{
        Change, Changes,
        era::{self, Route},
        reply::{Accepts, Body},
        wire,
    },
};

mod clients;

mod moves;

mod streams;

const HOUR: Duration = Duration::from_hours(1);
const JSON: Accepts = Accepts { json: true, sse: true };
const PING: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const LIST: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

/// Lists one tool, named after the caller's access, and counts how often it was asked.
#[derive(Clone, Default)]
struct Listing(Arc<AtomicUsize>);

impl ServerHandler for Listing {
    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let number = Call::of(&context).unwrap().caller().access.number();
        let name = format!("tool_of_{number}");
        Ok(ListToolsResult::with_all_items(vec![Tool::new(name, "", Arc::default())]))
    }
}

fn worker(listing: &Listing) -> Arc<Worker> {
    worker_with(listing, WorkerLimits::default(), &Arc::default())
}

fn worker_with(
    listing: &Listing,
    limits: WorkerLimits,
    counts: &Arc<PrincipalCounts>,
) -> Arc<Worker> {
    let service = Arc::new(Service::new(listing.clone(), Changes::default()));
    Worker::new(service, limits, Arc::clone(counts))
}

/// An id that no session has yet.
fn new_id() -> SessionId {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    SessionId::parse(format!("session-{number}").as_bytes()).unwrap()
}

fn caller(principal: Option<u8>) -> Caller {
    let principal = principal.map(|byte| PrincipalId([byte; 16]));
    Caller { principal, ..Caller::anyone() }
}

fn with_some_access() -> Caller {
    let all = GlobSet::new([Glob::new("*").unwrap()]).unwrap();
    let grant = Grant { tools: all.clone(), backends: all };
    Caller { access: Access::of(vec![Arc::new(grant)]), ..Caller::anyone() }
}

async fn open(worker: &Worker, caller: &Caller) -> SessionId {
    ask_to_open(worker, caller, "2025-11-25").await.session.unwrap()
}

async fn ask_to_open(worker: &Worker, caller: &Caller, version: &str) -> Reply {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{version}",
        "capabilities":{{}},"clientInfo":{{"name":"test","version":"1"}}}}}}"#
    );
    let message = wire::parse(body.as_bytes()).unwrap();
    let Route::Initialize(params) = era::route(&message, &HeaderMap::new()).unwrap() else {
        panic!("not initialize");
    };
    let Message::Request(request) = message else { panic!("not a request") };
    let opening = Opening { id: new_id(), expires: SystemTime::now() + HOUR };
    let asker = Asker { accepts: JSON, caller, trace: None };
    worker.initialize(opening, &request, *params, asker).await
}

async fn say(worker: &Worker, id: &SessionId, body: &[u8], caller: &Caller) -> Reply {
    worker
        .session(id, wire::parse(body).unwrap(), Asker { accepts: JSON, caller, trace: None })
        .await
}

/// All that a client sees of a reply.
fn seen(reply: &Reply) -> (StatusCode, String, Ending) {
    let body = match &reply.body {
        Body::Json(json) => String::from_utf8(json.to_vec()).unwrap(),
        Body::Empty | Body::Stream(_) | Body::Events(_) => format!("{:?}", reply.body),
    };
    assert_eq!((reply.retry_after, reply.session.as_ref()), (None, None));
    (reply.status, body, reply.ending)
}

#[tokio::test]
async fn a_session_of_somebody_else_is_answered_like_one_that_does_not_exist() {
    let worker = worker(&Listing::default());
    let bodies: [&[u8]; 5] = [
        PING,
        LIST,
        br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        br#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
    ];
    for owner in [None, Some(1)] {
        let owner = caller(owner);
        let id = open(&worker, &owner).await;
        for stranger in [None, Some(1), Some(2)].map(caller) {
            if stranger.principal == owner.principal {
                continue;
            }
            let nobodys = new_id();
            for body in bodies {
                let (foreign, unknown) = (
                    say(&worker, &id, body, &stranger).await,
                    say(&worker, &nobodys, body, &stranger).await,
                );
                assert_eq!(foreign.status, StatusCode::NOT_FOUND);
                assert_eq!(seen(&foreign), seen(&unknown));
            }
            let unknown = seen(&worker.open_stream(&nobodys, &stranger, None));
            assert_eq!(seen(&worker.open_stream(&id, &stranger, None)), unknown);
            assert_eq!(unknown.0, StatusCode::NOT_FOUND);
            assert_eq!(
                seen(&worker.close(&id, &stranger)),
                seen(&worker.close(&nobodys, &stranger))
            );
        }
        assert_eq!(say(&worker, &id, PING, &owner).await.status, StatusCode::OK, "it lives on");
        assert_eq!(worker.open_stream(&id, &owner, None).status, StatusCode::OK);
        assert_eq!(worker.close(&id, &owner).status, StatusCode::NO_CONTENT);
        assert_eq!(say(&worker, &id, PING, &owner).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn an_idle_session_is_small() {
    // A hundred thousand of them are normal.
    let bytes = size_of::<Session>();
    assert!(bytes <= 128, "{bytes} bytes");
}

async fn list(worker: &Worker, body: &[u8], caller: &Caller) -> String {
    let asker = Asker { accepts: JSON, caller, trace: None };
    let message = wire::parse(body).unwrap();
    seen(&worker.stateless(message, &ProtocolVersion::LATEST, asker).await).1
}

#[tokio::test]
async fn a_list_is_kept_for_those_who_share_an_access_and_for_nobody_else() {
    let listing = Listing::default();
    let worker = worker(&listing);
    let (all, some) = (caller(None), with_some_access());
    let asked = || listing.0.load(Ordering::Relaxed);
    for _twice in 0..2 {
        assert!(list(&worker, LIST, &all).await.contains("tool_of_0"));
        let name = format!("tool_of_{}", some.access.number());
        assert!(list(&worker, LIST, &some).await.contains(&name));
    }
    let also_some = Caller { principal: Some(PrincipalId([9; 16])), ..some.clone() };
    list(&worker, LIST, &also_some).await;
    assert_eq!(asked(), 2, "each was computed once");
    let id = open(&worker, &some).await;
    let in_session = seen(&say(&worker, &id, LIST, &some).await).1;
    assert!(in_session.contains(&format!("tool_of_{}", some.access.number())), "{in_session}");
    assert_eq!(asked(), 3, "another protocol version is another list");
    worker.service.changes().announce(&Change::Tools);
    list(&worker, LIST, &all).await;
    list(&worker, LIST, &some).await;
    assert_eq!(asked(), 5, "a change empties what was kept");
}

#[tokio::test]
async fn what_is_kept_of_lists_is_bounded_and_a_list_beyond_is_still_right() {
    let listing = Listing::default();
    let worker = worker(&listing);
    let callers: Vec<_> = (0..1100).map(|_| with_some_access()).collect();
    for _twice in 0..2 {
        for caller in &callers {
            let name = format!("\"tool_of_{}\"", caller.access.number());
            assert!(list(&worker, LIST, caller).await.contains(&name));
        }
    }
    // 1024 fit. The next one makes room for all that follow, and so does the second round.
    assert_eq!(listing.0.load(Ordering::Relaxed), 1100 + 1100);
}

#[tokio::test]
async fn a_list_asked_for_by_cursor_is_never_kept() {
    let listing = Listing::default();
    let worker = worker(&listing);
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}"#;
    for _twice in 0..2 {
        list(&worker, body, &caller(None)).await;
    }
    assert_eq!(listing.0.load(Ordering::Relaxed), 2);
}

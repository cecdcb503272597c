//! The MCP server that workers serve: a handler, and what is computed from it once.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::StatusCode;
use parking_lot::RwLock;
use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler, Service as _,
    model::{
        ClientJsonRpcMessage, ClientRequest, ErrorCode, InitializeRequest, InitializeRequestParams,
        InitializeResult, ProtocolVersion, RequestId, ServerConfig, ServerJsonRpcMessage,
        ServerResult, SubscriptionFilter, Tool,
    },
    service::{RequestContext, serve_directly},
    transport::Transport,
};

use super::{
    changes::{Audience, Change, Changes},
    json::{result_json, result_start},
    mirror::{MirroredArgument, mirrored_arguments},
    running::{CallFuture, Ending, Outcome},
    sessions::InFlight,
    wire::Request,
};
use crate::{
    access::Caller,
    call::{Call, QueryNotes},
};

/// One request on its way through a handler.
pub(super) struct Job {
    pub(super) id_raw: Box<str>,
    pub(super) request: ClientRequest,
    pub(super) context: RequestContext<RoleServer>,
    /// Frees the call's places when it ends.
    pub(super) places: Places,
    pub(super) call_timeout: Duration,
    /// The stateless era gives some JSON-RPC errors an HTTP status of their own.
    pub(super) stateless: bool,
    /// Where to keep the answer, if it is one that is kept.
    pub(super) keep: Option<Keep>,
}

/// What a running call occupies.
pub(super) struct Places {
    pub(super) _worker: Permit,
    pub(super) _session: Option<InFlight>,
}

/// A place among a worker's running calls.
pub(super) struct Permit(pub(super) Arc<std::sync::atomic::AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A `ServerHandler` with its type forgotten, so that the edge is compiled once.
trait Handler: Send + Sync {
    fn call(self: Arc<Self>, job: Job) -> CallFuture;
    fn initialize(
        self: Arc<Self>,
        params: InitializeRequestParams,
        peer: Peer<RoleServer>,
    ) -> Pin<Box<dyn Future<Output = Result<InitializeResult, ErrorData>> + Send>>;
    fn config(&self) -> ServerConfig;
    fn tool(&self, name: &str) -> Option<Tool>;
    fn accepted(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter>;
}

/// Most answers to `tools/list` that are kept, 5 to 10 kB each. There is one for each protocol version and each
/// kind of caller; where there are more, all are forgotten, older editions among them, and made anew.
const KEPT_MAX: usize = 1024;

/// An MCP server, shared by all workers.
pub struct Service {
    handler: Arc<dyn Handler>,
    changes: Changes,
    stranger: Peer<RoleServer>,
    lists: Arc<Lists>,
    query_notes: QueryNotes,
}

impl Service {
    /// Serves `handler`. Must be called inside a tokio runtime.
    ///
    /// `changes` is where the handler announces that its lists changed. Answers to `tools/list` are
    /// kept until it announces [`Change::Tools`], so they must depend on nothing else of the caller than the
    /// access and the edition of its [`Call`](crate::call::Call).
    pub fn new(handler: impl ServerHandler, changes: Changes) -> Self {
        let lists = Arc::new(Lists::default());
        let weak = Arc::downgrade(&lists);
        changes.subscribe(weak);
        let query_notes = QueryNotes::default();
        Self { handler: Arc::new(handler), changes, stranger: dead_peer(), lists, query_notes }
    }

    /// The same service, whose calls keep of the PromQL that they ask what the record is to tell.
    #[must_use]
    pub fn noting(self, query_notes: QueryNotes) -> Self {
        Self { query_notes, ..self }
    }

    /// What calls keep of the PromQL that they ask.
    pub(super) const fn query_notes(&self) -> QueryNotes {
        self.query_notes
    }

    /// Where changes of the lists are announced.
    #[must_use]
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Stands for a client of whom nothing is known but what its request says.
    pub(super) const fn stranger(&self) -> &Peer<RoleServer> {
        &self.stranger
    }

    pub(super) fn call(&self, job: Job) -> CallFuture {
        Arc::clone(&self.handler).call(job)
    }

    /// Answers `initialize`, with a protocol version that has sessions.
    pub(super) async fn initialize(
        &self,
        params: InitializeRequestParams,
    ) -> Result<InitializeResult, ErrorData> {
        // A peer of its own: the handler writes into it what the client said of itself.
        let peer = dead_peer();
        let answer = Arc::clone(&self.handler).initialize(params, peer);
        match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(answer) => answer,
            Err(_panic) => Err(ErrorData::internal_error("the server failed", None)),
        }
    }

    /// The notifications that a listener gets of those that it asks for; `None` when the server has
    /// no subscriptions.
    pub(super) fn accepted(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let config = self.handler.config();
        let accepted = self.handler.accepted(requested)?;
        let advertised = requested.supported_by(&config.capabilities);
        Some(requested.intersection(&accepted).intersection(&advertised))
    }

    pub(super) fn config(&self) -> ServerConfig {
        self.handler.config()
    }

    /// The arguments of `tool` that clients mirror into headers.
    pub(super) fn mirrored(&self, tool: &str) -> Arc<[MirroredArgument]> {
        if let Some(known) = self.lists.mirrored.read().get(tool) {
            return Arc::clone(known);
        }
        let generation = self.lists.generation.load(Ordering::Acquire);
        // Only tools that exist are kept, so that clients cannot fill the table.
        let Some(found) = self.handler.tool(tool) else { return Arc::new([]) };
        let mirrored: Arc<[_]> = mirrored_arguments(&found.input_schema).into();
        let mut kept = self.lists.mirrored.write();
        if self.lists.generation.load(Ordering::Acquire) == generation {
            kept.insert(tool.to_owned(), Arc::clone(&mirrored));
        }
        mirrored
    }

    /// The kept answer to `request` for callers like this one, or where to keep it.
    pub(super) fn kept(
        &self,
        request: &Request<'_>,
        version: &ProtocolVersion,
        caller: &Caller,
    ) -> Result<Bytes, Option<Keep>> {
        if request.method != "tools/list" || request.head.has_cursor() {
            return Err(None);
        }
        let Some(index) = ProtocolVersion::KNOWN_VERSIONS.iter().position(|known| known == version)
        else {
            return Err(None);
        };
        let key = (index, caller.access.number(), caller.edition.number());
        let generation = self.lists.generation.load(Ordering::Acquire);
        match self.lists.tools.read().get(&key) {
            Some(result) => Ok(result_json(request.id_raw, result)),
            None => Err(Some(Keep { lists: Arc::clone(&self.lists), key, generation })),
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("lists", &self.lists).finish_non_exhaustive()
    }
}

/// What is computed from the handler's lists and kept until they change.
#[derive(Default)]
struct Lists {
    generation: AtomicU64,
    /// Results of `tools/list`.
    tools: RwLock<HashMap<ListKey, Bytes>>,
    mirrored: RwLock<HashMap<String, Arc<[MirroredArgument]>>>,
}

impl Audience for Lists {
    fn hear(&self, change: &Change) {
        if *change == Change::Tools {
            // Both locks, so that whoever keeps something sees the generation before or after.
            let (mut tools, mut mirrored) = (self.tools.write(), self.mirrored.write());
            self.generation.fetch_add(1, Ordering::Release);
            tools.clear();
            mirrored.clear();
        }
    }
}

impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lists").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// What a result of `tools/list` depends on: the place of the protocol version among the known ones, and
/// the numbers of the caller's access and of what is offered.
type ListKey = (usize, u64, u64);

/// A place for an answer.
pub(super) struct Keep {
    lists: Arc<Lists>,
    key: ListKey,
    generation: u64,
}

impl Keep {
    /// Keeps `result` unless the lists have changed since it was asked for.
    fn store(self, result: &[u8]) {
        let mut tools = self.lists.tools.write();
        if self.lists.generation.load(Ordering::Acquire) == self.generation {
            if tools.len() >= KEPT_MAX {
                tools.clear();
            }
            tools.insert(self.key, Bytes::copy_from_slice(result));
        }
    }
}

impl<H: ServerHandler> Handler for H {
    fn call(self: Arc<Self>, job: Job) -> CallFuture {
        Box::pin(async move {
            let Job { id_raw, request, context, places, call_timeout, stateless, keep } = job;
            let _freed_at_the_end = places;
            let (ct, call) = (context.ct.clone(), context.extensions.get::<Call>().cloned());
            let work = AssertUnwindSafe(self.handle_request(request, context)).catch_unwind();
            let worked = tokio::select! {
                biased;
                () = ct.cancelled() => return cancelled(),
                worked = tokio::time::timeout(call_timeout, work) => worked,
            };
            match worked {
                Ok(Ok(Ok(result))) => answered(&id_raw, &result, (keep, call)),
                Ok(Ok(Err(error))) => {
                    let status = if stateless { status_of(error.code) } else { StatusCode::OK };
                    Outcome::failed(&id_raw, &error, status, Ending::RpcError)
                }
                Ok(Err(_panic)) => {
                    let error = ErrorData::internal_error("the tool failed unexpectedly", None);
                    Outcome::failed(&id_raw, &error, StatusCode::OK, Ending::Panicked)
                }
                Err(_elapsed) => Outcome::overdue(&id_raw),
            }
        })
    }

    fn initialize(
        self: Arc<Self>,
        params: InitializeRequestParams,
        peer: Peer<RoleServer>,
    ) -> Pin<Box<dyn Future<Output = Result<InitializeResult, ErrorData>> + Send>> {
        Box::pin(async move {
            let negotiated = self.negotiate_initialize(&params)?.protocol_version;
            let request = InitializeRequest::new(params).into();
            let context = RequestContext::new(RequestId::Number(0), peer);
            let answer = self.handle_request(request, context).await?;
            let ServerResult::InitializeResult(mut result) = answer else {
                return Err(ErrorData::internal_error("initialize gave another result", None));
            };
            result.protocol_version = negotiated;
            Ok(result)
        })
    }

    fn config(&self) -> ServerConfig {
        ServerHandler::get_info(self)
    }

    fn tool(&self, name: &str) -> Option<Tool> {
        self.get_tool(name)
    }

    fn accepted(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        self.accepted_subscription_filter(requested)
    }
}

const fn cancelled() -> Outcome {
    let ending = Ending::Cancelled;
    Outcome { answer: None, status: StatusCode::OK, ending, error_code: None }
}

fn answered(
    id_raw: &str,
    result: &ServerResult,
    (keep, call): (Option<Keep>, Option<Call>),
) -> Outcome {
    let mut json = result_start(id_raw, 512);
    let start = json.len();
    if serde_json::to_writer(&mut json, result).is_err() {
        let error = ErrorData::internal_error("the answer could not be written as JSON", None);
        return Outcome::failed(id_raw, &error, StatusCode::OK, Ending::RpcError);
    }
    if let (Some(keep), Some(result)) = (keep, json.get(start..)) {
        keep.store(result);
    }
    if let Some(call) = call.filter(|call| call.outcome().is_some()) {
        call.note_bytes(json.len() - start);
    }
    json.push(b'}');
    let (answer, status, ending) = (Some(json.into()), StatusCode::OK, Ending::Answered);
    Outcome { answer, status, ending, error_code: None }
}

/// HTTP status of a JSON-RPC error in the stateless era. Spec: MCP 2026-07-28, Streamable HTTP.
const fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
        | ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY
        | ErrorCode::HEADER_MISMATCH => StatusCode::BAD_REQUEST,
        ErrorCode::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

/// A transport on which nothing ever happens.
struct Silent;

impl Transport<RoleServer> for Silent {
    type Error = Infallible;

    fn send(
        &mut self,
        _message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        std::future::ready(Ok(()))
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        std::future::pending().await
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

struct Nobody;

impl ServerHandler for Nobody {}

/// Enough of a client for a request context; sending through it fails. rmcp makes a `Peer` only for
/// a running service, so one is started and ended at once.
pub(super) fn dead_peer() -> Peer<RoleServer> {
    serve_directly(Nobody, Silent, None).peer().clone()
}

//! What lines that are logged during a request say of it.

use std::cell::{Cell, RefCell};

use http::HeaderValue;
use mcp_core::trace::TraceId;

tokio::task_local! {
    static REQUEST: Marks;
}

/// What is known of the request in whose service a line is logged.
#[derive(Debug, Default)]
struct Marks {
    id: RefCell<Option<HeaderValue>>,
    trace: Cell<Option<TraceId>>,
}

/// What a line says of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) request_id: HeaderValue,
    pub(super) trace: Option<TraceId>,
}

/// Does `work` in the service of a request, of which all lines logged meanwhile say as much as is marked.
pub async fn in_request<F: Future>(work: F) -> F::Output {
    REQUEST.scope(Marks::default(), work).await
}

/// Marks what is logged from now on with the request's id, as long as the current request lasts.
pub fn mark_request(id: &HeaderValue) {
    // Outside a request there is nothing to mark.
    REQUEST.try_with(|marks| *marks.id.borrow_mut() = Some(id.clone())).unwrap_or_default();
}

/// Marks what is logged from now on with the request's trace.
pub fn mark_trace(trace: TraceId) {
    REQUEST.try_with(|marks| marks.trace.set(Some(trace))).unwrap_or_default();
}

/// The marks of the request in whose service we are.
pub(super) fn marked() -> Option<Marked> {
    let marked = REQUEST.try_with(|marks| {
        let request_id = marks.id.borrow().clone()?;
        Some(Marked { request_id, trace: marks.trace.get() })
    });
    marked.ok().flatten()
}

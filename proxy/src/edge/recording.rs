//! What is told of a request when it is over.

use std::time::SystemTime;

use http::header;
use pingora::protocols::http::ServerSession;

use super::{
    Edge,
    context::{Context, Rpc},
};
use crate::{
    access_log::Record,
    metrics::{Finished, labels::HttpMethod},
    request_id::RequestId,
};

impl Edge {
    pub(super) fn record(&self, session: &ServerSession, context: &Context) {
        if context.unremarkable {
            return;
        }
        let header = session.req_header();
        let status = status(session);
        let took = context.started.elapsed();
        let (bytes_in, bytes_out) =
            (wide(session.body_bytes_read()), wide(session.body_bytes_sent()));
        let rpc = context.rpc.as_ref();
        // What another replica passed on is counted there.
        if context.hop.is_none() {
            self.metrics.request_finished(&Finished {
                method: HttpMethod::from(&header.method),
                status,
                outcome: context.outcome,
                rpc: rpc.map(|rpc| rpc.method),
                took,
                bytes_in,
                bytes_out,
            });
        }
        if !self.access_log.is_on() {
            return;
        }
        self.access_log.write(&Record {
            time: SystemTime::now(),
            request_id: context.id.as_ref().map_or("", RequestId::as_str),
            method: header.method.as_str(),
            path: header.raw_path(),
            http_version: header.version,
            status,
            duration: took,
            bytes_in,
            bytes_out,
            peer: session.client_addr().and_then(|address| address.as_inet().copied()),
            user_agent: header.headers.get(header::USER_AGENT).map(http::HeaderValue::as_bytes),
            rpc_method: rpc.and_then(Rpc::name),
            tool: rpc.and_then(|rpc| rpc.tool.as_deref()),
            backend: context.backend(),
            owner: context.owner.as_ref().map(|(node, worker)| (node.as_str(), worker.0)),
            hop: context.hops(),
            client: context.hop.as_ref().and_then(|hop| hop.client),
            via: context.hop.as_ref().map(|hop| hop.from.as_str()),
            worker: context.worker.map(|worker| worker.0),
            era: context.era,
            outcome: context.outcome,
            reason: context.reason,
            headers: self.access_log.shown(&header.headers),
        });
    }
}

/// The status answered; none while only a 100 was.
pub(super) fn status(session: &ServerSession) -> Option<u16> {
    let written = session.response_written().map(|answer| answer.status);
    written.filter(|status| !status.is_informational()).map(|status| status.as_u16())
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

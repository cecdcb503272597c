//! What the edge knows of one request, for its record.

mod rpc;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http::HeaderMap;
use mcp_core::{
    access::Caller,
    call::Call,
    config::BackendName,
    observe::ToolOutcome,
    server::{Bound, Client, Ending, era, wire::Message},
    session::SessionId,
};

pub(super) use self::rpc::Rpc;
use super::{aim::Aim, forward::Forward, there::There, traced::Spent};
use crate::{
    access_log::{Admission, Rules, identity::Identity, pseudonym::Pseudonym},
    gate::{Gate, Leave, Pass},
    hop::Hop,
    metrics::{
        Held,
        labels::{Limit, Outcome},
    },
    refusal::Denial,
    request_id::RequestId,
    ring::{NodeName, WorkerIndex},
    sessions::Sessions,
    trace::Traced,
};

/// Facts of one request, gathered on its way.
#[derive(Debug)]
pub struct Context {
    pub(super) started: Instant,
    pub(super) id: Option<RequestId>,
    pub(super) rpc: Option<Rpc>,
    pub(super) call: Option<Call>,
    /// The client's address, as far as it can be believed.
    pub(super) client_address: Option<IpAddr>,
    /// What became of authentication.
    pub(super) auth: Option<&'static str>,
    /// Who was refused.
    denied: Option<Arc<Identity>>,
    /// What kept the caller out.
    rule: Option<Arc<str>>,
    /// Who let the caller use the tool, and knows by which rule.
    pub(super) decider: Option<Arc<Gate>>,
    /// The bound that was reached.
    pub(super) limit: Option<Limit>,
    /// Pseudonym of the session.
    pub(super) session: Option<Pseudonym>,
    /// Kind of the long stream that the answer is.
    pub(super) stream: Option<&'static str>,
    /// What the client says of itself, where somebody keeps a record.
    pub(super) client: Option<Client>,
    pub(super) worker: Option<WorkerIndex>,
    pub(super) era: Option<&'static str>,
    pub(super) outcome: Outcome,
    /// Why it was refused, in one word.
    pub(super) reason: Option<&'static str>,
    /// The caller's leave.
    pub(super) pass: Option<Pass>,
    /// Where the request goes if another replica serves it.
    pub(super) forward: Option<Box<Forward>>,
    /// Its message was looked at before it was to be passed on: it is counted, and may be sent.
    pub(super) is_looked_at: bool,
    /// The body, where it was read before it was found that we serve the request after all.
    pub(super) body: Option<Bytes>,
    /// What the replica says that passed it on.
    pub(super) hop: Option<Box<Hop>>,
    /// Who owns the session.
    pub(super) owner: Option<(NodeName, WorkerIndex)>,
    /// How another replica says that it ended.
    pub(super) passed: Option<Outcome>,
    /// What another replica says of it that served it.
    pub(super) there: Option<Box<There>>,
    /// It is between replicas, concerns no client, and went as it should: nobody is told.
    pub(super) unremarkable: bool,
    /// Passing it on failed, and it was answered nevertheless.
    pub(super) answered_despite: bool,
    /// Room for its record.
    pub(super) admission: Admission,
    /// The trace that it belongs to.
    pub(super) trace: Option<Traced>,
    /// What its spans tell.
    pub(super) spent: Spent,
    in_flight: Option<InFlight>,
    _counted: Held,
}

/// Counts requests in service, so that draining knows when the last has gone.
#[derive(Debug)]
pub(super) struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    pub(super) fn enter(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Context {
    pub(super) fn new(in_flight: InFlight, counted: Held) -> Self {
        Self {
            started: Instant::now(),
            id: None,
            rpc: None,
            call: None,
            client_address: None,
            auth: None,
            denied: None,
            rule: None,
            decider: None,
            limit: None,
            session: None,
            stream: None,
            client: None,
            worker: None,
            era: None,
            // Until somebody says better: the client left, or the connection broke.
            outcome: Outcome::ClientGone,
            reason: None,
            pass: None,
            forward: None,
            is_looked_at: false,
            body: None,
            hop: None,
            owner: None,
            passed: None,
            there: None,
            unremarkable: false,
            answered_despite: false,
            admission: Admission::default(),
            trace: None,
            spent: Spent::default(),
            in_flight: Some(in_flight),
            _counted: counted,
        }
    }

    /// Notes what the message asks for, and what the rules of the log show of it.
    pub(super) fn note_message(&mut self, message: &Message<'_>, rules: Option<&Rules>) {
        self.rpc = Some(Rpc::of(message, rules));
    }

    /// Notes who was let in.
    pub(super) fn note_admitted(&mut self, pass: Pass, gate: &Gate) -> Caller {
        self.auth = Some(gate.authenticated(&pass));
        self.pass.insert(pass).caller.clone()
    }

    /// Notes why the request was refused, and who that concerns.
    pub(super) fn note_denial(&mut self, denial: &Denial) {
        self.outcome = denial.refusal.outcome();
        self.reason = denial.why();
        self.limit = denial.limit();
        self.auth = denial.authenticated().or(self.auth);
        if denial.rule.is_some() {
            self.rule.clone_from(&denial.rule);
        }
        self.denied.clone_from(&denial.identity);
    }

    /// Notes the session by its pseudonym, where the log has keys for one.
    pub(super) fn note_session(&mut self, id: &SessionId, rules: Option<&Rules>) {
        let pseudonyms = rules.and_then(Rules::pseudonyms);
        self.session = pseudonyms.map(|pseudonyms| pseudonyms.session(id));
    }

    /// The rule that let the caller use the tool where it was used, or what kept the caller out.
    pub(super) fn rule(&self) -> Option<Arc<str>> {
        if self.rule.is_some() {
            return self.rule.clone();
        }
        let (gate, pass) = (self.decider.as_ref()?, self.pass.as_ref()?);
        let here = self.call.as_ref().and_then(Call::backend).map(BackendName::as_str);
        let backend = here.or_else(|| self.there.as_ref()?.backend.as_deref());
        gate.deciding(pass, self.rpc.as_ref()?.tool.as_deref()?, backend)
    }

    /// Who calls, as records name it.
    pub(super) fn identity(&self) -> Option<&Identity> {
        let accepted = self.pass.as_ref().and_then(|pass| pass.accepted.as_ref());
        accepted
            .map(|accepted| &accepted.judgement.identity)
            .or(self.denied.as_ref())
            .map(AsRef::as_ref)
    }

    /// It is between replicas: no drain waits for it.
    pub(super) fn is_no_clients(&mut self) {
        self.in_flight = None;
    }

    /// Notes who owns the session, and which it is.
    pub(super) fn note_aim(
        &mut self,
        aim: &Aim<'_>,
        sessions: &Sessions,
        headers: &HeaderMap,
        rules: Option<&Rules>,
    ) {
        self.owner = match aim {
            Aim::Session(_, chosen) | Aim::Open(_, chosen) => {
                Some((sessions.cluster.me().clone(), chosen.index))
            }
            Aim::Away(away) => Some((away.node.clone(), away.worker)),
            Aim::Unknown(_) | Aim::Body | Aim::Nobody => None,
        };
        match aim {
            Aim::Session(id, _) => self.note_session(id, rules),
            Aim::Open(opening, _) => self.note_session(&opening.id, rules),
            Aim::Away(away) => self.note_session(&away.session, rules),
            // One that has ended, or is somebody else's: an audit wants to know which.
            Aim::Unknown(_) => {
                let id = headers.get(era::SESSION_ID);
                if let Some(Ok(id)) = id.map(|id| SessionId::parse(id.as_bytes())) {
                    self.note_session(&id, rules);
                }
            }
            Aim::Body | Aim::Nobody => {}
        }
    }

    /// How many replicas the request has passed through before this one.
    pub(super) fn hops(&self) -> u8 {
        self.hop.as_ref().map_or(0, |hop| hop.hops)
    }

    /// Gives back the caller's place among the calls in flight: what follows is a stream that only waits.
    /// Returns when that has to end.
    pub(super) fn released(&mut self) -> Option<Leave> {
        self.pass.as_mut().map(Pass::release)
    }

    /// Notes how the worker ended the request.
    pub(super) fn note_ending(&mut self, ending: Ending) {
        let noted = self.call.as_ref().and_then(Call::outcome);
        self.limit = limit_of(ending).or(self.limit);
        self.outcome = match ending {
            Ending::Answered => noted.map_or(Outcome::Ok, Outcome::from),
            Ending::RpcError if noted == Some(ToolOutcome::Denied) => Outcome::Forbidden,
            Ending::RpcError | Ending::Refused => Outcome::CallerError,
            Ending::UnknownSession => Outcome::UnknownSession,
            Ending::Busy(_) => Outcome::Overloaded,
            Ending::Cancelled => Outcome::ClientGone,
            Ending::Deadline | Ending::Overdue => Outcome::Timeout,
            Ending::Panicked => Outcome::Internal,
        };
    }
}

/// The configured bound that an ending means.
pub(super) const fn limit_of(ending: Ending) -> Option<Limit> {
    match ending {
        Ending::Busy(Bound::Sessions) => Some(Limit::Sessions),
        Ending::Busy(Bound::PrincipalSessions) => Some(Limit::PrincipalSessions),
        Ending::Busy(Bound::SessionCalls) => Some(Limit::SessionCalls),
        Ending::Busy(Bound::Calls) => Some(Limit::Calls),
        Ending::Busy(Bound::Listeners) => Some(Limit::Listeners),
        Ending::Deadline => Some(Limit::CallTime),
        // No worker: not a bound that an operator sets.
        Ending::Busy(Bound::Workers)
        | Ending::Answered
        | Ending::RpcError
        | Ending::Refused
        | Ending::UnknownSession
        // Counted by whoever swept it.
        | Ending::Overdue
        | Ending::Cancelled
        | Ending::Panicked => None,
    }
}

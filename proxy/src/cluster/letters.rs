//! Signed questions of replicas to one another, and signed answers.
//!
//! Both travel as a [`Hop`] beside a body: who says it, to whom, when, and the digest of the body. An answer
//! carries the number of the question, so it answers that one and no other. So whoever can listen at an address,
//! or answer there, cannot speak for a replica; TLS adds that nobody can listen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::HeaderValue;
use mcp_core::signing::NoRandomness;

use super::status::Instance;
use crate::{
    hop::{
        BodyDigest, CannotSign, Hop, HopChecker, HopKeys, HopRefused, HopSigner, Rules, Traveller,
    },
    ring::NodeName,
};

/// Stands for the method where an answer is signed, so that no answer passes for a question.
const ANSWER: &str = "answer";

/// Writes and reads what replicas tell one another.
#[derive(Debug)]
pub(super) struct Letters {
    me: NodeName,
    instance: Instance,
    signer: HopSigner,
    /// Of answers. Questions come in through the listener, which has one of its own.
    checker: HopChecker,
    next: AtomicU64,
}

/// A question, ready to be sent.
pub(super) struct Question {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) header: HeaderValue,
    pub(super) body: Bytes,
    number: String,
}

/// What the peer listener sends back for a control message: status 200, this body, and this value in the header
/// [`HOP`](crate::hop::HOP), by which the asker knows that we said it.
#[derive(Debug)]
pub struct Answer {
    /// The signature.
    pub header: HeaderValue,
    /// What is answered, JSON.
    pub body: Bytes,
}

/// An answer that cannot be believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerRefused {
    #[error("the answer is not signed")]
    Unsigned,
    #[error("the answer's signature is refused")]
    Hop(#[from] HopRefused),
    #[error("it answers another question")]
    OtherQuestion,
    #[error("its body is not the one that was signed")]
    Body,
}

impl Letters {
    pub(super) fn new(
        keys: &Arc<HopKeys>,
        me: &NodeName,
        instance: Instance,
        clock_skew: Duration,
    ) -> Result<Self, NoRandomness> {
        Ok(Self {
            me: me.clone(),
            instance,
            signer: HopSigner::new(Arc::clone(keys))?,
            checker: HopChecker::new(Arc::clone(keys), me.clone(), clock_skew, SystemTime::now()),
            next: AtomicU64::new(0),
        })
    }

    /// Signs a request of a client that is passed on.
    pub(super) fn pass_on(
        &self,
        hop: &Hop,
        method: &str,
        path: &str,
    ) -> Result<HeaderValue, CannotSign> {
        self.signer.sign(hop, method, path, SystemTime::now())
    }

    /// Signs a question.
    pub(super) fn question(
        &self,
        to: &NodeName,
        (method, path): (&'static str, &'static str),
        body: Bytes,
    ) -> Result<Question, CannotSign> {
        let number = format!("{}-{}", self.instance, self.next.fetch_add(1, Ordering::Relaxed));
        let hop = self.hop(to, &number, &body);
        let header = self.signer.sign(&hop, method, path, SystemTime::now())?;
        Ok(Question { method, path, header, body, number })
    }

    /// Signs an answer to what `asked`.
    pub(super) fn answer(
        &self,
        asked: &Hop,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, CannotSign> {
        let hop = self.hop(&asked.from, &asked.request_id, &body);
        let header = self.signer.sign(&hop, ANSWER, path, SystemTime::now())?;
        Ok(Answer { header, body })
    }

    /// Makes sure that `body` is a replica's answer to the question, and says whose.
    pub(super) fn read(
        &self,
        asked: &Question,
        header: Option<&HeaderValue>,
        body: &[u8],
    ) -> Result<NodeName, AnswerRefused> {
        let header = header.ok_or(AnswerRefused::Unsigned)?;
        let now = SystemTime::now();
        let hop = self.checker.check(header.as_bytes(), ANSWER, asked.path, now)?;
        if hop.request_id != asked.number {
            return Err(AnswerRefused::OtherQuestion);
        }
        if !hop.covers(body) {
            return Err(AnswerRefused::Body);
        }
        Ok(hop.from)
    }

    fn hop(&self, to: &NodeName, number: &str, body: &[u8]) -> Hop {
        Hop {
            from: self.me.clone(),
            to: to.clone(),
            hops: 0,
            request_id: number.to_owned(),
            session: None,
            opens: false,
            // Nobody calls: these are no requests of clients.
            caller: Traveller { principal: None, rules: Rules::Named(Vec::new()), until: None },
            client: None,
            body_sha256: Some(BodyDigest::of(body)),
            trace: None,
        }
    }
}

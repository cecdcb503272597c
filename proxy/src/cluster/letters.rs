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
        BodyDigest, CannotSign, FirstAnswers, Hop, HopChecker, HopKeys, HopRefused, HopSigner,
        Rules, Signer, Traveller,
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
    first_answers: Arc<FirstAnswers>,
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
            // Of any time: none but ours hold the number of a question that we asked, whatever clocks say.
            checker: HopChecker::new(
                Arc::clone(keys),
                me.clone(),
                clock_skew,
                SystemTime::UNIX_EPOCH,
            ),
            first_answers: Arc::default(),
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
        let (hop, at_ms) = self.checker.check_dated(header.as_bytes(), ANSWER, asked.path, now)?;
        if hop.request_id != asked.number {
            return Err(AnswerRefused::OtherQuestion);
        }
        if !hop.covers(body) {
            return Err(AnswerRefused::Body);
        }
        self.first_answers.note(hop.signer, at_ms);
        Ok(hop.from)
    }

    /// When those that we asked answered first.
    pub(super) fn first_answers(&self) -> Arc<FirstAnswers> {
        Arc::clone(&self.first_answers)
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
            signer: Signer::default(),
            trace: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::secret::Secret;

    use super::*;

    const SKEW: Duration = Duration::from_secs(10);
    const ASKED: (&str, &str) = ("GET", crate::hop::STATUS_PATH);

    fn keys() -> Arc<HopKeys> {
        Arc::new(HopKeys::new(&[Secret::new("a secret of at least thirty-two bytes")]).unwrap())
    }

    fn letters(name: &str) -> Letters {
        let instance = Instance::random().unwrap();
        Letters::new(&keys(), &NodeName::parse(name).unwrap(), instance, SKEW).unwrap()
    }

    /// What `other` says at a time of its own clock.
    fn said(
        other: &Letters,
        hop: &Hop,
        (method, path): (&str, &str),
        at: SystemTime,
    ) -> HeaderValue {
        other.signer.sign(hop, method, path, at).unwrap()
    }

    #[test]
    fn a_replica_whose_clock_is_behind_our_start_answers_and_is_heard_from_then_on() {
        let (ours, theirs, started) = (letters("a:1"), letters("b:1"), SystemTime::now());
        let behind = started - SKEW / 2;
        let hops = HopChecker::new(keys(), ours.me.clone(), SKEW, started);
        let hops = hops.after(ours.first_answers());
        let passed_on = |at| {
            let hop = said(&theirs, &theirs.hop(&ours.me, "r", b""), ("POST", "/mcp"), at);
            hops.check(hop.as_bytes(), "POST", "/mcp", started)
        };
        assert_eq!(passed_on(behind).unwrap_err(), HopRefused::Clock, "nobody knows it yet");

        let question = ours.question(&NodeName::anyone(), ASKED, Bytes::new()).unwrap();
        let answer = theirs.hop(&ours.me, &question.number, b"ready");
        let answer = said(&theirs, &answer, (ANSWER, ASKED.1), behind);
        assert_eq!(ours.read(&question, Some(&answer), b"ready").unwrap(), theirs.me);

        passed_on(behind).unwrap();
        let before = passed_on(behind - Duration::from_millis(1)).unwrap_err();
        assert_eq!(before, HopRefused::Clock, "it may have come to the process before us");
        passed_on(started).unwrap();
    }

    #[test]
    fn a_replica_whose_clock_is_ahead_is_heard_as_before_its_answer() {
        let (ours, theirs, started) = (letters("a:1"), letters("b:1"), SystemTime::now());
        let hops = HopChecker::new(keys(), ours.me.clone(), SKEW, started);
        let hops = hops.after(ours.first_answers());
        let early = said(&theirs, &theirs.hop(&ours.me, "r", b""), ("POST", "/mcp"), started);
        let question = ours.question(&NodeName::anyone(), ASKED, Bytes::new()).unwrap();
        let answer = theirs.hop(&ours.me, &question.number, b"ready");
        let answer = said(&theirs, &answer, (ANSWER, ASKED.1), started + SKEW / 2);
        ours.read(&question, Some(&answer), b"ready").unwrap();
        // It was on its way when the answer came.
        hops.check(early.as_bytes(), "POST", "/mcp", started).unwrap();
    }
}

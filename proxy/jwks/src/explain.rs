//! What each check of a token found, for whoever asks why it is refused.
//!
//! The checks are the verifier's own, so that an explanation cannot say anything else than what happens: they
//! report to a [`Ledger`], and the verifier's stops at the first refusal while [`Lines`] reads on.

use std::fmt;

use serde_json::Value;

use crate::{
    refused::{Reason, Refused},
    verified::Verified,
};

/// Longest value shown, in characters.
const FOUND_MAX: usize = 160;
/// Longest wish shown: it may list every audience, or every key.
const WANTED_MAX: usize = 2000;

/// What the checks of a token found, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// One line a check. Where a check cannot be made without the one before, it is missing.
    pub lines: Vec<Line>,
    /// What the verifier answers; none when it accepts the token.
    pub refused: Option<Refused>,
    /// What the token says, if it is accepted.
    pub verified: Option<Verified>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What was checked: a claim or a member of the header by name, or a part of the token.
    pub what: String,
    /// What was found there, in one line without control characters; never the signature.
    pub found: String,
    /// What would be right, likewise in one line.
    pub wanted: String,
    /// None when it is right.
    pub refused: Option<Reason>,
}

/// Takes what each check found.
pub(crate) trait Ledger {
    /// Passes a check's value on.
    ///
    /// # Errors
    /// The check's refusal, from a ledger that wants no more. Another one passes on what a token without the
    /// thing would have, which must never let a token in.
    fn take<T: Default>(
        &mut self,
        what: &str,
        outcome: Result<T, Refused>,
        told: impl FnOnce() -> Told,
    ) -> Result<T, Refused>;

    /// Notes a refusal after which nothing further can be checked.
    fn stop(&mut self, what: &str, refused: Refused, told: impl FnOnce() -> Told) -> Refused {
        match self.take::<()>(what, Err(refused), told) {
            Ok(()) | Err(_) => refused,
        }
    }
}

/// What was found and what would be right.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) found: String,
    pub(crate) wanted: String,
}

/// The verifier's ledger: stops at the first refusal and writes nothing down.
#[derive(Debug)]
pub(crate) struct FirstRefusal;

/// Writes everything down.
#[derive(Debug, Default)]
pub(crate) struct Lines(pub(crate) Vec<Line>, pub(crate) Option<Refused>);

impl Ledger for FirstRefusal {
    fn take<T: Default>(
        &mut self,
        _what: &str,
        outcome: Result<T, Refused>,
        _told: impl FnOnce() -> Told,
    ) -> Result<T, Refused> {
        outcome
    }
}

impl Ledger for Lines {
    fn take<T: Default>(
        &mut self,
        what: &str,
        outcome: Result<T, Refused>,
        told: impl FnOnce() -> Told,
    ) -> Result<T, Refused> {
        let Told { found, wanted } = told();
        let refused = outcome.as_ref().err().copied();
        self.0.push(Line {
            what: printable(what, FOUND_MAX),
            found: printable(&found, FOUND_MAX),
            // It may name keys, whose names the issuer chose.
            wanted: printable(&wanted, WANTED_MAX),
            refused: refused.map(|refused| refused.reason),
        });
        self.1 = self.1.or(refused);
        Ok(outcome.unwrap_or_default())
    }
}

impl Told {
    pub(crate) fn new(found: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self { found: found.into(), wanted: wanted.into() }
    }

    /// For a member of header or payload.
    pub(crate) fn value(found: Option<&Value>, wanted: impl Into<String>) -> Self {
        Self::new(found.map_or_else(|| "absent".to_owned(), Value::to_string), wanted)
    }
}

impl Line {
    /// How to mend it; none when it is right.
    #[must_use]
    pub fn mend(&self) -> Option<&'static str> {
        self.refused.map(mend)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(reason) = self.refused else {
            return write!(f, "ok       {}: {} ({})", self.what, self.found, self.wanted);
        };
        writeln!(f, "refused  {}: {} [{}]", self.what, self.found, reason.word())?;
        writeln!(f, "         wanted: {}", self.wanted)?;
        write!(f, "         to mend it: {}", mend(reason))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        match self.refused {
            None => f.write_str("the token is accepted"),
            Some(refused) => write!(f, "{refused}"),
        }
    }
}

/// How to mend what is refused for this reason.
#[must_use]
pub const fn mend(reason: Reason) -> &'static str {
    match reason {
        Reason::TooLong => "have the provider put fewer groups or roles into the token",
        Reason::NotThreeParts => {
            "send the access token itself, header.payload.signature; opaque tokens cannot be checked here"
        }
        Reason::Encrypted => "have the provider sign access tokens without encrypting them",
        Reason::BadBase64 => {
            "send the token exactly as the provider gave it, without padding, quotes or line ends"
        }
        Reason::BadHeader | Reason::BadClaims => "have the provider issue a token as RFC 7519 says",
        Reason::DuplicateName => {
            "have the provider write each name once: which of two would count is a matter of taste"
        }
        Reason::TooDeep => "have the provider put less structure into the token",
        Reason::Unsigned => "have the provider sign the token",
        Reason::AlgorithmNotAllowed => {
            "allow the algorithm for this issuer, or have the provider sign with one that is allowed"
        }
        Reason::CriticalHeader => "have the provider leave out `crit` and `b64`",
        Reason::WrongType => "send the access token; this is a token of another kind",
        Reason::UnknownIssuer => {
            "add the issuer, spelled exactly as in the token, or fetch the token from a configured one"
        }
        Reason::UnknownKey => {
            "see that the configured keys are this issuer's: its JWKS has no usable key for this token"
        }
        Reason::BadSignature => {
            "fetch a new token; if it is refused too, the configured keys are not this issuer's"
        }
        Reason::MissingClaim => {
            "have the provider add the claim, or relax it by name for this issuer"
        }
        Reason::Expired => "fetch a new token; if it is new, set the clocks",
        Reason::NotYetValid | Reason::IssuedInFuture => "set the clocks, or allow more leeway",
        Reason::LifetimeTooLong => {
            "have the provider issue tokens that live shorter, or allow a longer lifetime"
        }
        Reason::WrongAudience => {
            "ask for the token with our address as `resource` or audience, or add the audience to this issuer"
        }
        Reason::WrongClaim => "fetch a token of the kind that the claim tells, or change the rule",
        Reason::KeysUnavailable => "see why the issuer's keys cannot be fetched: check --online",
    }
}

/// One line that cannot change what a terminal shows around it.
fn printable(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == longest {
            shown.push('…');
            break;
        }
        // `escape_debug` knows what is printable, and also escapes quotes, which need it not.
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

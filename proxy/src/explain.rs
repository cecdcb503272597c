//! Why a token would be let in by a configuration, or not: `promgate token explain`.
//!
//! Verifier and policy are those that serve, so an explanation cannot differ from what happens. It shows what
//! the token says, which is its holder's to see, and never the token or its signature.

use std::{fmt, io, time::SystemTime};

use futures_util::future::join_all;
use jsonwebtoken_jwks::{
    explain::Explanation,
    jwks::{Jwks, StartError},
    policy::TOKEN_BYTES_MAX,
    verifier::{self, Verifier},
};
use tokio::time::timeout;

use crate::{
    config::{Config, Issuer, KeySource, Verification},
    enquiry::{self, PATIENCE, shown},
    policy::{Fault, Policy},
    telemetry::Chain,
};

mod rules;

use self::rules::{Judge, Judged};

/// Most bytes read as a token: what is over the longest one is refused by its length, and white space around it
/// is no part of it.
pub const INPUT_BYTES_MAX: usize = TOKEN_BYTES_MAX + 1024;

/// Why there is no explanation, or no good one.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The token cannot be read.
    #[error("cannot read the token from standard input")]
    Input(#[source] io::Error),
    /// There is none.
    #[error(
        "there is no token on standard input; pipe one in, as in `promgate token explain < token.txt`"
    )]
    NoToken,
    /// Nobody is asked for a token.
    #[error("this configuration asks nobody for a token: `middleware.jwt.enabled` is not true")]
    NotAsked,
    /// The runtime cannot start.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// Keys can never be had.
    #[error("the keys of issuer `{issuer}` cannot be used")]
    Keys {
        /// Its name.
        issuer: String,
        /// Why.
        source: Box<StartError>,
    },
    /// The settings cannot be used.
    #[error("the rules or conditions cannot be used")]
    Policy(#[source] Faults),
    /// The token would be refused.
    #[error("the token would not be let in")]
    Refused,
}

/// What is wrong with the rules or conditions.
#[derive(Debug)]
pub struct Faults(Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(|fault| Chain(fault).to_string()).collect();
        f.write_str(&texts.join("; "))
    }
}

impl std::error::Error for Faults {}

/// An explanation of a token.
#[derive(Debug)]
pub struct Report {
    /// Issuers whose keys are not at hand, and why.
    missing: Vec<(String, String)>,
    token: Explanation,
    judged: Option<Judged>,
}

/// Explains a token, with or without the word `Bearer` before it.
///
/// # Errors
/// [`ExplainError`] when there is no token, no token is asked for, or nothing can be said.
pub fn explain(config: &Config, text: &str) -> Result<Report, ExplainError> {
    let token = bare(text).ok_or(ExplainError::NoToken)?;
    let verification = config.authentication.verification().ok_or(ExplainError::NotAsked)?;
    enquiry::ask(report(config, verification, token)).map_err(ExplainError::Runtime)?
}

impl Report {
    /// # Errors
    /// [`ExplainError::Refused`] when the token would not be let in.
    pub fn verdict(&self) -> Result<(), ExplainError> {
        match &self.judged {
            Some(judged) if judged.allowed => Ok(()),
            Some(_) | None => Err(ExplainError::Refused),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (issuer, why) in &self.missing {
            writeln!(f, "no keys  of issuer `{}`: {}", shown(issuer), shown(why))?;
        }
        for line in self.token.to_string().lines() {
            writeln!(f, "{}", shown(line))?;
        }
        match &self.judged {
            Some(judged) => f.write_str(&judged.text),
            None => {
                writeln!(f, "\nConditions and rules are looked at once the token itself is good.")
            }
        }
    }
}

/// The token without what stands around it.
fn bare(text: &str) -> Option<&str> {
    let text = text.trim();
    let token = match text.split_once(char::is_whitespace) {
        Some((word, token)) if word.eq_ignore_ascii_case("bearer") => token.trim_start(),
        Some(_) | None => text,
    };
    (!token.is_empty()).then_some(token)
}

async fn report(
    config: &Config,
    verification: &Verification,
    token: &str,
) -> Result<Report, ExplainError> {
    let policy = Policy::new(Some(verification), &config.authorization)
        .map_err(|faults| ExplainError::Policy(Faults(faults)))?;
    let issuers =
        verification.issuers.iter().map(started).collect::<Result<Vec<_>, ExplainError>>()?;
    let loads = issuers.iter().filter_map(|issuer| issuer.keys.as_ref());
    // Each joins the first load, which began just now.
    join_all(loads.map(|keys| timeout(PATIENCE, keys.refetch(0)))).await;
    let missing = issuers.iter().filter_map(missing).collect();
    let judge = Judge::of(config, verification, policy);
    let verifier =
        Verifier::new(issuers, 1, move |verified, claims| judge.judged(verified, claims));
    let now = SystemTime::now();
    // First what serving does, which may fetch keys once more; then what was found with them.
    let accepted = verifier.verify(token, now).await;
    Ok(Report {
        missing,
        token: verifier.explain(token, now),
        judged: accepted.ok().map(|accepted| accepted.judgement.clone()),
    })
}

/// An issuer whose keys are on their way.
fn started(issuer: &Issuer) -> Result<verifier::Issuer, ExplainError> {
    let start = |keys: &KeySource| Jwks::start(keys.source.clone(), keys.terms.clone());
    let keys = issuer.keys.as_ref().map(start).transpose();
    let keys = keys.map_err(|source| {
        let issuer = issuer.policy.issuer.clone();
        ExplainError::Keys { issuer, source: Box::new(source) }
    })?;
    Ok(verifier::Issuer { policy: issuer.policy.clone(), keys })
}

/// The issuer's name, and why its keys are not at hand.
fn missing(issuer: &verifier::Issuer) -> Option<(String, String)> {
    let status = issuer.keys.as_ref()?.status();
    let why = || {
        let silent = || format!("no answer within {PATIENCE:?}");
        status.last_error.as_deref().map_or_else(silent, str::to_owned)
    };
    (!status.usable).then(|| (issuer.policy.issuer.clone(), why()))
}

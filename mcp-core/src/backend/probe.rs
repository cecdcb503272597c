//! Whether a backend is there, and which version it has.

use std::{
    error::Error,
    fmt,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde::Deserialize;

use super::{Backend, BackendError, Backends, Endpoint, QueryData, Question, Text};
use crate::{config::BackendName, observe::BackendOutcome};

/// Longest version that is shown, in characters. Real ones are as in `2.42.0+ds-5+b5`.
const VERSION_CHARS_MAX: usize = 40;

/// Most of a backend's own words that are shown, in characters.
const WORDS_CHARS_MAX: usize = 200;

/// The cheapest question that every backend must be able to answer.
const QUESTION: &str = "query=1";

/// A backend that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Its version, if it tells one: at most 40 characters, none of them a control character.
    pub version: Option<String>,
    /// How long the answer took, connecting included.
    pub took: Duration,
}

/// Why a backend cannot be used.
#[derive(Debug)]
pub struct ProbeError(BackendError);

/// `data` of `/api/v1/status/buildinfo`.
#[derive(Deserialize)]
struct BuildInfo<'a> {
    #[serde(borrow)]
    version: Option<Text<'a>>,
}

impl Backends {
    /// Asks every backend whether it is there, all at once, each within its own time limit but
    /// no longer than `limit`; the answers are ordered by name.
    pub async fn probe(&self, limit: Duration) -> Vec<(BackendName, Result<Reached, ProbeError>)> {
        let asked = self.all().iter().map(|backend| async move {
            (backend.name().clone(), backend.probe(limit).await.map_err(ProbeError))
        });
        join_all(asked).await
    }
}

impl Backend {
    /// Asks for the version, and where there is no such endpoint, for the value of 1.
    async fn probe(&self, limit: Duration) -> Result<Reached, BackendError> {
        let deadline = self.timeout().min(limit);
        let started = Instant::now();
        match self.version(deadline).await {
            Err(error) if answers_otherwise(&error) => {}
            done => return done,
        }
        // One limit for both.
        let deadline = deadline.saturating_sub(started.elapsed());
        let started = Instant::now();
        let question = self.question(Endpoint::Query, QUESTION, deadline);
        self.fetch(&question).await?.read::<QueryData<'_>>()?;
        Ok(Reached { version: None, took: started.elapsed() })
    }

    async fn version(&self, deadline: Duration) -> Result<Reached, BackendError> {
        let started = Instant::now();
        let question = self.question(Endpoint::BuildInfo, "", deadline);
        let fetched = self.fetch(&question).await?;
        let info = fetched.read::<BuildInfo<'_>>()?.data;
        let version = info.version.map(|text| self.exchange.masked(text.as_str()));
        let version = version.map(|text| shown(&text, VERSION_CHARS_MAX));
        let version = version.filter(|version| !version.is_empty());
        Ok(Reached { version, took: started.elapsed() })
    }

    fn question(&self, endpoint: Endpoint, form: &str, deadline: Duration) -> Question<'_> {
        let org = self.org_id();
        Question {
            endpoint,
            form: form.to_owned(),
            org,
            deadline,
            hurried: false,
            upstream: None,
            trace: None,
        }
    }
}

impl ProbeError {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match &self.0 {
            BackendError::Unreachable(_) => "check `url`, and that the backend runs",
            BackendError::Tls(_) => "if its certificate authority is your own, set `tls.ca_file`",
            BackendError::Timeout { .. } => "see what keeps it busy, or raise `timeout`",
            BackendError::Unauthorized { .. } => "check `auth` and `org_id`",
            BackendError::Redirected { .. } => "set `url` to the final address",
            BackendError::RateLimited { .. } => "try again in a while",
            BackendError::TooLarge { .. } | BackendError::NotApi { .. } => {
                "check that `url` is the base address of a Prometheus API"
            }
            BackendError::Interrupted(_) | BackendError::Api { .. } => "see the backend's log",
        }
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        let (BackendError::Unauthorized { api: Some(words), .. }
        | BackendError::RateLimited { api: Some(words), .. }
        | BackendError::Api { error: words, .. }) = &self.0
        else {
            return Ok(());
        };
        write!(f, ": {}", shown(&words.message, WORDS_CHARS_MAX))
    }
}

impl Error for ProbeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Whether something was there that answered, though not to this question: not every backend has
/// the endpoint, and some guard it more than the query that it is about.
fn answers_otherwise(error: &BackendError) -> bool {
    match error.outcome() {
        BackendOutcome::Unreachable | BackendOutcome::Timeout => false,
        BackendOutcome::Ok
        | BackendOutcome::Refused
        | BackendOutcome::Unauthorized
        | BackendOutcome::BadAnswer
        | BackendOutcome::TooLarge => true,
    }
}

/// Text of a backend as a terminal may show it.
fn shown(text: &str, chars_max: usize) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.take(chars_max).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;

//! Metrics backends that speak the Prometheus HTTP API.
//!
//! Each has its own pooled client, its own credentials and its own limits. Credentials travel to
//! the configured host and to no other: no redirect is followed and no proxy is taken from the
//! environment. Modules, in order: `error`, `answer`, `traced`, `exchange`, `probe`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::{
    call::Upstream,
    config::{BackendConfig, BackendName, OrgId},
    observe::{BackendOutcome, Observer},
};

mod error;

mod answer;

mod traced;

mod exchange;

mod probe;

use self::exchange::{Exchange, Reply};
pub(crate) use self::{
    answer::{Answer, Items, Names, QueryData, Text},
    error::{ApiError, BackendError},
    exchange::{Endpoint, Question},
};
pub use self::{
    error::{BackendBuildError, BuildFault},
    probe::{ProbeError, Reached},
};

/// The configured backends, ordered by name.
#[derive(Debug)]
pub struct Backends(Vec<Backend>);

/// One backend.
#[derive(Debug)]
pub(crate) struct Backend {
    name: BackendName,
    org_id: Option<OrgId>,
    available_orgs: Vec<OrgId>,
    timeout: Duration,
    exchange: Exchange,
    observer: Arc<dyn Observer>,
}

/// A request to a backend for as long as somebody waits for it: callers leave, and drop it.
struct InFlight<'b>(&'b Backend);

/// What a backend sent. [`Fetched::read`] makes sense of it.
#[derive(Debug)]
pub(crate) struct Fetched<'b> {
    backend: &'b Backend,
    hurried: bool,
    took: Duration,
    reply: Reply,
}

impl Backends {
    /// Builds the client of each backend.
    ///
    /// # Errors
    /// [`BackendBuildError`] names the first backend whose settings cannot work.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "each backend shares it; callers hand it over"
    )]
    pub fn new(
        configs: Vec<BackendConfig>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, BackendBuildError> {
        let mut backends: Vec<Backend> = Vec::with_capacity(configs.len());
        for config in configs {
            let backend = Backend::new(config, Arc::clone(&observer))?;
            match backends.binary_search_by(|other| other.name.cmp(&backend.name)) {
                Ok(_taken) => {
                    let fault = BuildFault::NameTaken;
                    return Err(BackendBuildError { name: backend.name, fault });
                }
                Err(place) => backends.insert(place, backend),
            }
        }
        Ok(Self(backends))
    }

    /// The backends, ordered by name.
    pub(crate) fn all(&self) -> &[Backend] {
        &self.0
    }

    /// The backend of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Backend> {
        let place = self.0.binary_search_by(|backend| backend.name.as_str().cmp(name)).ok()?;
        self.0.get(place)
    }
}

impl Backend {
    fn new(config: BackendConfig, observer: Arc<dyn Observer>) -> Result<Self, BackendBuildError> {
        let exchange = Exchange::new(&config)
            .map_err(|fault| BackendBuildError { name: config.name.clone(), fault })?;
        Ok(Self {
            name: config.name,
            org_id: config.org_id,
            available_orgs: config.available_orgs,
            timeout: config.timeout,
            exchange,
            observer,
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &BackendName {
        &self.name
    }

    /// The tenant of a question that names none.
    pub(crate) fn org_id(&self) -> Option<&OrgId> {
        self.org_id.as_ref()
    }

    /// The tenants that a question may name, the default first, each once.
    pub(crate) fn orgs(&self) -> impl Iterator<Item = &OrgId> {
        let named = self.available_orgs.iter().filter(|org| Some(*org) != self.org_id.as_ref());
        self.org_id.iter().chain(named)
    }

    /// Limit of one question.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Asks a question. Dropping the future ends the request.
    ///
    /// # Errors
    /// [`BackendError`] when no whole answer came.
    pub(crate) async fn fetch(&self, question: &Question<'_>) -> Result<Fetched<'_>, BackendError> {
        let started = Instant::now();
        let _counts_until_dropped = question.upstream.map(Upstream::ask);
        let _in_flight = InFlight::begin(self);
        let reply = self.exchange.ask(question).await;
        let (took, hurried) = (started.elapsed(), question.hurried);
        match reply {
            Ok(reply) => Ok(Fetched { backend: self, hurried, took, reply }),
            Err(fault) => Err(self.failed(fault, hurried, took)),
        }
    }

    /// Reports a failure, and warns of it unless it is the caller's doing.
    fn failed(&self, fault: BackendError, hurried: bool, took: Duration) -> BackendError {
        let outcome = fault.outcome();
        self.observer.backend_called(&self.name, outcome, took);
        let cause = fault.root_cause();
        let cause = cause.as_deref();
        let by_caller = match outcome {
            BackendOutcome::Refused => true,
            BackendOutcome::Timeout => hurried,
            BackendOutcome::Ok
            | BackendOutcome::Unauthorized
            | BackendOutcome::Unreachable
            | BackendOutcome::BadAnswer
            | BackendOutcome::TooLarge => false,
        };
        if by_caller {
            tracing::debug!(backend = %self.name, error = %fault, cause, "question refused");
        } else {
            tracing::warn!(backend = %self.name, error = %fault, cause, "backend failed");
        }
        fault
    }
}

impl<'b> InFlight<'b> {
    fn begin(backend: &'b Backend) -> Self {
        backend.observer.backend_asked(&backend.name);
        Self(backend)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.observer.backend_left(&self.0.name);
    }
}

impl Fetched<'_> {
    /// Reads the answer and reports how the question ended. To be called once.
    ///
    /// # Errors
    /// [`BackendError`] when the backend refused or failed, or speaks something else.
    pub(crate) fn read<'a, D: Deserialize<'a>>(&'a self) -> Result<Answer<D>, BackendError> {
        let good = self.reply.status.is_success();
        let mask = |text: &str| self.backend.exchange.masked(text);
        let answer = if good { answer::success(&self.reply.body, &mask) } else { None };
        match answer.ok_or_else(|| self.fault()) {
            Ok(answer) => {
                let backend = self.backend;
                backend.observer.backend_called(&backend.name, BackendOutcome::Ok, self.took);
                Ok(answer)
            }
            Err(fault) => Err(self.backend.failed(fault, self.hurried, self.took)),
        }
    }

    /// The backend's own words for its failure, without our credentials. What comes with a
    /// server error and not in the API's form is a trace or a page of something in between, and
    /// tells the caller nothing.
    fn words(&self) -> Option<ApiError> {
        let Reply { status, media_type, body, .. } = &self.reply;
        let mask = |text: &str| self.backend.exchange.masked(text);
        answer::failure(body, &mask).or_else(|| {
            let refused = status.is_client_error();
            refused.then(|| answer::refusal(body, media_type.as_deref(), &mask))?
        })
    }

    fn fault(&self) -> BackendError {
        let Reply { status, media_type, retry_after_s, .. } = &self.reply;
        let (status, retry_after_s) = (*status, *retry_after_s);
        match status.as_u16() {
            300..=399 => return BackendError::Redirected { status },
            401 | 403 => return BackendError::Unauthorized { status, api: self.words() },
            429 => return BackendError::RateLimited { retry_after_s, api: self.words() },
            _other => {}
        }
        match self.words() {
            Some(error) => BackendError::Api { status, error },
            None => BackendError::NotApi { status, media_type: media_type.clone() },
        }
    }
}

#[cfg(test)]
pub(crate) mod fake;

#[cfg(test)]
mod tests;

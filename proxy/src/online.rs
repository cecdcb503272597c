//! What a configuration names, asked whether it is there: issuers of tokens, the authorization
//! server, backends.
//!
//! All are asked at once, and none for longer than [`PATIENCE`]. What is shown holds no secret: what
//! providers and backends say was made harmless where it was read, or is here.

use std::{
    fmt, io,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};
use jsonwebtoken_jwks::{
    jwks::{Jwks, Status},
    key::RejectedKey,
    metadata::{Metadata, WellKnown},
};
use mcp_core::{
    backend::Backends,
    config::{BackendConfig, BackendName},
    observe::Unobserved,
};
use tokio::time::timeout;

use crate::{
    config::{AuthorizationServer, Config, Issuer},
    enquiry::{self, PATIENCE, Row, shown, table},
    telemetry::Chain,
};

/// Longest key id that is shown, in characters.
const KID_CHARS_MAX: usize = 40;

/// Most rejected keys of one issuer that are shown.
const REJECTED_MAX: usize = 16;

/// What was found.
#[derive(Debug)]
pub struct Report {
    issuers: Vec<Finding>,
    servers: Vec<Finding>,
    backends: Vec<Finding>,
}

/// Why there is no good report.
#[derive(Debug, thiserror::Error)]
pub enum OnlineError {
    /// The runtime cannot start.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// Something is not there.
    #[error("{missing} of {all} cannot be used; the table says which and why")]
    Missing {
        /// So many…
        missing: usize,
        /// …of so many.
        all: usize,
    },
}

/// What was found about one of them.
#[derive(Debug)]
struct Finding {
    name: String,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// It answered.
    Reached {
        took: Duration,
        /// What fills the columns after the time.
        columns: Vec<String>,
    },
    /// It did not, or not well.
    Missing { because: String },
    /// Nobody needs it.
    NotAsked { because: &'static str },
}

/// Asks everything that the configuration names.
///
/// # Errors
/// [`OnlineError::Runtime`] when nothing could be asked.
pub fn ask(config: &Config) -> Result<Report, OnlineError> {
    enquiry::ask(report(config)).map_err(OnlineError::Runtime)
}

impl Report {
    /// # Errors
    /// [`OnlineError::Missing`] when something cannot be used.
    pub fn verdict(&self) -> Result<(), OnlineError> {
        let all = self.findings().count();
        let missing = self.findings().filter(|finding| finding.is_missing()).count();
        if missing == 0 { Ok(()) } else { Err(OnlineError::Missing { missing, all }) }
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.issuers.iter().chain(&self.servers).chain(&self.backends)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables = [
            (&self.issuers, &["issuer", "reachable", "after", "keys", "rejected"][..]),
            (&self.servers, &["authorization server", "reachable", "after"]),
            (&self.backends, &["backend", "reachable", "after", "version"]),
        ];
        for (findings, header) in tables.into_iter().filter(|(findings, _)| !findings.is_empty()) {
            write!(f, "\n{}", table(header, findings.iter().map(Finding::row)))?;
        }
        Ok(())
    }
}

impl Finding {
    const fn is_missing(&self) -> bool {
        matches!(self.outcome, Outcome::Missing { .. })
    }

    fn row(&self) -> Row {
        let name = shown(&self.name);
        let (word, more, remark) = match &self.outcome {
            Outcome::Reached { took, columns } => {
                let took = format!("{:.1} ms", took.as_secs_f64() * 1e3);
                ("yes", [&[took], columns.as_slice()].concat(), None)
            }
            Outcome::Missing { because } => {
                ("no", Vec::new(), Some(format!("because: {}", shown(because))))
            }
            Outcome::NotAsked { because } => ("not asked", Vec::new(), Some((*because).to_owned())),
        };
        Row { cells: [&[name, word.to_owned()], more.as_slice()].concat(), remark }
    }
}

async fn report(config: &Config) -> Report {
    let verification = config.authentication.verification();
    let issuers = verification.into_iter().flat_map(|verification| &verification.issuers);
    let issuers = join_all(issuers.map(issuer));
    let servers = join_all(config.authorization_server.iter().map(server));
    let backends = join_all(config.backends.iter().map(backend));
    let ((issuers, servers), backends) = join(join(issuers, servers), backends).await;
    Report { issuers, servers, backends }
}

async fn issuer(issuer: &Issuer) -> Finding {
    let name = issuer.policy.issuer.clone();
    let Some(keys) = &issuer.keys else {
        let because = "signatures are checked by the proxy in front";
        return Finding { name, outcome: Outcome::NotAsked { because } };
    };
    let started = Instant::now();
    let outcome = match Jwks::start(keys.source.clone(), keys.terms.clone()) {
        Err(error) => Outcome::Missing { because: Chain(&error).to_string() },
        Ok(jwks) => {
            // Joins the first load, which began just now.
            let ended = timeout(PATIENCE, jwks.refetch(0)).await;
            let (took, status) = (started.elapsed(), jwks.status());
            match (ended, status.usable) {
                (_, true) => Outcome::Reached { took, columns: key_columns(&status) },
                (Ok(_newer), false) => missing(status.last_error.as_deref()),
                (Err(_elapsed), false) => missing(None),
            }
        }
    };
    Finding { name, outcome }
}

async fn server(server: &AuthorizationServer) -> Finding {
    let started = Instant::now();
    let outcome = match Metadata::start(&server.issuer, &server.terms) {
        Err(error) => Outcome::Missing { because: Chain(&error).to_string() },
        Ok(metadata) => {
            let ended = timeout(PATIENCE, metadata.attempted(WellKnown::OAuth)).await;
            match ended {
                Ok(true) => Outcome::Reached { took: started.elapsed(), columns: Vec::new() },
                Ok(false) => missing(metadata.last_error(WellKnown::OAuth).as_deref()),
                Err(_elapsed) => missing(None),
            }
        }
    };
    Finding { name: server.issuer.clone(), outcome }
}

async fn backend(config: &BackendConfig) -> Finding {
    let outcome = match Backends::new(vec![config.clone()], std::sync::Arc::new(Unobserved)) {
        Err(error) => Outcome::Missing { because: Chain(&error).to_string() },
        Ok(backends) => match backends.probe(PATIENCE).await.pop() {
            Some((_, Ok(reached))) => {
                let version = reached.version.unwrap_or_else(|| "not told".to_owned());
                Outcome::Reached { took: reached.took, columns: vec![version] }
            }
            Some((_, Err(error))) => {
                let because = format!("{}; {}", Chain(&error), error.advice());
                Outcome::Missing { because }
            }
            None => missing(None),
        },
    };
    Finding { name: BackendName::as_str(&config.name).to_owned(), outcome }
}

/// No words mean that there was no end.
fn missing(words: Option<&str>) -> Outcome {
    let because = words
        .map_or_else(|| format!("no answer within {} s", PATIENCE.as_secs()), ToOwned::to_owned);
    Outcome::Missing { because }
}

/// `2 RSA, 1 P-256` and `old (rsa_too_short)`.
fn key_columns(status: &Status) -> Vec<String> {
    let keys: Vec<_> = status.keys.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let rejected = |key: &RejectedKey| {
        let kid = key
            .kid
            .as_deref()
            .map(|kid| shown(&kid.chars().take(KID_CHARS_MAX).collect::<String>()));
        let kid = kid.filter(|kid| !kid.is_empty()).unwrap_or_else(|| "without kid".to_owned());
        format!("{kid} ({})", key.reason.word())
    };
    let mut all: Vec<_> = status.rejected.iter().take(REJECTED_MAX).map(rejected).collect();
    let more = status.rejected.len().saturating_sub(REJECTED_MAX);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    if all.is_empty() {
        all.push("none".to_owned());
    }
    vec![keys.join(", "), all.join(", ")]
}

#[cfg(test)]
mod tests;

//! Reloading the configuration while requests are served.
//!
//! A new configuration is read, checked and put together whole before any of it is used; then one swap makes it
//! the one that requests work on. One that has a fault changes nothing. What cannot change while the process
//! runs is named, and stays as it was.

use std::{path::PathBuf, sync::Arc, time::Duration};

use http::HeaderName;
use mcp_core::{
    backend::{BackendBuildError, Backends},
    config::{BackendConfig, BackendName, OrgId, ToolLimits},
    observe::Observer,
    server::{Change, Changes},
    tools::Metrics as Tools,
};
use tokio::{task::JoinError, time::sleep};

use self::settled::{
    other_certificates, same_access_log, same_cluster, same_secret, same_sessions, same_traces,
    settle_keys,
};
use crate::{
    cluster::CertificateError,
    config::{self, Authentication, Config, ConfigFaults, ProcessEnvironment, Source},
    live::{Current, Live, LiveError},
    metrics::{Metrics, MetricsError, labels::ReloadOutcome},
    server::signing_secrets,
    sessions::{Sessions, SessionsError},
    telemetry::{self, Chain},
};

mod settled;

#[cfg(test)]
mod tests;

/// How long new keys may take to arrive before the settings that need them are used all the same: their issuer
/// may be down, and the other settings must not wait for it.
const KEYS_PATIENCE: Duration = Duration::from_secs(5);

/// How long files must have been left alone: an editor writes in several steps.
const QUIET: Duration = Duration::from_millis(200);

/// Why a new configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It has faults.
    #[error("the new configuration has faults:\n{0}")]
    Config(ConfigFaults),
    /// Authentication would go, and with it what the listener was said to be.
    #[error(
        "the new configuration switches authentication off and changes `server.transport.type` or \
         `server.transport.http.host`, which needs a restart: until then everyone who reaches the old \
         listener would be let in; restart, or change one after the other"
    )]
    Opens,
    /// The access log that runs shows a header that would hold tokens.
    #[error(
        "the access log that runs writes the header `{0}`, which would hold tokens, and a change of \
         `middleware.access_logs` needs a restart; restart, or take another `forwarded_header`"
    )]
    LogsTokens(HeaderName),
    /// A backend's client cannot be made.
    #[error("cannot prepare a backend of the new configuration")]
    Backend(#[from] BackendBuildError),
    /// The settings of who is let in cannot be put to work.
    #[error("cannot put the new configuration to work")]
    Live(#[from] LiveError),
    /// Certificates of the replicas cannot be used.
    #[error("cannot use the new certificates of the replicas")]
    Certificates(#[from] CertificateError),
    /// A key of the sessions cannot be used.
    #[error("cannot use the new keys")]
    Keys(#[from] SessionsError),
    /// The series of a new backend cannot be made.
    #[error("cannot count what a new backend does")]
    Metrics(#[from] MetricsError),
    /// Reading panicked.
    #[error("reading the new configuration failed")]
    Read(#[from] JoinError),
}

/// What a reload works on.
#[derive(Debug, Clone)]
pub struct Running {
    /// The settings that it replaces.
    pub live: Current,
    /// Workers, replicas, and who owns which session; their keys are replaced.
    pub sessions: Arc<Sessions>,
    /// The tools, whose backends it replaces.
    pub tools: Tools,
    /// Where clients are told that the tools have changed.
    pub changes: Changes,
    /// What counts it.
    pub metrics: Arc<Metrics>,
}

/// Reads the configuration again and puts it to work.
#[derive(Debug)]
pub struct Reloader {
    path: PathBuf,
    /// What runs. Settings that need a restart stay as they were at the start.
    config: Config,
    running: Running,
    /// The files as they were when they were read last.
    seen: Vec<Source>,
}

impl Reloader {
    /// Reloads what was read from `path` into what runs.
    #[must_use]
    pub fn new(path: PathBuf, config: Config, running: Running) -> Self {
        let seen = config.sources.clone();
        Self { path, config, running, seen }
    }

    /// Waits until the configuration file, or a file that it names, has changed and is left alone.
    pub async fn changed(&mut self) {
        // Without an interval only a signal reloads.
        let Some(interval) = self.config.server.reload_interval else {
            return std::future::pending().await;
        };
        loop {
            sleep(interval).await;
            let mut now = self.sources_now().await;
            if now == self.seen {
                continue;
            }
            loop {
                sleep(QUIET).await;
                let later = self.sources_now().await;
                if later == now {
                    break;
                }
                now = later;
            }
            return;
        }
    }

    /// Reads the configuration and puts it to work. What comes of it is logged and counted.
    pub async fn reload(&mut self) {
        // Before reading: what changes meanwhile is read at the next look.
        self.seen = self.sources_now().await;
        match self.try_reload().await {
            Ok(restart) => {
                self.running.metrics.reloaded(ReloadOutcome::Applied);
                tracing::info!(file = %self.path.display(), "configuration reloaded");
                if !restart.is_empty() {
                    let settings = restart.join(", ");
                    tracing::warn!(%settings, "these settings have changed and need a restart");
                }
                warn_if_open(&self.config, &self.running.live.load());
            }
            Err(error) => {
                // What the new one names may be what it waits for, such as a secret that is not there yet.
                if let ReloadError::Config(faults) = &error {
                    let new = faults.sources().iter();
                    let known = |new: &&Source| self.seen.iter().any(|old| old.path == new.path);
                    let new: Vec<_> = new.filter(|new| !known(new)).cloned().collect();
                    self.seen.extend(new);
                }
                self.running.metrics.reloaded(ReloadOutcome::Refused);
                let error = Chain(&error);
                tracing::error!(%error, "configuration not reloaded; the old one goes on");
            }
        }
    }

    async fn try_reload(&mut self) -> Result<Vec<&'static str>, ReloadError> {
        let path = self.path.clone();
        let read = move || config::load(&path, &ProcessEnvironment);
        let wanted = tokio::task::spawn_blocking(read).await?.map_err(ReloadError::Config)?;
        check_together(&wanted, &self.config)?;
        let restart = needing_restart(&self.config, &wanted);
        let next = with_settled(wanted, &self.config);
        let observer: Arc<dyn Observer> = Arc::<Metrics>::clone(&self.running.metrics);
        let backends = Backends::new(next.backends.clone(), observer)?;
        let old = self.running.live.load_full();
        let shown = SeenByClients::of(&next) != SeenByClients::of(&self.config);
        let edition = Tools::prepare(backends, next.tools);
        let live = Live::new(&next, edition.clone(), Some(&old), &self.running.metrics)?;
        let names: Vec<_> =
            next.backends.iter().map(|BackendConfig { name, .. }| name.clone()).collect();
        self.running.metrics.learn_backends(&names)?;
        live.loaded(Some(&old), KEYS_PATIENCE).await;
        self.rekey(&next).await?;
        relog(&next);
        let regated = !Arc::ptr_eq(&live.gate, &old.gate);
        self.running.tools.replace(&edition);
        self.running.live.store(Arc::new(live));
        self.running.metrics.certify(&next.certificate_ends());
        // Told first, so that a stream that is to end carries the news before.
        if regated || shown {
            self.running.changes.announce(&Change::Tools);
        }
        if regated {
            old.gate.retire();
        }
        self.seen.clone_from(&next.sources);
        self.config = next;
        Ok(restart)
    }

    /// Puts other certificates of replicas, and other keys of sessions and replicas, to use.
    async fn rekey(&self, next: &Config) -> Result<(), ReloadError> {
        let sessions = &self.running.sessions;
        if let Some(tls) = other_certificates(next, &self.config) {
            sessions.cluster.recertify(tls).await?;
        }
        sessions.rekey(&next.sessions.keys)?;
        if let Some(cluster) = &next.cluster {
            let secrets = signing_secrets(cluster, &next.sessions.keys);
            sessions.cluster.rekey(secrets).map_err(SessionsError::from)?;
        }
        Ok(())
    }

    async fn sources_now(&self) -> Vec<Source> {
        let seen = self.seen.clone();
        let look = move || seen.iter().map(Source::now).collect();
        tokio::task::spawn_blocking(look).await.unwrap_or_else(|_panic| self.seen.clone())
    }
}

/// Logs what the new configuration says.
fn relog(next: &Config) {
    let changed = telemetry::log().map(|log| log.configure(&next.telemetry.log, None));
    if let Some(Err(error)) = changed {
        tracing::warn!(error = %Chain(&error), "what is logged stays as it was");
    }
}

/// Says loudly that everyone is let in, where others than this machine can come, and that what replicas tell one
/// another can be read, where it leaves this machine.
pub fn warn_if_open(config: &Config, live: &Live) {
    let address = config.server.http.listen;
    if live.gate.is_open() && !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "NO AUTHENTICATION: whoever reaches this address can query every backend; \
             switch `middleware.jwt` on, or listen on loopback"
        );
    }
    if let Some(cluster) = &config.cluster
        && cluster.tls.is_none()
        && !cluster.listen.ip().is_loopback()
    {
        tracing::warn!(
            address = %cluster.listen,
            "what replicas tell one another is signed, but can be read on the way; \
             write `cluster.tls`, or see that nobody else is on that network"
        );
    }
}

/// What clients see of the tools: when it changes they are told.
#[derive(PartialEq)]
struct SeenByClients<'c> {
    limits: ToolLimits,
    backends: Vec<(&'c BackendName, Option<&'c OrgId>, &'c [OrgId])>,
}

impl<'c> SeenByClients<'c> {
    fn of(config: &'c Config) -> Self {
        let backends = config.backends.iter();
        let seen = backends.map(|BackendConfig { name, org_id, available_orgs, .. }| {
            (name, org_id.as_ref(), available_orgs.as_slice())
        });
        Self { limits: config.tools, backends: seen.collect() }
    }
}

/// Checks what each of two configurations may say, and both together may not, as one part of `wanted` comes to work
/// and the other does not.
fn check_together(wanted: &Config, running: &Config) -> Result<(), ReloadError> {
    let (new, old) = (&wanted.server, &running.server);
    let moves = new.transport != old.transport || new.http.listen != old.http.listen;
    if moves
        && wanted.authentication == Authentication::None
        && running.authentication != Authentication::None
    {
        return Err(ReloadError::Opens);
    }
    match &wanted.authentication {
        Authentication::External { header, .. }
            if running.access_log.included_headers.contains(header) =>
        {
            Err(ReloadError::LogsTokens(header.clone()))
        }
        Authentication::None | Authentication::Local(_) | Authentication::External { .. } => Ok(()),
    }
}

/// The settings that differ and cannot change while the process runs, by their names in the file.
fn needing_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let (was, is) = (&old.server, &new.server);
    [
        ("server.name", was.name == is.name),
        ("server.version", was.version == is.version),
        ("server.transport.type", was.transport == is.transport),
        ("server.transport.http.host", was.http.listen == is.http.listen),
        ("server.transport.http.h2c", was.http.h2c == is.http.h2c),
        ("server.transport.http.limits", was.http.limits == is.http.limits),
        ("server.admin.host", was.admin == is.admin),
        ("server.admin.token", same_secret(was.admin_token.as_ref(), is.admin_token.as_ref())),
        ("server.workers", was.workers == is.workers),
        ("server.upgrade_socket", was.upgrade_socket == is.upgrade_socket),
        ("server.drain_timeout", was.drain_timeout == is.drain_timeout),
        (
            "server.limits or sessions",
            old.worker_limits == new.worker_limits && same_sessions(&old.sessions, &new.sessions),
        ),
        ("cluster", same_cluster(old.cluster.as_ref(), new.cluster.as_ref())),
        ("middleware.access_logs", same_access_log(&old.access_log, &new.access_log)),
        (
            "telemetry.traces",
            same_traces(old.telemetry.traces.as_ref(), new.telemetry.traces.as_ref()),
        ),
        ("telemetry.log.format", old.telemetry.log.format == new.telemetry.log.format),
    ]
    .into_iter()
    .filter_map(|(name, same)| (!same).then_some(name))
    .collect()
}

/// `wanted` with what needs a restart as it is in `running`, so that the difference is named again until then.
fn with_settled(wanted: Config, running: &Config) -> Config {
    let settled = &running.server;
    let mut next = wanted;
    next.server.name.clone_from(&settled.name);
    next.server.version.clone_from(&settled.version);
    next.server.transport = settled.transport;
    next.server.http.listen = settled.http.listen;
    next.server.http.h2c = settled.http.h2c;
    next.server.http.limits = settled.http.limits;
    next.server.admin = settled.admin;
    next.server.admin_token.clone_from(&settled.admin_token);
    next.server.workers = settled.workers;
    next.server.upgrade_socket.clone_from(&settled.upgrade_socket);
    next.server.drain_timeout = settled.drain_timeout;
    next.worker_limits = running.worker_limits;
    settle_keys(&mut next, running);
    next.access_log = running.access_log.clone();
    next.telemetry.traces.clone_from(&running.telemetry.traces);
    next.telemetry.log.format = running.telemetry.log.format;
    next
}

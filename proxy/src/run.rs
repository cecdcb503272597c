//! Runs what was asked for, from a valid configuration to the end of the process.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use mcp_core::{
    backend::{BackendBuildError, Backends},
    observe::{Observer, Unobserved},
    server::{Changes, Service},
    stdio::StdioError,
    tools::{Metrics as Tools, TOOL_NAMES},
};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    config::{Config, Environment as _, LogSettings, NotText, ProcessEnvironment, Transport},
    demo::{self, DemoError},
    metrics::Metrics,
    reload::{self, Reloader},
    server::{self, Running, StartError, Stopped},
    telemetry::{self, LOG_VARIABLE, TelemetryError},
    upgrade::{Inherited, UpgradeError},
};

/// How long a new process waits for the one that serves: until somebody has sent it a signal.
const UPGRADE_PATIENCE: Duration = Duration::from_mins(5);
/// How long the runtime may take to end when all is done. What is left then waits for nobody.
const RUNTIME_END: Duration = Duration::from_millis(100);

/// Why a run ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// A variable is not text.
    #[error("{LOG_VARIABLE} is not text; write a level or pairs as in `info,promgate=debug`")]
    LogVariable(#[source] NotText),
    /// The runtime or its signal handling cannot start.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// A backend's client cannot be made.
    #[error("cannot prepare a backend")]
    Backend(#[from] BackendBuildError),
    /// The server cannot start.
    #[error("cannot start the server")]
    Start(#[from] StartError),
    /// There is no socket through which another process could be taken over from.
    #[error("`--upgrade` needs `server.upgrade_socket` in the configuration")]
    NoUpgradeSocket,
    /// Another process was not taken over from.
    #[error("cannot take over from the process that serves")]
    Upgrade(#[from] UpgradeError),
    /// Serving over stdio failed.
    #[error("serving over standard input and output failed")]
    Stdio(#[from] StdioError),
    /// The demo cannot run.
    #[error("the demo cannot run")]
    Demo(#[from] DemoError),
    /// A second signal came while calls were still finishing.
    #[error("ended at once by a second signal; calls in flight were cut")]
    Impatient,
}

impl RunError {
    /// Whether what was configured has to change, and not the machine.
    #[must_use]
    pub fn is_of_configuration(&self) -> bool {
        match self {
            Self::Telemetry(_)
            | Self::LogVariable(_)
            | Self::NoUpgradeSocket
            | Self::Start(StartError::AccessLog(_) | StartError::Live(_)) => true,
            Self::Runtime(_)
            | Self::Backend(_)
            | Self::Start(_)
            | Self::Stdio(_)
            | Self::Upgrade(_)
            | Self::Demo(_)
            | Self::Impatient => false,
        }
    }
}

/// Serves as the configuration, which was read from `path`, says, until a signal ends it. With `upgrade` it takes
/// over from a process that serves already.
///
/// # Errors
/// [`RunError`] when it cannot start.
pub fn serve(path: PathBuf, config: Config, upgrade: bool) -> Result<(), RunError> {
    match config.server.transport {
        Transport::Http => {
            log_to_stderr(&config.telemetry.log, None)?;
            in_runtime(serve_http(path, config, upgrade))
        }
        Transport::Stdio => stdio(config),
    }
}

/// Serves one client over standard input and output, until the input or a signal ends it.
///
/// # Errors
/// [`RunError`] when it cannot start, or the client does not speak MCP.
pub fn stdio(config: Config) -> Result<(), RunError> {
    log_to_stderr(&config.telemetry.log, Some("warn"))?;
    in_runtime(async {
        let mut signals = Signals::new()?;
        let patience = config.server.drain_timeout;
        let tools = tools(config, Arc::new(Unobserved))?;
        let streams = (tokio::io::stdin(), tokio::io::stdout());
        let stop = async move { signals.end().await };
        Ok(mcp_core::stdio::serve(tools, streams, patience, stop).await?)
    })
}

/// Shows it at work: starts a Prometheus, asks it a question through the edge, prints the answer and how
/// to connect, then serves until a signal ends it, or ends at once if `once`.
///
/// # Errors
/// [`RunError`] when Prometheus is not to be found, or something cannot start.
pub fn demo(prometheus: Option<PathBuf>, once: bool) -> Result<(), RunError> {
    log_to_stderr(&LogSettings::default(), Some("warn"))?;
    let listeners = demo::Listeners::choose()?;
    // Outlives the runtime, so that calls in flight have their backend to the end.
    let backend = demo::Backend::start(&demo::Options { prometheus, listeners })?;
    let config = backend.config()?;
    in_runtime(async {
        let mut signals = Signals::new()?;
        let Started { running, .. } = start(&config, None).await?;
        let mut out = io::stdout();
        let asked = tokio::select! {
            asked = demo::ask(&mut out, &backend) => asked.map(|()| !once),
            () = signals.end() => Ok(false),
        };
        let invited = asked.and_then(|stay| {
            if stay {
                demo::invite(&mut out, &backend)?;
            }
            Ok(stay)
        });
        if matches!(invited, Ok(true)) {
            signals.end().await;
        }
        stop(running, &mut signals).await?;
        invited?;
        Ok(())
    })
}

/// Shows several replicas at work: a session outlives the one that owns it. Then serves until a signal
/// ends it, or ends at once if `once`.
///
/// # Errors
/// [`RunError`] when something cannot start, or the session does not go on.
pub fn demo_of_replicas(options: &demo::ClusterOptions, once: bool) -> Result<(), RunError> {
    log_to_stderr(&LogSettings::default(), Some("warn"))?;
    let cluster = demo::Cluster::start(options)?;
    in_runtime(async {
        let mut signals = Signals::new()?;
        let _front = cluster.open()?;
        let mut out = io::stdout();
        let shown = tokio::select! {
            shown = cluster.show(&mut out) => shown.map(|()| !once),
            () = signals.end() => Ok(false),
        };
        if shown.is_err() {
            cluster.last_words(&mut io::stderr())?;
        }
        if shown? {
            cluster.invite(&mut out)?;
            signals.end().await;
        }
        Ok(())
    })
}

async fn serve_http(path: PathBuf, config: Config, upgrade: bool) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    let inherited = if upgrade { Some(inherit(&config, &mut signals).await?) } else { None };
    let Started { running, parts } = start(&config, inherited).await?;
    tracing::info!(
        mcp = %format_args!("http://{}{}", running.address, config.server.http.path),
        admin = running.admin.map_or_else(|| "off".to_owned(), |admin| format!("http://{admin}")),
        "listening"
    );
    reload::warn_if_open(&config, &running.live.load());
    let mut reloader = Reloader::new(path, config, parts);
    match serve_until_told(&running, &mut signals, &mut reloader).await {
        End::Told => stop(running, &mut signals).await,
        End::HandedOn => {
            tracing::info!("another process has taken over");
            stop(running, &mut signals).await
        }
    }
}

/// Waits for the process that serves, and for a signal that says not to.
async fn inherit(config: &Config, signals: &mut Signals) -> Result<Inherited, RunError> {
    let socket = config.server.upgrade_socket.as_ref().ok_or(RunError::NoUpgradeSocket)?;
    tokio::select! {
        inherited = Inherited::wait(socket, UPGRADE_PATIENCE) => Ok(inherited?),
        () = signals.end() => Err(RunError::Impatient),
    }
}

/// Why serving ends.
enum End {
    /// A signal said so.
    Told,
    /// Another process serves in our place.
    HandedOn,
}

/// What runs, and what a reload works on.
struct Started {
    running: Running,
    parts: reload::Running,
}

async fn start(config: &Config, inherited: Option<Inherited>) -> Result<Started, RunError> {
    let metrics = server::metrics(config, &TOOL_NAMES)?;
    let observer: Arc<dyn Observer> = Arc::<Metrics>::clone(&metrics);
    let tools = tools(config.clone(), observer)?;
    let changes = Changes::default();
    let service = Arc::new(
        Service::new(tools.clone(), changes.clone()).noting(config.access_log.query_notes()),
    );
    let running = server::start(config, (&service, tools.edition()), &metrics, inherited).await?;
    let live = Arc::clone(&running.live);
    let sessions = Arc::clone(&running.sessions);
    Ok(Started { running, parts: reload::Running { live, sessions, tools, changes, metrics } })
}

fn tools(config: Config, observer: Arc<dyn Observer>) -> Result<Tools, RunError> {
    let backends = Backends::new(config.backends, Arc::clone(&observer))?;
    Ok(Tools::new(config.server.name, config.server.version, backends, config.tools, observer))
}

async fn serve_until_told(
    running: &Running,
    signals: &mut Signals,
    reloader: &mut Reloader,
) -> End {
    loop {
        let Signals { terminate, interrupt, hangup, quit } = signals;
        tokio::select! {
            _ = terminate.recv() => return End::Told,
            _ = interrupt.recv() => return End::Told,
            _ = hangup.recv() => running.reopen_access_log(),
            _ = quit.recv() => {
                if handed_on(running).await {
                    return End::HandedOn;
                }
                continue;
            }
            () = reloader.changed() => {}
        }
        // A reload may wait for keys; who wants us to end does not.
        tokio::select! {
            () = reloader.reload() => {}
            () = signals.end() => return End::Told,
        }
    }
}

/// Hands sockets and sessions to the process that waits for them. If that fails we go on as before.
async fn handed_on(running: &Running) -> bool {
    match running.hand_on().await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(error = %telemetry::Chain(&error), "not handed on; this process goes on serving");
            false
        }
    }
}

async fn stop(running: Running, signals: &mut Signals) -> Result<(), RunError> {
    tracing::info!("stopping");
    tokio::select! {
        stopped = running.stop() => match stopped {
            Stopped::Drained => tracing::info!("stopped"),
            Stopped::Cut(requests) => tracing::warn!(requests, "stopped, and cut what took too long"),
        },
        () = signals.end() => return Err(RunError::Impatient),
    }
    Ok(())
}

/// The signals that concern us.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    quit: Signal,
}

impl Signals {
    fn new() -> Result<Self, RunError> {
        let listen = |kind| signal(kind).map_err(RunError::Runtime);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn in_runtime<T>(work: impl Future<Output = Result<T, RunError>>) -> Result<T, RunError> {
    let runtime = Runtime::new().map_err(RunError::Runtime)?;
    let done = runtime.block_on(work);
    // Not dropped: that would wait for a thread that reads standard input.
    runtime.shutdown_timeout(RUNTIME_END);
    done
}

fn log_to_stderr(settings: &LogSettings, default: Option<&str>) -> Result<(), RunError> {
    let chosen = ProcessEnvironment.get(LOG_VARIABLE).map_err(RunError::LogVariable)?;
    let colour = io::stderr().is_terminal();
    Ok(telemetry::install(settings, chosen.as_deref(), default, colour)?)
}

//! The program's own log, on standard error, and how errors are shown in it.
//!
//! Modules, in order: `marks`, `lines`.

mod marks;

mod lines;

use std::{
    error::Error,
    fmt,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use serde::Serialize;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Registry,
    filter::{ParseError, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt as _,
    reload,
    util::{SubscriberInitExt as _, TryInitError},
};

use self::lines::Lines;
pub use self::{
    lines::lines_logged,
    marks::{in_request, mark_request, mark_trace},
};
use crate::config::{LogFormat, LogSettings};

/// Environment variable that chooses what is logged.
pub const LOG_VARIABLE: &str = "PROMGATE_LOG";

/// What is logged when nobody says otherwise.
const DEFAULT_FILTER: &str = "info";

/// Longest filter taken at run time, in bytes.
const FILTER_BYTES_MAX: usize = 1024;

/// Most that libraries may log, by the beginning of their targets.
///
/// Below these levels they write what clients said and what we answered: rmcp shows messages and
/// session ids, Pingora whole headers with credentials. So the environment cannot raise them.
const CAPS: [(&str, LevelFilter); 8] = [
    ("rmcp", LevelFilter::ERROR),
    ("pingora", LevelFilter::ERROR),
    // What it logs here is a client that broke off: as many errors as a client likes.
    ("pingora_core::apps", LevelFilter::OFF),
    ("h2", LevelFilter::WARN),
    ("hyper", LevelFilter::WARN),
    // It warns of the same odd lines of this machine's files each time that a name is looked up.
    ("hickory_resolver", LevelFilter::ERROR),
    ("reqwest", LevelFilter::WARN),
    ("rustls", LevelFilter::WARN),
];

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("cannot read {LOG_VARIABLE}; write a level or pairs as in `info,promgate=debug`")]
    Filter(#[from] ParseError),
    /// There is a log already.
    #[error("the log was set up twice")]
    Twice(#[from] TryInitError),
}

/// What is logged cannot be changed so.
#[derive(Debug, thiserror::Error)]
pub enum CannotChange {
    /// The filter cannot be read.
    #[error("cannot read the filter")]
    Filter(#[from] ParseError),
    /// It is longer than any should be.
    #[error("the filter is longer than {FILTER_BYTES_MAX} bytes")]
    TooLong,
    /// The log is gone, which happens only when the process ends.
    #[error("there is no log")]
    Gone(#[from] reload::Error),
}

/// The log of this process.
#[derive(Debug, Clone)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    format: LogFormat,
    said: Arc<Mutex<Said>>,
}

/// What is to be logged, by those who said so.
#[derive(Debug)]
struct Said {
    /// What stands when no operator says otherwise.
    standing: Chosen,
    operator: Option<String>,
}

/// What is logged, and who said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// The filter.
    pub level: String,
    /// Who said so.
    pub by: ChosenBy,
}

/// Who said what is logged. Each of them has priority over those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChosenBy {
    /// The command.
    Default,
    /// The configuration.
    Configuration,
    /// The environment.
    Environment,
    /// An operator, while the process runs.
    Operator,
}

/// Set once, like the log itself, which belongs to the process.
static LOG: OnceLock<Log> = OnceLock::new();

/// Shows an error with its sources on one line, each level once: `a: b: c`.
#[derive(Clone, Copy)]
pub struct Chain<'a>(pub &'a dyn Error);

/// Sends the program's log, and what libraries log through `log`, to standard error.
///
/// `environment` is the value of [`LOG_VARIABLE`], which has priority over the configuration; `default` is logged where
/// neither says anything; `colour` asks for terminal colours.
///
/// # Errors
/// [`TelemetryError`] when the filter cannot be read, or when called a second time.
pub fn install(
    settings: &LogSettings,
    environment: Option<&str>,
    default: Option<&str>,
    colour: bool,
) -> Result<(), TelemetryError> {
    let chosen = choose(settings, environment, default);
    let (subscriber, log) = subscriber(chosen, settings.format, colour, std::io::stderr)?;
    subscriber.try_init()?;
    LOG.get_or_init(|| log);
    Ok(())
}

/// The log of this process, once it is set up.
#[must_use]
pub fn log() -> Option<&'static Log> {
    LOG.get()
}

fn choose(settings: &LogSettings, environment: Option<&str>, default: Option<&str>) -> Chosen {
    let given =
        |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let choice = |by| move |level| Chosen { level, by };
    given(environment)
        .map(choice(ChosenBy::Environment))
        .or_else(|| given(settings.level.as_deref()).map(choice(ChosenBy::Configuration)))
        .unwrap_or_else(|| Chosen {
            level: default.unwrap_or(DEFAULT_FILTER).to_owned(),
            by: ChosenBy::Default,
        })
}

fn subscriber<W>(
    chosen: Chosen,
    format: LogFormat,
    colour: bool,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync, Log), ParseError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(EnvFilter::builder().parse(&chosen.level)?);
    let capped = Targets::new().with_default(LevelFilter::TRACE).with_targets(CAPS);
    let lines = tracing_subscriber::fmt::layer().with_ansi(colour).with_writer(writer);
    let lines = lines.event_format(Lines::new(format, colour));
    let log = Log {
        filter: handle,
        format,
        said: Arc::new(Mutex::new(Said { standing: chosen, operator: None })),
    };
    // Two global filters: an event must pass both.
    Ok((tracing_subscriber::registry().with(filter).with(capped).with(lines), log))
}

impl Log {
    /// What is logged, and who said so.
    #[must_use]
    pub fn chosen(&self) -> Chosen {
        self.said.lock().now()
    }

    /// How its lines are written.
    #[must_use]
    pub const fn format(&self) -> LogFormat {
        self.format
    }

    /// Logs from now on what an operator says; `None` takes back what was said so. What libraries may log stays bounded
    /// whatever it is.
    ///
    /// # Errors
    /// [`CannotChange`] when the filter cannot be read; then all is as before.
    pub fn operate(&self, level: Option<&str>) -> Result<Chosen, CannotChange> {
        let level = level.map(str::trim);
        if level.is_some_and(|level| level.len() > FILTER_BYTES_MAX) {
            return Err(CannotChange::TooLong);
        }
        let mut said = self.said.lock();
        let filter = EnvFilter::builder().parse(level.unwrap_or(&said.standing.level))?;
        self.filter.reload(filter)?;
        said.operator = level.map(str::to_owned);
        Ok(said.now())
    }

    /// Takes over what another configuration says, where nobody with priority has spoken. `default` is logged where it says
    /// nothing.
    ///
    /// # Errors
    /// [`CannotChange`] when the filter cannot be read, which the configuration's check has ruled out.
    pub fn configure(
        &self,
        settings: &LogSettings,
        default: Option<&str>,
    ) -> Result<(), CannotChange> {
        let mut said = self.said.lock();
        if said.standing.by == ChosenBy::Environment {
            return Ok(());
        }
        let standing = choose(settings, None, default);
        let filter = EnvFilter::builder().parse(&standing.level)?;
        if said.operator.is_none() {
            self.filter.reload(filter)?;
        }
        said.standing = standing;
        Ok(())
    }
}

impl Said {
    fn now(&self) -> Chosen {
        let operator = self.operator.clone();
        let chosen = operator.map(|level| Chosen { level, by: ChosenBy::Operator });
        chosen.unwrap_or_else(|| self.standing.clone())
    }
}

impl Chain<'_> {
    /// What each level says, the outermost first, each level once.
    #[must_use]
    pub fn levels(self) -> Vec<String> {
        let mut levels = vec![self.0.to_string()];
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            // Some libraries print their source themselves.
            if !levels.last().is_some_and(|above| above.ends_with(&text)) {
                levels.push(text);
            }
            next = error.source();
        }
        levels
    }
}

impl fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.levels().join(": "))
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use log::Log as _;
    use parking_lot::Mutex;
    use tracing::subscriber::with_default;

    use super::*;

    /// What a log wrote.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Runs `act` under a log with `filter` and returns what it wrote.
    fn logged(filter: Option<&str>, act: impl FnOnce()) -> String {
        logged_as(LogFormat::Text, filter, |_log| act())
    }

    fn logged_as(format: LogFormat, filter: Option<&str>, act: impl FnOnce(&Log)) -> String {
        let written = Written::default();
        let writer = written.clone();
        let chosen = choose(&NOTHING_SAID, filter, None);
        let (subscriber, log) = subscriber(chosen, format, false, move || writer.clone()).unwrap();
        with_default(subscriber, || act(&log));
        let bytes = written.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    const NOTHING_SAID: LogSettings = LogSettings { format: LogFormat::Text, level: None };

    #[test]
    fn lines_are_counted_by_level_and_what_is_not_logged_is_not() {
        let before = lines_logged();
        let act = || {
            tracing::error!("one");
            tracing::warn!("two");
            tracing::warn!("three");
        };
        let _lines = logged(Some("warn"), act);
        let now = lines_logged();
        // Other tests log meanwhile.
        assert!(now[0] > before[0] && now[1] >= before[1] + 2, "{before:?} {now:?}");
    }

    #[test]
    fn the_environment_has_priority_over_the_configuration_and_that_over_the_command() {
        let said = LogSettings { level: Some("debug".to_owned()), ..NOTHING_SAID };
        let chosen = |settings, environment| {
            let Chosen { level, by } = choose(settings, environment, Some("warn"));
            (level, by)
        };
        assert_eq!(chosen(&said, Some("trace")), ("trace".to_owned(), ChosenBy::Environment));
        assert_eq!(chosen(&said, Some(" ")), ("debug".to_owned(), ChosenBy::Configuration));
        assert_eq!(chosen(&NOTHING_SAID, None), ("warn".to_owned(), ChosenBy::Default));
    }

    #[test]
    fn what_is_logged_changes_while_it_runs_and_libraries_stay_capped() {
        let shown = logged_as(LogFormat::Text, Some("off"), |log| {
            tracing::error!(target: "promgate", "before");
            log.operate(Some("trace")).unwrap();
            libraries();
            tracing::trace!(target: "promgate::edge", "after");
            assert!(log.operate(Some("promgate=loud")).is_err());
            assert!(log.operate(Some(&"a".repeat(FILTER_BYTES_MAX + 1))).is_err());
            tracing::trace!(target: "promgate::edge", "still");
            assert_eq!(log.chosen(), Chosen { level: "trace".to_owned(), by: ChosenBy::Operator });
            let back = Chosen { level: "off".to_owned(), by: ChosenBy::Environment };
            assert_eq!(log.operate(None).unwrap(), back);
            tracing::error!(target: "promgate", "before");
        });
        assert!(!shown.contains("before") && !shown.contains("canary"), "{shown}");
        assert!(shown.contains("after") && shown.contains("still"), "{shown}");
    }

    #[test]
    fn a_reload_changes_what_is_logged_where_nobody_with_priority_has_spoken() {
        let debug = LogSettings { level: Some("debug".to_owned()), ..NOTHING_SAID };
        let level = |log: &Log| log.chosen().level;
        logged_as(LogFormat::Text, None, |log| {
            log.configure(&debug, None).unwrap();
            assert_eq!(level(log), "debug");
            log.operate(Some("warn")).unwrap();
            log.configure(&NOTHING_SAID, None).unwrap();
            assert_eq!(level(log), "warn", "an operator has spoken");
            assert_eq!(log.operate(None).unwrap().level, "info", "what stands meanwhile");
        });
        logged_as(LogFormat::Text, Some("error"), |log| {
            log.configure(&debug, None).unwrap();
            assert_eq!(level(log), "error", "the environment has spoken");
        });
    }

    #[test]
    fn a_line_of_json_is_one_object() {
        let shown = logged_as(LogFormat::Json, Some("trace"), |_log| {
            let (number, is_so, text) = (7_u64, true, "a \"quoted\"\nline");
            tracing::warn!(target: "promgate::x", number, is_so, text, error = %"e", "what {}", "happened");
            libraries();
            let record = log::Record::builder()
                .target("pingora_core::server")
                .level(log::Level::Error)
                .line(Some(7))
                .args(format_args!("through log"))
                .build();
            tracing_log::LogTracer::new().log(&record);
        });
        assert!(!shown.contains("canary"), "{shown}");
        let lines: Vec<serde_json::Value> =
            shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let first = &lines[0];
        assert_eq!(first["level"], "warn");
        assert_eq!(first["target"], "promgate::x");
        assert_eq!(first["message"], "what happened");
        let fields = serde_json::json!({
            "number": 7, "is_so": true, "text": "a \"quoted\"\nline", "error": "e",
        });
        assert_eq!(first["fields"], fields);
        assert!(first["time"].as_str().unwrap().ends_with('Z'), "{first}");
        let last = lines.last().unwrap();
        assert_eq!(
            (&last["target"], &last["message"]),
            (&"pingora_core::server".into(), &"through log".into())
        );
        assert_eq!(last.get("fields"), None);
    }

    #[test]
    fn lines_of_a_request_say_which() {
        let trace = mcp_core::trace::TraceId::new(0xabc).unwrap();
        for format in [LogFormat::Text, LogFormat::Json] {
            let shown = logged_as(format, None, |_log| {
                let work = async {
                    tracing::info!(target: "promgate", "not known yet");
                    mark_request(&http::HeaderValue::from_static("r-1"));
                    tracing::info!(target: "promgate", "known");
                    mark_trace(trace);
                    tracing::info!(target: "promgate", "traced");
                };
                futures_util::FutureExt::now_or_never(in_request(work)).unwrap();
                tracing::info!(target: "promgate", "over");
                mark_request(&http::HeaderValue::from_static("r-2"));
            });
            let lines: Vec<_> = shown.lines().collect();
            let said = |text: &str| -> Vec<bool> {
                lines.iter().map(|line| line.contains(text)).collect()
            };
            assert_eq!(said("request_id"), [false, true, true, false], "{shown}");
            assert_eq!(said("r-1"), [false, true, true, false], "{shown}");
            assert_eq!(said(&trace.to_string()), [false, false, true, false], "{shown}");
        }
    }

    /// What `libraries` log, most of it too much.
    fn libraries() {
        tracing::error!(target: "rmcp::service", "rmcp error shown");
        tracing::warn!(target: "rmcp::service", "rmcp warn canary");
        tracing::info!(target: "rmcp", "rmcp info canary");
        tracing::trace!(target: "rmcp::transport", "rmcp trace canary");
        tracing::error!(target: "pingora_core::server", "pingora error shown");
        tracing::error!(target: "pingora_core::apps", "a client that broke off: canary");
        tracing::warn!(target: "pingora_proxy", "pingora warn canary");
        tracing::debug!(target: "pingora", "pingora debug canary");
        tracing::warn!(target: "h2::client", "h2 warn shown");
        tracing::info!(target: "h2", "h2 info canary");
        tracing::debug!(target: "hyper_util::client", "hyper debug canary");
        tracing::info!(target: "reqwest::connect", "reqwest info canary");
        tracing::debug!(target: "rustls::client", "rustls debug canary");
    }

    #[test]
    fn no_filter_opens_what_is_capped() {
        let filters = [
            "trace",
            "rmcp=trace,debug",
            "rmcp::service=trace",
            "pingora=trace,pingora_core=trace,h2=trace,hyper=trace,reqwest=trace,rustls=trace",
            "rmcp[{x}]=trace,trace",
        ];
        for filter in filters {
            let shown = logged(Some(filter), libraries);
            assert!(!shown.contains("canary"), "{filter}: {shown}");
        }
        let shown = logged(Some("trace"), libraries);
        assert_eq!(shown.matches(" shown").count(), 3, "{shown}");
    }

    #[test]
    fn a_capped_library_stays_capped_inside_a_span_of_ours() {
        let shown = logged(Some("trace,[request]=trace"), || {
            tracing::info_span!(target: "promgate", "request").in_scope(libraries);
        });
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn the_environment_chooses_what_we_log_ourselves() {
        let ours = || {
            tracing::info!(target: "promgate", "state changed");
            tracing::debug!(target: "promgate::edge", "request seen");
        };
        let usual = logged(None, ours);
        assert!(usual.contains("state changed") && !usual.contains("request seen"), "{usual}");
        assert_eq!(logged(Some(" "), ours).lines().count(), 1, "empty means unset");
        assert_eq!(logged(Some("promgate=debug"), ours).lines().count(), 2);
        assert_eq!(logged(Some("off"), ours), "");
    }

    #[test]
    fn an_unreadable_filter_is_an_error_that_names_the_variable() {
        let error = TelemetryError::from(
            subscriber(
                choose(&NOTHING_SAID, Some("promgate=loud"), None),
                LogFormat::Text,
                false,
                io::sink,
            )
            .map(drop)
            .unwrap_err(),
        );
        assert!(Chain(&error).to_string().starts_with("cannot read PROMGATE_LOG; "), "{error}");
    }

    #[test]
    fn what_comes_through_the_log_crate_is_capped_by_its_own_target() {
        let bridge = tracing_log::LogTracer::new();
        let say = |target: &str, level: log::Level, text: &str| {
            let mut record = log::Record::builder();
            record.target(target).level(level);
            bridge.log(&record.args(format_args!("{text}")).build());
        };
        let shown = logged(Some("trace"), || {
            say("pingora_core::protocols", log::Level::Debug, "buf: canary");
            say("pingora_core::server", log::Level::Info, "canary");
            say("pingora_core::server", log::Level::Error, "handshake failed");
            say("promgate", log::Level::Debug, "ours");
        });
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("pingora_core::server: handshake failed"), "{shown}");
        assert!(shown.contains("ours"), "{shown}");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Level {
        text: &'static str,
        source: Option<Box<Level>>,
    }

    #[test]
    fn a_chain_shows_each_level_once() {
        let chain = ["c", "b: c", "b: c", "a"]
            .into_iter()
            .fold(None, |source, text| Some(Box::new(Level { text, source })));
        assert_eq!(Chain(&chain.unwrap()).to_string(), "a: b: c");
    }
}

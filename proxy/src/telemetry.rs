//! The program's own log, on standard error, and how errors are shown in it.

use std::{error::Error, fmt};

use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter,
    filter::{ParseError, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt as _,
    util::{SubscriberInitExt as _, TryInitError},
};

/// Environment variable that chooses what is logged.
pub const LOG_VARIABLE: &str = "PROMGATE_LOG";

/// What is logged when [`LOG_VARIABLE`] is not set.
const DEFAULT_FILTER: &str = "info";

/// Most that libraries may log, by the beginning of their targets.
///
/// Below these levels they write what clients said and what we answered: rmcp shows messages and
/// session ids, Pingora whole headers with credentials. So the environment cannot raise them.
const CAPS: [(&str, LevelFilter); 7] = [
    ("rmcp", LevelFilter::ERROR),
    ("pingora", LevelFilter::ERROR),
    // What it logs here is a client that broke off: as many errors as a client likes.
    ("pingora_core::apps", LevelFilter::OFF),
    ("h2", LevelFilter::WARN),
    ("hyper", LevelFilter::WARN),
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

/// Shows an error with its sources on one line, each level once: `a: b: c`.
#[derive(Clone, Copy)]
pub struct Chain<'a>(pub &'a dyn Error);

/// Sends the program's log, and what libraries log through `log`, to standard error.
///
/// `filter` is the value of [`LOG_VARIABLE`]; `colour` asks for terminal colours.
///
/// # Errors
/// [`TelemetryError`] when the filter cannot be read, or when called a second time.
pub fn install(filter: Option<&str>, colour: bool) -> Result<(), TelemetryError> {
    Ok(subscriber(filter, colour, std::io::stderr)?.try_init()?)
}

fn subscriber<W>(
    filter: Option<&str>,
    colour: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, ParseError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = filter.map(str::trim).filter(|text| !text.is_empty()).unwrap_or(DEFAULT_FILTER);
    let chosen = EnvFilter::builder().parse(filter)?;
    let capped = Targets::new().with_default(LevelFilter::TRACE).with_targets(CAPS);
    let lines = tracing_subscriber::fmt::layer().with_ansi(colour).with_writer(writer);
    // Two global filters: an event must pass both.
    Ok(tracing_subscriber::registry().with(lines).with(chosen).with(capped))
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
        let written = Written::default();
        let writer = written.clone();
        let subscriber = subscriber(filter, false, move || writer.clone()).unwrap();
        with_default(subscriber, act);
        let bytes = written.0.lock().clone();
        String::from_utf8(bytes).unwrap()
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
            subscriber(Some("promgate=loud"), false, io::sink).map(drop).unwrap_err(),
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

//! The command line: what can be asked for, and how the answer ends the process.
//!
//! Exit codes: 0 good, 1 failure while running, 64 wrong usage, 78 wrong configuration (the last
//! two as in BSD's `sysexits.h`). Errors are plain sentences on standard error.

mod arguments;

mod audit;

use std::{
    ffi::OsString,
    io::{self, Read as _, Write},
    path::Path,
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _};

pub use self::arguments::{
    AuditArgs, AuditQuestion, CheckArgs, Cli, Command, ConfigArgs, DemoArgs, GrepArgs, HeadArgs,
    KeyArgs, LogArgs, NameArgs, ReportArgs, RevealArgs, RingArgs, SchemaArgs, ServeArgs, TokenArgs,
    TokenQuestion, VerifyArgs, WantedArgs,
};
use crate::{
    audit::AuditError,
    config::{self, Config, ConfigFaults, ProcessEnvironment},
    demo::{self, DemoError},
    explain::{self, ExplainError},
    field,
    metrics::{Metrics, MetricsError},
    online::{self, OnlineError},
    ring_report::{self, Report, RingError},
    run::{self, RunError},
    telemetry::Chain,
};

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration has faults.
    #[error(transparent)]
    Config(#[from] ConfigFaults),
    /// Standard output cannot be written.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// The metrics cannot be listed.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The run ended badly.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Not everything that the configuration names is there.
    #[error(transparent)]
    Online(#[from] OnlineError),
    /// A token was not explained, or would not be let in.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// The ring cannot be shown.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// A log is not as it was written, or cannot be read.
    #[error(transparent)]
    Audit(AuditError),
    /// The demo's child cannot become its program.
    #[error(transparent)]
    Child(#[from] DemoError),
}

impl CommandError {
    fn code(&self) -> u8 {
        match self {
            Self::Config(_) => EX_CONFIG,
            Self::Run(error) if error.is_of_configuration() => EX_CONFIG,
            Self::Audit(error) if error.is_of_configuration() => EX_CONFIG,
            Self::Audit(error) if error.is_of_usage() => EX_USAGE,
            Self::Explain(ExplainError::NoToken)
            | Self::Ring(RingError::Node(_) | RingError::Session) => EX_USAGE,
            Self::Output(_)
            | Self::Metrics(_)
            | Self::Run(_)
            | Self::Online(_)
            | Self::Explain(_)
            | Self::Ring(_)
            | Self::Audit(_)
            | Self::Child(_) => EX_FAILURE,
        }
    }
}

impl From<AuditError> for CommandError {
    fn from(error: AuditError) -> Self {
        // Whoever reads the answer may stop when they have seen enough.
        let AuditError::Output(source) = error else { return Self::Audit(error) };
        Self::Output(source)
    }
}

const EX_FAILURE: u8 = 1;
const EX_USAGE: u8 = 64;
const EX_CONFIG: u8 = 78;

/// Runs the program with these arguments, the program's name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let done = match args.as_slice() {
        [_, word, dashes, rest @ ..] if word == demo::child::SUBCOMMAND && dashes == "--" => {
            Err(demo::child::exec(rest).into())
        }
        _ => match Cli::try_parse_from(args) {
            Ok(cli) => obey(cli.command),
            Err(answer) => return ExitCode::from(parsed_badly(&answer)),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has gone and wants no more: nothing to tell, and nobody to tell it to.
        Err(CommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(error.code())
        }
    }
}

/// Help and version are answers, the rest is wrong usage.
fn parsed_badly(answer: &clap::Error) -> u8 {
    // A failure to print leaves nothing to do, and the code says the rest.
    let printed = answer.print();
    match (answer.use_stderr(), printed) {
        (true, _) => EX_USAGE,
        (false, Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => EX_FAILURE,
        (false, _) => 0,
    }
}

fn obey(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Check(CheckArgs { config: ConfigArgs { config: path }, online }) => {
            let config = config::load(&path, &ProcessEnvironment)?;
            say(&format!("{}\n", summary(&path, &config)))?;
            if !online {
                return Ok(());
            }
            let report = online::ask(&config)?;
            say(&report.to_string())?;
            Ok(report.verdict()?)
        }
        Command::Token(TokenArgs { question: TokenQuestion::Explain(from) }) => {
            let config = config::load(&from.config, &ProcessEnvironment)?;
            let report = explain::explain(&config, &input()?)?;
            say(&report.to_string())?;
            Ok(report.verdict()?)
        }
        Command::Schema(SchemaArgs { access_log: false }) => say(&config::schema_json()),
        Command::Schema(SchemaArgs { access_log: true }) => say(&field::record_schema_json()),
        Command::Metrics => say(&Metrics::catalogue()?.to_string()),
        Command::Completions { shell } => say(&completions(shell)),
        Command::Serve(ServeArgs { config: ConfigArgs { config: path }, upgrade }) => {
            let config = config::load(&path, &ProcessEnvironment)?;
            Ok(run::serve(path, config, upgrade)?)
        }
        Command::Ring(RingArgs { config: from, nodes, session }) => {
            let view = if nodes.is_empty() {
                ring_report::ask(&config::load(&from.config, &ProcessEnvironment)?)?
            } else {
                ring_report::named(&nodes)?
            };
            let id = if session { Some(session_id()?) } else { None };
            say(&Report::new(view, id.as_deref())?.to_string())
        }
        Command::Audit(args) => audit::answer(args.question),
        Command::Stdio(ConfigArgs { config: path }) => {
            Ok(run::stdio(config::load_for_stdio(&path, &ProcessEnvironment)?)?)
        }
        Command::Demo(DemoArgs { prometheus, once, replicas: None, redis: _ }) => {
            Ok(run::demo(prometheus, once)?)
        }
        Command::Demo(DemoArgs { prometheus, once, replicas: Some(replicas), redis }) => {
            let options = demo::ClusterOptions { replicas, prometheus, redis };
            Ok(run::demo_of_replicas(&options, once)?)
        }
    }
}

/// `conf/promgate.yaml: good (1 backend, 4 workers, http on 127.0.0.1:8080/mcp)`
fn summary(path: &Path, config: &Config) -> String {
    let backends = match config.backends.len() {
        1 => "1 backend".to_owned(),
        many => format!("{many} backends"),
    };
    let transport = match config.server.transport {
        config::Transport::Http => {
            format!("http on {}{}", config.server.http.listen, config.server.http.path)
        }
        config::Transport::Stdio => "stdio".to_owned(),
    };
    format!("{}: good ({backends}, {transport})", path.display())
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "promgate", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The token on standard input. What is no text is no token either, and is refused as such.
fn input() -> Result<String, ExplainError> {
    let bytes_max = u64::try_from(explain::INPUT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    io::stdin().lock().take(bytes_max).read_to_end(&mut bytes).map_err(ExplainError::Input)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The session id on standard input.
fn session_id() -> Result<String, RingError> {
    let bytes_max = u64::try_from(mcp_core::session::SESSION_ID_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    // With room for the line's end, and for one byte too many.
    let input = io::stdin().lock().take(bytes_max + 3).read_to_end(&mut bytes);
    input.map_err(RingError::Input)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn say(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CommandError::Output)
}

/// Prints an error and what caused it, one line each and each once.
fn complain(error: &CommandError) {
    let text = Chain(error).levels().join("\n  because: ");
    let name = match error {
        // Each line begins with the file's name already.
        CommandError::Config(_) => "",
        CommandError::Output(_)
        | CommandError::Metrics(_)
        | CommandError::Run(_)
        | CommandError::Online(_)
        | CommandError::Explain(_)
        | CommandError::Ring(_)
        | CommandError::Audit(_)
        | CommandError::Child(_) => "promgate: ",
    };
    // Nobody can be told that standard error is closed.
    drop(writeln!(io::stderr().lock(), "{name}{text}"));
}

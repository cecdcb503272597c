//! The command line: what can be asked for, and how the answer ends the process.
//!
//! Exit codes: 0 good, 1 failure while running, 64 wrong usage, 78 wrong configuration (the last
//! two as in BSD's `sysexits.h`). Errors are plain sentences on standard error.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::{
    config::{self, Config, ConfigFaults, ProcessEnvironment},
    demo::{self, DemoError},
    explain::{self, ExplainError},
    online::{self, OnlineError},
    ring_report::{self, Report, RingError},
    run::{self, RunError},
    telemetry::Chain,
};

/// Puts metrics backends behind MCP: AI assistants ask, Prometheus answers.
#[derive(Debug, Parser)]
#[command(
    name = "promgate",
    version,
    subcommand_required = true,
    arg_required_else_help = false,
    after_help = "\
Start here:
  promgate demo                          see it work, with a Prometheus of its own
  promgate check --config my.yaml        name everything that is wrong with a configuration
  promgate serve --config my.yaml        serve MCP clients over HTTP

Environment:
  PROMGATE_CONFIG    the configuration file, where `--config` is not given
  PROMGATE_LOG       what is logged on standard error: off, error, warn, info, debug or trace, or
                     pairs as in `info,promgate=debug`; `info` unless set, `warn` for stdio and demo

Exit codes: 0 good, 1 failure while running, 64 wrong usage, 78 wrong configuration."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve MCP clients over HTTP until SIGTERM or Ctrl-C.
    #[command(after_help = "\
Examples:
  promgate serve
  promgate serve --config /etc/promgate/promgate.yaml
  PROMGATE_CONFIG=/etc/promgate/promgate.yaml promgate serve
  PROMGATE_LOG=info,promgate=debug promgate serve

Reads the configuration again on SIGHUP, and when it or a file that it names changes; one with faults
changes nothing. What needs a restart is named in the log.

With `server.transport.type: stdio` in the file, this is the same as `promgate stdio`.")]
    Serve(ServeArgs),

    /// Serve one MCP client over standard input and output.
    #[command(after_help = "\
A local client starts this itself. For Claude Code:
  claude mcp add prometheus -- promgate stdio --config /path/to/promgate.yaml

Standard output carries the protocol only; logs go to standard error, warnings and errors unless
PROMGATE_LOG asks for more, as in PROMGATE_LOG=info.")]
    Stdio(ConfigArgs),

    /// Check a configuration and name every fault, with its line and its remedy.
    #[command(after_help = "\
Reads the environment and the files that the configuration names, as `serve` would, looks whether
the access log could be written, makes no file and opens no connection. Ends with 0 if the
configuration is good and with 78 if not.

With --online it then asks every issuer of tokens and every backend, as `serve` would, and prints
what it found. Ends with 1 if one of them cannot be used.

Examples:
  promgate check --config conf/promgate.yaml
  promgate check --config conf/promgate.yaml --online
  PMM_TOKEN=x promgate check --config conf/pmm.yaml")]
    Check(CheckArgs),

    /// Look at a token: would a configuration let it in, and to what?
    Token(TokenArgs),

    /// Show which replica owns how many of the sessions, or which owns one.
    #[command(after_help = "\
Asks the admin listener of the replica that serves the configuration. With --node it asks nobody, and
shows what the ring would be of the replicas named. A session id is read from standard input, never
from the command line, where others could see it.

Examples:
  promgate ring --config my.yaml
  promgate ring --config my.yaml --session < id.txt
  promgate ring --node 10.0.0.1:8081=4 --node 10.0.0.2:8081=4 --node 10.0.0.3:8081=4")]
    Ring(RingArgs),

    /// Print the JSON Schema of the configuration file.
    #[command(after_help = "\
Editors complete and check against it:
  promgate schema > promgate.schema.json
and as the first line of the configuration:
  # yaml-language-server: $schema=./promgate.schema.json")]
    Schema,

    /// Show it at work: start a Prometheus with example data, ask it a question, serve clients.
    #[command(after_help = "\
Needs the programs `prometheus` and `promtool`; Debian has both in the package `prometheus`.
What it writes, the access log too, lies in a temporary folder that goes when the demo ends.

With --replicas it starts that many `promgate serve` behind a balancer, kills the one that owns a
client's session, and shows that the session goes on. That needs `redis-server` too.

Examples:
  promgate demo
  promgate demo --once
  promgate demo --replicas 3
  promgate demo --prometheus /opt/prometheus/prometheus")]
    Demo(DemoArgs),

    /// Print shell completions.
    #[command(after_help = "\
Examples:
  promgate completions bash > /etc/bash_completion.d/promgate
  promgate completions zsh > ~/.zfunc/_promgate
  promgate completions fish > ~/.config/fish/completions/promgate.fish")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file.
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "PROMGATE_CONFIG",
        default_value = "conf/promgate.yaml"
    )]
    pub config: PathBuf,
}

/// What is checked.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Also ask the issuers and backends that a good configuration names whether they are there.
    #[arg(long)]
    pub online: bool,
}

/// What is asked about a token.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The question.
    #[command(subcommand)]
    pub question: TokenQuestion,
}

/// What is asked about a token.
#[derive(Debug, Subcommand)]
pub enum TokenQuestion {
    /// Say claim by claim whether a token from standard input would be let in, why not, and to what.
    #[command(after_help = "\
Reads the token from standard input, with or without the word Bearer before it, and asks the
configuration's issuers for their keys, as `serve` would. It shows what the token says, and never
the token or its signature. Ends with 0 if the token would be let in and with 1 if not.

Examples:
  promgate token explain --config my.yaml < token.txt
  oidc-token my-account | promgate token explain --config my.yaml")]
    Explain(ConfigArgs),
}

/// What is asked of the ring.
#[derive(Debug, Args)]
pub struct RingArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,

    /// A replica as NAME=WORKERS, the name as `cluster.advertise` writes it; may be given many times.
    #[arg(long = "node", value_name = "NAME=WORKERS", conflicts_with = "config")]
    pub nodes: Vec<String>,

    /// Read a session id from standard input, and say who owns it.
    #[arg(long)]
    pub session: bool,
}

/// How `serve` starts.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Take over from a process that serves the same configuration: wait until it gets SIGQUIT, then
    /// take its sockets and sessions. Needs `server.upgrade_socket`.
    #[arg(long)]
    pub upgrade: bool,
}

/// How the demonstration runs.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The `prometheus` program, with `promtool` beside it; looked for on the PATH when absent.
    #[arg(long, value_name = "FILE")]
    pub prometheus: Option<PathBuf>,

    /// End after what is to be shown was shown, instead of serving until Ctrl-C.
    #[arg(long)]
    pub once: bool,

    /// Start several replicas, 2 to 9, and show that sessions outlive them.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(2..=9))]
    pub replicas: Option<u8>,

    /// The `redis-server` program for the replicas; looked for on the PATH when absent.
    #[arg(long, value_name = "FILE", requires = "replicas")]
    pub redis: Option<PathBuf>,
}

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration has faults.
    #[error(transparent)]
    Config(#[from] ConfigFaults),
    /// Standard output cannot be written.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
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
    /// The demo's child cannot become its program.
    #[error(transparent)]
    Child(#[from] DemoError),
}

impl CommandError {
    fn code(&self) -> u8 {
        match self {
            Self::Config(_) => EX_CONFIG,
            Self::Run(error) if error.is_of_configuration() => EX_CONFIG,
            Self::Explain(ExplainError::NoToken)
            | Self::Ring(RingError::Node(_) | RingError::Session) => EX_USAGE,
            Self::Output(_)
            | Self::Run(_)
            | Self::Online(_)
            | Self::Explain(_)
            | Self::Ring(_)
            | Self::Child(_) => EX_FAILURE,
        }
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
        Command::Schema => say(&config::schema_json()),
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
        | CommandError::Run(_)
        | CommandError::Online(_)
        | CommandError::Explain(_)
        | CommandError::Ring(_)
        | CommandError::Child(_) => "promgate: ",
    };
    // Nobody can be told that standard error is closed.
    drop(writeln!(io::stderr().lock(), "{name}{text}"));
}

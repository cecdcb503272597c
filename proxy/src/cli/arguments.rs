//! What can be typed, as the parser and its help have it.

mod audit;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use self::audit::{
    AuditArgs, AuditQuestion, GrepArgs, HeadArgs, KeyArgs, LogArgs, NameArgs, ReportArgs,
    RevealArgs, VerifyArgs, WantedArgs,
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

    /// Look at an access log: was it changed, who did what, and under which pseudonym?
    Audit(Box<AuditArgs>),

    /// Print the JSON Schema of the configuration file, or of an access record.
    #[command(after_help = "\
Editors complete and check against it:
  promgate schema > promgate.schema.json
and as the first line of the configuration:
  # yaml-language-server: $schema=./promgate.schema.json

With --access-log it is that of one line of the access log, for whoever reads those:
  promgate schema --access-log > access-record.schema.json")]
    Schema(SchemaArgs),

    /// Print the table of all metrics: names, types, units, labels with their values, meanings.
    #[command(after_help = "\
The page is in Markdown, and says what `/metrics` on the admin listener shows.")]
    Metrics,

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

/// Which schema.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of a record of the access log in its JSON form.
    #[arg(long)]
    pub access_log: bool,
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

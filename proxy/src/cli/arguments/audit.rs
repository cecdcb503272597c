//! What can be typed after `promgate audit`.

use std::{path::PathBuf, time::SystemTime};

use clap::{Args, Subcommand};

use crate::{
    access_log::chain::PublicKey,
    audit::{self, Bound, By, Statuses},
};

/// What is asked of an access log.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The question.
    #[command(subcommand)]
    pub question: AuditQuestion,
}

/// What is asked of an access log.
#[derive(Debug, Subcommand)]
pub enum AuditQuestion {
    /// Check that a sealed log is as it was written, and name everything that is not.
    #[command(after_help = "\
Reads the log with the full files beside it, compressed or not, oldest first, and says of each line that
was changed, put in, moved, repeated, added or cut off where it is, and which numbers are missing. Then it
says what is proved, and what not. Ends with 0 if nothing is wrong and with 1 if something is.

Without the secret, --public-key checks numbers and the signatures of checkpoints, not what records say.
A checkpoint that was kept elsewhere, such as a copy of the file audit.log.head, shows with --checkpoint
whether the log was cut short, even by somebody who could change every file beside it.

A log without its head file is a fault, since whoever cuts its end off could remove that file too. Nobody
expects one of standard input, nor of files whose names say that they were put aside, such as audit.log.1,
where later ones lie beside them or the last ends as a full file does; of other copies, --no-head says that
there is none. Name the log, and not audit.log*: a log that was removed is not among what that stands for.

Examples:
  promgate audit verify audit.log --config my.yaml
  promgate audit verify audit.log --key-file audit.key --checkpoint audit.log.head.monday
  promgate audit verify audit.log --public-key \"$(cat audit.pub)\" --json
  zcat audit.log.*.gz | promgate audit verify - --key-file audit.key")]
    Verify(VerifyArgs),

    /// Sum up who used what, what was refused, and what cost most.
    #[command(after_help = "\
With keys the log is verified on the way, and people are found under their pseudonyms. Each table tells
10000 names apart and sums up the others.

Examples:
  promgate audit report audit.log
  promgate audit report audit.log --since 2026-11-01 --until 2026-12-01 --by person
  promgate audit report audit.log --since 24h --tool prometheus_query --json")]
    Report(ReportArgs),

    /// Print the records that are about somebody or something.
    #[command(after_help = "\
Lines are printed as they stand. What is named several times means any of them; different options
must all fit. With keys, --person and --issuer find pseudonyms too.

Examples:
  promgate audit grep audit.log --person alice@example.com --key-file audit.key
  promgate audit grep audit.log --outcome forbidden --since 2h
  promgate audit grep audit.log --status 4xx --tool prometheus_query | jq .reason
  promgate audit grep audit.log --request-id 01JDXW8Z")]
    Grep(GrepArgs),

    /// Say under which pseudonym somebody or something stands in the log.
    #[command(after_help = "\
There is one pseudonym for each key. A session id is read from standard input, never from the command
line, where others could see it. With a log, counts the records that hold each pseudonym.

Examples:
  promgate audit reveal --subject alice@example.com --issuer https://idp.example.com --key-file audit.key
  promgate audit reveal --subject alice@example.com --config my.yaml audit.log
  promgate audit reveal --session-id --key-file audit.key < id.txt")]
    Reveal(RevealArgs),

    /// Print what somebody without the secret needs to check the checkpoints.
    #[command(after_help = "\
One line for each key: its name, as in the lines chain_start, and its public key. Neither is secret.

Examples:
  promgate audit public-key --config my.yaml
  promgate audit public-key --key-file audit.key")]
    PublicKey(KeyArgs),
}

/// With which keys.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// The configuration whose `middleware.access_logs.audit` has the keys.
    #[arg(long, short, value_name = "FILE", env = "PROMGATE_CONFIG")]
    pub config: Option<PathBuf>,

    /// A file with a key; may be given many times. No configuration is read then.
    #[arg(long = "key-file", value_name = "FILE")]
    pub key_files: Vec<PathBuf>,
}

/// The log.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// The log, or its files, or `-` for standard input; the configuration's when left out.
    #[arg(value_name = "LOG")]
    pub logs: Vec<PathBuf>,
}

/// What belongs to the log.
#[derive(Debug, Args)]
pub struct HeadArgs {
    /// The log is a copy or a part that may have no head file: that there is none is no fault.
    #[arg(long)]
    pub no_head: bool,
}

/// How a log is verified.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,

    /// The keys.
    #[command(flatten)]
    pub keys: KeyArgs,

    /// A public key, as `promgate audit public-key` prints it; may be given many times.
    #[arg(
        long = "public-key",
        value_name = "KEY",
        allow_hyphen_values = true,
        conflicts_with = "key_files",
        value_parser = public_key
    )]
    pub public_keys: Vec<PublicKey>,

    /// Checkpoints that were kept away from the log: lines of it, such as a copy of its head file.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,

    /// Its head file.
    #[command(flatten)]
    pub head: HeadArgs,

    /// Faults that are named; the rest is counted.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub faults_max: usize,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What a report is about.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,

    /// The keys.
    #[command(flatten)]
    pub keys: KeyArgs,

    /// The head file.
    #[command(flatten)]
    pub head: HeadArgs,

    /// Which records.
    #[command(flatten)]
    pub wanted: WantedArgs,

    /// What usage is summed by; person, tool and backend when left out.
    #[arg(long, value_enum)]
    pub by: Option<By>,

    /// Rows of each table.
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = rows)]
    pub rows: usize,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Which records are printed.
#[derive(Debug, Args)]
pub struct GrepArgs {
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,

    /// The keys.
    #[command(flatten)]
    pub keys: KeyArgs,

    /// Which records.
    #[command(flatten)]
    pub wanted: WantedArgs,

    /// Print how many there are, and not the records.
    #[arg(long)]
    pub count: bool,
}

/// Which records are wanted.
#[derive(Debug, Args)]
pub struct WantedArgs {
    /// From then on: `2026-11-30T09:15:00Z`, `2026-11-30` (UTC), or `90m` ago.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Bound>,

    /// Before then.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Bound>,

    /// Subject of the token, or the pseudonym that stands for it.
    #[arg(long, value_name = "SUBJECT")]
    pub person: Vec<String>,

    /// Issuer of the token.
    #[arg(long, value_name = "ISSUER")]
    pub issuer: Vec<String>,

    /// Tool that was called.
    #[arg(long, value_name = "NAME")]
    pub tool: Vec<String>,

    /// Backend that answered.
    #[arg(long, value_name = "NAME")]
    pub backend: Vec<String>,

    /// How the request ended, such as `ok` or `forbidden`.
    #[arg(long, value_name = "WORD")]
    pub outcome: Vec<String>,

    /// Why it was refused.
    #[arg(long, value_name = "WORD")]
    pub reason: Vec<String>,

    /// Pseudonym of the session.
    #[arg(long, value_name = "PSEUDONYM")]
    pub session: Vec<String>,

    /// Id of the request, as answered in `X-Request-Id`.
    #[arg(long, value_name = "ID")]
    pub request_id: Vec<String>,

    /// W3C trace id.
    #[arg(long, value_name = "ID")]
    pub trace_id: Vec<String>,

    /// HTTP status, such as `403` or `4xx`.
    #[arg(long, value_name = "STATUS", value_parser = statuses)]
    pub status: Vec<Statuses>,
}

/// Whose pseudonym is wanted.
#[derive(Debug, Args)]
pub struct RevealArgs {
    /// The name.
    #[command(flatten)]
    pub name: NameArgs,

    /// Who named the subject, client or group; the configuration's issuers when left out.
    #[arg(long, value_name = "ISSUER")]
    pub issuer: Option<String>,

    /// The keys.
    #[command(flatten)]
    pub keys: KeyArgs,

    /// Logs in which records are counted.
    #[arg(value_name = "LOG")]
    pub logs: Vec<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Who or what is looked for.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct NameArgs {
    /// Subject of a token.
    #[arg(long, value_name = "SUBJECT")]
    pub subject: Option<String>,

    /// Client of a token.
    #[arg(long, value_name = "CLIENT")]
    pub client_id: Option<String>,

    /// Group of a token.
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,

    /// An issuer itself.
    #[arg(long, value_name = "ISSUER")]
    pub issuer_itself: Option<String>,

    /// The session whose id is read from standard input.
    #[arg(long)]
    pub session_id: bool,
}

fn public_key(text: &str) -> Result<PublicKey, &'static str> {
    PublicKey::parse(text.trim()).ok_or("not a public key of 43 characters")
}

fn statuses(text: &str) -> Result<Statuses, &'static str> {
    Statuses::parse(text).ok_or("neither a status, such as 403, nor a class, such as 4xx")
}

fn moment(text: &str) -> Result<Bound, &'static str> {
    audit::bound(text, SystemTime::now()).ok_or(
        "neither a time, such as 2026-11-30T09:15:00Z, nor a day, such as 2026-11-30, nor a duration, such as 90m",
    )
}

/// Rows of a table: each holds its names for as long as the report is made.
fn rows(text: &str) -> Result<usize, &'static str> {
    let rows = text.parse().ok().filter(|rows| (1..=audit::NAMES_MAX).contains(rows));
    rows.ok_or("not a number from 1 to 10000")
}

//! `promgate audit`: from what was typed to what is printed.

use std::{
    io::{self, IsTerminal as _, Read as _},
    path::PathBuf,
};

use mcp_core::session::{SESSION_ID_BYTES_MAX, SessionId};
use serde_json::{Value, json};

use super::{
    CommandError,
    arguments::{
        AuditQuestion, GrepArgs, HeadArgs, KeyArgs, NameArgs, ReportArgs, RevealArgs, VerifyArgs,
        WantedArgs,
    },
    say,
};
use crate::{
    access_log::chain::Trust,
    audit::{self, AuditError, Filter, Kept, Keys, Log, Name, ReportOptions, Wanted},
    config::{self, Config, ProcessEnvironment, Target},
    field::Field,
};

/// Answers.
pub(super) fn answer(question: AuditQuestion) -> Result<(), CommandError> {
    match question {
        AuditQuestion::Verify(args) => verify(args),
        AuditQuestion::Report(args) => report(args),
        AuditQuestion::Grep(args) => grep(args),
        AuditQuestion::Reveal(args) => reveal(args),
        AuditQuestion::PublicKey(keys) => {
            let given = Given::by(&keys)?;
            let lines = given.keys()?.public().map(|(id, key)| format!("{id} {key}\n"));
            say(&lines.collect::<String>())
        }
    }
}

/// Configuration and keys, as far as they were named.
struct Given {
    config: Option<Config>,
    keys: Option<Keys>,
}

impl Given {
    fn by(args: &KeyArgs) -> Result<Self, CommandError> {
        if !args.key_files.is_empty() {
            return Ok(Self { config: None, keys: Some(Keys::of_files(&args.key_files)?) });
        }
        let Some(path) = &args.config else { return Ok(Self { config: None, keys: None }) };
        let config = config::load(path, &ProcessEnvironment)?;
        // Those who only look at a log need none.
        let keys = match Keys::of_config(&config) {
            Err(AuditError::NotSealed) => None,
            keys => Some(keys?),
        };
        Ok(Self { config: Some(config), keys })
    }

    fn keys(&self) -> Result<&Keys, AuditError> {
        let missing =
            if self.config.is_some() { AuditError::NotSealed } else { AuditError::NoKeys };
        self.keys.as_ref().ok_or(missing)
    }

    /// The logs that were named, or the files of the configuration.
    fn logs(&self, named: &[PathBuf], sealed: bool) -> Result<Vec<Log>, AuditError> {
        if !named.is_empty() {
            return audit::logs(named);
        }
        let sinks = self.config.iter().flat_map(|config| &config.access_log.sinks);
        let mut files: Vec<(bool, PathBuf)> = sinks
            .filter_map(|sink| match &sink.target {
                Target::File(file) => Some((sink.chain, file.path.clone())),
                Target::Stdout | Target::Syslog(_) | Target::Otlp(_) => None,
            })
            .filter(|(chain, _)| *chain || !sealed)
            .collect();
        if !sealed {
            // Several hold the same records, so one will do; a sealed one the best.
            files.sort_by_key(|(chain, _)| !chain);
            files.truncate(1);
        }
        if files.is_empty() {
            return Err(AuditError::NoLog);
        }
        files.iter().map(|(_, path)| Log::written(path)).collect()
    }
}

/// The logs, where a missing head file is a fault unless somebody said that it is none.
fn expecting(head: &HeadArgs, logs: Vec<Log>) -> Vec<Log> {
    if head.no_head { logs.into_iter().map(Log::as_copy).collect() } else { logs }
}

fn verify(args: VerifyArgs) -> Result<(), CommandError> {
    let VerifyArgs { log, keys, public_keys, checkpoint, head, faults_max, json } = args;
    let (given, trust) = if public_keys.is_empty() {
        let given = Given::by(&keys)?;
        let trust = given.keys()?.trust();
        (given, trust)
    } else {
        (Given { config: None, keys: None }, Trust::of_public_keys(public_keys))
    };
    let logs = expecting(&head, given.logs(&log.logs, true)?);
    let kept = match &checkpoint {
        Some(_) if logs.len() > 1 => return Err(AuditError::SeveralLogs(logs.len()).into()),
        Some(path) => audit::kept(path, &trust)?,
        None => Kept::default(),
    };
    let mut faults = 0;
    let mut answers = Vec::new();
    for (place, log) in logs.iter().enumerate() {
        let verdict = audit::verify(log, &trust, &kept, faults_max)?;
        faults += verdict.faults();
        if json {
            answers.push(verdict.json());
        } else {
            say(&format!("{}{verdict}", if place > 0 { "\n" } else { "" }))?;
        }
    }
    if json {
        say_json(&json!({ "good": faults == 0, "faults": faults, "logs": answers }))?;
    }
    if faults > 0 { Err(AuditError::Faults(faults).into()) } else { Ok(()) }
}

fn report(args: ReportArgs) -> Result<(), CommandError> {
    let ReportArgs { log, keys, head, wanted, by, rows, json } = args;
    let given = Given::by(&keys)?;
    let logs = expecting(&head, given.logs(&log.logs, false)?);
    let trust = given.keys.as_ref().map(Keys::trust).unwrap_or_default();
    let options = ReportOptions { by, rows_max: rows, trust, ..ReportOptions::default() };
    let mut filter = Filter::new(wanted_by(wanted), given.keys.as_ref());
    let report = audit::report(&logs, &mut filter, &options)?;
    if json {
        say_json(&report.json())?;
    } else {
        say(&report.to_string())?;
    }
    Ok(report.verdict()?)
}

fn grep(args: GrepArgs) -> Result<(), CommandError> {
    let GrepArgs { log, keys, wanted, count } = args;
    let given = Given::by(&keys)?;
    let logs = given.logs(&log.logs, false)?;
    let mut filter = Filter::new(wanted_by(wanted), given.keys.as_ref());
    if count {
        let grepped = audit::grep(&logs, &mut filter, false, &mut io::sink())?;
        return say(&format!("{}\n", grepped.found));
    }
    let out = io::stdout().lock();
    let for_terminal = out.is_terminal();
    let mut out = io::BufWriter::new(out);
    audit::grep(&logs, &mut filter, for_terminal, &mut out)?;
    Ok(())
}

fn reveal(args: RevealArgs) -> Result<(), CommandError> {
    let RevealArgs { name, issuer, keys, logs, json } = args;
    let given = Given::by(&keys)?;
    let keys = given.keys()?;
    let logs = if logs.is_empty() { Vec::new() } else { audit::logs(&logs)? };
    let revealed = audit::reveal(keys, &named(name)?, issuer.as_deref(), &logs)?;
    if json {
        say_json(&revealed.json())?;
    } else {
        say(&revealed.to_string())?;
    }
    Ok(revealed.verdict()?)
}

fn wanted_by(args: WantedArgs) -> Wanted {
    let WantedArgs { since, until, person, issuer, tool, backend, .. } = args;
    Wanted {
        since,
        until,
        people: person,
        issuers: issuer,
        texts: vec![
            (Field::Tool, tool),
            (Field::Backend, backend),
            (Field::Outcome, args.outcome),
            (Field::Reason, args.reason),
            (Field::Session, args.session),
            (Field::RequestId, args.request_id),
            (Field::TraceId, args.trace_id),
        ],
        statuses: args.status,
    }
}

fn named(args: NameArgs) -> Result<Name, AuditError> {
    let NameArgs { subject, client_id, group, issuer_itself, session_id: _ } = args;
    let name = subject
        .map(Name::Subject)
        .or(client_id.map(Name::ClientId))
        .or(group.map(Name::Group))
        .or(issuer_itself.map(Name::Issuer));
    match name {
        Some(name) => Ok(name),
        None => session().map(Name::Session),
    }
}

/// The session id on standard input.
fn session() -> Result<SessionId, AuditError> {
    let bytes_max = u64::try_from(SESSION_ID_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    // With room for the line's end, and for one byte too many.
    let input = io::stdin().lock().take(bytes_max + 3).read_to_end(&mut bytes);
    input.map_err(AuditError::Input)?;
    SessionId::parse(bytes.trim_ascii()).map_err(|_malformed| AuditError::NoSession)
}

fn say_json(value: &Value) -> Result<(), CommandError> {
    say(&format!("{value:#}\n"))
}

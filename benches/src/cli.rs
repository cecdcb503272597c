//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use crate::{
    cases::Case,
    failure::Failure,
    serve::{Contender, Replicas, Served},
};

/// What `--help` says.
pub const HELP: &str = "\
CPU per request of Promgate's edge beside a bare Pingora, and memory of streams that wait. With `sessions`: memory of
idle sessions, and CPU per request beside many of them.

usage: bench-edge [sessions] [options]

  --rounds N        rounds of every case, one after the other [4, or 9 of sessions]
  --requests N      requests of a round [20000]
  --connections N   connections that share them [16]
  --json FILE       where the results go [target/bench/edge.json or sessions.json]

not with `sessions`:
  --starts N        how often all servers are started anew, each time for so many rounds [6]
  --only CASE       measure static_200 and this case alone, and no memory
  --streams N       open streams whose memory is measured [1000]

only with `sessions`:
  --sessions N      idle sessions [100000]
";

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// Explain.
    Help,
    /// Measure.
    Run(Options),
    /// Be one of the serving processes.
    Serve(Served),
}

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The edge, beside a bare Pingora.
    Edge,
    /// Idle sessions, and the edge beside them.
    Sessions,
}

/// How to measure.
#[derive(Debug)]
pub struct Options {
    /// What to measure.
    pub subject: Subject,
    /// Rounds of every case, after each start.
    pub rounds: u32,
    /// How often the servers are started.
    pub starts: u32,
    /// Requests of a round.
    pub requests: u32,
    /// Connections that share them.
    pub connections: u32,
    /// The one case to measure beside the unit.
    pub only: Option<Case>,
    /// Idle sessions.
    pub sessions: u32,
    /// Open streams.
    pub streams: u32,
    /// Where the results go.
    pub json: PathBuf,
}

impl Options {
    fn of(subject: Subject) -> Self {
        let (rounds, json) = match subject {
            Subject::Edge => (4, "target/bench/edge.json"),
            Subject::Sessions => (9, "target/bench/sessions.json"),
        };
        Self {
            subject,
            rounds,
            starts: 6,
            requests: 20_000,
            connections: 16,
            only: None,
            sessions: 100_000,
            streams: 1_000,
            json: PathBuf::from(json),
        }
    }
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// [`Failure`] when one is unknown.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Command, Failure> {
    let mut arguments = arguments.peekable();
    let of_sessions = arguments.next_if(|first| first == "sessions").is_some();
    let subject = if of_sessions { Subject::Sessions } else { Subject::Edge };
    let mut options = Options::of(subject);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| Failure::Value(argument.clone()));
        let number = |value: String| {
            let parsed = value.parse::<std::num::NonZeroU32>().map(std::num::NonZeroU32::get);
            parsed.map_err(|source| Failure::Number { flag: argument.clone(), source })
        };
        match argument.as_str() {
            "serve" => return serve(arguments),
            "--help" | "-h" => return Ok(Command::Help),
            "--rounds" => options.rounds = number(value()?)?,
            "--requests" => options.requests = number(value()?)?,
            "--connections" => options.connections = number(value()?)?,
            "--sessions" if of_sessions => options.sessions = number(value()?)?,
            "--starts" if !of_sessions => options.starts = number(value()?)?,
            "--streams" if !of_sessions => options.streams = number(value()?)?,
            "--json" => options.json = value()?.into(),
            "--only" if !of_sessions => {
                let name = value()?;
                let case = Case::ALL.into_iter().find(|case| case.name() == name);
                options.only = Some(case.ok_or(Failure::Argument(name))?);
            }
            _ => return Err(Failure::Argument(argument)),
        }
    }
    Ok(Command::Run(options))
}

/// `serve CONTENDER --access-log FILE [--cpu N] [--jwks FILE] [--own ADDRESS --other ADDRESS] [--receiver ADDRESS]`: how
/// a run starts its servers.
fn serve(mut arguments: impl Iterator<Item = String>) -> Result<Command, Failure> {
    let name = arguments.next().ok_or_else(|| Failure::Value("serve".to_owned()))?;
    let contender = Contender::named(&name).ok_or(Failure::Argument(name))?;
    let access_log = PathBuf::from("/dev/null");
    let mut served =
        Served { contender, cpu: None, access_log, jwks: None, replicas: None, receiver: None };
    let (mut own, mut other) = (None, None);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| Failure::Value(argument.clone()))?;
        match argument.as_str() {
            "--access-log" => served.access_log = value.into(),
            "--jwks" => served.jwks = Some(value.into()),
            "--cpu" => {
                let cpu = value.parse();
                served.cpu =
                    Some(cpu.map_err(|source| Failure::Number { flag: argument, source })?);
            }
            "--own" => own = Some(address(argument, &value)?),
            "--receiver" => served.receiver = Some(address(argument, &value)?),
            "--other" => other = Some(address(argument, &value)?),
            _ => return Err(Failure::Argument(argument)),
        }
    }
    served.replicas = own.zip(other).map(|(own, other)| Replicas { own, other });
    Ok(Command::Serve(served))
}

fn address(flag: String, value: &str) -> Result<SocketAddr, Failure> {
    value.parse().map_err(|source| Failure::Socket { flag, source })
}

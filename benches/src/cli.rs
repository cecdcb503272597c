//! The command line.

use std::path::PathBuf;

use crate::{
    cases::Case,
    failure::Failure,
    serve::{Contender, Served},
};

/// What `--help` says.
pub const HELP: &str = "\
CPU per request of Promgate's edge beside a bare Pingora, and memory of what waits.

usage: bench-edge [options]

  --rounds N        rounds of every case, one after the other [9]
  --requests N      requests of a round [20000]
  --connections N   connections that share them [16]
  --only CASE       measure static_200 and this case alone, and no memory
  --sessions N      idle sessions whose memory is measured [100000]
  --streams N       open streams whose memory is measured [1000]
  --json FILE       where the results go [target/bench/edge.json]
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

/// How to measure.
#[derive(Debug)]
pub struct Options {
    /// Rounds of every case.
    pub rounds: u32,
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

impl Default for Options {
    fn default() -> Self {
        Self {
            rounds: 9,
            requests: 20_000,
            connections: 16,
            only: None,
            sessions: 100_000,
            streams: 1_000,
            json: PathBuf::from("target/bench/edge.json"),
        }
    }
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// [`Failure`] when one is unknown.
pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, Failure> {
    let mut options = Options::default();
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
            "--sessions" => options.sessions = number(value()?)?,
            "--streams" => options.streams = number(value()?)?,
            "--json" => options.json = value()?.into(),
            "--only" => {
                let name = value()?;
                let case = Case::ALL.into_iter().find(|case| case.name() == name);
                options.only = Some(case.ok_or(Failure::Argument(name))?);
            }
            _ => return Err(Failure::Argument(argument)),
        }
    }
    Ok(Command::Run(options))
}

/// `serve CONTENDER --access-log FILE [--cpu N] [--jwks FILE]`: how a run starts its servers.
fn serve(mut arguments: impl Iterator<Item = String>) -> Result<Command, Failure> {
    let name = arguments.next().ok_or_else(|| Failure::Value("serve".to_owned()))?;
    let contender = Contender::named(&name).ok_or(Failure::Argument(name))?;
    let access_log = PathBuf::from("/dev/null");
    let mut served = Served { contender, cpu: None, access_log, jwks: None };
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
            _ => return Err(Failure::Argument(argument)),
        }
    }
    Ok(Command::Serve(served))
}

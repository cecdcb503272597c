//! One run: rounds, then memory, then what is said about it.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::{
    access_log::AccessLogFile,
    cases::Case,
    cli::Options,
    cpus,
    failure::Failure,
    load::{Load, Prepared, Round},
    memory::Kept,
    process::Server,
    report::{Row, Table, write_json},
    serve::{Contender, Served},
    tokens::Minter,
};

/// Measures, prints the table and writes the results.
///
/// # Errors
/// [`Failure`] when something does not work, or an answer was wrong.
pub fn run(options: &Options) -> Result<(), Failure> {
    let cpu = divide_cpus()?;
    cpus::allow_many_files()?;
    let folder = TempDir::new().map_err(Failure::system("make a temporary folder"))?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("start a runtime"))?;
    let rows = runtime.block_on(async {
        let mut rows = measure_cases(options, cpu, folder.path()).await?;
        if options.only.is_none() {
            rows.extend(measure_memory(options, cpu, folder.path()).await?);
        }
        Ok::<_, Failure>(rows)
    })?;
    write!(io::stdout(), "{}", Table(&rows)).map_err(Failure::system("print the table"))?;
    write_json(&rows, &options.json)?;
    match rows.iter().map(|row| row.errors).sum() {
        0 => Ok(()),
        errors => Err(Failure::Errors { errors }),
    }
}

/// The server's CPU, if there is one to spare; this process keeps to the others.
fn divide_cpus() -> Result<Option<usize>, Failure> {
    let allowed = cpus::allowed()?;
    match allowed.as_slice() {
        [server, generator @ ..] if !generator.is_empty() => {
            cpus::stay_on(generator)?;
            Ok(Some(*server))
        }
        _ => Ok(None),
    }
}

/// A server, and its access log if it writes one.
struct Stage {
    server: Server,
    log: Option<AccessLogFile>,
}

impl Stage {
    fn start(
        contender: Contender,
        cpu: Option<usize>,
        folder: &Path,
        minter: &Minter,
    ) -> Result<Self, Failure> {
        let access_log = folder.join(contender.name()).with_extension("log");
        let jwks = folder.join("jwks.json");
        fs::write(&jwks, minter.jwks()).map_err(Failure::system("write the key set"))?;
        let told = Served { contender, cpu, access_log: access_log.clone(), jwks: Some(jwks) };
        let server = Server::start(&told)?;
        let log = match contender {
            Contender::Bare => None,
            Contender::Promgate | Contender::Guarded => Some(AccessLogFile::open(&access_log)?),
        };
        Ok(Self { server, log })
    }

    /// The one that answers this case.
    fn of(stages: &mut [Self], case: Case) -> Result<&mut Self, Failure> {
        let wanted = |stage: &&mut Self| stage.server.contender == case.contender();
        stages.iter_mut().find(wanted).ok_or(Failure::NoAddress)
    }
}

async fn measure_cases(
    options: &Options,
    cpu: Option<usize>,
    folder: &Path,
) -> Result<Vec<Row>, Failure> {
    let minter = Minter::new();
    let mut stages = Vec::new();
    for contender in [Contender::Bare, Contender::Promgate, Contender::Guarded] {
        stages.push(Stage::start(contender, cpu, folder, &minter)?);
    }
    let Options { requests, connections, .. } = *options;
    let load = Load { requests, connections, spin: cpu.is_some() };
    let mut measured: Vec<(Prepared, Vec<Round>)> = Vec::new();
    for case in Case::ALL {
        if options.only.is_none_or(|only| case == only || case == Case::Static200) {
            let stage = Stage::of(&mut stages, case)?;
            let prepared = Prepared::new(case, stage.server.address, &minter).await?;
            if let Some(log) = &mut stage.log {
                log.take(prepared.asked).await?;
            }
            measured.push((prepared, Vec::new()));
        }
    }
    for _ in 0..options.rounds {
        for (prepared, rounds) in &mut measured {
            let Stage { server, log } = Stage::of(&mut stages, prepared.case)?;
            rounds.push(prepared.round(server, load, log.as_mut(), &minter).await?);
        }
        // The next round begins with another case, so that none always follows the same.
        measured.rotate_left(1);
    }
    measured.sort_by_key(|(prepared, _)| Case::ALL.iter().position(|case| *case == prepared.case));
    let unit = measured.first().map(|(_, rounds)| rounds.clone()).unwrap_or_default();
    let row =
        |(prepared, rounds): &(Prepared, Vec<Round>)| Row::of_case(prepared.case, rounds, &unit);
    Ok(measured.iter().map(row).collect())
}

async fn measure_memory(
    options: &Options,
    cpu: Option<usize>,
    folder: &Path,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for (kept, count) in [
        (Kept::Sessions, options.sessions),
        (Kept::DistinctSessions, options.sessions),
        (Kept::Streams, options.streams),
    ] {
        let access_log = folder.join(kept.name());
        let told = Served { contender: Contender::Promgate, cpu, access_log, jwks: None };
        let server = Server::start(&told)?;
        rows.push(Row::of_share(&kept.measure(&server, count).await?));
    }
    Ok(rows)
}

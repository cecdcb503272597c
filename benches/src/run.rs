//! One run: rounds, then memory, then what is said about it.

use std::{
    io::{self, Write as _},
    path::Path,
};

use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::{
    cases::Case,
    cli::{Options, Subject},
    cpus, crowd,
    failure::Failure,
    load::{Load, Prepared, Round},
    memory::Kept,
    process::Server,
    report::{Beside, Row, Table, write_json},
    serve::{Contender, Served},
    stage::Stage,
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
        let folder = folder.path();
        let sessions = options.sessions;
        let (mut rows, kept) = match (options.subject, options.only) {
            (Subject::Edge, Some(_)) => (measure_cases(options, cpu, folder).await?, Vec::new()),
            (Subject::Edge, None) => {
                let kept = vec![(Kept::Streams, options.streams)];
                (measure_cases(options, cpu, folder).await?, kept)
            }
            (Subject::Sessions, _) => {
                let kept = vec![(Kept::Sessions, sessions), (Kept::DistinctSessions, sessions)];
                (crowd::measure(options, cpu, folder).await?, kept)
            }
        };
        rows.extend(measure_memory(&kept, cpu, folder).await?);
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

async fn measure_cases(
    options: &Options,
    cpu: Option<usize>,
    folder: &Path,
) -> Result<Vec<Row>, Failure> {
    let minter = Minter::new();
    let mut stages = Vec::new();
    for contender in Contender::ALL {
        stages.push(Stage::start(contender, cpu, folder, &minter)?);
    }
    let Options { requests, connections, .. } = *options;
    let load = Load { requests, connections, spin: cpu.is_some() };
    let mut measured: Vec<(Prepared, Vec<Round>)> = Vec::new();
    for case in Case::ALL {
        if options.only.is_none_or(|only| is_beside(case, only)) {
            let stage = stage_of(&mut stages, case)?;
            measured.push((Prepared::new(case, stage, &minter).await?, Vec::new()));
        }
    }
    for _ in 0..options.rounds {
        for (prepared, rounds) in &mut measured {
            let stage = stage_of(&mut stages, prepared.case)?;
            rounds.push(prepared.round(stage, load, &minter).await?);
        }
        // The next round begins with another case, so that none always follows the same.
        measured.rotate_left(1);
    }
    Ok(rows(&measured))
}

/// Whether a case is measured when only one is asked for: it, the unit, and what it is compared with.
fn is_beside(case: Case, only: Case) -> bool {
    let compared = [Some(only), Some(Case::Static200), only.local(), only.silent()];
    compared.contains(&Some(case))
}

/// Who answers this case.
fn stage_of(stages: &mut [Stage], case: Case) -> Result<&mut Stage, Failure> {
    let wanted = |stage: &&mut Stage| stage.contender == case.contender();
    stages.iter_mut().find(wanted).ok_or(Failure::NoAddress)
}

fn rows(measured: &[(Prepared, Vec<Round>)]) -> Vec<Row> {
    let rounds_of = |case: Case| {
        let found = measured.iter().find(|(prepared, _)| prepared.case == case);
        found.map(|(_, rounds)| rounds.as_slice())
    };
    let unit = rounds_of(Case::Static200).unwrap_or_default();
    let row = |case: Case| {
        let beside = Beside {
            unit,
            local: case.local().and_then(rounds_of),
            silent: case.silent().and_then(rounds_of),
        };
        Some(Row::of_case(case, rounds_of(case)?, beside))
    };
    Case::ALL.into_iter().filter_map(row).collect()
}

async fn measure_memory(
    kept: &[(Kept, u32)],
    cpu: Option<usize>,
    folder: &Path,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for &(kept, count) in kept {
        let access_log = folder.join(kept.name());
        let contender = Contender::Promgate;
        let told =
            Served { contender, cpu, access_log, jwks: None, replicas: None, receiver: None };
        let server = Server::start(&told)?;
        rows.push(Row::of_share(&kept.measure(&server, count).await?));
    }
    Ok(rows)
}

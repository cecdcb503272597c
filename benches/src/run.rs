//! One run: rounds, then memory, then what is said about it.

use std::{
    fs,
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
    let Options { requests, connections, .. } = *options;
    let load = Load { requests, connections, spin: cpu.is_some() };
    let asked = |case: &Case| options.only.is_none_or(|only| is_beside(*case, only));
    let cases: Vec<Case> = Case::ALL.into_iter().filter(asked).collect();
    let mut measured: Vec<Vec<Round>> = cases.iter().map(|_| Vec::new()).collect();
    for start in 0..options.starts {
        let folder = folder.join(start.to_string());
        let mut stages = start_all(&cases, start % 2 == 1, |contender| {
            Stage::start(contender, cpu, &folder, &minter)
        })?;
        let mut prepared = Vec::new();
        for (case, rounds) in cases.iter().zip(&mut measured) {
            let stage = stage_of(&mut stages, *case)?;
            prepared.push((Prepared::new(*case, stage, &minter).await?, rounds));
        }
        for round in 0..options.rounds {
            for place in order(prepared.len(), start * options.rounds + round) {
                let Some((prepared, rounds)) = prepared.get_mut(place) else { continue };
                let stage = stage_of(&mut stages, prepared.case)?;
                rounds.push(prepared.round(stage, load, &minter).await?);
            }
        }
        // What it leaves behind would be in the way of the next.
        drop(stages);
        fs::remove_dir_all(&folder).map_err(Failure::system("remove a temporary folder"))?;
    }
    Ok(rows(&cases, &measured, options.rounds))
}

/// In which order so many cases are asked in a round: each time the other way, and after each two beginning with the next, so
/// that no case always follows the same one or is always the last.
fn order(cases: usize, round: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..cases).collect();
    let first = usize::try_from(round / 2).unwrap_or_default();
    order.rotate_left(first.checked_rem(cases).unwrap_or_default());
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// Starts whoever answers these cases, `backwards` every other time: who starts first may find better memory.
fn start_all(
    cases: &[Case],
    backwards: bool,
    start: impl Fn(Contender) -> Result<Stage, Failure>,
) -> Result<Vec<Stage>, Failure> {
    let wanted = |contender: &Contender| cases.iter().any(|case| case.contender() == *contender);
    let mut wanted: Vec<_> = Contender::ALL.into_iter().filter(wanted).collect();
    if backwards {
        wanted.reverse();
    }
    wanted.into_iter().map(start).collect()
}

/// Whether a case is measured when only one is asked for: it, the unit, and what it is compared with.
fn is_beside(case: Case, only: Case) -> bool {
    let compared = [Some(only), Some(Case::Static200), only.local(), only.silent(), only.control()];
    compared.contains(&Some(case))
}

/// Who answers this case.
fn stage_of(stages: &mut [Stage], case: Case) -> Result<&mut Stage, Failure> {
    let wanted = |stage: &&mut Stage| stage.contender == case.contender();
    stages.iter_mut().find(wanted).ok_or(Failure::NoAddress)
}

fn rows(cases: &[Case], measured: &[Vec<Round>], rounds_of_start: u32) -> Vec<Row> {
    let rounds_of = |wanted: Case| {
        let mut both = cases.iter().zip(measured);
        both.find(|(case, _)| **case == wanted).map(|(_, rounds)| rounds.as_slice())
    };
    let unit = rounds_of(Case::Static200).unwrap_or_default();
    let row = |case: &Case| {
        let beside = Beside {
            unit,
            local: case.local().and_then(rounds_of),
            silent: case.silent().and_then(rounds_of),
            rounds_of_start: usize::try_from(rounds_of_start).unwrap_or(usize::MAX),
        };
        Some(Row::of_case(*case, rounds_of(*case)?, beside))
    };
    cases.iter().filter_map(row).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_stands_everywhere_and_on_both_sides_of_each_other() {
        for cases in [4, 14] {
            let rounds: Vec<_> =
                (0..2 * u32::try_from(cases).unwrap()).map(|round| order(cases, round)).collect();
            for case in 0..cases {
                let place = |order: &Vec<usize>| order.iter().position(|one| *one == case).unwrap();
                for wanted in 0..cases {
                    assert_eq!(rounds.iter().filter(|order| place(order) == wanted).count(), 2);
                }
                for other in (0..cases).filter(|other| *other != case) {
                    let is_after = |order: &&Vec<usize>| {
                        place(order) > order.iter().position(|one| *one == other).unwrap()
                    };
                    assert_eq!(rounds.iter().filter(is_after).count(), cases);
                }
            }
        }
    }
}

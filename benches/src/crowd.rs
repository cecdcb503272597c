//! What a request costs where many sessions lie idle, beside one where there are few.

use std::path::Path;

use crate::{
    cases::Case,
    cli::Options,
    failure::Failure,
    load::{Load, Prepared, Round},
    memory::open_sessions,
    report::Row,
    serve::Contender,
    stage::Stage,
    tokens::Minter,
};

/// Sessions that there are, or of which requests come, where these are few.
const FEW: u32 = 10;

/// Which sessions there are, and which of them are used: the same `ping` in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crowd {
    /// Few, all used: the unit.
    Few,
    /// Many, of which few are used.
    Many,
    /// Many, used in turn: whatever a request touches of its session has not been touched for long.
    Each,
}

impl Crowd {
    const ALL: [Self; 3] = [Self::Few, Self::Many, Self::Each];

    const fn name(self) -> &'static str {
        match self {
            Self::Few => "ping_session_few",
            Self::Many => "ping_session_many",
            Self::Each => "ping_session_each",
        }
    }

    /// How many times the unit's CPU a request may cost.
    const fn ratio_max(self) -> Option<f64> {
        match self {
            Self::Many => Some(1.05),
            Self::Few | Self::Each => None,
        }
    }
}

/// A server with its sessions.
struct Place {
    stage: Stage,
    ids: Vec<String>,
}

impl Place {
    async fn open(mut stage: Stage, count: u32) -> Result<Self, Failure> {
        let ids = open_sessions(stage.sessions_address(), 0..count, true).await?;
        stage.take_records(u64::from(count)).await?;
        Ok(Self { stage, ids })
    }
}

/// Measures `ping_session` beside few sessions and beside many, in rotating rounds.
///
/// # Errors
/// [`Failure`] when something does not work.
pub async fn measure(
    options: &Options,
    cpu: Option<usize>,
    folder: &Path,
) -> Result<Vec<Row>, Failure> {
    let minter = Minter::new();
    let start = |name: &str| Stage::start(Contender::Promgate, cpu, &folder.join(name), &minter);
    let mut few = Place::open(start("few")?, FEW).await?;
    let mut many = Place::open(start("many")?, options.sessions).await?;
    let Options { requests, connections, .. } = *options;
    let load = Load { requests, connections, spin: cpu.is_some() };
    let mut measured: Vec<(Crowd, Prepared, Vec<Round>)> = Vec::new();
    for crowd in Crowd::ALL {
        let place = if crowd == Crowd::Few { &mut few } else { &mut many };
        let used = if crowd == Crowd::Each { options.sessions } else { FEW };
        let used: Vec<_> = (0..used).zip(&place.ids).map(|(_, id)| id.clone()).collect();
        let prepared =
            Prepared::from_credentials(Case::PingSession, &mut place.stage, &used).await?;
        measured.push((crowd, prepared, Vec::new()));
    }
    for _ in 0..options.rounds {
        for (crowd, prepared, rounds) in &mut measured {
            let place = if *crowd == Crowd::Few { &mut few } else { &mut many };
            rounds.push(prepared.round(&mut place.stage, load, &minter).await?);
        }
        measured.rotate_left(1);
    }
    Ok(rows(&measured))
}

fn rows(measured: &[(Crowd, Prepared, Vec<Round>)]) -> Vec<Row> {
    let rounds_of = |wanted: Crowd| {
        let found = measured.iter().find(|(crowd, ..)| *crowd == wanted);
        found.map_or(&[][..], |(_, _, rounds)| rounds.as_slice())
    };
    let row = |crowd: Crowd| Row {
        bar: crowd.ratio_max(),
        ..Row::of_rounds(Contender::Promgate, crowd.name(), rounds_of(crowd), rounds_of(Crowd::Few))
    };
    Crowd::ALL.map(row).into()
}

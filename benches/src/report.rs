//! The table, and the same as JSON.

use std::{fmt, fs, path::Path};

use serde::Serialize;

use crate::{cases::Case, failure::Failure, load::Round, memory::Share, serve::Contender};

/// One line of the results.
///
/// A field that a line does not have is null: memory has no CPU time, requests have no bytes of their own.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Who served.
    pub contender: &'static str,
    /// What was asked or kept.
    pub case: &'static str,
    /// CPU time of the serving processes for each request: median of the rounds.
    pub cpu_us_per_request: Option<f64>,
    /// Median of the rounds.
    pub p50_us: Option<f64>,
    /// Median of the rounds.
    pub p99_us: Option<f64>,
    /// Resident memory of the serving processes at the end.
    pub rss_bytes: u64,
    /// Requests measured, or things kept.
    pub requests: u64,
    /// Answers that differed from the first.
    pub errors: u64,
    /// Memory of one session or stream.
    pub each_bytes: Option<f64>,
    /// CPU beside that of the unit (`static_200`, or `ping_session_few`) in the same round: median of the rounds.
    pub ratio: Option<f64>,
    /// CPU of a request that is passed on beside that of the same request where the session is, in the same round:
    /// median of the rounds.
    pub local_ratio: Option<f64>,
    /// CPU beyond that of the same request where nothing is recorded: mean of `extra_us_of_starts`.
    pub extra_us: Option<f64>,
    /// The same for each time that the servers were started: median of the differences within its rounds.
    pub extra_us_of_starts: Option<Vec<f64>>,
    /// What `extra_us`, or else `ratio` or `each_bytes`, may be at most.
    pub bar: Option<f64>,
}

/// Rounds that those of a case are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// Those of `static_200`.
    pub unit: &'a [Round],
    /// Those of the same request, not passed on.
    pub local: Option<&'a [Round]>,
    /// Those of the same request where nothing is recorded.
    pub silent: Option<&'a [Round]>,
    /// How many of them belong to one start of the servers.
    pub rounds_of_start: usize,
}

impl Row {
    /// The row of a case.
    #[must_use]
    pub fn of_case(case: Case, rounds: &[Round], beside: Beside<'_>) -> Self {
        let extras = beside.silent.map(|silent| extras(rounds, silent, beside.rounds_of_start));
        Self {
            local_ratio: beside.local.map(|local| ratio(rounds, local)),
            extra_us: extras.as_deref().map(mean),
            extra_us_of_starts: extras,
            bar: case.extra_us_max().or(case.ratio_max()),
            ..Self::of_rounds(case.contender(), case.name(), rounds, beside.unit)
        }
    }

    /// The row of rounds beside those of a unit, without a bar.
    #[must_use]
    pub fn of_rounds(
        contender: Contender,
        case: &'static str,
        rounds: &[Round],
        unit: &[Round],
    ) -> Self {
        Self {
            contender: contender.name(),
            case,
            cpu_us_per_request: Some(median(rounds.iter().map(|round| round.cpu_us))),
            p50_us: Some(median(rounds.iter().map(|round| round.p50_us))),
            p99_us: Some(median(rounds.iter().map(|round| round.p99_us))),
            rss_bytes: rounds.last().map_or(0, |round| round.rss_bytes),
            requests: rounds.iter().map(|round| u64::from(round.requests)).sum(),
            errors: rounds.iter().map(|round| round.errors).sum(),
            each_bytes: None,
            ratio: Some(ratio(rounds, unit)),
            local_ratio: None,
            extra_us: None,
            extra_us_of_starts: None,
            bar: None,
        }
    }

    /// The row of what was kept.
    #[must_use]
    pub fn of_share(share: &Share) -> Self {
        Self {
            contender: Contender::Promgate.name(),
            case: share.kept.name(),
            cpu_us_per_request: None,
            p50_us: None,
            p99_us: None,
            rss_bytes: share.rss_bytes,
            requests: u64::from(share.count),
            errors: 0,
            each_bytes: Some(share.each_bytes),
            ratio: None,
            local_ratio: None,
            extra_us: None,
            extra_us_of_starts: None,
            bar: Some(share.kept.bytes_max()),
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.extra_us.or(self.ratio).or(self.each_bytes), self.bar) {
            (Some(value), Some(bar)) if value <= bar => "met",
            (Some(_), Some(_)) => "MISSED",
            (_, None) | (None, _) => "",
        }
    }

    fn cells(&self) -> [String; COLUMNS] {
        let with = |decimals: usize| move |value: f64| format!("{value:.decimals$}");
        let ratios = self.ratio.is_some();
        [
            self.contender.to_owned(),
            self.case.to_owned(),
            self.cpu_us_per_request.map(with(2)).unwrap_or_default(),
            self.ratio.map(with(2)).unwrap_or_default(),
            self.local_ratio.map(with(2)).unwrap_or_default(),
            self.extra_us.map(with(2)).unwrap_or_default(),
            self.each_bytes.map(with(0)).unwrap_or_default(),
            self.bar.map(with(if ratios { 2 } else { 0 })).unwrap_or_default(),
            self.verdict().to_owned(),
            self.p50_us.map(with(0)).unwrap_or_default(),
            self.p99_us.map(with(0)).unwrap_or_default(),
            (self.rss_bytes >> 20).to_string(),
            self.requests.to_string(),
            self.errors.to_string(),
        ]
    }
}

const COLUMNS: usize = 14;

const HEADINGS: [&str; COLUMNS] = [
    "contender",
    "case",
    "CPU µs",
    "ratio",
    "to local",
    "extra µs",
    "bytes each",
    "bar",
    "verdict",
    "p50 µs",
    "p99 µs",
    "RSS MiB",
    "count",
    "errors",
];

/// Rounds of the same number are compared: a neighbour that slows the machine slows both.
fn ratio(rounds: &[Round], unit: &[Round]) -> f64 {
    median(rounds.iter().zip(unit).map(|(own, unit)| own.cpu_us / unit.cpu_us))
}

/// As above, for each start: its rounds have the same processes, so they are no samples of their own.
fn extras(rounds: &[Round], silent: &[Round], rounds_of_start: usize) -> Vec<f64> {
    let each = rounds_of_start.max(1);
    let extra = |(own, silent): (&[Round], &[Round])| {
        median(own.iter().zip(silent).map(|(own, silent)| own.cpu_us - silent.cpu_us))
    };
    rounds.chunks(each).zip(silent.chunks(each)).map(extra).collect()
}

fn mean(values: &[f64]) -> f64 {
    let count = u32::try_from(values.len()).map_or(f64::NAN, f64::from);
    values.iter().sum::<f64>() / count
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    // Of an even number there are two; the upper alone would be too high.
    f64::midpoint(middle(values.len().saturating_sub(1) / 2), middle(values.len() / 2))
}

/// The rows as an aligned table.
#[derive(Debug)]
pub struct Table<'a>(pub &'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![HEADINGS.map(str::to_owned)];
        lines.extend(self.0.iter().map(Row::cells));
        let mut widths = [0; COLUMNS];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        for line in &lines {
            for (column, (width, cell)) in widths.iter().zip(line).enumerate() {
                // Names to the left, figures to the right.
                match column {
                    0 | 1 => write!(f, "{cell:<width$}  ")?,
                    _ => write!(f, "{cell:>width$}  ")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Writes the rows as an array of objects.
///
/// # Errors
/// [`Failure`] when the file cannot be written.
pub fn write_json(rows: &[Row], path: &Path) -> Result<(), Failure> {
    let json = serde_json::to_vec_pretty(rows)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, json))
        .map_err(Failure::system("write the results"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(cpu_us: &[f64]) -> Vec<Round> {
        let round = |cpu_us: &f64| Round {
            cpu_us: *cpu_us,
            p50_us: 1.0,
            p99_us: 1.0,
            rss_bytes: 1,
            requests: 1,
            errors: 0,
        };
        cpu_us.iter().map(round).collect()
    }

    #[test]
    fn a_median_of_an_even_number_lies_between_both_in_the_middle() {
        let of = |values: &[f64]| median(values.iter().copied());
        assert!(of(&[]).is_nan());
        for (values, wanted) in [
            (&[4.0][..], 4.0),
            (&[4.0, 2.0], 3.0),
            (&[9.0, 1.0, 2.0], 2.0),
            (&[9.0, 1.0, 2.0, 4.0], 3.0),
        ] {
            assert!((of(values) - wanted).abs() < 1e-9, "{values:?}");
        }
    }

    #[test]
    fn an_extra_is_the_mean_of_what_each_start_has_in_the_middle() {
        let own = rounds(&[3.0, 3.0, 90.0, 6.0, 6.0, 6.0]);
        let silent = rounds(&[1.0; 6]);
        let extras = extras(&own, &silent, 3);
        assert_eq!(extras, [2.0, 5.0]);
        assert!((mean(&extras) - 3.5).abs() < 1e-9);
    }
}

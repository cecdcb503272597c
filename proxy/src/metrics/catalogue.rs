//! What each metric is, for the table of them all.

use std::fmt::{self, Write as _};

use super::labels::Label;

/// What stands above the table.
const ABOVE: &str = "\
# Metrics

What `/metrics` on the admin listener shows, in the text format of Prometheus. This page is what `promgate metrics` prints, and a test
keeps it so.

Every label has a closed set of values: those listed here, names of tools, or names that the configuration gives. Nothing that a
client sends becomes one. With several replicas a request is counted where its client reached it, so that sums over all of them count it once. Counters begin at
0 when the process starts; all but those by issuer are there from the first scrape. Durations are histograms with buckets from
0.5 ms to 120 s. There are no exemplars: the crate `prometheus` 0.14 knows none, neither in its types nor in the format that it writes.

[`conf/grafana/promgate.json`](../conf/grafana/promgate.json) is a dashboard of these metrics, [`conf/alerts.yaml`](../conf/alerts.yaml) and
[`conf/rules.yaml`](../conf/rules.yaml) are rules for Prometheus, and [`runbook.md`](runbook.md) says what to do when one of them fires.

";

/// What stands above the meanings of label values.
const ABOVE_VALUES: &str =
    "\n## What the values of labels mean\n\nThose that say it themselves are left out.\n";

/// One metric, as the table shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The whole name.
    pub name: String,
    /// What may be done with it.
    pub kind: Kind,
    /// What its value is.
    pub unit: Unit,
    /// Its labels.
    pub keys: Vec<Key>,
    /// What it tells, in sentences.
    pub help: String,
}

/// What may be done with a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, but for a restart.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets, with a sum and a count of all.
    Histogram,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Number,
    /// 1 for yes, 0 for no.
    Switch,
    /// A part of a whole, 0 to 1.
    Share,
    /// A time in seconds.
    Seconds,
    /// A moment, in seconds since 1970.
    Moment,
    /// A size in bytes.
    Bytes,
}

/// A label and the values that it has.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name of the label.
    pub name: &'static str,
    values: Values,
}

#[derive(Debug, Clone, Copy)]
enum Values {
    /// These and no others.
    Closed(fn() -> Vec<Value>),
    /// As many as the configuration or the code names; what they are.
    Named(&'static str),
}

/// A label's value and its meaning.
type Value = (&'static str, &'static str);

/// Every metric, as the page that `promgate metrics` prints.
#[derive(Debug)]
pub struct Catalogue(Vec<Described>);

impl Key {
    /// A label whose values are those of `L`.
    #[must_use]
    pub fn of<L: Label>(name: &'static str) -> Self {
        Self { name, values: Values::Closed(values_of::<L>) }
    }

    /// A label whose values are named elsewhere; `what` says where.
    #[must_use]
    pub const fn named(name: &'static str, what: &'static str) -> Self {
        Self { name, values: Values::Named(what) }
    }

    /// Whether `value` may stand in the label: known for closed sets alone.
    #[must_use]
    pub fn allows(&self, value: &str) -> bool {
        match self.values {
            Values::Closed(all) => all().iter().any(|(known, _)| *known == value),
            Values::Named(_) => true,
        }
    }

    fn closed(&self) -> Vec<Value> {
        match self.values {
            Values::Closed(all) => all(),
            Values::Named(_) => Vec::new(),
        }
    }
}

fn values_of<L: Label>() -> Vec<Value> {
    L::ALL.iter().map(|value| (value.label(), value.meaning())).collect()
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let same = match (self.values, other.values) {
            (Values::Closed(ours), Values::Closed(theirs)) => ours() == theirs(),
            (Values::Named(ours), Values::Named(theirs)) => ours == theirs,
            (Values::Closed(_), Values::Named(_)) | (Values::Named(_), Values::Closed(_)) => false,
        };
        same && self.name == other.name
    }
}

impl Eq for Key {}

impl Kind {
    /// Its name in the text format.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Unit {
    /// What the name of a metric says of its unit: names end with it, as Prometheus has it.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let name = name.strip_suffix("_max").unwrap_or(name);
        let name = name.strip_suffix("_total").unwrap_or(name);
        if name.ends_with("_timestamp_seconds") || name.ends_with("_start_time_seconds") {
            Self::Moment
        } else if name.ends_with("_seconds") {
            Self::Seconds
        } else if name.ends_with("_bytes") {
            Self::Bytes
        } else {
            Self::Number
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Switch => "0 or 1",
            Self::Share => "share, 0 to 1",
            Self::Seconds => "seconds",
            Self::Moment => "seconds since 1970",
            Self::Bytes => "bytes",
        }
    }
}

impl Catalogue {
    /// The metrics, ordered by name.
    #[must_use]
    pub fn new(mut all: Vec<Described>) -> Self {
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Self(all)
    }

    /// Every metric.
    #[must_use]
    pub fn all(&self) -> &[Described] {
        &self.0
    }

    /// The closed sets, each with its label and the metrics that have it.
    fn sets(&self) -> Vec<(Key, Vec<&str>)> {
        let mut sets: Vec<(Key, Vec<&str>)> = Vec::new();
        for metric in &self.0 {
            for key in &metric.keys {
                match sets.iter_mut().find(|(known, _)| known == key) {
                    Some((_, metrics)) => metrics.push(&metric.name),
                    None => sets.push((*key, vec![&metric.name])),
                }
            }
        }
        sets
    }
}

impl fmt::Display for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ABOVE)?;
        f.write_str("| metric | type | unit | labels | tells |\n|---|---|---|---|---|\n")?;
        for Described { name, kind, unit, keys, help } in &self.0 {
            let keys: Vec<String> = keys.iter().map(cell).collect();
            let (kind, unit, keys) = (kind.word(), unit.word(), keys.join("; "));
            writeln!(f, "| `{name}` | {kind} | {unit} | {keys} | {help} |")?;
        }
        f.write_str(ABOVE_VALUES)?;
        for (key, metrics) in self.sets() {
            let told: Vec<_> = key.closed().into_iter().filter(tells_more).collect();
            if told.is_empty() {
                continue;
            }
            let metrics: Vec<_> = metrics.iter().map(|name| format!("`{name}`")).collect();
            writeln!(f, "\n`{}` of {}:\n", key.name, metrics.join(", "))?;
            for (value, meaning) in told {
                writeln!(f, "- `{value}`: {meaning}")?;
            }
        }
        Ok(())
    }
}

/// A label as a cell of the table has it.
fn cell(key: &Key) -> String {
    let mut cell = format!("`{}`: ", key.name);
    match key.values {
        Values::Closed(all) => {
            for (place, (value, _)) in all().into_iter().enumerate() {
                let between = if place == 0 { "" } else { " " };
                // Writing to a text cannot fail.
                let _written = write!(cell, "{between}`{value}`");
            }
        }
        Values::Named(what) => cell.push_str(what),
    }
    cell
}

/// Whether the meaning is more than the value itself.
fn tells_more((value, meaning): &Value) -> bool {
    meaning.trim_matches(['`', '.']) != *value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_metric_says_its_unit() {
        for (name, unit) in [
            ("promgate_request_duration_seconds", Unit::Seconds),
            ("process_cpu_seconds_total", Unit::Seconds),
            ("process_start_time_seconds", Unit::Moment),
            ("promgate_config_last_reload_success_timestamp_seconds", Unit::Moment),
            ("promgate_bodies_bytes_max", Unit::Bytes),
            ("promgate_sent_bytes_total", Unit::Bytes),
            ("promgate_requests_total", Unit::Number),
            ("promgate_ring_version", Unit::Number),
        ] {
            assert_eq!(Unit::of(name), unit, "{name}");
        }
    }
}

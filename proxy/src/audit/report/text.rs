//! A report as text.

use std::fmt;

use super::{Cost, Report, Table, Usage};
use crate::enquiry::{Row, shown, table};

/// The columns of usage.
const USAGE: [&str; 8] =
    ["requests", "refused", "failed", "bytes", "rows", "time", "longest", "last record"];

/// The columns of a request that cost much, after the cost.
const COST: [&str; 5] = ["time", "request", "person", "tool", "backend"];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_head(f)?;
        for Table { name, columns, top } in self.tables() {
            if top.rows.is_empty() {
                continue;
            }
            let title = match name {
                "refusals" => "Refused and failed".to_owned(),
                "limits" => "Limits that were reached".to_owned(),
                "queries" => "Slowest queries".to_owned(),
                by => format!("Usage by {by}"),
            };
            let header: Vec<&str> = columns.iter().copied().chain(USAGE).collect();
            let rows = top.rows.iter().map(|(parts, usage)| {
                let parts = parts.iter().map(|part| shown(part));
                Row { cells: parts.chain(usage_cells(usage)).collect(), remark: None }
            });
            let others = top.others.as_ref().map(|others| {
                let more = if top.is_full { " and more" } else { "" };
                let name = format!("(others: {}{more})", top.other_names);
                let blank = columns.iter().skip(1).map(|_| String::new());
                let cells = std::iter::once(name).chain(blank).chain(usage_cells(others));
                Row { cells: cells.collect(), remark: None }
            });
            writeln!(f, "\n{title}\n")?;
            f.write_str(&table(&header, rows.chain(others)))?;
            if top.is_full {
                writeln!(f, "Only the first {} names are told apart.", self.names_max)?;
            }
        }
        costs(f, "Longest requests", "took", self.costs.longest(), &span)?;
        costs(f, "Largest answers", "bytes", self.costs.largest(), &|bytes| bytes.to_string())?;
        costs(f, "Most rows", "rows", self.costs.most_rows(), &|rows| rows.to_string())
    }
}

impl Report {
    fn write_head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let logs: Vec<String> = self.logs.iter().map(|log| shown(log)).collect();
        writeln!(f, "log         {}", logs.join(", "))?;
        writeln!(f, "requests    {}", self.records)?;
        if let Some((first, last)) = &self.times {
            writeln!(f, "from        {} to {}", shown(first), shown(last))?;
        }
        if let Some((_, all)) = self.all.top(1, |usage| usage.requests).rows.first() {
            let Usage { refused, failed, bytes_out, rows, time_us, .. } = all;
            writeln!(f, "of which    {refused} refused, {failed} failed")?;
            writeln!(f, "cost        {bytes_out} bytes, {rows} rows, {}", span(*time_us))?;
        }
        if self.relayed > 0 {
            let what = "passed on by other replicas, in whose logs they count";
            writeln!(f, "relayed     {} more, {what}", self.relayed)?;
        }
        if self.streams.0 > 0 {
            writeln!(f, "streams     {} opened, {} ended", self.streams.0, self.streams.1)?;
        }
        if self.dropped.0 > 0 {
            let (places, records) = self.dropped;
            writeln!(
                f,
                "dropped     {records} records at {places} places are missing, as the log itself tells"
            )?;
        }
        if self.strange > 0 {
            writeln!(f, "strange     {} lines that are no records", self.strange)?;
        }
        let verified = match self.faults {
            None => "no; `promgate audit verify` does".to_owned(),
            Some(0) => "yes, without a fault".to_owned(),
            Some(faults) => format!("{faults} faults: see `promgate audit verify`"),
        };
        writeln!(f, "verified    {verified}")
    }
}

fn usage_cells(usage: &Usage) -> impl Iterator<Item = String> {
    let Usage { requests, refused, failed, bytes_out, rows, time_us, longest_us, last, last_id: _ } =
        usage;
    let numbers = [requests, refused, failed, bytes_out, rows].map(u64::to_string);
    numbers.into_iter().chain([span(*time_us), span(*longest_us), shown(last)])
}

fn costs(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    name: &str,
    costs: &[Cost],
    value: &dyn Fn(u64) -> String,
) -> fmt::Result {
    if costs.is_empty() {
        return Ok(());
    }
    let header: Vec<&str> = std::iter::once(name).chain(COST).collect();
    let rows = costs.iter().map(|cost| {
        let texts = [&cost.time, &cost.request_id, &cost.person, &cost.tool, &cost.backend];
        let texts = texts.into_iter().map(|text| shown(text));
        Row { cells: std::iter::once(value(cost.value)).chain(texts).collect(), remark: None }
    });
    writeln!(f, "\n{title}\n")?;
    f.write_str(&table(&header, rows))
}

/// A length of time, from microseconds.
fn span(microseconds: u64) -> String {
    let milliseconds = microseconds / 1000;
    if milliseconds < 1000 {
        format!("{milliseconds}.{:03} ms", microseconds % 1000)
    } else {
        format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
    }
}

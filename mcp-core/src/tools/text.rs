//! The text of an answer: what a model that sees no structured content needs.

use std::fmt::{self, Display, Write};

use serde_json::Value;

use super::{shape::Shaped, time::Moment};

/// Most series that the text shows, one line each.
const SERIES_MAX: usize = 50;

/// Size beyond which no further series is shown, in bytes.
const BYTES_MAX: usize = 16 << 10;

/// Most points of a series that are shown one by one.
const POINTS_MAX: usize = 10;

/// Writes one line a series, and says how many it left to the structured content.
pub(crate) fn series(text: &mut String, shaped: &Shaped, line: fn(&mut String, &Value)) {
    let start = text.len();
    let mut shown = 0;
    for series in shaped.series.iter().take(SERIES_MAX) {
        let before = text.len();
        text.push('\n');
        line(text, series);
        if text.len() - start > BYTES_MAX {
            text.truncate(before);
            break;
        }
        shown += 1;
    }
    let left = shaped.series.len() - shown;
    if left > 0 {
        push(text, format_args!("\n… and {left} more series, in the structured content only"));
    }
}

/// Adds what the backend remarked and what was cut.
pub(crate) fn remarks(text: &mut String, warnings: &[String], infos: &[String], cut: Option<&str>) {
    for warning in warnings {
        push(text, format_args!("\nwarning: {warning}"));
    }
    for info in infos {
        push(text, format_args!("\ninfo: {info}"));
    }
    if let Some(cut) = cut {
        push(text, format_args!("\n{cut}"));
    }
}

/// `name{label="value"} 1`
pub(crate) fn sample(text: &mut String, series: &Value) {
    name(text, series);
    text.push(' ');
    match (pair(&series["value"]), pair(&series["histogram"])) {
        (Some((_, value)), _) => measured(text, value),
        (None, Some((_, histogram))) => measured(text, histogram),
        (None, None) => text.push_str("no value"),
    }
}

/// `name{label="value"}: 241 points, first …, last …, min …, max …, avg …`
pub(crate) fn digest(text: &mut String, series: &Value) {
    name(text, series);
    text.push_str(": ");
    let (points, histograms) = (points(&series["values"]), points(&series["histograms"]));
    if !points.is_empty() || histograms.is_empty() {
        numbers(text, &points);
    }
    if !histograms.is_empty() {
        if !points.is_empty() {
            text.push_str("; ");
        }
        ends(text, "histograms", &histograms);
    }
}

fn numbers(text: &mut String, points: &[Point<'_>]) {
    ends(text, "points", points);
    let spread = Spread::of(points);
    if let Some((least, most)) = spread.least_and_most.filter(|_| points.len() > 1) {
        push(text, format_args!(", min {least}, max {most}, avg {}", short(spread.mean)));
    }
    if spread.nan > 0 && spread.nan < points.len() {
        push(text, format_args!(", {} NaN", spread.nan));
    }
    if (2..=POINTS_MAX).contains(&points.len()) {
        text.push_str("; points");
        for (at, value) in points {
            push(text, format_args!(" {}=", Stamp(at)));
            measured(text, value);
        }
    }
}

/// `241 points, first 1 at …, last 2 at …`
fn ends(text: &mut String, what: &str, points: &[Point<'_>]) {
    let what = if points.len() == 1 { what.trim_end_matches('s') } else { what };
    push(text, format_args!("{} {what}", points.len()));
    if let Some((at, value)) = points.first() {
        text.push_str(", first ");
        measured(text, value);
        push(text, format_args!(" at {}", Stamp(at)));
    }
    if let [_first, .., (at, value)] = points {
        text.push_str(", last ");
        measured(text, value);
        push(text, format_args!(" at {}", Stamp(at)));
    }
}

/// Least and most as the backend wrote them, so that no digit is lost; the mean is ours.
struct Spread<'a> {
    least_and_most: Option<(&'a str, &'a str)>,
    mean: f64,
    nan: usize,
}

impl<'a> Spread<'a> {
    fn of(points: &[Point<'a>]) -> Self {
        let mut spread = Self { least_and_most: None, mean: 0.0, nan: 0 };
        let (mut least, mut most, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
        for (_, value) in points {
            let Some(written) = value.as_str() else { continue };
            let Some(number) = number(written).filter(|n| !n.is_nan()) else {
                spread.nan += 1;
                continue;
            };
            let (low, high) = spread.least_and_most.unwrap_or((written, written));
            let low = if number < least { written } else { low };
            let high = if number > most { written } else { high };
            spread.least_and_most = Some((low, high));
            (least, most) = (least.min(number), most.max(number));
            count += 1.0;
            // Running, so that values near the largest float do not overflow in a sum.
            spread.mean +=
                if spread.mean.is_infinite() { 0.0 } else { (number - spread.mean) / count };
        }
        spread
    }
}

/// Reads a sample value: a float, `NaN`, `+Inf` or `-Inf`.
fn number(written: &str) -> Option<f64> {
    written.parse().ok()
}

/// Six significant digits: a mean is no exact value.
fn short(number: f64) -> String {
    let rounded = format!("{number:.5e}");
    rounded.parse::<f64>().map_or(rounded, |n| n.to_string())
}

fn points(values: &Value) -> Vec<Point<'_>> {
    values.as_array().into_iter().flatten().filter_map(pair).collect()
}

/// A timestamp and what was measured then.
pub(crate) type Point<'a> = (&'a Value, &'a Value);

pub(crate) fn pair(sample: &Value) -> Option<Point<'_>> {
    let [at, value] = sample.as_array()?.as_slice() else { return None };
    Some((at, value))
}

/// Shows Unix seconds, as JSON has them, in RFC 3339.
#[derive(Debug)]
pub(crate) struct Stamp<'a>(pub(crate) &'a Value);

impl Display for Stamp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = self.0.to_string();
        match Moment::from_unix_seconds(&written) {
            Some(moment) => write!(f, "{moment}"),
            None => f.write_str(&written),
        }
    }
}

/// A number as it was written, or count and sum of a native histogram.
fn measured(text: &mut String, value: &Value) {
    match value {
        Value::String(written) => text.push_str(written),
        Value::Object(histogram) => {
            let field = |key| histogram.get(key).and_then(Value::as_str).unwrap_or("?");
            push(text, format_args!("histogram(count {}, sum {})", field("count"), field("sum")));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            push(text, format_args!("{value}"));
        }
    }
}

/// The series' name and labels in PromQL.
fn name(text: &mut String, series: &Value) {
    let empty = serde_json::Map::new();
    let labels = series["metric"].as_object().unwrap_or(&empty);
    let metric = labels.get("__name__").and_then(Value::as_str).unwrap_or_default();
    let plain = is_plain(metric, true);
    if plain {
        text.push_str(metric);
    }
    let others: Vec<_> = labels.iter().filter(|(label, _)| *label != "__name__").collect();
    if plain && others.is_empty() {
        return;
    }
    text.push('{');
    let mut between = "";
    if !plain && !metric.is_empty() {
        push(text, format_args!("{}", quoted(metric)));
        between = ",";
    }
    for (label, value) in others {
        text.push_str(between);
        between = ",";
        if is_plain(label, false) {
            text.push_str(label);
        } else {
            push(text, format_args!("{}", quoted(label)));
        }
        // Serde writes a string with the escapes that PromQL takes too.
        push(text, format_args!("={value}"));
    }
    text.push('}');
}

fn quoted(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// Whether PromQL takes the name without quotes.
fn is_plain(name: &str, is_metric: bool) -> bool {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_' || (is_metric && b == b':');
    let mut bytes = name.bytes();
    bytes.next().is_some_and(letter) && bytes.all(|b| letter(b) || b.is_ascii_digit())
}

/// Appends to a string, which cannot fail.
pub(crate) fn push(text: &mut String, what: impl Display) {
    write!(text, "{what}").unwrap_or_default();
}

#[cfg(test)]
mod tests;

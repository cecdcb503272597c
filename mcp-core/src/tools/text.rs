//! The text of an answer: what a model that sees no structured content needs.

use std::fmt::{self, Display, Write};

use serde_json::Value;

use super::{shape::json_bytes, time::Moment};

/// Most lines that the text shows, one for each series or name.
const LINES_MAX: usize = 50;

/// Size of all lines beyond which no further one is shown, in bytes of JSON.
const BYTES_MAX: usize = 16 << 10;

/// Part of an answer's size that the lines may have; the rest is for the data.
const SHARE: usize = 4;

/// Most points of a series that are shown one by one.
const POINTS_MAX: usize = 10;

/// The lines of a text, as many as there is room for.
#[derive(Debug)]
pub(crate) struct Lines {
    text: String,
    shown: usize,
    room: usize,
}

impl Lines {
    /// Lines of an answer of at most this size.
    pub(crate) fn of_answer(bytes_max: usize) -> Self {
        Self { text: String::new(), shown: 0, room: (bytes_max / SHARE).min(BYTES_MAX) }
    }

    /// Adds a line if it fits into `room`, and returns how much of it it took, in bytes of JSON.
    /// After one that does not fit, no other is shown: a text with gaps would mislead.
    pub(crate) fn add(&mut self, room: usize, write: impl FnOnce(&mut String)) -> usize {
        if self.shown == LINES_MAX || self.room == 0 {
            return 0;
        }
        let before = self.text.len();
        self.text.push('\n');
        write(&mut self.text);
        let bytes = json_bytes(self.text.get(before..).unwrap_or_default());
        if bytes > room.min(self.room) {
            self.text.truncate(before);
            self.room = 0;
            return 0;
        }
        self.room -= bytes;
        self.shown += 1;
        bytes
    }

    /// Appends the lines to `text`, and says how many of `total` are left to the structured
    /// content.
    pub(crate) fn end(self, text: &mut String, total: usize) {
        text.push_str(&self.text);
        let left = total.saturating_sub(self.shown);
        if left > 0 {
            push(text, format_args!("\n… and {left} more in the structured content"));
        }
    }
}

/// The text, cut so that it has at most this many bytes as JSON.
pub(crate) fn fitted(text: &str, bytes_max: usize) -> String {
    if json_bytes(text) <= bytes_max {
        return text.to_owned();
    }
    let mut end = text.len().min(bytes_max);
    loop {
        end = text.floor_char_boundary(end);
        let cut = format!("{}… (cut)", text.get(..end).unwrap_or_default());
        let over = json_bytes(&cut).saturating_sub(bytes_max);
        if over == 0 || end == 0 {
            return cut;
        }
        // A byte takes at most six as JSON, so this never cuts off more than it must by much.
        end = end.saturating_sub(over.div_ceil(6));
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

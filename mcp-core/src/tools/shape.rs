//! Fits a result into the size that an answer may have.

use std::io;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    backend::Items,
    call::{Answered, Truncation},
};

/// Series of an answer, as the backend gave them, and how many it had.
#[derive(Debug)]
pub(crate) struct Shaped {
    pub(crate) series: Vec<Value>,
    pub(crate) total: usize,
    pub(crate) cut: Option<Cut>,
}

/// Why series were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The answer would have been larger than this many bytes.
    Bytes(usize),
    /// The caller asked for no more series.
    Limit(usize),
}

/// A result that does not hold series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What an answer may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of JSON of the whole answer, its text included.
    pub(crate) bytes_max: usize,
    /// Bytes of it that are spent already.
    pub(crate) bytes_spent: usize,
    /// Series the caller wants.
    pub(crate) series_max: Option<usize>,
}

/// Takes whole series from the front until one does not fit.
///
/// Only what is taken is turned into a tree, however large the backend's answer is. `tell` is
/// given each that is taken and the room that is left, and returns how much of it the text took.
pub(crate) fn shape(
    items: &Items<'_>,
    bounds: Bounds,
    mut tell: impl FnMut(&Value, usize) -> usize,
) -> Result<Shaped, Malformed> {
    let series_max = bounds.series_max.unwrap_or(usize::MAX);
    let mut room = bounds.bytes_max.saturating_sub(bounds.bytes_spent);
    let mut shaped = Shaped { series: Vec::new(), total: items.total, cut: None };
    for raw in &items.kept {
        if shaped.series.len() >= series_max {
            shaped.cut = Some(Cut::Limit(series_max));
            return Ok(shaped);
        }
        // What is this much longer as text is not worth reading to learn that it does not fit.
        let hopeless = raw.get().len() / 2 > room;
        let series = if hopeless { None } else { Some(read(raw.get())?) };
        let taken = series.and_then(|series| {
            room = room.checked_sub(json_bytes(&series) + 1)?;
            room = room.saturating_sub(tell(&series, room));
            Some(series)
        });
        let Some(series) = taken else {
            shaped.cut = Some(Cut::Bytes(bounds.bytes_max));
            return Ok(shaped);
        };
        shaped.series.push(series);
    }
    if shaped.series.len() < shaped.total {
        shaped.cut = Some(Cut::Bytes(bounds.bytes_max));
    }
    Ok(shaped)
}

impl Shaped {
    /// How much of what there is was taken.
    pub(crate) fn answered(&self) -> Answered {
        let truncation = self.cut.map(|cut| match cut {
            Cut::Bytes(_) => Truncation::Size,
            Cut::Limit(_) => Truncation::Limit,
        });
        Answered { rows: self.series.len(), rows_total: self.total, truncation }
    }

    /// What was left out and how to ask for less, for a reader; `None` when all is there.
    pub(crate) fn cut_text(&self) -> Option<String> {
        let (returned, total) = (self.series.len(), self.total);
        Some(match self.cut? {
            Cut::Limit(limit) => format!(
                "cut: {returned} of {total} series, as `limit` is {limit}; raise it or ask for \
                 less with topk(), an aggregation, or label matchers"
            ),
            Cut::Bytes(bytes_max) => format!(
                "cut: {returned} of {total} series, since an answer holds at most {bytes_max} \
                 bytes; to ask for less, aggregate (`sum by (…)`), take the top (`topk(10, …)`), \
                 add label matchers, or use a longer step"
            ),
        })
    }
}

/// How many bytes `value` has as JSON.
pub(crate) fn json_bytes<T: Serialize + ?Sized>(value: &T) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        // Trees of JSON can always be written; if one could not, it would not fit.
        Err(_unwritable) => usize::MAX >> 1,
    }
}

/// Reads a series, making sure that it is what the output schema says.
fn read(raw: &str) -> Result<Value, Malformed> {
    let series: Value = serde_json::from_str(raw).map_err(|_json| Malformed)?;
    let well_formed = series.as_object().is_some_and(is_series);
    if well_formed { Ok(series) } else { Err(Malformed) }
}

fn is_series(series: &Map<String, Value>) -> bool {
    let labelled = series
        .get("metric")
        .and_then(Value::as_object)
        .is_some_and(|labels| labels.values().all(Value::is_string));
    let one = |key| series.get(key).is_none_or(is_sample);
    let many = |key| {
        let samples = series.get(key).map(|v| v.as_array().map(Vec::as_slice));
        samples.is_none_or(|s| s.is_some_and(|s| s.iter().all(is_sample)))
    };
    labelled && one("value") && one("histogram") && many("values") && many("histograms")
}

/// Whether this is a pair of a timestamp and what was measured.
pub(crate) fn is_sample(sample: &Value) -> bool {
    matches!(sample.as_array().map(Vec::as_slice), Some([Value::Number(_), _value]))
}

#[cfg(test)]
mod tests;

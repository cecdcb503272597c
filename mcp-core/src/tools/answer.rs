//! Builds the structured answer of a query, and its text.

use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::{
    error::ToolError,
    notes::Notes,
    shape::{Bounds, Shaped, is_sample, json_bytes, shape},
    target::Target,
    text::{self, Lines},
};
use crate::{
    backend::{Answer, QueryData},
    call::{Answered, Truncation},
};

/// Room for what is not known before the series are taken: the text's heading, counts, flag, and,
/// in both forms of the answer, what was cut; and for the frame around both.
const CLOSING_BYTES_MAX: usize = 1024;

/// Part of an answer's size that the echoed query may have.
const QUERY_SHARE: usize = 8;

/// What a tool answers.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) structured: JsonObject,
    pub(crate) text: String,
    pub(crate) answered: Answered,
}

/// Starts a structured answer with what all tools tell.
pub(crate) fn opening(target: Target<'_>, notes: &Notes) -> JsonObject {
    let mut structured = JsonObject::new();
    let mut put = |name: &str, value: Value| drop(structured.insert(name.to_owned(), value));
    put("backend", target.backend.name().as_str().into());
    if let Some(org) = target.org {
        put("org_id", org.as_str().into());
    }
    notes.put(&mut structured);
    structured
}

/// How much of a result an answer may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) bytes_max: usize,
    pub(crate) series_max: Option<usize>,
}

/// What a call asked.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) query: &'a str,
    /// When, for a reader; empty when the call left it to the backend.
    pub(crate) when: String,
    /// When, as fields of the structured answer.
    pub(crate) times: Vec<(&'static str, String)>,
}

/// Builds the answer to a query.
pub(crate) fn build(
    target: Target<'_>,
    answer: &Answer<QueryData<'_>>,
    asked: &Asked<'_>,
    room: Room,
) -> Result<Output, ToolError> {
    let notes = Notes::fit(&answer.warnings, &answer.infos, room.bytes_max);
    let mut structured = opening(target, &notes);
    let mut put =
        |name: &str, value: String| drop(structured.insert(name.to_owned(), value.into()));
    put("query", text::fitted(asked.query, room.bytes_max / QUERY_SHARE));
    for (name, value) in &asked.times {
        put(name, value.clone());
    }
    let result_type = answer.data.result_type.as_str();
    put("result_type", result_type.to_owned());
    let mut text = String::with_capacity(512);
    let remarks = notes.text();
    let bytes_spent = object_bytes(&structured) + json_bytes(&remarks) + CLOSING_BYTES_MAX;
    let (answered, cut) = match result_type {
        "vector" | "matrix" => {
            let Room { bytes_max, series_max } = room;
            let mut lines = Lines::of_answer(bytes_max);
            let line = if result_type == "vector" { text::sample } else { text::digest };
            let tell = |series: &Value, room| lines.add(room, |text| line(text, series));
            let shaped =
                shape(&answer.data.result, Bounds { bytes_max, bytes_spent, series_max }, tell)
                    .map_err(|_malformed| target.unreadable("a series in it is malformed"))?;
            heading(&mut text, target, &shaped, &asked.when);
            lines.end(&mut text, shaped.series.len());
            let (answered, cut) = (shaped.answered(), shaped.cut_text());
            put_series(&mut structured, shaped, cut.as_deref());
            (answered, cut)
        }
        "scalar" | "string" => {
            let pair = single(answer)
                .ok_or_else(|| target.unreadable("its value is malformed or missing"))?;
            let (pair, cut) = cut_single(pair, room.bytes_max, bytes_spent);
            put_single(&mut text, target, result_type, &pair);
            structured.insert(result_type.to_owned(), pair);
            structured.insert("truncated".to_owned(), cut.is_some().into());
            if let Some(cut) = &cut {
                structured.insert("truncation".to_owned(), cut.as_str().into());
            }
            let truncation = cut.is_some().then_some(Truncation::Size);
            (Answered { rows: 1, rows_total: 1, truncation }, cut)
        }
        _other => return Err(target.unreadable("it is of an unknown type")),
    };
    text.push_str(&remarks);
    if let Some(cut) = cut {
        text::push(&mut text, format_args!("\n{cut}"));
    }
    Ok(Output { structured, text, answered })
}

fn put_series(structured: &mut JsonObject, shaped: Shaped, cut: Option<&str>) {
    let mut put = |name: &str, value: Value| drop(structured.insert(name.to_owned(), value));
    put("series_total", shaped.total.into());
    put("series_returned", shaped.series.len().into());
    put("truncated", cut.is_some().into());
    if let Some(cut) = cut {
        put("truncation", cut.into());
    }
    put("series", Value::Array(shaped.series));
}

fn heading(text: &mut String, target: Target<'_>, shaped: &Shaped, when: &str) {
    let name = target.backend.name();
    // Without a time of the caller's, the backend's clock said when: all samples tell the same.
    let first = shaped.series.first().filter(|_| when.is_empty());
    let sampled = first.and_then(|s| text::pair(s.get("value").or_else(|| s.get("histogram"))?));
    let stamped = sampled.map(|(at, _)| format!(" at {}", text::Stamp(at)));
    let when = stamped.as_deref().unwrap_or(when);
    match shaped.total {
        0 => text::push(text, format_args!("no series matched on backend `{name}`{when}")),
        1 => text::push(text, format_args!("1 series from backend `{name}`{when}")),
        total => text::push(text, format_args!("{total} series from backend `{name}`{when}")),
    }
}

/// A scalar or string: timestamp and value.
fn single(answer: &Answer<QueryData<'_>>) -> Option<Value> {
    let [at, value] = answer.data.result.kept.as_slice() else { return None };
    let read = |raw: &serde_json::value::RawValue| serde_json::from_str::<Value>(raw.get()).ok();
    let pair = json!([read(at)?, read(value)?]);
    (is_sample(&pair) && pair.get(1).is_some_and(Value::is_string)).then_some(pair)
}

/// Cuts a value that does not fit into both forms of the answer.
fn cut_single(pair: Value, bytes_max: usize, bytes_spent: usize) -> (Value, Option<String>) {
    let each_max = bytes_max.saturating_sub(bytes_spent) / 2;
    let value = pair.get(1).and_then(Value::as_str).unwrap_or_default();
    if json_bytes(value) <= each_max {
        return (pair, None);
    }
    let cut = format!(
        "cut: the value has {} bytes, and an answer holds at most {bytes_max}",
        value.len()
    );
    (json!([pair.get(0), text::fitted(value, each_max)]), Some(cut))
}

fn put_single(text: &mut String, target: Target<'_>, result_type: &str, pair: &Value) {
    let name = target.backend.name();
    text::push(text, format_args!("{result_type} from backend `{name}`"));
    if let Some((at, value)) = text::pair(pair) {
        let value = value.as_str().unwrap_or_default();
        text::push(text, format_args!(" at {}\n{value}", text::Stamp(at)));
    }
}

/// How many bytes `object` has as JSON.
pub(crate) fn object_bytes(object: &JsonObject) -> usize {
    object.iter().map(|(name, value)| name.len() + json_bytes(value) + 4).sum::<usize>() + 2
}

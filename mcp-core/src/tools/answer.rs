//! Builds the structured answer of a query, and its text.

use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::{
    error::ToolError,
    shape::{Bounds, Shaped, is_sample, json_bytes, shape},
    target::Target,
    text,
};
use crate::backend::{Answer, QueryData};

/// Room for the fields whose size is not known before the series are taken: counts, flag, and
/// what was cut.
const CLOSING_BYTES_MAX: usize = 512;

/// What a tool answers.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) structured: JsonObject,
    pub(crate) text: String,
}

/// Starts a structured answer with what all tools tell.
pub(crate) fn opening(target: Target<'_>, warnings: &[String], infos: &[String]) -> JsonObject {
    let mut structured = JsonObject::new();
    let mut put = |name: &str, value: Value| drop(structured.insert(name.to_owned(), value));
    put("backend", target.backend.name().as_str().into());
    if let Some(org) = target.org {
        put("org_id", org.as_str().into());
    }
    for (name, notes) in [("warnings", warnings), ("infos", infos)] {
        if !notes.is_empty() {
            put(name, notes.into());
        }
    }
    structured
}

/// How much of a result an answer may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) bytes_max: usize,
    pub(crate) series_max: Option<usize>,
}

/// Builds the answer to a query. `asked` are the fields that tell what was asked, and `when` says
/// it to a reader.
pub(crate) fn build(
    target: Target<'_>,
    answer: &Answer<QueryData<'_>>,
    (asked, when): (JsonObject, &str),
    room: Room,
) -> Result<Output, ToolError> {
    let mut structured = opening(target, &answer.warnings, &answer.infos);
    structured.extend(asked);
    let result_type = answer.data.result_type.as_str();
    structured.insert("result_type".to_owned(), result_type.into());
    let mut text = String::with_capacity(512);
    let mut cut = None;
    match result_type {
        "vector" | "matrix" => {
            let bounds = Bounds {
                bytes_max: room.bytes_max,
                bytes_spent: object_bytes(&structured) + CLOSING_BYTES_MAX,
                series_max: room.series_max,
            };
            let shaped = shape(&answer.data.result, bounds)
                .map_err(|_malformed| target.unreadable("a series in it is malformed"))?;
            let line = if result_type == "vector" { text::sample } else { text::digest };
            heading(&mut text, target, &shaped, when);
            text::series(&mut text, &shaped, line);
            cut = shaped.cut_text();
            put_series(&mut structured, shaped, cut.as_deref());
        }
        "scalar" | "string" => {
            let pair = single(answer)
                .ok_or_else(|| target.unreadable("its value is malformed or missing"))?;
            put_single(&mut text, target, result_type, &pair);
            structured.insert(result_type.to_owned(), pair);
            structured.insert("truncated".to_owned(), false.into());
        }
        _other => return Err(target.unreadable("it is of an unknown type")),
    }
    text::remarks(&mut text, &answer.warnings, &answer.infos, cut.as_deref());
    Ok(Output { structured, text })
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

//! `prometheus_list_metrics`: the names of the metrics that a backend holds.

use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::{
    answer::{Output, object_bytes, opening},
    arguments::{Argument, Arguments},
    error::{ArgumentError, ToolError},
    filter::Filter,
    line::Line,
    notes::Notes,
    query::TIMEOUT,
    reach::Reach,
    schema::{Spec, common_output, count, object, texts},
    shape::json_bytes,
    target::Target,
    text::{self, Lines},
    time::{Moment, Span},
};
use crate::{
    backend::{Answer, Endpoint, Names, Text},
    call::{Answered, Truncation},
    config::ToolLimits,
};

/// Names on a page when the caller does not say how many.
const PAGE_DEFAULT: usize = 100;

/// How far back names are looked for when the caller does not say: what was scraped within the
/// hour exists now, and what is older is mostly gone.
const LOOKBACK: Span = Span::from_ms(3_600_000);

/// Room for what stands beside the names: counts, the text's first and last lines, and the frame
/// around both forms of the answer.
const CLOSING_BYTES_MAX: usize = 1024;

pub(crate) const SPEC: Spec = Spec {
    name: "prometheus_list_metrics",
    title: "List metric names",
    description: "Lists the names of metrics that had samples in a window of time (by default the \
        last hour), in alphabetical order and in pages. Use it first, to find out what can be \
        queried. `query` is a glob for the whole name, `regex` matches anywhere in the name; with \
        both, a name must match both. When `has_more` is true, repeat the call with `offset` set \
        to `next_offset`.",
    arguments: &[
        Argument::text("query", "Glob for the whole name, for example `redis*` or `*cpu*`."),
        Argument::text(
            "regex",
            "Regular expression (RE2 syntax) that matches anywhere in the name; anchor it with ^ \
             and $. For example `^node_.*_total$`.",
        ),
        Argument::lenient_count(
            "limit",
            "Most names on a page. Defaults to 100, as does a number below 1; the server has a \
             maximum and tells the limit it used.",
        ),
        Argument::lenient_count(
            "offset",
            "Names to skip. Defaults to 0, as does a negative number.",
        ),
        Argument::text(
            "start",
            "Start of the window: RFC 3339, Unix seconds, or relative (now-1d). Defaults to one \
             hour before `end`.",
        ),
        Argument::text("end", "End of the window, in the same forms. Defaults to now."),
        TIMEOUT,
        Argument::BACKEND,
        Argument::ORG_ID,
    ],
    output,
};

fn output() -> JsonObject {
    let mut properties = JsonObject::new();
    common_output(&mut properties);
    let mut add = |name: &str, schema: Value| drop(properties.insert(name.to_owned(), schema));
    add("metrics", texts("Metric names on this page, in alphabetical order."));
    add("total", count("Names that match, on all pages."));
    add("returned", count("Names on this page."));
    add("limit", count("Most names on a page that was used."));
    add("offset", count("Names that were skipped."));
    add("has_more", json!({"type": "boolean", "description": "Whether there are more pages."}));
    add("skipped", count("Names of this page that are too long for any answer; only if any."));
    add("next_offset", count("Offset of the next page; only when there is one."));
    let required = ["backend", "metrics", "total", "returned", "limit", "offset", "has_more"];
    object(properties, required.into_iter())
}

pub(crate) async fn run(
    reach: Reach<'_>,
    limits: &ToolLimits,
    given: JsonObject,
    line: Line<'_>,
) -> Result<Output, ToolError> {
    let arguments = Arguments::accept(given, SPEC.arguments)?;
    let filter = Filter::read(&arguments)?;
    let page_max = usize::try_from(limits.page_max).unwrap_or(usize::MAX).max(1);
    let limit = arguments.lenient_count("limit", 1)?.unwrap_or(PAGE_DEFAULT).min(page_max);
    let offset = arguments.lenient_count("offset", 0)?.unwrap_or(0);
    let (start, end) = window(&arguments, Moment::now())?;
    line.note_times(end.since(start).map(Span::duration).unwrap_or_default(), None);
    let target = Target::read(reach, &arguments)?;

    let (start, end) = (start.unix_seconds(), end.unix_seconds());
    let parameters = [("start", Some(start.as_str())), ("end", Some(end.as_str()))];
    let question = target.question(Endpoint::MetricNames, &parameters);
    let fetched = line.ask(target, question).await?;
    let answer = fetched.read::<Names<'_>>().map_err(|fault| target.failed(fault))?;
    Ok(page(target, answer, &filter, &Page { limit, offset, bytes_max: limits.answer_bytes_max }))
}

fn window(arguments: &Arguments, now: Moment) -> Result<(Moment, Moment), ArgumentError> {
    let end = arguments.moment("end", now)?.unwrap_or(now);
    let start = arguments.moment("start", now)?.unwrap_or_else(|| end.minus(LOOKBACK));
    if end.since(start).is_none() {
        let (start, end) = (start.to_string(), end.to_string());
        return Err(ArgumentError::StartAfterEnd { start, end });
    }
    Ok((start, end))
}

/// Which part of the names to answer with.
#[derive(Debug, Clone, Copy)]
struct Page {
    limit: usize,
    offset: usize,
    bytes_max: usize,
}

fn page(target: Target<'_>, answer: Answer<Names<'_>>, filter: &Filter, page: &Page) -> Output {
    let mut names = answer.data.0;
    names.retain(|name| filter.matches(name.as_str()));
    // Backends sort, but federating ones are not bound to, and pages need one order.
    names.sort_unstable();
    names.dedup();
    let notes = Notes::fit(&answer.warnings, &answer.infos, page.bytes_max);
    let mut structured = opening(target, &notes);
    let remarks = notes.text();
    let spent = object_bytes(&structured) + json_bytes(&remarks) + CLOSING_BYTES_MAX;
    let room = page.bytes_max.saturating_sub(spent);
    let mut lines = Lines::of_answer(page.bytes_max);
    let taken = take(&names, page, room, &mut lines);

    let (total, returned) = (names.len(), taken.metrics.len());
    let next = page.offset.saturating_add(returned + taken.skipped);
    let more = next < total;
    let mut text = heading(target, total, page, &taken);
    lines.end(&mut text, returned);
    if more {
        text::push(&mut text, format_args!("\n… more with offset={next}"));
    }
    text.push_str(&remarks);

    let mut put = |name: &str, value: Value| drop(structured.insert(name.to_owned(), value));
    put("total", total.into());
    put("returned", returned.into());
    put("limit", page.limit.into());
    put("offset", page.offset.into());
    put("has_more", more.into());
    if taken.skipped > 0 {
        put("skipped", taken.skipped.into());
    }
    if more {
        put("next_offset", next.into());
    }
    put("metrics", Value::Array(taken.metrics));
    // A page that is not full has no room for more.
    let full = returned + taken.skipped >= page.limit;
    let cut = if full { Truncation::Page } else { Truncation::Size };
    let answered = Answered { rows: returned, rows_total: total, truncation: more.then_some(cut) };
    Output { structured, text, answered }
}

/// The names of a page.
#[derive(Debug)]
struct Taken {
    metrics: Vec<Value>,
    /// Names that fit into no answer.
    skipped: usize,
}

/// Takes names until the page or the room is full, at least one: a name that would not even fit
/// alone is skipped, so that whoever turns the pages gets on.
fn take(names: &[Text<'_>], page: &Page, room: usize, lines: &mut Lines) -> Taken {
    let mut left = room;
    let mut taken = Taken { metrics: Vec::new(), skipped: 0 };
    for name in names.iter().skip(page.offset).take(page.limit) {
        let name = name.as_str();
        let bytes = json_bytes(name) + 1;
        if bytes > room {
            taken.skipped += 1;
            continue;
        }
        let Some(rest) = left.checked_sub(bytes) else { break };
        left = rest.saturating_sub(lines.add(rest, |text| text.push_str(name)));
        taken.metrics.push(name.into());
    }
    taken
}

fn heading(target: Target<'_>, total: usize, page: &Page, taken: &Taken) -> String {
    let backend = target.backend.name();
    let count = taken.metrics.len() + taken.skipped;
    let (first, last) = (page.offset.saturating_add(1), page.offset.saturating_add(count));
    let mut text = match (total, count) {
        (0, _) => format!("no metric name matches on backend `{backend}`"),
        (_, 0) => format!("no metric name at offset {}; {total} match in all", page.offset),
        _some => format!("metric names {first} to {last} of {total} on backend `{backend}`"),
    };
    if taken.skipped > 0 {
        let skipped = taken.skipped;
        text::push(&mut text, format_args!("; {skipped} of them too long to show, and skipped"));
    }
    text
}

#[cfg(test)]
mod tests;

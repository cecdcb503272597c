//! `prometheus_query`: the value of an expression at one point in time.

use rmcp::model::JsonObject;

use super::{
    answer::{Asked, Output, Room, build},
    arguments::{Argument, Arguments},
    error::ToolError,
    line::Line,
    reach::Reach,
    schema::{Spec, common_output, object, series_output, text},
    target::Target,
    time::Moment,
};
use crate::{
    backend::{Endpoint, QueryData},
    config::ToolLimits,
};

pub(crate) const SPEC: Spec = Spec {
    name: "prometheus_query",
    title: "PromQL instant query",
    description: "Evaluates a PromQL expression at one point in time and returns the current (or \
        then) value of each series. Use it for \"what is X now\", totals, top lists \
        (`topk(10, …)`) and rates over a window (`rate(x[5m])`). For how something developed over \
        time use prometheus_range_query. Aggregate (`sum by (label) (…)`) when many series would \
        match: large answers are cut at a whole series, and say so.",
    arguments: &[
        Argument::text("query", "PromQL expression, for example `sum by (job) (up)`.").required(),
        Argument::text(
            "time",
            "Evaluation time: RFC 3339 (2026-01-31T12:00:00Z), Unix seconds, or relative (now, \
             now-1h, -30m). Defaults to now.",
        ),
        Argument::count("limit", 1, "Most series to return. Defaults to as many as fit."),
        TIMEOUT,
        Argument::BACKEND,
        Argument::ORG_ID,
    ],
    output,
};

pub(crate) const TIMEOUT: Argument = Argument::text(
    "timeout",
    "Longest time to wait, for example 10s. The backend's own limit holds if it is shorter.",
);

fn output() -> JsonObject {
    let mut properties = JsonObject::new();
    common_output(&mut properties);
    series_output(&mut properties);
    let time = text("The evaluation time that was asked for, RFC 3339 in UTC.");
    properties.insert("time".to_owned(), time);
    object(properties, ["backend", "query", "result_type", "truncated"].into_iter())
}

pub(crate) async fn run(
    reach: Reach<'_>,
    limits: &ToolLimits,
    given: JsonObject,
    line: Line<'_>,
) -> Result<Output, ToolError> {
    let arguments = Arguments::accept(given, SPEC.arguments)?;
    let query = arguments.required_text("query", limits.query_bytes_max)?;
    line.note_query(query);
    let time = arguments.moment("time", Moment::now())?;
    let series_max = arguments.count("limit", 1)?;
    let target = Target::read(reach, &arguments)?;

    let (at, timeout) = (time.map(Moment::unix_seconds), target.backend_timeout_s());
    let parameters =
        [("query", Some(query)), ("time", at.as_deref()), ("timeout", Some(timeout.as_str()))];
    let question = target.question(Endpoint::Query, &parameters);
    let fetched = line.ask(target, question).await?;
    let answer = fetched.read::<QueryData<'_>>().map_err(|fault| target.failed(fault))?;

    let time = time.map(|time| time.to_string());
    let when = time.as_ref().map(|time| format!(" at {time}")).unwrap_or_default();
    let times = time.into_iter().map(|time| ("time", time)).collect();
    let room = Room { bytes_max: limits.answer_bytes_max, series_max };
    build(target, &answer, &Asked { query, when, times }, room)
}

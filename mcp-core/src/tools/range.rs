//! `prometheus_range_query`: how an expression developed over a range of time.

use rmcp::model::JsonObject;

use super::{
    answer::{Asked, Output, Room, build},
    arguments::{Argument, Arguments},
    error::{ArgumentError, ToolError},
    line::Line,
    query::TIMEOUT,
    reach::Reach,
    schema::{Spec, common_output, object, series_output, text},
    target::Target,
    time::{Moment, RANGE_STEPS_MAX, Span},
};
use crate::{
    backend::{Endpoint, QueryData},
    config::ToolLimits,
};

pub(crate) const SPEC: Spec = Spec {
    name: "prometheus_range_query",
    title: "PromQL range query",
    description: "Evaluates a PromQL expression at every step between two points in time and \
        returns the points of each series. Use it for trends, comparisons and finding when \
        something changed; for one value use prometheus_query. Leave `step` out unless you need a \
        particular one: a step that gives a readable number of points is picked. Counters need \
        rate() or increase(). Large answers are cut at a whole series, and say so.",
    arguments: &[
        Argument::text("query", "PromQL expression, for example `rate(http_requests_total[5m])`.")
            .required(),
        Argument::text(
            "start",
            "Start of the range: RFC 3339 (2026-01-31T12:00:00Z), Unix seconds, or relative \
             (now-1h, -30m).",
        )
        .required(),
        Argument::text("end", "End of the range, in the same forms. Defaults to now."),
        Argument::text(
            "step",
            "Time between points, for example 30s, 5m, 1h30m or 1d; a bare number is seconds. By \
             default one is picked that suits the range.",
        ),
        Argument::count("limit", 1, "Most series to return. Defaults to as many as fit."),
        TIMEOUT,
        Argument::BACKEND,
        Argument::ORG_ID,
    ],
    output,
};

fn output() -> JsonObject {
    let mut properties = JsonObject::new();
    common_output(&mut properties);
    series_output(&mut properties);
    for (name, description) in [
        ("start", "Start of the range, RFC 3339 in UTC."),
        ("end", "End of the range, RFC 3339 in UTC."),
        ("step", "Time between points."),
    ] {
        properties.insert(name.to_owned(), text(description));
    }
    let required = ["backend", "query", "start", "end", "step", "result_type", "truncated"];
    object(properties, required.into_iter())
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
    let range = Range::read(&arguments, Moment::now(), limits.points_default_max)?;
    line.note_times(range.length().duration(), Some(range.step.duration()));
    let series_max = arguments.count("limit", 1)?;
    let target = Target::read(reach, &arguments)?;

    let question = target.question(
        Endpoint::QueryRange,
        &[
            ("query", Some(query)),
            ("start", Some(&range.start.unix_seconds())),
            ("end", Some(&range.end.unix_seconds())),
            ("step", Some(&range.step.seconds())),
            ("timeout", Some(&target.backend_timeout_s())),
        ],
    );
    let fetched = line.ask(target, question).await?;
    let answer = fetched.read::<QueryData<'_>>().map_err(|fault| target.failed(fault))?;

    let Range { start, end, step } = range;
    let times =
        [("start", start.to_string()), ("end", end.to_string()), ("step", step.to_string())];
    let when = format!(", {start} to {end}, step {step}");
    let room = Room { bytes_max: limits.answer_bytes_max, series_max };
    build(target, &answer, &Asked { query, when, times: times.into() }, room)
}

/// A range of time whose number of points a backend accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    start: Moment,
    end: Moment,
    step: Span,
}

impl Range {
    fn length(&self) -> Span {
        self.end.since(self.start).unwrap_or(Span::from_ms(0))
    }

    fn read(
        arguments: &Arguments,
        now: Moment,
        points_default_max: u32,
    ) -> Result<Self, ArgumentError> {
        let missing = ArgumentError::Missing { name: "start", wants: "a time such as `now-1h`" };
        let start = arguments.moment("start", now)?.ok_or(missing)?;
        let end = arguments.moment("end", now)?.unwrap_or(now);
        let length = end.since(start).ok_or_else(|| ArgumentError::StartAfterEnd {
            start: start.to_string(),
            end: end.to_string(),
        })?;
        let step = match arguments.span("step")? {
            None => length.nice_step(i64::from(points_default_max)),
            Some(step) if length.steps(step) <= RANGE_STEPS_MAX => step,
            Some(step) => {
                return Err(ArgumentError::TooManyPoints {
                    step: step.to_string(),
                    points: length.steps(step).saturating_add(1),
                    points_max: RANGE_STEPS_MAX,
                    least: length.nice_step(RANGE_STEPS_MAX).to_string(),
                });
            }
        };
        Ok(Self { start, end, step })
    }
}

#[cfg(test)]
mod tests;

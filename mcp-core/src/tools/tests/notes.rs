//! What a call tells the record.

use std::time::Duration;

use super::*;
use crate::{
    call::{Noted, Truncation},
    promql::Form,
};

const RANGE: &str = "prometheus_range_query";
const LIST: &str = "prometheus_list_metrics";

/// Calls a tool and shows what was noted.
async fn noted(
    metrics: &Metrics,
    query_notes: QueryNotes,
    tool: &'static str,
    given: Value,
    see: impl FnOnce(Noted<'_>),
) {
    let Value::Object(given) = given else { panic!("not an object") };
    let (mut context, call) = (context(), Call::silent(Caller::anyone(), query_notes));
    context.extensions.insert(call.clone());
    let request = CallToolRequestParams::new(tool).with_arguments(given);
    metrics.call_tool(request, context).await.unwrap();
    see(call.notes());
}

fn series(count: usize) -> String {
    let one = r#"{"metric":{"job":"backends-canary"},"value":[0,"1"]}"#;
    format!(r#"{{"resultType":"vector","result":[{}]}}"#, vec![one; count].join(","))
}

#[tokio::test]
async fn a_query_tells_target_times_and_rows() {
    let fake = Fake::holding(&series(3)).await;
    let mut config = fake.config("prom");
    config.org_id = Some(OrgId::parse("team-a").unwrap());
    let metrics = metrics(vec![config]);
    let given = json!({"query": r#"up{job="canary"}"#, "limit": 2});
    noted(&metrics, QueryNotes::Off, QUERY, given, |noted| {
        assert_eq!((noted.backend, noted.tenant), (Some("prom"), Some("team-a")));
        assert_eq!(noted.outcome, Some(ToolOutcome::Ok));
        assert_eq!((noted.upstream_status, noted.retries), (Some(200), Some(0)));
        let took = noted.upstream_time.unwrap();
        assert!(took > Duration::ZERO && took < Duration::from_secs(30), "{took:?}");
        assert_eq!((noted.rows, noted.rows_total), (Some(2), Some(3)));
        assert_eq!(noted.truncation, Some(Truncation::Limit));
        assert_eq!((noted.range, noted.step), (None, None));
        assert_eq!((noted.fingerprint, noted.query), (None, None), "nobody wanted them");
        assert!(noted.shape.is_none() && noted.query_form.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_range_query_tells_range_and_step_in_its_own_right() {
    let fake = Fake::holding(r#"{"resultType":"matrix","result":[]}"#).await;
    let given = json!({"query": "up", "start": "0", "end": "3600", "step": "15s"});
    noted(&metrics(vec![fake.config("prom")]), QueryNotes::Shape, RANGE, given, |noted| {
        let times = (noted.range.unwrap().as_secs(), noted.step.unwrap().as_secs());
        assert_eq!(times, (3600, 15));
        assert_eq!((noted.rows, noted.rows_total, noted.truncation), (Some(0), Some(0), None));
        assert_eq!(noted.fingerprint, Some("5c705e287d6c2e16"));
        assert_eq!(noted.tenant, None);
    })
    .await;
}

#[tokio::test]
async fn a_list_tells_its_window_and_its_pages() {
    let fake = Fake::holding(r#"["a","b","c"]"#).await;
    let metrics = metrics(vec![fake.config("prom")]);
    for (limit, rows, truncation) in [(2, 2, Some(Truncation::Page)), (3, 3, None)] {
        let given = json!({"query": "*", "limit": limit, "start": "0", "end": "60"});
        noted(&metrics, QueryNotes::Clear, LIST, given, |noted| {
            assert_eq!((noted.rows, noted.rows_total), (Some(rows), Some(3)));
            assert_eq!(noted.truncation, truncation);
            assert_eq!((noted.range, noted.step), (Some(Duration::from_mins(1)), None));
            assert_eq!((noted.query, noted.fingerprint), (None, None), "a glob is no PromQL");
        })
        .await;
    }
}

#[tokio::test]
async fn what_does_not_fit_is_told_as_size() {
    let fake = Fake::holding(&series(200)).await;
    let limits = ToolLimits { answer_bytes_max: 4096, ..ToolLimits::default() };
    let metrics = metrics_with(vec![fake.config("prom")], limits);
    noted(&metrics, QueryNotes::Off, QUERY, json!({"query": "up"}), |noted| {
        assert_eq!(noted.truncation, Some(Truncation::Size));
        assert!(noted.rows.unwrap() < 200 && noted.rows_total == Some(200), "{noted:?}");
    })
    .await;
    let long = format!(r#"{{"resultType":"string","result":[0,"{}"]}}"#, "x".repeat(10_000));
    let fake = Fake::holding(&long).await;
    let metrics = metrics_with(vec![fake.config("prom")], limits);
    noted(&metrics, QueryNotes::Off, QUERY, json!({"query": "'x'"}), |noted| {
        let told = (noted.rows, noted.rows_total, noted.truncation);
        assert_eq!(told, (Some(1), Some(1), Some(Truncation::Size)));
    })
    .await;
}

#[tokio::test]
async fn queries_are_told_as_far_as_it_is_wanted() {
    let fake = Fake::holding(&series(0)).await;
    let metrics = metrics(vec![fake.config("prom")]);
    let query = r#"sum by (job) (up{job="canary"})"#;
    let masked = r#"sum by (job) (up{job="***"})"#;
    for (query_notes, shown) in [
        (QueryNotes::Shape, None),
        (QueryNotes::Masked, Some(masked)),
        (QueryNotes::Clear, Some(query)),
    ] {
        noted(&metrics, query_notes, QUERY, json!({ "query": query }), |noted| {
            assert_eq!(noted.query, shown);
            assert_eq!(noted.query_form, Some(Form::Parsed));
            assert_eq!(noted.fingerprint.unwrap().len(), 16);
            let shape = noted.shape.unwrap();
            assert_eq!(&*shape.metrics, ["up".into()]);
            assert_eq!(&*shape.functions, ["sum".into()]);
            assert_eq!(&*shape.labels, ["job".into()]);
        })
        .await;
    }
    let given = json!({ "query": "up{job='canary'" });
    noted(&metrics, QueryNotes::Masked, QUERY, given, |noted| {
        assert_eq!((noted.query_form, noted.query), (Some(Form::Lexical), None));
        assert!(noted.fingerprint.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_refused_call_tells_what_it_asked_and_of_nobody_that_was_not() {
    let metrics = metrics(vec![config("prom", "http://127.0.0.1:1")]);
    let given = json!({"query": "up", "backend": "other"});
    noted(&metrics, QueryNotes::Clear, QUERY, given, |noted| {
        assert_eq!((noted.backend, noted.tenant), (None, None));
        assert_eq!(noted.outcome, Some(ToolOutcome::CallerError));
        assert_eq!(noted.query, Some("up"));
        let asked = (noted.upstream_status, noted.upstream_time, noted.retries);
        assert_eq!(asked, (None, None, None));
        assert_eq!((noted.rows, noted.truncation), (None, None));
    })
    .await;
    let limits = ToolLimits { query_bytes_max: 3, ..ToolLimits::default() };
    let metrics = metrics_with(vec![config("prom", "http://127.0.0.1:1")], limits);
    let given = json!({"query": "up{}"});
    noted(&metrics, QueryNotes::Clear, QUERY, given, |noted| {
        assert_eq!((noted.query, noted.fingerprint), (None, None), "too long to be read");
    })
    .await;
}

#[tokio::test]
async fn another_try_is_counted_and_a_failure_has_its_status() {
    let body = r#"{"status":"error","errorType":"internal","error":"canary-words"}"#;
    let failing = response("500 Internal Server Error", "", body.as_bytes());
    let fake = Fake::start(move |request| {
        let refusal = || response("405 Method Not Allowed", "", b"");
        let posted = request.starts_with("POST");
        Reaction::Send(if posted { refusal() } else { failing.clone() })
    })
    .await;
    let metrics_of = |config| metrics(vec![config]);
    let metrics = metrics_of(fake.config("prom"));
    noted(&metrics, QueryNotes::Clear, QUERY, json!({"query": "up"}), |noted| {
        assert_eq!((noted.upstream_status, noted.retries), (Some(500), Some(1)));
        assert_eq!(noted.outcome, Some(ToolOutcome::BackendError));
        assert!(!format!("{noted:?}").contains("canary"), "{noted:?}");
    })
    .await;
    let metrics = metrics_of(config("prom", "http://127.0.0.1:1"));
    noted(&metrics, QueryNotes::Off, QUERY, json!({"query": "up"}), |noted| {
        assert_eq!((noted.upstream_status, noted.retries), (None, Some(1)), "connecting anew");
        assert_eq!(noted.backend, Some("prom"));
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_given_up_tells_how_long_it_waited() {
    let fake = Fake::start(|_| Reaction::Stall).await;
    let metrics = metrics(vec![fake.config("prom")]);
    let (mut context, call) = (context(), Call::silent(Caller::anyone(), QueryNotes::Off));
    context.extensions.insert(call.clone());
    let given = json!({"query": "up"}).as_object().cloned().unwrap();
    let request = CallToolRequestParams::new(QUERY).with_arguments(given);
    let waiting = metrics.call_tool(request, context);
    tokio::time::timeout(Duration::from_millis(30), waiting).await.unwrap_err();
    let noted = call.notes();
    assert!(noted.upstream_time.unwrap() >= Duration::from_millis(10), "{noted:?}");
    assert_eq!((noted.upstream_status, noted.outcome, noted.rows), (None, None, None));
}

#[tokio::test]
async fn no_answer_and_no_query_comes_into_a_note_or_its_debug_form() {
    let fake = Fake::holding(&series(1)).await;
    let metrics = metrics(vec![fake.config("prom")]);
    let (mut context, call) = (context(), Call::silent(Caller::anyone(), QueryNotes::Masked));
    context.extensions.insert(call.clone());
    let given = json!({"query": r#"up{job="canary"}"#}).as_object().cloned().unwrap();
    let request = CallToolRequestParams::new(QUERY).with_arguments(given);
    metrics.call_tool(request, context).await.unwrap();
    let (notes, debug) = (format!("{:?}", call.notes()), format!("{call:?}"));
    assert!(!notes.contains("canary") && !debug.contains("canary"), "{notes} {debug}");
    assert!(debug.contains("prom"), "{debug}");
}

use parking_lot::Mutex;
use rmcp::{
    Peer,
    model::{
        CallToolRequestParams, ClientJsonRpcMessage, ErrorCode, RequestId, ServerJsonRpcMessage,
    },
    service::serve_directly,
    transport::Transport,
};
use serde_json::json;

use super::*;
use crate::{
    access::Caller,
    backend::fake::{Fake, Reaction, config, response},
    call::{Call, QueryNotes},
    config::{BackendAuth, BackendConfig, BackendName, OrgId},
    observe::{BackendOutcome, Unobserved},
    secret::Secret,
};

/// A transport over which nothing comes or goes.
struct Never;

impl Transport<RoleServer> for Never {
    type Error = std::convert::Infallible;
    fn send(
        &mut self,
        _message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        std::future::ready(Ok(()))
    }
    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        std::future::pending().await
    }
    async fn close(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

struct Nothing;

impl ServerHandler for Nothing {}

/// The context of a call whose client cannot be reached.
pub(super) fn context() -> RequestContext<RoleServer> {
    let peer: Peer<RoleServer> = serve_directly(Nothing, Never, None).peer().clone();
    RequestContext::new(RequestId::Number(1), peer)
}

pub(super) fn metrics(configs: Vec<BackendConfig>) -> Metrics {
    metrics_with(configs, ToolLimits::default())
}

pub(super) fn metrics_with(configs: Vec<BackendConfig>, limits: ToolLimits) -> Metrics {
    let backends = Backends::new(configs, Arc::new(Unobserved)).unwrap();
    Metrics::new("promgate".to_owned(), "1".to_owned(), backends, limits, Arc::new(Unobserved))
}

pub(super) async fn call(metrics: &Metrics, tool: &'static str, given: Value) -> CallToolResult {
    let Value::Object(given) = given else { panic!("not an object") };
    let request = CallToolRequestParams::new(tool).with_arguments(given);
    let answer = metrics.call_tool(request, context()).await.unwrap();
    let CallToolResponse::Complete(result) = answer else { panic!("{answer:?}") };
    validate(metrics, tool, &result);
    result
}

pub(super) fn text_of(result: &CallToolResult) -> String {
    assert_eq!(result.content.len(), 1);
    result.content[0].as_text().unwrap().text.clone()
}

/// The size of an answer: the result, text and structure, as it is sent.
pub(super) fn bytes_of(result: &CallToolResult) -> usize {
    serde_json::to_string(result).unwrap().len()
}

/// Whether a success has structured content that its schema describes, and an error has none.
fn validate(metrics: &Metrics, tool: &str, result: &CallToolResult) {
    if result.is_error == Some(true) {
        assert_eq!(result.structured_content, None);
        return;
    }
    let schema = metrics.get_tool(tool).unwrap().output_schema.unwrap();
    let structured = result.structured_content.as_ref().unwrap();
    let known = schema["properties"].as_object().unwrap();
    for name in structured.as_object().unwrap().keys() {
        assert!(known.contains_key(name), "the schema knows no {name}");
    }
    conforms(&Value::Object(schema.as_ref().clone()), structured);
}

/// A validator for the few words of JSON Schema that our schemas use. Another word is a failure.
fn conforms(schema: &Value, value: &Value) {
    for (word, rule) in schema.as_object().unwrap() {
        let good = match word.as_str() {
            "description" => true,
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_u64(),
                other => panic!("type {other}"),
            },
            "properties" => {
                let rules = rule.as_object().unwrap();
                let present = rules.iter().filter_map(|(n, rule)| Some((rule, value.get(n)?)));
                present.for_each(|(rule, value)| conforms(rule, value));
                true
            }
            "additionalProperties" => {
                value.as_object().unwrap().values().for_each(|value| conforms(rule, value));
                true
            }
            "required" => {
                rule.as_array().unwrap().iter().all(|n| value.get(n.as_str().unwrap()).is_some())
            }
            "items" => {
                value.as_array().unwrap().iter().for_each(|item| conforms(rule, item));
                true
            }
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_u64() >= rule.as_u64(),
            "minItems" => length(value) >= rule.as_u64().unwrap(),
            "maxItems" => length(value) <= rule.as_u64().unwrap(),
            other => panic!("unknown word {other}"),
        };
        assert!(good, "{word} {rule} of {value}");
    }
}

fn length(array: &Value) -> u64 {
    array.as_array().unwrap().len().try_into().unwrap()
}

const QUERY: &str = "prometheus_query";
const RANGE: &str = "prometheus_range_query";

const VECTOR: &str = r#"{"resultType":"vector","result":[
    {"metric":{"__name__":"up","job":"a"},"value":[1704067200.123,"1"]},
    {"metric":{"__name__":"up","job":"b"},"value":[1704067200.123,"NaN"]}]}"#;

#[tokio::test]
async fn a_vector_is_answered_in_structure_and_as_short_text() {
    let fake = Fake::holding(VECTOR).await;
    let metrics = metrics(vec![fake.config("prom")]);
    let answer =
        call(&metrics, QUERY, json!({"query": "up", "time": "2024-01-01T00:00:00Z"})).await;
    assert_eq!(
        answer.structured_content.clone().unwrap(),
        json!({"backend": "prom", "query": "up", "time": "2024-01-01T00:00:00Z",
            "result_type": "vector", "series_total": 2, "series_returned": 2, "truncated": false,
            "series": [
                {"metric": {"__name__": "up", "job": "a"}, "value": [1_704_067_200.123, "1"]},
                {"metric": {"__name__": "up", "job": "b"}, "value": [1_704_067_200.123, "NaN"]}]})
    );
    assert_eq!(
        text_of(&answer),
        "2 series from backend `prom` at 2024-01-01T00:00:00Z\nup{job=\"a\"} 1\nup{job=\"b\"} NaN"
    );
    let request = &fake.seen()[0];
    let form = request.split("\r\n\r\n").nth(1).unwrap();
    assert_eq!(form, "query=up&time=1704067200.000&timeout=59.500");
}

#[tokio::test]
async fn a_query_without_a_time_leaves_it_to_the_backends_clock() {
    let fake = Fake::holding(VECTOR).await;
    let answer = call(&metrics(vec![fake.config("prom")]), QUERY, json!({"query": "up"})).await;
    assert!(
        text_of(&answer).starts_with("2 series from backend `prom` at 2024-01-01T00:00:00.123Z")
    );
    assert!(!fake.seen()[0].contains("time=1"), "{}", fake.seen()[0]);
}

#[tokio::test]
async fn scalars_and_strings_come_through_exact() {
    for (kind, value) in
        [("scalar", "9007199254740993"), ("string", "a \"b\"\n"), ("scalar", "+Inf")]
    {
        let pair = json!([1_704_067_200, value]);
        let fake = Fake::holding(&json!({"resultType": kind, "result": pair}).to_string()).await;
        let answer = call(&metrics(vec![fake.config("prom")]), QUERY, json!({"query": "1"})).await;
        assert_eq!(answer.structured_content.clone().unwrap()[kind], pair);
        assert_eq!(
            text_of(&answer),
            format!("{kind} from backend `prom` at 2024-01-01T00:00:00Z\n{value}")
        );
    }
}

#[tokio::test]
async fn a_range_is_digested() {
    let data = r#"{"resultType":"matrix","result":[{"metric":{"__name__":"x"},
        "values":[[1704063600,"1"],[1704067200,"3"]]}]}"#;
    let fake = Fake::holding(data).await;
    let given = json!({"query": "x", "start": "1704063600", "end": "2024-01-01T00:00:00Z",
        "step": "1h"});
    let answer = call(&metrics(vec![fake.config("prom")]), RANGE, given).await;
    assert!(text_of(&answer).starts_with(
        "1 series from backend `prom`, 2023-12-31T23:00:00Z to 2024-01-01T00:00:00Z, step 1h\n\
         x: 2 points, first 1 at 2023-12-31T23:00:00Z"
    ));
    let form = fake.seen()[0].split("\r\n\r\n").nth(1).unwrap().to_owned();
    assert_eq!(
        form,
        "query=x&start=1704063600.000&end=1704067200.000&step=3600.000&timeout=59.500"
    );
}

#[tokio::test]
async fn warnings_and_infos_are_in_both() {
    let body = r#"{"status":"success","warnings":["careful"],"infos":["maybe"],
        "data":{"resultType":"vector","result":[]}}"#;
    let fake = Fake::answering("200 OK", "application/json", body).await;
    let answer = call(&metrics(vec![fake.config("prom")]), QUERY, json!({"query": "up"})).await;
    let structured = answer.structured_content.clone().unwrap();
    assert_eq!(
        (&structured["warnings"], &structured["infos"]),
        (&json!(["careful"]), &json!(["maybe"]))
    );
    assert_eq!(
        text_of(&answer),
        "no series matched on backend `prom`\nwarning: careful\ninfo: maybe"
    );
}

#[tokio::test]
async fn a_large_answer_is_cut_at_a_whole_series_and_says_so_twice() {
    let series: Vec<_> = (0..5000)
        .map(|i| json!({"metric": {"__name__": "up", "i": i.to_string()}, "value": [1, "1"]}))
        .collect();
    let data = json!({"resultType": "vector", "result": series}).to_string();
    let fake = Fake::holding(&data).await;
    let metrics = metrics(vec![fake.config("prom")]);
    let answer = call(&metrics, QUERY, json!({"query": "up"})).await;
    let structured = answer.structured_content.clone().unwrap();
    let limit = ToolLimits::default().answer_bytes_max;
    let bytes = bytes_of(&answer);
    assert!(bytes <= limit && bytes > limit * 9 / 10, "{bytes}");
    let returned = structured["series_returned"].as_u64().unwrap();
    assert_eq!(length(&structured["series"]), returned);
    assert_eq!(structured["series_total"], json!(5000));
    assert_eq!(structured["truncated"], json!(true));
    let cut = structured["truncation"].as_str().unwrap();
    assert!(cut.starts_with(&format!("cut: {returned} of 5000 series")), "{cut}");
    assert!(text_of(&answer).ends_with(cut));
}

/// Text and structure together, and with all the notes that a backend may send.
#[tokio::test]
async fn no_answer_is_larger_than_its_limit() {
    let hostile = "\u{1}\"é".repeat(500);
    let of = |many: usize, label: &str, points: Value| {
        let one = |i| json!({"metric": {"__name__": label, "i": format!("{i}")}, "values": points});
        (0..many).map(one).collect::<Vec<_>>()
    };
    let points: Vec<_> = (0..250).map(|i| json!([1_704_067_200 + i, "0.123456789"])).collect();
    let text = "s\"".repeat(60_000);
    for (kind, result) in [
        ("matrix", json!(of(3000, "up", json!([[1_704_067_200, "1"]])))),
        ("matrix", json!(of(60, &hostile, json!([[1, "1"], [2, "2"]])))),
        ("matrix", json!(of(60, "x", json!(points)))),
        ("vector", json!(of(3000, "up", json!([])))),
        ("string", json!([1, text])),
    ] {
        let notes = vec![hostile.clone(); 12];
        let data = json!({"resultType": kind, "result": result});
        let body = json!({"status": "success", "data": data, "warnings": notes, "infos": notes});
        let fake = Fake::answering("200 OK", "application/json", &body.to_string()).await;
        for answer_bytes_max in [4 << 10, 64 << 10] {
            let limits = ToolLimits { answer_bytes_max, ..ToolLimits::default() };
            let mut config = fake.config("prom");
            config.response_bytes_max = 8 << 20;
            let metrics = metrics_with(vec![config], limits);
            let query = "a".repeat(limits.query_bytes_max);
            let given = json!({"query": query, "start": "now-1h"});
            let answer = call(&metrics, RANGE, given).await;
            let bytes = bytes_of(&answer);
            assert!(bytes <= answer_bytes_max, "{kind}: {bytes} of {answer_bytes_max}");
            let structured = answer.structured_content.clone().unwrap();
            assert_eq!(structured["truncated"], json!(true), "{kind}");
            let cut = structured["truncation"].as_str().unwrap();
            assert!(cut.starts_with("cut: ") && text_of(&answer).ends_with(cut), "{cut}");
            assert!(text_of(&answer).contains("\nwarning: "), "{kind}");
        }
    }
}

async fn error(metrics: &Metrics, tool: &'static str, given: Value) -> String {
    let answer = call(metrics, tool, given).await;
    assert_eq!(answer.is_error, Some(true), "{answer:?}");
    text_of(&answer)
}

#[tokio::test]
async fn a_promql_error_reaches_the_caller_whole_with_a_hint() {
    let body = r#"{"status":"error","errorType":"bad_data",
        "error":"invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis"}"#;
    let fake = Fake::answering("400 Bad Request", "application/json", body).await;
    let text = error(&metrics(vec![fake.config("prom")]), QUERY, json!({"query": "sum("})).await;
    assert!(
        text.contains(
            "bad_data: invalid parameter \"query\": 1:5: parse error: unclosed left paren"
        ),
        "{text}"
    );
    assert!(text.contains("\nHint: check the PromQL"), "{text}");
}

#[tokio::test]
async fn a_page_is_summarised_and_never_shown() {
    let page = "<html>canary</html>";
    let fake = Fake::answering("502 Bad Gateway", "text/html; charset=utf-8", page).await;
    let text = error(&metrics(vec![fake.config("prom")]), QUERY, json!({"query": "up"})).await;
    assert!(text.contains("502 Bad Gateway") && text.contains("text/html"), "{text}");
    assert!(!text.contains("canary") && !text.contains('<'), "{text}");
}

#[tokio::test]
async fn no_error_shows_credentials() {
    let canary = Secret::new("canary");
    for reaction in [
        Reaction::Send(response("401 Unauthorized", "", b"")),
        Reaction::Send(response("302 Found", "Location: http://other/?t=1\r\n", b"")),
        Reaction::Send(response("500 Oops", "", b"canary")),
        Reaction::Send(b"garbage".to_vec()),
    ] {
        let fake = Fake::start(move |_| reaction.clone()).await;
        let mut config = fake.config("prom");
        config.auth = BackendAuth::Token(canary.clone());
        let text = error(&metrics(vec![config]), QUERY, json!({"query": "up"})).await;
        assert!(!text.contains("canary") && !text.contains("http://"), "{text}");
        assert!(text.contains("\nHint: "), "{text}");
    }
}

#[tokio::test]
async fn results_that_are_malformed_are_errors() {
    for data in [
        r#"{"resultType":"tensor","result":[]}"#,
        r#"{"resultType":"vector","result":[7]}"#,
        r#"{"resultType":"scalar","result":[]}"#,
        r#"{"resultType":"scalar","result":[1,2]}"#,
    ] {
        let fake = Fake::holding(data).await;
        let text = error(&metrics(vec![fake.config("prom")]), QUERY, json!({"query": "1"})).await;
        assert!(text.starts_with("the answer of backend `prom` cannot be read"), "{text}");
    }
}

#[tokio::test]
async fn of_several_backends_one_must_be_named() {
    let metrics =
        metrics(vec![config("b", "http://127.0.0.1:1"), config("a", "http://127.0.0.1:1")]);
    let text = error(&metrics, QUERY, json!({"query": "up"})).await;
    assert!(text.starts_with("argument `backend` is missing"), "{text}");
    assert!(text.contains("the backends are: a, b"), "{text}");
    let text = error(&metrics, QUERY, json!({"query": "up", "backend": "c"})).await;
    assert_eq!(text, "unknown backend `c`; the backends are: a, b");
    let text = error(&self::metrics(vec![]), QUERY, json!({"query": "up"})).await;
    assert!(text.starts_with("no backend is configured"), "{text}");
}

#[tokio::test]
async fn only_available_tenants_can_be_named() {
    let org = |id| OrgId::parse(id).unwrap();
    let fake = Fake::holding(VECTOR).await;
    let mut config = fake.config("prom");
    config.org_id = Some(org("one"));
    config.available_orgs = vec![org("two")];
    let metrics = metrics(vec![config]);
    for (given, sent) in [(None, "one"), (Some("one"), "one"), (Some("two"), "two")] {
        let answer = call(&metrics, QUERY, json!({"query": "up", "org_id": given})).await;
        assert_eq!(answer.structured_content.unwrap()["org_id"], json!(sent));
        let request = fake.seen().pop().unwrap();
        assert!(request.contains(&format!("x-scope-orgid: {sent}\r\n")), "{request}");
    }
    for refused in ["three", "one|two", "ONE", "one "] {
        let text = error(&metrics, QUERY, json!({"query": "up", "org_id": refused})).await;
        assert!(text.contains("is not available on backend `prom`"), "{text}");
        assert!(text.contains("the tenants are: one, two"), "{text}");
    }
    assert_eq!(fake.seen().len(), 3, "a refused tenant is asked for nowhere");
}

#[tokio::test]
async fn a_backend_without_tenants_takes_none() {
    let fake = Fake::holding(VECTOR).await;
    let metrics = metrics(vec![fake.config("prom")]);
    let text = error(&metrics, QUERY, json!({"query": "up", "org_id": "x"})).await;
    assert!(text.contains("leave `org_id` out"), "{text}");
    assert_eq!(fake.seen().len(), 0);
}

#[tokio::test]
async fn the_shorter_of_two_timeouts_holds() {
    let fake = Fake::start(|_| Reaction::Stall).await;
    let metrics = metrics(vec![fake.config("prom")]);
    let text = error(&metrics, QUERY, json!({"query": "up", "timeout": "20ms"})).await;
    assert!(text.contains("no whole answer within 0.02 s"), "{text}");
    assert!(fake.seen().is_empty() || fake.seen()[0].ends_with("&timeout=0.018"));
}

#[tokio::test]
async fn a_timeout_of_the_callers_own_is_the_callers_matter() {
    let late = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
    let late = response("503 Service Unavailable", "", late.as_bytes());
    for reaction in [Reaction::Stall, Reaction::Send(late)] {
        for (own, limit, outcome) in [
            ("50ms", 60_000, ToolOutcome::CallerError),
            ("60s", 50, ToolOutcome::BackendError),
            ("50ms", 50, ToolOutcome::BackendError),
        ] {
            let reaction = reaction.clone();
            let fake = Fake::start(move |_| reaction.clone()).await;
            let mut config = fake.config("prom");
            config.timeout = std::time::Duration::from_millis(limit);
            let (mut context, call) = (context(), Call::silent(Caller::anyone(), QueryNotes::Off));
            context.extensions.insert(call.clone());
            let Value::Object(given) = json!({"query": "up", "timeout": own}) else { panic!() };
            let request = CallToolRequestParams::new(QUERY).with_arguments(given);
            let answer = metrics(vec![config]).call_tool(request, context).await.unwrap();
            let CallToolResponse::Complete(result) = answer else { panic!("{answer:?}") };
            assert_eq!(call.outcome(), Some(outcome), "{own} of {limit} ms: {result:?}");
            let blamed = text_of(&result).contains("this is the call's own `timeout`");
            assert_eq!(blamed, outcome == ToolOutcome::CallerError, "{result:?}");
        }
    }
}

#[tokio::test]
async fn every_refusal_has_the_backends_words_and_a_hint_that_fits() {
    for (status, body, said, hint) in [
        ("400 Bad Request", "too many chunks", "too many chunks", "where a limit is hit"),
        ("422 Unprocessable", "the limit is 5", "the limit is 5", "where a limit is hit"),
        ("401 Unauthorized", "no org id", "no org id", "when no `org_id` is given"),
        ("403 Forbidden", r#"{"message":"t1 is blocked"}"#, "t1 is blocked", "prom.auth`"),
        ("404 Not Found", "404 page not found", "404 page not found", "base address"),
        ("413 Too Large", "the body is too large", "the body is too large", "shorter ones"),
        ("429 Slow", "the rate is 10", "the rate is 10", "wait a while"),
        ("418 Teapot", "short and stout", "short and stout", "as the backend says"),
    ] {
        let fake = Fake::answering(status, "text/plain", body).await;
        let text = error(&metrics(vec![fake.config("prom")]), QUERY, json!({"query": "up"})).await;
        let (words, advice) = text.split_once("\nHint: ").unwrap();
        assert!(words.contains(said) && advice.contains(hint), "{text}");
    }
}

#[tokio::test]
async fn an_unknown_tool_is_an_error_of_the_protocol_that_names_the_tools() {
    let request = CallToolRequestParams::new("prometheus_qwery");
    let error = metrics(vec![]).call_tool(request, context()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::INVALID_PARAMS);
    assert_eq!(
        error.message,
        "unknown tool `prometheus_qwery`; the tools are: prometheus_list_metrics, \
         prometheus_query, prometheus_range_query"
    );
}

#[tokio::test]
async fn the_list_is_private_short_lived_and_has_one_page() {
    let metrics = metrics(vec![]);
    let list = metrics.list_tools(None, context()).await.unwrap();
    assert_eq!(list.tools.iter().map(|t| t.name.as_ref()).collect::<Vec<_>>(), TOOL_NAMES);
    assert_eq!((list.cache_scope, list.ttl_ms), (Some(CacheScope::Private), Some(300_000)));
    let page: PaginatedRequestParams = serde_json::from_value(json!({"cursor": "x"})).unwrap();
    let error = metrics.list_tools(Some(page), context()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::INVALID_PARAMS);
}

#[test]
fn the_server_says_what_it_is_and_what_it_can() {
    let info = serde_json::to_value(metrics(vec![]).get_info()).unwrap();
    assert_eq!(info["serverInfo"]["name"], "promgate");
    assert_eq!(info["capabilities"], json!({"tools": {"listChanged": true}}));
    assert!(info["instructions"].as_str().unwrap().contains("prometheus_list_metrics"));
}

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Record(Mutex<Vec<String>>);

impl Observer for Record {
    fn tool_called(&self, tool: &'static str, outcome: ToolOutcome, _took: std::time::Duration) {
        self.0.lock().push(format!("{tool} {outcome:?}"));
    }
    fn backend_called(
        &self,
        backend: &BackendName,
        outcome: BackendOutcome,
        _took: std::time::Duration,
    ) {
        self.0.lock().push(format!("{backend} {outcome:?}"));
    }
}

#[tokio::test]
async fn each_call_is_reported_once_with_its_outcome() {
    let bad = r#"{"status":"error","errorType":"bad_data","error":"no"}"#;
    for (status, body, given, told, outcome) in [
        (
            "200 OK",
            format!(r#"{{"status":"success","data":{VECTOR}}}"#),
            json!({"query": "up"}),
            &["prom Ok", "prometheus_query Ok"][..],
            ToolOutcome::Ok,
        ),
        (
            "400 Bad Request",
            bad.to_owned(),
            json!({"query": "up"}),
            &["prom Refused", "prometheus_query CallerError"],
            ToolOutcome::CallerError,
        ),
        (
            "500 Oops",
            String::new(),
            json!({"query": "up"}),
            &["prom BadAnswer", "prometheus_query BackendError"],
            ToolOutcome::BackendError,
        ),
        (
            "200 OK",
            String::new(),
            json!({"quary": "up"}),
            &["prometheus_query CallerError"],
            ToolOutcome::CallerError,
        ),
    ] {
        let fake = Fake::answering(status, "application/json", &body).await;
        let record = Arc::new(Record::default());
        let observer = || Arc::<Record>::clone(&record);
        let backends = Backends::new(vec![fake.config("prom")], observer()).unwrap();
        let limits = ToolLimits::default();
        let metrics =
            Metrics::new("promgate".to_owned(), "1".to_owned(), backends, limits, observer());
        let Value::Object(given) = given else { panic!("not an object") };
        let (mut context, call) = (context(), Call::silent(Caller::anyone(), QueryNotes::Off));
        context.extensions.insert(call.clone());
        let request = CallToolRequestParams::new(QUERY).with_arguments(given);
        metrics.call_tool(request, context).await.unwrap();
        assert_eq!(*record.0.lock(), told);
        assert_eq!(call.outcome(), Some(outcome));
        assert_eq!(call.backend().is_some(), told.len() == 2);
    }
}

mod notes;

mod reach;

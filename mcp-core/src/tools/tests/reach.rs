//! What callers see and reach who may use some tools on some backends.

use globset::{Glob, GlobSet, GlobSetBuilder};
use proptest::prelude::*;

use super::*;
use crate::access::{Access, Caller, Grant};

fn globs(patterns: &[&str]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).unwrap());
    }
    set.build().unwrap()
}

fn access(grants: &[(&[&str], &[&str])]) -> Arc<Access> {
    let grant = |(tools, backends): &(&[&str], &[&str])| {
        Arc::new(Grant { tools: globs(tools), backends: globs(backends) })
    };
    Access::of(grants.iter().map(grant).collect())
}

fn context_of(access: Arc<Access>) -> (RequestContext<RoleServer>, Call) {
    let (mut context, call) =
        (context(), Call::silent(Caller { access, ..Caller::anyone() }, QueryNotes::Off));
    context.extensions.insert(call.clone());
    (context, call)
}

async fn listed(metrics: &Metrics, access: &Arc<Access>) -> Vec<Tool> {
    let (context, _call) = context_of(Arc::clone(access));
    metrics.list_tools(None, context).await.unwrap().tools
}

fn names(tools: &[Tool]) -> Vec<&str> {
    tools.iter().map(|tool| tool.name.as_ref()).collect()
}

/// Calls with `access`: the text of the answer, or the protocol's error, and what was noted.
async fn asked(
    metrics: &Metrics,
    access: &Arc<Access>,
    tool: &'static str,
    given: Value,
) -> (String, Option<ToolOutcome>) {
    let (context, call) = context_of(Arc::clone(access));
    let Value::Object(given) = given else { panic!("not an object") };
    let request = CallToolRequestParams::new(tool).with_arguments(given);
    let text = match metrics.call_tool(request, context).await {
        Ok(CallToolResponse::Complete(result)) => text_of(&result),
        Ok(other) => panic!("{other:?}"),
        Err(error) => error.message.into_owned(),
    };
    (text, call.outcome())
}

fn three() -> Metrics {
    let mut secret = config("secret", "http://127.0.0.1:1");
    secret.org_id = Some(OrgId::parse("team-hidden").unwrap());
    let local = |name| config(name, "http://127.0.0.1:1");
    metrics(vec![local("eu"), secret, local("us")])
}

#[tokio::test]
async fn the_list_names_only_tools_backends_and_tenants_that_the_caller_may_use() {
    let metrics = three();
    let some = access(&[(&["prometheus_query"], &["eu", "us"]), (&["*list*"], &["us"])]);
    let tools = listed(&metrics, &some).await;
    assert_eq!(names(&tools), ["prometheus_list_metrics", "prometheus_query"]);
    let backend = |tool: &Tool| tool.input_schema["properties"]["backend"]["description"].clone();
    assert_eq!(backend(&tools[0]), "Backend to query. Available: [us]. Defaults to 'us'.");
    assert_eq!(
        backend(&tools[1]),
        "Backend to query. Available: [eu, us]. Required, as there is more than one."
    );
    let json = serde_json::to_string(&tools).unwrap();
    assert!(!json.contains("secret") && !json.contains("team-hidden"), "{json}");
    let all = serde_json::to_string(&listed(&metrics, &Access::everything()).await).unwrap();
    assert!(all.contains("secret") && all.contains("team-hidden"));
}

#[tokio::test]
async fn without_a_call_as_over_stdio_everything_is_listed() {
    let list = three().list_tools(None, context()).await.unwrap();
    assert_eq!(names(&list.tools), TOOL_NAMES);
    assert!(serde_json::to_string(&list).unwrap().contains("secret"));
}

#[tokio::test]
async fn a_backend_that_is_not_allowed_is_answered_like_one_that_does_not_exist() {
    let metrics = three();
    let some = access(&[(&["*"], &["eu", "us"])]);
    let (denied, outcome) =
        asked(&metrics, &some, QUERY, json!({"query": "up", "backend": "secret"})).await;
    assert_eq!(outcome, Some(ToolOutcome::Denied));
    let (unknown, outcome) =
        asked(&metrics, &some, QUERY, json!({"query": "up", "backend": "sekret"})).await;
    assert_eq!(outcome, Some(ToolOutcome::CallerError));
    assert!(denied.contains("the backends are: eu, us"), "{denied}");
    assert_eq!(denied, unknown.replace("sekret", "secret"));
}

#[tokio::test]
async fn the_only_backend_that_a_caller_may_use_is_its_default() {
    let fake = Fake::answering(
        "200 OK",
        "application/json",
        r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
    )
    .await;
    let metrics = metrics(vec![fake.config("eu"), config("us", "http://127.0.0.1:1")]);
    let one = access(&[(&["prometheus_query"], &["eu"])]);
    let (_text, outcome) = asked(&metrics, &one, QUERY, json!({"query": "up"})).await;
    assert_eq!(outcome, Some(ToolOutcome::Ok));
    let (text, outcome) =
        asked(&metrics, &Access::everything(), QUERY, json!({"query": "up"})).await;
    assert_eq!(outcome, Some(ToolOutcome::CallerError));
    assert!(text.contains("the backends are: eu, us"), "{text}");
}

#[tokio::test]
async fn a_tool_that_is_not_allowed_is_answered_like_one_that_does_not_exist_and_noted() {
    let metrics = three();
    let list_only = access(&[(&["*list*"], &["*"])]);
    let (text, outcome) = asked(&metrics, &list_only, QUERY, json!({"query": "up"})).await;
    assert_eq!(text, "unknown tool `prometheus_query`; the tools are: prometheus_list_metrics");
    assert_eq!(outcome, Some(ToolOutcome::Denied));
    let (text, outcome) = asked(&metrics, &list_only, "prometheus_qwery", json!({})).await;
    assert_eq!(text, "unknown tool `prometheus_qwery`; the tools are: prometheus_list_metrics");
    assert_eq!(outcome, None);
    // On backends that do not exist, a tool is as good as denied.
    let nowhere = access(&[(&["*"], &["gone"])]);
    assert_eq!(names(&listed(&metrics, &nowhere).await), Vec::<&str>::new());
    let (text, outcome) = asked(&metrics, &nowhere, QUERY, json!({"query": "up"})).await;
    assert_eq!(text, "unknown tool `prometheus_query`; there is none that you may use");
    assert_eq!(outcome, Some(ToolOutcome::Denied));
}

#[tokio::test]
async fn a_replaced_backend_is_seen_through_every_clone() {
    let metrics = metrics(vec![config("old", "http://127.0.0.1:1")]);
    let kept = metrics.clone();
    let backends =
        Backends::new(vec![config("new", "http://127.0.0.1:1")], Arc::new(Unobserved)).unwrap();
    let limits = ToolLimits { query_bytes_max: 3, ..ToolLimits::default() };
    kept.replace(&Metrics::prepare(backends, limits));
    let everything = Access::everything();
    let json = serde_json::to_string(&listed(&metrics, &everything).await).unwrap();
    assert!(json.contains("[new]") && !json.contains("[old]"), "{json}");
    let tool = serde_json::to_string(&metrics.get_tool(QUERY).unwrap()).unwrap();
    assert!(tool.contains("[new]"), "{tool}");
    let (text, _) = asked(&metrics, &everything, QUERY, json!({"query": "up == 1"})).await;
    assert!(text.contains("at most 3"), "{text}");
}

#[tokio::test]
async fn a_request_is_offered_what_there_was_when_it_began() {
    let metrics = metrics(vec![config("old", "http://127.0.0.1:1")]);
    let caller = Caller { edition: metrics.edition(), ..Caller::anyone() };
    let (mut context, call) = (context(), Call::silent(caller, QueryNotes::Off));
    context.extensions.insert(call);
    let backends =
        Backends::new(vec![config("new", "http://127.0.0.1:1")], Arc::new(Unobserved)).unwrap();
    metrics.replace(&Metrics::prepare(backends, ToolLimits::default()));
    let listed = metrics.list_tools(None, context).await.unwrap();
    let json = serde_json::to_string(&listed.tools).unwrap();
    assert!(json.contains("[old]") && !json.contains("[new]"), "{json}");
}

#[tokio::test]
async fn a_call_in_flight_ends_on_the_backend_with_which_it_began() {
    let answer = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    let fake = Fake::answering("200 OK", "application/json", answer).await;
    let metrics = metrics(vec![fake.config("old")]);
    let (context, call) = context_of(Access::everything());
    let given = json!({"query": "up"}).as_object().cloned().unwrap();
    let request = CallToolRequestParams::new(QUERY).with_arguments(given);
    let mut running = std::pin::pin!(metrics.call_tool(request, context));
    let first = futures_util::poll!(running.as_mut());
    assert!(first.is_pending(), "it asks over a socket");
    let none = Backends::new(vec![], Arc::new(Unobserved)).unwrap();
    metrics.replace(&Metrics::prepare(none, ToolLimits::default()));
    let ended = running.await.unwrap();
    assert!(matches!(ended, CallToolResponse::Complete(_)));
    assert_eq!(call.outcome(), Some(ToolOutcome::Ok));
    assert_eq!(call.backend().unwrap().as_str(), "old");
}

fn patterns() -> impl Strategy<Value = Vec<&'static str>> {
    const KNOWN: &[&str] =
        &["*", "eu", "us", "secret", "s*", "gone", "prometheus_*", "*query", "*list*"];
    proptest::collection::vec(proptest::sample::select(KNOWN), 0..4)
}

proptest! {
    /// What the list shows and what a call lets through are one rule.
    #[test]
    fn what_is_listed_is_what_may_be_called(
        grants in proptest::collection::vec((patterns(), patterns()), 0..4),
    ) {
        let pairs: Vec<(&[&str], &[&str])> =
            grants.iter().map(|(t, b)| (t.as_slice(), b.as_slice())).collect();
        let access = access(&pairs);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let metrics = three();
            let listed = listed(&metrics, &access).await;
            for tool in TOOL_NAMES {
                let shown = listed.iter().find(|listed| listed.name == tool);
                for backend in ["eu", "us", "secret"] {
                    let name = BackendName::parse(backend).unwrap();
                    let description = shown.map(|tool| {
                        tool.input_schema["properties"]["backend"]["description"].to_string()
                    });
                    let named = description.is_some_and(|text| text.contains(backend));
                    assert_eq!(named, access.backend(tool, &name), "{tool} on {backend}");
                }
                let may = ["eu", "us", "secret"]
                    .into_iter()
                    .any(|b| access.backend(tool, &BackendName::parse(b).unwrap()));
                assert_eq!(shown.is_some(), may, "{tool}");
            }
        });
    }
}

//! The three tools against a real Prometheus, with every kind of argument, in both generations.

use std::time::{SystemTime, UNIX_EPOCH};

use e2e::{
    backend::{Backend, answer},
    mcp::Client,
    server::{Server, config},
};
use serde_json::{Value, json};

const QUERY: &str = "prometheus_query";
const RANGE: &str = "prometheus_range_query";
const LIST: &str = "prometheus_list_metrics";

fn clients() -> [Client; 2] {
    Client::of_both_eras(Server::shared_promgate().mcp)
}

/// The structured content of an answer that is no error.
fn structured(result: &Value) -> Value {
    assert_ne!(result["isError"], true, "{result}");
    assert!(result["structuredContent"].is_object(), "{result}");
    assert!(!text(result).is_empty(), "there is text for clients that read no structure");
    result["structuredContent"].clone()
}

fn text(result: &Value) -> String {
    result["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

/// The text of an answer that is an error which the model can act on.
fn fault(client: &Client, tool: &str, arguments: Value) -> String {
    let result = client.tool(tool, arguments.clone());
    assert_eq!(result["isError"], true, "{tool} {arguments}: {result}");
    text(&result)
}

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn the_three_tools_are_listed_with_schemas_that_every_client_can_read() {
    for client in clients() {
        let tools = client.call("tools/list", json!({})).result()["tools"].clone();
        let tools = tools.as_array().unwrap();
        let names: Vec<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
        assert_eq!(names, [LIST, QUERY, RANGE]);
        for tool in tools {
            assert_eq!(tool["annotations"]["readOnlyHint"], true);
            assert_ne!(tool["annotations"]["destructiveHint"], true);
            assert!(tool["title"].is_string() && tool["outputSchema"].is_object());
            let schema = tool["inputSchema"].to_string();
            assert!(!schema.contains("\"null\""), "no nullable union: {schema}");
            let backend = tool["inputSchema"]["properties"]["backend"]["description"].to_string();
            assert!(backend.contains("prometheus"), "{backend}");
            let description = tool["description"].as_str().unwrap();
            assert!(description.ends_with("Backends: prometheus."), "{description}");
        }
    }
}

#[test]
fn the_arguments_of_prometheus_mcp_are_all_taken() {
    let old: Vec<(&str, &[&str])> = vec![
        (QUERY, &["backend", "query", "time", "org_id"]),
        (RANGE, &["backend", "query", "start", "end", "step", "org_id"]),
        (LIST, &["backend", "query", "org_id", "limit", "offset"]),
    ];
    let tools = clients()[0].call("tools/list", json!({})).result()["tools"].clone();
    for (name, arguments) in old {
        let tool = tools.as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap();
        for argument in arguments {
            let schema = &tool["inputSchema"]["properties"][argument];
            assert!(schema.is_object(), "{name} takes no {argument}");
        }
    }
}

#[test]
fn a_vector_comes_with_its_labels_and_exact_values() {
    for client in clients() {
        let answer = structured(&client.tool(QUERY, json!({ "query": "up" })));
        assert_eq!(answer["result_type"], "vector");
        assert_eq!(answer["backend"], "prometheus");
        assert_eq!(answer["truncated"], false);
        let series = answer["series"].as_array().unwrap();
        assert_eq!(series.len(), 2);
        let mut jobs: Vec<&Value> = series.iter().map(|one| &one["metric"]["job"]).collect();
        jobs.sort_by_key(ToString::to_string);
        assert_eq!(jobs, ["node", "prometheus"]);
        assert!(series.iter().all(|one| one["value"][1] == "1"));
    }
}

#[test]
fn scalars_strings_and_odd_numbers_come_through_exact() {
    let client = &clients()[0];
    let cases = [
        ("1 / 3", "scalar", "0.3333333333333333"),
        ("scalar(vector(0) / 0)", "scalar", "NaN"),
        ("scalar(vector(1) / 0)", "scalar", "+Inf"),
        ("scalar(vector(-1) / 0)", "scalar", "-Inf"),
        ("9007199254740992 + 1", "scalar", "9007199254740992"),
        (r#""a \"quoted\" text""#, "string", "a \"quoted\" text"),
    ];
    for (query, kind, value) in cases {
        let result = client.tool(QUERY, json!({ "query": query }));
        let answer = structured(&result);
        assert_eq!(answer["result_type"], kind, "{query}");
        assert_eq!(answer[kind][1], value, "{query}");
        assert!(text(&result).contains(value), "{query}: {}", text(&result));
    }
    let vector = structured(&client.tool(QUERY, json!({ "query": "vector(0) / 0" })));
    assert_eq!(vector["series"][0]["value"][1], "NaN");
}

#[test]
fn every_form_of_a_time_is_understood() {
    let client = &clients()[1];
    let now = unix_now();
    let cases = [
        ("2026-01-31T12:00:00Z", 1_769_860_800.0),
        ("2026-01-31T13:00:00+01:00", 1_769_860_800.0),
        ("2026-01-31T12:00:00.250Z", 1_769_860_800.25),
        ("1769860800", 1_769_860_800.0),
        ("1769860800.5", 1_769_860_800.5),
        ("now", now),
        ("now-1h", now - 3600.0),
        ("-30m", now - 1800.0),
        ("now-1h30m", now - 5400.0),
        ("now-1d", now - 86_400.0),
    ];
    for (time, seconds) in cases {
        let answer = client.tool(QUERY, json!({ "query": "time()", "time": time }));
        let value = structured(&answer)["scalar"][1].clone();
        let value: f64 = value.as_str().unwrap().parse().unwrap();
        assert!((value - seconds).abs() < 20.0, "{time} became {value}, not {seconds}");
        if !time.contains("now") && !time.starts_with('-') {
            assert!((value - seconds).abs() < 0.001, "{time} became {value}, not {seconds}");
        }
    }
    for wrong in ["yesterday", "2026-13-01T00:00:00Z", "now-", "1h ago"] {
        let said = fault(client, QUERY, json!({ "query": "up", "time": wrong }));
        assert!(said.contains("time") && said.contains(wrong), "{said}");
    }
}

#[test]
fn every_form_of_a_step_is_understood() {
    let client = &clients()[0];
    let ask = |step: &str| {
        let arguments =
            json!({ "query": "time()", "start": "1769860800", "end": "1769947200", "step": step });
        structured(&client.tool(RANGE, arguments))["series"][0]["values"].as_array().unwrap().len()
    };
    for (step, points) in [("1h", 25), ("1h30m", 17), ("1d", 2), ("3600", 25), ("15m", 97)] {
        assert_eq!(ask(step), points, "{step}");
    }
    for wrong in ["1 hour", "-5m", "0", "abc"] {
        let arguments = json!({ "query": "up", "start": "now-1h", "end": "now", "step": wrong });
        let said = fault(client, RANGE, arguments);
        assert!(said.contains("step"), "{said}");
    }
}

#[test]
fn a_range_without_a_step_has_at_most_250_points() {
    for client in clients() {
        for start in ["now-5m", "now-1h", "now-26h", "now-90d"] {
            let arguments = json!({ "query": "vector(1)", "start": start, "end": "now" });
            let answer = structured(&client.tool(RANGE, arguments));
            assert_eq!(answer["result_type"], "matrix");
            let points = answer["series"][0]["values"].as_array().unwrap().len();
            assert!((50..=250).contains(&points), "{start} gave {points} points");
        }
    }
}

#[test]
fn a_range_of_real_samples_has_their_values() {
    for client in clients() {
        let arguments =
            json!({ "query": "up{job='node'}", "start": "-5s", "end": "now", "step": "1s" });
        let answer = structured(&client.tool(RANGE, arguments));
        let values = answer["series"][0]["values"].as_array().unwrap();
        assert!(values.len() >= 2 && values.iter().all(|pair| pair[1] == "1"), "{answer}");
    }
}

#[test]
fn a_range_that_ends_before_it_starts_or_is_too_fine_is_an_error() {
    let client = &clients()[0];
    let said = fault(client, RANGE, json!({ "query": "up", "start": "now", "end": "now-1h" }));
    assert!(said.contains("start") && said.contains("end"), "{said}");
    let fine = json!({ "query": "up", "start": "now-30d", "end": "now", "step": "1s" });
    let said = fault(client, RANGE, fine);
    assert!(said.contains("step"), "{said}");
}

#[test]
fn metric_names_are_found_by_glob_and_by_regex_in_pages() {
    for client in clients() {
        let list = |arguments: Value| structured(&client.tool(LIST, arguments));
        let all = list(json!({ "query": "prometheus_tsdb_*" }));
        let total = all["total"].as_u64().unwrap();
        let names = all["metrics"].as_array().unwrap();
        assert!(total > 5, "{all}");
        assert!(names.iter().all(|name| name.as_str().unwrap().starts_with("prometheus_tsdb_")));
        let same = list(json!({ "regex": "^prometheus_tsdb_" }));
        assert_eq!(same["total"], total);
        let page = list(json!({ "query": "prometheus_tsdb_*", "limit": 2, "offset": 1 }));
        assert_eq!((&page["returned"], &page["has_more"]), (&json!(2), &json!(true)));
        assert_eq!(page["metrics"][0], names[1]);
        let past = list(json!({ "query": "prometheus_tsdb_*", "offset": total + 5 }));
        assert_eq!((&past["returned"], &past["has_more"]), (&json!(0), &json!(false)));
        let node = list(json!({ "query": "node_cpu_*" }));
        assert!(node["total"].as_u64().unwrap() >= 1, "the exporter's metrics are there too");
    }
}

#[test]
fn limit_cuts_a_vector_and_says_so() {
    let client = &clients()[0];
    let result = client.tool(QUERY, json!({ "query": "{__name__=~'prometheus_.+'}", "limit": 3 }));
    let answer = structured(&result);
    assert_eq!(answer["series"].as_array().unwrap().len(), 3);
    assert_eq!((&answer["truncated"], &answer["series_returned"]), (&json!(true), &json!(3)));
    assert!(text(&result).contains("limit"), "{}", text(&result));
}

#[test]
fn an_answer_over_the_size_limit_is_cut_at_a_whole_series_and_says_how_to_ask_for_less() {
    for client in clients() {
        let reply = client.call_tool(QUERY, json!({ "query": "{__name__=~'.+'}" }));
        let result = reply.result();
        let answer = structured(&result);
        assert_eq!(answer["truncated"], true);
        let (total, returned) = (&answer["series_total"], &answer["series_returned"]);
        assert!(total.as_u64() > returned.as_u64(), "{total} {returned}");
        let series = answer["series"].as_array().unwrap();
        assert!(series.iter().all(|one| one["value"].is_array() || one["histogram"].is_array()));
        assert!(answer["truncation"].as_str().unwrap().contains("sum by"), "{answer}");
        assert!(reply.http.body.len() <= ANSWER_BYTES_MAX, "{} bytes", reply.http.body.len());
    }
}

/// The default `answer_bytes_max`, and what a JSON-RPC message has around its result.
const ANSWER_BYTES_MAX: usize = (64 << 10) + 256;

/// A vector, a matrix and a list of names far over the limit, with as many notes as there can be.
#[test]
fn no_answer_is_larger_than_its_limit_notes_and_text_included() {
    let backend = Backend::start(|received, stream| {
        let point = json!([1_769_860_800, "1"]);
        let metric = |i: u32| json!({ "__name__": "m", "i": i.to_string(), "x": "\"".repeat(300) });
        let series = |key: &str, value: &Value| -> Value {
            (0..500).map(|i| json!({ "metric": metric(i), key: value })).collect()
        };
        let data = if received.line.contains("/values") {
            (0..2000).map(|i| json!(format!("metric_{i:04}_{}", "x".repeat(90)))).collect()
        } else if received.line.contains("query_range") {
            json!({ "resultType": "matrix", "result": series("values", &json!([point])) })
        } else {
            json!({ "resultType": "vector", "result": series("value", &point) })
        };
        let notes = vec!["\u{1}é\"".repeat(400); 20];
        let body = json!({ "status": "success", "data": data, "warnings": notes, "infos": notes });
        answer(stream, 200, "application/json", body.to_string().as_bytes())
    });
    let server = Server::in_front_of(&backend.url());
    for client in Client::of_both_eras(server.mcp) {
        for (tool, arguments) in [
            (QUERY, json!({ "query": "m" })),
            (RANGE, json!({ "query": "m", "start": "now-1h" })),
            (LIST, json!({ "limit": 1000 })),
        ] {
            let reply = client.call_tool(tool, arguments);
            let bytes = reply.http.body.len();
            assert!((32 << 10..=ANSWER_BYTES_MAX).contains(&bytes), "{tool}: {bytes} bytes");
            let (content, text) = (structured(&reply.result()), text(&reply.result()));
            assert!(content["warnings"][0].is_string(), "{tool}");
            assert!(text.contains("\nwarning: ") && text.contains("more in the"), "{tool}: {text}");
            let cut = content["truncated"] == true || content["has_more"] == true;
            assert!(cut, "{tool} says that there is more");
        }
    }
}

#[test]
fn the_text_is_compact_and_does_not_repeat_the_json() {
    let client = &clients()[0];
    let result = client.tool(QUERY, json!({ "query": "up" }));
    assert!(!text(&result).contains("\"metric\""), "{}", text(&result));
    assert!(text(&result).contains("node"), "{}", text(&result));

    let many = client.tool(QUERY, json!({ "query": "{__name__=~'prometheus_.+'}", "limit": 120 }));
    assert_eq!(structured(&many)["series_returned"], 120);
    let series = text(&many).lines().filter(|line| line.starts_with("prometheus_")).count();
    assert!((10..=50).contains(&series), "{}", text(&many));
    let rest = format!("… and {} more in the structured content", 120 - series);
    assert!(text(&many).contains(&rest), "{}", text(&many));

    let names = client.tool(LIST, json!({ "limit": 80 }));
    assert_eq!(structured(&names)["returned"], 80);
    let shown = text(&names);
    assert!(shown.contains("\n… and 30 more in the structured content\n"), "{shown}");
    assert!(shown.ends_with("\n… more with offset=80"), "{shown}");
    assert_eq!(shown.lines().count(), 53, "a heading, fifty names, and two remarks: {shown}");
}

/// What a call changes: what it is told, and what the backends are asked.
fn effect(client: &Client, backends: &[&Backend], tool: &str, arguments: &Value) -> String {
    let before: Vec<_> = backends.iter().map(|backend| backend.received().len()).collect();
    let result = client.tool(tool, arguments.clone());
    assert_ne!(result["isError"], true, "{tool} {arguments}: {result}");
    let asked = backends.iter().zip(before).map(|(backend, seen)| {
        let received = backend.received();
        let new = received.iter().skip(seen);
        new.map(|one| format!("{} {} {:?}", one.line, one.body, one.header("x-scope-orgid")))
            .collect::<Vec<_>>()
    });
    format!("{:?} {}", asked.collect::<Vec<_>>(), result["structuredContent"])
}

/// A call of each tool, and its arguments with other values than the call has or defaults to.
fn calls_and_changes() -> [(&'static str, Value, Value); 3] {
    let (from, to) = ("2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z");
    let (early, late) = ("2026-01-31T11:59:00Z", "2026-01-31T13:01:00Z");
    [
        (
            QUERY,
            json!({ "backend": "eu", "query": "up" }),
            json!({ "backend": "us", "org_id": "b", "limit": 1, "query": "down", "time": from }),
        ),
        (
            RANGE,
            json!({ "backend": "eu", "query": "up", "start": from, "end": to }),
            json!({ "backend": "us", "org_id": "b", "limit": 1, "query": "down", "start": early,
                "end": late, "step": "7m" }),
        ),
        (
            LIST,
            json!({ "backend": "eu", "start": from, "end": to }),
            json!({ "backend": "us", "org_id": "b", "limit": 1, "query": "node_*", "regex": "^go",
                "offset": 2, "start": early, "end": late }),
        ),
    ]
}

#[test]
fn every_argument_of_every_tool_has_an_effect() {
    let start = || {
        Backend::start(|received, stream| {
            let sample = |i: u32| json!({ "metric": { "i": i.to_string() }, "value": [1, "1"] });
            let data = if received.line.contains("/values") {
                json!(["go_gc", "node_cpu", "node_disk", "up"])
            } else {
                json!({ "resultType": "vector", "result": [sample(1), sample(2)] })
            };
            let body = json!({ "status": "success", "data": data });
            answer(stream, 200, "application/json", body.to_string().as_bytes())
        })
    };
    let (eu, us) = (start(), start());
    let server = Server::promgate(&config(&json!({
        "us": { "url": us.url() },
        "eu": { "url": eu.url(), "org_id": "a", "available_orgs": ["a", "b"] },
    })));
    let client = Client::stateless(server.mcp);
    let tools = client.call("tools/list", json!({})).result()["tools"].clone();
    for (tool, call, changes) in calls_and_changes() {
        let usual = effect(&client, &[&eu, &us], tool, &call);
        assert_eq!(usual, effect(&client, &[&eu, &us], tool, &call), "the same call, the same");
        let mut tried = vec!["timeout"];
        for (argument, value) in changes.as_object().unwrap() {
            let mut changed = call.clone();
            changed[argument] = value.clone();
            let changed = effect(&client, &[&eu, &us], tool, &changed);
            assert_ne!(usual, changed, "{tool}: {argument}");
            tried.push(argument);
        }
        let listed = tools.as_array().unwrap().iter().find(|it| it["name"] == tool).unwrap();
        let listed = listed["inputSchema"]["properties"].as_object().unwrap();
        let mut listed: Vec<_> = listed.keys().map(String::as_str).collect();
        listed.sort_unstable();
        tried.sort_unstable();
        assert_eq!(tried, listed, "every argument of {tool} was tried");
    }
    // A timeout has its effect on a backend that takes its time.
    let slow = Backend::start(|_, stream| e2e::backend::hold(stream));
    let server = Server::in_front_of(&slow.url());
    let client = Client::stateless(server.mcp);
    for (tool, mut call, _) in calls_and_changes() {
        call["backend"] = json!("main");
        call["timeout"] = json!("200ms");
        assert!(fault(&client, tool, call).contains("within 0.2 s"), "{tool}");
    }
}

#[test]
fn numbers_are_times_steps_and_counts_and_an_absent_end_is_now() {
    let client = &clients()[0];
    let at = structured(&client.tool(QUERY, json!({ "query": "time()", "time": 1_769_860_800 })));
    assert_eq!(at["scalar"][1], "1769860800");
    let range = json!({ "query": "time()", "start": 1_769_860_800, "end": 1_769_860_860.0,
        "step": 15 });
    let range = structured(&client.tool(RANGE, range));
    assert_eq!((&range["start"], &range["step"]), (&json!("2026-01-31T12:00:00Z"), &json!("15s")));
    assert_eq!(range["series"][0]["values"].as_array().unwrap().len(), 5);
    let page = structured(&client.tool(LIST, json!({ "limit": 10.0, "offset": 1.0 })));
    assert_eq!((&page["returned"], &page["offset"]), (&json!(10), &json!(1)));
    let open = json!({ "query": "time()", "start": "now-1m", "step": "1s" });
    let open = structured(&client.tool(RANGE, open));
    let last = open["series"][0]["values"].as_array().unwrap().last().unwrap()[0].clone();
    assert!((last.as_f64().unwrap() - unix_now()).abs() < 20.0, "{last}");
    let few = json!({ "query": "{__name__=~'node_.+'}", "start": "now-1m", "limit": 2 });
    let few = structured(&client.tool(RANGE, few));
    assert_eq!((&few["series_returned"], &few["truncated"]), (&json!(2), &json!(true)));
}

#[test]
fn names_are_those_of_the_window_and_of_both_patterns() {
    let client = &clients()[0];
    let list = |arguments: Value| structured(&client.tool(LIST, arguments));
    let past = json!({ "start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z" });
    assert_eq!(list(past)["total"], 0, "nothing was scraped then");
    let end = json!({ "end": "2020-01-02T00:00:00Z" });
    assert_eq!(list(end)["total"], 0, "the window moves with its end");
    let both = list(json!({ "query": "node_*", "regex": "_total$" }));
    let names = both["metrics"].as_array().unwrap();
    let good = |name: &str| name.starts_with("node_") && name.ends_with("_total");
    assert!(!names.is_empty() && names.iter().all(|name| good(name.as_str().unwrap())), "{both}");
    assert!(both["total"].as_u64() < list(json!({ "query": "node_*" }))["total"].as_u64());
    let usual = list(json!({}));
    let lenient = list(json!({ "limit": 0, "offset": -1 }));
    assert_eq!(lenient["limit"], 100, "as in prometheus-mcp");
    assert_eq!((&lenient["metrics"], &lenient["offset"]), (&usual["metrics"], &json!(0)));
}

#[test]
fn a_promql_syntax_error_reaches_the_caller_whole() {
    for client in clients() {
        let said = fault(&client, QUERY, json!({ "query": "sum(up" }));
        assert!(said.contains("unclosed left parenthesis"), "{said}");
        assert!(said.contains("bad_data") && said.contains("Hint"), "{said}");
    }
}

#[test]
fn wrong_arguments_are_errors_that_say_what_is_right() {
    let cases = [
        (QUERY, json!({}), vec!["query"]),
        (QUERY, json!({ "query": "" }), vec!["query"]),
        (QUERY, json!({ "query": 7 }), vec!["query", "number", "string"]),
        (QUERY, json!({ "query": ["up"] }), vec!["query", "array", "string"]),
        (QUERY, json!({ "quary": "up" }), vec!["quary", "query", "time", "backend"]),
        (RANGE, json!({ "query": "up" }), vec!["start"]),
        (RANGE, json!({ "query": "up", "start": true }), vec!["start"]),
        (LIST, json!({ "limit": "many" }), vec!["limit", "number"]),
        (LIST, json!({ "offset": 1.5 }), vec!["offset", "whole number"]),
        (QUERY, json!({ "query": "up", "limit": 0 }), vec!["limit", "1 or more"]),
        (LIST, json!({ "query": "[" }), vec!["query"]),
        (LIST, json!({ "regex": "(" }), vec!["regex"]),
        (QUERY, json!({ "query": "up", "backend": "zzz" }), vec!["zzz", "prometheus"]),
        (QUERY, json!({ "query": "up", "org_id": "zzz" }), vec!["zzz"]),
    ];
    for client in clients() {
        for (tool, arguments, words) in &cases {
            let said = fault(&client, tool, arguments.clone());
            for word in words {
                assert!(said.contains(word), "{tool} {arguments}: `{word}` is not in: {said}");
            }
        }
    }
}

#[test]
fn an_unknown_tool_is_an_error_of_the_protocol() {
    for client in clients() {
        let reply = client.call_tool("prometheus_delete", json!({}));
        assert_eq!(reply.code(), Some(-32602), "{}", reply.http.text());
    }
}

#[test]
fn warnings_infos_and_native_histograms_of_the_backend_are_shown() {
    let histogram = json!({
        "count": "9007199254740993",
        "sum": "6",
        "buckets": [[0, "1", "2", "3"], [3, "-0.5", "0.5", "4"]],
    });
    let body = json!({
        "status": "success",
        "warnings": ["one store is away"],
        "infos": ["PromQL info: metric might not be a counter"],
        "data": { "resultType": "vector", "result": [
            { "metric": { "__name__": "h" }, "histogram": [1_769_860_800, histogram] },
            { "metric": { "__name__": "v" }, "value": [1_769_860_800.123, "9007199254740993"] },
        ]},
    })
    .to_string();
    let backend = Backend::answering(200, "application/json", body);
    let server = Server::in_front_of(&backend.url());
    let result = Client::stateless(server.mcp).tool(QUERY, json!({ "query": "x" }));
    let answer = structured(&result);
    assert_eq!(answer["warnings"][0], "one store is away");
    assert!(answer["infos"][0].as_str().unwrap().contains("not be a counter"));
    assert!(text(&result).contains("one store is away"), "{}", text(&result));
    assert_eq!(answer["series"][0]["histogram"][1], histogram);
    assert_eq!(answer["series"][1]["value"], json!([1_769_860_800.123, "9007199254740993"]));
}

#[test]
fn each_of_several_backends_is_asked_by_name_with_its_own_credentials_and_tenant() {
    let data = json!({ "resultType": "scalar", "result": [0, "1"] });
    let (eu, us) = (Backend::with_data(&data), Backend::with_data(&data));
    let server = Server::promgate(&config(&json!({
        "us": {
            "url": us.url(),
            "auth": { "type": "token", "token": "us-token" },
            "headers": { "X-Extra": "extra" },
        },
        "eu": {
            "url": format!("{}/prefix/", eu.url()),
            "org_id": "team-a",
            "available_orgs": ["team-a", "team-b"],
            "auth": { "type": "basic", "username": "me", "password": "eu-word" },
        },
    })));
    let client = Client::stateless(server.mcp);
    let said = fault(&client, QUERY, json!({ "query": "1" }));
    assert!(said.contains("eu, us"), "in a fixed order: {said}");
    structured(&client.tool(QUERY, json!({ "query": "1", "backend": "us" })));
    structured(&client.tool(QUERY, json!({ "query": "1", "backend": "eu" })));
    let other = json!({ "query": "1", "backend": "eu", "org_id": "team-b" });
    structured(&client.tool(QUERY, other));
    let refused = json!({ "query": "1", "backend": "eu", "org_id": "team-c" });
    assert!(fault(&client, QUERY, refused).contains("team-a, team-b"));

    let asked = us.received();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "POST /api/v1/query HTTP/1.1");
    assert_eq!(asked[0].header("authorization"), Some("Bearer us-token"));
    assert_eq!(asked[0].header("x-extra"), Some("extra"));
    assert_eq!(asked[0].header("x-scope-orgid"), None);
    assert!(asked[0].body.contains("query=1"), "{}", asked[0].body);
    let asked = eu.received();
    let orgs: Vec<_> = asked.iter().map(|one| one.header("x-scope-orgid")).collect();
    assert_eq!(orgs, [Some("team-a"), Some("team-b")], "a refused tenant is never asked for");
    assert_eq!(asked[0].line, "POST /prefix/api/v1/query HTTP/1.1");
    assert_eq!(asked[0].header("authorization"), Some("Basic bWU6ZXUtd29yZA=="));
}

#[test]
fn a_backend_that_takes_no_post_is_asked_with_get() {
    let backend = Backend::start(|received, stream| {
        if received.line.starts_with("POST") {
            return answer(stream, 405, "text/plain", b"no");
        }
        let data = json!({ "resultType": "scalar", "result": [0, "7"] });
        let body = json!({ "status": "success", "data": data }).to_string();
        answer(stream, 200, "application/json", body.as_bytes())
    });
    let server = Server::in_front_of(&backend.url());
    let result = Client::stateless(server.mcp).tool(QUERY, json!({ "query": "a + b" }));
    assert_eq!(structured(&result)["scalar"][1], "7");
    let last = backend.received().pop().unwrap();
    assert!(
        last.line.starts_with("GET /api/v1/query?") && last.line.contains("query=a"),
        "{last:?}"
    );
}

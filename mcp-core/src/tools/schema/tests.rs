use serde_json::Map;

use super::*;
use crate::{
    backend::fake::config,
    config::BackendConfig,
    tools::{TOOL_NAMES, tests::metrics},
};

fn configs() -> Vec<BackendConfig> {
    let org = |id| OrgId::parse(id).unwrap();
    let mut mimir = config("mimir", "http://h");
    mimir.org_id = Some(org("team-a"));
    mimir.available_orgs = vec![org("team-b"), org("team-a")];
    let mut thanos = config("thanos", "http://h");
    thanos.available_orgs = vec![org("x")];
    vec![thanos, config("prom", "http://h"), mimir]
}

fn tools(configs: Vec<BackendConfig>) -> Value {
    serde_json::to_value(metrics(configs).0.offer.load().tools.as_slice()).unwrap()
}

fn walk(value: &Value, see: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            see(object);
            object.values().for_each(|value| walk(value, see));
        }
        Value::Array(items) => items.iter().for_each(|value| walk(value, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Clients drop tools with unions, and some with references; see the facts on `x-mcp-header`.
#[test]
fn no_schema_has_a_union_a_reference_or_an_untyped_property() {
    let mut objects = 0;
    walk(&tools(configs()), &mut |schema| {
        objects += 1;
        for keyword in ["anyOf", "oneOf", "allOf", "$ref", "$defs", "nullable", "default"] {
            assert!(!schema.contains_key(keyword), "{keyword} in {schema:?}");
        }
        assert!(!schema.get("type").is_some_and(Value::is_array), "{schema:?}");
        assert_ne!(schema.get("type"), Some(&Value::from("null")), "{schema:?}");
        let Some(Value::Object(properties)) = schema.get("properties") else { return };
        for (name, property) in properties {
            assert!(property.get("type").is_some_and(Value::is_string), "{name}: {property}");
        }
    });
    assert!(objects > 50, "the walk saw the schemas");
}

#[test]
fn every_tool_is_named_in_order_titled_described_and_read_only() {
    let tools = tools(configs());
    let names: Vec<_> = tools.as_array().unwrap().iter().map(|t| t["name"].clone()).collect();
    assert_eq!(names, TOOL_NAMES);
    assert!(TOOL_NAMES.is_sorted());
    for tool in tools.as_array().unwrap() {
        assert!(tool["title"].is_string());
        assert!(tool["description"].as_str().unwrap().len() > 80);
        assert_eq!(
            tool["annotations"],
            json!({"title": tool["title"], "readOnlyHint": true, "destructiveHint": false,
                "idempotentHint": true, "openWorldHint": true})
        );
        assert_eq!(tool["inputSchema"]["additionalProperties"], json!(false));
        assert_eq!(tool["outputSchema"]["type"], "object");
    }
}

/// Freepik's prometheus-mcp: what its clients send is taken here.
#[test]
fn the_arguments_are_a_superset_of_those_replaced() {
    for (tool, arguments) in [
        ("prometheus_list_metrics", &["backend", "limit", "offset", "org_id", "query"][..]),
        ("prometheus_query", &["backend", "org_id", "query", "time"]),
        ("prometheus_range_query", &["backend", "end", "org_id", "query", "start", "step"]),
    ] {
        let tools = tools(configs());
        let found = tools.as_array().unwrap().iter().find(|t| t["name"] == tool).unwrap();
        for argument in arguments {
            assert!(
                found["inputSchema"]["properties"].get(argument).is_some(),
                "{tool} {argument}"
            );
        }
    }
}

#[test]
fn backends_and_tenants_are_named_in_a_fixed_order() {
    let tools = tools(configs());
    for tool in tools.as_array().unwrap() {
        let description = tool["description"].as_str().unwrap();
        assert!(description.ends_with(" Backends: mimir, prom, thanos."), "{description}");
    }
    let properties = &tools[0]["inputSchema"]["properties"];
    assert_eq!(
        properties["backend"]["description"],
        "Backend to query. Available: [mimir, prom, thanos]. Required, as there is more than one."
    );
    assert_eq!(
        properties["org_id"]["description"],
        "Tenant to query on a multi-tenant backend (X-Scope-OrgID). Backend 'mimir': default \
         'team-a', available [team-a, team-b]. Backend 'prom': no tenants. Backend 'thanos': no \
         default, available [x]."
    );
}

#[test]
fn a_single_backend_is_the_default_and_says_so() {
    let tools = tools(vec![config("prom", "http://h")]);
    let properties = &tools[0]["inputSchema"]["properties"];
    assert_eq!(
        properties["backend"]["description"],
        "Backend to query. Available: [prom]. Defaults to 'prom'."
    );
    assert!(
        properties["org_id"]["description"].as_str().unwrap().contains("No backend has tenants")
    );
}

/// A change of what clients see is a change of the file, to be reviewed. To accept one, run the
/// test with `PROMGATE_ACCEPT` set in the build: `PROMGATE_ACCEPT=1 cargo test -p mcp-core`.
#[test]
fn the_list_of_tools_is_the_one_on_file() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tools/snapshots/tools-list.json");
    let now = tools(configs());
    if option_env!("PROMGATE_ACCEPT").is_some() {
        let text = serde_json::to_string_pretty(&now).unwrap() + "\n";
        std::fs::write(file, text).unwrap();
    }
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(now, kept, "the list of tools changed; see this test's comment");
}

//! Real MCP clients list the tools and call all three.

use e2e::{
    clients::{NODE, node, python},
    mcp::STATELESS,
    paths::{program, temporary_folder, tool},
    server::{Server, config, prometheus, write_config},
};
use serde_json::{Value, json};

fn url() -> String {
    format!("http://{}/mcp", Server::shared_promgate().mcp)
}

fn good(report: &Value, version: &str) {
    let mut tools: Vec<&str> =
        report["tools"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    tools.sort_unstable();
    assert_eq!(tools, ["prometheus_list_metrics", "prometheus_query", "prometheus_range_query"]);
    for tool in tools {
        assert_eq!(report["calls"][tool]["error"], false, "{report}");
    }
    let structured = |tool: &str| &report["calls"][tool]["structured"];
    assert_eq!(structured("prometheus_query")["series"][0]["value"][1], "2", "{report}");
    assert_eq!(structured("prometheus_range_query")["result_type"], "matrix", "{report}");
    assert_eq!(structured("prometheus_list_metrics")["returned"], 5, "{report}");
    assert_eq!(report["version"], version, "{report}");
}

#[test]
fn python_2_finds_the_newest_revision_by_itself() {
    good(&python("py-mcp2", "python_mcp2.py", &[&url(), "auto"]), STATELESS);
}

#[test]
fn python_2_can_be_told_a_revision() {
    good(&python("py-mcp2", "python_mcp2.py", &[&url(), STATELESS]), STATELESS);
}

#[test]
fn python_2_in_its_legacy_mode() {
    good(&python("py-mcp2", "python_mcp2.py", &[&url(), "legacy"]), "2025-11-25");
}

#[test]
fn python_1() {
    good(&python("py-mcp1", "python_mcp1.py", &["http", &url()]), "2025-11-25");
}

#[test]
fn typescript_finds_the_newest_revision_by_itself() {
    good(&node("typescript.mjs", &[&url(), "auto"]), STATELESS);
}

#[test]
fn typescript_as_it_is_by_default() {
    good(&node("typescript.mjs", &[&url(), "legacy"]), "2025-11-25");
}

#[test]
fn mcp_remote_bridges_a_client_that_speaks_only_stdio() {
    let home = temporary_folder();
    let (node, remote) = (tool(NODE), tool("node/node_modules/.bin/mcp-remote"));
    let (url, home) = (url(), format!("HOME={}", home.path().display()));
    let arguments = [
        "stdio",
        "env",
        &home,
        node.to_str().unwrap(),
        remote.to_str().unwrap(),
        &url,
        "--allow-http",
        "--transport",
        "http-only",
    ];
    good(&python("py-mcp1", "python_mcp1.py", &arguments), "2025-11-25");
}

#[test]
fn python_1_over_promgates_own_stdio() {
    let files = write_config(&config(&json!({ "prometheus": prometheus() })));
    let (promgate, file) = (program("promgate"), files.path().join("config.yaml"));
    let arguments =
        ["stdio", promgate.to_str().unwrap(), "stdio", "--config", file.to_str().unwrap()];
    good(&python("py-mcp1", "python_mcp1.py", &arguments), "2025-11-25");
}

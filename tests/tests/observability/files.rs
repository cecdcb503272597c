//! The files that operators load.

use std::{fs, path::PathBuf};

use e2e::paths::workspace;
use serde_json::Value;

/// Recording rules.
pub(super) const RULES: &str = "conf/rules.yaml";
/// Alerts.
pub(super) const ALERTS: &str = "conf/alerts.yaml";
/// What promtool is given to test them.
pub(super) const RULE_TESTS: [&str; 2] = ["conf/alerts_test.yaml", "conf/alerts_days_test.yaml"];

/// A query of the dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) panel: String,
    pub(super) expression: String,
}

/// The text of a file of the repository.
pub(super) fn text(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Where the rules are.
pub(super) fn rule_files() -> [PathBuf; 2] {
    [RULES, ALERTS].map(|path| workspace().join(path))
}

/// The rules of a file, in its order.
pub(super) fn rules(path: &str) -> Vec<Value> {
    let file: Value = serde_yaml::from_str(&text(path)).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

pub(super) fn dashboard() -> Value {
    serde_json::from_str(&text("conf/grafana/promgate.json")).unwrap()
}

/// The panels of the dashboard that show something.
pub(super) fn panels() -> Vec<Value> {
    let all = dashboard()["panels"].as_array().unwrap().clone();
    all.into_iter().filter(|panel| panel["type"] != "row").collect()
}

/// The queries of all panels.
pub(super) fn queries() -> Vec<Query> {
    let of_panel = |panel: Value| {
        let targets = panel["targets"].as_array().unwrap().clone();
        targets.into_iter().map(move |target| Query {
            panel: panel["title"].as_str().unwrap().to_owned(),
            expression: target["expr"].as_str().unwrap().to_owned(),
        })
    };
    panels().into_iter().flat_map(of_panel).collect()
}

/// Every expression of rules, alerts and dashboard, each with where it stands.
pub(super) fn expressions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for path in [RULES, ALERTS] {
        for rule in rules(path) {
            let name = rule["alert"].as_str().or_else(|| rule["record"].as_str()).unwrap();
            all.push((format!("{path}: {name}"), rule["expr"].as_str().unwrap().to_owned()));
        }
    }
    for Query { panel, expression } in queries() {
        all.push((format!("the panel {panel}"), expression));
    }
    let dashboard = dashboard();
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        if let Some(expression) = annotation["expr"].as_str() {
            all.push((format!("the annotation {}", annotation["name"]), expression.to_owned()));
        }
    }
    all
}

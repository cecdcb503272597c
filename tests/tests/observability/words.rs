//! What is written for people: alerts, the runbook, and the dashboard.

use std::collections::HashSet;

use serde_json::Value;

use super::files;

#[test]
fn every_alert_says_what_how_bad_and_what_to_do() {
    let runbook = files::text("docs/runbook.md");
    let headings: Vec<&str> =
        runbook.lines().filter_map(|line| line.strip_prefix("## Promgate")).collect();
    let mut names = Vec::new();
    for rule in files::rules(files::ALERTS) {
        let name = rule["alert"].as_str().unwrap().to_owned();
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let annotations = &rule["annotations"];
        assert!(annotations["summary"].as_str().is_some_and(|text| !text.ends_with('.')), "{name}");
        assert!(
            annotations["description"].as_str().is_some_and(|text| text.ends_with('.')),
            "{name}"
        );
        let anchor = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(annotations["runbook_url"], anchor, "{name}");
        names.push(name.strip_prefix("Promgate").expect("a name of ours").to_owned());
    }
    assert_eq!(headings, names, "the runbook has a chapter for each alert, in their order");
}

#[test]
fn every_chapter_of_the_runbook_says_what_to_look_at_and_what_to_do() {
    let runbook = files::text("docs/runbook.md");
    for chapter in runbook.split("\n## Promgate").skip(1) {
        let name = chapter.lines().next().unwrap();
        for part in ["**Means.**", "**Look.**", "**Do.**"] {
            assert!(chapter.contains(part), "{name} has no {part}");
        }
    }
}

#[test]
fn every_panel_has_a_title_a_unit_a_description_and_a_legend() {
    let mut ids = HashSet::new();
    for panel in files::panels() {
        let title = panel["title"].as_str().unwrap();
        assert!(!title.is_empty() && ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}");
        let defaults = &panel["fieldConfig"]["defaults"];
        assert!(defaults["unit"].is_string(), "{title} has no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert!(
                target["legendFormat"].as_str().is_some_and(|text| !text.is_empty()),
                "{title}"
            );
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
        if panel["type"] == "timeseries" {
            assert_eq!(panel["options"]["legend"]["showLegend"], true, "{title}");
        }
    }
}

#[test]
fn the_dashboard_can_be_narrowed_to_a_job_a_replica_and_an_instance() {
    let dashboard = files::dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> =
        variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "job", "replica", "instance"]);
    for files::Query { panel, expression } in files::queries() {
        let whole = expression.starts_with("job:") || expression.starts_with("promgate:");
        assert!(whole || expression.contains("instance=~\"$instance\""), "{panel}: {expression}");
    }
}

#[test]
fn panels_lie_beside_and_below_one_another() {
    let dashboard = files::dashboard();
    let mut taken = HashSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} covers another panel", panel["title"]);
            }
        }
    }
    let rows: Vec<&Value> = dashboard["panels"].as_array().unwrap().iter().collect();
    assert_eq!(rows.iter().filter(|panel| panel["type"] == "row").count(), 7);
}

//! The rules by promtool: their form, and their own tests.

use std::time::Duration;

use e2e::{
    paths::{tool, workspace},
    process,
};

use super::{expression::selectors, files};

/// What takes days in the tests takes half a minute here, and longer on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

#[track_caller]
fn promtool(arguments: &[&str], files: &[&str]) {
    let files = files.iter().map(|file| workspace().join(file).display().to_string());
    let arguments = arguments.iter().map(|word| (*word).to_owned()).chain(files);
    let promtool = tool("prometheus/usr/bin/promtool");
    let (status, said) = process::run(&promtool, arguments, &[], PATIENCE);
    assert!(status.success(), "{said}");
}

#[test]
fn rules_and_alerts_are_well_formed() {
    promtool(&["check", "rules"], &[files::RULES, files::ALERTS]);
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    promtool(&["test", "rules"], &files::RULE_TESTS);
}

#[test]
fn every_alert_is_shown_to_fire() {
    let tests = files::RULE_TESTS.map(files::text).concat();
    for rule in files::rules(files::ALERTS) {
        let name = rule["alert"].as_str().unwrap();
        let firing = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\", ");
        let as_series = |line: &str| line.contains(&firing) && line.contains("value: 1 }");
        let with_words = tests.split("alertname: ").skip(1).any(|test| {
            let fires = test.contains("exp_labels:");
            fires && test.lines().next() == Some(name)
        });
        let shown = tests.lines().any(as_series) || with_words;
        assert!(shown, "{name} is in none of {:?}", files::RULE_TESTS);
    }
}

#[test]
fn every_recorded_value_is_asserted() {
    let tests = files::RULE_TESTS.map(files::text).concat();
    let asserting = tests.lines().filter(|line| line.contains("value: "));
    let asked = asserting.filter_map(|line| line.split_once("expr: '")?.1.split('\'').next());
    let asserted: Vec<_> = asked.flat_map(selectors).map(|found| found.name).collect();
    for rule in files::rules(files::RULES) {
        let name = rule["record"].as_str().unwrap();
        assert!(asserted.iter().any(|known| known == name), "{name} is asserted nowhere");
    }
}

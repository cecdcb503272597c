//! What the commands are asked of a log, as an operator types it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use e2e::{
    backend::Backend,
    mcp::Client,
    minter,
    paths::temporary_folder,
    process::until,
    server::{Server, guarded},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::read_back::{SECRET, ask, run, sealed_sink};

/// A log in which Alice asked three times and Bob, who may not, once at its end.
struct Written {
    folder: TempDir,
    /// The id of what was refused.
    refused: String,
}

impl Written {
    fn new() -> Self {
        let folder = temporary_folder();
        let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
        let mut config = guarded(&json!({ "main": { "url": backend.url() } }));
        config["authorization"] = json!({ "rules": [
            { "name": "all", "who": { "subjects": ["alice"] }, "tools": ["*"], "backends": ["*"] },
        ] });
        config["middleware"]["access_logs"] = sealed_sink(folder.path(), json!({ "age": "24h" }));
        std::fs::write(folder.path().join("config.yaml"), config.to_string()).unwrap();
        let server = Server::promgate(&config);
        let call = |name: &str, tool: &str, arguments: Value| {
            let client = Client::stateless(server.mcp).bearing(&minter::token(name));
            client.call_tool(tool, arguments)
        };
        let query = json!({ "query": "up" });
        for _ in 0..2 {
            assert_eq!(call("alice", "prometheus_query", query.clone()).status(), 200);
        }
        // It fails: the backend answers as if it were a query.
        assert_eq!(call("alice", "prometheus_list_metrics", json!({})).status(), 200);
        // Records tell milliseconds.
        let asked = Instant::now();
        until("the clock has moved on", || asked.elapsed() > Duration::from_millis(20));
        let refused = call("bob", "prometheus_query", query);
        server.terminate();
        assert!(server.exit(Duration::from_mins(1)).success());
        Self { folder, refused: refused.http.head.header("x-request-id").unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a command prints about the log, with a key in a file.
    fn told(&self, command: &str, arguments: &[&str]) -> String {
        let log = self.path("audit.log");
        let arguments = [&[command, text(&log)], arguments].concat();
        let (code, output) = ask(self.folder.path(), SECRET, &arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {output}");
        output
    }

    /// What it prints where the configuration names log and keys.
    fn told_by_config(&self, command: &str, arguments: &[&str]) -> String {
        let config = self.path("config.yaml");
        let arguments = [&[command, "--config", text(&config)], arguments].concat();
        let (code, output) = run(&arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {output}");
        output
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The table of a report under this title.
fn section<'r>(report: &'r str, title: &str) -> Vec<&'r str> {
    let (_, after) =
        report.split_once(&format!("\n{title}\n\n")).unwrap_or_else(|| panic!("{report}"));
    after.lines().take_while(|line| !line.is_empty()).collect()
}

#[test]
fn a_report_in_words_says_who_used_what_what_was_refused_and_what_cost_most() {
    let written = Written::new();
    let report = written.told("report", &[]);
    for line in
        ["requests    4", "of which    1 refused, 1 failed", "verified    yes, without a fault"]
    {
        assert!(report.lines().any(|said| said == line), "{line} in\n{report}");
    }
    let holding = |title: &str, parts: &[&str]| {
        let lines = section(&report, title);
        lines.iter().filter(|line| parts.iter().all(|part| line.contains(part))).count()
    };
    assert_eq!(holding("Refused and failed", &["forbidden", "tool_forbidden"]), 1, "{report}");
    assert_eq!(holding("Refused and failed", &["backend_error", "all"]), 1, "{report}");
    for title in ["Longest requests", "Largest answers"] {
        assert_eq!(holding(title, &["prometheus_query", "main"]), 2, "{title} of\n{report}");
        assert_eq!(holding(title, &[&written.refused, "prometheus_query"]), 1, "{report}");
        assert_eq!(holding(title, &["prometheus_list_metrics"]), 1, "{report}");
    }
    assert_eq!(holding("Longest requests", &[" ms"]) + holding("Longest requests", &[" s "]), 4);
    assert_eq!(holding("Most rows", &["prometheus_query", "main"]), 2, "{report}");
    assert_eq!(holding("Most rows", &[&written.refused]), 0, "nobody answered it: {report}");
}

#[test]
fn records_are_found_by_tool_and_by_time() {
    let written = Written::new();
    let count = |arguments: &[&str]| written.told("grep", &[arguments, &["--count"]].concat());
    assert_eq!(count(&["--tool", "prometheus_query"]), "3");
    assert_eq!(count(&["--tool", "prometheus_list_metrics"]), "1");
    let both = ["--tool", "prometheus_query", "--tool", "prometheus_list_metrics"];
    assert_eq!(count(&both), "4");
    assert_eq!(count(&["--tool", "prometheus_query", "--outcome", "forbidden"]), "1");
    let refused = written.told("grep", &["--request-id", &written.refused]);
    let refused: Value = serde_json::from_str(&refused).expect("one record");
    let time = refused["time"].as_str().unwrap();
    assert_eq!(count(&["--since", time]), "1");
    assert_eq!(count(&["--until", time]), "3");
    assert_eq!(count(&["--since", "2001-01-01", "--until", time]), "3");
    assert_eq!(count(&["--since", "1h"]), "4");
    assert_eq!(count(&["--until", "1h"]), "0");
    let since = written.told("grep", &["--since", time]);
    assert_eq!(serde_json::from_str::<Value>(&since).unwrap(), refused);
}

#[test]
fn a_configuration_names_log_keys_and_issuers() {
    let written = Written::new();
    let verified: Value =
        serde_json::from_str(&written.told_by_config("verify", &["--json"])).unwrap();
    assert_eq!(verified["good"], true, "{verified}");
    let report: Value =
        serde_json::from_str(&written.told_by_config("report", &["--json"])).unwrap();
    assert_eq!(report["faults"], 0, "{report}");
    assert_eq!(written.told_by_config("grep", &["--person", "alice", "--count"]), "3");
    assert_eq!(written.told_by_config("grep", &["--person", "bob", "--count"]), "1");
    let revealed: Value =
        serde_json::from_str(&written.told_by_config("reveal", &["--subject", "bob", "--json"]))
            .unwrap();
    let record: Value =
        serde_json::from_str(&written.told_by_config("grep", &["--request-id", &written.refused]))
            .unwrap();
    assert_eq!(revealed["pseudonyms"][0]["pseudonym"], record["subject"], "{revealed}");
}

//! Everything that operators load, in a real Prometheus that scrapes two replicas with a Redis while clients make
//! traffic of every kind.

use e2e::{
    http::{self, Request},
    mcp::Client,
    minter::{self, AUDIENCE},
    paths::temporary_folder,
    process::{pause, until},
    prometheus::Prometheus,
    provider::Provider,
    redis::Redis,
    replicas::Replicas,
    server::{prometheus, verification},
    tls::Authority,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::files::{self, Query};

const JOB: &str = "promgate";
/// What a variable of the dashboard is when all of its values are chosen.
const ALL: &str = ".+";
const AUDIT_KEY: &str = "a key of the audit for the tests: 32 bytes and more";

/// Parts of a run; each lives as long as it.
struct Run {
    replicas: Replicas,
    provider: Provider,
    _redis: Redis,
    _logs: TempDir,
    _authority: Authority,
    prometheus: Prometheus,
}

impl Run {
    fn start() -> Self {
        let (redis, provider) = (Redis::start(), Provider::start());
        let (logs, authority) = (temporary_folder(), Authority::new("replicas"));
        let folder = logs.path().to_path_buf();
        let url = format!("redis://{}/0", redis.address());
        let (issuer, keys) = (provider.issuer(), provider.jwks_uri());
        let leaf = authority.issue();
        let tls = json!({
            "cert_file": leaf.certificate, "key_file": leaf.key,
            "ca_file": authority.certificate(), "server_name": "127.0.0.1",
        });
        let replicas = Replicas::start_with(2, move |number, config| {
            let audit = folder.join(format!("audit-{number}.log"));
            config["middleware"]["access_logs"] = json!({
                "audit": { "keys": [AUDIT_KEY], "checkpoint_interval": "1s" },
                "sinks": [
                    { "name": "audit", "type": "file", "path": audit, "chain": true, "when_full": "refuse" },
                    { "name": "out", "type": "stdout" },
                ],
            });
            let local = json!({ "jwks_uri": keys, "issuer": issuer, "audiences": [AUDIENCE] });
            *verification(config) = local;
            config["oauth_protected_resource"]["auth_servers"] = json!([issuer]);
            config["cluster"]["tls"] = tls.clone();
            config["sessions"]["store"] = json!("redis");
            config["sessions"]["redis"] = json!({ "url": url, "timeout": "5s" });
            config["server"]["transport"]["http"]["limits"] = json!({ "body_bytes_max": "4KiB" });
            // Nobody listens there.
            config["backends"] =
                json!({ "main": prometheus(), "down": { "url": "http://127.0.0.1:9" } });
        });
        let targets: Vec<_> =
            replicas.all().iter().map(|replica| replica.place().admin()).collect();
        let prometheus = Prometheus::watching(JOB, &targets, &files::rule_files());
        Self { replicas, provider, _redis: redis, _logs: logs, _authority: authority, prometheus }
    }

    /// Some of everything that clients do, good and bad.
    fn traffic(&self, token: &str) {
        let (here, there) = (self.replicas.at(0).mcp(), self.replicas.at(1).mcp());
        for address in [here, there] {
            let client = Client::session_of(address, "2025-11-25", token);
            // One of the two owns the session, so that the other passes on.
            for client in [client.through(here), client.through(there)] {
                let _tools = client.call("tools/list", json!({}));
                let query = |backend: &str, query: &str| {
                    let asked = json!({ "backend": backend, "query": query });
                    client.call_tool("prometheus_query", asked)
                };
                assert_eq!(query("main", "up").status(), 200);
                let _bad_promql = query("main", "sum(");
                let _no_backend = query("down", "up");
            }
            let _deleted = client.delete();
            refusals(address);
        }
        let stateless = Client::stateless(here).bearing(token);
        let _listed = stateless.call("tools/list", json!({}));
        let large = json!({ "backend": "main", "query": "x".repeat(8 << 10) });
        let _too_large = stateless.call_tool("prometheus_query", large);
    }

    /// The value of an expression of the dashboard, for all that is scraped.
    fn evaluate(&self, expression: &str) -> Result<Vec<Value>, String> {
        self.prometheus.evaluate(&of_jobs(expression, ALL))
    }
}

/// An expression of the dashboard with its variables set: these jobs, all their instances.
fn of_jobs(expression: &str, jobs: &str) -> String {
    let expression = expression.replace("$__rate_interval", "10s");
    expression.replace("$job", jobs).replace("$instance", ALL)
}

/// Requests that are refused.
fn refusals(address: std::net::SocketAddr) {
    let _no_token = Client::stateless(address).call("tools/list", json!({}));
    let forged = minter::token("mallory");
    let _bad_token = Client::stateless(address).bearing(&forged).call("tools/list", json!({}));
    let _no_path = http::once(address, &Request::new("GET", "/nothing"));
}

/// Series that this run cannot have, each with the reason. None so far.
const WITHOUT_DATA: [(&str, &str); 0] = [];

#[test]
fn every_query_of_dashboard_rules_and_alerts_is_answered_by_a_real_prometheus() {
    let run = Run::start();
    let token = run.provider.token(AUDIENCE, "metrics:read");
    until("prometheus has scraped both", || {
        run.prometheus.evaluate("count(promgate_ready == 1)").unwrap().len() == 1
    });
    let excused = |query: &Query| WITHOUT_DATA.iter().any(|(panel, _)| query.panel == *panel);
    let mut without: Vec<Query> = files::queries().into_iter().filter(|q| !excused(q)).collect();
    for _round in 0..60 {
        run.traffic(&token);
        let has_none = |query: &Query| {
            let found = run.evaluate(&query.expression);
            let series = found.unwrap_or_else(|why| panic!("{query:?}: {why}"));
            // A share of nothing is no number.
            series.iter().all(|series| series["value"][1] == "NaN")
        };
        without.retain(has_none);
        if without.is_empty() {
            break;
        }
        (0..25).for_each(|_| pause());
    }
    assert_eq!(without, Vec::<Query>::new(), "these have no data");
    every_expression_is_understood(&run);
    nothing_of_others_is_shown(&run);
    every_rule_is_healthy(&run);
    variables_have_values(&run);
    an_alert_is_seen_coming(&run);
}

fn every_expression_is_understood(run: &Run) {
    for (place, expression) in files::expressions() {
        run.evaluate(&expression).unwrap_or_else(|why| panic!("{place}: {why}"));
    }
}

/// Prometheus, which is scraped too, is on no panel, even if all jobs are chosen: nothing is left of an expression
/// once what our job alone gives at the same moment is taken away.
fn nothing_of_others_is_shown(run: &Run) {
    let has_others = "process_start_time_seconds{job=\"prometheus\"}";
    until("prometheus has scraped itself", || {
        !run.prometheus.evaluate(has_others).unwrap().is_empty()
    });
    for (place, expression) in files::expressions() {
        let [all, ours] = [ALL, JOB].map(|jobs| of_jobs(&expression, jobs));
        // Compared with itself, what is no number is left out.
        let others = format!("(({all}) == ({all})) unless (({all}) == ({ours}))");
        let others = run.prometheus.evaluate(&others);
        assert_eq!(others, Ok(Vec::new()), "{place}");
    }
}

/// Prometheus has evaluated all of them, as groups and by itself.
fn every_rule_is_healthy(run: &Run) {
    let answer = run.prometheus.ask("/api/v1/rules");
    let groups = answer["data"]["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    let mut names: Vec<String> = rules
        .map(|rule| {
            assert_eq!(rule["health"], "ok", "{rule}");
            rule["name"].as_str().unwrap().to_owned()
        })
        .collect();
    let written = [files::RULES, files::ALERTS].map(files::rules).concat();
    let name =
        |rule: &Value| rule["alert"].as_str().or(rule["record"].as_str()).unwrap().to_owned();
    let mut written: Vec<String> = written.iter().map(name).collect();
    names.sort();
    written.sort();
    assert_eq!(names, written);
}

/// `label_values(selector, label)`, as Grafana asks for it.
fn variables_have_values(run: &Run) {
    let dashboard = files::dashboard();
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["query"]["query"].as_str() else { continue };
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) = inner.and_then(|inner| inner.rsplit_once(", ")).expect(query);
        let selector = selector.replace("$job", ".+").replace("$replica", ".+");
        let values = run.prometheus.label_values(&selector, label);
        let expected = if label == "job" { 1 } else { 2 };
        assert_eq!(values.len(), expected, "{query} gives {values:?}");
    }
}

/// One of the two is killed: what is to fire in two minutes is pending at once.
fn an_alert_is_seen_coming(run: &Run) {
    let pending = |name: &str| {
        let alert = format!("ALERTS{{alertname=\"{name}\", alertstate=\"pending\"}}");
        run.prometheus.evaluate(&alert).unwrap().len()
    };
    assert_eq!(pending("PromgateDown"), 0);
    let _log = run.replicas.at(1).kill();
    until("it is noticed", || pending("PromgateDown") == 1 && pending("PromgateReplicaDown") == 1);
}

use serde_json::{Value, json};

use super::*;
use crate::{
    access_log::{Event as RecordEvent, chain::Event},
    metrics::labels::{Limit, Outcome},
};

fn report_of(written: &Written, options: &ReportOptions) -> Report {
    let mut filter = Filter::new(Wanted::default(), None);
    report(&[written.log()], &mut filter, options).unwrap()
}

fn rows(report: &Value, table: &str) -> Vec<Value> {
    report["tables"][table]["rows"].as_array().unwrap().clone()
}

fn busy(format: SinkFormat) -> Written {
    let alice = identity(IdentityForm::Clear, "alice", SECRET);
    let bob = identity(IdentityForm::Clear, "bob", SECRET);
    let metrics = [Box::from("up"), Box::from("http_requests_total")];
    let refused = Record {
        status: Some(403),
        outcome: Outcome::Forbidden,
        reason: Some("tool"),
        rule: Some("rules[1]"),
        call: None,
        ..record("refused", Some(&bob))
    };
    Written::by(SECRET, format)
        .record(&record("a1", Some(&alice)))
        .record(&Record {
            duration: Duration::from_millis(2500),
            call: Some(&Call { fingerprint: Some("f00d"), metrics: &metrics, ..*CALL }),
            ..record("a2", Some(&alice))
        })
        .record(&refused)
        .record(&Record {
            status: Some(429),
            outcome: Outcome::RateLimited,
            limit: Some(Limit::AddressRate),
            ..refused
        })
        .record(&Record { event: RecordEvent::StreamOpen, ..record("s", Some(&bob)) })
        .event(&Event::RecordsDropped(12))
        .record(&Record { owner: Some(("r2", 1)), hop: 1, ..record("passed-on", None) })
        .record(&Record {
            event: RecordEvent::StreamEnd,
            bytes_out: 70_000,
            call: Some(&Call { backend: Some("other"), ..*CALL }),
            ..record("s", Some(&bob))
        })
}

fn in_both_formats(look: impl Fn(&Report, &Value)) {
    for format in [SinkFormat::Json, SinkFormat::Ecs] {
        let report = report_of(&busy(format), &ReportOptions::default());
        look(&report, &report.json());
        report.verdict().unwrap();
    }
}

#[test]
fn a_report_says_what_it_is_about() {
    in_both_formats(|report, json| {
        assert_eq!((&json["records"], &json["relayed"]), (&json!(5), &json!(1)));
        assert_eq!(json["streams"], json!({ "opened": 1, "ended": 1 }));
        assert_eq!(json["dropped"], json!({ "places": 1, "records": 12 }));
        assert_eq!(json["first"], "2026-11-30T00:00:01.000Z");
        assert_eq!(json["last"], "2026-11-30T00:00:07.000Z");
        assert_eq!(json["faults"], Value::Null);
        let text = report.to_string();
        for words in [
            "requests    5",
            "relayed     1 more",
            "of which    2 refused, 0 failed",
            "dropped     12 records at 1 places",
            "Refused and failed",
            "Slowest queries",
            "2.500 s",
            "verified    no",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    });
}

#[test]
fn a_report_sums_up_usage() {
    in_both_formats(|_, json| {
        let people = rows(json, "person");
        assert_eq!((&people[0]["person"], &people[0]["requests"]), (&json!("bob"), &json!(3)));
        assert_eq!((&people[0]["refused"], &people[0]["bytes_out"]), (&json!(2), &json!(72_000)));
        assert_eq!((&people[1]["person"], &people[1]["issuer"]), (&json!("alice"), &json!(ISSUER)));
        assert_eq!((&people[1]["rows"], &people[1]["duration_us"]), (&json!(6), &json!(2_505_000)));
        assert_eq!(rows(json, "backend").len(), 2);
    });
}

#[test]
fn a_report_tells_refusals_limits_and_costs() {
    in_both_formats(|_, json| {
        let refusals = rows(json, "refusals");
        assert_eq!(refusals.len(), 2);
        assert_eq!(
            (&refusals[0]["reason"], &refusals[0]["rule"]),
            (&json!("tool"), &json!("rules[1]"))
        );
        assert_eq!(refusals[0]["last_request_id"], "refused");
        assert_eq!(rows(json, "limits")[0]["limit"], "address_rate");
        let queries = rows(json, "queries");
        assert_eq!(queries[0]["fingerprint"], "f00d");
        assert_eq!(queries[0]["metrics"], "up, http_requests_total");
        assert_eq!(queries[0]["longest_us"], 2_500_000);
        assert_eq!(json["costs"]["longest"][0]["request_id"], "a2");
        assert_eq!(json["costs"]["largest"][0]["value"], 70_000);
    });
}

#[test]
fn a_report_can_be_by_client_or_session_and_of_some_records() {
    let written = busy(SinkFormat::Json);
    let by = |by| report_of(&written, &ReportOptions { by: Some(by), ..ReportOptions::default() });
    assert_eq!(rows(&by(By::Client).json(), "client")[0]["client_id"], "assistant");
    assert_eq!(rows(&by(By::Session).json(), "session"), Vec::<Value>::new());
    assert_eq!(by(By::Tool).json()["tables"].get("person"), None);
    let wanted = Wanted { people: vec!["alice".to_owned()], ..Wanted::default() };
    let mut filter = Filter::new(wanted, None);
    let report = report(&[written.log()], &mut filter, &ReportOptions::default()).unwrap();
    assert_eq!(report.json()["records"], 2);
}

#[test]
fn names_beyond_the_bound_are_summed_up_and_it_is_said() {
    let mut written = Written::new();
    for number in 0..50 {
        let who = identity(IdentityForm::Clear, &format!("user-{number}"), SECRET);
        written = written.record(&record("x", Some(&who)));
    }
    let options = ReportOptions { names_max: 20, rows_max: 5, ..ReportOptions::default() };
    let report = report_of(&written, &options);
    let json = report.json();
    let table = &json["tables"]["person"];
    assert_eq!(table["rows"].as_array().unwrap().len(), 5);
    assert_eq!(table["others"]["requests"], 45);
    assert_eq!((&table["other_names"], &table["other_names_is_all"]), (&json!(15), &json!(false)));
    let text = report.to_string();
    assert!(text.contains("(others: 15 and more)"), "{text}");
    assert!(text.contains("Only the first 20 names are told apart."), "{text}");
    assert_eq!(json["all"]["requests"], 50);
}

#[test]
fn with_keys_a_sealed_log_is_verified_on_the_way() {
    let written = Written::new().records(5);
    let options = ReportOptions { trust: written.keys().trust(), ..ReportOptions::default() };
    let good = report_of(&written, &options);
    assert!(good.to_string().contains("verified    yes"), "{good}");
    good.verdict().unwrap();
    // Of what is no copy a head file is expected.
    let log = logs(&[written.path()]).unwrap();
    let headless = report(&log, &mut Filter::new(Wanted::default(), None), &options).unwrap();
    assert!(matches!(headless.verdict(), Err(AuditError::Faults(1))));
    change(&written.path(), |lines| lines[2] = lines[2].replace("200", "500"));
    let bad = report_of(&written, &options);
    assert!(bad.to_string().contains("verified    1 faults"), "{bad}");
    assert!(matches!(bad.verdict(), Err(AuditError::Faults(1))));
    // A log without a chain is none that was changed.
    fs::write(written.path(), "{\"v\":1,\"outcome\":\"ok\"}\nstrange\n").unwrap();
    let plain = report_of(&written, &options);
    assert!(plain.to_string().contains("verified    no"), "{plain}");
    assert!(plain.to_string().contains("strange     1 lines"), "{plain}");
    plain.verdict().unwrap();
}

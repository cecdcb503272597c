use super::*;
use crate::{access_log::chain::Event, field::Field};

fn alice() -> Identity {
    identity(IdentityForm::Clear, "alice", SECRET)
}

/// Ids of the records that are found.
fn searched(written: &Written, wanted: Wanted, keys: Option<&Keys>) -> Vec<String> {
    let mut out = Vec::new();
    let mut filter = Filter::new(wanted, keys);
    let grepped = grep(&[written.log()], &mut filter, false, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), usize::try_from(grepped.found).unwrap());
    let id = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["request_id"].as_str().or(value["http.request.id"].as_str()).unwrap().to_owned()
    };
    text.lines().map(id).collect()
}

fn person(subject: &str) -> Wanted {
    Wanted { people: vec![subject.to_owned()], ..Wanted::default() }
}

#[test]
fn lines_are_printed_as_they_stand() {
    let written = Written::new().records(3).checkpoint(CheckpointReason::Interval);
    let mut out = Vec::new();
    let mut filter = Filter::new(Wanted::default(), None);
    let grepped = grep(&[written.log()], &mut filter, false, &mut out).unwrap();
    assert_eq!(grepped, Grepped { records: 3, found: 3 });
    let all = fs::read_to_string(written.path()).unwrap();
    let records: Vec<&str> = all.lines().skip(1).take(3).collect();
    assert_eq!(String::from_utf8(out).unwrap(), records.join("\n") + "\n");
}

#[test]
fn each_part_narrows_and_several_of_one_widen() {
    for format in [SinkFormat::Json, SinkFormat::Ecs] {
        let alice = alice();
        let written = Written::by(SECRET, format)
            .record(&record("a", Some(&alice)))
            .record(&Record { status: Some(403), tool: Some("other"), ..record("b", Some(&alice)) })
            .record(&Record {
                status: Some(401),
                outcome: crate::metrics::labels::Outcome::Unauthenticated,
                reason: Some("expired"),
                trace_id: Some("0af7651916cd43dd8448eb211c80319c"),
                ..record("c", None)
            })
            .event(&Event::RecordsDropped(1))
            .record(&Record {
                call: Some(&Call { backend: Some("b2"), ..*CALL }),
                ..record("d", None)
            });
        let text = |field, text: &str| Wanted {
            texts: vec![(field, vec![text.to_owned()])],
            ..Wanted::default()
        };
        let status = |words: &[&str]| Wanted {
            statuses: words.iter().map(|word| Statuses::parse(word).unwrap()).collect(),
            ..Wanted::default()
        };
        let at = |seconds| bound(&format!("2026-11-30T00:00:0{seconds}Z"), written.time);
        for (wanted, ids) in [
            (Wanted::default(), &["a", "b", "c", "d"][..]),
            (person("alice"), &["a", "b"]),
            (person("bob"), &[]),
            (Wanted { issuers: vec![ISSUER.to_owned()], ..Wanted::default() }, &["a", "b"]),
            (Wanted { issuers: vec!["x".to_owned()], ..person("alice") }, &[]),
            (text(Field::Tool, "other"), &["b"]),
            (text(Field::Backend, "b2"), &["d"]),
            (text(Field::Outcome, "unauthenticated"), &["c"]),
            (text(Field::Reason, "expired"), &["c"]),
            (text(Field::RequestId, "c"), &["c"]),
            (text(Field::TraceId, "0af7651916cd43dd8448eb211c80319c"), &["c"]),
            (status(&["4xx"]), &["b", "c"]),
            (status(&["403"]), &["b"]),
            (status(&["403", "200"]), &["a", "b", "d"]),
            (Wanted { since: at(2), ..Wanted::default() }, &["b", "c", "d"]),
            (Wanted { since: at(2), until: at(4), ..Wanted::default() }, &["b", "c"]),
            (
                Wanted {
                    texts: vec![(
                        Field::Tool,
                        vec!["other".to_owned(), "prometheus_query".to_owned()],
                    )],
                    ..status(&["4xx"])
                },
                &["b", "c"],
            ),
        ] {
            assert_eq!(searched(&written, wanted.clone(), None), ids, "{format:?} {wanted:?}");
        }
    }
}

#[test]
fn statuses_are_numbers_and_classes() {
    for bad in ["", "xx", "0xx", "99", "1000", "4x", "40x", "-1", "10xx"] {
        assert_eq!(Statuses::parse(bad), None, "{bad}");
    }
}

#[test]
fn a_person_is_found_under_every_pseudonym_that_the_keys_make() {
    let now = identity(IdentityForm::Hashed, "alice", SECRET);
    let before = identity(IdentityForm::Hashed, "alice", OTHER);
    let bob = identity(IdentityForm::Hashed, "bob", SECRET);
    let mut nameless = now.clone();
    nameless.issuer = None;
    let written = Written::new()
        .record(&record("clear", Some(&alice())))
        .record(&record("now", Some(&now)))
        .record(&record("before", Some(&before)))
        .record(&record("bob", Some(&bob)))
        .record(&record("nameless", Some(&nameless)));
    assert_eq!(searched(&written, person("alice"), None), ["clear"]);
    let keys = written.keys();
    assert_eq!(searched(&written, person("alice"), Some(&keys)), ["clear", "now"]);
    let with_issuer = Wanted { issuers: vec![ISSUER.to_owned()], ..person("alice") };
    assert_eq!(searched(&written, with_issuer, Some(&keys)), ["clear", "now", "nameless"]);
    let paths = [SECRET, OTHER].map(|secret| written.folder.path().join(format!("{secret}.key")));
    fs::write(&paths[1], OTHER).unwrap();
    let both = Keys::of_files(&paths).unwrap();
    assert_eq!(searched(&written, person("alice"), Some(&both)), ["clear", "now", "before"]);
    let pseudonym = now.subject.as_deref().unwrap();
    assert_eq!(searched(&written, person(pseudonym), None), ["now", "nameless"]);
}

#[test]
fn a_terminal_gets_nothing_that_plays_with_it() {
    let written = Written::new();
    written.append("{\"v\":1,\"tool\":\"\u{202e}evil\u{9b}\"}\n".as_bytes());
    for (for_terminal, harm) in [(true, false), (false, true)] {
        let mut out = Vec::new();
        let mut filter = Filter::new(Wanted::default(), None);
        grep(&[written.log()], &mut filter, for_terminal, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.contains('\u{202e}'), harm, "{text:?}");
    }
}

#[test]
fn a_name_is_revealed_under_each_key_and_its_records_are_counted() {
    let hashed = identity(IdentityForm::Hashed, "alice", SECRET);
    let written = Written::new()
        .record(&record("1", Some(&hashed)))
        .record(&record("2", Some(&hashed)))
        .record(&record("3", Some(&alice())));
    let keys = written.keys();
    let name = Name::Subject("alice".to_owned());
    assert!(matches!(reveal(&keys, &name, None, &[]), Err(AuditError::NoIssuer)));
    let revealed = reveal(&keys, &name, Some(ISSUER), &[written.log()]).unwrap();
    let text = revealed.to_string();
    assert!(text.contains(hashed.subject.as_deref().unwrap()), "{text}");
    assert!(text.contains("1 records hold the name in the clear"), "{text}");
    let json = revealed.json();
    assert_eq!(json["pseudonyms"][0]["records"], 2);
    assert_eq!(json["pseudonyms"][0]["key"], keys.public().next().unwrap().0.to_string());
    for (name, pseudonym) in [
        (Name::Group("dev".to_owned()), hashed.groups[1].clone()),
        (Name::ClientId("assistant".to_owned()), hashed.client_id.clone().unwrap()),
    ] {
        let json = reveal(&keys, &name, Some(ISSUER), &[written.log()]).unwrap().json();
        assert_eq!(json["pseudonyms"][0]["pseudonym"], *pseudonym);
        assert_eq!(json["pseudonyms"][0]["records"], 2);
    }
    let id = mcp_core::session::SessionId::parse(b"session-1").unwrap();
    let made = Pseudonyms::new(&[Secret::new(SECRET)]).unwrap().session(&id);
    let json = reveal(&keys, &Name::Session(id), None, &[]).unwrap().json();
    assert_eq!(json["pseudonyms"][0]["pseudonym"], made.as_str());
    assert_eq!(json["pseudonyms"][0]["records"], serde_json::Value::Null);
    assert_eq!(json["pseudonyms"].as_array().unwrap().len(), 1);
}

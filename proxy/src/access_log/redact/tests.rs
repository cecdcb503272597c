use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderName, HeaderValue};
use mcp_core::{principal::Principal, session::SessionId};
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::{
    access_log::{Call, Format, Record, identity::Identities, trial},
    config::{ArgumentForm, Identity, IdentityForm, Records, ToolArguments},
};

fn read(record: &Record<'_>, rules: &Rules) -> serde_json::Value {
    serde_json::from_str(&trial::written(record, Format::Json, rules)).unwrap()
}

fn names(value: &serde_json::Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn included_fields_are_written_and_those_that_every_record_holds() {
    let records =
        Records { fields_included: vec![Field::Tool, Field::Outcome], ..Records::default() };
    let value = read(&trial::record(), &trial::rules(records));
    assert_eq!(names(&value), ["outcome", "time", "tool", "v"]);
}

#[test]
fn excluded_fields_are_left_out_but_for_those_that_every_record_holds() {
    let fields_excluded = vec![Field::Time, Field::Version, Field::Peer, Field::UserAgent];
    let records = Records { fields_excluded, ..Records::default() };
    let value = read(&trial::record(), &trial::rules(records));
    assert!(value.get("time").is_some() && value.get("v").is_some());
    assert!(value.get("peer").is_none() && value.get("user_agent").is_none());
}

#[test]
fn a_field_is_masked_hashed_or_measured() {
    let records = Records {
        fields_redacted: vec![
            (Field::UserAgent, Redaction::Hash),
            (Field::Peer, Redaction::Mask),
            (Field::Client, Redaction::Hash),
            (Field::Tool, Redaction::Length),
            (Field::Owner, Redaction::Hash),
        ],
        ..Records::default()
    };
    let value = read(&trial::record(), &trial::rules(records));
    let hashed = |field, text: &[u8]| {
        trial::pseudonyms().of(Meaning::Field(field), "", text).as_str().to_owned()
    };
    assert_eq!(value["user_agent"], hashed(Field::UserAgent, b"curl/8"));
    assert_eq!(value["client"], hashed(Field::Client, b"192.0.2.9"));
    assert_eq!(value["owner"], hashed(Field::Owner, b"local"));
    assert_eq!(value["peer"], "***");
    assert_eq!(value["tool"], "len:16");
}

#[test]
fn a_hashed_peer_is_the_same_from_every_port() {
    let records =
        Records { fields_redacted: vec![(Field::Peer, Redaction::Hash)], ..Records::default() };
    let rules = trial::rules(records);
    let of = |port| {
        let peer = Some(([10, 0, 0, 1], port).into());
        read(&Record { peer, ..trial::record() }, &rules)["peer"].clone()
    };
    assert_eq!(of(1), of(2));
    assert!(of(1).as_str().unwrap().starts_with("h:"));
}

#[test]
fn without_a_key_a_mask_stands_in_place_of_a_hash() {
    let config = config::AccessLog {
        records: Records {
            fields_redacted: vec![(Field::UserAgent, Redaction::Hash)],
            ..Records::default()
        },
        ..config::AccessLog::off()
    };
    assert_eq!(read(&trial::record(), &Rules::new(&config, None))["user_agent"], "***");
}

#[test]
fn detectors_look_at_every_text_of_a_client() {
    let mail = "alice@example.com";
    let metrics: [Box<str>; 1] = [mail.into()];
    let record = Record {
        request_id: mail.as_bytes(),
        method: mail,
        path: b"/alice@example.com",
        user_agent: Some(mail.as_bytes()),
        protocol_version: Some(mail),
        client_name: Some(mail),
        client_version: Some(mail),
        rpc_method: Some(mail),
        rpc_id: Some(mail.as_bytes()),
        tool: Some(mail),
        prompt: Some(mail),
        call: Some(&Call {
            query: Some(mail),
            metrics: &metrics,
            functions: &metrics,
            labels: &metrics,
            ..*trial::CALL
        }),
        ..trial::record()
    };
    let rules = trial::rules(Records::default());
    for format in Format::ALL {
        let bytes = trial::bytes(&record, format, &rules);
        let shown = String::from_utf8_lossy(&bytes);
        assert!(!shown.contains("alice") && shown.contains("[email]"), "{format:?} {shown}");
    }
    let off = Records { detectors: Detectors::NONE, ..Records::default() };
    assert!(trial::written(&record, Format::Json, &trial::rules(off)).contains(mail));
}

#[test]
fn what_is_encoded_for_a_url_is_found_and_shown_decoded_then_alone() {
    let rules = trial::rules(Records::default());
    for (path, wanted) in [
        ("/a%20b/c", "/a%20b/c"),
        ("/people/a%40b.example", "/people/[email]"),
        ("/x/password%3Dhunter22", "/x/password=[key]"),
        ("/-----BEGIN%20PRIVATE%20KEY-----%0Aabc%0A-----END%20PRIVATE%20KEY-----", "/[key]"),
    ] {
        let record = Record { path: path.as_bytes(), ..trial::record() };
        assert_eq!(read(&record, &rules)["path"], wanted, "{path}");
    }
}

#[test]
fn a_secret_at_the_cut_is_taken_out_whole() {
    let rules = trial::rules(Records::default());
    let secret = "dBjftJeZ4CVPmB92K27uhbUJU1p1rwW1gFWFOEjXk";
    for before in 200..260 {
        let text = format!("{} {secret} end of it", "a ".repeat(before / 2));
        let record = Record { user_agent: Some(text.as_bytes()), ..trial::record() };
        let shown = read(&record, &rules)["user_agent"].as_str().unwrap().to_owned();
        assert!(!shown.contains("dBjf"), "{before}: {shown}");
    }
}

#[test]
fn what_is_shown_was_looked_at_however_much_was_taken_out() {
    let rules = trial::rules(Records::default());
    let jwt = format!("eyJ{}.{}.x", "a".repeat(400), "b".repeat(400));
    let text = format!("{jwt} {} alice@example.com", "c ".repeat(600));
    let long = format!("{} alice@example.com", "d ".repeat(1300));
    let shown = |query| {
        let call = Call { query: Some(query), ..*trial::CALL };
        let record = Record { call: Some(&call), ..trial::record() };
        read(&record, &rules)["query"].as_str().unwrap().to_owned()
    };
    let seen = shown(&text);
    assert!(seen.starts_with("[jwt] c c") && !seen.contains("alice"), "{seen}");
    assert!(!shown(&long).contains("alice"));
}

#[test]
fn ids_that_look_like_ids_are_left_as_they_are() {
    let rules = trial::rules(Records::default());
    let uuid = "550e8400-e29b-41d4-a716-446655440000";
    let token = "dBjftJeZ4CVPmB92K27uhbUJU1p1rwW1gFWFOEjXk";
    let record =
        Record { request_id: uuid.as_bytes(), rpc_id: Some(token.as_bytes()), ..trial::record() };
    let value = read(&record, &rules);
    assert_eq!((&value["request_id"], &value["rpc_id"]), (&uuid.into(), &"[secret]".into()));
}

fn raw(json: &str) -> Box<RawValue> {
    serde_json::from_str(json).unwrap()
}

fn argument_rules() -> Rules {
    let redacted = ArgumentForm::Redacted;
    let arguments = [
        ("query", ArgumentForm::Clear),
        ("time", redacted(Redaction::Mask)),
        ("tenant", redacted(Redaction::Hash)),
        ("other", redacted(Redaction::Length)),
    ];
    trial::rules(Records {
        arguments: vec![ToolArguments {
            tool: "prometheus_query".to_owned(),
            arguments: arguments.map(|(name, form)| (name.to_owned(), form)).into(),
        }],
        ..Records::default()
    })
}

#[test]
fn arguments_are_written_by_name_and_in_their_form() {
    let rules = argument_rules();
    let given = [
        ("query", raw(r#""up{a=\"alice@example.com\"}""#)),
        ("time", raw(r#""now""#)),
        ("tenant", raw(r#""team""#)),
        ("other", raw("[1,2]")),
        ("unnamed", raw(r#""canary""#)),
        ("query", raw(r#""down\n""#)),
    ];
    let each = |see: &mut dyn FnMut(&str, &RawValue)| {
        for (name, value) in &given {
            see(name, value);
        }
    };
    let arguments = rules.arguments("prometheus_query", |see| {
        for (name, value) in &given {
            see(name, value);
        }
    });
    let record = Record { arguments: arguments.as_ref(), ..trial::record() };
    let tenant = trial::pseudonyms().of(Meaning::Argument, "", b"team");
    let wanted = serde_json::json!({
        "query": "down\n", "time": "***", "tenant": tenant.as_str(), "other": "len:5",
    });
    assert_eq!(read(&record, &rules)["arguments"], wanted, "the last of two counts");
    assert!(rules.arguments("prometheus_range_query", |_| each(&mut |_, _| ())).is_none());
    assert!(rules.arguments("prometheus_query", |_| ()).is_none());
    assert!(!format!("{arguments:?}").contains("down"));
}

#[test]
fn detectors_look_at_arguments() {
    let rules = argument_rules();
    let query = raw(r#""up{a=\"alice@example.com\"}""#);
    let arguments = rules.arguments("prometheus_query", |see| see("query", &query));
    let record = Record { arguments: arguments.as_ref(), ..trial::record() };
    assert_eq!(read(&record, &rules)["arguments"]["query"], "up{a=\"[email]\"}");
}

#[test]
fn detectors_look_behind_the_escapes_of_arguments_that_are_no_texts() {
    let rules = argument_rules();
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVPmB92K27uhb";
    for (given, wanted) in [
        (r#"["{password=\"hunter2\"}"]"#.to_owned(), r#"["{password=\"[key]"]"#),
        (format!(r#"["\u0065{}"]"#, jwt.strip_prefix('e').unwrap()), r#"["[jwt]"]"#),
        (r#"{"a\u0040b.example": 1}"#.to_owned(), r#"{"[email]": 1}"#),
        (r#"{"\u0070assword":"a\"b","c":"d"}"#.to_owned(), r#"{"password":"[key]","c":"d"}"#),
        (r#"["x\\", "\ud800hunter2"]"#.to_owned(), r#"["x\\", "***"]"#),
        (
            r#"[1, {"b": [true, null, "c"]}, 4111111111111111]"#.to_owned(),
            r#"[1, {"b": [true, null, "c"]}, [card]]"#,
        ),
        ("5".to_owned(), "5"),
    ] {
        let value = raw(&given);
        let arguments = rules.arguments("prometheus_query", |see| see("query", &value));
        let record = Record { arguments: arguments.as_ref(), ..trial::record() };
        assert_eq!(read(&record, &rules)["arguments"]["query"], wanted, "{given}");
    }
}

#[test]
fn all_that_stands_under_a_name_that_tells_of_a_secret_is_masked() {
    let shown = |rules: &Rules, given: &str| {
        let value = raw(given);
        let arguments = rules.arguments("prometheus_query", |see| see("query", &value));
        let record = Record { arguments: arguments.as_ref(), ..trial::record() };
        read(&record, rules)["arguments"]["query"].as_str().unwrap().to_owned()
    };
    let rules = argument_rules();
    for (given, wanted) in [
        (r#"{"password":["canary"]}"#, r#"{"password":"[key]"}"#),
        (r#"{"password":123,"a":1}"#, r#"{"password":"[key]","a":1}"#),
        (r#"{"password" : "" }"#, r#"{"password" : "[key]"}"#),
        // Neither a switch nor nothing nor a number of tokens is one.
        (r#"{"password" : null ,"x":0}"#, r#"{"password" : null ,"x":0}"#),
        (r#"{"use_auth":false,"token":true}"#, r#"{"use_auth":false,"token":true}"#),
        (r#"{"max_tokens":1000}"#, r#"{"max_tokens":1000}"#),
        (r#"{"tokens":[1000]}"#, r#"{"tokens":"[key]"}"#),
        (r#"{"auth":{"token":"short"}}"#, r#"{"auth":"[key]"}"#),
        (r#"{"author":{"token":"short"}}"#, r#"{"author":{"token":"[key]"}}"#),
        (
            r#"[{"x":{"apiKey":{"value":"canary","b":["]}",{}]},"y":"z"}}]"#,
            r#"[{"x":{"apiKey":"[key]","y":"z"}}]"#,
        ),
        (r#"{"Access-Tokens":["can\"ary\\"],"y":[1]}"#, r#"{"Access-Tokens":"[key]","y":[1]}"#),
        (r#"{"\u0063redentials":[[["canary"]]]}"#, r#"{"credentials":"[key]"}"#),
        (r#"{"\ud800":["canary"],"y":2}"#, r#"{"***":"***","y":2}"#),
        (r#"{"key":["a"],"passing":{"b":1}}"#, r#"{"key":["a"],"passing":{"b":1}}"#),
        (r#"["password",["a"]]"#, r#"["password",["a"]]"#),
        // The same within a text, and within a text of that.
        (r#""{\"password\":[\"canary]\",{}],\"y\":1}""#, r#"{"password":[key],"y":1}"#),
        (
            r#"["{\"secret\":{\"a]\":\"canary\\\"]\"},\"y\":1}"]"#,
            r#"["{\"secret\":[key],\"y\":1}"]"#,
        ),
        (r#""token: [canary, canary""#, "token: [key]"),
    ] {
        assert_eq!(shown(&rules, given), wanted, "{given}");
    }
    let long = format!(r#"{{"password":["{}"],"y":1}}"#, "canary".repeat(2000));
    assert_eq!(shown(&rules, &long), r#"{"password":"[key]","y":1}"#);
    // What is written shorter than it came must not let follow what nobody has looked at.
    let beyond = format!(r#"{{"token":"x","a":"{}","sshAuth":["canary"]}}"#, "%20".repeat(700));
    assert!(!shown(&rules, &beyond).contains("canary"));
    let off = trial::rules(Records {
        detectors: Detectors::NONE,
        arguments: vec![ToolArguments {
            tool: "prometheus_query".to_owned(),
            arguments: vec![("query".to_owned(), ArgumentForm::Clear)],
        }],
        ..Records::default()
    });
    assert_eq!(shown(&off, r#"{"password":["x"]}"#), r#"{"password":["x"]}"#);
}

#[test]
fn an_argument_of_many_texts_is_cut() {
    let rules = argument_rules();
    let value = raw(&format!("[{}1]", r#""a b","#.repeat(2000)));
    let arguments = rules.arguments("prometheus_query", |see| see("query", &value));
    let record = Record { arguments: arguments.as_ref(), ..trial::record() };
    let shown = read(&record, &rules)["arguments"]["query"].as_str().unwrap().to_owned();
    assert!(shown.starts_with(r#"["a b","#) && shown.ends_with('…'), "{shown}");
    assert!(shown.len() < 2100, "{}", shown.len());
}

/// A secret in the forms in which it could be found again.
fn forms(secret: &str) -> Vec<String> {
    let hex = secret.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let url = secret.bytes().fold(String::new(), |mut url, byte| {
        write!(url, "%{byte:02X}").unwrap();
        url
    });
    let mut forms = vec![secret.to_owned(), hex, url];
    for shift in 0..3 {
        let whole = BASE64_STANDARD.encode([&vec![b'x'; shift][..], secret.as_bytes()].concat());
        // Without what depends on the bytes beside it.
        let whole = whole.trim_end_matches('=');
        forms.push(whole.get(4..whole.len() - 2).unwrap().to_owned());
    }
    forms
}

fn form() -> impl Strategy<Value = IdentityForm> {
    prop_oneof![Just(IdentityForm::Hashed), Just(IdentityForm::Off)]
}

prop_compose! {
    fn configurations()(
        included in proptest::collection::vec(0..Field::COUNT, 0..4),
        excluded in proptest::collection::vec(0..Field::COUNT, 0..8),
        redacted in proptest::collection::vec((0..Field::COUNT, 0..3_usize), 0..8),
        [issuer, subject, client_id, groups] in [form(), form(), form(), form()],
        [jwt, key, email, card, entropy] in any::<[bool; 5]>(),
        named in any::<bool>(),
    ) -> Records {
        let field = |place: usize| Field::ALL[place];
        let redactions = [Redaction::Mask, Redaction::Hash, Redaction::Length];
        Records {
            fields_included: included.into_iter().map(field).collect(),
            fields_excluded: excluded.into_iter().map(field).collect(),
            fields_redacted: redacted
                .into_iter()
                .map(|(place, form)| (field(place), redactions[form]))
                .collect(),
            identity: Identity { issuer, subject, client_id, groups },
            arguments: named
                .then(|| ToolArguments {
                    tool: "prometheus_query".to_owned(),
                    arguments: vec![
                        ("time".to_owned(), ArgumentForm::Clear),
                        ("masked".to_owned(), ArgumentForm::Redacted(Redaction::Mask)),
                        ("hashed".to_owned(), ArgumentForm::Redacted(Redaction::Hash)),
                    ],
                })
                .into_iter()
                .collect(),
            detectors: Detectors { jwt, key, email, card, entropy },
            queries: Queries::Off,
        }
    }
}

/// Headers that are never clear, whatever the configuration says, and one that no rule names.
const SECRET_HEADERS: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "mcp-session-id",
    "mcp-param-query",
    "x-api-key",
    "x-access-token",
    "promgate-hop",
    "x-unnamed",
];

proptest! {
    #[test]
    fn no_planted_secret_is_in_any_record(
        records in configurations(),
        secrets in proptest::collection::vec("[a-z0-9]{6}[A-Za-z0-9/+ ]{8}[a-z0-9]{6}", 17..18),
        named in proptest::collection::vec(any::<bool>(), 8),
    ) {
        let rules = trial::rules_with(records.clone(), |config| {
            for (place, name) in SECRET_HEADERS.iter().enumerate().take(8) {
                let name: HeaderName = name.parse().unwrap();
                if named[place] {
                    config.included_headers.push(name);
                } else {
                    config.redacted_headers.push(name);
                }
            }
        });
        let mut headers = HeaderMap::new();
        for (name, secret) in SECRET_HEADERS.iter().zip(&secrets) {
            let name: HeaderName = name.parse().unwrap();
            headers.insert(name, HeaderValue::from_str(secret).unwrap());
        }
        let [query, fragment, issuer, subject, client, group, unnamed, other] = &secrets[9..] else {
            panic!("17 secrets")
        };
        let path = format!("/mcp?token={query}#{fragment}");
        let uri = format!("prom://x?{query}");
        let identity = Identities::new(records.identity, Some(trial::pseudonyms())).of(&Principal {
            issuer: issuer.as_str().into(),
            subject: subject.as_str().into(),
            client_id: Some(client.as_str().into()),
            groups: vec![group.clone()],
            scopes: vec![other.clone()],
        });
        let id: String = secrets[3].chars().filter(|c| *c != ' ').collect();
        let session = trial::pseudonyms().session(&SessionId::parse(id.as_bytes()).unwrap());
        let values = [unnamed, other].map(|secret| raw(&serde_json::to_string(secret).unwrap()));
        let time = raw(r#""now""#);
        let arguments = rules.arguments("prometheus_query", |see| {
            see("unnamed", &values[0]);
            see("masked", &values[0]);
            see("hashed", &values[1]);
            see("time", &time);
        });
        let record = Record {
            path: path.as_bytes(),
            resource: Some(&uri),
            session: Some(&session),
            identity: Some(&identity),
            arguments: arguments.as_ref(),
            headers: rules.headers(&headers),
            ..trial::record()
        };
        for format in Format::ALL {
            let bytes = trial::bytes(&record, format, &rules);
            let text = String::from_utf8_lossy(&bytes);
            for secret in secrets.iter().chain([&id]) {
                for form in forms(secret) {
                    prop_assert!(!text.contains(&form), "{form} of {secret} in {format:?} {text}");
                }
            }
        }
    }
}

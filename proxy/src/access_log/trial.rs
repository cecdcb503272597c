//! Records and rules of tests.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue};
use mcp_core::{principal::Principal, secret::Secret, session::SessionId};
use serde_json::value::RawValue;

use super::{
    Call, Event, Format, Record, Rules, Tell as _, Tls, identity::Identities, pseudonym::Pseudonyms,
};
use crate::{
    config::{self, ArgumentForm, Identity, IdentityForm, Records, ToolArguments},
    metrics::labels::{Limit, Outcome},
};

static UP: LazyLock<Box<[Box<str>]>> = LazyLock::new(|| Box::new(["up".into()]));

/// Those of the key `k…k`.
pub(super) fn pseudonyms() -> Arc<Pseudonyms> {
    Arc::new(Pseudonyms::new(&[Secret::new("k".repeat(32))]).unwrap())
}

pub(super) fn rules(records: Records) -> Rules {
    rules_with(records, |_| ())
}

pub(super) fn rules_with(records: Records, change: impl FnOnce(&mut config::AccessLog)) -> Rules {
    let mut config = config::AccessLog { records, ..config::AccessLog::off() };
    change(&mut config);
    Rules::new(&config, Some(pseudonyms()))
}

pub(super) fn bytes(record: &Record<'_>, format: Format, rules: &Rules) -> Vec<u8> {
    let mut out = Vec::new();
    record.write(format, rules, &mut out);
    out
}

pub(super) fn written(record: &Record<'_>, format: Format, rules: &Rules) -> String {
    String::from_utf8(bytes(record, format, rules)).unwrap()
}

/// What is told of a usual call.
pub(super) static CALL: LazyLock<Call<'static>> = LazyLock::new(|| Call {
    backend: Some("eu"),
    upstream_status: Some(200),
    upstream_time: Some(Duration::from_micros(8500)),
    retries: Some(0),
    fingerprint: Some("00112233aabbccdd"),
    form: Some("parsed"),
    metrics: &UP,
    rows: Some(3),
    rows_total: Some(3),
    bytes: Some(512),
    ..Call::default()
});

/// The record of a usual call.
pub(super) fn record() -> Record<'static> {
    Record {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_201_714_007),
        request_id: b"r-1",
        replica: Some("local"),
        listener: Some("clients"),
        method: "POST",
        path: b"/mcp",
        status: Some(200),
        duration: Duration::from_micros(12_034),
        bytes_in: 151,
        peer: Some(SocketAddr::from((Ipv4Addr::new(10, 0, 200, 7), 38288))),
        client: Some(Ipv4Addr::new(192, 0, 2, 9).into()),
        user_agent: Some(b"curl/8"),
        era: Some("session"),
        protocol_version: Some("2025-11-25"),
        client_name: Some("inspector"),
        client_version: Some("0.9.1"),
        rpc_method: Some("tools/call"),
        rpc_id: Some(b"7"),
        tool: Some("prometheus_query"),
        auth: Some("off"),
        call: Some(&CALL),
        worker: Some(3),
        owner: Some(("local", 3)),
        ..Record::default()
    }
}

/// A record of which everything is known.
pub(super) fn full(see: impl FnOnce(&Record<'_>)) {
    let form = ArgumentForm::Clear;
    let records = Records {
        arguments: vec![ToolArguments {
            tool: "prometheus_query".to_owned(),
            arguments: vec![("query".to_owned(), form)],
        }],
        ..Records::default()
    };
    let rules = rules_with(records, |config| {
        config.included_headers = vec![http::header::ACCEPT];
    });
    let mut headers = HeaderMap::new();
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
    let query: Box<RawValue> = serde_json::from_str(r#""up""#).unwrap();
    let arguments = rules.arguments("prometheus_query", |see| see("query", &query));
    let clear = IdentityForm::Clear;
    let forms = Identity { issuer: clear, subject: clear, client_id: clear, groups: clear };
    let identity = Identities::new(forms, None).of(&Principal {
        issuer: "https://idp".into(),
        subject: "alice".into(),
        client_id: Some("cli".into()),
        groups: vec!["sre".to_owned(), "dev".to_owned()],
        scopes: Vec::new(),
    });
    let session = pseudonyms().session(&SessionId::parse(b"s-1").unwrap());
    see(&Record {
        event: Event::StreamEnd,
        trace_id: Some("0af7651916cd43dd8448eb211c80319c"),
        tls: Some(&Tls { version: "1.3", cipher: "TLS13_AES_128_GCM_SHA256", client: "00ff" }),
        prompt: Some("incident"),
        resource: Some("prom://eu/rules"),
        session: Some(&session),
        identity: Some(&identity),
        rule: Some("readers"),
        limit: Some(Limit::ToolRate),
        call: Some(&Call {
            tenant: Some("team-a"),
            functions: &UP,
            labels: &UP,
            query: Some("up"),
            range: Some(Duration::from_hours(1)),
            step: Some(Duration::from_secs(15)),
            truncated: Some("size"),
            ..*CALL
        }),
        arguments: arguments.as_ref(),
        via: Some("other"),
        hop: 1,
        stream: Some("call"),
        outcome: Outcome::Ok,
        reason: Some("policy"),
        headers: rules.headers(&headers),
        ..record()
    });
}

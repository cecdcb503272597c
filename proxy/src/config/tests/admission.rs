//! Settings of tokens, policy and limits arrive where they belong.

use std::num::NonZeroU32;

use jsonwebtoken_jwks::{algorithm::Algorithm, policy::ClaimPath, source::Source};

use super::*;

const EVERYTHING: &str = r#"
server:
  transport: {http: {host: ":8080", trusted_proxies: [10.1.2.3, 10.1.2.3/8, "fd00::1"]}}
  reload_interval: 1m
middleware:
  jwt:
    enabled: true
    validation:
      strategy: local
      local:
        issuer: https://i.example/
        discovery: true
        allow_http: true
        cache_interval: 2h
        fetch_timeout: 1s
        algorithms: [ES256, ES256, RS512]
        leeway: 0s
        lifetime_max: 90d
        optional_claims: [sub, exp]
        required_claims: {token_use: access, azp: [a, b]}
        groups_claim: [realm_access.roles, "cognito:groups"]
        scopes_required: [metrics:read]
        allow_conditions: [{expression: payload.a == "b"}]
        issuers:
          - issuer: second
            audiences: [x, y]
            jwks_uri: http://127.0.0.1:9/keys
            stale_max: 10m
          - issuer: third
            jwks: '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
        cache_entries_max: 7
  rate_limits:
    address: {requests: 10/s, failed_authentications: "off"}
    principal: {requests: 100/h, burst: 5, in_flight_max: 0}
    tools: [{tool: "*_query", requests: 2/m, burst: 9}]
    entries_max: 3
authorization:
  rules:
    - {name: all, who: anyone, tools: [prometheus_query]}
    - name: some
      who: {issuers: [second], subjects: [s], groups: [g], scopes: [c], condition: payload.a == "b"}
      backends: ["p*"]
oauth_protected_resource:
  enabled: true
  resource: https://mcp.example.com
  auth_servers: [https://i.example/]
  scopes_supported: [metrics:read]
oauth_authorization_server: {enabled: true, issuer_uri: "https://i.example/", url_suffix: /a, cache_interval: 1m}
backends: {p: {url: "http://p"}}
"#;

/// A set of keys. The key is the example of RFC 8037, appendix A.2.
const SET: &str = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn verification() -> Verification {
    match parsed(EVERYTHING).authentication {
        Authentication::Local(verification) => verification,
        other @ (Authentication::None | Authentication::External { .. }) => panic!("{other:?}"),
    }
}

fn rate(count: u32, secs: u64, burst: u32) -> Rate {
    let number = |n| NonZeroU32::new(n).expect("over zero");
    Rate { count: number(count), per: Duration::from_secs(secs), burst: number(burst) }
}

#[test]
fn the_settings_of_an_issuer_arrive() {
    let verification = verification();
    assert_eq!(verification.cache_entries_max, 7);
    let first = &verification.issuers[0];
    let policy = &first.policy;
    assert_eq!(policy.issuer, "https://i.example/");
    assert_eq!(policy.audiences, ["https://mcp.example.com"], "as written, without a slash");
    assert_eq!(policy.algorithms, [Algorithm::Es256, Algorithm::Rs512]);
    assert_eq!(
        (policy.leeway, policy.lifetime_max),
        (Duration::ZERO, Duration::from_hours(24 * 90))
    );
    assert!(policy.required.issuer && policy.required.audience);
    assert!(!policy.required.subject && !policy.required.expiry);
}

#[test]
fn what_a_token_must_hold_arrives() {
    let verification = verification();
    let first = &verification.issuers[0];
    let policy = &first.policy;
    let claims: Vec<_> =
        policy.claims.iter().map(|rule| (rule.path.as_str(), rule.any_of.join(" "))).collect();
    assert_eq!(claims, [("azp", "a b".to_owned()), ("token_use", "access".to_owned())]);
    let groups: Vec<_> = policy.groups.iter().map(ClaimPath::as_str).collect();
    assert_eq!(groups, ["realm_access.roles", "cognito:groups"]);
    assert_eq!(first.scopes_required, ["metrics:read"]);
    assert_eq!(first.allow_conditions[0].text(), "payload.a == \"b\"");
    assert_eq!(
        &*first.allow_conditions[0].place,
        "middleware.jwt.validation.local.allow_conditions[0].expression"
    );
    let keys = first.keys.as_ref().expect("keys");
    assert_eq!(keys.source, Source::Discovery { issuer: "https://i.example/".to_owned() });
    assert!(keys.terms.allow_http);
    assert_eq!(keys.terms.timeout, Duration::from_secs(1));
    let two_hours = Duration::from_hours(2);
    assert_eq!((keys.terms.cache_interval, keys.terms.stale_max), (two_hours, two_hours));
}

#[test]
fn each_issuer_has_settings_of_its_own() {
    let verification = verification();
    let [_, second, third] = verification.issuers.as_slice() else { panic!("three issuers") };
    assert_eq!((second.policy.issuer.as_str(), third.policy.issuer.as_str()), ("second", "third"));
    assert_eq!(second.policy.audiences, ["x", "y"]);
    assert!(second.policy.required.subject);
    assert_eq!(second.policy.groups.len(), 1, "the default: groups");
    let keys = |issuer: &Issuer| issuer.keys.clone().expect("keys");
    assert_eq!(keys(second).source, Source::Uri("http://127.0.0.1:9/keys".parse().expect("a URL")));
    assert_eq!(keys(second).terms.stale_max, Duration::from_mins(10));
    assert!(matches!(keys(third).source, Source::Inline(text) if text.contains("Ed25519")));
    assert_eq!(keys(third).terms, jsonwebtoken_jwks::source::Terms::default());
}

#[test]
fn the_rules_arrive() {
    let rules = parsed(EVERYTHING).authorization.rules;
    let [all, some] = rules.as_slice() else { panic!("two rules") };
    assert_eq!((&*all.name, &all.who), ("all", &Who::Anyone));
    assert_eq!(
        (all.tools.as_slice(), all.backends.as_slice()),
        (["prometheus_query".to_owned()].as_slice(), ["*".to_owned()].as_slice())
    );
    assert_eq!((some.tools.join(" "), some.backends.join(" ")), ("*".to_owned(), "p*".to_owned()));
    let Who::Principal { issuers, subjects, groups, scopes, condition } = &some.who else {
        panic!("{some:?}")
    };
    assert_eq!(
        [issuers, subjects, groups, scopes].map(|list| list.join(" ")),
        ["second", "s", "g", "c"]
    );
    assert_eq!(
        condition.as_ref().map(|condition| &*condition.place),
        Some("authorization.rules[1].who.condition")
    );
}

#[test]
fn the_limits_arrive() {
    let limits = parsed(EVERYTHING).rate_limits;
    assert_eq!(limits.address_requests, Some(rate(10, 1, 10)));
    assert_eq!(limits.address_failures, None);
    assert_eq!(limits.principal_requests, Some(rate(100, 3600, 5)));
    assert_eq!(limits.principal_in_flight_max, None);
    assert_eq!(limits.tools, [("*_query".to_owned(), rate(2, 60, 9))]);
    assert_eq!(limits.entries_max, 3);
}

/// One backend, with a token asked for and this in the section of limits.
fn with_tokens(limits: &str) -> String {
    with_backend(&format!(
        "middleware: {{jwt: {{enabled: true, validation: {{strategy: local, local: {{issuer: i, audiences: [a], \
         jwks_uri: \"https://i\"}}}}}}, rate_limits: {{{limits}}}}}\n"
    ))
}

#[test]
fn there_are_limits_without_a_word() {
    let limits = parsed(&with_tokens("")).rate_limits;
    assert_eq!(limits.address_requests, None);
    assert_eq!(limits.address_failures, Some(rate(30, 60, 30)));
    assert_eq!(limits.principal_requests, Some(rate(6000, 60, 500)));
    assert_eq!(limits.principal_in_flight_max, NonZeroU32::new(64));
    assert_eq!(limits.entries_max, 100_000);
}

#[test]
fn without_tokens_a_principal_has_only_the_limits_that_are_written() {
    let limits = parsed(ONE_BACKEND).rate_limits;
    assert_eq!((limits.principal_requests, limits.principal_in_flight_max), (None, None));
    assert_eq!(limits.address_failures, Some(rate(30, 60, 30)));
    let written = |limits: &str| {
        let text = format!("middleware: {{jwt: {{enabled: false}}, rate_limits: {{{limits}}}}}\n");
        parsed(&with_backend(&text)).rate_limits
    };
    let limits = written(
        "principal: {requests: 10/s, in_flight_max: 3}, tools: [{tool: \"*\", requests: 1/s}]",
    );
    assert_eq!(limits.principal_requests, Some(rate(10, 1, 500)));
    assert_eq!(limits.principal_in_flight_max, NonZeroU32::new(3));
    assert_eq!(limits.tools, [("*".to_owned(), rate(1, 1, 1))]);
    let limits = written("principal: {in_flight_max: 3}");
    assert_eq!(limits.principal_requests, None);
}

#[test]
fn with_tokens_the_limits_that_are_not_written_are_the_usual_ones() {
    let limits = parsed(&with_tokens("principal: {requests: \"off\"}")).rate_limits;
    assert_eq!(limits.principal_requests, None);
    assert_eq!(limits.principal_in_flight_max, NonZeroU32::new(64));
    let limits = parsed(&with_tokens("principal: {in_flight_max: 0}")).rate_limits;
    assert_eq!(limits.principal_requests, Some(rate(6000, 60, 500)));
    assert_eq!(limits.principal_in_flight_max, None);
}

#[test]
fn the_documents_arrive() {
    let config = parsed(EVERYTHING);
    let resource = config.protected_resource.expect("a document");
    assert_eq!(&*resource.resource_text, "https://mcp.example.com");
    assert_eq!(resource.scopes_supported, ["metrics:read"]);
    let (_, methods) = &resource.document[3];
    assert_eq!(resource.document[3].0, "bearer_methods_supported");
    assert_eq!(*methods, serde_json::json!(["header"]));
    let server = config.authorization_server.expect("metadata");
    assert_eq!((server.issuer.as_str(), server.url_suffix.as_str()), ("https://i.example/", "/a"));
    assert_eq!(server.terms.cache_interval, Duration::from_mins(1));
}

#[test]
fn proxies_and_the_look_at_files_arrive() {
    let server = parsed(EVERYTHING).server;
    let networks: Vec<String> =
        server.http.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.1.2.3/32", "10.0.0.0/8", "fd00::1/128"]);
    assert_eq!(server.reload_interval, Some(Duration::from_mins(1)));
    assert_eq!(parsed(ONE_BACKEND).server.reload_interval, Some(Duration::from_secs(5)));
    let never = with_backend("server: {reload_interval: 0s}\n");
    assert_eq!(parsed(&never).server.reload_interval, None);
}

#[test]
fn a_token_from_a_proxy_needs_no_keys() {
    let text = with_backend(
        "server: {transport: {http: {host: \":1\", trusted_proxies: [\"::1\"]}}}\n\
         middleware: {jwt: {enabled: true, validation: {strategy: external, forwarded_header: X-T, \
         local: {issuer: i, optional_claims: [aud]}}}}\n",
    );
    let Authentication::External { header, verification } = parsed(&text).authentication else {
        panic!("external")
    };
    assert_eq!(header, "x-t");
    assert_eq!(verification.issuers[0].keys, None);
    assert_eq!(verification.issuers[0].policy.audiences, Vec::<String>::new());
}

#[test]
fn stdio_needs_no_word_about_tokens() {
    let text = "server: {transport: {type: stdio}}\nbackends: {p: {url: \"http://p\"}}\n";
    assert_eq!(parsed(text).authentication, Authentication::None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.yaml");
    fs::write(&path, "backends: {p: {url: \"http://p\"}}\n").expect("written");
    assert!(load_for_stdio(&path, &Variables::default()).is_ok());
    assert!(load(&path, &Variables::default()).is_err());
}

#[test]
fn keys_in_a_file_are_looked_for_beside_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.yaml");
    fs::write(folder.path().join("keys.json"), SET).expect("written");
    let text = with_backend(
        "middleware: {jwt: {enabled: true, validation: {strategy: local, local: {issuer: i, \
         audiences: [a], jwks_file: keys.json}}}}\n",
    );
    let config = parse(&path, &text, &Variables::default()).expect("a configuration");
    let Authentication::Local(verification) = config.authentication else { panic!("local") };
    let source = verification.issuers[0].keys.as_ref().map(|keys| keys.source.clone());
    assert_eq!(source, Some(Source::File(folder.path().join("keys.json"))));
}

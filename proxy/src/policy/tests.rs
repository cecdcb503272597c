use std::time::Duration;

use jsonwebtoken_jwks::policy::Required;
use mcp_core::config::BackendName;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::{self, Expression, Who};

const ISSUER: &str = "https://idp.example";
const TOOLS: [&str; 3] = ["prometheus_list_metrics", "prometheus_query", "prometheus_range_query"];
const BACKENDS: [&str; 3] = ["eu", "us", "secret"];

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn expression(text: &str, place: &str) -> Expression {
    Expression::read(text, place).unwrap()
}

fn issuer(scopes_required: &[&str], conditions: &[&str]) -> Issuer {
    Issuer {
        policy: jsonwebtoken_jwks::policy::Policy {
            issuer: ISSUER.to_owned(),
            audiences: strings(&["https://mcp.example"]),
            algorithms: vec![jsonwebtoken_jwks::algorithm::Algorithm::Rs256],
            leeway: Duration::from_secs(30),
            lifetime_max: Duration::from_hours(1),
            required: Required::default(),
            claims: Vec::new(),
            groups: Vec::new(),
        },
        keys: None,
        scopes_required: strings(scopes_required),
        allow_conditions: conditions.iter().map(|text| expression(text, "allow[0]")).collect(),
    }
}

fn verification(issuers: Vec<Issuer>) -> Verification {
    Verification { issuers, cache_entries_max: 10 }
}

/// `who` without restrictions.
fn anybody_with_a_token() -> Who {
    who(&[], &[], &[])
}

fn who(subjects: &[&str], groups: &[&str], scopes: &[&str]) -> Who {
    Who::Principal {
        issuers: Vec::new(),
        subjects: strings(subjects),
        groups: strings(groups),
        scopes: strings(scopes),
        condition: None,
    }
}

fn rule(name: &str, who: Who, tools: &[&str], backends: &[&str]) -> config::Rule {
    config::Rule { name: name.into(), who, tools: strings(tools), backends: strings(backends) }
}

fn policy(rules: Vec<config::Rule>) -> Policy {
    with_issuer(issuer(&[], &[]), rules)
}

fn with_issuer(issuer: Issuer, rules: Vec<config::Rule>) -> Policy {
    Policy::new(Some(&verification(vec![issuer])), &Authorization { rules }).unwrap()
}

fn principal(subject: &str, groups: &[&str], scopes: &[&str]) -> Principal {
    Principal {
        issuer: ISSUER.into(),
        subject: subject.into(),
        client_id: None,
        groups: strings(groups),
        scopes: strings(scopes),
    }
}

fn judged(policy: &Policy, principal: Principal) -> Admitted {
    let claims = json!({ "sub": &*principal.subject, "groups": &principal.groups });
    policy.judge(principal, 0, claims.as_object().unwrap())
}

fn may(access: &Access, tool: &str, backend: &str) -> bool {
    access.backend(tool, &BackendName::parse(backend).unwrap())
}

/// All pairs of tool and backend that may be used.
fn reach(access: &Access) -> Vec<(&'static str, &'static str)> {
    let pairs = TOOLS.into_iter().flat_map(|tool| BACKENDS.map(|backend| (tool, backend)));
    pairs.filter(|(tool, backend)| may(access, tool, backend)).collect()
}

#[test]
fn without_rules_whoever_is_let_in_may_use_everything_and_nobody_without_a_token() {
    let policy = policy(Vec::new());
    let admitted = judged(&policy, principal("ann", &[], &[]));
    assert_eq!(reach(&admitted.verdict.unwrap()).len(), 9);
    assert!(policy.anonymous().is_none());
    assert_eq!(reach(&policy.unauthenticated()).len(), 9);
}

#[test]
fn with_one_rule_everything_else_is_denied() {
    let policy =
        policy(vec![rule("readers", who(&[], &["readers"], &[]), &["prometheus_query"], &["eu"])]);
    let reader = judged(&policy, principal("ann", &["x", "readers"], &[]));
    assert_eq!(reach(&reader.verdict.unwrap()), [("prometheus_query", "eu")]);
    assert_eq!(&*reader.rules, &[Arc::from("readers")]);
    let other = judged(&policy, principal("bob", &["Readers", "reader"], &[]));
    assert_eq!(reach(&other.verdict.unwrap()), []);
    assert!(policy.anonymous().is_none());
    assert_eq!(reach(&policy.unauthenticated()), []);
}

#[test]
fn rules_add_up_and_none_mixes_tools_of_one_with_backends_of_another() {
    let policy = policy(vec![
        rule("all", anybody_with_a_token(), &["*list*"], &["*"]),
        rule("ann", who(&["ann"], &[], &[]), &["prometheus_*"], &["eu"]),
    ]);
    let ann = judged(&policy, principal("ann", &[], &[])).verdict.unwrap();
    assert!(may(&ann, "prometheus_list_metrics", "secret"));
    assert!(may(&ann, "prometheus_query", "eu"));
    assert!(!may(&ann, "prometheus_query", "secret"));
}

#[test]
fn a_rule_for_anyone_holds_with_a_token_and_without() {
    let policy = policy(vec![
        rule("open", Who::Anyone, &["*list*"], &["eu"]),
        rule("ann", who(&["ann"], &[], &[]), &["*"], &["us"]),
    ]);
    let open = [("prometheus_list_metrics", "eu")];
    assert_eq!(reach(&policy.anonymous().unwrap()), open);
    assert_eq!(reach(&policy.unauthenticated()), open);
    assert_eq!(reach(&judged(&policy, principal("bob", &[], &[])).verdict.unwrap()), open);
    let ann = judged(&policy, principal("ann", &[], &[]));
    assert_eq!(reach(&ann.verdict.unwrap()).len(), 1 + 3);
    assert_eq!(&*ann.rules, &[Arc::from("open"), Arc::from("ann")]);
}

#[test]
fn all_parts_of_a_who_must_hold_and_one_of_each_list_is_enough() {
    let who = Who::Principal {
        issuers: strings(&[ISSUER, "https://other.example"]),
        subjects: strings(&["ann", "bob"]),
        groups: strings(&["a", "b"]),
        scopes: strings(&["read", "more"]),
        condition: Some(expression("payload.sub.size() == 3", "rules[0].who.claim")),
    };
    let policy = policy(vec![rule("strict", who, &["*"], &["*"])]);
    let lets = |principal| !reach(&judged(&policy, principal).verdict.unwrap()).is_empty();
    assert!(lets(principal("ann", &["b"], &["more", "read", "x"])));
    assert!(!lets(principal("eve", &["b"], &["more", "read"])), "another subject");
    assert!(!lets(principal("ann", &["c"], &["more", "read"])), "another group");
    assert!(!lets(principal("ann", &["b"], &["read"])), "a scope is missing");
    let foreign = Principal {
        issuer: format!("{ISSUER}/").into(),
        ..principal("ann", &["b"], &["more", "read"])
    };
    assert!(!lets(foreign), "an issuer is compared byte by byte");
    let claims = json!({ "sub": "annabel" });
    let ann = principal("ann", &["b"], &["more", "read"]);
    let admitted = policy.judge(ann, 0, claims.as_object().unwrap());
    assert_eq!(reach(&admitted.verdict.unwrap()), [], "the condition is false");
}

#[test]
fn a_condition_of_a_rule_that_fails_is_reported_and_the_rule_does_not_hold() {
    let who = |text| Who::Principal {
        issuers: Vec::new(),
        subjects: strings(&["ann"]),
        groups: Vec::new(),
        scopes: Vec::new(),
        condition: Some(expression(text, "rules[0].who.claim")),
    };
    let policy = policy(vec![
        rule("fragile", who("payload.level > 2"), &["*"], &["*"]),
        rule("plain", anybody_with_a_token(), &["*list*"], &["eu"]),
    ]);
    let ann = judged(&policy, principal("ann", &[], &[]));
    assert_eq!(&*ann.rules, &[Arc::from("plain")]);
    assert_eq!(reach(&ann.verdict.unwrap()), [("prometheus_list_metrics", "eu")]);
    let [failure] = ann.failures.as_slice() else { panic!("{:?}", ann.failures) };
    assert_eq!(failure.to_string(), "the condition at rules[0].who.claim failed");
    assert_eq!(failure.source.to_string(), "the token has no claim `level`");
    let bob = judged(&policy, principal("bob", &[], &[]));
    assert_eq!(bob.failures, [], "it is not about him, so it is not asked");
}

#[test]
fn scopes_that_an_issuer_requires_are_named_when_they_are_missing() {
    let policy = with_issuer(issuer(&["read", "mcp"], &[]), Vec::new());
    let denied = judged(&policy, principal("ann", &[], &["mcp", "other"])).verdict.unwrap_err();
    assert_eq!(denied, Denied::Scopes(strings(&["read"])));
    assert!(judged(&policy, principal("ann", &[], &["mcp", "read"])).verdict.is_ok());
}

#[test]
fn every_condition_of_an_issuer_must_be_true() {
    let conditions = ["payload.sub != 'eve'", "payload.groups.exists(g, g == 'staff')"];
    let policy = with_issuer(issuer(&[], &conditions), Vec::new());
    assert!(judged(&policy, principal("ann", &["staff"], &[])).verdict.is_ok());
    let denied = |principal| judged(&policy, principal).verdict.unwrap_err();
    let condition = Denied::Condition { place: "allow[0]".into() };
    assert_eq!(denied(principal("eve", &["staff"], &[])), condition);
    assert_eq!(denied(principal("ann", &["guests"], &[])), condition);
    let claims = json!({ "sub": "ann" });
    let no_groups = policy.judge(principal("ann", &[], &[]), 0, claims.as_object().unwrap());
    let denied = no_groups.verdict.unwrap_err();
    assert!(matches!(denied, Denied::ConditionFailed(_)), "{denied:?}");
    assert_eq!(denied.word(), "condition_failed");
}

#[test]
fn an_issuer_that_is_not_configured_lets_nobody_in() {
    let policy = policy(Vec::new());
    let admitted = policy.judge(principal("ann", &[], &[]), 1, &Map::new());
    assert_eq!(admitted.verdict.unwrap_err(), Denied::Issuer);
}

#[test]
fn each_issuer_has_its_own_scopes_and_conditions() {
    let issuers = vec![issuer(&["a"], &[]), issuer(&[], &["payload.sub == 'ann'"])];
    let policy = Policy::new(Some(&verification(issuers)), &Authorization::default()).unwrap();
    let claims = json!({ "sub": "ann" });
    let verdict =
        |issuer| policy.judge(principal("ann", &[], &[]), issuer, claims.as_object().unwrap());
    assert!(matches!(verdict(0).verdict, Err(Denied::Scopes(_))));
    assert!(verdict(1).verdict.is_ok());
}

#[test]
fn the_scopes_that_would_open_a_tool_are_known() {
    let policy = policy(vec![
        rule("others", who(&["bob"], &[], &["never"]), &["*"], &["*"]),
        rule("query", who(&[], &[], &["read", "query"]), &["prometheus_query"], &["*"]),
        rule("list", anybody_with_a_token(), &["*list*"], &["*"]),
    ]);
    let ann = judged(&policy, principal("ann", &[], &["read"]));
    let missing = ann.missing_scopes("prometheus_query").map(|(_, missing)| missing);
    assert_eq!(missing, Some(&strings(&["query"])[..]));
    assert_eq!(ann.missing_scopes("prometheus_range_query"), None, "no rule would help");
    assert_eq!(ann.missing_scopes("prometheus_list_metrics"), None);
    let step_up = judged(&policy, principal("ann", &[], &["read", "query"]));
    assert!(step_up.verdict.unwrap().tool("prometheus_query"));
}

#[test]
fn the_rule_that_decided_is_the_first_that_allows_tool_and_backend() {
    let policy = policy(vec![
        rule("eu", anybody_with_a_token(), &["prometheus_query"], &["eu"]),
        rule("us", anybody_with_a_token(), &["*"], &["us"]),
        rule("bob", who(&["bob"], &[], &[]), &["*"], &["*"]),
    ]);
    let ann = judged(&policy, principal("ann", &[], &[]));
    let decided = |tool, backend| policy.deciding(&ann.rules, tool, backend);
    assert_eq!(decided("prometheus_query", Some("eu")).as_deref(), Some("eu"));
    assert_eq!(decided("prometheus_query", Some("us")).as_deref(), Some("us"));
    assert_eq!(decided("prometheus_query", None).as_deref(), Some("eu"));
    assert_eq!(decided("prometheus_range_query", Some("eu")), None, "bob's rule does not hold");
}

#[test]
fn callers_for_whom_the_same_rules_hold_share_one_access() {
    let policy = policy(vec![
        rule("a", who(&[], &["a"], &[]), &["*"], &["eu"]),
        rule("b", who(&[], &["b"], &[]), &["*"], &["us"]),
    ]);
    let access = |subject, groups: &[&str]| {
        judged(&policy, principal(subject, groups, &[])).verdict.unwrap()
    };
    let first = access("ann", &["a"]);
    assert!(Arc::ptr_eq(&first, &access("bob", &["c", "a"])));
    assert!(!Arc::ptr_eq(&first, &access("bob", &["a", "b"])));
    assert!(!Arc::ptr_eq(&first, &access("bob", &["b"])));
    assert!(Arc::ptr_eq(&access("x", &[]), &access("y", &[])), "those who may use nothing, too");
}

#[test]
fn what_is_shared_is_bounded_and_a_caller_beyond_is_judged_alike() {
    let rules = (0..12).map(|bit| {
        rule("bit", who(&[], &[format!("g{bit}").as_str()], &[]), &["*"], &[BACKENDS[bit % 3]])
    });
    let policy = policy(rules.collect());
    for set in 0..3000_usize {
        let groups: Vec<String> =
            (0..12).filter(|bit| set >> bit & 1 == 1).map(|bit| format!("g{bit}")).collect();
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let admitted = judged(&policy, principal("ann", &groups, &[]));
        let backends = (0..3).filter(|at| (0..12).any(|bit| bit % 3 == *at && set >> bit & 1 == 1));
        assert_eq!(reach(&admitted.verdict.unwrap()).len(), 3 * backends.count(), "{set:b}");
    }
    assert_eq!(policy.shared.lock().len(), SHARED_MAX);
}

#[test]
fn all_faults_are_told_at_once() {
    let bad = Who::Principal {
        issuers: Vec::new(),
        subjects: Vec::new(),
        groups: Vec::new(),
        scopes: Vec::new(),
        condition: None,
    };
    let authorization = Authorization {
        rules: vec![
            rule("bad", bad, &["a[", "ok"], &["{"]),
            rule("good", Who::Anyone, &["*"], &["*"]),
        ],
    };
    let issuers = verification(vec![issuer(&[], &[])]);
    let faults = Policy::new(Some(&issuers), &authorization).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["rule `bad`: `a[` is no glob", "rule `bad`: `{` is no glob",]);
}

#[test]
fn a_principal_is_its_issuer_and_subject_and_nothing_else() {
    let of = |issuer: &str, subject: &str, claims: Value| {
        let claims = claims.as_object().cloned().unwrap();
        principal_id(&Principal { issuer: issuer.into(), ..principal(subject, &[], &[]) }, &claims)
    };
    assert_eq!(of("i", "s", json!({})), of("i", "s", json!({ "client_id": "app" })));
    assert_ne!(of("i", "s", json!({})), of("i", "S", json!({})));
    assert_ne!(of("is", "s", json!({})), of("i", "ss", json!({})), "lengths keep the parts apart");
    // The first half of sha256(00 00 00 00 00 00 00 01 'i' 00 00 00 00 00 00 00 01 's').
    assert_eq!(
        of("i", "s", json!({})),
        PrincipalId([168, 137, 199, 121, 36, 133, 180, 94, 255, 111, 207, 18, 144, 69, 105, 206])
    );
    let more = principal_id(&principal("ann", &["a"], &["b"]), &Map::new());
    assert_eq!(more, principal_id(&principal("ann", &[], &[]), &Map::new()));
}

#[test]
fn without_a_subject_a_principal_is_what_its_tokens_have_in_common() {
    let of = |claims: Value| {
        principal_id(&principal("", &[], &[]), &claims.as_object().cloned().unwrap())
    };
    let ann = json!({ "email": "ann@example.com", "client_id": "app", "exp": 1, "jti": "a" });
    let again = json!({ "email": "ann@example.com", "client_id": "app", "exp": 2, "jti": "b" });
    let bob = json!({ "email": "bob@example.com", "client_id": "app", "exp": 1, "jti": "a" });
    assert_eq!(of(ann.clone()), of(again));
    assert_ne!(of(ann), of(bob));
}

#[test]
fn nothing_shows_who_was_judged() {
    let admitted = judged(&policy(Vec::new()), principal("canary@example.com", &["canary"], &[]));
    assert!(!format!("{admitted:?}").contains("canary"));
}

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(of, 0..=of.len())
}

fn any_rule() -> impl Strategy<Value = config::Rule> {
    let whom = (some(&["ann", "bob"]), some(&["a", "b"]), some(&["r", "w"]), any::<bool>());
    let what = (
        some(&["*", "*list*", "prometheus_query", "prometheus_*"]),
        some(&["*", "eu", "[eu]*", "secret"]),
    );
    (whom, what).prop_map(|((subjects, groups, scopes, anyone), (tools, backends))| {
        let who = if anyone { Who::Anyone } else { who(&subjects, &groups, &scopes) };
        rule("random", who, &tools, &backends)
    })
}

/// The rule with one more thing that must hold.
fn restricted(mut rule: config::Rule, which: usize) -> config::Rule {
    rule.who = match rule.who {
        Who::Anyone => anybody_with_a_token(),
        Who::Principal { mut issuers, mut subjects, mut groups, mut scopes, mut condition } => {
            match which {
                0 => issuers = strings(&["https://other.example"]),
                1 if subjects.is_empty() => subjects = strings(&["ann"]),
                2 if groups.is_empty() => groups = strings(&["a"]),
                3 => scopes.push("x".to_owned()),
                4 => condition = Some(expression("payload.missing == 1", "here")),
                _ => condition = Some(expression("payload.sub == 'ann'", "here")),
            }
            Who::Principal { issuers, subjects, groups, scopes, condition }
        }
    };
    rule
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn one_more_restriction_never_widens_what_anybody_may_use(
        rules in proptest::collection::vec(any_rule(), 1..4),
        which in 0..6_usize,
        subject in proptest::sample::select(&["ann", "bob", "eve"][..]),
        groups in some(&["a", "b"]),
        scopes in some(&["r", "w", "x"]),
    ) {
        let before = policy(rules.clone());
        let mut rules = rules;
        let last = rules.pop().unwrap();
        rules.push(restricted(last, which));
        let after = policy(rules);
        let caller = || principal(subject, &groups, &scopes);
        let wide = reach(&judged(&before, caller()).verdict.unwrap());
        let narrow = reach(&judged(&after, caller()).verdict.unwrap());
        prop_assert!(narrow.iter().all(|pair| wide.contains(pair)), "{:?} {:?}", narrow, wide);
        prop_assert!(reach(&after.unauthenticated())
            .iter()
            .all(|pair| reach(&before.unauthenticated()).contains(pair)));
    }

    #[test]
    fn a_token_never_narrows_and_one_more_rule_never_takes_away(
        rules in proptest::collection::vec(any_rule(), 1..4),
        more in any_rule(),
        groups in some(&["a", "b"]),
    ) {
        let before = policy(rules.clone());
        let caller = || principal("ann", &groups, &["r"]);
        let with_token = reach(&judged(&before, caller()).verdict.unwrap());
        let without = reach(&before.unauthenticated());
        prop_assert!(without.iter().all(|pair| with_token.contains(pair)));
        let after = policy([rules, vec![more]].concat());
        let wider = reach(&judged(&after, caller()).verdict.unwrap());
        prop_assert!(with_token.iter().all(|pair| wider.contains(pair)));
    }
}

#[test]
fn a_policy_can_judge_in_every_thread() {
    fn shareable<T: Send + Sync + 'static>() {}
    shareable::<Policy>();
    shareable::<Admitted>();
}

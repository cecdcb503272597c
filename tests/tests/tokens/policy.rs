//! What those who are in may do: conditions, rules, and sessions that belong to somebody.

use std::collections::BTreeSet;

use e2e::{
    backend::Backend,
    http::once,
    mcp::{Client, Reply},
    minter::{self, AUDIENCE, ISSUER, keys},
    server::{Server, guarded, verification},
};
use serde_json::{Value, json};

const SESSION: &str = "2025-11-25";
const TOOLS: [&str; 3] = ["prometheus_list_metrics", "prometheus_query", "prometheus_range_query"];

/// Two backends that answer every query, and who may use what.
struct World {
    backends: [Backend; 2],
    server: Server,
}

fn start(change: impl FnOnce(&mut Value)) -> World {
    let backend = || Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let backends = [backend(), backend()];
    let mut config = guarded(&json!({
        "open": { "url": backends[0].url() },
        "secret": { "url": backends[1].url() },
    }));
    change(&mut config);
    World { server: Server::promgate(&config), backends }
}

fn with_rules(rules: Value) -> World {
    start(|config| config["authorization"] = json!({ "rules": rules }))
}

impl World {
    fn client(&self, token: &str) -> Client {
        Client::stateless(self.server.mcp).bearing(token)
    }

    fn alice(&self) -> Client {
        self.client(&minter::token("alice"))
    }
}

fn query(client: &Client, backend: &str) -> Reply {
    client.call_tool("prometheus_query", json!({ "backend": backend, "query": "1" }))
}

/// Whether the call reached its backend and came back with a result.
fn allowed(reply: &Reply) -> bool {
    let result = &reply.response()["result"];
    reply.status() == 200 && !result.is_null() && result["isError"] != true
}

fn listed(client: &Client) -> BTreeSet<String> {
    let result = client.call("tools/list", json!({})).result();
    let tools = result["tools"].as_array().unwrap();
    tools.iter().filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn without_rules_whoever_is_in_may_use_everything() {
    let world = start(|_| {});
    assert_eq!(listed(&world.alice()), names(&TOOLS));
    assert!(allowed(&query(&world.alice(), "open")));
    assert!(allowed(&query(&world.alice(), "secret")));
}

#[test]
fn once_there_is_a_rule_what_no_rule_allows_is_denied() {
    let world = with_rules(json!([{
        "name": "alice", "who": { "subjects": ["alice"] },
        "tools": ["prometheus_query"], "backends": ["open"],
    }]));
    let alice = world.alice();
    assert_eq!(listed(&alice), names(&["prometheus_query"]));
    assert!(allowed(&query(&alice, "open")));
    assert!(!allowed(&query(&alice, "secret")));
    assert!(!allowed(&alice.call_tool("prometheus_list_metrics", json!({ "backend": "open" }))));
    let bob = world.client(&minter::token("bob"));
    assert_eq!(listed(&bob), names(&[]));
    assert!(!allowed(&query(&bob, "open")));
    assert_eq!(world.backends[0].received().len(), 1, "only what was allowed was asked");
    assert_eq!(world.backends[1].received().len(), 0);
}

#[test]
fn a_list_of_tools_is_for_its_caller_alone() {
    let world = with_rules(json!([{
        "name": "some", "who": { "subjects": ["alice"] }, "tools": ["*"], "backends": ["*"],
    }]));
    let result = world.alice().call("tools/list", json!({})).result();
    assert_eq!(result["cacheScope"], "private", "{result}");
}

#[test]
fn a_rule_may_be_about_issuer_group_scope_or_any_claim() {
    let rule = |name: &str, who: Value| json!({ "name": name, "who": who, "tools": ["*"], "backends": [name] });
    let cases = [
        ("issuer", json!({ "issuers": [ISSUER] }), json!({}), None),
        (
            "groups",
            json!({ "groups": ["admins", "ops"] }),
            json!({ "groups": ["ops"] }),
            Some(json!({})),
        ),
        (
            "scopes",
            json!({ "scopes": ["a", "b"] }),
            json!({ "scope": "b a" }),
            Some(json!({ "scope": "a" })),
        ),
        (
            "condition",
            json!({ "condition": "payload.tenant == 'acme' && payload.level >= 3" }),
            json!({ "tenant": "acme", "level": 3 }),
            Some(json!({ "tenant": "acme", "level": 2 })),
        ),
        (
            "all of them",
            json!({ "subjects": ["alice"], "groups": ["ops"] }),
            json!({ "groups": ["ops"] }),
            Some(json!({ "groups": ["ops"], "sub": "bob" })),
        ),
    ];
    for (name, who, member, stranger) in cases {
        let mut rule = rule("open", who);
        rule["name"] = json!(name);
        let world = with_rules(json!([rule]));
        let member = world.client(&minter::token_with(member));
        assert!(allowed(&query(&member, "open")), "{name}");
        assert!(!allowed(&query(&member, "secret")), "{name}");
        if let Some(stranger) = stranger {
            let stranger = world.client(&minter::token_with(stranger));
            assert!(!allowed(&query(&stranger, "open")), "{name}");
        }
    }
}

#[test]
fn globs_choose_tools_and_backends() {
    let world = with_rules(json!([{
        "name": "queries", "who": { "groups": ["readers"] },
        "tools": ["prometheus_*query"], "backends": ["s*"],
    }]));
    let alice = world.alice();
    assert_eq!(listed(&alice), names(&["prometheus_query", "prometheus_range_query"]));
    assert!(!allowed(&query(&alice, "open")));
    assert!(allowed(&query(&alice, "secret")));
}

#[test]
fn anonymous_may_read_what_a_rule_gives_to_anyone() {
    let world = with_rules(json!([
        { "name": "public", "who": "anyone", "tools": ["prometheus_query"], "backends": ["open"] },
        { "name": "staff", "who": { "subjects": ["alice"] }, "tools": ["*"], "backends": ["*"] },
    ]));
    let nobody = Client::stateless(world.server.mcp);
    assert_eq!(listed(&nobody), names(&["prometheus_query"]));
    assert!(allowed(&query(&nobody, "open")));
    let denied = query(&nobody, "secret");
    assert!(!allowed(&denied), "{}", denied.http.text());
    assert_eq!(listed(&world.alice()), names(&TOOLS));
    let bad = world.client("rubbish").call("tools/list", json!({}));
    assert_eq!(bad.status(), 401, "a bad token is not the same as none");
}

#[test]
fn a_condition_that_is_false_or_fails_denies_that_request_and_is_logged() {
    let world = start(|config| {
        verification(config)["allow_conditions"] = json!([
            { "expression": "payload.level > 2" },
            { "expression": "payload.groups.exists(group, group.startsWith('read'))" },
        ]);
    });
    let status = |claims: Value, id: &str| {
        let client = world.client(&minter::token_with(claims));
        let request = client.request("tools/list", json!({})).header("X-Request-Id", id);
        once(world.server.mcp, &request).head.status
    };
    assert_eq!(status(json!({ "level": 3 }), "true"), 200);
    for (id, claims) in [
        ("false", json!({ "level": 2 })),
        ("second", json!({ "level": 3, "groups": ["writers"] })),
        ("missing", json!({})),
        ("wrong-type", json!({ "level": "3" })),
        ("no-groups", json!({ "level": 3, "groups": null })),
    ] {
        assert_eq!(status(claims, id), 403, "{id}");
        let record = world.server.access_record(|record| record["request_id"] == id);
        assert_eq!(record["status"], 403, "{record}");
    }
    let _line = world.server.process().stderr().wait_for("the failed condition", |line| {
        line.contains("condition") && line.contains("allow_conditions")
    });
    assert_eq!(status(json!({ "level": 3 }), "still-true"), 200, "nobody else is affected");
}

#[test]
fn each_issuer_has_its_own_conditions_audiences_and_algorithms() {
    let jwks = minter::jwks(&keys().all()).to_string();
    let world = start(|config| {
        *verification(config) = json!({ "issuers": [
            {
                "issuer": "https://a.example", "jwks": jwks, "audiences": [AUDIENCE],
                "algorithms": ["ES256"],
                "allow_conditions": [{ "expression": "payload.tenant == 'acme'" }],
            },
            { "issuer": "https://b.example", "jwks": jwks, "audiences": ["b"], "algorithms": ["EdDSA"] },
        ] });
    });
    let (ec, ed) = (&keys().p256, &keys().ed25519);
    for (key, claims, status) in [
        (ec, json!({ "iss": "https://a.example", "tenant": "acme" }), 200),
        (ec, json!({ "iss": "https://a.example", "tenant": "other" }), 403),
        (ec, json!({ "iss": "https://a.example", "tenant": "acme", "aud": "b" }), 401),
        (ed, json!({ "iss": "https://a.example", "tenant": "acme" }), 401),
        (ed, json!({ "iss": "https://b.example", "aud": "b" }), 200),
        (ed, json!({ "iss": "https://b.example" }), 401),
        (ec, json!({ "iss": "https://b.example", "aud": "b" }), 401),
        (ec, json!({ "iss": "https://c.example", "tenant": "acme" }), 401),
    ] {
        let client = world.client(&key.token(&minter::claims_with(&claims)));
        let answer = client.call("tools/list", json!({}));
        assert_eq!(answer.status(), status, "{} {claims}", key.algorithm());
    }
}

#[test]
fn groups_are_read_where_the_provider_puts_them() {
    for (path, claims) in [
        ("realm_access.roles", json!({ "groups": null, "realm_access": { "roles": ["ops"] } })),
        ("cognito:groups", json!({ "groups": null, "cognito:groups": ["ops"] })),
        ("https://x.example/roles", json!({ "groups": null, "https://x.example/roles": ["ops"] })),
    ] {
        let world = start(|config| {
            verification(config)["groups_claim"] = json!(path);
            config["authorization"] = json!({ "rules": [{
                "name": "ops", "who": { "groups": ["ops"] }, "tools": ["*"], "backends": ["*"],
            }] });
        });
        let ops = world.client(&minter::token_with(claims));
        assert!(allowed(&query(&ops, "open")), "{path}");
        assert!(!allowed(&query(&world.alice(), "open")), "{path}");
    }
}

#[test]
fn alices_session_in_bobs_hands_is_not_there() {
    let world = start(|_| {});
    let alice = Client::session_of(world.server.mcp, SESSION, &minter::token("alice"));
    let bob = Client::session_of(world.server.mcp, SESSION, &minter::token("bob"));
    assert_eq!(alice.call("tools/list", json!({})).status(), 200, "it is hers");
    drop(alice.listen());
    assert_eq!(taken_over(&world, &alice, &bob), [404; 3]);
    let unknown = bob.request("tools/list", json!({})).with("Mcp-Session-Id", "unknown");
    let unknown = once(world.server.mcp, &unknown).head.status;
    assert_eq!(unknown, 404, "as a session that there never was");
    assert_eq!(alice.call("tools/list", json!({})).status(), 200, "it lives on");
    assert_eq!(bob.call("tools/list", json!({})).status(), 200);
}

/// What comes of a call, a stream and an end of the owner's session with the headers of somebody else.
fn taken_over(world: &World, owner: &Client, other: &Client) -> [u16; 3] {
    [
        other.request("tools/list", json!({})),
        other.bodiless("GET").header("Accept", "text/event-stream"),
        other.bodiless("DELETE"),
    ]
    .map(|request| {
        let request = request.with("Mcp-Session-Id", owner.session_id().unwrap());
        once(world.server.mcp, &request.header("Connection", "close")).head.status
    })
}

#[test]
fn a_sessions_owner_opens_its_stream_and_ends_it() {
    let world = start(|_| {});
    let alice = Client::session_of(world.server.mcp, SESSION, &minter::token("alice"));
    let mut stream = alice.listen();
    assert!(stream.event().unwrap().is_some(), "the first byte comes at once");
    assert_eq!(alice.delete().status(), 204);
    assert_eq!(stream.rest(), Vec::<Value>::new(), "the stream ends with its session");
    assert_eq!(alice.call("tools/list", json!({})).status(), 404);
}

#[test]
fn a_session_without_an_owner_is_not_for_who_has_a_token_nor_the_other_way_round() {
    let world = with_rules(json!([
        { "name": "public", "who": "anyone", "tools": ["*"], "backends": ["open"] },
    ]));
    let nobody = Client::session(world.server.mcp, SESSION);
    let alice = Client::session_of(world.server.mcp, SESSION, &minter::token("alice"));
    assert_eq!(taken_over(&world, &nobody, &alice), [404; 3]);
    assert_eq!(taken_over(&world, &alice, &nobody), [404; 3]);
    for owner in [nobody, alice] {
        assert_eq!(owner.call("tools/list", json!({})).status(), 200, "it lives on");
        assert!(owner.listen().event().unwrap().is_some(), "and has its stream");
        assert_eq!(owner.delete().status(), 204);
    }
}

#[test]
fn a_session_goes_on_with_the_next_token_of_the_same_person() {
    let world = start(|_| {});
    let alice = Client::session_of(world.server.mcp, SESSION, &minter::token("alice"));
    let next = minter::token_with(json!({ "jti": "another" }));
    let request =
        alice.request("tools/list", json!({})).with("Authorization", &format!("Bearer {next}"));
    assert_eq!(once(world.server.mcp, &request).head.status, 200);
}

#[test]
fn the_same_name_at_another_issuer_is_another_person() {
    let jwks = minter::jwks(&keys().all()).to_string();
    let world = start(|config| {
        let issuer = |name: &str| json!({ "issuer": name, "jwks": jwks, "audiences": [AUDIENCE] });
        *verification(config) =
            json!({ "issuers": [issuer("https://a.example"), issuer("https://b.example")] });
    });
    let token = |issuer: &str| minter::token_with(json!({ "iss": issuer }));
    let alice = Client::session_of(world.server.mcp, SESSION, &token("https://a.example"));
    let request = alice
        .request("tools/list", json!({}))
        .with("Authorization", &format!("Bearer {}", token("https://b.example")));
    assert_eq!(once(world.server.mcp, &request).head.status, 404);
}

#[test]
fn a_session_needs_its_token_for_every_request() {
    let world = start(|_| {});
    let alice = Client::session_of(world.server.mcp, SESSION, &minter::token("alice"));
    let bare = alice.request("tools/list", json!({})).without("Authorization");
    assert_eq!(once(world.server.mcp, &bare).head.status, 401);
    let expired = minter::token_with(json!({ "exp": 1 }));
    let late =
        alice.request("tools/list", json!({})).with("Authorization", &format!("Bearer {expired}"));
    assert_eq!(once(world.server.mcp, &late).head.status, 401);
}

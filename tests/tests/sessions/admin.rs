//! What an operator sees and can do, and what neither shows.

use std::{
    ffi::OsStr,
    io::Write as _,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use e2e::{
    http::get,
    mcp::Client,
    minter::{self, ISSUER},
    paths::program,
    process::{PATIENCE, run, until},
    replicas::{ADMIN_TOKEN, CLUSTER_KEY, Replicas, SESSION_KEY, count},
    server::write_config,
};
use serde_json::{Value, json};

use super::parts;

/// The ring as a replica tells it, but for who tells it.
fn ring(replicas: &Replicas, number: usize) -> Value {
    let mut ring = replicas.at(number).ring();
    assert_eq!(ring["node"], replicas.at(number).name());
    ring.as_object_mut().unwrap().remove("node");
    for node in ring["nodes"].as_array_mut().unwrap() {
        let is_own = node["name"] == replicas.at(number).name();
        assert_eq!(node["self"], is_own, "{node}");
        node.as_object_mut().unwrap().remove("self");
    }
    // Each names itself first.
    assert_eq!(ring["nodes"][0]["name"], replicas.at(number).name());
    ring["nodes"].as_array_mut().unwrap().sort_by_key(|node| node["name"].to_string());
    ring
}

#[test]
fn all_replicas_tell_of_the_same_ring() {
    let replicas = parts::shared();
    let first = ring(replicas, 0);
    assert_eq!(first, ring(replicas, 1));
    assert_eq!(first, ring(replicas, 2));
    let nodes = first["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    let shares: Vec<f64> = nodes.iter().map(|node| node["share"].as_f64().unwrap()).collect();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 0.01, "{shares:?}");
    assert!(shares.iter().all(|share| (0.25..0.42).contains(share)), "{shares:?}");
    assert!(nodes.iter().all(|node| node["workers"] == 2 && node["state"] == "up"), "{first}");
    for replica in replicas.all() {
        assert!(replica.metric_sum("promgate_ring_nodes") >= 2.0);
        let share = replica.metric("promgate_ring_owned_share");
        assert!(shares.iter().any(|own| (own - share).abs() < 0.01), "{share} in {shares:?}");
    }
    let versions = [0, 1, 2].map(|number| replicas.at(number).metric("promgate_ring_version"));
    assert!(
        versions.iter().all(|version| version.to_bits() == versions[0].to_bits()),
        "{versions:?}"
    );
}

#[test]
fn sessions_are_counted_and_never_named() {
    let replicas = Replicas::start(2);
    let alice = minter::token("alice");
    let sessions: Vec<_> = (0..4).map(|_| replicas.at(0).session(&alice)).collect();
    assert_eq!(sessions[0].delete().status(), 204);
    let said = replicas.at(0).sessions();
    assert_eq!(
        (count(&said, "sessions"), count(&said, "opened"), count(&said, "deleted")),
        (3, 4, 1)
    );
    let workers = said["workers"].as_array().unwrap();
    let held: u64 = workers.iter().map(|worker| count(worker, "sessions")).sum();
    assert_eq!((workers.len(), held), (2, 3));
    assert_eq!(said["store"]["kind"], "memory");
    for name in ["restored", "released", "lost", "expired", "idle", "revoked"] {
        assert_eq!(count(&said, name), 0, "{name}");
    }
    for session in &sessions {
        assert!(!said.to_string().contains(session.session_id().unwrap()));
    }
}

#[test]
fn an_operator_ends_all_sessions_of_a_subject_on_all_replicas() {
    let replicas = Replicas::start(3);
    let (alice, bob) = (minter::token("alice"), minter::token("bob"));
    let open = |token: &str| -> Vec<Client> {
        replicas
            .all()
            .iter()
            .flat_map(|replica| [replica.session(token), replica.session(token)])
            .collect()
    };
    let (hers, his) = (open(&alice), open(&bob));
    let mut stream = hers[5].listen();
    assert!(stream.event().unwrap().is_some(), "it is open");
    let subject = json!({ "issuer": ISSUER, "subject": "alice" });
    let answer = replicas.at(0).end_sessions(&subject, Some(ADMIN_TOKEN));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert_eq!(answer.text().parse::<Value>().unwrap()["ended"], 6);
    assert_eq!(stream.rest(), Vec::<Value>::new(), "her stream ends as it should");
    for (session, status) in hers.iter().map(|s| (s, 404)).chain(his.iter().map(|s| (s, 200))) {
        for replica in replicas.all() {
            let reply = session.through(replica.mcp()).call("ping", json!({}));
            assert_eq!(reply.status(), status);
        }
    }
    let revoked: u64 =
        replicas.all().iter().map(|replica| count(&replica.sessions(), "revoked")).sum();
    assert_eq!(revoked, 6);
    let again = replicas.at(1).end_sessions(&subject, Some(ADMIN_TOKEN));
    assert_eq!(again.text().parse::<Value>().unwrap()["ended"], 0);
    assert_eq!(
        replicas.at(2).session(&alice).call("ping", json!({})).status(),
        200,
        "she may return"
    );
}

#[test]
fn nobody_else_ends_sessions() {
    let replica = parts::shared().at(0);
    let alice = minter::token("alice");
    let session = replica.session(&alice);
    let subject = json!({ "issuer": ISSUER, "subject": "alice" });
    for token in [None, Some("wrong"), Some(alice.as_str())] {
        assert_eq!(replica.end_sessions(&subject, token).head.status, 401, "{token:?}");
    }
    for nothing in [json!({ "issuer": ISSUER }), json!([]), json!({ "issuer": 1, "subject": 2 })] {
        assert_eq!(replica.end_sessions(&nothing, Some(ADMIN_TOKEN)).head.status, 400);
    }
    assert_eq!(session.call("ping", json!({})).status(), 200);
}

#[test]
fn a_principal_has_so_many_sessions_and_no_more() {
    let replicas = Replicas::start_with(1, |_, config| {
        config["sessions"]["per_principal_max"] = json!(3);
    });
    let replica = replicas.at(0);
    let alice = minter::token("alice");
    let held: Vec<_> = (0..3).map(|_| replica.session(&alice)).collect();
    let one_more = Client::unopened(replica.mcp(), "2025-11-25").bearing(&alice);
    let opens = || one_more.send(&one_more.initialize(&json!({}))).status();
    assert_eq!(opens(), 429);
    assert_eq!(replica.session(&minter::token("bob")).call("ping", json!({})).status(), 200);
    assert_eq!(held[0].delete().status(), 204);
    assert_eq!(opens(), 200, "one that has ended leaves room");
    assert_eq!(opens(), 429);
}

#[test]
fn with_a_store_the_sessions_of_a_principal_are_counted_over_all_replicas() {
    let redis = e2e::redis::Redis::start();
    let url = parts::url(&redis);
    let replicas = Replicas::start_with(2, move |_, config| {
        parts::stored_at(&url, config);
        config["sessions"]["per_principal_max"] = json!(3);
    });
    let alice = minter::token("alice");
    let held = [0, 1, 0].map(|number| replicas.at(number).session(&alice));
    for replica in replicas.all() {
        let one_more = Client::unopened(replica.mcp(), "2025-11-25").bearing(&alice);
        assert_eq!(one_more.send(&one_more.initialize(&json!({}))).status(), 429);
    }
    assert_eq!(held[1].delete().status(), 204);
    assert_eq!(replicas.at(0).session(&alice).call("ping", json!({})).status(), 200);
}

#[test]
fn sessions_that_are_asked_and_restored_while_an_operator_ends_them_stay_ended() {
    const EACH: usize = 40;
    let redis = e2e::redis::Redis::start();
    let url = parts::url(&redis);
    let replicas = Replicas::start_with(3, move |_, config| parts::stored_at(&url, config));
    let open = |subject: &str| -> Vec<Client> {
        let token = minter::token(subject);
        (0..EACH).map(|number| replicas.at(number % 3).session(&token).unconnected()).collect()
    };
    let (alices, bobs) = (open("alice"), open("bob"));
    let status = |session: &Client, number: usize| {
        session.through(replicas.at(number).mcp()).call("ping", json!({})).status()
    };
    let (over, begun) = (AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|first| {
                let (alices, over, status) = (&alices, &over, &status);
                scope.spawn(move || {
                    for (turn, session) in alices[first * 5..][..5].iter().cycle().enumerate() {
                        if over.load(Ordering::Relaxed) || begun.elapsed() > PATIENCE {
                            return;
                        }
                        let answered = status(session, turn % 2);
                        assert!([200, 404, 502, 503].contains(&answered), "{answered}");
                    }
                })
            })
            .collect();
        // Its sessions are restored by the two others, as they are asked for, while all of Alice's are ended.
        let _log = replicas.at(2).kill();
        replicas.settle();
        let of_alice = json!({ "issuer": ISSUER, "subject": "alice" });
        let answer = replicas.at(0).end_sessions(&of_alice, Some(ADMIN_TOKEN));
        // The killed one could not be told, and nobody knows that it is dead.
        assert_eq!(answer.head.status, 503, "{}", answer.text());
        assert!(answer.text().contains("\"stored\":40"), "{}", answer.text());
        for session in &alices {
            for number in [0, 1] {
                assert_eq!(status(session, number), 404, "what was ended is gone for good");
            }
        }
        over.store(true, Ordering::Relaxed);
        for asking in asking {
            asking.join().unwrap();
        }
    });
    for session in &bobs {
        assert_eq!([0, 1].map(|number| status(session, number)), [200, 200]);
    }
    until("only Bob's are held", || replicas.sessions() == 40);
    assert_eq!(parts::saved(&redis), EACH);
}

#[test]
fn a_request_is_recorded_by_each_replica_with_its_owner_and_its_hop() {
    let replicas = Replicas::start(3);
    let alice = minter::token("alice");
    let session = replicas.at(0).session(&alice);
    let owner = |record: &Value| record["owner"].as_str().unwrap_or_default().to_owned();
    for entry in replicas.all() {
        let reply = session.through(entry.mcp()).call("ping", json!({}));
        let id = reply.http.head.header("X-Request-Id").unwrap();
        let first = parts::record(entry, &id);
        let (node, worker) =
            owner(&first).split_once('/').map(|(n, w)| (n.to_owned(), w.to_owned())).unwrap();
        assert_eq!(node, replicas.at(0).name());
        assert!(["0", "1"].contains(&worker.as_str()), "{first}");
        if entry.name() != node {
            let second = replicas
                .at(0)
                .with(|server| server.access_record(|record| record["request_id"] == id.as_str()));
            assert_eq!(
                (second["hop"].as_u64(), owner(&second)),
                (Some(1), owner(&first)),
                "{second}"
            );
        }
    }
}

#[test]
fn no_session_id_and_no_key_is_in_any_log_metric_or_admin_answer() {
    let replicas = Replicas::start(2);
    let alice = minter::token("alice");
    let sessions = [0, 1].map(|number| replicas.at(number).session(&alice));
    for session in &sessions {
        for replica in replicas.all() {
            assert_eq!(session.through(replica.mcp()).call("ping", json!({})).status(), 200);
            let _stream = session.through(replica.mcp()).listen();
        }
        assert_eq!(session.through(replicas.at(1).mcp()).delete().status(), 204);
        assert_eq!(session.call("ping", json!({})).status(), 404);
    }
    let mut all = String::new();
    for replica in replicas.all() {
        for target in ["/metrics", "/admin/ring", "/admin/sessions", "/readyz"] {
            all += &get(replica.place().admin(), target).text();
        }
    }
    for replica in replicas.all() {
        let server = replica.stop();
        all += &server.process().stdout().whole().join("\n");
        all += &server.process().stderr().whole().join("\n");
    }
    assert!(all.contains("\"owner\""), "the records are there");
    let ids = sessions.iter().map(|session| session.session_id().unwrap());
    let secret_parts = ids.clone().flat_map(|id| id.split('.').skip(3));
    for secret in
        ids.clone().chain(secret_parts).chain([SESSION_KEY, CLUSTER_KEY, ADMIN_TOKEN, &alice])
    {
        assert!(!all.contains(secret), "{secret} is told");
    }
}

#[test]
fn the_command_prints_the_ring_and_says_who_owns_a_session() {
    let replicas = parts::shared();
    let replica = replicas.at(1);
    let config = write_config(replica.config());
    let file = config.path().join("config.yaml").display().to_string();
    let none: [(&str, &OsStr); 0] = [];
    let (status, printed) = run(&program("promgate"), ["ring", "--config", &file], &none, PATIENCE);
    assert!(status.success(), "{printed}");
    for replica in replicas.all() {
        let line = printed.lines().find(|line| line.contains(&replica.name()));
        assert!(line.is_some_and(|line| line.contains('%')), "{printed}");
    }
    for owner in replicas.all() {
        let session = owner.session(&minter::token("alice"));
        let mut command = Command::new(program("promgate"));
        command.args(["ring", "--config", &file, "--session"]);
        let mut asked = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        asked.stdin.take().unwrap().write_all(session.session_id().unwrap().as_bytes()).unwrap();
        let answer = asked.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(answer.status.success(), "{printed}{}", String::from_utf8_lossy(&answer.stderr));
        assert!(printed.contains(&owner.name()), "{printed}");
    }
}

#[test]
fn a_replica_that_is_gone_is_told_of_as_down() {
    let replicas = Replicas::start(2);
    let gone = replicas.at(1).name();
    let _log = replicas.at(1).kill();
    until("it is down", || {
        let ring = replicas.at(0).ring();
        let nodes = ring["nodes"].as_array().unwrap();
        nodes.iter().any(|node| node["name"] == gone.as_str() && node["state"] == "down")
    });
    let alone = replicas.at(0).metric("promgate_ring_owned_share");
    assert!((alone - 1.0).abs() < 0.001, "{alone}");
}

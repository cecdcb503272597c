//! What changes at once and what waits for a restart.

use std::path::Path;

use mcp_core::secret::Secret;

use super::*;
use crate::config::{ClusterTls, Environment, NotText};

/// No variable is set.
struct Unset;

impl Environment for Unset {
    fn get(&self, _name: &str) -> Result<Option<String>, NotText> {
        Ok(None)
    }
}

const REPLICATED: &str = r#"
server:
  admin: {token: "0123456789abcdef"}
  upgrade_socket: /tmp/a
middleware: {jwt: {enabled: false}}
sessions:
  keys: ["first key of sessions, 32 bytes.."]
  per_principal_max: 5
  max_age: 2h
  store: redis
  redis: {url: "redis://r", password: pw, username: u}
cluster:
  listen: "127.0.0.1:8081"
  advertise: "127.0.0.1:8081"
  keys: ["first key of replicas, 32 bytes.."]
  peers: {static: ["127.0.0.1:8082"]}
  hops_max: 2
backends: {p: {url: "http://p"}}
"#;

const ALONE: &str = "server: {admin: {token: 0123456789abcdef}, upgrade_socket: /tmp/a}\n\
                     middleware: {jwt: {enabled: false}}\nbackends: {p: {url: \"http://p\"}}\n";

fn parsed(text: &str) -> Config {
    config::parse(Path::new("c.yaml"), text, &Unset).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The file with one of its texts replaced.
fn with(from: &str, to: &str) -> Config {
    assert!(REPLICATED.contains(from), "{from}");
    parsed(&REPLICATED.replace(from, to))
}

fn exposed(keys: &[Secret]) -> Vec<&str> {
    keys.iter().map(Secret::expose).collect()
}

fn cluster_keys(config: &Config) -> Vec<&str> {
    exposed(&config.cluster.as_ref().expect("a cluster").keys)
}

#[test]
fn settings_of_sessions_and_replicas_need_a_restart() {
    let old = parsed(REPLICATED);
    assert_eq!(needing_restart(&old, &parsed(REPLICATED)), Vec::<&str>::new());
    for (from, to, name) in [
        ("0123456789abcdef", "0123456789abcdeF", "server.admin.token"),
        ("/tmp/a", "/tmp/b", "server.upgrade_socket"),
        ("  upgrade_socket", "  workers: none\n  upgrade_socket", "server.workers"),
        ("per_principal_max: 5", "per_principal_max: 6", "server.limits or sessions"),
        ("max_age: 2h", "max_age: 3h", "server.limits or sessions"),
        ("store: redis", "store: memory", "server.limits or sessions"),
        ("redis://r", "rediss://r", "server.limits or sessions"),
        ("redis://r", "redis://s", "server.limits or sessions"),
        ("redis://r", "redis://r:1", "server.limits or sessions"),
        ("redis://r", "redis://r/1", "server.limits or sessions"),
        ("password: pw", "password: pv", "server.limits or sessions"),
        ("username: u", "username: v", "server.limits or sessions"),
        ("username: u", "username: u, timeout: 1s", "server.limits or sessions"),
        ("username: u", "username: u, key_prefix: p", "server.limits or sessions"),
        ("username: u", "username: u, when_down: memory", "server.limits or sessions"),
        ("listen: \"127.0.0.1:8081", "listen: \"127.0.0.1:8083", "cluster"),
        ("advertise: \"127.0.0.1:8081", "advertise: \"a:8081", "cluster"),
        ("127.0.0.1:8082", "127.0.0.1:8083", "cluster"),
        ("hops_max: 2", "hops_max: 1", "cluster"),
        ("hops_max: 2", "clock_skew: 1s", "cluster"),
        ("hops_max: 2", "hops_max: 2\n  probe: {up_after: 3}", "cluster"),
    ] {
        let new = with(from, to);
        assert_eq!(needing_restart(&old, &new), [name], "{to}");
        let next = with_settled(new, &old);
        assert_eq!(needing_restart(&old, &next), Vec::<&str>::new(), "{to} stays as it was");
    }
    let alone = parsed(ALONE);
    for (old, new) in [(&old, &alone), (&alone, &old)] {
        assert_eq!(needing_restart(old, new), ["server.limits or sessions", "cluster"]);
        let next = with_settled(new.clone(), old);
        assert_eq!(needing_restart(old, &next), Vec::<&str>::new());
    }
}

#[test]
fn keys_change_at_once() {
    let old = parsed(REPLICATED);
    let added =
        with("[\"first key of s", "[\"new key of sessions, of 32 bytes..\", \"first key of s");
    assert_eq!(needing_restart(&old, &added), Vec::<&str>::new());
    let next = with_settled(added, &old);
    assert_eq!(
        exposed(&next.sessions.keys),
        ["new key of sessions, of 32 bytes..", "first key of sessions, 32 bytes.."]
    );
    let changed = with("first key of replicas, 32 bytes..", "other key of replicas, 32 bytes..");
    assert_eq!(needing_restart(&old, &changed), Vec::<&str>::new());
    let next = with_settled(changed, &old);
    assert_eq!(cluster_keys(&next), ["other key of replicas, 32 bytes.."]);
}

#[test]
fn what_runs_never_lacks_the_keys_that_it_needs() {
    let old = parsed(REPLICATED);
    let next = with_settled(parsed(ALONE), &old);
    assert_eq!(exposed(&next.sessions.keys), ["first key of sessions, 32 bytes.."]);
    assert_eq!(cluster_keys(&next), ["first key of replicas, 32 bytes.."]);
    // A file that has turned to TLS needs no keys; what runs is still without it.
    let mut wanted = parsed(REPLICATED);
    wanted.cluster.as_mut().expect("a cluster").keys.clear();
    assert_eq!(cluster_keys(&with_settled(wanted, &old)), ["first key of replicas, 32 bytes.."]);
    // Alone and without a store, a random key will do.
    let keyed = ALONE.to_owned() + "sessions: {keys: [\"first key of sessions, 32 bytes..\"]}\n";
    let next = with_settled(parsed(ALONE), &parsed(&keyed));
    assert_eq!(exposed(&next.sessions.keys), Vec::<&str>::new());
}

/// The certificates of `text` with the others that are given: text of the key, name.
fn with_tls(text: &str, tls: Option<(&str, Option<&str>)>) -> Config {
    let mut config = parsed(text);
    config.cluster.as_mut().expect("a cluster").tls = tls.map(|(key, server_name)| ClusterTls {
        cert_pem: key.as_bytes().into(),
        key_pem: Secret::new(key),
        ca_pem: key.as_bytes().into(),
        server_name: server_name.map(str::to_owned),
    });
    config
}

#[test]
fn certificates_change_at_once_where_nothing_else_does() {
    let old = with_tls(REPLICATED, Some(("one", None)));
    for tls in [("two", None), ("one", Some("promgate.test"))] {
        let wanted = with_tls(REPLICATED, Some(tls));
        assert_eq!(needing_restart(&old, &wanted), Vec::<&str>::new());
        let next = with_settled(wanted, &old);
        let found = other_certificates(&next, &old).expect("there are others");
        assert_eq!((found.key_pem.expose(), found.server_name.as_deref()), tls);
        assert!(other_certificates(&next, &next).is_none());
    }
    let same = with_settled(with_tls(REPLICATED, Some(("one", None))), &old);
    assert!(other_certificates(&same, &old).is_none());
}

#[test]
fn certificates_that_come_with_other_settings_wait_for_the_restart_too() {
    let elsewhere = REPLICATED.replace("127.0.0.1:8082", "127.0.0.1:8083");
    let (with, without) = (with_tls(REPLICATED, Some(("one", None))), parsed(REPLICATED));
    let other = Some(("two", Some("promgate.test")));
    for (old, wanted) in [
        (&with, with_tls(&elsewhere, other)),
        (&with, parsed(REPLICATED)),
        (&with, parsed(ALONE)),
        (&without, with_tls(REPLICATED, other)),
    ] {
        assert!(needing_restart(old, &wanted).contains(&"cluster"));
        let next = with_settled(wanted, old);
        assert!(other_certificates(&next, old).is_none());
        let tls = |config: &Config| {
            let tls = config.cluster.as_ref().and_then(|cluster| cluster.tls.as_ref());
            tls.map(|tls| (tls.key_pem.expose().to_owned(), tls.server_name.clone()))
        };
        assert_eq!(tls(&next), tls(old));
        assert_eq!(needing_restart(old, &next), Vec::<&str>::new());
    }
}

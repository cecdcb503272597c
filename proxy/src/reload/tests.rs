//! What changes at once and what waits for a restart.

use std::path::Path;

use mcp_core::secret::Secret;

use super::*;
use crate::config::{Environment, NotText};

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

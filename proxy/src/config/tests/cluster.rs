//! Settings of sessions and replicas arrive where they belong.

use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use mcp_core::secret::Secret;

use super::*;

const EVERYTHING: &str = r#"
server:
  workers: none
  admin: {token: "0123456789abcdef"}
  upgrade_socket: sockets/upgrade
middleware: {jwt: {enabled: false}}
sessions:
  idle_timeout: 12s
  max_age: 13h
  keys: ["first key of sessions, 32 bytes..", "second key of sessions, 32 bytes."]
  store: redis
  redis:
    url: "rediss://R.example:7000/3"
    username: u
    password: pw
    key_prefix: "a:b"
    timeout: 14ms
    when_down: memory
cluster:
  listen: "127.0.0.1:8081"
  advertise: "Promgate-0.example:8081"
  keys: ["first key of replicas, 32 bytes.."]
  peers: {static: ["a:1, b:2", "[::0:1]:3", "10.0.0.1:4"]}
  probe: {interval: 3s, timeout: 2s, down_after: 5, up_after: 6}
  hops_max: 7
  clock_skew: 8s
backends: {p: {url: "http://p"}}
"#;

/// As little as replicas need.
const REPLICATED: &str = "sessions: {keys: [\"first key of sessions, 32 bytes..\"]}\n\
                          cluster: {listen: \":8081\", advertise: \"10.0.0.1:8081\", \
                          keys: [\"first key of replicas, 32 bytes..\"], \
                          peers: {static: [\"10.0.0.1:8081\", \"10.0.0.2:8081\"]}}\n";

/// What the file holds, beside a folder in which the named files lie.
fn parsed_beside(folder: &Path, text: &str) -> Result<Config, ConfigFaults> {
    parse(&folder.join("c.yaml"), &with_backend(text), &Variables::default())
}

/// [`EVERYTHING`] beside a folder for the socket.
fn everything(folder: &Path) -> Config {
    fs::create_dir(folder.join("sockets")).expect("made");
    parse(&folder.join("c.yaml"), EVERYTHING, &Variables::default()).expect("good")
}

fn exposed(keys: &[Secret]) -> Vec<&str> {
    keys.iter().map(Secret::expose).collect()
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn what_the_process_needs_for_it_arrives() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = everything(folder.path()).server;
    assert_eq!(server.workers, None);
    assert_eq!(server.admin_token.as_ref().map(Secret::expose), Some("0123456789abcdef"));
    assert_eq!(server.upgrade_socket, Some(folder.path().join("sockets/upgrade")));
}

#[test]
fn the_settings_of_sessions_arrive() {
    let folder = tempfile::tempdir().expect("a folder");
    let sessions = everything(folder.path()).sessions;
    assert_eq!(
        exposed(&sessions.keys),
        ["first key of sessions, 32 bytes..", "second key of sessions, 32 bytes."]
    );
    assert_eq!(sessions.age_max, Duration::from_hours(13));
    let SessionStore::Redis(redis) = sessions.store else { panic!("redis") };
    assert_eq!((redis.host.as_str(), redis.port, redis.database), ("r.example", 7000, 3));
    assert_eq!(redis.username.as_deref(), Some("u"));
    assert_eq!(redis.password.as_ref().map(Secret::expose), Some("pw"));
    assert!(redis.tls && redis.ca_pem.is_none());
    assert_eq!((redis.key_prefix.as_str(), redis.timeout), ("a:b", Duration::from_millis(14)));
    assert_eq!(redis.when_down, WhenDown::Memory);
}

#[test]
fn the_settings_of_replicas_arrive() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = everything(folder.path()).cluster.expect("a cluster");
    assert_eq!(cluster.listen, "127.0.0.1:8081".parse().expect("an address"));
    assert_eq!(cluster.advertise, "promgate-0.example:8081");
    assert_eq!(exposed(&cluster.keys), ["first key of replicas, 32 bytes.."]);
    assert!(cluster.tls.is_none());
    let peers = ["a:1", "b:2", "[::1]:3", "10.0.0.1:4"].map(str::to_owned);
    assert_eq!(cluster.peers, Peers::Static(peers.into()));
    let probe = cluster.probe;
    assert_eq!((probe.interval, probe.timeout), (secs(3), secs(2)));
    assert_eq!((probe.down_after.get(), probe.up_after.get()), (5, 6));
    assert_eq!((cluster.hops_max.get(), cluster.clock_skew), (7, secs(8)));
}

#[test]
fn a_small_file_is_alone_and_stores_nothing() {
    let config = parsed(ONE_BACKEND);
    assert!(config.cluster.is_none() && config.sessions.keys.is_empty());
    assert!(matches!(config.sessions.store, SessionStore::Memory));
    assert_eq!(config.sessions.age_max, Duration::from_hours(24));
    assert!(config.server.admin_token.is_none() && config.server.upgrade_socket.is_none());
    let long = parsed(&with_backend("sessions: {idle_timeout: 7d}\n"));
    assert_eq!(long.sessions.age_max, Duration::from_hours(24 * 7), "as long as it may be idle");
}

#[test]
fn a_small_section_of_replicas_gets_the_defaults() {
    let cluster = parsed(&with_backend(REPLICATED)).cluster.expect("a cluster");
    let probe = cluster.probe;
    assert_eq!((probe.interval, probe.timeout), (secs(1), Duration::from_millis(500)));
    assert_eq!((probe.down_after.get(), probe.up_after.get()), (3, 2));
    assert_eq!((cluster.hops_max.get(), cluster.clock_skew), (3, secs(10)));
    let peers = |text: &str| {
        let text = REPLICATED.replace("{static: [\"10.0.0.1:8081\", \"10.0.0.2:8081\"]}", text);
        parsed(&with_backend(&text)).cluster.expect("a cluster").peers
    };
    let name = "promgate.example.".to_owned();
    assert_eq!(
        peers("{dns: {name: Promgate.example., port: 8081}}"),
        Peers::Dns { name, port: 8081, interval: secs(5), servers: Vec::new() }
    );
    let name = "_peer._tcp.promgate.example".to_owned();
    assert_eq!(
        peers("{srv: {name: _peer._tcp.promgate.example}}"),
        Peers::Srv { name, interval: secs(5), servers: Vec::new() }
    );
}

#[test]
fn the_name_servers_of_replicas_arrive() {
    let servers = |text: &str| {
        let text = REPLICATED.replace("static: [\"10.0.0.1:8081\", \"10.0.0.2:8081\"]", text);
        let peers = parsed(&with_backend(&text)).cluster.expect("a cluster").peers;
        peers.name_servers().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        servers("dns: {name: a.example, port: 1, servers: 127.0.0.1:8600}"),
        ["127.0.0.1:8600"]
    );
    let several =
        "srv: {name: a.example, servers: [\"10.0.0.2:53, [FD00:0::2]:53\", \"[::1]:5353\"]}";
    assert_eq!(servers(several), ["10.0.0.2:53", "[fd00::2]:53", "[::1]:5353"]);
    assert_eq!(servers("srv: {name: a.example}"), [""; 0]);
}

#[test]
fn a_small_store_gets_the_defaults() {
    let text = "sessions: {keys: [\"first key of sessions, 32 bytes..\"], store: redis, \
                redis: {url: \"redis://[::1]\"}}\n";
    let SessionStore::Redis(redis) = parsed(&with_backend(text)).sessions.store else {
        panic!("redis")
    };
    assert_eq!((redis.host.as_str(), redis.port, redis.database), ("::1", 6379, 0));
    assert!(!redis.tls && redis.username.is_none() && redis.password.is_none());
    assert_eq!(
        (redis.key_prefix.as_str(), redis.timeout),
        ("promgate", Duration::from_millis(500))
    );
    assert_eq!(redis.when_down, WhenDown::Refuse);
    let described = text.replace("store: redis", "store: memory");
    let sessions = parsed(&with_backend(&described)).sessions;
    assert!(matches!(sessions.store, SessionStore::Memory), "said in words");
}

#[test]
fn keys_in_files_follow_those_in_the_file_itself_and_are_watched() {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("a", "key in a file of 32 bytes, or a..\n");
    write("b", "key in a file of 32 bytes, or b..\r\n");
    let text = "sessions: {key_files: [a, b], keys: [\"first key of sessions, 32 bytes..\"]}\n";
    let config = parsed_beside(folder.path(), text).expect("good");
    assert_eq!(
        exposed(&config.sessions.keys),
        [
            "first key of sessions, 32 bytes..",
            "key in a file of 32 bytes, or a..",
            "key in a file of 32 bytes, or b.."
        ]
    );
    let watched: Vec<_> = config.sources.iter().map(|source| source.path.clone()).collect();
    assert_eq!(watched, [folder.path().join("a"), folder.path().join("b")]);
    write("b", "hunter2");
    let faults = parsed_beside(folder.path(), text).expect_err("short").to_string();
    assert!(faults.contains(": sessions.key_files[1]: is shorter than 32 bytes; "), "{faults}");
    assert!(!faults.contains("hunter2"));
}

#[test]
fn a_file_of_replicas_is_read_once_and_watched_by_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("peers");
    let text =
        REPLICATED.replace("static: [\"10.0.0.1:8081\", \"10.0.0.2:8081\"]", "file: {path: peers}");
    for good in ["", "# none yet\n", "a:1\n\n  b:2  # the second\n[::1]:3"] {
        fs::write(&path, good).expect("written");
        let config = parsed_beside(folder.path(), &text).expect("good");
        assert_eq!(config.sources, [], "its changes are none of the configuration");
        let peers = config.cluster.expect("a cluster").peers;
        assert_eq!(peers, Peers::File { path: path.clone(), interval: secs(2) });
    }
    for (bad, line) in [("a:1\nb\n", 2), ("# one\n\n0.0.0.0:1 # two", 3), ("a:1, b:2", 1)] {
        fs::write(&path, bad).expect("written");
        let faults = parsed_beside(folder.path(), &text).expect_err(bad);
        let what = format!("line {line} of the file is not a host with its port");
        assert_eq!(faults.faults()[0].what, what);
        assert_eq!(faults.sources()[0].path, path, "once it changes it may be good");
    }
}

/// Makes a certificate and its key with the system's tool.
pub(super) fn certificate(folder: &Path, name: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=a", "-addext", "basicConstraints=critical,CA:TRUE"])
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
        .current_dir(folder)
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn it_is_said_when_the_certificate_of_a_replica_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path(), "one");
    let tls = "tls: {cert_file: one.pem, key_file: one.key, ca_file: one.pem}";
    let text = REPLICATED.replace("keys: [\"first key of replicas, 32 bytes..\"]", tls);
    let config = parsed_beside(folder.path(), &text).expect("good");
    let shown = config.certificate_ends();
    assert_eq!(shown.iter().map(|shown| &*shown.place).collect::<Vec<_>>(), ["cluster"]);
    let left = UNIX_EPOCH + Duration::from_secs(shown[0].ends.try_into().expect("after 1970"));
    let left = left.duration_since(SystemTime::now()).expect("not over yet");
    assert!(left > secs(47 * 3600) && left <= secs(48 * 3600), "{left:?}");
}

#[test]
fn certificates_between_replicas_are_tried_before_they_are_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    certificate(folder, "one");
    certificate(folder, "two");
    fs::write(folder.join("hello"), "hello").expect("written");
    let garbage = "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n";
    fs::write(folder.join("garbage.pem"), garbage).expect("written");
    let garbage = "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n";
    fs::write(folder.join("garbage.key"), garbage).expect("written");
    let with = |cert: &str, key: &str, ca: &str| {
        let tls = format!(
            "tls: {{cert_file: {cert}, key_file: {key}, ca_file: {ca}, server_name: Peer}}"
        );
        let text = REPLICATED.replace("keys: [\"first key of replicas, 32 bytes..\"]", &tls);
        parsed_beside(folder, &text)
    };
    let config = with("one.pem", "one.key", "two.pem").expect("good");
    assert_eq!(config.sources.len(), 3, "a change of each is noticed");
    let cluster = config.cluster.expect("a cluster");
    assert!(cluster.keys.is_empty());
    let tls = cluster.tls.expect("TLS");
    assert_eq!(&*tls.cert_pem, fs::read(folder.join("one.pem")).expect("read"));
    assert_eq!(&*tls.ca_pem, fs::read(folder.join("two.pem")).expect("read"));
    assert!(tls.key_pem.expose().starts_with("-----BEGIN PRIVATE KEY-----"));
    assert_eq!(tls.server_name.as_deref(), Some("peer"));
    for (cert, key, ca, at, what) in [
        (
            "hello",
            "one.key",
            "one.pem",
            "cert_file",
            "the file does not hold certificates in PEM form",
        ),
        (
            "garbage.pem",
            "one.key",
            "one.pem",
            "cert_file",
            "the first certificate in the file cannot be read",
        ),
        (
            "one.pem",
            "one.pem",
            "one.pem",
            "key_file",
            "the file does not hold a private key in PEM form",
        ),
        ("one.pem", "garbage.key", "one.pem", "key_file", "the private key cannot be used"),
        (
            "one.pem",
            "two.key",
            "one.pem",
            "key_file",
            "the private key is not that of the certificate",
        ),
        (
            "one.pem",
            "one.key",
            "hello",
            "ca_file",
            "the file does not hold certificates in PEM form",
        ),
    ] {
        let faults = with(cert, key, ca).expect_err(what);
        let found: Vec<_> =
            faults.faults().iter().map(|f| (f.at.as_str(), f.what.as_str())).collect();
        assert_eq!(found, [(format!("cluster.tls.{at}").as_str(), what)]);
    }
}

#[test]
fn authorities_of_a_redis_need_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path(), "one");
    let text = |scheme: &str| {
        format!(
            "sessions: {{keys: [\"first key of sessions, 32 bytes..\"], store: redis, \
             redis: {{url: \"{scheme}://r\", ca_file: one.pem}}}}\n"
        )
    };
    let config = parsed_beside(folder.path(), &text("rediss")).expect("good");
    let SessionStore::Redis(redis) = config.sessions.store else { panic!("redis") };
    assert!(redis.tls && redis.ca_pem.is_some());
    let faults = parsed_beside(folder.path(), &text("redis")).expect_err("no TLS").to_string();
    assert!(faults.contains("sessions.redis.ca_file: has no meaning without TLS; "), "{faults}");
}

#[test]
fn replicas_are_no_matter_over_stdio_but_the_file_is_good() {
    let text = "server: {transport: {type: stdio}}\n".to_owned() + REPLICATED;
    assert!(parsed(&with_backend(&text)).cluster.is_some());
}

#[test]
fn the_default_file_shows_the_defaults_of_replicas() {
    let text = fs::read_to_string(conf_folder().join("promgate.yaml")).expect("the file");
    let (_, section) = text.split_once("\n# cluster:\n").expect("a section");
    let (section, _) = section.split_once("\n\n").expect("an end");
    // Files that are not there, and further ways to find the others.
    let left_out =
        ["tls:", "cert_file:", "key_file:", "ca_file:", "server_name:", "dns:", "srv:", "file:"];
    let section: String = section
        .lines()
        .map(|line| line.strip_prefix("# ").expect("a comment"))
        .filter(|line| !left_out.iter().any(|key| line.trim_start().starts_with(key)))
        .flat_map(|line| [line, "\n"])
        .collect();
    let section = section.replace("${PROMGATE_CLUSTER_KEY}", "first key of replicas, 32 bytes..");
    let (sessions, _) = REPLICATED.split_once("cluster:").expect("a section");
    let shown = parsed(&with_backend(&format!("{sessions}cluster:\n{section}")));
    let wanted = parsed(&with_backend(REPLICATED));
    assert_eq!(format!("{:#?}", shown.cluster), format!("{:#?}", wanted.cluster));
}

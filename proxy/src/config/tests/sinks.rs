//! Every setting of a sink arrives where it belongs.

use mcp_core::secret::Secret;

use super::{cluster::certificate, *};

const KEYS: &str = "audit: {keys: [\"first key of an audit, 32 bytes..\"], key_files: [key], \
                    checkpoint_interval: 2s, checkpoint_records: 3}";

/// No two settings of these have the same value.
const SINKS: &str = r#"
    - name: file
      type: file
      path: logs/a.log
      format: ecs
      chain: true
      filter: record.status >= 400
      sample: 0.25
      when_full: refuse
      queue_bytes_max: 300KiB
      rotation: {size: 4MiB, age: 5h}
      compress: true
      keep: {files: 6, age: 7d}
      fsync: 8s
    - {name: plain, type: file, path: logs/b.log, fsync: always}
    - {name: out, type: stdout, sample: 0, when_full: block, block_timeout: 7s}
    - {name: socket, type: syslog, address: "unix:///run/log.sock", facility: authpriv, app_name: mcp, timeout: 9s}
    - {name: tcp, type: syslog, address: "tcp://Logs.example:10"}
    - name: tls
      type: syslog
      address: tls://logs.example
      facility: local7
      timeout: 11s
      tls: {ca_file: one.pem, cert_file: two.pem, key_file: two.key, server_name: Theirs.example}
    - name: receiver
      type: otlp
      endpoint: https://otlp.example:12/logs
      headers: {X-A: a, X-B: b}
      header_files: {X-C: c}
      timeout: 13s
      tls: {ca_file: two.pem, cert_file: one.pem, key_file: one.key, server_name: Otlp.example}
    - {name: grpc, type: otlp, endpoint: "http://otlp.example:14", protocol: grpc}
    - {name: http, type: otlp, endpoint: "http://otlp.example:15"}
"#;

/// The access log of a file with all of that, and the folder beside which it lies.
fn read() -> (AccessLog, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    certificate(path, "one");
    certificate(path, "two");
    fs::create_dir(path.join("logs")).expect("made");
    fs::write(path.join("key"), "second key of an audit, 32 bytes.\n").expect("written");
    fs::write(path.join("c"), "c\n").expect("written");
    let text = format!(
        "middleware:\n  jwt: {{enabled: false}}\n  access_logs:\n    queue_bytes_max: 1MiB\n    \
         {KEYS}\n    sinks:{SINKS}\n"
    );
    let parsed = parse(&path.join("c.yaml"), &with_backend(&text), &Variables::default());
    (parsed.unwrap_or_else(|faults| panic!("{faults}")).access_log, folder)
}

/// The sink of this name.
fn sink<'l>(log: &'l AccessLog, name: &str) -> &'l Sink {
    log.sinks.iter().find(|sink| sink.name.as_str() == name).expect(name)
}

fn syslog<'l>(log: &'l AccessLog, name: &str) -> &'l Syslog {
    let Target::Syslog(syslog) = &sink(log, name).target else { panic!("syslog: {name}") };
    syslog
}

fn otlp<'l>(log: &'l AccessLog, name: &str) -> &'l Otlp {
    let Target::Otlp(otlp) = &sink(log, name).target else { panic!("OTLP: {name}") };
    otlp
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Holds TLS against the files of which it is to be made.
fn assert_tls(tls: &SinkTls, folder: &Path, (ca, own, name): (&str, &str, &str)) {
    let bytes = |file: String| fs::read(folder.join(file)).expect("a file");
    assert_eq!(tls.ca_pem.as_deref(), Some(bytes(format!("{ca}.pem")).as_slice()));
    let (certificate, key) = tls.identity.as_ref().expect("a certificate");
    assert_eq!(certificate[..], bytes(format!("{own}.pem")));
    let wanted = String::from_utf8(bytes(format!("{own}.key"))).expect("text");
    assert_eq!(key.expose(), wanted.trim_end());
    assert_eq!(tls.server_name.as_deref(), Some(name));
}

#[test]
fn the_settings_of_sinks_arrive() {
    let (log, _folder) = read();
    let names: Vec<&str> = log.sinks.iter().map(|sink| sink.name.as_str()).collect();
    let wanted = ["file", "plain", "out", "socket", "tcp", "tls", "receiver", "grpc", "http"];
    assert_eq!(names, wanted);
    let Sink { format, chain, filter, sample, when_full, queue_bytes_max, .. } = sink(&log, "file");
    assert_eq!((*format, *chain), (SinkFormat::Ecs, true));
    assert_eq!(*filter, crate::expression::Filter::read("record.status >= 400").ok());
    assert!(filter.is_some());
    assert_eq!(Some(*sample), Share::parse("0.25"));
    assert_eq!((*when_full, *queue_bytes_max), (WhenFull::Refuse, 300 << 10));
    let Sink { target, format, chain, filter, sample, when_full, queue_bytes_max, .. } =
        sink(&log, "out");
    assert!(matches!(target, Target::Stdout), "{target:?}");
    assert_eq!((*format, *chain, filter), (SinkFormat::Json, false, &None));
    assert_eq!(Some(*sample), Share::parse("0"));
    assert_eq!((*when_full, *queue_bytes_max), (WhenFull::Block(secs(7)), 1 << 20));
    let plain = sink(&log, "plain");
    assert_eq!((plain.sample, plain.when_full), (Share::ALL, WhenFull::Drop));
    assert_eq!(sink(&log, "grpc").format, SinkFormat::Otlp);
}

#[test]
fn the_settings_of_the_audit_arrive() {
    let Audit { keys, checkpoint_interval, checkpoint_records } = read().0.audit;
    let keys: Vec<&str> = keys.iter().map(Secret::expose).collect();
    assert_eq!(keys, ["first key of an audit, 32 bytes..", "second key of an audit, 32 bytes."]);
    assert_eq!((checkpoint_interval, checkpoint_records), (secs(2), 3));
}

#[test]
fn the_settings_of_files_arrive() {
    let (log, folder) = read();
    let file = LogFile {
        path: folder.path().join("logs/a.log"),
        rotate_bytes: Some(4 << 20),
        rotate_age: Some(Duration::from_hours(5)),
        compress: true,
        keep_files: Some(6),
        keep_age: Some(Duration::from_hours(7 * 24)),
        fsync: Fsync::Every(secs(8)),
    };
    assert!(matches!(&sink(&log, "file").target, Target::File(found) if *found == file));
    let file = LogFile { fsync: Fsync::Always, ..LogFile::at(folder.path().join("logs/b.log")) };
    assert!(matches!(&sink(&log, "plain").target, Target::File(found) if *found == file));
}

#[test]
fn the_settings_of_syslog_arrive() {
    let (log, folder) = read();
    let Syslog { address, facility, app_name, timeout } = syslog(&log, "socket");
    assert!(matches!(address, SyslogAddress::Unix(path) if path == Path::new("/run/log.sock")));
    assert_eq!((*facility, app_name.as_str(), *timeout), (10, "mcp", secs(9)));
    let Syslog { address, facility, app_name, timeout } = syslog(&log, "tcp");
    assert!(
        matches!(address, SyslogAddress::Tcp { host, port: 10 } if host == "logs.example"),
        "{address:?}"
    );
    assert_eq!((*facility, app_name.as_str(), *timeout), (16, "promgate", secs(10)));
    let Syslog { address, facility, timeout, .. } = syslog(&log, "tls");
    let SyslogAddress::Tls { host, port, tls } = address else { panic!("TLS: {address:?}") };
    assert_eq!((host.as_str(), *port), ("logs.example", 6514));
    assert_eq!((*facility, *timeout), (23, secs(11)));
    assert_tls(tls, folder.path(), ("one", "two", "theirs.example"));
}

#[test]
fn the_settings_of_receivers_arrive() {
    let (log, folder) = read();
    let Otlp { endpoint, protocol, headers, tls, timeout } = otlp(&log, "receiver");
    assert_eq!(endpoint.as_str(), "https://otlp.example:12/logs");
    assert_eq!((*protocol, *timeout), (OtlpProtocol::HttpProtobuf, secs(13)));
    assert_eq!(headers.len(), 3);
    assert_eq!(["x-a", "x-b", "x-c"].map(|name| headers[name].as_bytes()), [b"a", b"b", b"c"]);
    assert_tls(tls, folder.path(), ("two", "one", "otlp.example"));
    let Otlp { endpoint, protocol, timeout, .. } = otlp(&log, "grpc");
    assert_eq!((endpoint.as_str(), *protocol), ("http://otlp.example:14/", OtlpProtocol::Grpc));
    assert_eq!(*timeout, secs(10));
    let endpoint = &otlp(&log, "http").endpoint;
    assert_eq!(endpoint.as_str(), "http://otlp.example:15/v1/logs");
}

#[test]
fn a_receiver_is_not_known_by_an_address() {
    let receiver = "{name: a, type: otlp, endpoint: \"https://otlp.example\", tls: {server_name: \"127.0.0.1\"}}";
    let text = format!(
        "middleware:\n  jwt: {{enabled: false}}\n  access_logs:\n    sinks: [{receiver}]\n"
    );
    let place = "4: middleware.access_logs.sinks[0].tls.server_name";
    let wanted = format!(
        "{place}: an address, and receivers are known by a name; write the name in the receiver's certificate, \
         such as `otel.example.com`"
    );
    assert_eq!(faults_of(&with_backend(&text)), [wanted]);
}

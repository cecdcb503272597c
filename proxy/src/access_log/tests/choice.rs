//! Which sink takes which record.

use mcp_core::secret::Secret;

use super::*;

fn sink(name: &str, path: &Path, change: impl FnOnce(&mut config::Sink)) -> config::Sink {
    let target = Target::File(LogFile::at(path.join(name)));
    let mut sink = config::Sink::plain(SinkName::parse(name).unwrap(), target, 1 << 20);
    change(&mut sink);
    sink
}

fn written(path: &Path) -> Vec<String> {
    let lines = lines(&std::fs::read(path).unwrap());
    ids(&lines).into_iter().map(str::to_owned).collect()
}

#[test]
fn each_sink_takes_what_its_filter_takes_in_its_own_form() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::AccessLog {
        sinks: vec![
            sink("all", folder.path(), |_| ()),
            sink("bad", folder.path(), |sink| {
                sink.filter = Some(Filter::read("record.status >= 400").unwrap());
                sink.format = config::SinkFormat::Ecs;
            }),
        ],
        ..config::AccessLog::off()
    };
    let log = AccessLog::start(&config, RESOURCE, &metrics()).unwrap();
    for (id, status) in [("a", 200), ("b", 403), ("c", 200)] {
        log.write(&Record { status: Some(status), ..record(id) }, &mut Admission::default());
    }
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(written(&folder.path().join("all")), ["a", "b", "c"]);
    let bad = lines(&std::fs::read(folder.path().join("bad")).unwrap());
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0]["http.request.id"], "b");
}

#[test]
fn a_sample_leaves_out_what_went_well_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::AccessLog {
        sinks: vec![
            sink("some", folder.path(), |sink| sink.sample = Share::parse("0.1").unwrap()),
            sink("none", folder.path(), |sink| sink.sample = Share::parse("0").unwrap()),
        ],
        ..config::AccessLog::off()
    };
    let log = AccessLog::start(&config, RESOURCE, &metrics()).unwrap();
    let write = |record: Record<'_>| log.write(&record, &mut Admission::default());
    for number in 0..2000 {
        write(record(&number.to_string()));
    }
    for event in [Event::StreamOpen, Event::StreamEnd] {
        write(Record { event, ..record("stream") });
    }
    write(Record { status: Some(401), outcome: Outcome::Unauthenticated, ..record("refused") });
    write(Record { outcome: Outcome::BackendError, ..record("failed") });
    write(Record { status: None, outcome: Outcome::ClientGone, ..record("gone") });
    log.flush_and_stop(PATIENCE).unwrap();
    let always = ["stream", "stream", "refused", "failed", "gone"];
    assert_eq!(written(&folder.path().join("none")), always);
    let some = written(&folder.path().join("some"));
    let sampled = some.len() - always.len();
    assert!((120..300).contains(&sampled), "{sampled} of 2000");
    assert!(some.ends_with(&always.map(str::to_owned)));
}

#[test]
fn logs_with_the_same_audit_key_take_the_same_requests() {
    let folder = tempfile::tempdir().unwrap();
    let taken = |name: &str, key: Option<&str>| {
        let some = sink(name, folder.path(), |sink| sink.sample = Share::parse("0.5").unwrap());
        let mut config = config::AccessLog { sinks: vec![some], ..config::AccessLog::off() };
        config.audit.keys.extend(key.map(|key| Secret::new(key.repeat(32))));
        let log = AccessLog::start(&config, RESOURCE, &metrics()).unwrap();
        (0..200).for_each(|number| write(&log, &number.to_string()));
        log.flush_and_stop(PATIENCE).unwrap();
        written(&folder.path().join(name))
    };
    let first = taken("one", Some("a"));
    assert_eq!(taken("two", Some("a")), first);
    assert_ne!(taken("three", Some("b")), first);
    assert_ne!(taken("four", None), first);
}

#[test]
fn what_each_sink_does_is_counted_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let sinks = vec![sink("one", folder.path(), |_| ()), sink("two", folder.path(), |_| ())];
    let config = config::AccessLog { sinks, ..config::AccessLog::off() };
    let metrics = metrics();
    let log = AccessLog::start(&config, RESOURCE, &metrics).unwrap();
    write(&log, "a");
    log.flush_and_stop(PATIENCE).unwrap();
    let text = String::from_utf8(metrics.render().unwrap()).unwrap();
    for name in ["one", "two"] {
        let bytes = std::fs::metadata(folder.path().join(name)).unwrap().len();
        for line in [
            format!("promgate_access_log_records_total{{sink=\"{name}\"}} 1"),
            format!("promgate_access_log_bytes_total{{sink=\"{name}\"}} {bytes}"),
            format!("promgate_access_log_queue_bytes{{sink=\"{name}\"}} 0"),
            format!("promgate_access_log_stalled_seconds{{sink=\"{name}\"}} 0"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}

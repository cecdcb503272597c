use super::*;
use crate::access_log::chain::{Event, PublicKey, Sealed};

#[test]
fn a_log_that_nobody_changed_is_good_and_says_what_is_proved() {
    let written = Written::new().records(3).rotate(1).records(4).rotate(2).records(2);
    let written = written.checkpoint(CheckpointReason::Shutdown);
    pack(&written.full(1));
    let verdict = written.verdict();
    assert_eq!(found(&verdict), []);
    let text = verdict.to_string();
    for words in [
        "3 files",
        "audit.log.20261101T000000.000Z.gz to ",
        "15 lines",
        "first       seq 1 at 2026-11-30T00:00:00.000Z",
        "last        seq 15 at 2026-11-30T00:00:09.000Z",
        "3 with a good signature, the last is line 15",
        "the process ended properly",
        "proved      Lines 1 to 15 are as they were sealed",
        "not proved  That nothing was cut off the end",
        "faults      0",
    ] {
        let words = words.replace("15 lines", "lines       15, of which 9 are records");
        assert!(text.contains(&words), "{words}: {text}");
    }
    let json = verdict.json();
    assert_eq!(json["good"], true);
    assert_eq!((json["lines"].as_u64(), json["records"].as_u64()), (Some(15), Some(9)));
    assert_eq!(json["head"], "head_reached");
    assert_eq!(json["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn every_kind_of_change_is_located() {
    type Change = fn(&mut Vec<String>);
    let full = "audit.log.20261101T000000.000Z";
    let cases: [(Change, u64, Option<u64>, &str); 8] = [
        (|lines| lines[4] = lines[4].replace("200", "201"), 5, Some(5), "changed"),
        (|lines| drop(lines.drain(3..6)), 4, Some(7), "missing"),
        (|lines| lines.swap(4, 5), 5, Some(6), "moved"),
        (|lines| lines.insert(8, lines[3].clone()), 9, Some(4), "replayed"),
        (
            |lines| lines.insert(5, lines[4].replace("\"seq\":5", "\"seq\":6")),
            6,
            Some(6),
            "inserted",
        ),
        (|lines| lines.insert(5, "garbage".to_owned()), 6, None, "malformed"),
        (|lines| lines[8] = lines[8].replace("request-8", "request-9"), 9, Some(9), "changed"),
        (|lines| lines.insert(2, String::new()), 3, None, "malformed"),
    ];
    for (how, line, seq, word) in cases {
        let written = Written::new().records(10).rotate(1).records(2);
        let written = written.checkpoint(CheckpointReason::Interval);
        change(&written.full(1), how);
        let verdict = written.verdict();
        assert_eq!(found(&verdict), [(full.to_owned(), Some(line), seq, word)]);
        let place = format!("{full}:{line}");
        assert!(verdict.to_string().contains(&place), "{verdict}");
        assert!(verdict.to_string().contains("proved      Lines that are not named"), "{verdict}");
    }
}

#[test]
fn a_file_that_is_gone_is_a_range_that_is_missing() {
    let written = Written::new().records(3).rotate(1).records(3).rotate(2).records(3);
    fs::remove_file(written.full(2)).unwrap();
    let verdict = written.verdict();
    let wanted = [
        ("audit.log".to_owned(), Some(1), Some(11), "missing"),
        ("audit.log.head".to_owned(), None, Some(10), "head_contradicted"),
    ];
    assert_eq!(found(&verdict), wanted);
    assert_eq!(verdict.json()["found"][0]["missing"], serde_json::json!([6, 10]));
    assert!(verdict.to_string().contains("records 6 to 10 are missing before it"), "{verdict}");
}

#[test]
fn a_log_cut_short_is_found_by_its_head_and_by_a_kept_checkpoint() {
    let written = Written::new().records(4).checkpoint(CheckpointReason::Interval);
    let early = written.folder.path().join("kept");
    fs::copy(head_path(&written.path()), &early).unwrap();
    let written = written.records(4).checkpoint(CheckpointReason::Interval);
    let both = written.folder.path().join("kept.both");
    let late = fs::read_to_string(head_path(&written.path())).unwrap();
    fs::write(&both, format!("{}{late}", fs::read_to_string(&early).unwrap())).unwrap();

    let held = |kept_in: &Path| {
        let trust = written.keys().trust();
        verify(&written.log(), &trust, &kept(kept_in, &trust).unwrap(), 100).unwrap()
    };
    let verdict = held(&both);
    assert_eq!(found(&verdict), []);
    assert!(verdict.to_string().contains("Nothing up to line 11 was cut off"), "{verdict}");

    change(&written.path(), |lines| lines.truncate(6));
    let verdict = written.verdict();
    assert_eq!(found(&verdict), [("audit.log.head".to_owned(), None, Some(11), "cut_short")]);
    assert!(
        verdict.to_string().contains("ends with 6, and the head file knows of 11"),
        "{verdict}"
    );

    // Whoever can write the folder can bring back an older head file too: only what is kept elsewhere tells.
    fs::copy(&early, head_path(&written.path())).unwrap();
    assert_eq!(found(&written.verdict()), []);
    assert_eq!(found(&held(&early)), []);
    let verdict = held(&both);
    assert_eq!(found(&verdict), [("kept.both".to_owned(), None, Some(11), "cut_short")]);

    // However many stand before it.
    fs::write(&both, format!("{}{late}", fs::read_to_string(&early).unwrap().repeat(10_001)))
        .unwrap();
    let verdict = held(&both);
    assert_eq!(found(&verdict), [("kept.both".to_owned(), None, Some(11), "cut_short")]);
}

#[test]
fn a_log_without_its_head_cannot_be_shown_to_be_whole() {
    let written = Written::new().records(3).rotate(1).records(3);
    let written = written.checkpoint(CheckpointReason::Shutdown);
    let (path, head) = (written.path(), head_path(&written.path()));
    let trust = written.keys().trust();
    let verdict = |paths: &[PathBuf]| {
        let logs = logs(paths).unwrap();
        assert_eq!(logs.len(), 1);
        verify(&logs[0], &trust, &Kept::default(), 9).unwrap()
    };
    let gone = [("audit.log.head".to_owned(), None, None, "head_absent")];
    let one = std::slice::from_ref(&path);
    assert_eq!(found(&verdict(one)), []);
    let whole = fs::read(&head).unwrap();
    change(&path, |lines| lines.truncate(2));
    // As whoever cut it would leave it.
    fs::write(&head, "").unwrap();
    assert_eq!(found(&verdict(one)), gone);
    fs::remove_file(&head).unwrap();
    let said = verdict(one);
    assert_eq!(found(&said), gone);
    assert!(said.to_string().contains("cannot be shown to be whole"), "{said}");
    assert_eq!(
        (&said.json()["good"], &said.json()["head"]),
        (&false.into(), &"head_absent".into())
    );
    assert!(
        said.to_string().contains("not proved  That nothing was cut off behind line 7"),
        "{said}"
    );
    assert_eq!(found(&verdict(&[path.clone(), written.full(1)])), gone);
    // The full file alone, whose name says that it is no end.
    assert_eq!(found(&verdict(&[written.full(1)])), []);
    pack(&written.full(1));
    assert_eq!(found(&verdict(&[format!("{}.gz", written.full(1).display()).into()])), []);
    // The file that was written is gone too, or empty.
    fs::remove_file(&path).unwrap();
    assert_eq!(found(&verdict(one)), gone);
    fs::write(&path, "").unwrap();
    assert_eq!(found(&verdict(one)), gone);
    fs::write(&head, whole).unwrap();
    assert_eq!(found(&verdict(one))[0].3, "cut_short");
}

#[test]
fn a_kept_checkpoint_that_is_not_of_the_log_is_told() {
    let written = Written::new().records(4).checkpoint(CheckpointReason::Interval);
    let trust = written.keys().trust();
    let path = written.folder.path().join("kept");
    let held = |line: &str| {
        fs::write(&path, line).unwrap();
        let verdict = verify(&written.log(), &trust, &kept(&path, &trust).unwrap(), 100).unwrap();
        found(&verdict).pop().map(|(_, _, _, word)| word)
    };
    let own = fs::read_to_string(head_path(&written.path())).unwrap();
    assert_eq!(held(&own), None);
    assert_eq!(held(&own.replace("\"seq\":6", "\"seq\":5")), Some("checkpoint_unsigned"));
    let other = Written::new().records(4).checkpoint(CheckpointReason::Interval);
    let other = fs::read_to_string(head_path(&other.path())).unwrap();
    assert_eq!(held(&other), Some("checkpoint_of_other_chain"));
    for none in ["", "x\n", "{\"v\":1}\n"] {
        fs::write(&path, none).unwrap();
        assert!(matches!(kept(&path, &trust), Err(AuditError::NoCheckpoint { .. })), "{none}");
    }
    // The same numbers, written anew with the key: only the kept checkpoint tells.
    let rewritten = {
        let mut out = Vec::new();
        let mut again = sealer(SECRET, SinkFormat::Json);
        let state = written.sealer.state();
        again.set_state(crate::access_log::chain::State {
            seq: 0,
            mac: crate::access_log::chain::Mac::NONE,
            ..state
        });
        again.start((None, None), written.time, &mut out);
        for _ in 0..4 {
            again.seal(b"{\"v\":1}", &mut out);
        }
        again.checkpoint(CheckpointReason::Interval, written.time, &mut out);
        out
    };
    fs::write(written.path(), rewritten).unwrap();
    assert_eq!(held(&own), Some("checkpoint_contradicted"));
}

#[test]
fn another_key_is_named_and_what_it_sealed_is_not_proved() {
    let written = Written::new().records(3);
    let trust = keys(written.folder.path(), OTHER).trust();
    let verdict = verify(&written.log(), &trust, &Kept::default(), 100).unwrap();
    assert_eq!(found(&verdict)[0].3, "foreign_key");
    assert!(verdict.faults() > 0);
    assert!(!verdict.to_string().contains("\nproved      Lines 1"), "{verdict}");
}

#[test]
fn what_the_log_says_of_its_own_losses_is_told() {
    let written = Written::new().records(2);
    written.append(b"{\"v\":1,\"ti");
    let verdict = written.verdict();
    assert_eq!(found(&verdict), []);
    assert!(verdict.to_string().contains("in the middle of a line"), "{verdict}");
    assert!(verdict.to_string().contains("lines       4, of which 2 are records"), "{verdict}");
    written.append(b"\n");
    let written = written.start(Some(Torn::of(b"{\"v\":1,\"ti")), None);
    let written = written.event(&Event::RecordsDropped(40)).event(&Event::RequestsRefused(7));
    let written = written.event(&Event::RecordsDropped(2)).records(1);
    let verdict = written.verdict();
    assert_eq!(found(&verdict), []);
    let text = verdict.to_string();
    assert!(text.contains("dropped     42 records at 2 places"), "{text}");
    assert!(text.contains("refused     7 requests"), "{text}");
    assert!(text.contains("torn        1 pieces"), "{text}");
    assert_eq!(verdict.json()["records"], 3);
    assert!(text.contains("What 42 dropped records would have said"), "{text}");
}

#[test]
fn what_was_amiss_when_the_log_was_opened_is_a_fault() {
    for (notice, word) in [
        (Notice::HeadMissing, "head_missing"),
        (Notice::HeadForged, "head_forged"),
        (Notice::CutShort, "cut_short"),
        (Notice::EndForged, "end_forged"),
        (Notice::Unreadable, "unreadable"),
    ] {
        let written = Written::new().records(2).start(None, Some(notice)).records(1);
        let verdict = written.verdict();
        assert_eq!(found(&verdict), [("audit.log".to_owned(), Some(4), Some(4), word)]);
    }
}

#[test]
fn a_public_key_checks_numbers_and_checkpoints_and_says_that_it_is_all() {
    let written = Written::new().records(5).checkpoint(CheckpointReason::Interval).records(1);
    let (_, public) = written.keys().public().next().unwrap();
    let public = PublicKey::parse(&public.to_string()).unwrap();
    let trust = Trust::of_public_keys(vec![public]);
    let verdict = || verify(&written.log(), &trust, &Kept::default(), 100).unwrap();
    assert_eq!(found(&verdict()), []);
    change(&written.path(), |lines| lines[2] = lines[2].replace("200", "500"));
    let text = verdict().to_string();
    assert!(text.contains("faults      0"), "{text}");
    assert!(text.contains("not proved  What records say: that takes the audit key"), "{text}");
    assert_eq!(verdict().json()["seals_checked"], false);
    // The seal of the last record before the checkpoint, which repeats it.
    let whole = fs::read(written.path()).unwrap();
    change(&written.path(), |lines| {
        let seal = Sealed::of(lines[3].as_bytes()).unwrap().mac.to_string();
        let last = Sealed::of(lines[5].as_bytes()).unwrap().mac.to_string();
        lines[5] = lines[5].replace(&last, &seal);
    });
    assert_eq!(found(&verdict()), [("audit.log".to_owned(), Some(7), Some(7), "unlinked")]);
    assert!(verdict().to_string().contains("1 with a good signature, the last is line 7"));
    fs::write(written.path(), whole).unwrap();
    change(&written.path(), |lines| drop(lines.remove(2)));
    assert_eq!(found(&verdict())[0].3, "missing");
}

#[test]
fn files_are_put_in_order_however_they_are_named() {
    let written = Written::new().records(3).rotate(1).records(3).rotate(2).records(3);
    let folder = written.folder.path();
    let paths = |names: &[&str]| names.iter().map(|name| folder.join(name)).collect::<Vec<_>>();
    let glob = paths(&[
        "audit.log",
        "audit.log.20261101T000000.000Z",
        "audit.log.20261102T000000.000Z",
        "audit.log.head",
    ]);
    let found_logs = logs(&glob).unwrap();
    assert_eq!(found_logs, [written.log()]);
    assert_eq!(found_logs[0].files.len(), 3);

    for (from, to) in [(0, "z"), (1, "y"), (2, "x")] {
        fs::copy(&glob[from], folder.join(to)).unwrap();
    }
    let copies = logs(&paths(&["x", "z", "y"])).unwrap();
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0].files, paths(&["y", "x", "z"]));
    let verify = |log: &Log| verify(log, &written.keys().trust(), &Kept::default(), 9).unwrap();
    let verdict = verify(&copies[0]);
    assert_eq!(found(&verdict), [("z.head".to_owned(), None, None, "head_absent")]);
    assert_eq!(found(&verify(&copies[0].clone().as_copy())), []);

    let other = Written::new().records(1);
    let both = logs(&[written.path(), other.path()]).unwrap();
    assert_eq!(both.len(), 2, "another chain is another log");

    assert!(matches!(logs(&paths(&["nothing"])), Err(AuditError::Log(_))));
    let input = [PathBuf::from("-"), written.path()];
    assert!(matches!(logs(&input), Err(AuditError::InputAmongFiles)));
}

#[test]
fn faults_are_counted_beyond_those_that_are_named() {
    let written = Written::new().records(50);
    change(&written.path(), |lines| {
        for line in lines.iter_mut().skip(1).step_by(2) {
            *line = line.replace("200", "201");
        }
    });
    let verdict = verify(&written.log(), &written.keys().trust(), &Kept::default(), 3).unwrap();
    assert_eq!((verdict.findings().len(), verdict.faults()), (3, 25));
    assert!(verdict.to_string().contains("and 22 more"), "{verdict}");
}

#[test]
fn a_log_in_ecs_is_verified_as_well() {
    let written = Written::by(SECRET, SinkFormat::Ecs).records(3);
    assert_eq!(found(&written.verdict()), []);
    assert!(written.verdict().to_string().contains("seq 4 at 2026-11-30T00:00:03.000Z"));
    change(&written.path(), |lines| lines[2] = lines[2].replace("200", "201"));
    assert_eq!(found(&written.verdict()), [("audit.log".to_owned(), Some(3), Some(3), "changed")]);
}

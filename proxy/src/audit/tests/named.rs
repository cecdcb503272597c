//! What a log is made of, by the names that were given, and which head file belongs to it.

use super::*;
use crate::access_log::chain::Event;

/// What is found in the logs that these names stand for.
fn asked(written: &Written, names: &[&str]) -> Vec<(String, &'static str)> {
    let paths: Vec<PathBuf> = names.iter().map(|name| written.folder.path().join(name)).collect();
    let trust = written.keys().trust();
    let verdicts = logs(&paths).unwrap();
    let verdicts = verdicts.iter().map(|log| verify(log, &trust, &Kept::default(), 9).unwrap());
    verdicts.flat_map(|verdict| found(&verdict)).map(|(file, _, _, word)| (file, word)).collect()
}

fn absent(head: &str) -> Vec<(String, &'static str)> {
    vec![(head.to_owned(), "head_absent")]
}

fn put(written: &Written, name: &str, bytes: &[u8]) {
    fs::write(written.folder.path().join(name), bytes).unwrap();
}

fn remove(written: &Written, names: &[&str]) {
    for name in names {
        fs::remove_file(written.folder.path().join(name)).unwrap();
    }
}

#[test]
fn what_only_lies_beside_a_log_does_not_take_the_place_of_its_head() {
    let written = Written::new().records(4).rotate(1).records(4);
    let written = written.checkpoint(CheckpointReason::Interval);
    let head = fs::read(head_path(&written.path())).unwrap();
    let glob = [
        "audit.log",
        "audit.log.20261101T000000.000Z",
        "audit.log.bak",
        "audit.log.head",
        "audit.log.head.monday",
        "audit.log.lock",
        "audit.log.next",
        "audit.log.swp",
    ];
    for blank in ["audit.log.bak", "audit.log.lock", "audit.log.next", "audit.log.swp"] {
        put(&written, blank, b"");
    }
    put(&written, "audit.log.head.monday", &head);
    assert_eq!(asked(&written, &glob), []);
    assert_eq!(asked(&written, &["audit.log.next", "audit.log"]), []);
    assert_eq!(asked(&written, &["audit.log", "audit.log.head.monday", "audit.log.head"]), []);
    change(&written.path(), |lines| lines.truncate(3));
    let cut = [("audit.log.head".to_owned(), "cut_short")];
    assert_eq!(asked(&written, &glob), cut);
    assert_eq!(asked(&written, &["audit.log", "audit.log.next"]), cut);
    // Another's lines, whatever head is made for them.
    put(&written, "audit.log.bak", b"garbage\n");
    let found = asked(&written, &glob);
    assert_eq!(found, [("audit.log.bak".to_owned(), "malformed"), cut[0].clone()]);
    // Nothing is left of it.
    put(&written, "audit.log", b"");
    assert_eq!(asked(&written, &["audit.log", "audit.log.lock"]), cut);
    remove(&written, &["audit.log.head"]);
    assert_eq!(asked(&written, &["audit.log", "audit.log.lock"]), absent("audit.log.head"));
}

#[test]
fn a_copy_of_one_part_does_not_bring_its_own_head() {
    let written = Written::new().records(4).checkpoint(CheckpointReason::Interval);
    fs::copy(written.path(), written.folder.path().join("audit.log.bak")).unwrap();
    let found = asked(&written, &["audit.log", "audit.log.bak"]);
    assert!(
        found.iter().all(|(file, word)| file == "audit.log.bak" && *word != "head_absent"),
        "{found:?}"
    );
    // A log beside another, whose name it extends, has its own.
    let other = Written::new().records(1).checkpoint(CheckpointReason::Interval);
    fs::copy(other.path(), written.folder.path().join("audit.log-eu")).unwrap();
    assert_eq!(asked(&written, &["audit.log", "audit.log-eu"]), absent("audit.log-eu.head"));
}

#[test]
fn an_empty_log_is_not_hidden_by_another() {
    let (one, other) = (Written::new().records(2), Written::new().records(2));
    let one = one.checkpoint(CheckpointReason::Interval);
    put(&other, "audit.log", b"");
    let name = other.path();
    assert_eq!(asked(&one, &["audit.log", name.to_str().unwrap()]), absent("audit.log.head"));
}

const ONE: &str = "audit.log.20261101T000000.000Z";
const TWO: &str = "audit.log.20261102T000000.000Z";

/// Two files that were put aside, and one that is written.
fn rotated() -> Written {
    let written = Written::new().records(3).rotate(1).records(3).rotate(2).records(3);
    written.checkpoint(CheckpointReason::Interval)
}

/// The first lines of a log.
fn beginning(written: &Written) -> Vec<u8> {
    let whole = fs::read(written.path()).unwrap();
    whole.split_inclusive(|byte| *byte == b'\n').take(2).collect::<Vec<_>>().concat()
}

#[test]
fn files_put_aside_need_the_head_that_is_there() {
    let written = rotated();
    // Parts of what is still written.
    assert_eq!(asked(&written, &[ONE, TWO]), []);
    assert_eq!(asked(&written, &[TWO]), []);
    // The written one alone is gone, and the head file knows of it.
    remove(&written, &["audit.log"]);
    let cut = [("audit.log.head".to_owned(), "cut_short")];
    assert_eq!(asked(&written, &[ONE, TWO, "audit.log.head"]), cut);
    assert_eq!(asked(&written, &[TWO]), cut);
    assert_eq!(asked(&written, &[ONE]), [], "others follow it");
    // An archive, alike to what is left where the head file was removed as well.
    remove(&written, &["audit.log.head"]);
    assert_eq!(asked(&written, &[ONE, TWO]), []);
    assert_eq!(asked(&written, &[TWO]), []);
}

#[test]
fn a_log_that_was_cut_and_renamed_needs_a_head() {
    let written = rotated();
    let cut = beginning(&written);
    remove(&written, &["audit.log", "audit.log.head"]);
    for name in ["audit.log.1", "audit.log.gz", "audit.log.20261103T000000.000Z"] {
        if name == "audit.log.gz" {
            put(&written, "audit.log", &cut);
            pack(&written.path());
        } else {
            put(&written, name, &cut);
        }
        assert_eq!(asked(&written, &[ONE, TWO, name]), absent("audit.log.head"), "{name}");
        remove(&written, &[name]);
    }
    // A full file of another log does not hide it, nor does an empty one.
    put(&written, "audit.log.2", &cut);
    let other = Written::new().records(1).rotate(1);
    fs::copy(other.full(1), written.folder.path().join("audit.log.1")).unwrap();
    let names = ["audit.log.1", "audit.log.2"];
    remove(&written, &[ONE, TWO]);
    assert_eq!(asked(&written, &names), absent("audit.log.head"));
    put(&written, "audit.log.1", b"");
    assert_eq!(asked(&written, &names), absent("audit.log.head"));
}

#[test]
fn a_file_alone_that_does_not_end_as_one_put_aside_needs_a_head() {
    let written = rotated();
    let (cut, whole) = (beginning(&written), fs::read(written.path()).unwrap());
    let head = fs::read(head_path(&written.path())).unwrap();
    remove(&written, &["audit.log", "audit.log.head", ONE, TWO]);
    put(&written, "audit.log.3", &cut);
    assert_eq!(asked(&written, &["audit.log.3"]), absent("audit.log.head"));
    let path = written.folder.path().join("audit.log.3");
    let log = logs(std::slice::from_ref(&path)).unwrap().remove(0).as_copy();
    let trust = written.keys().trust();
    assert_eq!(found(&verify(&log, &trust, &Kept::default(), 9).unwrap()), []);
    let options = ReportOptions { trust, ..ReportOptions::default() };
    let reported =
        report(&logs(&[path]).unwrap(), &mut Filter::new(Wanted::default(), None), &options);
    assert!(matches!(reported.unwrap().verdict(), Err(AuditError::Faults(1))));
    // The head file that was kept with it counts.
    put(&written, "audit.log.head", &head);
    assert_eq!(asked(&written, &["audit.log.3"]), [("audit.log.head".to_owned(), "cut_short")]);
    put(&written, "audit.log.3", &whole);
    assert_eq!(asked(&written, &["audit.log.3"]), []);
}

#[test]
fn a_process_that_ended_properly_leaves_nothing_to_come() {
    let ended = Written::new().records(3).checkpoint(CheckpointReason::Shutdown);
    fs::rename(ended.path(), ended.folder.path().join("audit.log.1")).unwrap();
    remove(&ended, &["audit.log.head"]);
    assert_eq!(asked(&ended, &["audit.log.1"]), []);
}

#[test]
fn a_kept_checkpoint_at_the_end_makes_up_for_the_head_file() {
    let written = Written::new().records(4).checkpoint(CheckpointReason::Interval);
    let trust = written.keys().trust();
    let path = written.folder.path().join("kept");
    fs::rename(head_path(&written.path()), &path).unwrap();
    let held = |written: &Written| {
        let log = logs(&[written.path()]).unwrap().remove(0);
        found(&verify(&log, &trust, &kept(&path, &trust).unwrap(), 9).unwrap())
    };
    assert_eq!(held(&written), []);
    // A run that began behind it and wrote no record yet.
    let written = written.start(None, None);
    assert_eq!(held(&written), []);
    let gone = ("audit.log.head".to_owned(), None, None, "head_absent");
    written.append(b"{\"v\":1,\"ti");
    assert_eq!(held(&written), std::slice::from_ref(&gone));
    written.append(b"\n");
    let written = written.start(Some(Torn::of(b"{\"v\":1,\"ti")), None).records(1);
    assert_eq!(held(&written), std::slice::from_ref(&gone));
    let log = logs(&[written.path()]).unwrap().remove(0);
    let verdict = verify(&log, &trust, &Kept::default(), 9).unwrap();
    let text = verdict.to_string();
    assert!(text.contains("`--no-head`") && text.contains("`--checkpoint`"), "{text}");
    change(&written.path(), |lines| lines.truncate(3));
    let cut = ("kept".to_owned(), None, Some(6), "cut_short");
    assert_eq!(held(&written), [gone, cut]);
}

#[test]
fn a_log_that_was_continued_from_another_copy_is_told_with_the_key() {
    let written = Written::new().records(3);
    let state = written.sealer.state();
    let mut written = written.records(1);
    // Where the copy was put back, another record was written under the same number.
    written.sealer.set_state(state);
    let mut elsewhere = Vec::new();
    written.sealer.seal(b"{\"v\":1}", &mut elsewhere);
    let written = written.start(None, None).records(2);
    let verdict = written.verdict();
    assert_eq!(found(&verdict), [("audit.log".to_owned(), Some(6), Some(6), "unlinked")]);
    let text = verdict.to_string();
    assert!(text.contains("continued from another copy of that line"), "{text}");
}

#[test]
fn checkpoints_count_where_their_signatures_were_checked() {
    let written = Written::new().records(3).checkpoint(CheckpointReason::Interval);
    let written = written.records(2).checkpoint(CheckpointReason::Interval);
    let (_, public) = written.keys().public().next().unwrap();
    let trust = Trust::of_public_keys(vec![public]);
    // Before the first checkpoint a record is missing, so what that says is not looked at.
    change(&written.path(), |lines| {
        lines.remove(3);
        let first = lines[3].find("\"signature\":\"").unwrap() + 13;
        lines[3].replace_range(first..first + 8, "AAAAAAAA");
    });
    let verdict = verify(&written.log(), &trust, &Kept::default(), 9).unwrap();
    assert_eq!(found(&verdict)[0].3, "missing");
    assert_eq!(verdict.json()["checkpoints"]["checked"], 1);
    assert!(verdict.to_string().contains("checkpoints 1 with a good signature"), "{verdict}");
    let event = |line: &str| Event::of(line.as_bytes());
    let lines = fs::read_to_string(written.path()).unwrap();
    assert_eq!(
        lines.lines().filter(|line| matches!(event(line), Some(Event::Checkpoint(_)))).count(),
        2
    );
}

#[test]
fn a_name_with_a_number_of_its_own_is_that_of_a_log() {
    for name in ["promgate-0", "audit.2", "audit.2026", "audit.log-1"] {
        let written = Written::new().records(1).checkpoint(CheckpointReason::Shutdown);
        fs::copy(written.path(), written.folder.path().join(name)).unwrap();
        assert_eq!(asked(&written, &[name]), absent(&format!("{name}.head")));
    }
    for name in ["audit.log.1", "audit-20261130", "audit.20261130T000000.000Z"] {
        let written = Written::new().records(1).checkpoint(CheckpointReason::Shutdown);
        let path = written.folder.path().join(name);
        fs::rename(written.path(), &path).unwrap();
        assert_eq!(asked(&written, &[name]), [], "{name}");
    }
}

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use flate2::{Compression, write::GzEncoder};
use mcp_core::secret::Secret;
use proptest::prelude::*;

use super::*;
use crate::config::SinkFormat;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn keys(secrets: &[&str]) -> AuditKeys {
    AuditKeys::new(&secrets.iter().map(|secret| Secret::new(*secret)).collect::<Vec<_>>()).unwrap()
}

fn key(secret: &str) -> AuditKey {
    keys(&[secret]).first().unwrap().clone()
}

/// Worked out by Python's `hmac`, so that logs which were sealed with another library verify for ever.
#[test]
fn seals_are_those_of_any_hmac() {
    let mac = key(SECRET).seal(&Mac::NONE, br#"{"v":1,"seq":1"#);
    assert_eq!(mac.to_string(), "vD045YARbZrMegwm-aqSGWQSvzd42S41nTJpcpPXkmY");
    assert_eq!(key(SECRET).id().as_str(), "49a03dbd");
}

fn trust() -> Trust {
    Trust::of_keys(keys(&[SECRET]))
}

/// A log on disk, written as the sink writes it.
struct Log {
    folder: tempfile::TempDir,
    sealer: Sealer,
}

impl Log {
    fn new() -> Self {
        let sealer = Sealer::begin(key(SECRET), SinkFormat::Json, ChainId::random().unwrap());
        let log = Self { folder: tempfile::tempdir().unwrap(), sealer };
        log.with(|sealer, out| sealer.start((None, None), SystemTime::now(), out))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    fn head(&self) -> PathBuf {
        head_path(&self.path())
    }

    fn with(mut self, write: impl FnOnce(&mut Sealer, &mut Vec<u8>)) -> Self {
        let mut out = Vec::new();
        write(&mut self.sealer, &mut out);
        let mut file =
            OpenOptions::new().append(true).create(true).mode(0o600).open(self.path()).unwrap();
        file.write_all(&out).unwrap();
        self
    }

    fn records(self, count: usize) -> Self {
        self.with(|sealer, out| {
            for number in 0..count {
                sealer.seal(format!("{{\"v\":1,\"n\":{number}}}\n").as_bytes(), out);
            }
        })
    }

    fn checkpoint(self, reason: CheckpointReason) -> Self {
        let mut line = Vec::new();
        let log = self.with(|sealer, out| {
            sealer.checkpoint(reason, SystemTime::now(), out);
            line.clone_from(out);
        });
        fs::write(log.head(), line).unwrap();
        log
    }

    /// The file is full: the next one begins.
    fn rotate(self, number: usize) -> Self {
        let log = self.checkpoint(CheckpointReason::Rotation);
        let full = beside(&log.path(), &format!(".2025010{number}T000000.000Z"));
        fs::rename(log.path(), full).unwrap();
        log.with(|sealer, out| sealer.start((None, None), SystemTime::now(), out))
    }

    fn restart(self, torn: Option<Torn>) -> Self {
        self.with(|sealer, out| sealer.start((torn, None), SystemTime::now(), out))
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(self.path()).unwrap().lines().map(str::to_owned).collect()
    }

    fn set_lines(&self, lines: &[String]) {
        fs::write(self.path(), lines.join("\n") + "\n").unwrap();
    }

    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        let mut lines = self.lines();
        change(&mut lines);
        self.set_lines(&lines);
    }

    fn read(&self) -> (Vec<(u64, Fault)>, Ending) {
        read(&self.path(), trust())
    }

    fn faults(&self) -> Vec<(u64, Fault)> {
        self.read().0
    }
}

/// The faults of a log by the line at which they are, and how it ends.
fn read(log: &Path, trust: Trust) -> (Vec<(u64, Fault)>, Ending) {
    let mut reader = Reader::open(log, trust).unwrap();
    let mut faults = Vec::new();
    while let Some(entry) = reader.read() {
        faults.extend(entry.fault.map(|fault| (entry.line, fault)));
    }
    (faults, reader.end())
}

#[test]
fn a_log_that_nobody_changed_is_whole() {
    let log =
        Log::new().records(20).checkpoint(CheckpointReason::Shutdown).restart(None).records(3);
    let log = log.checkpoint(CheckpointReason::Interval);
    let (faults, end) = log.read();
    assert_eq!(faults, []);
    assert_eq!((end.lines, end.records, end.begins_after), (27, 23, 0));
    assert_eq!(end.last.unwrap().seq, 27);
    assert_eq!((end.head, end.checkpoint), (Head::Reached(27), Some(27)));
    assert!(!end.closed && end.torn.is_none() && end.missing.is_empty() && end.unchecked == 0);
}

#[test]
fn lines_end_with_their_number_and_seal_and_are_json() {
    let log = Log::new().records(1);
    let lines = log.lines();
    for (place, line) in lines.iter().enumerate() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["seq"], place + 1);
        assert_eq!(value["mac"].as_str().unwrap().len(), 43);
    }
    assert!(lines[1].starts_with(r#"{"v":1,"n":0,"seq":2,"mac":""#), "{}", lines[1]);
    assert!(lines[0].starts_with(r#"{"v":1,"event":"chain_start","time":""#), "{}", lines[0]);
}

#[test]
fn a_changed_record_is_found_where_it_is() {
    let log = Log::new().records(10);
    log.change(|lines| lines[4] = lines[4].replace("\"n\":3", "\"n\":7"));
    assert_eq!(log.faults(), [(5, Fault::Changed)]);
}

#[test]
fn a_record_with_a_changed_seal_is_found_and_only_the_next_cannot_be_checked() {
    let log = Log::new().records(10);
    log.change(|lines| {
        let seal = lines[5].split_once("\"mac\":\"").unwrap().1.to_owned();
        let old = lines[4].split_once("\"mac\":\"").unwrap().1.to_owned();
        lines[4] = lines[4].replace(&old, &seal);
    });
    assert_eq!(log.faults(), [(5, Fault::Changed), (6, Fault::Unfounded)]);
}

#[test]
fn a_record_without_its_seal_is_no_record() {
    let log = Log::new().records(10);
    log.change(|lines| lines[4] = r#"{"v":1,"n":3}"#.to_owned());
    let faults = log.faults();
    assert_eq!(faults[0], (5, Fault::Malformed));
    assert!(faults.len() <= 2, "{faults:?}");
}

#[test]
fn removed_records_are_named_by_their_numbers() {
    let log = Log::new().records(10);
    log.change(|lines| {
        lines.drain(3..6);
    });
    let (faults, end) = log.read();
    assert_eq!(faults, [(4, Fault::Missing(4..=6))]);
    assert_eq!(end.missing, [4..=6]);
}

#[test]
fn a_log_whose_beginning_was_cut_is_read_from_where_it_begins() {
    let log = Log::new().records(10).checkpoint(CheckpointReason::Interval);
    log.change(|lines| {
        lines.drain(..3);
    });
    let (faults, end) = log.read();
    assert_eq!(faults, [(1, Fault::Missing(1..=3))]);
    assert_eq!((end.head, end.unchecked), (Head::Reached(12), 1));
    log.change(|lines| lines[4] = lines[4].replace("\"n\":6", "\"n\":5"));
    assert_eq!(log.faults(), [(1, Fault::Missing(1..=3)), (5, Fault::Changed)]);
}

#[test]
fn a_record_put_in_is_found_where_it_is() {
    let log = Log::new().records(10);
    log.change(|lines| lines.insert(5, lines[4].replace("\"seq\":5", "\"seq\":6")));
    assert_eq!(log.faults(), [(6, Fault::Inserted)]);
    log.change(|lines| lines[5] = lines[4].replace("\"seq\":5", "\"seq\":900"));
    assert_eq!(log.faults(), [(6, Fault::Moved)]);
}

#[test]
fn swapped_records_are_moved_and_none_is_missing() {
    let log = Log::new().records(10);
    log.change(|lines| lines.swap(4, 5));
    let (faults, end) = log.read();
    assert_eq!(faults, [(5, Fault::Moved)]);
    assert_eq!(end.missing, []);
}

#[test]
fn a_record_moved_far_is_found_at_both_places() {
    let log = Log::new().records(30);
    log.change(|lines| {
        let moved = lines.remove(5);
        lines.insert(20, moved);
    });
    let (faults, end) = log.read();
    assert_eq!(faults, [(6, Fault::Missing(6..=6)), (21, Fault::Moved)]);
    assert_eq!(end.missing, []);
    log.change(|lines| {
        let moved = lines.remove(20);
        lines.insert(5, moved);
        let moved = lines.remove(25);
        lines.insert(7, moved);
    });
    let (faults, end) = log.read();
    assert_eq!(faults, [(8, Fault::Moved)]);
    assert_eq!(end.missing, []);
}

#[test]
fn a_repeated_record_is_found_where_it_is_repeated() {
    let log = Log::new().records(10);
    log.change(|lines| lines.insert(8, lines[3].clone()));
    assert_eq!(log.faults(), [(9, Fault::Replayed)]);
    let log = Log::new().records(10);
    log.change(|lines| {
        let block: Vec<_> = lines[2..6].to_vec();
        lines.extend(block);
    });
    let faults = log.faults();
    assert_eq!(faults, [12, 13, 14, 15].map(|line| (line, Fault::Replayed)));
}

#[test]
fn a_repeated_run_is_repeated_from_its_start_on() {
    let log = Log::new().records(3).restart(None).records(3);
    log.change(|lines| {
        let run: Vec<_> = lines[4..].to_vec();
        lines.extend(run);
    });
    assert_eq!(log.faults(), [9, 10, 11, 12].map(|line| (line, Fault::Replayed)));
}

#[test]
fn what_follows_the_end_of_a_run_was_added() {
    let log = Log::new().records(5).checkpoint(CheckpointReason::Shutdown);
    log.change(|lines| {
        let last = lines.last().unwrap().clone();
        lines.push(lines[3].replace("\"seq\":4", "\"seq\":8"));
        lines.push("garbage".to_owned());
        lines.push(last);
    });
    let faults = log.faults();
    assert_eq!(faults, [(8, Fault::Appended), (9, Fault::Appended), (10, Fault::Replayed)]);
    let log = Log::new().records(5);
    log.change(|lines| lines.push(lines[3].replace("\"seq\":4", "\"seq\":7")));
    assert_eq!(log.faults(), [(7, Fault::Changed)]);
}

#[test]
fn a_log_cut_short_is_noticed_by_its_head() {
    let log = Log::new().records(10).checkpoint(CheckpointReason::Interval);
    log.change(|lines| lines.truncate(5));
    let (faults, end) = log.read();
    assert_eq!(faults, []);
    assert_eq!(end.head, Head::CutShort { last: 5, head: 12 });
    log.change(|lines| lines[4].truncate(20));
    fs::write(log.path(), fs::read_to_string(log.path()).unwrap().trim_end()).unwrap();
    let (faults, end) = log.read();
    assert_eq!((faults, end.head), (Vec::new(), Head::CutShort { last: 4, head: 12 }));
    assert_eq!(end.torn.unwrap().bytes, 20);
}

#[test]
fn a_head_that_is_not_ours_or_not_of_this_log_says_so() {
    let log = Log::new().records(3).checkpoint(CheckpointReason::Interval);
    let line = fs::read_to_string(log.head()).unwrap();
    fs::write(log.head(), line.replace("\"seq\":5", "\"seq\":4")).unwrap();
    assert_eq!(log.read().1.head, Head::Forged);
    fs::write(log.head(), "x").unwrap();
    assert_eq!(log.read().1.head, Head::Forged);
    let other = Log::new().records(3).checkpoint(CheckpointReason::Interval);
    fs::copy(other.head(), log.head()).unwrap();
    assert_eq!(log.read().1.head, Head::OtherChain);
    fs::remove_file(log.head()).unwrap();
    assert_eq!(log.read().1.head, Head::Absent);
}

#[test]
fn a_torn_line_is_accounted_for_by_the_start_that_follows() {
    let piece = b"{\"v\":1,\"n\":";
    let write = |log: &Log, piece: &[u8]| {
        OpenOptions::new().append(true).open(log.path()).unwrap().write_all(piece).unwrap();
    };
    let log = Log::new().records(3);
    write(&log, piece);
    let end = log.read().1;
    assert_eq!((end.torn, end.records), (Some(Torn::of(piece)), 3), "a piece is no record");
    write(&log, b"\n");
    let log = log.restart(Some(Torn::of(piece))).records(2);
    let (faults, end) = log.read();
    assert_eq!((faults, end.records), (Vec::new(), 5));
    // Another piece than the one that was told of.
    log.change(|lines| lines[4] = "{\"v\":2".to_owned());
    assert_eq!(log.faults(), [(5, Fault::Malformed)]);
}

#[test]
fn a_chain_goes_on_over_files_compressed_or_not() {
    let log = Log::new().records(4).rotate(1).records(4).rotate(2).records(4);
    let log = log.checkpoint(CheckpointReason::Shutdown);
    let first = beside(&log.path(), ".20250101T000000.000Z");
    let small = beside(&log.path(), ".20250101T000000.000Z.gz");
    let mut packer = GzEncoder::new(File::create(&small).unwrap(), Compression::fast());
    packer.write_all(&fs::read(&first).unwrap()).unwrap();
    packer.finish().unwrap();
    let (faults, end) = log.read();
    assert_eq!((faults, end.records), (Vec::new(), 12), "one that is there twice counts once");
    fs::remove_file(&first).unwrap();
    let (faults, end) = log.read();
    assert_eq!((faults, end.records), (Vec::new(), 12));
    assert!(end.closed);

    // Files that were kept long enough may go; those between may not.
    fs::remove_file(&small).unwrap();
    let (faults, end) = log.read();
    assert_eq!((faults, end.begins_after), (Vec::new(), 6));
    let log = log.rotate(3).records(2);
    fs::remove_file(beside(&log.path(), ".20250103T000000.000Z")).unwrap();
    assert_eq!(log.faults(), [(1, Fault::Missing(13..=19))]);
}

#[test]
fn a_file_that_cannot_be_unpacked_is_a_fault_and_the_next_is_read() {
    let log = Log::new().records(4).rotate(1).records(4);
    let full = beside(&log.path(), ".20250101T000000.000Z");
    fs::remove_file(&full).unwrap();
    fs::write(beside(&full, ".gz"), b"no gzip").unwrap();
    let (faults, end) = log.read();
    assert!(matches!(faults[..], [(1, Fault::Unreadable(_))]), "{faults:?}");
    assert_eq!(end.records, 4);
}

#[test]
fn whole_records_alone_are_counted() {
    let log = Log::new().records(3);
    let whole = fs::read(log.path()).unwrap();
    let with = |rest: &[u8], trust| {
        fs::write(log.path(), [&whole[..], rest].concat()).unwrap();
        read(&log.path(), trust).1.records
    };
    for (rest, sealed, unsealed) in
        [(&b"{\"v\":1,"[..], 3, 3), (b"garbage\n", 3, 4), (b"{\"v\":1}\n{\"v\"", 3, 4), (b"", 3, 3)]
    {
        let counted = (with(rest, trust()), with(rest, Trust::default()));
        assert_eq!(counted, (sealed, unsealed), "{}", rest.escape_ascii());
    }
    // A line feed is all that this one lacks.
    fs::write(log.path(), &whole[..whole.len() - 1]).unwrap();
    assert_eq!(log.read().1.records, 3);
    log.change(|lines| lines[2] = lines[2].replace("\"n\":1", "\"n\":2"));
    assert_eq!(log.read().1.records, 3, "a changed record is one");
}

#[test]
fn files_of_other_programs_are_found_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let names = [
        "audit.log.10.gz",
        "audit.log.2.gz",
        "audit.log.1",
        "audit.log-20250102",
        "audit.log.20250103T000000.000Z",
        "audit.log",
    ];
    let others =
        ["audit.log.head", "audit.log.unsealed-1", "audit.log.x", "other.log.1", "audit.logs"];
    for name in names.iter().chain(&others) {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let found = log_files(&path).unwrap();
    let found: Vec<_> =
        found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(found, names);
}

#[test]
fn names_tell_what_was_put_aside() {
    for name in ["audit.log", "log", "audit-eu.log", "audit.log.old", "2026-11.log", ".1"] {
        assert!(may_be_written(Path::new(name)), "{name}");
    }
    for name in [
        "audit.log.20250103T000000.000Z",
        "x/audit.log.20250103T000000.000Z.gz",
        "audit.log.1",
        "audit.log-20250102",
        "audit-eu.log.2.gz",
        "audit.log.gz",
        "audit.log.unsealed-20250103T000000.000Z",
    ] {
        assert!(!may_be_written(Path::new(name)), "{name}");
    }
}

#[test]
fn a_key_that_we_do_not_have_is_named() {
    let mut log = Log::new().records(2);
    log.sealer = Sealer::resume(key(OTHER), SinkFormat::Json, log.sealer.state());
    let log = log.restart(None).records(3);
    let (faults, end) = log.read();
    assert_eq!(faults, [(4, Fault::ForeignKey(key(OTHER).id()))]);
    assert_eq!(end.unchecked, 3);
    let both = Trust::of_keys(keys(&[OTHER, SECRET]));
    let (faults, end) = read(&log.path(), both);
    assert_eq!(
        (faults, end.last.unwrap().seq),
        (Vec::new(), 7),
        "keys that are changed are known by name"
    );
}

#[test]
fn another_chain_is_told_apart() {
    let mut log = Log::new().records(2);
    log.sealer = Sealer::begin(key(SECRET), SinkFormat::Json, ChainId::random().unwrap());
    let log = log.restart(None).records(1);
    assert_eq!(log.faults(), [(4, Fault::NewChain)]);
}

#[test]
fn who_has_only_the_public_key_checks_numbers_and_checkpoints() {
    let log = Log::new().records(6).checkpoint(CheckpointReason::Interval);
    let public = || Trust::of_public_keys(vec![key(SECRET).public_key()]);
    let text = key(SECRET).public_key().to_string();
    assert_eq!(PublicKey::parse(&text), Some(key(SECRET).public_key()));
    let (faults, end) = read(&log.path(), public());
    assert_eq!((faults, end.head), (Vec::new(), Head::Reached(8)));
    let stranger = Trust::of_public_keys(vec![key(OTHER).public_key()]);
    let (faults, end) = read(&log.path(), stranger);
    assert_eq!((faults, end.head), (vec![(8, Fault::Unsigned)], Head::Forged));
    log.change(|lines| {
        lines.remove(3);
    });
    assert_eq!(read(&log.path(), public()).0, [(4, Fault::Missing(4..=4))]);
}

#[test]
fn who_has_only_the_public_key_sees_that_another_line_stands_before_a_checkpoint_or_a_start() {
    let public = || Trust::of_public_keys(vec![key(SECRET).public_key()]);
    let other = |line: &str| {
        let (covered, _mac) = line.split_once(",\"mac\":").unwrap();
        format!("{covered},\"mac\":\"{}\"}}", key(OTHER).seal(&Mac::NONE, covered.as_bytes()))
    };
    let log = || {
        let log = Log::new().records(3).checkpoint(CheckpointReason::Interval);
        log.records(2).restart(None).records(1)
    };
    for (place, wanted) in
        [(2, vec![]), (3, vec![(5, Fault::Unlinked)]), (6, vec![(8, Fault::Unlinked)])]
    {
        let log = log();
        log.change(|lines| lines[place] = other(&lines[place].replace("\"n\":", "\"n\":1")));
        let (faults, end) = read(&log.path(), public());
        assert_eq!((faults, end.head), (wanted, Head::Reached(5)), "{place}");
    }
    // What the line itself repeats, in the place of what it repeated.
    for (place, line, fault) in [(4, 5, Fault::Unsigned), (7, 8, Fault::Unlinked)] {
        let log = log();
        log.change(|lines| {
            let [before, first] = [place - 1, 0]
                .map(|place| Sealed::of(lines[place].as_bytes()).unwrap().mac.to_string());
            lines[place] = lines[place].replace(&before, &first);
        });
        assert_eq!(read(&log.path(), public()).0, [(line, fault)]);
    }
}

#[test]
fn who_has_no_key_reads_any_log() {
    let log = Log::new().records(2);
    log.change(|lines| lines.push(r#"{"v":1}"#.to_owned()));
    let (faults, end) = read(&log.path(), Trust::default());
    assert_eq!((faults, end.records), (Vec::new(), 3));
}

#[test]
fn a_log_in_ecs_is_a_chain_as_well() {
    let mut log = Log::new();
    fs::remove_file(log.path()).unwrap();
    log.sealer = Sealer::begin(key(SECRET), SinkFormat::Ecs, ChainId::random().unwrap());
    let log = log.restart(None).records(3).checkpoint(CheckpointReason::Shutdown);
    let (faults, end) = log.read();
    assert_eq!((faults, end.head, end.closed), (Vec::new(), Head::Reached(5), true));
    let start: serde_json::Value = serde_json::from_str(&log.lines()[0]).unwrap();
    assert_eq!(start["event.action"], "chain_start");
}

#[test]
fn no_key_shows_itself() {
    let shown = format!("{:?} {:?}", keys(&[SECRET]), trust());
    assert!(!shown.contains(SECRET) && shown.contains("AuditKey("), "{shown}");
}

mod found {
    use super::*;

    fn found(log: &Log) -> Found {
        find(&log.path(), &keys(&[SECRET])).unwrap()
    }

    fn after(log: &Log) -> State {
        log.sealer.state()
    }

    #[test]
    fn nothing_is_gone_on_with_where_there_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let found = find(&folder.path().join("audit.log"), &keys(&[SECRET])).unwrap();
        assert_eq!((found.state, found.notice), (None, None));
    }

    #[test]
    fn a_log_goes_on_after_its_last_line() {
        let log = Log::new().records(5).checkpoint(CheckpointReason::Shutdown);
        let state = Some(after(&log));
        assert_eq!((found(&log).state, found(&log).notice), (state, None));
        let log = log.records(700);
        assert_eq!((found(&log).state, found(&log).notice), (Some(after(&log)), None));
    }

    #[test]
    fn a_log_goes_on_after_the_last_file_that_holds_something() {
        let log = Log::new().records(5).rotate(1);
        fs::write(log.path(), "").unwrap();
        let full = beside(&log.path(), ".20250101T000000.000Z");
        let last = fs::read_to_string(&full).unwrap();
        let last = Sealed::of(last.lines().last().unwrap().as_bytes()).unwrap().seq;
        let Some(state) = found(&log).state else { panic!("nothing found") };
        assert_eq!(state.seq, last);
        let mut packer =
            GzEncoder::new(File::create(beside(&full, ".gz")).unwrap(), Compression::fast());
        packer.write_all(&fs::read(&full).unwrap()).unwrap();
        packer.finish().unwrap();
        fs::remove_file(full).unwrap();
        assert_eq!(found(&log).state, Some(state));
    }

    #[test]
    fn a_piece_of_a_line_is_told_of_and_a_missing_line_feed_is_none() {
        let log = Log::new().records(5).checkpoint(CheckpointReason::Interval);
        let whole = fs::read(log.path()).unwrap();
        fs::write(log.path(), &whole[..whole.len() - 1]).unwrap();
        let cut = found(&log);
        assert_eq!((cut.state, cut.unended, cut.torn), (Some(after(&log)), true, None));
        fs::write(log.path(), [&whole[..], b"{\"v\":1"].concat()).unwrap();
        let cut = found(&log);
        assert_eq!(
            (cut.state, cut.unended, cut.torn),
            (Some(after(&log)), false, Some(Torn::of(b"{\"v\":1")))
        );
        assert_eq!(cut.notice, None);
    }

    #[test]
    fn a_log_that_was_cut_short_goes_on_after_its_head_and_says_so() {
        let log = Log::new().records(5).checkpoint(CheckpointReason::Interval);
        log.change(|lines| lines.truncate(3));
        assert_eq!(
            (found(&log).state, found(&log).notice),
            (Some(after(&log)), Some(Notice::CutShort))
        );
        fs::remove_file(log.path()).unwrap();
        assert_eq!(
            (found(&log).state, found(&log).notice),
            (Some(after(&log)), Some(Notice::CutShort))
        );
        // The gap shows: nobody has the lines any more.
        let log = log.restart(None).records(1);
        assert_eq!(log.read().1.begins_after, 7);
    }

    #[test]
    fn lines_put_behind_the_end_are_not_gone_on_with() {
        let log = Log::new().records(5).checkpoint(CheckpointReason::Interval);
        log.change(|lines| {
            lines.push(lines[3].replace("\"seq\":4", "\"seq\":8"));
            lines.push("garbage".to_owned());
        });
        assert_eq!(
            (found(&log).state, found(&log).notice),
            (Some(after(&log)), Some(Notice::EndForged))
        );
        let log = log.restart(None);
        assert_eq!(log.faults(), [(8, Fault::Changed), (9, Fault::Malformed)]);
    }

    #[test]
    fn a_head_that_is_gone_or_forged_is_told_of() {
        let log = Log::new().records(5).checkpoint(CheckpointReason::Interval);
        fs::write(log.head(), "x").unwrap();
        assert_eq!(
            (found(&log).state, found(&log).notice),
            (Some(after(&log)), Some(Notice::HeadForged))
        );
        fs::remove_file(log.head()).unwrap();
        assert_eq!(
            (found(&log).state, found(&log).notice),
            (Some(after(&log)), Some(Notice::HeadMissing))
        );
    }

    #[test]
    fn a_log_that_was_never_sealed_is_told_apart() {
        let log = Log::new();
        fs::write(log.path(), "{\"v\":1}\n{\"v\":1}\n").unwrap();
        assert_eq!((found(&log).state, found(&log).unsealed), (None, true));
    }
}

proptest! {
    /// Whatever is done to one place of a log, it does not pass for whole, unless nothing was done, or the last line has
    /// lost its line feed and nothing else.
    #[test]
    fn no_change_goes_unseen(place in 0_usize..4000, byte in any::<u8>(), kind in 0..4) {
        let log = Log::new().records(12).checkpoint(CheckpointReason::Shutdown);
        let whole = fs::read(log.path()).unwrap();
        let place = place % whole.len();
        let mut changed = whole.clone();
        match kind {
            0 => changed[place] = byte,
            1 => { changed.remove(place); }
            2 => changed.insert(place, byte),
            _ => changed.truncate(place),
        }
        fs::write(log.path(), &changed).unwrap();
        let (faults, end) = log.read();
        let good = faults.is_empty() && end.head == Head::Reached(14) && end.torn.is_none();
        let is_whole = changed == whole || [&changed[..], b"\n"].concat() == whole;
        prop_assert_eq!(good, is_whole);
    }

    #[test]
    fn no_bytes_stop_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let log = Log::new();
        fs::write(log.path(), &bytes).unwrap();
        log.read();
        find(&log.path(), &keys(&[SECRET])).unwrap();
        let _event = Event::of(&[b"{\"v\":1,\"event\":\"", &bytes[..]].concat());
    }
}

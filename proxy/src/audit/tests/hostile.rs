use proptest::prelude::*;

use super::*;
use crate::access_log::chain::LINE_BYTES_MAX;

/// Every question, asked of whatever is in the file.
fn ask_all(folder: &Path, bytes: &[u8]) {
    let path = folder.join("audit.log");
    fs::write(&path, bytes).unwrap();
    fs::write(head_path(&path), bytes).unwrap();
    let keys = keys(folder, SECRET);
    let trust = keys.trust();
    let held = kept(&path, &trust).unwrap_or_default();
    let log = logs(std::slice::from_ref(&path)).unwrap().remove(0);
    let verdict = verify(&log, &trust, &held, 10).unwrap();
    assert!(serde_json::to_string(&verdict.json()).is_ok());
    assert!(verdict.to_string().chars().all(|c| c == '\n' || !c.is_control()));
    let public = keys.public().map(|(_, key)| key).collect();
    let verdict = verify(&log, &Trust::of_public_keys(public), &held, 10).unwrap();
    assert!(verdict.to_string().chars().all(|c| c == '\n' || !c.is_control()));
    let wanted = Wanted { people: vec!["alice".to_owned()], ..Wanted::default() };
    let mut filter = Filter::new(wanted, Some(&keys));
    // A part of it may be unreadable, which is an answer too.
    drop(grep(std::slice::from_ref(&log), &mut filter, true, &mut io::sink()));
    let mut filter = Filter::new(Wanted::default(), None);
    let options = ReportOptions { trust, ..ReportOptions::default() };
    let report = report(std::slice::from_ref(&log), &mut filter, &options).unwrap();
    assert!(report.to_string().chars().all(|c| c == '\n' || !c.is_control()));
    drop(reveal(&keys, &Name::Subject("a".to_owned()), Some(""), &[log]).unwrap().to_string());
}

#[test]
fn binary_huge_and_broken_files_have_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let deep = [b"{\"tool\":".to_vec(), vec![b'['; 100_000]].concat();
    let long = [vec![b'a'; LINE_BYTES_MAX * 2 + 10], b"\n{\"v\":1}\n".to_vec()].concat();
    let name = format!("{{\"v\":1,\"subject\":\"{}\\u001b\"}}\n", "é".repeat(400_000));
    for bytes in [
        &b""[..],
        b"\n\n\n",
        b"\x00\xff\xfe\n\x1f",
        b"\x1f\x8b\x08\x00garbage",
        &deep,
        &long,
        name.as_bytes(),
        "{\"v\":1,\"subject\":\"\\u0000\\u0000\",\"outcome\":\"\u{202e}\"}".as_bytes(),
        br#"{"v":1,"event":"checkpoint","chain":"0000000000000000","records":1e999,"seq":18446744073709551615,"mac":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        br#"{"v":1,"event":"chain_start","chain":"0000000000000000","key":"00000000","resumes":18446744073709551615,"previous":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","seq":18446744073709551615,"mac":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
    ] {
        ask_all(folder.path(), bytes);
    }
}

#[test]
fn a_line_too_long_is_a_fault_and_the_next_is_read() {
    let written = Written::new().records(1);
    written.append(&[vec![b'x'; LINE_BYTES_MAX * 3], b"\n".to_vec()].concat());
    let written = written.records(1);
    assert_eq!(found(&written.verdict()), [("audit.log".to_owned(), Some(3), None, "malformed")]);
}

#[test]
fn a_folder_and_a_file_that_may_not_be_read_are_told() {
    let written = Written::new().records(1).rotate(1).records(1);
    fs::remove_file(written.full(1)).unwrap();
    fs::create_dir(written.full(1)).unwrap();
    let verdict = written.verdict();
    assert_eq!(found(&verdict)[0].3, "unreadable");
    let mut filter = Filter::new(Wanted::default(), None);
    let mut out = Vec::new();
    let error = grep(&[written.log()], &mut filter, false, &mut out).unwrap_err();
    assert!(
        matches!(&error, AuditError::Unread(place) if place.contains("T000000.000Z:1: ")),
        "{error}"
    );
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 1, "the rest is there");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_bytes_stop_a_question(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        ask_all(tempfile::tempdir().unwrap().path(), &bytes);
    }

    #[test]
    fn no_damage_of_a_true_log_stops_a_question(
        place in 0_usize..4000,
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        cut in 0_usize..200,
    ) {
        let written = Written::new().records(4).checkpoint(CheckpointReason::Interval).records(2);
        let mut all = fs::read(written.path()).unwrap();
        let from = place % all.len();
        let to = (from + cut).min(all.len());
        all.splice(from..to, bytes);
        ask_all(written.folder.path(), &all);
    }

    /// Whatever is removed, swapped or repeated of whole lines, the verdict is not good, and the first line named is
    /// the first that is not as it was.
    #[test]
    fn the_first_changed_line_is_the_first_named(
        kind in 0..4,
        one in 1_usize..20,
        other in 1_usize..20,
    ) {
        let written = Written::new().records(22).checkpoint(CheckpointReason::Shutdown);
        let whole = fs::read_to_string(written.path()).unwrap();
        change(&written.path(), |lines| match kind {
            0 => drop(lines.remove(one)),
            1 => lines.swap(one, other),
            2 => lines.insert(one, lines[other].clone()),
            _ => lines[one] = lines[one].replace("200", "299"),
        });
        let now = fs::read_to_string(written.path()).unwrap();
        let first = whole.lines().zip(now.lines()).position(|(was, is)| was != is);
        let verdict = written.verdict();
        match first {
            None => prop_assert_eq!(verdict.faults(), 0),
            Some(place) => {
                let line = u64::try_from(place).unwrap() + 1;
                let named = verdict.findings()[0].line;
                prop_assert_eq!(named, Some(line), "{}", verdict);
            }
        }
    }
}

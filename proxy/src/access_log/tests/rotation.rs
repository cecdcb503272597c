//! Files that are full, moved, compressed and removed.

use std::fs;

use super::{
    chained::{config, flush, verify},
    *,
};
use crate::access_log::chain::log_files;

fn full(path: &Path) -> Vec<PathBuf> {
    let mut files = log_files(path).unwrap();
    files.retain(|file| file != path);
    files
}

fn many(log: &AccessLog, count: usize) {
    for number in 0..count {
        write(log, &format!("{number:06}"));
    }
}

#[test]
fn a_chain_is_unbroken_over_files_that_are_full_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let metrics = metrics();
    let config = config(&path, |file| {
        file.rotate_bytes = Some(64 << 10);
        file.compress = true;
    });
    let log = AccessLog::start(&config, RESOURCE, &metrics).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| many(&log, 1000));
        }
    });
    flush(&log);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records), (Vec::new(), 4000));
    let files = full(&path);
    assert!(files.len() >= 10, "{files:?}");
    assert_eq!(
        metrics.sink("access").unwrap().rotations.get(),
        u64::try_from(files.len()).unwrap()
    );
    for file in &files {
        let about = file.metadata().unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600);
        let compressed = file.extension().is_some_and(|end| end == "gz");
        let bytes = fs::read(file).unwrap();
        // A record ends a file even if it does not fit any more, and its checkpoint follows.
        let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let end: usize = lines.iter().rev().skip(2).map(|line| line.len()).sum();
        assert!(compressed || end <= 64 << 10, "{} {end}", file.display());
    }
}

#[test]
fn full_files_are_compressed_and_the_oldest_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let config = config(&path, |file| {
        file.rotate_bytes = Some(64 << 10);
        file.compress = true;
        file.keep_files = Some(3);
    });
    let log = AccessLog::start(&config, RESOURCE, &metrics()).unwrap();
    for _ in 0..20 {
        many(&log, 100);
        std::thread::park_timeout(Duration::from_millis(30));
    }
    let compressed = |path: &PathBuf| path.extension().is_some_and(|end| end == "gz");
    until("three compressed files are left", || {
        write(&log, "more");
        let files = full(&path);
        files.len() == 3 && files.iter().all(compressed)
    });
    flush(&log);
    let (faults, end) = verify(&path);
    assert_eq!(faults, []);
    assert!(end.begins_after > 0, "the first files are gone, and that is said");
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names.len(), 5, "nothing else is left: {names:?}");
}

#[test]
fn a_file_is_full_at_its_age_if_it_holds_something() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let config = config(&path, |file| file.rotate_age = Some(Duration::from_millis(300)));
    // Runs that record nothing leave lines of the log's own.
    for _ in 0..2 {
        flush(&AccessLog::start(&config, RESOURCE, &metrics()).unwrap());
    }
    let log = AccessLog::start(&config, RESOURCE, &metrics()).unwrap();
    std::thread::park_timeout(Duration::from_millis(600));
    assert_eq!(full(&path).len(), 0, "a file without records is not put aside");
    write(&log, "a");
    until("it was full", || full(&path).len() == 1);
    std::thread::park_timeout(Duration::from_millis(600));
    assert_eq!(full(&path).len(), 1, "nor is one in the middle");
    write(&log, "b");
    until("it was full again", || full(&path).len() == 2);
    flush(&log);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records), (Vec::new(), 2));
}

#[test]
fn a_plain_log_is_put_aside_at_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let mut config = config(&path, |file| file.rotate_bytes = Some(64 << 10));
    config.sinks[0].chain = false;
    let log = AccessLog::start(&config, RESOURCE, &metrics()).unwrap();
    many(&log, 2000);
    flush(&log);
    let files = log_files(&path).unwrap();
    assert!(files.len() > 3);
    let mut all = Vec::new();
    for file in files {
        let bytes = fs::read(&file).unwrap();
        assert!(bytes.len() <= 65 << 10, "{}", bytes.len());
        all.extend(lines(&bytes));
    }
    assert_eq!(ids(&all).len(), 2000);
    assert!(ids(&all).is_sorted());
}

#[test]
fn a_file_that_others_move_is_gone_on_with_in_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = AccessLog::start(&config(&path, |_| ()), RESOURCE, &metrics()).unwrap();
    for number in (1..=3).rev() {
        many(&log, 50);
        until("written", || fs::read_to_string(&path).is_ok_and(|text| text.contains("000049")));
        fs::rename(&path, folder.path().join(format!("audit.log.{number}"))).unwrap();
        log.reopen();
        until("the file is back", || path.exists());
    }
    many(&log, 50);
    flush(&log);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records), (Vec::new(), 200));
}

#[test]
fn a_file_that_another_program_has_replaced_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = AccessLog::start(&config(&path, |_| ()), RESOURCE, &metrics()).unwrap();
    many(&log, 50);
    until("written", || fs::read_to_string(&path).is_ok_and(|text| text.contains("000049")));
    fs::rename(&path, folder.path().join("audit.log.1")).unwrap();
    fs::write(&path, "").unwrap();
    many(&log, 50);
    flush(&log);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records), (Vec::new(), 100));
    assert!(fs::read_to_string(&path).unwrap().contains("000049"));
}

#[test]
fn a_folder_that_takes_no_new_file_keeps_the_log_going() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let metrics = metrics();
    // A folder in the place of the next file cannot be removed as a file.
    fs::create_dir(folder.path().join("audit.log.next")).unwrap();
    let config = config(&path, |file| file.rotate_bytes = Some(64 << 10));
    let log = AccessLog::start(&config, RESOURCE, &metrics).unwrap();
    many(&log, 1000);
    flush(&log);
    let (faults, end) = verify(&path);
    assert_eq!((faults, end.records), (Vec::new(), 1000));
    let counters = metrics.sink("access").unwrap();
    assert_eq!((counters.rotations.get(), counters.dropped.get()), (0, 0));
    assert_eq!(counters.write_errors.get(), 1, "it is not tried with every record");
}

use std::{io::Read as _, path::PathBuf};

use super::*;

fn unpacked(path: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut all).unwrap();
    all
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

fn of_age(age: Duration) -> String {
    let time = Timestamp::now().checked_sub(age).unwrap();
    time.strftime(STAMP).to_string()
}

#[test]
fn a_file_that_another_process_compresses_is_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log.20260101T000000.000Z");
    fs::write(&path, "records").unwrap();
    let unfinished = beside(&path, UNFINISHED);
    fs::write(&unfinished, "half").unwrap();
    let other = File::open(&unfinished).unwrap();
    flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
    compress(&path, Fsync::Never).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"records");
    assert_eq!(fs::read(&unfinished).unwrap(), b"half");
    drop(other);
    // It was killed: what it left is begun anew.
    compress(&path, Fsync::Never).unwrap();
    assert_eq!(unpacked(&beside(&path, ".gz")), b"records");
    assert_eq!(names(folder.path()), ["audit.log.20260101T000000.000Z.gz"]);
}

#[test]
fn a_compression_that_fails_leaves_the_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log.20260101T000000.000Z");
    // It can be opened, and not read.
    fs::create_dir(&path).unwrap();
    compress(&path, Fsync::Always).unwrap_err();
    assert_eq!(names(folder.path()), ["audit.log.20260101T000000.000Z"]);
}

#[test]
fn two_processes_compress_the_files_of_a_log_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = LogFile { compress: true, ..LogFile::at(folder.path().join("audit.log")) };
    let content = |number: usize| format!("{number} ").repeat(50_000).into_bytes();
    let path = |number: usize| -> PathBuf {
        beside(&config.path, &format!(".20260101T0000{number:02}.000Z"))
    };
    for number in 0..20 {
        fs::write(path(number), content(number)).unwrap();
    }
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| tidy(&config).unwrap());
        }
    });
    tidy(&config).unwrap();
    for number in 0..20 {
        assert_eq!(unpacked(&beside(&path(number), ".gz")), content(number));
        assert!(!path(number).exists());
    }
    assert_eq!(names(folder.path()).len(), 20);
}

#[test]
fn what_fails_with_one_file_keeps_nothing_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let config = LogFile { keep_files: Some(0), ..LogFile::at(folder.path().join("audit.log")) };
    fs::create_dir(beside(&config.path, ".20260103T000000.000Z")).unwrap();
    for day in [1, 2] {
        fs::write(beside(&config.path, &format!(".2026010{day}T000000.000Z")), "").unwrap();
    }
    tidy(&config).unwrap_err();
    assert_eq!(names(folder.path()), ["audit.log.20260103T000000.000Z"]);
}

#[test]
fn files_are_kept_for_their_age() {
    let folder = tempfile::tempdir().unwrap();
    let hour = Duration::from_hours(1);
    let config =
        LogFile { keep_age: Some(hour * 24), ..LogFile::at(folder.path().join("audit.log")) };
    let old = [of_age(hour * 25), format!("{}.gz", of_age(hour * 1000))];
    let young = [of_age(hour * 23), format!("{}.gz", of_age(hour))];
    let foreign = ["1", "2.gz", "20200101", "old", "unsealed-20200101T000000.000Z"];
    for name in old.iter().chain(&young).map(String::as_str).chain(foreign) {
        fs::write(beside(&config.path, &format!(".{name}")), "").unwrap();
    }
    tidy(&config).unwrap();
    let mut kept: Vec<String> = young
        .iter()
        .map(String::as_str)
        .chain(foreign)
        .map(|name| format!("audit.log.{name}"))
        .collect();
    kept.sort();
    assert_eq!(names(folder.path()), kept);
}

#[test]
fn a_stamp_is_later_than_all_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    fs::write(beside(&log, ".29990101T000000.000Z"), "").unwrap();
    assert_eq!(stamp(&log).unwrap(), "29990101T000000.001Z");
    // The last moment that there is.
    fs::write(beside(&log, ".99991230T220000.999Z"), "").unwrap();
    fs::write(beside(&log, ".99991231T235959.999Z"), "").unwrap();
    stamp(&log).unwrap();
}

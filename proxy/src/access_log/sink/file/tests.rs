use super::*;

#[test]
fn a_file_stays_in_its_place_when_no_other_can_be_put_there() {
    let folder = tempfile::tempdir().unwrap();
    let [path, aside, next] = ["log", "log.1", "log.next"].map(|name| folder.path().join(name));
    fs::write(&path, "old").unwrap();
    swap(&path, &aside, &next).unwrap_err();
    assert_eq!((fs::read(&path).unwrap(), aside.exists()), (b"old".to_vec(), false));
    fs::write(&next, "new").unwrap();
    swap(&path, &aside, &next).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::read(&aside).unwrap(), b"old");
}

#[test]
fn what_is_written_again_stands_where_it_stood() {
    let folder = tempfile::tempdir().unwrap();
    let config = LogFile { fsync: Fsync::Always, ..LogFile::at(folder.path().join("access.log")) };
    fs::write(&config.path, "before\n").unwrap();
    let mut output = LogFileOutput::open(&config, false).unwrap();
    let lines = "a line\n".repeat(AGAIN_BYTES / 3);
    assert_eq!(output.write(lines.as_bytes()).unwrap(), Done::bytes(lines.len()));
    // As if what was written were lost on its way to the disk.
    let all = fs::read(&config.path).unwrap();
    output.sync_failed = true;
    output.sync(false).unwrap();
    assert!(!output.sync_failed);
    assert_eq!(fs::read(&config.path).unwrap(), all);
    assert_eq!(output.synced_bytes, output.bytes);
}

#[test]
fn a_file_holds_something_once_it_holds_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let config = LogFile { rotate_bytes: Some(1), ..LogFile::at(folder.path().join("access.log")) };
    let start = "{\"v\":1,\"event\":\"chain_start\",\"time\":\"\",\"chain\":\"0123456789abcdef\",\"key\":\"01234567\",\"resumes\":null}\n";
    fs::write(&config.path, start).unwrap();
    let mut output = LogFileOutput::open(&config, true).unwrap();
    assert!(!output.is_full());
    output.recorded();
    assert!(output.is_full());
    fs::write(&config.path, format!("{start}{{\"v\":1}}\n")).unwrap();
    assert!(LogFileOutput::open(&config, true).unwrap().is_full());
}

#[test]
fn a_device_is_never_full() {
    let age = Some(Duration::ZERO);
    let config = LogFile { rotate_age: age, ..LogFile::at("/dev/null".into()) };
    let mut output = LogFileOutput::open(&config, false).unwrap();
    output.recorded();
    // Whoever were woken for it would be woken again at once.
    assert_eq!((output.is_full(), output.full_at()), (false, None));
    let folder = tempfile::tempdir().unwrap();
    let config = LogFile { rotate_age: age, ..LogFile::at(folder.path().join("access.log")) };
    let mut output = LogFileOutput::open(&config, false).unwrap();
    output.recorded();
    assert!(output.is_full() && output.full_at().is_some());
}

#[test]
fn a_file_that_cannot_be_entered_is_not_kept_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let [place, moved] = ["logs", "moved"].map(|name| folder.path().join(name));
    fs::create_dir(&place).unwrap();
    let mut output = LogFileOutput::open(&LogFile::at(place.join("access.log")), true).unwrap();
    // What is at the path cannot be told, and it is not that nothing is there.
    fs::rename(&place, &moved).unwrap();
    fs::write(&place, "").unwrap();
    let error = output.enter().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    lock(&File::open(moved.join("access.log")).unwrap()).unwrap();
}

#[test]
fn a_file_that_has_grown_is_looked_at_until_that_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let [path, moved] = ["access.log", "moved.log"].map(|name| folder.path().join(name));
    let mut output = LogFileOutput::open(&LogFile::at(path.clone()), true).unwrap();
    assert_eq!(output.enter().unwrap(), Entered::Same);
    output.leave();
    // Somebody moves it and tells us later; another process writes to it meanwhile.
    fs::rename(&path, &moved).unwrap();
    fs::write(&moved, "of another\n").unwrap();
    for _ in 0..2 {
        output.enter().unwrap_err();
    }
    fs::rename(&moved, &path).unwrap();
    assert_eq!(output.enter().unwrap(), Entered::Other);
}

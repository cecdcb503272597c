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

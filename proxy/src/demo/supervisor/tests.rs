use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;

/// A stand-in for promgate: drops `demo-child -- PID` and becomes the program.
fn launcher(folder: &Path) -> PathBuf {
    let path = folder.join("launcher");
    fs::write(&path, "#!/bin/sh\nshift 3\nexec \"$@\"\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn shell(folder: &Path, script: &str) -> Launch {
    let args = vec!["-c".to_owned(), script.to_owned()];
    Launch {
        launcher: launcher(folder),
        args,
        ..Launch::of("a script", Path::new("/bin/sh"), folder.join("log"))
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn a_child_that_dies_is_started_again_and_its_last_words_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let starts = folder.path().join("starts");
    let script = format!("echo x >> {}; echo no luck >&2; exit 1", starts.display());
    let supervisor = Supervisor::start(shell(folder.path(), &script)).unwrap();
    wait_for("a second start", || {
        fs::read_to_string(&starts).is_ok_and(|text| text.lines().count() > 1)
    });
    assert!(supervisor.deaths() >= 1);
    wait_for("words", || supervisor.last_words().contains("no luck"));
}

#[test]
fn a_child_that_will_not_end_is_made_to() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", pid.display());
    let supervisor = Supervisor::start(shell(folder.path(), &script)).unwrap();
    wait_for("the child", || fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')));
    let process = format!("/proc/{}", fs::read_to_string(&pid).unwrap().trim());
    assert!(Path::new(&process).exists());
    drop(supervisor);
    assert!(!Path::new(&process).exists());
}

#[test]
fn a_program_that_is_not_there_is_a_death_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch {
        launcher: folder.path().join("missing"),
        ..Launch::of("nothing", Path::new("/bin/true"), folder.path().join("log"))
    };
    let supervisor = Supervisor::start(launch).unwrap();
    wait_for("a death", || supervisor.deaths() > 0);
    assert!(supervisor.last_words().contains("No such file"), "{}", supervisor.last_words());
}

#[test]
fn the_end_of_a_long_speech_is_kept_in_memory_and_all_of_it_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let said = Mutex::new(Said::open(&path).unwrap());
    let speech = "x".repeat(10 * TAIL_BYTES_MAX) + "end";
    listen(speech.as_bytes(), &said);
    assert_eq!(said.lock().tail.len(), TAIL_BYTES_MAX);
    assert!(said.lock().tail.ends_with(b"end"));
    assert_eq!(fs::read_to_string(&path).unwrap(), speech);
}

#[test]
fn a_file_that_grew_too_long_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    File::create(&path).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
    Said::open(&path).unwrap().hear(b"anew");
    assert_eq!(fs::read(&path).unwrap(), b"anew");
}

#[test]
fn both_outputs_are_heard_unless_one_has_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo one; echo two >&2; exec sleep 600";
    let both = Supervisor::start(shell(folder.path(), script)).unwrap();
    wait_for("both", || ["one", "two"].iter().all(|word| both.last_words().contains(word)));
    let own = folder.path().join("own");
    let launch = Launch { stdout: Some(own.clone()), ..shell(folder.path(), script) };
    let apart = Supervisor::start(launch).unwrap();
    wait_for("the second", || apart.last_words() == "two");
    wait_for("the first", || fs::read_to_string(&own).is_ok_and(|text| text == "one\n"));
}

#[test]
fn what_a_child_gets_by_its_environment_is_in_no_debug_output() {
    let folder = tempfile::tempdir().unwrap();
    let environment = vec![("GIVEN", Secret::new("a password"))];
    let launch = Launch { environment, ..shell(folder.path(), "echo $GIVEN; exec sleep 600") };
    assert!(!format!("{launch:?}").contains("a password"));
    let supervisor = Supervisor::start(launch).unwrap();
    wait_for("the variable", || supervisor.last_words() == "a password");
}

#[tokio::test]
async fn a_killed_child_stays_dead_until_it_is_revived() {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch { pause: LOOK, ..shell(folder.path(), "echo begun; exec sleep 600") };
    let supervisor = Supervisor::start(launch).unwrap();
    wait_for("the start", || supervisor.last_words() == "begun");
    let first = supervisor.pid().unwrap();
    supervisor.kill().await.unwrap();
    assert!(!Path::new(&format!("/proc/{first}")).exists());
    assert_eq!(supervisor.pid(), None);
    thread::park_timeout(LOOK * 4);
    assert_eq!((supervisor.pid(), supervisor.deaths()), (None, 0));
    supervisor.kill().await.unwrap();
    supervisor.revive().unwrap();
    wait_for("the second start", || supervisor.last_words() == "begun\nbegun");
    assert!(supervisor.pid().is_some_and(|pid| pid != first));
    supervisor.revive().unwrap();
    assert_eq!(supervisor.deaths(), 0);
}

//! Keeps one child process running, and ends it with us.

use std::{
    io::{self, Read},
    path::PathBuf,
    process::{Child, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal};

use super::{child, error::DemoError};

/// How often a child is looked at, and how soon it is seen that we end.
const LOOK: Duration = Duration::from_millis(50);

/// Pause before a child that died is started again; doubled each time, up to the second figure.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A child that ran for this long is taken to have been well: the pause begins anew.
const WELL: Duration = Duration::from_mins(1);

/// How long a child may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// How much of what a child says is kept, in bytes.
const TAIL_BYTES_MAX: usize = 2048;

/// What to run.
#[derive(Debug)]
pub(super) struct Launch {
    /// Promgate's executable, which ties the child to us.
    pub(super) launcher: PathBuf,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
}

/// A supervised child; it is ended, and waited for, when this is dropped.
#[derive(Debug)]
pub(super) struct Supervisor {
    // Dropped first: its end is what the thread takes for the order to stop.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    deaths: AtomicU32,
    tail: Mutex<Vec<u8>>,
}

impl Supervisor {
    /// Starts a thread that starts the child. The kernel ends the child with that very thread, so
    /// the thread lives as long as the child should.
    pub(super) fn start(launch: Launch) -> Result<Self, DemoError> {
        let (stop, stopped) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("demo-supervisor".to_owned())
            .spawn(move || supervise(&launch, &stopped, &seen))
            .map_err(DemoError::Thread)?;
        Ok(Self { stop: Some(stop), thread: Some(thread), shared })
    }

    /// How often the child has ended by itself or could not be started.
    pub(super) fn deaths(&self) -> u32 {
        self.shared.deaths.load(Ordering::Acquire)
    }

    /// The last of what the child said.
    pub(super) fn last_words(&self) -> String {
        String::from_utf8_lossy(&self.shared.tail.lock()).trim().to_owned()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn supervise(launch: &Launch, stopped: &Receiver<()>, shared: &Arc<Shared>) {
    let mut pause = PAUSE_MIN;
    loop {
        let begun = Instant::now();
        match spawn(launch, shared) {
            Ok(child) => match watch(child, stopped) {
                Some(status) => tracing::warn!(%status, "the demo's Prometheus ended; restarting"),
                None => return,
            },
            Err(error) => shared.tail.lock().extend(error.to_string().bytes()),
        }
        shared.deaths.fetch_add(1, Ordering::Release);
        if begun.elapsed() > WELL {
            pause = PAUSE_MIN;
        }
        if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn spawn(launch: &Launch, shared: &Arc<Shared>) -> io::Result<Child> {
    let mut child = child::command(&launch.launcher, &launch.program)
        .args(&launch.args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(words) = child.stderr.take() {
        let shared = Arc::clone(shared);
        // Ends by itself at the end of the pipe, which is the end of the child.
        drop(thread::Builder::new().name("demo-listener".to_owned()).spawn(move || {
            listen(words, &shared.tail);
        })?);
    }
    Ok(child)
}

/// Keeps the last of what is said; the pipe is read on, so that the child never waits for us.
fn listen(mut words: impl Read, tail: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = words.read(&mut chunk) {
        let mut tail = tail.lock();
        tail.extend(chunk.iter().take(read));
        let over = tail.len().saturating_sub(TAIL_BYTES_MAX);
        tail.drain(..over);
    }
}

/// Waits until the child ended by itself, or ends it when told to: then there is no status.
fn watch(mut child: Child, stopped: &Receiver<()>) -> Option<ExitStatus> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if stopped.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
            end(&mut child);
            return None;
        }
    }
}

/// Asks the child to end, and makes it end when it does not.
fn end(child: &mut Child) {
    let deadline = Instant::now() + GRACE;
    let asked = rustix::process::kill_process(Pid::from_child(child), Signal::TERM).is_ok();
    while asked && Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        thread::park_timeout(LOOK);
    }
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::warn!(%error, "cannot end the demo's Prometheus");
    }
}

#[cfg(test)]
mod tests {
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
        Launch { launcher: launcher(folder), program: "/bin/sh".into(), args }
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
        let script =
            format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", pid.display());
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
            program: "/bin/true".into(),
            args: Vec::new(),
        };
        let supervisor = Supervisor::start(launch).unwrap();
        wait_for("a death", || supervisor.deaths() > 0);
        assert!(supervisor.last_words().contains("No such file"), "{}", supervisor.last_words());
    }

    #[test]
    fn only_the_end_of_a_long_speech_is_kept() {
        let tail = Mutex::new(Vec::new());
        let speech = "x".repeat(10 * TAIL_BYTES_MAX) + "end";
        listen(speech.as_bytes(), &tail);
        assert_eq!(tail.lock().len(), TAIL_BYTES_MAX);
        assert!(tail.lock().ends_with(b"end"));
    }
}

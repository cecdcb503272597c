//! Child processes that never outlive the test, with what they print.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, LazyLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, kill_process};

/// A bound for what should take a moment; a busy machine gets its time, a hang ends.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Lines that a process printed, growing while it runs.
#[derive(Debug, Default)]
pub struct Log {
    lines: Mutex<Lines>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    text: Vec<String>,
    ended: bool,
}

impl Log {
    /// The first line that `wanted` accepts, waiting for it.
    ///
    /// # Panics
    /// When the output ends, or [`PATIENCE`] does, before such a line came.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_from(0, what, wanted)
    }

    /// As [`Log::wait_for`], of the lines after the first `from`.
    ///
    /// # Panics
    /// As [`Log::wait_for`].
    pub fn wait_from(&self, from: usize, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock();
        loop {
            if let Some(line) = lines.text.iter().skip(from).find(|line| wanted(line)) {
                return line.clone();
            }
            // Looked at after the lines: the last of them may have come with the end.
            let over = lines.ended || self.grown.wait_until(&mut lines, deadline).timed_out();
            assert!(!over, "no line with {what}; the process printed:\n{}", lines.text.join("\n"));
        }
    }

    /// Everything printed so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().text.clone()
    }

    /// Everything printed to the end of the output.
    ///
    /// # Panics
    /// When the output does not end within [`PATIENCE`].
    #[must_use]
    pub fn whole(&self) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock();
        while !lines.ended {
            assert!(!self.grown.wait_until(&mut lines, deadline).timed_out(), "output goes on");
        }
        lines.text.clone()
    }

    fn follow(self: &Arc<Self>, from: impl Read + Send + 'static) {
        let log = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                log.lines.lock().text.push(String::from_utf8_lossy(&line).into_owned());
                log.grown.notify_all();
            }
            log.lines.lock().ended = true;
            log.grown.notify_all();
        });
    }
}

/// A child process; dropping it kills it.
pub struct Process {
    pid: Pid,
    stdin: Option<ChildStdin>,
    stdout: Arc<Log>,
    stderr: Arc<Log>,
    exit: Arc<Exit>,
}

#[derive(Default)]
struct Exit {
    status: Mutex<Option<ExitStatus>>,
    known: Condvar,
}

impl Process {
    /// Starts `program`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(program: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        Self::start_with(program, arguments, &[])
    }

    /// Starts `program` with further environment variables.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_with(
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        environment: &[(&str, &OsStr)],
    ) -> Self {
        let (process, stdout) = Self::start_unread(program, arguments, environment);
        process.stdout.follow(stdout);
        process
    }

    /// As [`Process::start_with`], and leaves it to the caller to read its standard output.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_unread(
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        environment: &[(&str, &OsStr)],
    ) -> (Self, ChildStdout) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
        for (name, value) in environment {
            command.env(name, value);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(command);
        let (stdout, stderr) = (Arc::new(Log::default()), Arc::new(Log::default()));
        let unread = child.stdout.take().expect("stdout is piped");
        stderr.follow(child.stderr.take().expect("stderr is piped"));
        let exit = Arc::new(Exit::default());
        let pid = Pid::from_child(&child);
        let stdin = child.stdin.take();
        let told = Arc::clone(&exit);
        thread::spawn(move || {
            let status = child.wait().expect("a child can be waited for");
            *told.status.lock() = Some(status);
            told.known.notify_all();
        });
        (Self { pid, stdin, stdout, stderr, exit }, unread)
    }

    /// What it printed on standard output.
    #[must_use]
    pub fn stdout(&self) -> &Log {
        &self.stdout
    }

    /// What it printed on standard error.
    #[must_use]
    pub fn stderr(&self) -> &Log {
        &self.stderr
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Writes one line to its standard input.
    ///
    /// # Panics
    /// When it was closed.
    pub fn write_line(&mut self, line: &str) {
        self.write_bytes(format!("{line}\n").as_bytes());
    }

    /// Writes bytes to its standard input as they are.
    ///
    /// # Panics
    /// When it was closed.
    pub fn write_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(bytes).expect("the process reads");
        stdin.flush().expect("the process reads");
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        let status = self.exit.status.lock();
        if status.is_none() {
            let _ended_just_now = kill_process(self.pid, signal);
        }
    }

    /// Its exit status; `None` when it still runs after `bound`.
    #[must_use]
    pub fn wait(&self, bound: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + bound;
        let mut status = self.exit.status.lock();
        while status.is_none() {
            if self.exit.known.wait_until(&mut status, deadline).timed_out() {
                break;
            }
        }
        *status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("pid", &self.pid).finish_non_exhaustive()
    }
}

/// Runs a program to its end and gives back its output.
///
/// # Panics
/// When it cannot be started or takes longer than `bound`.
pub fn run(
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    environment: &[(&str, &OsStr)],
    bound: Duration,
) -> (ExitStatus, String) {
    let process = Process::start_with(program, arguments, environment);
    let status = process.wait(bound);
    let Some(status) = status else {
        let output = [process.stdout().lines(), process.stderr().lines()].concat().join("\n");
        panic!("{} did not end within {bound:?}:\n{output}", program.display())
    };
    // The process may end before what it printed has been read.
    (status, [process.stdout().whole(), process.stderr().whole()].concat().join("\n"))
}

/// Looks again until it is so.
///
/// # Panics
/// When it is not within [`PATIENCE`].
pub fn until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(settles(is_so), "never: {what}");
}

/// Looks again until it is so; `false` when it is not within [`PATIENCE`].
pub fn settles(mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() >= deadline {
            return false;
        }
        pause();
    }
    true
}

/// A moment before looking again at what tells nobody when it changes.
#[expect(clippy::disallowed_methods, reason = "a test thread has nothing else to do")]
pub fn pause() {
    thread::sleep(Duration::from_millis(20));
}

/// `PATH` with `first` before everything else.
#[must_use]
pub fn path_with(first: &Path) -> OsString {
    let mut path = first.as_os_str().to_owned();
    path.push(":/usr/local/bin:/usr/bin:/bin");
    path
}

type Order = (Command, mpsc::Sender<Child>);

/// Starts children from one thread that lives as long as this process.
///
/// `setpriv --pdeathsig` kills the child when the *thread* that started it ends. A test's own
/// thread ends with the test, but a server shared by many tests must outlive the first of them.
static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (orders, taken) = mpsc::channel::<Order>();
    thread::spawn(move || {
        for (mut command, child) in taken {
            let started = command.spawn().expect("setpriv (util-linux) starts the program");
            child.send(started).expect("the one who ordered waits");
        }
    });
    orders
});

fn spawn(command: Command) -> Child {
    let (child, started) = mpsc::channel();
    SPAWNER.send((command, child)).expect("the spawner lives");
    started.recv().expect("the child was started")
}

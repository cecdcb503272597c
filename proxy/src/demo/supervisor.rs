//! Keeps one child process running, and ends it with us.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mcp_core::secret::Secret;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal};
use tokio::sync::oneshot;

use super::{child, error::DemoError};

/// Promgate itself, as the kernel holds it: right even after the file was replaced.
pub(super) const LAUNCHER: &str = "/proc/self/exe";

/// How often a child is looked at, and how soon it is seen that we end.
const LOOK: Duration = Duration::from_millis(50);

/// Pause before a child that died is started again, unless told otherwise; doubled each time, up to the
/// second figure.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A child that ran for this long is taken to have been well: the pause begins anew.
const WELL: Duration = Duration::from_mins(1);

/// How long a child may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// How much of what a child says is kept in memory, in bytes.
const TAIL_BYTES_MAX: usize = 2048;

/// How much of it is kept in the file, in bytes; beyond it the file begins anew.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// What to run.
#[derive(Debug)]
pub(super) struct Launch {
    /// What it is called when something is said of it.
    pub(super) name: String,
    /// Promgate's executable, which ties the child to us.
    pub(super) launcher: PathBuf,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    /// Variables beside our own; other users cannot read them, unlike arguments.
    pub(super) environment: Vec<(&'static str, Secret)>,
    /// Where standard output is appended; without it, the log has that too.
    pub(super) stdout: Option<PathBuf>,
    /// Where standard error is appended.
    pub(super) log: PathBuf,
    /// Pause before it is started again after its first death.
    pub(super) pause: Duration,
}

impl Launch {
    /// A program without arguments.
    pub(super) fn of(name: &str, program: &Path, log: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            launcher: LAUNCHER.into(),
            program: program.to_owned(),
            args: Vec::new(),
            environment: Vec::new(),
            stdout: None,
            log,
            pause: PAUSE_MIN,
        }
    }
}

/// A supervised child; it is ended, and waited for, when this is dropped.
#[derive(Debug)]
pub(super) struct Supervisor {
    // Dropped first: its end is what the thread takes for the order to stop.
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// What the thread is told.
#[derive(Debug)]
enum Order {
    /// To kill the child and leave it dead; answered when it is gone.
    Kill(oneshot::Sender<()>),
    /// To start the child if it is dead.
    Start,
}

#[derive(Debug)]
struct Shared {
    name: String,
    deaths: AtomicU32,
    /// Of the child that runs; 0 when none does.
    pid: AtomicU32,
    said: Mutex<Said>,
}

/// What the child has said.
#[derive(Debug)]
struct Said {
    tail: Vec<u8>,
    file: File,
    file_bytes: u64,
}

impl Supervisor {
    /// Starts a thread that starts the child. The kernel ends the child with that very thread, so
    /// the thread lives as long as the child should.
    pub(super) fn start(launch: Launch) -> Result<Self, DemoError> {
        let (orders, told) = mpsc::channel();
        let shared = Arc::new(Shared {
            name: launch.name.clone(),
            deaths: AtomicU32::new(0),
            pid: AtomicU32::new(0),
            said: Mutex::new(Said::open(&launch.log).map_err(DemoError::Folder)?),
        });
        let seen = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("demo-supervisor".to_owned())
            .spawn(move || supervise(&launch, &told, &seen))
            .map_err(DemoError::Thread)?;
        Ok(Self { orders: Some(orders), thread: Some(thread), shared })
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.shared.name
    }

    /// How often the child has ended by itself or could not be started.
    pub(super) fn deaths(&self) -> u32 {
        self.shared.deaths.load(Ordering::Acquire)
    }

    /// The process that runs at this moment, if one does.
    pub(super) fn pid(&self) -> Option<u32> {
        Some(self.shared.pid.load(Ordering::Acquire)).filter(|pid| *pid != 0)
    }

    /// The last of what the child said.
    pub(super) fn last_words(&self) -> String {
        String::from_utf8_lossy(&self.shared.said.lock().tail).trim().to_owned()
    }

    /// Kills the child (SIGKILL), and keeps it dead until [`Supervisor::revive`]. It is gone when this
    /// returns.
    pub(super) async fn kill(&self) -> Result<(), DemoError> {
        let (gone, waited) = oneshot::channel();
        self.order(Order::Kill(gone))?;
        waited.await.map_err(|_ended| self.unsupervised())
    }

    /// Starts a killed child again; one that runs is left alone.
    pub(super) fn revive(&self) -> Result<(), DemoError> {
        self.order(Order::Start)
    }

    /// Lets the child end, without waiting for it.
    pub(super) fn let_end(&mut self) {
        drop(self.orders.take());
    }

    fn order(&self, order: Order) -> Result<(), DemoError> {
        let sent = self.orders.as_ref().map(|orders| orders.send(order));
        sent.and_then(Result::ok).ok_or_else(|| self.unsupervised())
    }

    fn unsupervised(&self) -> DemoError {
        DemoError::Unsupervised { name: self.shared.name.clone() }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.let_end();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// How a child came to its end.
enum Ending {
    /// By itself, or it was never begun.
    Death,
    /// It was killed by order; who gave it waits to hear of it.
    Killed(oneshot::Sender<()>),
    /// It was ended because we end.
    Ended,
}

fn supervise(launch: &Launch, orders: &Receiver<Order>, shared: &Arc<Shared>) {
    let mut pause = launch.pause;
    loop {
        let begun = Instant::now();
        let waiting = match run(launch, orders, shared) {
            Ending::Ended => return,
            Ending::Killed(told) => {
                // Who gave the order may have gone.
                told.send(()).ok();
                None
            }
            Ending::Death => {
                if begun.elapsed() > WELL {
                    pause = launch.pause;
                }
                let waiting = pause;
                pause = (pause * 2).min(PAUSE_MAX);
                Some(waiting)
            }
        };
        if !is_to_start(orders, waiting) {
            return;
        }
    }
}

/// Starts the child and stays until its end.
fn run(launch: &Launch, orders: &Receiver<Order>, shared: &Arc<Shared>) -> Ending {
    let watched = spawn(launch, shared).and_then(|child| {
        shared.pid.store(child.id(), Ordering::Release);
        let watched = watch(child, orders);
        shared.pid.store(0, Ordering::Release);
        watched
    });
    match watched {
        Ok(Watched::Told(ending)) => return ending,
        Ok(Watched::Died(status)) => {
            tracing::warn!(name = shared.name, %status, "a program of the demo ended; it is started again");
        }
        Err(error) => shared.said.lock().hear(error.to_string().as_bytes()),
    }
    shared.deaths.fetch_add(1, Ordering::Release);
    Ending::Death
}

/// Waits for so long, or without a figure for the order to start; false when we end.
fn is_to_start(orders: &Receiver<Order>, mut pause: Option<Duration>) -> bool {
    loop {
        let order = match pause {
            Some(pause) => orders.recv_timeout(pause),
            None => orders.recv().map_err(|_ended| RecvTimeoutError::Disconnected),
        };
        match order {
            Ok(Order::Start) | Err(RecvTimeoutError::Timeout) => return true,
            Ok(Order::Kill(told)) => {
                pause = None;
                told.send(()).ok();
            }
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

fn spawn(launch: &Launch, shared: &Arc<Shared>) -> io::Result<Child> {
    let stdout = match &launch.stdout {
        Some(path) => append(path)?.into(),
        None => Stdio::piped(),
    };
    let environment = launch.environment.iter().map(|(name, value)| (name, value.expose()));
    let mut child = child::command(&launch.launcher, &launch.program)
        .args(&launch.args)
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(words) = child.stdout.take() {
        hear(words, shared)?;
    }
    if let Some(words) = child.stderr.take() {
        hear(words, shared)?;
    }
    Ok(child)
}

/// Starts a thread that hears what is said. It ends at the end of the pipe, which is the end of the child.
fn hear(words: impl Read + Send + 'static, shared: &Arc<Shared>) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let listener = thread::Builder::new().name("demo-listener".to_owned());
    listener.spawn(move || listen(words, &shared.said)).map(drop)
}

/// The pipe is read on, so that the child never waits for us.
fn listen(mut words: impl Read, said: &Mutex<Said>) {
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = words.read(&mut chunk) {
        said.lock().hear(chunk.get(..read).unwrap_or_default());
    }
}

impl Said {
    fn open(path: &Path) -> io::Result<Self> {
        let file = append(path)?;
        Ok(Self { tail: Vec::new(), file_bytes: file.metadata()?.len(), file })
    }

    /// Keeps the last of what is said.
    fn hear(&mut self, words: &[u8]) {
        self.tail.extend(words);
        let over = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..over);
        if let Err(error) = self.write(words) {
            tracing::debug!(%error, "a log of the demo cannot be written");
        }
    }

    fn write(&mut self, words: &[u8]) -> io::Result<()> {
        if self.file_bytes > LOG_BYTES_MAX {
            self.file.set_len(0)?;
            self.file_bytes = 0;
        }
        self.file.write_all(words)?;
        self.file_bytes += u64::try_from(words.len()).unwrap_or(0);
        Ok(())
    }
}

/// Opens a file to append to it. What stands in it is for its owner alone.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// What the watch over a child saw.
enum Watched {
    Died(ExitStatus),
    Told(Ending),
}

/// Waits until the child ended by itself, or ends it when told to.
fn watch(mut child: Child, orders: &Receiver<Order>) -> io::Result<Watched> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Watched::Died(status));
        }
        match orders.recv_timeout(LOOK) {
            Ok(Order::Start) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Order::Kill(told)) => {
                child.kill()?;
                child.wait()?;
                return Ok(Watched::Told(Ending::Killed(told)));
            }
            Err(RecvTimeoutError::Disconnected) => {
                end(&mut child);
                return Ok(Watched::Told(Ending::Ended));
            }
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
        tracing::warn!(%error, "cannot end a program of the demo");
    }
}

#[cfg(test)]
mod tests;

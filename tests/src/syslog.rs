//! A syslog server on TCP, or at a socket of this machine, that keeps what it is sent, goes away and comes back.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;
use rustix::net::{Shutdown, shutdown};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::{paths::temporary_folder, place::Place, process::until};

/// A port of its own [`Place`].
const PORT: u16 = 17_001;

/// The server; dropping it ends it.
#[derive(Debug)]
pub struct Syslog {
    address: Address,
    /// What came on each connection.
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    running: Mutex<Option<Running>>,
    /// Each reads one connection to its end.
    readers: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// Where it listens.
#[derive(Debug)]
enum Address {
    Tcp(Place),
    Unix(TempDir),
}

#[derive(Debug)]
struct Running {
    listener: Arc<Listener>,
    accepting: JoinHandle<()>,
    /// What is read of, so that it can be cut.
    connections: Arc<Mutex<Vec<OwnedFd>>>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, PathBuf),
}

impl Syslog {
    /// Starts one on TCP.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        Self::at(Address::Tcp(Place::find()))
    }

    /// Starts one at a socket of this machine.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start_on_socket() -> Self {
        Self::at(Address::Unix(temporary_folder()))
    }

    fn at(address: Address) -> Self {
        let (received, running, readers) = (Arc::default(), Mutex::new(None), Arc::default());
        let syslog = Self { address, received, running, readers };
        syslog.come_back();
        syslog
    }

    /// Its address, as a sink is told it.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.address {
            Address::Tcp(place) => format!("tcp://{}", place.at(PORT)),
            Address::Unix(folder) => format!("unix://{}", socket(folder).display()),
        }
    }

    /// Everything that was received so far, as it came.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.received.lock().concat()
    }

    /// Every message that was received whole.
    ///
    /// # Panics
    /// When a message has no length before it.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let received = self.received.lock().clone();
        let mut messages = Vec::new();
        for connection in &received {
            let mut rest = connection.as_slice();
            // One that was cut ends with the beginning of a message, which comes again on the next.
            while let Some((message, after)) = first(rest) {
                messages.push(message);
                rest = after;
            }
        }
        messages
    }

    /// Waits until it has so many messages.
    ///
    /// # Panics
    /// When they do not come.
    pub fn wait_for(&self, messages: usize) {
        until("the messages of syslog", || self.messages().len() >= messages);
    }

    /// Goes away for good, and waits until all that was sent is read: whoever sends must have ended.
    ///
    /// # Panics
    /// When it has gone away already.
    pub fn wait_for_end(&self) {
        self.go_away();
        let readers: Vec<_> = self.readers.lock().drain(..).collect();
        for reader in readers {
            reader.join().expect("a reader ends");
        }
    }

    /// Stops to listen, and closes every connection as a server does that ends in good order: what was sent before is
    /// read to its end.
    ///
    /// # Panics
    /// When it has stopped already.
    pub fn go_away(&self) {
        self.running.lock().take().expect("it runs").end();
    }

    /// Listens again, at the same address.
    ///
    /// # Panics
    /// When the address is not free.
    pub fn come_back(&self) {
        let listener = Arc::new(match &self.address {
            Address::Tcp(place) => Listener::Tcp(listen(place.at(PORT)), place.at(PORT)),
            Address::Unix(folder) => Listener::at(&socket(folder)),
        });
        let connections = Arc::<Mutex<Vec<OwnedFd>>>::default();
        let accepting = {
            let (listener, connections) = (Arc::clone(&listener), Arc::clone(&connections));
            let (received, readers) = (Arc::clone(&self.received), Arc::clone(&self.readers));
            thread::spawn(move || {
                while let Ok(stream) = listener.accept() {
                    connections.lock().push(stream.try_clone().expect("a socket can be cloned"));
                    let received = Arc::clone(&received);
                    let reader = thread::spawn(move || keep(File::from(stream), &received));
                    readers.lock().push(reader);
                }
            })
        };
        *self.running.lock() = Some(Running { listener, accepting, connections });
    }
}

impl Listener {
    /// What was left of one before is removed.
    fn at(path: &Path) -> Self {
        let _there_was_none = fs::remove_file(path);
        Self::Unix(UnixListener::bind(path).expect("the folder is writable"), path.to_owned())
    }

    fn accept(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener, _) => listener.accept().map(|(stream, _)| stream.into()),
            Self::Unix(listener, _) => listener.accept().map(|(stream, _)| stream.into()),
        }
    }

    /// Takes those that have connected already, and nobody else.
    fn end(&self) -> io::Result<()> {
        match self {
            Self::Tcp(listener, _) => listener.set_nonblocking(true)?,
            Self::Unix(listener, _) => listener.set_nonblocking(true)?,
        }
        // Wakes the accepting thread, which then finds nobody more.
        match self {
            Self::Tcp(_, address) => TcpStream::connect(address).map(drop),
            Self::Unix(_, path) => UnixStream::connect(path).map(drop),
        }
    }
}

impl Running {
    fn end(self) {
        self.listener.end().expect("it listens");
        self.accepting.join().expect("it accepts to its end");
        drop(self.listener);
        for connection in self.connections.lock().drain(..) {
            let _peer_left = shutdown(&connection, Shutdown::Write);
        }
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().take() {
            running.end();
        }
    }
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("log.sock")
}

/// Keeps what comes on a connection.
fn keep(mut stream: File, received: &Mutex<Vec<Vec<u8>>>) {
    let number = {
        let mut received = received.lock();
        received.push(Vec::new());
        received.len() - 1
    };
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        received.lock()[number].extend_from_slice(&buffer[..count]);
    }
}

/// The first message and what follows it. Spec: RFC 6587 §3.4.1.
fn first(bytes: &[u8]) -> Option<(String, &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length = std::str::from_utf8(&bytes[..space]).ok().and_then(|text| text.parse().ok());
    let length: usize = length.expect("a message begins with its length");
    let rest = &bytes[space + 1..];
    let (message, after) = rest.split_at_checked(length)?;
    Some((String::from_utf8_lossy(message).into_owned(), after))
}

fn listen(address: SocketAddr) -> TcpListener {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let listener = runtime.expect("a runtime").block_on(async {
        let socket = TcpSocket::new_v4()?;
        // What it served before may still be closing.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(64)?.into_std()
    });
    let listener = listener.expect("the address is free");
    listener.set_nonblocking(false).expect("a socket can block");
    listener
}

//! A connection to a syslog server.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::{UnixDatagram, UnixStream},
    },
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};
use rustls::{ClientConfig, ClientConnection, Stream, pki_types::ServerName};

use super::{super::tls, shown};
use crate::{access_log::AccessLogError, config::SyslogAddress};

/// Where a server is, and how it is reached.
pub(super) struct Target {
    place: Place,
    /// What errors call it.
    name: String,
    timeout: Duration,
}

enum Place {
    Tcp(String, u16),
    Tls { host: String, port: u16, name: ServerName<'static>, config: Arc<ClientConfig> },
    Unix(PathBuf),
}

/// A connection that is open, as far as we know.
pub(super) enum Connection {
    Tcp(TcpStream),
    Tls(Box<ClientConnection>, TcpStream),
    Unix(UnixStream),
    Datagram(UnixDatagram),
}

impl Target {
    pub(super) fn new(address: &SyslogAddress, timeout: Duration) -> Result<Self, AccessLogError> {
        let place = match address {
            SyslogAddress::Tcp { host, port } => Place::Tcp(host.clone(), *port),
            SyslogAddress::Tls { host, port, tls } => {
                let name = tls.server_name.as_ref().unwrap_or(host).clone();
                Place::Tls {
                    host: host.clone(),
                    port: *port,
                    name: ServerName::try_from(name).map_err(AccessLogError::Host)?,
                    config: Arc::new(tls::client_config(tls)?),
                }
            }
            SyslogAddress::Unix(path) => Place::Unix(path.clone()),
        };
        Ok(Self { place, name: shown(address), timeout })
    }

    /// Connects.
    ///
    /// # Errors
    /// As the system says it, with the server's address.
    pub(super) fn connect(&self) -> io::Result<Connection> {
        self.connected()
            .map_err(|error| io::Error::new(error.kind(), CannotConnect(self.name.clone(), error)))
    }

    fn connected(&self) -> io::Result<Connection> {
        match &self.place {
            Place::Tcp(host, port) => Ok(Connection::Tcp(self.tcp(host, *port)?)),
            Place::Tls { host, port, name, config } => {
                let mut tcp = self.tcp(host, *port)?;
                let tls = ClientConnection::new(Arc::clone(config), name.clone());
                let mut tls = tls.map_err(io::Error::other)?;
                while tls.is_handshaking() {
                    tls.complete_io(&mut tcp)?;
                }
                Ok(Connection::Tls(Box::new(tls), tcp))
            }
            Place::Unix(path) => match UnixStream::connect(path) {
                Ok(stream) => {
                    stream.set_write_timeout(Some(self.timeout))?;
                    Ok(Connection::Unix(stream))
                }
                // The usual socket of a syslog daemon takes datagrams.
                Err(error) if error.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error()) => {
                    let socket = UnixDatagram::unbound()?;
                    socket.connect(path)?;
                    socket.set_write_timeout(Some(self.timeout))?;
                    Ok(Connection::Datagram(socket))
                }
                Err(error) => Err(error),
            },
        }
    }

    fn tcp(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(stream) => {
                    // Batches are written whole; there is nothing to wait for.
                    stream.set_nodelay(true)?;
                    stream.set_write_timeout(Some(self.timeout))?;
                    stream.set_read_timeout(Some(self.timeout))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// There is no connection.
#[derive(Debug, thiserror::Error)]
#[error("no connection to {0}")]
struct CannotConnect(String, #[source] io::Error);

impl Connection {
    /// Whether messages follow one another, each after its length.
    pub(super) const fn is_stream(&self) -> bool {
        !matches!(self, Self::Datagram(_))
    }

    /// Whether an error of [`Connection::send`] says that a message is longer than any that can be sent.
    pub(super) fn is_too_long(&self, error: &io::Error) -> bool {
        !self.is_stream() && error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error())
    }

    /// Sends all of `bytes`, and says how many the system took.
    pub(super) fn send(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.send_some(bytes.get(sent..).unwrap_or_default()) {
                Ok(0) => return (sent, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The timeout of the socket.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return (sent, Err(io::ErrorKind::TimedOut.into()));
                }
                Err(error) => return (sent, Err(error)),
            }
        }
        (sent, Ok(()))
    }

    fn send_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Datagram(socket) => socket.send(bytes),
            Self::Tls(tls, stream) => {
                let mut stream = Stream::new(&mut **tls, stream);
                let count = stream.write(bytes)?;
                // What TLS holds back is not sent.
                stream.flush()?;
                Ok(count)
            }
        }
    }

    /// Whether the server has closed it.
    pub(super) fn check(&mut self) -> io::Result<()> {
        let closed = match self {
            Self::Tcp(stream) => is_closed(stream.as_fd())?,
            Self::Unix(stream) => is_closed(stream.as_fd())?,
            Self::Datagram(_) => false,
            Self::Tls(tls, stream) => is_tls_closed(tls, stream)?,
        };
        if closed { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl Drop for Connection {
    /// A server may take a TLS connection that just breaks off for one that was cut. Spec: RFC 5425 §4.4.
    fn drop(&mut self) {
        if let Self::Tls(tls, stream) = self {
            tls.send_close_notify();
            let mut stream = Stream::new(&mut **tls, stream);
            // Whoever has gone does not hear it.
            stream.flush().unwrap_or_default();
        }
    }
}

/// Whether the other end has closed a stream. What it says is thrown away: a server has nothing to say.
fn is_closed(stream: BorrowedFd<'_>) -> io::Result<bool> {
    let mut said = [0_u8; 512];
    loop {
        match recv(stream, &mut said, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Ok(true),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_tls_closed(tls: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let looked = look(tls, stream);
    stream.set_nonblocking(false)?;
    looked
}

/// Takes what has come, which is a session ticket, a farewell, or the end.
fn look(tls: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<bool> {
    loop {
        match tls.read_tls(stream) {
            Ok(0) => return Ok(true),
            Ok(_) => {
                let state = tls.process_new_packets().map_err(io::Error::other)?;
                if state.peer_has_closed() {
                    return Ok(true);
                }
                let mut said = vec![0; state.plaintext_bytes_to_read()];
                tls.reader().read_exact(&mut said)?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

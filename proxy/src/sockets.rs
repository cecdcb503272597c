//! The listening sockets: opened here, or taken from the process before.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd as _, BorrowedFd},
};

use tokio::net::TcpSocket;

use crate::{
    config::Config,
    upgrade::{Inherited, News},
};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}, the address in `{key}`; {}", remedy(source))]
pub struct CannotListen {
    /// The key that holds it.
    key: &'static str,
    /// The address.
    address: SocketAddr,
    /// Why.
    #[source]
    source: io::Error,
}

/// A listening socket.
#[derive(Debug)]
pub struct Socket {
    key: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    listener: TcpListener,
}

/// All listening sockets of a process.
#[derive(Debug)]
pub struct Sockets {
    /// Of clients.
    pub mcp: Socket,
    /// Of other replicas.
    pub replicas: Option<Socket>,
    /// Of whoever watches over us.
    pub admin: Option<Socket>,
}

impl Sockets {
    /// Opens what the configuration names, or takes it from the process before, where that listened there as well.
    ///
    /// # Errors
    /// [`CannotListen`].
    pub fn open(
        config: &Config,
        inherited: Option<Inherited>,
    ) -> Result<(Self, Option<News>), CannotListen> {
        let mut inherited = inherited;
        let mut open = |name, key, address| Socket::open(name, (key, address), inherited.as_mut());
        let mcp = open("mcp", "server.transport.http.host", config.server.http.listen)?;
        let replicas = config.cluster.as_ref().map(|cluster| cluster.listen);
        let replicas =
            replicas.map(|address| open("replicas", "cluster.listen", address)).transpose()?;
        let admin = config.server.admin;
        let admin = admin.map(|address| open("admin", "server.admin.host", address)).transpose()?;
        Ok((Self { mcp, replicas, admin }, inherited.map(Inherited::into_news)))
    }

    /// Them all, for the process that comes after.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, BorrowedFd<'_>)> {
        let named = [
            ("mcp", Some(&self.mcp)),
            ("replicas", self.replicas.as_ref()),
            ("admin", self.admin.as_ref()),
        ];
        named
            .into_iter()
            .filter_map(|(name, socket)| Some((name, socket?.listener.as_fd())))
            .collect()
    }
}

impl Socket {
    fn open(
        name: &'static str,
        (key, address): (&'static str, SocketAddr),
        inherited: Option<&mut Inherited>,
    ) -> Result<Self, CannotListen> {
        let taken = inherited.and_then(|inherited| inherited.listener(name)).filter(|listener| {
            listener.local_addr().is_ok_and(|taken| taken == address || address.port() == 0)
        });
        let listener = taken.map_or_else(|| bind(address), Ok);
        let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        match bound {
            Ok((address, listener)) => Ok(Self { key, address, listener }),
            Err(source) => Err(CannotListen { key, address, source }),
        }
    }

    /// The socket once more, for whoever accepts on it. It listens until both are closed.
    ///
    /// # Errors
    /// [`CannotListen`] when the process has too many files open.
    pub fn opened(&self) -> Result<TcpListener, CannotListen> {
        let Self { key, address, listener } = self;
        listener.try_clone().map_err(|source| CannotListen { key, address: *address, source })
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// How to mend what keeps an address from being listened on.
fn remedy(error: &io::Error) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "few of the many kinds can happen")]
    match error.kind() {
        io::ErrorKind::AddrInUse => "end the program that has it, or write another port there",
        io::ErrorKind::AddrNotAvailable => "write an address of this machine there",
        io::ErrorKind::PermissionDenied => "write a port from 1024 on there",
        _ => "write another address there",
    }
}

//! The socket at which the new process waits.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt},
        net,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::Mode,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use tokio::net::{UnixListener, UnixStream};

use super::UpgradeError;

/// Connections that may wait to be accepted. One is meant to come.
const BACKLOG: i32 = 8;

/// The socket, with its file for as long as this lives.
#[derive(Debug)]
pub(super) struct Door {
    listener: UnixListener,
    _file: SocketFile,
}

/// The file of a socket that this process has made.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Door {
    /// Listens at `path`. A socket that a dead process left there is removed.
    pub(super) fn open(path: &Path) -> Result<Self, UpgradeError> {
        let address = SocketAddrUnix::new(path).map_err(listen_failed)?;
        clear(path, &address)?;
        let socket = unix_socket().map_err(listen_failed)?;
        // Linux gives the file the mode of the socket, so that nobody else can ever open it. A change after
        // `bind` would come late, and the umask belongs to all threads.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(listen_failed)?;
        rustix::net::bind(&socket, &address).map_err(listen_failed)?;
        let file = SocketFile::made(path)?;
        rustix::net::listen(&socket, BACKLOG).map_err(listen_failed)?;
        let listener = net::UnixListener::from(socket);
        let listener = UnixListener::from_std(listener).map_err(UpgradeError::Listen)?;
        Ok(Self { listener, _file: file })
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> Result<UnixStream, UpgradeError> {
        let (stream, _nameless) = self.listener.accept().await.map_err(UpgradeError::Listen)?;
        Ok(stream)
    }
}

impl SocketFile {
    /// Takes charge of the file that was made just now, which nobody can connect to yet.
    fn made(path: &Path) -> Result<Self, UpgradeError> {
        let metadata = fs::symlink_metadata(path).map_err(UpgradeError::Listen)?;
        let file = Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() };
        let others = Mode::RWXG | Mode::RWXO;
        if Mode::from_raw_mode(metadata.mode()).intersects(others) {
            return Err(UpgradeError::Listen(io::ErrorKind::PermissionDenied.into()));
        }
        Ok(file)
    }
}

/// Removes the file, unless another has taken its place.
impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(error = %error, "upgrade socket not removed");
        }
    }
}

/// Makes room for a socket, where that harms nobody.
fn clear(path: &Path, address: &SocketAddrUnix) -> Result<(), UpgradeError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(UpgradeError::Listen(error)),
    };
    if !found.file_type().is_socket() {
        return Err(UpgradeError::InTheWay);
    }
    // Does not wait, so that a full backlog is an answer too.
    let probe = unix_socket().map_err(listen_failed)?;
    match rustix::net::connect(&probe, address) {
        Ok(()) | Err(rustix::io::Errno::AGAIN) => Err(UpgradeError::Taken),
        Err(rustix::io::Errno::CONNREFUSED) => fs::remove_file(path).map_err(UpgradeError::Listen),
        Err(error) => Err(listen_failed(error)),
    }
}

fn unix_socket() -> rustix::io::Result<std::os::fd::OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

fn listen_failed(error: rustix::io::Errno) -> UpgradeError {
    UpgradeError::Listen(error.into())
}

//! Open files that travel beside the bytes (`SCM_RIGHTS`).

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::TcpListener,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketType, recvmsg, sendmsg, sockopt,
};
use tokio::{io::Interest, net::UnixStream};

use super::{LISTENERS_MAX, UpgradeError};

/// Room for as many descriptors as may come. Padding may let some more in, so they are also counted.
const SPACE: usize = rustix::cmsg_space!(ScmRights(LISTENERS_MAX));

/// Sends `descriptors` with the first of `bytes`; returns how many bytes went.
pub(super) async fn send(
    stream: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<usize, UpgradeError> {
    if descriptors.len() > LISTENERS_MAX {
        return Err(UpgradeError::TooManyListeners);
    }
    let sent = stream.async_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); SPACE];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
    });
    sent.await.map_err(UpgradeError::of_connection)
}

/// Reads into `bytes`, and adds the descriptors that come with what it read to `descriptors`.
/// Returns the number of bytes; 0 when the other side has closed.
///
/// Each descriptor has an owner from the beginning, so that it is closed wherever this, or what follows,
/// fails; those beyond the room that there is are closed by the kernel.
pub(super) async fn receive(
    stream: &UnixStream,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> Result<usize, UpgradeError> {
    let received = stream.async_io(Interest::READABLE, || {
        let mut space = [MaybeUninit::uninit(); SPACE];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(bytes)];
        let received = recvmsg(stream, into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(sent) = message {
                descriptors.extend(sent);
            }
        }
        Ok(received)
    });
    let received = received.await.map_err(UpgradeError::of_connection)?;
    if received.flags.contains(ReturnFlags::CTRUNC) || descriptors.len() > LISTENERS_MAX {
        return Err(UpgradeError::TooManyListeners);
    }
    Ok(received.bytes)
}

/// The descriptor as what it should be: a TCP socket that listens. It does not block.
pub(super) fn listener(descriptor: OwnedFd) -> Result<TcpListener, UpgradeError> {
    if !listens(descriptor.as_fd()).unwrap_or(false) {
        return Err(UpgradeError::Listeners);
    }
    let listener = TcpListener::from(descriptor);
    listener.set_nonblocking(true).map_err(UpgradeError::Broken)?;
    Ok(listener)
}

fn listens(descriptor: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let family = sockopt::socket_domain(descriptor)?;
    Ok([AddressFamily::INET, AddressFamily::INET6].contains(&family)
        && sockopt::socket_type(descriptor)? == SocketType::STREAM
        && sockopt::socket_acceptconn(descriptor)?)
}

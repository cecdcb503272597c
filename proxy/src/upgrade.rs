//! An upgrade in place: a new process takes over the sockets of the running one.
//!
//! Over one connection of a Unix socket, in this order:
//!
//! 1. The new process waits at the socket ([`Inherited::wait`]). The old one comes ([`Successor::connect`])
//!    and says hello: the version of this protocol and its listening sockets. The new one welcomes it.
//! 2. The old one sends its [`Message`]s, each acknowledged before the next: its sessions, then
//!    [`Message::Ready`].
//! 3. The new one says that it serves ([`News::serving`]), the old one that it yields
//!    ([`Successor::wait_until_serving`]). Up to here the old one goes on as if nothing had been asked,
//!    whatever fails: it has given away copies of its sockets, and keeps its own.
//! 4. While the old one drains, it sends each session that it opens or ends, and at last
//!    [`Message::Done`].
//!
//! A frame is its length (4 bytes, big-endian) and JSON. Who can write to the socket can take sessions
//! over, so the file is for its user alone, and each side asks the kernel whom it talks to.

use std::{fmt, io};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

mod descriptors;
mod door;
mod inherited;
mod successor;
mod wire;

pub use self::{
    inherited::{Inherited, News},
    successor::Successor,
};

/// Version of what is said here. Of another version, only the hello and its refusal are understood.
const VERSION: u32 = 1;

/// Most listening sockets that are handed over. There are three names; the rest is for names to come.
const LISTENERS_MAX: usize = 8;

/// Bytes of sessions that [`Message::batches`] puts into one message, unless one alone is longer.
const BATCH_BYTES: usize = 1 << 20;

/// What the old process tells the new one.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Sessions that the new process keeps from now on: their ids, and what restores them.
    Sessions(Vec<(String, Box<RawValue>)>),
    /// Ids of sessions that have ended.
    Ended(Vec<String>),
    /// All that there was has been sent; the new process may serve.
    Ready,
    /// The old process has drained, and says nothing more.
    Done,
}

impl Message {
    /// Puts sessions into messages of about a megabyte, one after the other, as they are asked for.
    pub fn batches(
        sessions: impl IntoIterator<Item = (String, Box<RawValue>)>,
    ) -> impl Iterator<Item = Self> {
        batches_of(BATCH_BYTES, sessions)
    }
}

/// As [`Message::batches`], of about `bytes_max`.
fn batches_of(
    bytes_max: usize,
    sessions: impl IntoIterator<Item = (String, Box<RawValue>)>,
) -> impl Iterator<Item = Message> {
    let mut sessions = sessions.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = sessions.next()?;
        let mut bytes = bytes_of(&first);
        let mut batch = vec![first];
        while let Some(next) = sessions.next_if(|next| bytes + bytes_of(next) <= bytes_max) {
            bytes += bytes_of(&next);
            batch.push(next);
        }
        Some(Message::Sessions(batch))
    })
}

/// About what a session takes in a message.
fn bytes_of((id, saved): &(String, Box<RawValue>)) -> usize {
    // The quotes, commas and brackets.
    id.len() + saved.get().len() + 6
}

/// Tells how many, and never which: ids of sessions are secrets.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sessions(sessions) => write!(f, "Sessions({})", sessions.len()),
            Self::Ended(ids) => write!(f, "Ended({})", ids.len()),
            Self::Ready => f.write_str("Ready"),
            Self::Done => f.write_str("Done"),
        }
    }
}

/// Why an upgrade in place did not come about, or broke off.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The configuration names no socket.
    #[error("the configuration has no `server.upgrade_socket`")]
    NoSocket,
    /// The socket could not be made.
    #[error("cannot listen at the upgrade socket")]
    Listen(#[source] io::Error),
    /// The path of the socket is taken by another kind of file, which is left alone.
    #[error("a file that is not a socket stands at the upgrade socket's path")]
    InTheWay,
    /// Somebody listens at the socket already.
    #[error("another process waits at the upgrade socket")]
    Taken,
    /// Patience ended before a running process came.
    #[error("no running process came to the upgrade socket in time")]
    NobodyCame,
    /// Nobody waits at the socket, or it may not be used.
    #[error("cannot connect to the upgrade socket")]
    Connect(#[source] io::Error),
    /// The other process runs as neither this one's user nor root.
    #[error("the process at the other end runs as another user: {uid}")]
    Stranger {
        /// The user it runs as.
        uid: u32,
    },
    /// The two releases cannot hand over to one another.
    #[error("the other process speaks version {theirs} of the handover, this one version {ours}")]
    Version {
        /// What the other process speaks.
        theirs: u32,
        /// What this one speaks.
        ours: u32,
    },
    /// More sockets than are ever handed over.
    #[error("more than {LISTENERS_MAX} sockets were to be handed over")]
    TooManyListeners,
    /// What came with the hello is not one listening TCP socket for each name.
    #[error("the sockets that were handed over are not what their names say")]
    Listeners,
    /// A frame that cannot be understood. It is not shown, since it may hold ids of sessions.
    #[error("the other process sent what is not a message")]
    Malformed,
    /// A frame is longer than its kind may be.
    #[error("a message of {bytes} bytes is too long")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// A message or a call at a time that is not for it.
    #[error("something was said or asked out of its turn")]
    OutOfTurn,
    /// The other process is there, but did not go on in time.
    #[error("the other process did not answer in time")]
    Late,
    /// The other process has closed the connection, or an earlier fault has.
    #[error("the connection to the other process is closed")]
    Closed,
    /// The connection failed.
    #[error("cannot talk to the other process")]
    Broken(#[source] io::Error),
}

impl UpgradeError {
    /// The connection is gone, however the system puts it; all else is a fault of its own.
    fn of_connection(error: io::Error) -> Self {
        let closed = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        if closed.contains(&error.kind()) { Self::Closed } else { Self::Broken(error) }
    }
}

#[cfg(test)]
mod tests;

//! What both sides say, and the frames they say it in.

use std::{fmt, future::Future, time::Duration};

use bytes::{Buf, BufMut, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::{UpgradeError, VERSION};

/// How long one side waits for the other where an answer is due at once.
pub(super) const STEP: Duration = Duration::from_secs(10);

/// Longest hello, and longest answer of the new process.
pub(super) const WORD_BYTES_MAX: usize = 4 << 10;

/// Longest message of the old process: a batch of sessions is 1 MiB, and one session far less.
pub(super) const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// Bytes of the length before each frame.
const LENGTH_BYTES: usize = 4;

/// The first frame of the old process. The descriptors come with its first byte.
#[derive(Serialize, Deserialize)]
pub(super) struct Hello<'h> {
    /// As in [`Version`].
    pub(super) promgate_upgrade: u32,
    /// What the descriptors are, in their order.
    #[serde(borrow)]
    pub(super) listeners: Vec<&'h str>,
}

/// What is understood of a hello of any version.
#[derive(Deserialize)]
pub(super) struct Version {
    pub(super) promgate_upgrade: u32,
}

/// What the old process says after its hello.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word<M> {
    /// To be acknowledged before the next.
    Message(M),
    /// It has heard that the new process serves, and stops to accept.
    Yields,
}

/// What the new process says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// The hello is understood, and all sockets have come.
    Welcome,
    /// The hello is of another version. All versions say it like this.
    Refused {
        /// What the new process speaks.
        version: u32,
    },
    /// The last message is taken.
    Took,
    /// The new process accepts connections.
    Serving,
}

/// One end of the connection.
pub(super) struct Wire {
    pub(super) stream: UnixStream,
    /// What has come and was not yet understood.
    pub(super) heard: BytesMut,
    /// What was said and has not yet left.
    unsaid: BytesMut,
    step: Duration,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Wire {
    /// Talks over a connection, if the process at its other end may.
    ///
    /// # Errors
    ///
    /// [`UpgradeError::Stranger`] for another user's process.
    pub(super) fn new(stream: UnixStream, step: Duration) -> Result<Self, UpgradeError> {
        // SO_PEERCRED: what the kernel noted when the other side connected or listened.
        let uid = stream.peer_cred().map_err(UpgradeError::Broken)?.uid();
        if !is_trusted(uid, rustix::process::geteuid().as_raw()) {
            return Err(UpgradeError::Stranger { uid });
        }
        Ok(Self { stream, heard: BytesMut::new(), unsaid: BytesMut::new(), step })
    }

    /// The next frame, if all of it has come. It is not waited for.
    pub(super) fn frame(&mut self, bytes_max: usize) -> Result<Option<BytesMut>, UpgradeError> {
        let Some(&length) = self.heard.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if bytes > bytes_max {
            return Err(UpgradeError::TooLarge { bytes });
        }
        let missing = (LENGTH_BYTES + bytes).saturating_sub(self.heard.len());
        if missing > 0 {
            self.heard.reserve(missing);
            return Ok(None);
        }
        self.heard.advance(LENGTH_BYTES);
        Ok(Some(self.heard.split_to(bytes)))
    }

    /// Waits for the next frame, however long it takes. What has come stays if the wait is given up.
    pub(super) async fn hear<T: DeserializeOwned>(
        &mut self,
        bytes_max: usize,
    ) -> Result<T, UpgradeError> {
        loop {
            if let Some(frame) = self.frame(bytes_max)? {
                return understood(&frame);
            }
            let read = self.stream.read_buf(&mut self.heard).await;
            if read.map_err(UpgradeError::of_connection)? == 0 {
                return Err(UpgradeError::Closed);
            }
        }
    }

    /// As [`Wire::hear`], for a frame that is due.
    pub(super) async fn hear_soon<T: DeserializeOwned>(
        &mut self,
        bytes_max: usize,
    ) -> Result<T, UpgradeError> {
        let step = self.step;
        within(step, self.hear(bytes_max)).await
    }

    /// Says something short.
    pub(super) async fn say<T: Serialize>(&mut self, what: &T) -> Result<(), UpgradeError> {
        let frame = framed(what, WORD_BYTES_MAX)?;
        self.say_frame(&frame).await
    }

    /// Says what [`framed`] has made.
    ///
    /// What has not left when this is given up leaves before the next frame, so that the other side never
    /// sees part of one.
    pub(super) async fn say_frame(&mut self, frame: &[u8]) -> Result<(), UpgradeError> {
        self.unsaid.extend_from_slice(frame);
        let step = self.step;
        within(step, async {
            while self.unsaid.has_remaining() {
                let written = self.stream.write_buf(&mut self.unsaid).await;
                written.map_err(UpgradeError::of_connection)?;
            }
            Ok(())
        })
        .await
    }

    /// The hello of the old process, for these names.
    pub(super) fn hello(names: Vec<&str>) -> Result<Vec<u8>, UpgradeError> {
        framed(&Hello { promgate_upgrade: VERSION, listeners: names }, WORD_BYTES_MAX)
    }

    /// How long to wait for what is due at once.
    pub(super) const fn step(&self) -> Duration {
        self.step
    }
}

/// Something as a frame.
///
/// # Errors
///
/// [`UpgradeError::TooLarge`] where the other side would refuse it.
pub(super) fn framed<T: Serialize>(what: &T, bytes_max: usize) -> Result<Vec<u8>, UpgradeError> {
    let json = serde_json::to_vec(what).map_err(|_not_shown| UpgradeError::Malformed)?;
    let too_large = UpgradeError::TooLarge { bytes: json.len() };
    let length = match u32::try_from(json.len()) {
        Ok(length) if json.len() <= bytes_max => length,
        Ok(_) | Err(_) => return Err(too_large),
    };
    let mut frame = Vec::with_capacity(LENGTH_BYTES + json.len());
    frame.put_u32(length);
    frame.extend_from_slice(&json);
    Ok(frame)
}

/// What a frame says.
pub(super) fn understood<'f, T: Deserialize<'f>>(frame: &'f [u8]) -> Result<T, UpgradeError> {
    // The parser's words quote what it read.
    serde_json::from_slice(frame).map_err(|_not_shown| UpgradeError::Malformed)
}

/// What comes of `work`, if it comes in time.
pub(super) async fn within<T>(
    step: Duration,
    work: impl Future<Output = Result<T, UpgradeError>>,
) -> Result<T, UpgradeError> {
    timeout(step, work).await.unwrap_or(Err(UpgradeError::Late))
}

/// Whether a process of user `uid` may be at the other end.
const fn is_trusted(uid: u32, own: u32) -> bool {
    uid == own || uid == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_user_and_root_are_trusted() {
        assert!(is_trusted(1000, 1000) && is_trusted(0, 1000) && is_trusted(0, 0));
        assert!(!is_trusted(1000, 0) && !is_trusted(1001, 1000) && !is_trusted(u32::MAX, 1000));
    }
}

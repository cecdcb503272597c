//! The new process: what it takes over.

use std::{fmt, mem, net::TcpListener, os::fd::OwnedFd, path::Path, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{
    Message, UpgradeError, VERSION, descriptors,
    door::Door,
    wire::{
        Answer, Hello, MESSAGE_BYTES_MAX, STEP, Version, WORD_BYTES_MAX, Wire, Word, understood,
        within,
    },
};

/// The listening sockets of the old process, and the connection to it.
///
/// To drop it is to give the upgrade up: the old process goes on.
pub struct Inherited {
    wire: Wire,
    listeners: Vec<(String, TcpListener)>,
}

/// What the old process tells after its hello.
///
/// To drop it before [`News::serving`] has returned is to give the upgrade up: the old process goes on.
#[derive(Debug)]
pub struct News {
    wire: Wire,
    /// A message that came while the old process was to yield.
    kept: Option<Message>,
    /// The last message is not yet acknowledged.
    owed: bool,
    stage: Stage,
}

/// How far the handover is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The old process sends all that there is.
    Filling,
    /// It has sent all.
    Ready,
    /// It has yielded.
    Serving,
    /// It has drained.
    Done,
}

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.listeners.iter().map(|(name, _listener)| name).collect();
        f.debug_struct("Inherited").field("listeners", &names).finish_non_exhaustive()
    }
}

impl Inherited {
    /// Waits at the socket `path` until a running process comes and has handed its sockets over, for at most
    /// `patience` and 10 seconds.
    ///
    /// The file is made with mode 0600, and is gone when this returns or is given up.
    ///
    /// # Errors
    ///
    /// [`UpgradeError::NobodyCame`] when patience ends; the others say what is wrong with the path or with
    /// who came.
    pub async fn wait(path: &Path, patience: Duration) -> Result<Self, UpgradeError> {
        Self::wait_in_steps(path, patience, STEP).await
    }

    /// As [`Inherited::wait`], where `step` is what the other side has for each answer.
    pub(super) async fn wait_in_steps(
        path: &Path,
        patience: Duration,
        step: Duration,
    ) -> Result<Self, UpgradeError> {
        let door = Door::open(path)?;
        // Not before: whoever reads it may send the signal at once, and the old process comes at once.
        tracing::info!(socket = %path.display(), "send SIGQUIT to the process that serves, and this one takes over");
        let until = Instant::now() + patience;
        loop {
            let accepted = timeout_at(until, door.accept()).await;
            let stream = accepted.unwrap_or(Err(UpgradeError::NobodyCame))?;
            let mut wire = Wire::new(stream, step)?;
            match within(step, greeted(&mut wire)).await {
                Ok(listeners) => return Ok(Self { wire, listeners }),
                // Another new process that looks whether somebody waits here says nothing.
                Err(UpgradeError::Closed) if wire.heard.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the socket that the old process calls `name`. It does not block.
    pub fn listener(&mut self, name: &str) -> Option<TcpListener> {
        let place = self.listeners.iter().position(|(own, _listener)| own == name)?;
        let (_name, listener) = self.listeners.swap_remove(place);
        Some(listener)
    }

    /// Goes on to what the old process tells. Sockets that were not taken are closed.
    #[must_use]
    pub fn into_news(self) -> News {
        News { wire: self.wire, kept: None, owed: false, stage: Stage::Filling }
    }
}

impl News {
    /// The next message, to be acknowledged with [`News::took`]; nothing after the last.
    ///
    /// Until [`Message::Ready`] each must come within 10 seconds. After that there may be none for long:
    /// this ends at the latest when the old process does. May be given up and asked again.
    ///
    /// # Errors
    ///
    /// [`UpgradeError::Closed`] when the old process has gone without a last word,
    /// [`UpgradeError::OutOfTurn`] when the last message was not acknowledged or this one has no place here,
    /// and the faults of the connection.
    pub async fn next(&mut self) -> Result<Option<Message>, UpgradeError> {
        if self.stage == Stage::Done {
            self.took().await?;
            return Ok(None);
        }
        if self.owed {
            return Err(UpgradeError::OutOfTurn);
        }
        let message = match (self.kept.take(), self.stage) {
            (Some(message), _) => message,
            (None, Stage::Filling) => message(self.wire.hear_soon(MESSAGE_BYTES_MAX).await?)?,
            (None, Stage::Ready | Stage::Serving | Stage::Done) => {
                message(self.wire.hear(MESSAGE_BYTES_MAX).await?)?
            }
        };
        self.owed = true;
        match (&message, self.stage) {
            (Message::Done, Stage::Serving) => {
                self.stage = Stage::Done;
                self.took().await?;
                return Ok(None);
            }
            (Message::Ready, Stage::Filling) => self.stage = Stage::Ready,
            (Message::Ready | Message::Done, _) => return Err(UpgradeError::OutOfTurn),
            (Message::Sessions(_) | Message::Ended(_), _) => {}
        }
        Ok(Some(message))
    }

    /// Acknowledges the last message, if it is not yet acknowledged: the old process relies on what it told.
    ///
    /// # Errors
    ///
    /// The faults of the connection.
    pub async fn took(&mut self) -> Result<(), UpgradeError> {
        if mem::take(&mut self.owed) { self.wire.say(&Answer::Took).await } else { Ok(()) }
    }

    /// Tells the old process that this one accepts connections, and waits until it yields.
    ///
    /// # Errors
    ///
    /// Then the old process has not yielded and goes on, and this one must end: the faults of the
    /// connection, and [`UpgradeError::OutOfTurn`] unless [`Message::Ready`] has come, all is
    /// acknowledged, and this is asked for the first time.
    pub async fn serving(&mut self) -> Result<(), UpgradeError> {
        if self.owed || self.stage != Stage::Ready {
            return Err(UpgradeError::OutOfTurn);
        }
        self.wire.say(&Answer::Serving).await?;
        let step = self.wire.step();
        within(step, self.yielded()).await?;
        self.stage = Stage::Serving;
        Ok(())
    }

    /// Waits for the old process to yield. It may be about to send a message: that one is kept.
    async fn yielded(&mut self) -> Result<(), UpgradeError> {
        loop {
            match (self.wire.hear(MESSAGE_BYTES_MAX).await?, &self.kept) {
                (Word::Yields, _) => return Ok(()),
                (Word::Message(message), None) => self.kept = Some(message),
                // It does not send another before the first is acknowledged.
                (Word::Message(_), Some(_)) => return Err(UpgradeError::OutOfTurn),
            }
        }
    }
}

/// Hears the hello and answers it.
async fn greeted(wire: &mut Wire) -> Result<Vec<(String, TcpListener)>, UpgradeError> {
    let mut descriptors = Vec::new();
    let hello = loop {
        if let Some(hello) = wire.frame(WORD_BYTES_MAX)? {
            break hello;
        }
        let mut bytes = [0; WORD_BYTES_MAX];
        let read = descriptors::receive(&wire.stream, &mut bytes, &mut descriptors).await?;
        match bytes.get(..read) {
            None | Some([]) => return Err(UpgradeError::Closed),
            Some(bytes) => wire.heard.extend_from_slice(bytes),
        }
    };
    let Version { promgate_upgrade: theirs } = understood(&hello)?;
    if theirs != VERSION {
        wire.say(&Answer::Refused { version: VERSION }).await?;
        return Err(UpgradeError::Version { theirs, ours: VERSION });
    }
    let listeners = named(understood(&hello)?, descriptors)?;
    wire.say(&Answer::Welcome).await?;
    Ok(listeners)
}

/// Puts names and sockets together.
fn named(
    hello: Hello<'_>,
    descriptors: Vec<OwnedFd>,
) -> Result<Vec<(String, TcpListener)>, UpgradeError> {
    if hello.listeners.len() != descriptors.len() {
        return Err(UpgradeError::Listeners);
    }
    let pairs = hello.listeners.into_iter().zip(descriptors);
    pairs.map(|(name, socket)| Ok((name.to_owned(), descriptors::listener(socket)?))).collect()
}

/// The message in a word, where the old process has nothing else to say.
fn message(word: Word<Message>) -> Result<Message, UpgradeError> {
    match word {
        Word::Message(message) => Ok(message),
        Word::Yields => Err(UpgradeError::OutOfTurn),
    }
}

//! The old process: what it hands over.

use std::{future, os::fd::BorrowedFd, path::Path, time::Duration};

use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    Message, UpgradeError, VERSION, descriptors,
    wire::{Answer, MESSAGE_BYTES_MAX, STEP, WORD_BYTES_MAX, Wire, Word, framed, within},
};

/// Messages that may wait for those before them; who comes later waits to be let in.
const SENDS_MAX: usize = 64;

/// The process that takes over.
///
/// To drop it closes the connection, after what was given to it has been sent. After a first fault
/// everything fails at once with [`UpgradeError::Closed`].
#[derive(Debug)]
pub struct Successor {
    sends: mpsc::Sender<Sending>,
    yields: mpsc::Sender<Yield>,
}

/// Tells who has ordered something what came of it.
type Outcome = oneshot::Sender<Result<(), UpgradeError>>;

/// A frame to be sent and acknowledged.
struct Sending {
    frame: Vec<u8>,
    outcome: Outcome,
}

/// The wish to yield when the new process serves.
struct Yield {
    until: Instant,
    outcome: Outcome,
}

/// Holds the connection in a task of its own, so that a request that is given up in the middle of a
/// message does not leave half of it on the wire.
struct Attendant {
    wire: Wire,
    sends: mpsc::Receiver<Sending>,
    /// Apart from the messages: the new process may wait for this before it acknowledges the last of those.
    yields: mpsc::Receiver<Yield>,
    /// Until when the last message is to be acknowledged, and to whom.
    sent: Option<(Instant, Outcome)>,
    /// Who waits to yield.
    yielding: Option<Yield>,
    /// The new process has said that it serves.
    serves: bool,
}

impl Successor {
    /// Goes to the process that waits at the socket `path`, and hands it copies of `listeners`.
    ///
    /// The connection lives on the runtime on which this is called.
    ///
    /// # Errors
    ///
    /// [`UpgradeError::Connect`] when nobody waits there; the others say why the two do not come together.
    pub async fn connect(
        path: &Path,
        listeners: &[(&'static str, BorrowedFd<'_>)],
    ) -> Result<Self, UpgradeError> {
        Self::connect_in_steps(path, listeners, STEP).await
    }

    /// As [`Successor::connect`], where `step` is what the other side has for each answer.
    pub(super) async fn connect_in_steps(
        path: &Path,
        listeners: &[(&'static str, BorrowedFd<'_>)],
        step: Duration,
    ) -> Result<Self, UpgradeError> {
        let connected = async { UnixStream::connect(path).await.map_err(UpgradeError::Connect) };
        let mut wire = Wire::new(within(step, connected).await?, step)?;
        let (names, sockets): (Vec<_>, Vec<_>) = listeners.iter().copied().unzip();
        let hello = Wire::hello(names)?;
        let sent = within(step, descriptors::send(&wire.stream, &hello, &sockets)).await?;
        wire.say_frame(hello.get(sent..).unwrap_or_default()).await?;
        match wire.hear_soon(WORD_BYTES_MAX).await? {
            Answer::Welcome => {}
            Answer::Refused { version: theirs } => {
                return Err(UpgradeError::Version { theirs, ours: VERSION });
            }
            Answer::Took | Answer::Serving => return Err(UpgradeError::OutOfTurn),
        }
        let (sends, sends_ordered) = mpsc::channel(SENDS_MAX);
        let (yields, yields_ordered) = mpsc::channel(1);
        let attendant = Attendant {
            wire,
            sends: sends_ordered,
            yields: yields_ordered,
            sent: None,
            yielding: None,
            serves: false,
        };
        tokio::spawn(attendant.attend());
        Ok(Self { sends, yields })
    }

    /// Tells the new process something, and returns when it has taken it, within 10 seconds once those before
    /// it are taken.
    ///
    /// Messages go in the order in which this is called, also while another task is in
    /// [`Successor::wait_until_serving`]. Once there is room among the 64 that may wait, a message goes even
    /// if this is given up.
    ///
    /// # Errors
    ///
    /// The new process may then have the message or not, and the connection is closed. Only
    /// [`UpgradeError::TooLarge`] leaves all as it was.
    pub async fn send(&self, message: &Message) -> Result<(), UpgradeError> {
        let frame = framed(&Word::Message(message), MESSAGE_BYTES_MAX)?;
        let (outcome, done) = oneshot::channel();
        let send = Sending { frame, outcome };
        self.sends.send(send).await.map_err(|_ended| UpgradeError::Closed)?;
        done.await.unwrap_or(Err(UpgradeError::Closed))
    }

    /// Waits until the new process serves, and yields to it: after this, and only after this, the old process
    /// stops to accept.
    ///
    /// To give this wait up is to take the offer back, as is the end of `patience`.
    ///
    /// # Errors
    ///
    /// The new process has been told nothing and ends; the old one goes on.
    pub async fn wait_until_serving(&self, patience: Duration) -> Result<(), UpgradeError> {
        let until = Instant::now() + patience;
        let (outcome, done) = oneshot::channel();
        let wish = Yield { until, outcome };
        self.yields.send(wish).await.map_err(|_ended| UpgradeError::Closed)?;
        done.await.unwrap_or(Err(UpgradeError::Closed))
    }
}

impl Attendant {
    /// Does what is ordered until nobody orders any more, or something fails.
    async fn attend(mut self) {
        let Err(error) = self.work().await else { return };
        // Whoever else still waits learns from the loss of its sender that there is no outcome.
        let sent = self.sent.map(|(_until, outcome)| outcome);
        if let Some(outcome) = sent.or(self.yielding.map(|wish| wish.outcome)) {
            tell(outcome, Err(error));
        }
    }

    async fn work(&mut self) -> Result<(), UpgradeError> {
        loop {
            let acknowledged_until = self.sent.as_ref().map(|(until, _outcome)| *until);
            let yielding_until = self.yielding.as_ref().map(|wish| wish.until);
            tokio::select! {
                send = self.sends.recv(), if self.sent.is_none() => match send {
                    None => return Ok(()),
                    Some(send) => self.send(send).await?,
                },
                Some(wish) = self.yields.recv() => {
                    self.yielding = Some(wish);
                    self.yield_if_it_serves().await?;
                }
                answer = self.wire.hear(WORD_BYTES_MAX) => self.heard(answer?).await?,
                () = passed(acknowledged_until) => return Err(UpgradeError::Late),
                () = passed(yielding_until) => return self.take_the_offer_back(),
            }
        }
    }

    async fn send(&mut self, Sending { frame, outcome }: Sending) -> Result<(), UpgradeError> {
        self.sent = Some((Instant::now() + self.wire.step(), outcome));
        self.wire.say_frame(&frame).await
    }

    async fn heard(&mut self, answer: Answer) -> Result<(), UpgradeError> {
        match answer {
            Answer::Took => {
                let (_until, outcome) = self.sent.take().ok_or(UpgradeError::OutOfTurn)?;
                tell(outcome, Ok(()));
                Ok(())
            }
            Answer::Serving if !self.serves => {
                self.serves = true;
                self.yield_if_it_serves().await
            }
            Answer::Serving | Answer::Welcome | Answer::Refused { .. } => {
                Err(UpgradeError::OutOfTurn)
            }
        }
    }

    /// Yields when the new process serves and somebody here waits for that, in time.
    async fn yield_if_it_serves(&mut self) -> Result<(), UpgradeError> {
        if !self.serves {
            return Ok(());
        }
        let Some(Yield { until, outcome }) = self.yielding.take() else { return Ok(()) };
        if outcome.is_closed() || Instant::now() >= until {
            tell(outcome, Err(UpgradeError::Late));
            return Err(UpgradeError::Closed);
        }
        let yielded = self.wire.say(&Word::<()>::Yields).await;
        let broken = yielded.is_err();
        tell(outcome, yielded);
        if broken { Err(UpgradeError::Closed) } else { Ok(()) }
    }

    /// The new process has not served in time.
    fn take_the_offer_back(&mut self) -> Result<(), UpgradeError> {
        if let Some(Yield { outcome, .. }) = self.yielding.take() {
            tell(outcome, Err(UpgradeError::Late));
        }
        Err(UpgradeError::Closed)
    }
}

/// Tells an outcome to who has ordered it, if it still waits.
fn tell(outcome: Outcome, result: Result<(), UpgradeError>) {
    outcome.send(result).ok();
}

/// Returns at `until`, or never.
async fn passed(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => future::pending().await,
    }
}

//! The one connection over which all questions go, and what is known of it.
//!
//! While it is known to be down nobody waits for it: questions fail at once, and the keeper alone tries to get through.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, FromRedisValue, aio::MultiplexedConnection};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    StoreDown,
    connect::{CannotConnect, Target},
};

/// What is known of the store.
#[derive(Clone)]
enum State {
    /// The first try is under way: questions wait for it, within their time.
    Starting,
    /// It answers.
    Up(Arc<Link>),
    /// It does not.
    Down,
}

/// The way to the store.
pub(super) struct Line {
    target: Target,
    timeout: Duration,
    state: watch::Sender<State>,
}

/// One connection, for as long as it holds.
pub(super) struct Link {
    connection: MultiplexedConnection,
    broken: mpsc::Sender<StoreDown>,
}

/// What lasts as long as a connection; dropping it ends the connection.
pub(super) struct Connected {
    pub(super) link: Arc<Link>,
    driver: JoinHandle<()>,
    broken: mpsc::Receiver<StoreDown>,
}

impl Line {
    pub(super) fn new(target: Target, timeout: Duration) -> Self {
        Self { target, timeout, state: watch::Sender::new(State::Starting) }
    }

    /// Whether the store answers, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(_))
    }

    /// When a question that begins now must be over.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Asks, if the store is there, and says when it turns out not to be.
    ///
    /// # Errors
    /// [`StoreDown`], within the time limit.
    pub(super) async fn ask<T: FromRedisValue>(&self, question: &Cmd) -> Result<T, StoreDown> {
        let deadline = self.deadline();
        let link = timeout_at(deadline, self.link()).await;
        let link = link.unwrap_or(Err(StoreDown::Timeout))?;
        let answer = link.ask(question, deadline).await;
        if let Err(fault) = &answer
            && fault.ends_connection()
        {
            self.set_down(&link);
            // Only the first fault matters; the keeper knows it already when there is no place.
            let _already_known = link.broken.try_send(*fault);
        }
        answer
    }

    async fn link(&self) -> Result<Arc<Link>, StoreDown> {
        let mut states = self.state.subscribe();
        let known = states.wait_for(|state| !matches!(state, State::Starting)).await;
        match known.as_deref() {
            Ok(State::Up(link)) => Ok(Arc::clone(link)),
            // The sender is ours, so the channel does not end.
            Ok(State::Starting | State::Down) | Err(_) => Err(StoreDown::Known),
        }
    }

    /// Connects; nobody uses the connection before it is [announced](Self::set_up).
    ///
    /// # Errors
    /// As [`Target::connect`], or [`CannotConnect::Slow`].
    pub(super) async fn connect(&self) -> Result<Connected, CannotConnect> {
        let made = timeout_at(self.deadline(), self.target.connect()).await;
        let (connection, driver) = made.unwrap_or(Err(CannotConnect::Slow))?;
        let (fault, broken) = mpsc::channel(1);
        let link = Arc::new(Link { connection, broken: fault });
        Ok(Connected { link, driver: tokio::spawn(driver), broken })
    }

    pub(super) fn set_up(&self, link: &Arc<Link>) {
        self.state.send_replace(State::Up(Arc::clone(link)));
    }

    /// The connection serves nobody any more; a newer one stays.
    pub(super) fn set_down(&self, link: &Arc<Link>) {
        self.state.send_if_modified(|state| {
            let current = matches!(state, State::Up(up) if Arc::ptr_eq(up, link));
            if current {
                *state = State::Down;
            }
            current
        });
    }

    /// There is no connection.
    pub(super) fn set_unconnected(&self) {
        self.state.send_replace(State::Down);
    }
}

impl Link {
    /// Asks over this connection.
    ///
    /// # Errors
    /// [`StoreDown`], at the deadline at the latest.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        question: &Cmd,
        deadline: Instant,
    ) -> Result<T, StoreDown> {
        let mut connection = self.connection.clone();
        match timeout_at(deadline, question.query_async(&mut connection)).await {
            Ok(answer) => answer.map_err(|error| StoreDown::of(&error)),
            Err(_elapsed) => Err(StoreDown::Timeout),
        }
    }
}

impl Connected {
    /// Resolves when the connection has broken, or when somebody found out that it is of no use.
    pub(super) async fn ended(&mut self) -> StoreDown {
        tokio::select! {
            fault = self.broken.recv() => fault.unwrap_or(StoreDown::Unreachable),
            _ended = &mut self.driver => StoreDown::Unreachable,
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

//! The task that keeps the connection, and notices when the store has lost what was written.
//!
//! It tries once a second. The store counts as the same as long as its *epoch* stands there, a random value that whoever comes
//! first writes and all replicas read, and as long as the server says that it is the same run of the same process: one that was
//! started again from an older copy, or a replica that took over, may lack the last writes although the epoch stands there.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    StoreDown,
    connect::CannotConnect,
    line::{Connected, Link},
    records::{Records, Seldom},
};
use crate::telemetry::Chain;

/// Time between two tries to connect.
const TRY_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two looks whether the store is still the same.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Sessions are written anew no more often than this because writes were missed. A store without room would otherwise be
/// asked to take all of them each time that it has room for one.
const MISSED_INTERVAL: Duration = Duration::from_secs(10);

/// Time between two lines that say why there is no connection.
const DOWN_INTERVAL: Duration = Duration::from_secs(30);

/// Keeps the connection; whoever holds the task ends it.
#[expect(clippy::infinite_loop, reason = "the task is aborted when its store is dropped")]
pub(super) async fn keep(records: Arc<Records>) {
    let mut keeper = Keeper {
        records,
        epoch: None,
        run: None,
        missed: Seldom::new(MISSED_INTERVAL),
        complaints: Seldom::new(DOWN_INTERVAL),
        complained: false,
    };
    let mut tries = interval(TRY_INTERVAL);
    tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tries.tick().await;
        keeper.one_connection().await;
        keeper.records.line.set_unconnected();
    }
}

struct Keeper {
    records: Arc<Records>,
    epoch: Option<Vec<u8>>,
    run: Option<String>,
    missed: Seldom,
    complaints: Seldom,
    complained: bool,
}

impl Keeper {
    /// Connects, and stays with the connection to its end.
    async fn one_connection(&mut self) {
        let mut connected = match self.records.line.connect().await {
            Ok(connected) => connected,
            Err(why) => return self.complain(why.down(), Some(&why)),
        };
        let down = match self.greet(&connected).await {
            Ok(()) => {
                if std::mem::take(&mut self.complained) {
                    tracing::info!("session store is up");
                }
                self.stay(&mut connected).await
            }
            Err(down) => down,
        };
        self.records.line.set_down(&connected.link);
        self.complain(down, None);
    }

    fn complain(&mut self, down: StoreDown, why: Option<&CannotConnect>) {
        if self.complaints.due() {
            self.complained = true;
            let (reason, error) = (down.word(), why.map(|why| tracing::field::display(Chain(why))));
            tracing::warn!(reason, error, "session store is down");
        }
    }

    /// Looks who is there before anybody else may ask.
    async fn greet(&mut self, connected: &Connected) -> Result<(), StoreDown> {
        let link = &connected.link;
        // Without the right to ask for it the epoch alone must do.
        let about = link.ask::<String>(redis::cmd("INFO").arg("server"), self.deadline()).await;
        let run = match about {
            Ok(about) => run_id(&about),
            Err(down @ (StoreDown::Unreachable | StoreDown::Timeout)) => return Err(down),
            Err(_) => None,
        };
        let another = run.is_some() && self.run.is_some() && run != self.run;
        self.run = run.or_else(|| self.run.take());
        let incomplete = match self.look(link, another).await {
            Ok(incomplete) => incomplete,
            // What has no room can be read all the same.
            Err(StoreDown::Full) => false,
            Err(down) => return Err(down),
        };
        self.records.line.set_up(link);
        self.make_good(incomplete).await;
        Ok(())
    }

    /// Looks at the store now and then until the connection ends.
    async fn stay(&mut self, connected: &mut Connected) -> StoreDown {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.tick().await;
        loop {
            tokio::select! {
                down = connected.ended() => return down,
                _at = looks.tick() => {}
            }
            let link = Arc::clone(&connected.link);
            match self.look(&link, false).await {
                Ok(incomplete) => self.make_good(incomplete).await,
                Err(down) if down.ends_connection() => return down,
                Err(_) => {}
            }
        }
    }

    /// Looks whether the store may lack something that was, or was to be, written.
    async fn look(&mut self, link: &Link, another: bool) -> Result<bool, StoreDown> {
        let missed = self.records.missed.load(Ordering::Acquire) && self.missed.due();
        let mut fresh = [0; 16];
        // Without randomness the epoch is told from an older one by nobody, which costs a notice and no session.
        let random = getrandom::fill(&mut fresh);
        let fresh = if random.is_ok() { &fresh[..] } else { b"epoch" };
        let look = self.records.scripts.look(fresh, missed);
        let epoch: Vec<u8> = link.ask(&look, self.deadline()).await?;
        let replaced = self.epoch.as_ref().is_some_and(|known| *known != epoch);
        self.epoch = Some(epoch);
        if replaced || another {
            self.records.tally.add_loss();
            tracing::warn!("session store is back without all that was written");
        }
        Ok(replaced || another || missed)
    }

    /// Removes what was to be removed, and tells who writes sessions to do so again. The store is up by now.
    async fn make_good(&self, incomplete: bool) {
        self.records.catch_up().await;
        if incomplete {
            self.records.missed.store(false, Ordering::Release);
            self.records.lost.notify_one();
        }
    }

    fn deadline(&self) -> Instant {
        self.records.line.deadline()
    }
}

/// What a server calls this run of its process.
fn run_id(about: &str) -> Option<String> {
    let lines = about.lines().filter_map(|line| line.strip_prefix("run_id:"));
    lines.map(|id| id.trim().to_owned()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_run_is_found_among_what_it_tells_of_itself() {
        assert_eq!(
            run_id("# Server\r\nredis_mode:x\r\nrun_id:0a1b\r\nport:1\r\n"),
            Some("0a1b".into())
        );
        assert_eq!(run_id("# Server\r\nredis_mode:standalone\r\n"), None);
    }
}

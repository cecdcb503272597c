//! Who is let in while a sink cannot take more.
//!
//! Under `block` and `refuse` a request is served only if its record will have room, beside the records of all
//! requests that are in flight. So it takes as much of the queue as a record may need before anything of it is served,
//! and gives back what its record did not need when that is written.

use std::sync::Arc;

use tokio::{sync::Semaphore, time};

use super::queue::{Permit, Queue};
use crate::config::WhenFull;

/// Leave to be served: room for a request's record in every sink that is not to lose any.
#[derive(Debug, Default)]
pub struct Admission(Leave);

#[derive(Debug, Default)]
enum Leave {
    /// No sink asks for one: its record is taken where there is room, and counts as lost where there is none.
    #[default]
    None,
    /// It was not let in, which is counted already: its record is taken where there is room.
    Refused,
    /// Room in each sink, in their order; none in those that do not ask for it.
    Held(Box<[Option<Permit>]>),
    /// The request was let in and has used its room, as a stream has that is open: what it still writes is taken.
    Used,
}

/// A request cannot be recorded and is not to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the access log cannot take a record")]
pub struct Unrecordable;

/// What a sink does with a record.
pub(super) enum Entry {
    /// It is taken if there is room, else it counts as lost.
    IfRoom,
    /// It is taken if there is room, and nobody asks if not.
    Spare,
    /// It is taken.
    LetIn(Option<Permit>),
}

impl Admission {
    /// That of a request that is refused.
    #[must_use]
    pub const fn refused() -> Self {
        Self(Leave::Refused)
    }

    /// How the sink at this place takes the record; the room is used up then.
    pub(super) fn entry(&mut self, place: usize) -> Entry {
        match &mut self.0 {
            Leave::None => Entry::IfRoom,
            Leave::Refused => Entry::Spare,
            Leave::Held(permits) => Entry::LetIn(permits.get_mut(place).and_then(Option::take)),
            Leave::Used => Entry::LetIn(None),
        }
    }

    /// Gives back all room that is left: its record is written.
    pub(super) fn use_up(&mut self) {
        if matches!(self.0, Leave::Held(_)) {
            self.0 = Leave::Used;
        }
    }
}

/// One sink that asks for room.
pub(super) struct Gate {
    /// Its place among the sinks.
    pub(super) place: usize,
    pub(super) queue: Arc<Queue>,
    pub(super) when_full: WhenFull,
}

/// All sinks that ask for room.
pub(super) struct Gates {
    pub(super) all: Box<[Gate]>,
    pub(super) sinks: usize,
    /// Bytes of a record, but for escapes.
    pub(super) record_bytes: u32,
}

impl Gates {
    /// Takes room in every sink, or waits for it, as each wants it.
    ///
    /// # Errors
    /// [`Unrecordable`] when one that refuses has none, or one that lets wait has none in time.
    pub(super) async fn admit(&self) -> Result<Admission, Unrecordable> {
        let mut permits: Box<[Option<Permit>]> = (0..self.sinks).map(|_| None).collect();
        for gate in &self.all {
            let Some(room) = gate.queue.room() else { continue };
            let permit = match (
                Arc::clone(room).try_acquire_many_owned(self.record_bytes),
                gate.when_full,
            ) {
                (Ok(permit), _) => permit,
                (Err(_full), WhenFull::Block(longest)) => {
                    gate.queue.counters.waited.inc();
                    let waited = time::timeout(longest, wait(room, self.record_bytes)).await;
                    waited.unwrap_or(Err(Unrecordable)).inspect_err(|_full| gate.queue.refused())?
                }
                (Err(_full), WhenFull::Refuse | WhenFull::Drop) => {
                    gate.queue.refused();
                    return Err(Unrecordable);
                }
            };
            if let Some(place) = permits.get_mut(gate.place) {
                *place = Some(permit);
            }
        }
        Ok(Admission(Leave::Held(permits)))
    }
}

/// Waits in turn.
async fn wait(room: &Arc<Semaphore>, bytes: u32) -> Result<Permit, Unrecordable> {
    // Nobody closes it.
    Arc::clone(room).acquire_many_owned(bytes).await.map_err(|_closed| Unrecordable)
}

//! Ids of new sessions.

use std::time::SystemTime;

use mcp_core::{
    principal::PrincipalId,
    server::Opening,
    session::{NoRandomness, Seat},
};

use super::{Place, Sessions};
use crate::workers::Chosen;

/// Most seats tried for one that falls on a worker here. With one worker of 1,000 the chance that none does is
/// one in ten million; it takes two milliseconds then.
const SEATS_MAX: usize = 16 << 10;

/// A session about to be opened.
#[derive(Debug)]
pub struct Minted<'a> {
    /// Its id, and when it ends at the latest.
    pub opening: Opening,
    /// Who will own it.
    pub place: Place<'a>,
}

/// Why no session can be opened.
#[derive(Debug, thiserror::Error)]
pub enum CannotMint {
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// No replica has a worker, or none of the seats tried falls on one here.
    #[error("no worker can own a new session")]
    NoOwner,
}

impl Sessions {
    /// Whether a session that is opened now goes to another replica: this one has no workers, or is leaving.
    #[must_use]
    pub fn opens_elsewhere(&self) -> bool {
        let membership = self.cluster.membership();
        self.workers.is_empty() || membership.is_without_me()
    }

    /// Makes an id for a new session, and says who will own it: a worker here, unless there is none.
    ///
    /// Of two ids the one whose owner has fewer sessions is taken. The ring alone would leave the
    /// workers a tenth apart; the better of two keeps them within a few sessions of each other.
    ///
    /// # Errors
    /// [`CannotMint`].
    pub fn mint(&self, principal: Option<PrincipalId>) -> Result<Minted<'_>, CannotMint> {
        let (seat, place) =
            if self.opens_elsewhere() { self.any_seat()? } else { self.own_seat()? };
        let expires = SystemTime::now() + self.age_max;
        let id = self.keys.load().sign(&seat, principal, expires);
        Ok(Minted { opening: Opening { id, expires }, place })
    }

    fn any_seat(&self) -> Result<(Seat, Place<'_>), CannotMint> {
        let seat = self.seats.lock().next()?;
        let membership = self.cluster.membership();
        let owner = membership.ring.owner(seat.as_str()).ok_or(CannotMint::NoOwner)?;
        let place = Place::There(owner.node.clone(), owner.worker);
        Ok((seat, place))
    }

    fn own_seat(&self) -> Result<(Seat, Place<'_>), CannotMint> {
        let membership = self.cluster.membership();
        let mut first: Option<(Seat, Chosen<'_>)> = None;
        for _ in 0..SEATS_MAX {
            let seat = self.seats.lock().next()?;
            let owner = membership.ring.owner(seat.as_str()).ok_or(CannotMint::NoOwner)?;
            if !membership.is_me(owner.node) {
                continue;
            }
            let Some(chosen) = self.workers.get(owner.worker) else { continue };
            let Some((other_seat, other)) = first.take() else {
                first = Some((seat, chosen));
                continue;
            };
            let sessions = |chosen: Chosen<'_>| chosen.worker.figures().sessions;
            let (seat, chosen) = if sessions(chosen) < sessions(other) {
                (seat, chosen)
            } else {
                (other_seat, other)
            };
            return Ok((seat, Place::Here(chosen)));
        }
        let (seat, chosen) = first.ok_or(CannotMint::NoOwner)?;
        Ok((seat, Place::Here(chosen)))
    }
}

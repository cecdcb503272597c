//! The events of GET streams, numbered and kept for a while, so that a client that comes back gets what it missed.
//!
//! All that such streams carry is said to all sessions of a worker alike. So one log serves them all: a session costs
//! nothing for it, and what is said while a client is away is kept for it whether or not it ever had a stream.
//!
//! An event's id is `EPOCH-NUMBER`. The epoch tells this log from those of other workers and replicas. The beginning of a
//! stream is an event too, without data, so that a client has an id to come back with before anything was said; it
//! is `EPOCH-NUMBER.BEGINNING`, since no two events may have one id.
//!
//! Spec: MCP 2025-11-25, Streamable HTTP, Resumability and Redelivery. 2026-07-28 has taken all of that back: there
//! `Last-Event-ID` and event ids do not exist, and the streams of `subscriptions/listen` have none.

use std::{
    collections::VecDeque,
    fmt,
    hash::{BuildHasher as _, RandomState},
};

use bytes::Bytes;
use rmcp::model::ServerNotification;

use crate::call::{CallError, frame, notification_message};

/// Events that are kept.
///
/// Lists change when somebody changes settings, and a client is back within seconds: 64 changes take longer than that by
/// far. And a stream that is cut off because so many frames wait in it finds all of what it missed.
pub(super) const EVENTS_MAX: usize = 64;

/// The events of one worker's GET streams.
#[derive(Debug)]
pub(super) struct EventLog {
    epoch: u64,
    /// Number of the last event; the first is 1.
    last: u64,
    beginnings: u64,
    /// The last events, as they go on the wire.
    events: VecDeque<Bytes>,
}

/// An event in both of its forms.
#[derive(Debug)]
pub(super) struct Event {
    /// With its id.
    pub(super) numbered: Bytes,
    /// Without, for clients of revisions that have no events without data. One of their libraries makes such an event of
    /// each comment once it has seen an id, and then finds that its data is no message.
    pub(super) plain: Bytes,
}

/// The event after which a stream is to go on is not kept, or never was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event that Last-Event-ID names is no longer kept: open the stream again without Last-Event-ID, and read again what may have changed"
)]
pub(super) struct NoLongerKept;

/// A place among the events of a log: after event `number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    epoch: u64,
    number: u64,
    /// Which beginning of a stream it is; none: the event itself.
    beginning: Option<u64>,
}

/// What a client has missed.
enum Missed {
    Events(Vec<Bytes>),
    /// Nobody here knows: it listened to another log before.
    Unknown,
}

impl EventLog {
    /// An empty log.
    pub(super) fn new() -> Self {
        // Random, but no secret: it must only be unlikely that two logs have the same.
        let epoch = RandomState::new().hash_one(0_u8);
        Self { epoch, last: 0, beginnings: 0, events: VecDeque::new() }
    }

    /// Takes up what is said now.
    ///
    /// # Errors
    /// [`CallError::Unserialisable`].
    pub(super) fn record(&mut self, notification: ServerNotification) -> Result<Event, CallError> {
        let plain = frame(&notification_message(notification))?;
        self.last += 1;
        let place = Place { epoch: self.epoch, number: self.last, beginning: None };
        let numbered = Bytes::from([format!("id: {place}\n").as_bytes(), &plain].concat());
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(numbered.clone());
        Ok(Event { numbered, plain })
    }

    /// What a stream begins with, opened by a client that has seen events up to `last_event_id`, if any. `catch_up` says
    /// anew what another log may have said; `numbered` when the client is given ids.
    ///
    /// # Errors
    /// [`NoLongerKept`].
    pub(super) fn begin(
        &mut self,
        last_event_id: Option<&[u8]>,
        numbered: bool,
        catch_up: impl FnOnce() -> Vec<Bytes>,
    ) -> Result<Bytes, NoLongerKept> {
        let missed = last_event_id.map(|id| self.since(id)).transpose()?;
        let (mut frames, ends_numbered) = match missed {
            Some(Missed::Events(events)) => (events.concat(), !events.is_empty()),
            Some(Missed::Unknown) => (catch_up().concat(), false),
            None => (Vec::new(), false),
        };
        if numbered && !ends_numbered {
            self.beginnings += 1;
            let beginning = Some(self.beginnings);
            let place = Place { epoch: self.epoch, number: self.last, beginning };
            frames.extend_from_slice(format!("id: {place}\ndata:\n\n").as_bytes());
        }
        Ok(frames.into())
    }

    fn since(&self, last_event_id: &[u8]) -> Result<Missed, NoLongerKept> {
        let place = Place::parse(last_event_id).ok_or(NoLongerKept)?;
        if place.epoch != self.epoch {
            return Ok(Missed::Unknown);
        }
        let behind = self.last.checked_sub(place.number).ok_or(NoLongerKept)?;
        let behind = usize::try_from(behind).map_err(|_too_far| NoLongerKept)?;
        let seen = self.events.len().checked_sub(behind).ok_or(NoLongerKept)?;
        Ok(Missed::Events(self.events.iter().skip(seen).cloned().collect()))
    }
}

impl Place {
    fn parse(id: &[u8]) -> Option<Self> {
        let (epoch, rest) = str::from_utf8(id).ok()?.split_once('-')?;
        let (number, beginning) = match rest.split_once('.') {
            Some((number, beginning)) => (number, Some(beginning.parse().ok()?)),
            None => (rest, None),
        };
        let epoch = u64::from_str_radix(epoch, 16).ok()?;
        let place = Self { epoch, number: number.parse().ok()?, beginning };
        // A number can be written in many ways, and only one of them is ours.
        (place.to_string().as_bytes() == id).then_some(place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.number)?;
        self.beginning.map_or(Ok(()), |beginning| write!(f, ".{beginning}"))
    }
}

#[cfg(test)]
mod tests;

//! What a replica says of itself.

use std::{
    collections::VecDeque,
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use mcp_core::signing::{NoRandomness, random};
use serde::{Deserialize, Serialize};

use crate::ring::NodeName;

/// Largest status, in bytes: a name of 262, an id, a few numbers.
pub(super) const STATUS_BYTES_MAX: usize = 4 << 10;

/// Most workers of one replica, as the configuration allows them. Each costs everybody 200 points on the ring.
const WORKERS_MAX: u16 = 1024;

/// Goodbyes that are remembered. Of each only as long as an answer that was given before it may be on its way.
const GOODBYES_MAX: usize = 256;

/// One run of one process: random, so that a replica that was restarted is told from the one before, and we know
/// ourselves when we are found among the peers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Instance(u128);

/// Whether a replica takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    Ready,
    Draining,
}

/// What a replica answers to a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Status {
    /// Its name on the ring.
    pub(super) node: NodeName,
    pub(super) instance: Instance,
    /// When it started, milliseconds of Unix time. Tells which of two of the same name is the newer.
    pub(super) started_ms: u64,
    pub(super) workers: u16,
    pub(super) phase: Phase,
    /// Version of the ring that it has.
    pub(super) ring: u64,
    /// Of the program.
    pub(super) version: String,
}

/// Processes that said goodbye, the last first.
#[derive(Debug, Default)]
pub(super) struct Goodbyes(VecDeque<Instance>);

impl Instance {
    pub(super) fn random() -> Result<Self, NoRandomness> {
        Ok(Self(u128::from_be_bytes(random()?)))
    }
}

impl Status {
    /// Reads an answer. `None`: it is none, or says what no replica of this version can say.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let status: Self = serde_json::from_slice(body).ok()?;
        (status.workers <= WORKERS_MAX).then_some(status)
    }

    /// Its age among replicas of the same name: the later started is greater, and none are equal.
    pub(super) fn seniority(&self) -> (u64, Instance) {
        (self.started_ms, self.instance)
    }
}

impl Goodbyes {
    pub(super) fn note(&mut self, instance: Instance) {
        if !self.0.contains(&instance) {
            self.0.truncate(GOODBYES_MAX - 1);
            self.0.push_front(instance);
        }
    }

    /// What an answer means: who said goodbye does not come back, so one that says otherwise was given before.
    pub(super) fn outlast(&self, status: Status) -> Status {
        if self.0.contains(&status.instance) {
            return Status { phase: Phase::Draining, ..status };
        }
        status
    }
}

/// Milliseconds of Unix time.
pub(super) fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({self})")
    }
}

impl From<Instance> for String {
    fn from(instance: Instance) -> Self {
        instance.to_string()
    }
}

impl TryFrom<String> for Instance {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let number = (text.len() == 32).then(|| u128::from_str_radix(&text, 16).ok()).flatten();
        number.map(Self).ok_or("an instance is 32 hexadecimal digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(instance: usize, phase: Phase) -> Status {
        Status {
            node: NodeName::parse("a:1").unwrap(),
            instance: Instance(u128::try_from(instance).unwrap()),
            started_ms: 1,
            workers: 1,
            phase,
            ring: 0,
            version: "0".to_owned(),
        }
    }

    #[test]
    fn who_said_goodbye_is_ready_no_more_and_others_are_as_they_say() {
        let mut goodbyes = Goodbyes::default();
        goodbyes.note(Instance(1));
        let said = |instance, phase| goodbyes.outlast(status(instance, phase)).phase;
        assert_eq!(said(1, Phase::Ready), Phase::Draining);
        assert_eq!(said(1, Phase::Draining), Phase::Draining);
        assert_eq!(said(2, Phase::Ready), Phase::Ready, "the process that was started after it");
    }

    #[test]
    fn the_last_goodbyes_are_remembered_and_no_more() {
        let mut goodbyes = Goodbyes::default();
        for instance in 0..=GOODBYES_MAX {
            (0..2).for_each(|_| goodbyes.note(status(instance, Phase::Ready).instance));
        }
        assert_eq!(goodbyes.0.len(), GOODBYES_MAX);
        let said = |instance| goodbyes.outlast(status(instance, Phase::Ready)).phase;
        assert_eq!([said(0), said(1)], [Phase::Ready, Phase::Draining]);
        assert_eq!(said(GOODBYES_MAX), Phase::Draining);
    }
}
